// Ending a process from outside: its tasks are condemned, and exit at the start of the loop's next turn (exit.ts). Linux:
// zap_other_threads(), SIGNAL_GROUP_EXIT.

import type { Task } from "./task.ts";
import type { ThreadGroup } from "./thread_group.ts";

/** Condemns every task of a process but `except`. The first who asks decides the status. */
export function killGroup(group: ThreadGroup, status: number, except: Task | null = null): void {
  if (group.liveCount === 0) return;
  if (!group.isExiting) {
    group.isExiting = true;
    group.exitStatus = status;
    group.stopSignal = 0;
    group.stopsOutstanding = 0;
    group.isStopped = false;
  }
  for (const task of group.tasks) {
    if (task === except || task.hasExited) continue;
    task.signals.mustStop = false;
    condemn(task);
  }
}

/** `task` exits at the start of the next turn, or before when it comes by deliverSignals. */
function condemn(task: Task): void {
  if (task.signals.isKilled) return;
  task.signals.isKilled = true;
  task.signals.hasPending = true;
  task.kernel.killed.push(task);
}
