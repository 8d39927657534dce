// The kernel's one loop: take events from the platform, serve them, run the continuations of woken tasks, let everyone
// who is ready go back to guest code. Synchronous from top to bottom; the only wait is Platform.wait.

import { EVENT } from "../../platform/platform.ts";
import { SIGKILL } from "../abi/signal.ts";
import { ERESTART_RESTARTBLOCK, ERESTARTSYS } from "../abi/errno.ts";
import type { Kernel } from "../kernel.ts";
import { deliverSignals } from "../signal/deliver.ts";
import { forceFault } from "../signal/send.ts";
import type { HostWatch } from "../host/host_watch.ts";
import { refuseCall } from "./seccomp.ts";
import { bugText } from "../util/bug.ts";
import { BLOCKED, MUST_WAIT, NO_RESULT } from "./call_in_flight.ts";
import { describeWait } from "./describe_wait.ts";
import { freeze } from "./freeze.ts";
import { endLingering, exitGroup, exitKilled } from "./exit.ts";
import { type HostWait, Task, TaskState } from "./task.ts";
import { SAMPLED_CALLS } from "./usage.ts";
import { endCall, endWait, suspendOperation } from "./wait_engine.ts";
import { killGroup } from "./kill.ts";

/** Condemned tasks that end in one turn, 0.1 to 0.3 ms each. A crowd is killed as one: none of it runs meanwhile. */
const EXITS_MAX = 12;

/** What the loop needs of the syscall table; the table is a room above this one, and is passed in. */
export interface CallTable {
  call(task: Task, number: number): number;
}

/** Runs until the sandbox's init has ended; gives back its wait status. */
export function runLoop(kernel: Kernel, table: CallTable): number {
  while (kernel.exitStatus < 0) turn(kernel, table, true);
  return kernel.exitStatus;
}

/** One turn of the loop. With `mayWait` it sleeps until something happens. */
export function turn(kernel: Kernel, table: CallTable, mayWait: boolean): void {
  const { heartbeat, vfs } = kernel;
  heartbeat.turn();
  // Exits, listeners and services are no calls that could be made again: only call() and continueTask() allow for that.
  vfs.isIndivisible = true;
  exitKilled(kernel, EXITS_MAX);
  resumeReady(kernel);
  // Init may have died of a signal just now; nothing would ever wake us.
  if (kernel.exitStatus >= 0) return;
  const isBusy = !mayWait || kernel.woken.length > 0 || kernel.killed.length > 0;
  const due = kernel.services.pollAt();
  heartbeat.beginWait();
  const events = kernel.platform.wait(isBusy ? 0 : due);
  heartbeat.endWait();
  for (let i = 0; i < events.threadCount; i++) {
    const task = events.threads[i].owner as Task | null;
    // The owner is gone when a task was killed in this very turn.
    if (task === null || task.thread !== events.threads[i]) continue;
    if (task.hasExited) endLingering(task);
    else handleEvent(kernel, table, task);
  }
  heartbeat.serve(0, 0);
  for (let i = 0; i < events.hostFdCount; i++) {
    const watch = kernel.watches.at(events.hostFdCookies[i]);
    if (watch !== null) tellListener(kernel, watch, events.hostFdEvents[i]);
  }
  // What has come to be due in this turn is for the next.
  if (due !== Infinity && !kernel.services.poll(kernel.clock)) onServiceBug(kernel);
  runWoken(kernel, table);
}

function tellListener(kernel: Kernel, watch: HostWatch, events: number): void {
  const { listener } = watch;
  try {
    listener.onHostEvents(events);
  } catch (error) {
    watch.noteError();
    onBugBetweenCalls(kernel, `a listener to ${watch.purpose}`, error, listener.taskConcerned?.());
  }
}

function onServiceBug(kernel: Kernel): void {
  const { failed, error } = kernel.services;
  if (failed !== null) onBugBetweenCalls(kernel, failed.name, error, failed.taskConcerned?.());
}

/** As reportBug(), outside of any call. `concerned` is the Task for which it was, as taskConcerned() says; or nobody's. */
function onBugBetweenCalls(kernel: Kernel, where: string, error: unknown, concerned: unknown): void {
  const isTask = concerned instanceof Task;
  kernel.log(bugText(isTask ? `Task ${concerned.tid} (${concerned.name}), ${where}` : where, error));
  if (isTask) killGroup(concerned.threadGroup, SIGKILL);
}

function handleEvent(kernel: Kernel, table: CallTable, task: Task): void {
  const thread = task.thread;
  if (thread.event === EVENT.SYSCALL) {
    const number = thread.takeCall(task.args.words);
    task.call.number = number;
    kernel.heartbeat.serve(task.tid, number);
    finish(kernel, task, call(kernel, table, task, number));
    return;
  }
  task.call.number = -1;
  if (thread.event === EVENT.FAULT) {
    if (!handleFault(kernel, task)) return;
  } else if (thread.event === EVENT.DEAD) {
    // The host killed the process (out of memory) or it broke the protocol: the guest sees a SIGKILL.
    for (const witness of kernel.witnesses) witness.onLost?.(task);
    exitGroup(task, SIGKILL);
    return;
  }
  settle(kernel, task, NO_RESULT);
}

/** False when an error of ours has killed the task over it. */
function handleFault(kernel: Kernel, task: Task): boolean {
  const { fault } = task.thread;
  try {
    if (!task.mm.handleFault(task, fault)) forceFault(task, fault);
    return true;
  } catch (error) {
    reportBug(kernel, task, error);
    return false;
  }
}

/** A thrown error in a handler is our bug: it kills the task and is logged, the sandbox lives. */
function call(kernel: Kernel, table: CallTable, task: Task, number: number): number {
  kernel.currentTask = task;
  kernel.vfs.isIndivisible = false;
  try {
    const hooks = kernel.callHooks.of(number);
    if (--kernel.callsToSample === 0) return sampledCall(kernel, table, task, number, hooks);
    if (hooks === 0 && task.seccomp === null) return table.call(task, number);
    return watchedCall(kernel, table, task, number, hooks);
  } catch (error) {
    reportBug(kernel, task, error);
    return NO_RESULT;
  } finally {
    kernel.vfs.isIndivisible = true;
  }
}

/** One call in SAMPLED_CALLS is timed for all: two readings of the clock a call would cost more than many a call. */
function sampledCall(kernel: Kernel, table: CallTable, task: Task, number: number, hooks: number): number {
  kernel.callsToSample = SAMPLED_CALLS;
  const start = kernel.clock.monotonic();
  const result = watchedCall(kernel, table, task, number, hooks);
  const nanos = (kernel.clock.monotonic() - start) * SAMPLED_CALLS;
  task.callNanos += nanos;
  task.threadGroup.callNanos += nanos;
  return result;
}

/** A call that somebody listens to, or that a filter may refuse. */
function watchedCall(kernel: Kernel, table: CallTable, task: Task, number: number, hooks: number): number {
  if (hooks !== 0) kernel.callHooks.enter(task, hooks);
  const refused = task.seccomp === null ? null : refuseCall(task);
  return refused === null ? table.call(task, number) : refused.result;
}

function reportBug(kernel: Kernel, task: Task, error: unknown): void {
  const what = `Task ${task.tid} (${task.name}), call ${JSON.stringify(describeWait(task))}`;
  kernel.log(bugText(what, error));
  exitGroup(task, SIGKILL);
}

/** A call has answered, or waits. */
function finish(kernel: Kernel, task: Task, result: number): void {
  if (result === MUST_WAIT) result = suspendOperation(task);
  if (result === BLOCKED) {
    if (kernel.ready.length === 0 && kernel.woken.length === 0) task.thread.park();
    else task.thread.parkLater();
    if (task.call.hooks !== 0) tellOfWait(kernel, task);
    return;
  }
  if (task.call.isUsed && !tryEndCall(kernel, task, result)) return;
  settle(kernel, task, result);
}

function tellOfWait(kernel: Kernel, task: Task): void {
  try {
    kernel.callHooks.waits(task);
  } catch (error) {
    reportBug(kernel, task, error);
  }
}

/** Listeners and files that close run code of their own. False when an error of ours has killed the task over it. */
function tryEndCall(kernel: Kernel, task: Task, result: number): boolean {
  try {
    endCall(task, result);
    return true;
  } catch (error) {
    reportBug(kernel, task, error);
    return false;
  }
}

/** Puts the result into RAX, delivers signals, and lets the task go on if it still may. */
function settle(kernel: Kernel, task: Task, result: number): void {
  if (task.state !== TaskState.Running) {
    // exit, a stop or a signal has taken it off its thread meanwhile.
    if (task.state !== TaskState.Stopped || result === NO_RESULT) return;
    task.thread.setResult(result);
    return;
  }
  if (result !== NO_RESULT) task.thread.setResult(result);
  const isRestart = result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK;
  if (task.signals.hasPending || isRestart) {
    try {
      if (!deliverSignals(task, result)) return;
    } catch (error) {
      reportBug(kernel, task, error);
      return;
    }
  }
  kernel.ready.push(task);
}

function resumeReady(kernel: Kernel): void {
  const ready = kernel.ready;
  for (let i = 0; i < ready.length; i++) {
    const task = ready[i];
    if (task.state !== TaskState.Running || task.thread.isRunning) continue;
    if (kernel.pausedCount !== 0 && freeze(task)) continue;
    try {
      // A signal sent by another task after this one was settled.
      if (task.signals.hasPending && !deliverSignals(task, dropHostWait(task))) continue;
      if (task.hostWait !== null) startHostWait(task, task.hostWait);
      task.futexChanges = kernel.futexes.changes;
      task.thread.resume();
    } catch (error) {
      reportBug(kernel, task, error);
    }
  }
  ready.length = 0;
}

function startHostWait(task: Task, wait: HostWait): void {
  task.hostWait = null;
  task.blockCount++;
  task.thread.waitHostFutex(wait.address, wait.value, wait.bitset, wait.deadline);
}

/** A signal has come before the host could begin to wait: what the call answers then. */
function dropHostWait(task: Task): number {
  if (task.hostWait === null) return NO_RESULT;
  const { interrupted } = task.hostWait;
  task.hostWait = null;
  task.thread.setResult(interrupted);
  return interrupted;
}

/** Runs the continuations of what has been woken so far; those woken meanwhile wait for the next turn. */
function runWoken(kernel: Kernel, table: CallTable): void {
  const woken = kernel.woken;
  const count = woken.length;
  if (count === 0) return;
  for (let i = 0; i < count; i++) {
    const task = woken[i];
    if (!task.call.isWoken) continue;
    continueTask(kernel, table, task);
  }
  woken.splice(0, count);
}

function continueTask(kernel: Kernel, table: CallTable, task: Task): void {
  const { call } = task;
  endWait(task);
  let result: number;
  kernel.currentTask = task;
  kernel.vfs.isIndivisible = false;
  kernel.heartbeat.serve(task.tid, call.number);
  try {
    result = call.then === null ? table.call(task, call.number) : call.then.run(task, task.args);
  } catch (error) {
    reportBug(kernel, task, error);
    return;
  } finally {
    kernel.vfs.isIndivisible = true;
  }
  finish(kernel, task, result);
}
