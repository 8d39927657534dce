// How tasks and processes end. Linux: kernel/exit.c do_exit(), do_group_exit(), exit_notify(), release_task(). What
// becomes of the children is in reparent.ts, what a parent reads in wait.ts.
//
// A task exits either in its own call (exit, a deadly signal met by deliverSignals) or, condemned by others, at the start
// of the loop's next turn (exitKilled). In the second case its host thread may still be running guest code; the task is
// over at once, and only its hold on the memory lingers until the host thread has stopped.

import { POLLIN } from "../abi/file.ts";
import { SIGCONT, SIGHUP, SIGKILL } from "../abi/signal.ts";
import type { Container } from "../container.ts";
import type { Kernel } from "../kernel.ts";
import { leaveStop } from "../signal/job_control.ts";
import { discardSignals, discardTaskSignals, sendProcessGroupSignal } from "../signal/send.ts";
import { bugText } from "../util/bug.ts";
import { exitFutexes } from "./futex_exit.ts";
import { killGroup } from "./kill.ts";
import { buryTask, reap, tellParent } from "./reap.ts";
import { hangUpIfOrphaned, reparentChildren } from "./reparent.ts";
import { releaseVforkParent } from "./vfork.ts";
import { NO_RESULT } from "./call_in_flight.ts";
import { type Task, TaskState } from "./task.ts";
import { endCall } from "./wait_engine.ts";
import { closeUsage } from "./usage.ts";

/** exit(2): `task` ends with `status` in wait(2) form; its process ends with its last task. */
export function exitTask(task: Task, status: number): void {
  if (task.hasExited) return;
  const group = task.threadGroup;
  task.exitStatus = group.isExiting ? group.exitStatus : status;
  const isLast = group.liveCount === 1;
  for (const step of WHILE_ALIVE) attempt(task, step);
  task.state = TaskState.Zombie;
  group.liveCount--;
  for (const step of isLast ? AS_THE_LAST : AS_ONE_OF_SEVERAL) attempt(task, step);
}

/** Part of an end, which goes on without it should it fail: nobody stays half alive because of a bug of ours. */
type ExitStep = (task: Task) => void;

const WHILE_ALIVE: readonly ExitStep[] = [
  tellOfExit,
  leaveStop,
  discardTaskSignals,
  passOnSignals,
  exitFutexes,
  releaseVforkParent,
];
const AS_ONE_OF_SEVERAL: readonly ExitStep[] = [
  leaveCall,
  dropFiles,
  dropPlaces,
  dropNamespaces,
  releaseThread,
  reparentChildren,
  buryUnlessLeader,
];
/** Its process ends with it. */
const AS_THE_LAST: readonly ExitStep[] = [
  leaveCall,
  endProcess,
  dropFiles,
  dropPlaces,
  dropNamespaces,
  leaveTerminal,
  releaseThread,
  reparentChildren,
  notifyParentOfExit,
  buryUnlessLeader,
  endNamespace,
  endContainer,
];

function attempt(task: Task, step: ExitStep): void {
  try {
    step(task);
  } catch (error) {
    task.kernel.log(bugText(`Task ${task.tid} (${task.name}), its end`, error));
  }
}

function tellOfExit(task: Task): void {
  task.kernel.life?.onTaskExit(task);
  for (const witness of task.kernel.witnesses) witness.onTaskExit?.(task, task.exitStatus);
}

function leaveCall(task: Task): void {
  if (task.call.isUsed) endCall(task, NO_RESULT);
}

function passOnSignals(task: Task): void {
  if (task.threadGroup.liveCount > 1 && !task.threadGroup.isExiting) task.signals.passOn();
}

function dropFiles(task: Task): void {
  task.files.drop(task);
}

function dropPlaces(task: Task): void {
  task.fs.drop();
}

function dropNamespaces(task: Task): void {
  task.namespaces.drop();
}

function buryUnlessLeader(task: Task): void {
  if (task !== task.threadGroup.leader) buryTask(task);
}

/** exit_group(2), or a deadly signal: every task of the process ends with `status`, `task` now. */
export function exitGroup(task: Task, status: number): void {
  killGroup(task.threadGroup, status, task);
  exitTask(task, status);
}

/** Ends tasks that have been condemned, at most `count`. Called by the loop when no call is being served. */
export function exitKilled(kernel: Kernel, count = Infinity): void {
  for (; count > 0 && kernel.killed.length > 0; count--) exitTask(kernel.killed.pop()!, SIGKILL);
}

/** The host thread of an exited task has stopped: it ends, and drops the memory. Called by the loop for its event. */
export function endLingering(task: Task): void {
  const lingering = task.threadGroup.lingering;
  const index = lingering.indexOf(task);
  if (index < 0) return;
  lingering.splice(index, 1);
  releaseThread(task);
}

function releaseThread(task: Task): void {
  const { thread, mm } = task;
  const lingering = task.threadGroup.lingering;
  if (thread.isRunning) {
    lingering.push(task);
  } else {
    thread.owner = null;
    thread.exit();
    mm.drop();
  }
  if (lingering.length === 0) return;
  // Nobody else uses the memory: the host process goes as a whole, whatever its threads are at.
  const last = lingering.filter((other) => other.mm === mm);
  if (last.length > 0 && mm.references === last.length) {
    for (const other of last) {
      lingering.splice(lingering.indexOf(other), 1);
      other.thread.owner = null;
      other.mm.drop();
    }
  } else if (thread.isRunning) {
    thread.interrupt();
  }
}

/** The last task: accounts are closed, timers stop. */
function endProcess(task: Task): void {
  const group = task.threadGroup;
  if (!group.isExiting) group.exitStatus = group.leader === task ? task.exitStatus : group.leader.exitStatus;
  closeUsage(task);
  group.timers?.release();
  group.timers = null;
  group.semaphoreUndo?.release();
  group.semaphoreUndo = null;
  group.actions.references--;
  discardSignals(group, 0xffff_ffff, 0xffff_ffff);
}

/** A session leader's end takes the terminal from the session, and tells who was in the foreground. */
function leaveTerminal({ threadGroup: group }: Task): void {
  const session = group.session;
  if (session.leader !== group) return;
  session.leader = null;
  const terminal = session.terminal;
  if (terminal === null) {
    const lost = session.lostForeground;
    session.lostForeground = null;
    if (lost === null) return;
    sendProcessGroupSignal(lost, SIGHUP);
    sendProcessGroupSignal(lost, SIGCONT);
    return;
  }
  // disassociate_ctty(): no SIGCONT here, unlike at a hang-up.
  if (terminal.foreground !== null) sendProcessGroupSignal(terminal.foreground, SIGHUP);
  session.terminal = null;
  terminal.onSessionEnd();
}

/** The process is a zombie: its groups may be orphans now, its parent hears of it, or it is reaped at once. */
function notifyParentOfExit({ threadGroup: group }: Task): void {
  hangUpIfOrphaned(group, group.parent, true);
  group.kernel.life?.onExitNotifyParent(group);
  group.exitQueue.notify(POLLIN);
  if (tellParent(group)) reap(group);
}

/** A container's init ends the container. The root's stays a zombie: nobody waits for it, and the sandbox goes. */
function endContainer(task: Task): void {
  const group = task.threadGroup, { container } = group;
  if (container.init !== group) return;
  if (!container.isRoot) {
    if (group.isZombie) reap(group);
    // In a PID namespace that it shares its init is process 1 to nobody: the others go all the same.
    killContainer(container);
    exitKilled(container.kernel);
  }
  container.end(group.exitStatus);
}

/** An init's end ends everyone in its PID namespace: zap_pid_ns_processes(). */
function endNamespace(task: Task): void {
  const group = task.threadGroup;
  const namespace = task.pid.namespace;
  if (namespace.init !== group) return;
  namespace.isClosed = true;
  for (const pid of [...namespace.pids.values()]) {
    const other = pid.task;
    if (other !== null && !other.hasExited) killGroup(other.threadGroup, SIGKILL);
  }
  // Its tasks are none of those whose call is being served: that is at most `task`.
  const kernel = task.kernel;
  exitKilled(kernel);
  for (const pid of [...namespace.pids.values()]) {
    const other = pid.task?.threadGroup;
    if (other !== undefined && other !== group && other.isZombie) reap(other);
  }
}

/** All of a container's tasks are condemned, whatever namespace they are in. */
export function killContainer(container: Container): void {
  for (const task of container.kernel.tasks.values()) {
    if (task.threadGroup.container === container) killGroup(task.threadGroup, SIGKILL);
  }
}
