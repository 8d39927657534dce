// Sending signals. Linux: __send_signal_locked(), prepare_signal(), complete_signal() of kernel/signal.c; signal(7).
// Permission is the caller's business (syscalls/signal.ts): what comes here is sent.

import type { Fault } from "../../platform/platform.ts";
import { EAGAIN } from "../abi/errno.ts";
import { POLLIN } from "../abi/file.ts";
import {
  CLD_CONTINUED,
  SA_NOCLDSTOP,
  SI_KERNEL,
  SI_QUEUE,
  SI_TKILL,
  SI_USER,
  SIG_DFL,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGRTMIN,
  SIGSTOP,
} from "../abi/signal.ts";
import { RLIMIT_SIGPENDING } from "../abi/task.ts";
import { childInfo } from "../task/child_info.ts";
import { killGroup } from "../task/kill.ts";
import type { PidNamespace } from "../task/namespaces.ts";
import type { ProcessGroup } from "../task/process_group.ts";
import { type Task, TaskState } from "../task/task.ts";
import { ThreadGroup } from "../task/thread_group.ts";
import { userAccount } from "../task/user_account.ts";
import { continueGroup } from "./continue.ts";
import { bit, isCoreSignal, isIgnoredByDefault, isStopSignal, STOP_LOW } from "./signal_actions.ts";
import { SignalInfo } from "./signal_info.ts";

/** Sends to a task alone or to a process as a whole. 0, or -EAGAIN when a real-time signal finds no room. */
export function sendSignal(target: Task | ThreadGroup, info: SignalInfo): number {
  return target instanceof ThreadGroup ? send(target, null, info) : send(target.threadGroup, target, info);
}

/** A signal of the kernel's own to a process: timers, terminals, SIGIO. */
export function sendGroupSignal(group: ThreadGroup, signal: number, code: number = SI_KERNEL): number {
  return send(group, null, new SignalInfo(signal, code));
}

/** A signal of the kernel's own to every member of a process group: the terminal's keys, hang-up. */
export function sendProcessGroupSignal(group: ProcessGroup, signal: number, code: number = SI_KERNEL): void {
  for (const member of [...group.members]) sendGroupSignal(member, signal, code);
}

/** A signal that a task's own call raises on it: SIGPIPE, SIGXFSZ. Says it comes from the task itself, as Linux does. */
export function raiseSignal(task: Task, signal: number): void {
  send(task.threadGroup, task, userSignal(task, task.pid.namespace, signal, SI_USER));
}

/** A signal that `sender` sends, with its ids as a receiver in `namespace` sees them. */
export function userSignal(sender: Task, namespace: PidNamespace, signal: number, code: number): SignalInfo {
  const info = new SignalInfo(signal, code);
  info.pid = sender.threadGroup.pid.in(namespace);
  info.uid = sender.credentials.uid;
  return info;
}

/** A fault of the CPU becomes the signal it has to be: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP. */
export function forceFault(task: Task, fault: Fault): void {
  const signals = task.signals;
  signals.trapNumber = fault.trap;
  signals.trapError = fault.error;
  signals.faultAddress = fault.address;
  const info = new SignalInfo(fault.signal, fault.code);
  info.address = fault.address;
  forceSignal(task, info);
}

/**
 * A signal that cannot be put off: where it is blocked or ignored, its action becomes the default, which kills. Even an
 * init dies of it. Linux: force_sig_info_to_task().
 */
export function forceSignal(task: Task, info: SignalInfo): void {
  const signal = info.signal;
  const signals = task.signals;
  const actions = task.threadGroup.actions;
  if (signals.isBlocked(signal) || actions.handler[signal] === SIG_IGN) {
    actions.handler[signal] = SIG_DFL;
    const low = signal <= 32 ? signals.maskLow & ~bit(signal) : signals.maskLow;
    const high = signal > 32 ? signals.maskHigh & ~bit(signal) : signals.maskHigh;
    signals.setMask(low, high);
  }
  if (actions.handler[signal] === SIG_DFL) task.threadGroup.isUnkillable = false;
  send(task.threadGroup, task, info);
}

/** Kills `task`'s process with SIGSEGV because its frame for `signal` could not be made or read: force_sigsegv(). */
export function forceBadFrame(task: Task, signal: number): void {
  const SIGSEGV = 11;
  if (signal === SIGSEGV) task.threadGroup.actions.handler[SIGSEGV] = SIG_DFL;
  forceSignal(task, new SignalInfo(SIGSEGV, SI_KERNEL));
}

/** Takes the next signal of `task` or its process that is not in the mask; null = none. signalfd, sigtimedwait, delivery. */
export function dequeueSignal(task: Task, maskLow: number, maskHigh: number): SignalInfo | null {
  const info = task.signals.takeNext(maskLow, maskHigh);
  if (info === null) return null;
  if (info.account !== null) {
    info.account.pendingSignals--;
    info.account = null;
  }
  info.onTaken?.onSignalTaken(info);
  // One for all: the other tasks that could have taken it have nothing to do any more.
  const { tasks } = task.threadGroup;
  if (tasks.length > 1) {
    for (const other of tasks) if (other.signals.hasPending) other.signals.recalculate();
  }
  return info;
}

/** Drops every pending instance of the signals in a mask from a process and its tasks (they are ignored from now on). */
export function discardSignals(group: ThreadGroup, low: number, high: number): void {
  release(group.pending.discard(low, high));
  for (const task of group.tasks) {
    release(task.signals.pending.discard(low, high));
    task.signals.recalculate();
  }
}

/** Drops what is pending for a task that exits. */
export function discardTaskSignals(task: Task): void {
  release(task.signals.pending.discard(0xffff_ffff, 0xffff_ffff));
}

function release(first: SignalInfo | null): void {
  for (let info = first; info !== null; info = info.next) {
    if (info.account !== null) info.account.pendingSignals--;
    info.account = null;
  }
}

function send(group: ThreadGroup, task: Task | null, info: SignalInfo): number {
  const signal = info.signal;
  if (group.liveCount === 0 || group.isExiting || (task !== null && task.hasExited)) return 0;
  if (signal === SIGCONT) {
    discardSignals(group, STOP_LOW, 0);
    const { stopSignal } = group;
    const code = continueGroup(group);
    if (code !== 0) tellParentOfStop(group, code, code === CLD_CONTINUED ? SIGCONT : stopSignal);
  } else if (isStopSignal(signal)) {
    discardSignals(group, bit(SIGCONT), 0);
  }
  if (isDropped(group, task ?? group.leader, info)) return 0;
  const queue = task === null ? group.pending : task.signals.pending;
  if (signal < SIGRTMIN && queue.has(signal)) return 0;
  const target = task ?? group.leader;
  const account = userAccount(group.kernel, target.credentials.uid);
  const isExempt = signal < SIGRTMIN && info.code >= 0;
  if (isExempt || account.pendingSignals < group.limits.soft(RLIMIT_SIGPENDING)) {
    account.pendingSignals++;
    info.account = account;
    queue.add(info);
  } else if (signal >= SIGRTMIN && info.code !== SI_USER) {
    return -EAGAIN;
  } else {
    // No room for what comes with it; that it came is not lost.
    queue.mark(signal);
  }
  group.signalQueue.notify(POLLIN);
  complete(group, task, signal);
  return 0;
}

/** The signal would be thrown away at delivery, and nobody blocks it to look at it later. Linux: sig_ignored(). */
function isDropped(group: ThreadGroup, target: Task, info: SignalInfo): boolean {
  const signal = info.signal;
  const signals = target.signals;
  const waited = signal <= 32 ? signals.waitedLow : signals.waitedHigh;
  if (signals.isBlocked(signal) || (waited & bit(signal)) !== 0) return false;
  const handler = group.actions.handler[signal];
  if (
    group.isUnkillable && handler === SIG_DFL &&
    !(isForced(info) && (signal === SIGKILL || signal === SIGSTOP))
  ) {
    return true;
  }
  return group.actions.isIgnored(signal);
}

/** Comes from the kernel or from a process that the receiver cannot see: reaches an init too, if it is SIGKILL or SIGSTOP. */
function isForced(info: SignalInfo): boolean {
  if (info.code === SI_KERNEL) return true;
  return info.pid === 0 && (info.code === SI_USER || info.code === SI_TKILL || info.code === SI_QUEUE);
}

/** Finds who is to handle it and wakes them; a signal that will kill does so now. */
function complete(group: ThreadGroup, task: Task | null, signal: number): void {
  const target = chooseTarget(group, task, signal);
  if (target === null) return;
  const waited = signal <= 32 ? target.signals.waitedLow : target.signals.waitedHigh;
  if (isDeadly(group, signal) && (waited & bit(signal)) === 0) {
    killGroup(group, signal);
    return;
  }
  wakeForSignal(target);
}

/**
 * Picks the task that is to take it and marks it: the named one, else the leader, else one without other signals. The
 * others learn of it only when that one cannot any more (TaskSignals.passOn): a thread that sends its own process a signal
 * while the main thread sleeps leaves it to the main thread.
 */
function chooseTarget(group: ThreadGroup, task: Task | null, signal: number): Task | null {
  if (task !== null) return canTake(task, signal) ? mark(task) : null;
  let target: Task | null = null;
  let isTargetFree = false;
  for (const candidate of group.tasks) {
    if (!canTake(candidate, signal)) continue;
    const isFree = !candidate.signals.hasPending;
    if (candidate === group.leader && isFree) return mark(candidate);
    if (target === null || (isFree && !isTargetFree)) {
      target = candidate;
      isTargetFree = isFree;
    }
  }
  return target === null ? null : mark(target);
}

function canTake(task: Task, signal: number): boolean {
  if (task.hasExited || (task.signals.isBlocked(signal) && signal !== SIGKILL)) return false;
  return signal === SIGKILL || task.state !== TaskState.Stopped;
}

function mark(task: Task): Task {
  task.signals.hasPending = true;
  return task;
}

/** Its default action ends the process, without a core dump, and nobody has asked for anything else: sig_fatal(). */
function isDeadly(group: ThreadGroup, signal: number): boolean {
  return group.actions.handler[signal] === SIG_DFL && !isIgnoredByDefault(signal) && !isStopSignal(signal) &&
    !isCoreSignal(signal);
}

/** Makes `task` come by deliverSignals soon. */
export function wakeForSignal(task: Task): void {
  if (task.state === TaskState.Blocked) task.call.wake();
  else if (task.state === TaskState.Running && task.thread.isRunning) task.thread.interrupt();
}

/** SIGCHLD for a child that has stopped or goes on, and wait(2) is woken: do_notify_parent_cldstop(). */
export function tellParentOfStop(group: ThreadGroup, code: number, status: number): void {
  const parent = group.parent;
  if (parent === null) return;
  const isWanted = parent.actions.handler[SIGCHLD] !== SIG_IGN &&
    (parent.actions.flags[SIGCHLD] & SA_NOCLDSTOP) === 0;
  if (isWanted) sendSignal(parent, childInfo(group, SIGCHLD, code, status));
  parent.childQueue.notify(POLLIN);
}
