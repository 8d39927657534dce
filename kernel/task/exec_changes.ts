// What execve(2) does to a process besides its memory. Linux: de_thread(), begin_new_exec(), setup_new_exec(). The order
// of a successful execve is: killOtherThreads (the point of no return), the new image, resetForExec, releaseVforkParent.

import { SIGCHLD } from "../abi/signal.ts";
import { exitTask } from "./exit.ts";
import { exitFutexes } from "./futex_exit.ts";
import type { Pid } from "./pid.ts";
import { type Task, TaskState } from "./task.ts";
import { userAccount } from "./user_account.ts";

/**
 * Ends every other task of `task`'s process, now. If the leader was another one, `task` becomes the leader and takes its
 * id. 0, or -1 when the process is on its way out and the caller has to give up (it will be killed at once).
 */
export function killOtherThreads(task: Task): number {
  const group = task.threadGroup;
  if (group.isExiting) return -1;
  for (const other of [...group.tasks]) {
    if (other !== task && !other.hasExited) exitTask(other, 0);
  }
  if (group.leader !== task) takeLeadership(task);
  exitFutexes(task);
  group.exitSignal = SIGCHLD;
  return 0;
}

/** The old leader, a zombie by now, gives its id to `task` and is gone. */
function takeLeadership(task: Task): void {
  const group = task.threadGroup;
  const old = group.leader;
  const kernel = task.kernel;
  const own: Pid = task.pid;
  kernel.tasks.delete(task.tid);
  kernel.tasks.delete(old.tid);
  old.state = TaskState.Dead;
  group.tasks.splice(group.tasks.indexOf(old), 1);
  task.pid = old.pid;
  task.pid.task = task;
  task.tid = task.pid.root;
  kernel.tasks.set(task.tid, task);
  old.pid = own;
  own.task = null;
  own.dropIfUnused();
  group.leader = task;
  userAccount(kernel, old.credentials.uid).tasks--;
  group.container.taskCount--;
  for (const child of group.children) {
    if (child.parentTask === old) child.parentTask = task;
  }
}

/** The new image is in place: handlers, alternate stack, timers and the rest that does not survive execve. */
export function resetForExec(task: Task): void {
  const group = task.threadGroup;
  if (group.actions.references > 1) {
    group.actions.references--;
    group.actions = group.actions.clone();
  }
  group.actions.resetHandlers();
  task.signals.dropAltStack();
  task.restartCall = null;
  task.rseqAddress = 0;
  task.scheduling.defaultTimerSlackNanos = task.scheduling.timerSlackNanos;
  group.hasExeced = true;
  group.timers?.onExec();
}
