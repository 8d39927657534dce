// Controlling terminals: which session a terminal belongs to, who of it may read and write, and what a hang-up does.
// Linux: drivers/tty/tty_jobctrl.c; credentials(7), setsid(2).

import { EINVAL, EIO, ENOTTY, EPERM, ERESTARTSYS, ESRCH } from "../abi/errno.ts";
import { SIG_IGN, SIGCONT, SIGHUP, SIGTTIN, SIGTTOU } from "../abi/signal.ts";
import { CAP_SYS_ADMIN } from "../abi/task.ts";
import { sendGroupSignal, sendProcessGroupSignal } from "../signal/send.ts";
import type { Session } from "../task/process_group.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import { Terminal } from "./terminal.ts";

/** The controlling terminal of a process, or null. */
export function terminalOf(group: ThreadGroup): Terminal | null {
  const terminal = group.hasLeftTerminal ? null : group.session.terminal;
  return terminal instanceof Terminal ? terminal : null;
}

/**
 * `task` reads (SIGTTIN), or writes or sets (SIGTTOU) `terminal`: 0 when it may. In the background its group is stopped
 * and the call starts again when it goes on; -EIO where a stop would be for ever, or nobody would hear of it.
 */
export function checkForeground(task: Task, terminal: Terminal, signal: number): number {
  const group = task.threadGroup;
  if (terminalOf(group) !== terminal) return 0;
  const { foreground } = terminal;
  if (foreground === null || foreground === group.processGroup) return 0;
  if (task.signals.isBlocked(signal) || group.actions.handler[signal] === SIG_IGN) {
    return signal === SIGTTIN ? -EIO : 0;
  }
  if (group.processGroup.isOrphaned()) return -EIO;
  sendProcessGroupSignal(group.processGroup, signal);
  return -ERESTARTSYS;
}

/** open(2) without O_NOCTTY: a session leader without terminal takes one that nobody has. */
export function takeOnOpen(task: Task, terminal: Terminal): void {
  const group = task.threadGroup;
  if (group.session.leader !== group || group.session.terminal !== null || terminal.session !== null) return;
  setTerminal(group, terminal);
}

/** TIOCSCTTY. `argument` 1 takes it from another session, for CAP_SYS_ADMIN. */
export function takeTerminal(task: Task, terminal: Terminal, argument: number, canRead: boolean): number {
  const group = task.threadGroup;
  const { session } = group;
  const isLeader = session.leader === group;
  if (isLeader && terminal.session === session) return 0;
  if (!isLeader || session.terminal !== null) return -EPERM;
  const isPrivileged = task.credentials.has(CAP_SYS_ADMIN);
  if (terminal.session !== null) {
    if (argument !== 1 || !isPrivileged) return -EPERM;
    release(terminal);
  }
  if (!canRead && !isPrivileged) return -EPERM;
  setTerminal(group, terminal);
  return 0;
}

/** `terminal` becomes the controlling terminal of the session that `group` leads. */
export function setTerminal(group: ThreadGroup, terminal: Terminal): void {
  group.hasLeftTerminal = false;
  group.session.terminal = terminal;
  terminal.session = group.session;
  terminal.foreground = group.processGroup;
}

/** TIOCNOTTY: the process gives up its terminal; a session leader gives it up for the whole session (tty_ioctl(4)). */
export function leaveTerminal(task: Task, terminal: Terminal): number {
  const group = task.threadGroup;
  if (terminalOf(group) !== terminal) return -ENOTTY;
  if (group.session.leader !== group) {
    group.hasLeftTerminal = true;
    return 0;
  }
  const { foreground } = terminal;
  release(terminal);
  if (foreground !== null) {
    sendProcessGroupSignal(foreground, SIGHUP);
    sendProcessGroupSignal(foreground, SIGCONT);
  }
  return 0;
}

/** TIOCGPGRP. On the master (`isMaster`) one need not be of the session. */
export function foregroundNumber(task: Task, terminal: Terminal, isMaster: boolean): number {
  if (!isMaster && terminalOf(task.threadGroup) !== terminal) return -ENOTTY;
  return terminal.foreground === null ? 0 : terminal.foreground.pid.in(task.pid.namespace);
}

/** TIOCGSID. */
export function sessionNumber(task: Task, terminal: Terminal, isMaster: boolean): number {
  if (!isMaster && terminalOf(task.threadGroup) !== terminal) return -ENOTTY;
  return terminal.session === null ? -ENOTTY : terminal.session.pid.in(task.pid.namespace);
}

/** TIOCSPGRP: process group `number` comes to the foreground. The caller has called checkForeground(). */
export function setForeground(task: Task, terminal: Terminal, number: number): number {
  if (number < 0) return -EINVAL;
  const { session } = task.threadGroup;
  if (terminalOf(task.threadGroup) !== terminal || terminal.session !== session) return -ENOTTY;
  const pid = task.pid.namespace.pids.get(number);
  if (pid === undefined) return -ESRCH;
  const group = pid.group;
  if (group === null || group.session !== session) return group === null ? -ESRCH : -EPERM;
  terminal.foreground = group;
  return 0;
}

/** May `task` change settings? As checkForeground() with SIGTTOU, with the errno of tcsetpgrp(3) for what cannot be. */
export function checkSetForeground(task: Task, terminal: Terminal): number {
  const result = checkForeground(task, terminal, SIGTTOU);
  return result === -EIO ? -ENOTTY : result;
}

/**
 * The line is gone: the session loses its terminal, its leader is told, and who stood in the foreground is when the leader
 * exits. Files on the slave are dead. `closesMaster`: the other side has closed, not vhangup(2).
 */
export function hangUp(terminal: Terminal, closesMaster: boolean): void {
  const { session, foreground } = terminal;
  if (session !== null) {
    release(terminal);
    session.lostForeground = foreground;
    const leader = session.leader;
    if (leader !== null) {
      sendGroupSignal(leader, SIGHUP);
      sendGroupSignal(leader, SIGCONT);
    }
  }
  if (closesMaster) terminal.closeMaster();
  else terminal.markHungUp();
}

function release(terminal: Terminal): void {
  const session: Session | null = terminal.session;
  if (session !== null) session.terminal = null;
  terminal.onSessionEnd();
}
