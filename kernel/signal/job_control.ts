// Job control: stopping and continuing a process, and what its parent hears of it. Linux: do_signal_stop(),
// task_participate_group_stop(), do_notify_parent_cldstop(). A stop is complete when every live task has stopped.

import { POLLIN } from "../abi/file.ts";
import { CLD_CONTINUED, CLD_STOPPED, SA_NOCLDSTOP, SIG_IGN, SIGCHLD, SIGCONT } from "../abi/signal.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import { type Task, TaskState } from "../task/task.ts";
import { ChildEvent, type ThreadGroup } from "../task/thread_group.ts";
import { childInfo } from "../task/child_info.ts";
import { sendSignal, wakeForSignal } from "./send.ts";

/** `signal` stops the process of `task`, which is about to deliver it: all its tasks are asked to stop. */
export function beginStop(task: Task, signal: number): void {
  const group = task.threadGroup;
  if (!group.isStopped) group.stopSignal = signal;
  group.stopsOutstanding = 0;
  for (const other of group.tasks) {
    if (other.hasExited || other.state === TaskState.Stopped) continue;
    group.stopsOutstanding++;
    other.signals.mustStop = true;
    other.signals.hasPending = true;
    if (other !== task) wakeForSignal(other);
  }
}

/** `task` stops; `result` is what its call had answered, for when it goes on. */
export function stopTask(task: Task, result: number): void {
  leaveStop(task);
  task.signals.resultAtStop = result;
  task.state = TaskState.Stopped;
}

/** `task` has stopped or exits: one less to wait for. The last one completes the stop and tells the parent. */
export function leaveStop(task: Task): void {
  const signals = task.signals;
  if (!signals.mustStop) return;
  signals.mustStop = false;
  const group = task.threadGroup;
  if (--group.stopsOutstanding > 0 || group.isStopped) return;
  group.isStopped = true;
  group.childEvent = ChildEvent.Stopped;
  notifyParent(group, CLD_STOPPED, group.stopSignal);
}

/** SIGCONT has been sent: whoever is stopped goes on, a stop under way is called off. */
export function continueGroup(group: ThreadGroup): void {
  if (group.stopSignal === 0) return;
  const wasStopped = group.isStopped;
  const stopSignal = group.stopSignal;
  group.stopSignal = 0;
  group.stopsOutstanding = 0;
  group.isStopped = false;
  group.childEvent = ChildEvent.Continued;
  for (const task of group.tasks) {
    task.signals.mustStop = false;
    if (task.state === TaskState.Stopped) continueTask(task);
    else task.signals.recalculate();
  }
  if (wasStopped) notifyParent(group, CLD_CONTINUED, SIGCONT);
  else notifyParent(group, CLD_STOPPED, stopSignal);
}

function continueTask(task: Task): void {
  task.state = TaskState.Running;
  // Whatever the stop interrupted has yet to be finished or restarted.
  if (task.signals.resultAtStop === NO_RESULT) task.signals.recalculate();
  else task.signals.hasPending = true;
  task.kernel.ready.push(task);
}

function notifyParent(group: ThreadGroup, code: number, status: number): void {
  const parent = group.parent;
  if (parent === null) return;
  const isWanted = parent.actions.handler[SIGCHLD] !== SIG_IGN &&
    (parent.actions.flags[SIGCHLD] & SA_NOCLDSTOP) === 0;
  if (isWanted) sendSignal(parent, childInfo(group, SIGCHLD, code, status));
  parent.childQueue.notify(POLLIN);
}
