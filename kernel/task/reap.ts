// What follows the end of a process: its parent is told, and once nobody can wait for it, its id is free again. Linux:
// do_notify_parent(), release_task().

import { POLLHUP, POLLIN } from "../abi/file.ts";
import {
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  SA_NOCLDWAIT,
  SIG_IGN,
  SIGCHLD,
  SIGRTMAX,
} from "../abi/signal.ts";
import { sendSignal } from "../signal/send.ts";
import type { SignalInfo } from "../signal/signal_info.ts";
import { childInfo } from "./child_info.ts";
import { leaveProcessGroup } from "./process_group.ts";
import { type Task, TaskState } from "./task.ts";
import type { ThreadGroup } from "./thread_group.ts";
import { userAccount } from "./user_account.ts";

/** Sends the exit signal and wakes wait(2). True when nobody will wait for it: do_notify_parent(). */
export function tellParent(group: ThreadGroup): boolean {
  const parent = group.parent;
  // Without a parent: boot's own processes, whose status boot has read by now; only an init stays.
  if (parent === null) return group.pid.namespace.init !== group;
  if (parent.liveCount === 0) return true;
  let isAutoReaped = false;
  let signal = group.exitSignal;
  if (signal === SIGCHLD) {
    const handler = parent.actions.handler[SIGCHLD];
    if (handler === SIG_IGN || (parent.actions.flags[SIGCHLD] & SA_NOCLDWAIT) !== 0) {
      isAutoReaped = true;
      if (handler === SIG_IGN) signal = 0;
    }
  }
  // clone(2) takes any number, and one that is no signal is never sent.
  if (signal !== 0 && signal <= SIGRTMAX) sendSignal(parent, exitInfo(group, signal));
  parent.childQueue.notify(POLLIN);
  return isAutoReaped;
}

function exitInfo(group: ThreadGroup, signal: number): SignalInfo {
  const status = group.exitStatus;
  if ((status & 0x7f) === 0) return childInfo(group, signal, CLD_EXITED, status >> 8 & 0xff);
  return childInfo(group, signal, (status & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED, status & 0x7f);
}

/** Waited for, or nobody will: its id is free again. release_task() of the leader. */
export function reap(group: ThreadGroup): void {
  group.isReaped = true;
  group.kernel.reapedCpuNanos += group.usage.cpuNanos;
  group.parent?.children.delete(group);
  buryTask(group.leader);
  leaveProcessGroup(group);
  group.exitQueue.notify(POLLIN | POLLHUP);
}

/** A task that nobody waits for any more leaves every table. */
export function buryTask(task: Task): void {
  const group = task.threadGroup;
  task.state = TaskState.Dead;
  const index = group.tasks.indexOf(task);
  if (index >= 0) group.tasks.splice(index, 1);
  task.kernel.tasks.delete(task.tid);
  userAccount(task.kernel, task.credentials.uid).tasks--;
  group.container.taskCount--;
  if (task.pid.task === task) {
    task.pid.task = null;
    task.pid.dropIfUnused();
  }
  if (task !== group.leader) group.usage.voluntarySwitches += task.blockCount;
}
