// Job control: stopping a process (continue.ts has the other way). Linux: do_signal_stop(), task_participate_group_stop().
// A stop is complete when every live task has stopped.

import { CLD_STOPPED } from "../abi/signal.ts";
import { type Task, TaskState } from "../task/task.ts";
import { ChildEvent } from "../task/thread_group.ts";
import { tellParentOfStop, wakeForSignal } from "./send.ts";

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
  tellParentOfStop(group, CLD_STOPPED, group.stopSignal);
}
