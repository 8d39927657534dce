// Job control: a stopped process goes on. Linux: prepare_signal(), SIGCONT.

import { CLD_CONTINUED, CLD_STOPPED } from "../abi/signal.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import { type Task, TaskState } from "../task/task.ts";
import { ChildEvent, type ThreadGroup } from "../task/thread_group.ts";

/**
 * SIGCONT has been sent: stopped tasks go on, a stop under way is called off. What the parent is to be told of: CLD_CONTINUED,
 * CLD_STOPPED for a stop that was called off, 0 = of nothing.
 */
export function continueGroup(group: ThreadGroup): number {
  if (group.stopSignal === 0) return 0;
  const wasStopped = group.isStopped;
  group.stopSignal = 0;
  group.stopsOutstanding = 0;
  group.isStopped = false;
  group.childEvent = ChildEvent.Continued;
  for (const task of group.tasks) {
    task.signals.mustStop = false;
    if (task.state === TaskState.Stopped) continueTask(task);
    else task.signals.recalculate();
  }
  return wasStopped ? CLD_CONTINUED : CLD_STOPPED;
}

function continueTask(task: Task): void {
  task.state = TaskState.Running;
  // Whatever the stop interrupted has yet to be finished or restarted.
  if (task.signals.resultAtStop === NO_RESULT) task.signals.recalculate();
  else task.signals.hasPending = true;
  task.kernel.ready.push(task);
}
