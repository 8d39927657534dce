// Waiting for children: wait4(2), waitid(2). Linux: do_wait(), wait_task_zombie(), wait_task_stopped() of kernel/exit.c.

import { ECHILD } from "../abi/errno.ts";
import { POLLIN } from "../abi/file.ts";
import {
  CLD_CONTINUED,
  CLD_DUMPED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  SIGCHLD,
  SIGCONT,
} from "../abi/signal.ts";
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
} from "../abi/task.ts";
import { ERESTARTSYS } from "../abi/errno.ts";
import { ChildEvent, type ThreadGroup } from "./thread_group.ts";
import { ProcessGroup } from "./process_group.ts";
import type { Task } from "./task.ts";
import { processUsage, Usage } from "./usage.ts";
import { suspend } from "./wait_engine.ts";
import type { WaitState } from "./wait_state.ts";
import { reap } from "./reap.ts";

const FOR_CHILD: WaitState = { kind: "child", group: 0 };

/** Which children a call is about. */
export const enum WaitFor {
  Any,
  Process,
  Group,
}

/** What wait found. */
export class WaitResult {
  /** Id in the caller's namespace; 0 = nothing yet. */
  pid = 0;
  uid = 0;
  /** CLD_ code and status as siginfo has them. */
  code = 0;
  status = 0;
  /** Status as wait4 has it. */
  waitStatus = 0;
  readonly usage = new Usage();
}

/**
 * Looks for a child in the wanted state and takes the event (unless WNOWAIT). The child's id, 0 with WNOHANG when none is
 * in such a state, -ECHILD when there is no such child; else the call waits and is made again.
 */
export function waitForChild(
  task: Task,
  kind: WaitFor,
  target: ThreadGroup | ProcessGroup | null,
  options: number,
  into: WaitResult,
): number {
  const group = task.threadGroup;
  let isAny = false;
  for (const child of group.children) {
    if (!isEligible(task, child, kind, target, options)) continue;
    // One that has ended will not stop or go on any more: wait_task_zombie().
    if (child.isZombie && (options & WEXITED) === 0) continue;
    isAny = true;
    if (take(task, child, options, into)) return into.pid;
  }
  if (!isAny) return -ECHILD;
  if ((options & WNOHANG) !== 0) return 0;
  task.call.waitOn(group.childQueue, POLLIN);
  const state: WaitState = target instanceof ProcessGroup
    ? { kind: "child", group: target.pid.root }
    : FOR_CHILD;
  return suspend(task, state, -ERESTARTSYS);
}

function isEligible(
  task: Task,
  child: ThreadGroup,
  kind: WaitFor,
  target: ThreadGroup | ProcessGroup | null,
  options: number,
): boolean {
  if (kind === WaitFor.Process && child !== target) return false;
  if (kind === WaitFor.Group && child.processGroup !== target) return false;
  if ((options & __WNOTHREAD) !== 0 && child.parentTask !== task) return false;
  // A "clone" child is one whose exit signal is not SIGCHLD (wait(2), __WCLONE).
  const isClone = child.exitSignal !== SIGCHLD;
  return (options & __WALL) !== 0 || isClone === ((options & __WCLONE) !== 0);
}

/** Whether `child` has an event that is asked for; fills `into` and takes it. */
function take(task: Task, child: ThreadGroup, options: number, into: WaitResult): boolean {
  const keeps = (options & WNOWAIT) !== 0;
  if (child.isZombie) {
    fillExited(task, child, into);
    if (!keeps) {
      const sum = task.threadGroup.childrenUsage;
      sum.add(child.usage);
      sum.add(child.childrenUsage);
      reap(child);
    }
    return true;
  }
  if (child.childEvent === ChildEvent.Stopped && (options & WSTOPPED) !== 0) {
    fill(into, task, child, CLD_STOPPED, child.stopSignal, child.stopSignal << 8 | 0x7f);
  } else if (child.childEvent === ChildEvent.Continued && (options & WCONTINUED) !== 0) {
    fill(into, task, child, CLD_CONTINUED, SIGCONT, 0xffff);
  } else {
    return false;
  }
  if (!keeps) child.childEvent = ChildEvent.None;
  return true;
}

function fillExited(task: Task, child: ThreadGroup, into: WaitResult): void {
  const status = child.exitStatus;
  if ((status & 0x7f) === 0) {
    fill(into, task, child, CLD_EXITED, status >> 8 & 0xff, status);
  } else {
    fill(into, task, child, (status & 0x80) !== 0 ? CLD_DUMPED : CLD_KILLED, status & 0x7f, status);
  }
}

function fill(
  result: WaitResult,
  task: Task,
  child: ThreadGroup,
  code: number,
  status: number,
  waitStatus: number,
): void {
  result.pid = child.pid.in(task.pid.namespace);
  result.uid = child.leader.credentials.uid;
  result.code = code;
  result.status = status;
  result.waitStatus = waitStatus;
  processUsage(child, result.usage);
  result.usage.add(child.childrenUsage);
}
