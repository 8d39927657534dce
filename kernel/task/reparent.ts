// What becomes of the children of a task that exits, and of process groups nobody can continue. Linux:
// forget_original_parent(), find_new_reaper(), kill_orphaned_pgrp(); prctl(PR_SET_CHILD_SUBREAPER).

import { SI_USER, SIGCHLD, SIGCONT, SIGHUP } from "../abi/signal.ts";
import { sendProcessGroupSignal, sendSignal } from "../signal/send.ts";
import { SignalInfo } from "../signal/signal_info.ts";
import { reap, tellParent } from "./reap.ts";
import type { Task } from "./task.ts";
import type { ThreadGroup } from "./thread_group.ts";

/** `task` has exited: its children go to another task of its process, a subreaper above, or the namespace's init. */
export function reparentChildren(task: Task): void {
  const group = task.threadGroup;
  if (group.children.size === 0) return;
  const heir = findHeir(task);
  for (const child of [...group.children]) {
    if (child.parentTask !== task) continue;
    if (heir === null) {
      // The sandbox's init has gone; nobody is left to wait.
      group.children.delete(child);
      child.parentTask = null;
      if (child.isZombie) reap(child);
      continue;
    }
    child.parentTask = heir;
    sendDeathSignals(child, task);
    if (heir.threadGroup !== group) moveChild(child, group, heir);
  }
}

function findHeir(task: Task): Task | null {
  const group = task.threadGroup;
  const sibling = group.liveTask();
  if (sibling !== null) return sibling;
  const level = task.pid.namespace.level;
  for (let up = group.parent; up !== null && up.pid.namespace.level === level; up = up.parent) {
    const live = up.isSubreaper ? up.liveTask() : null;
    if (live !== null) return live;
  }
  const init = task.pid.namespace.init;
  return init === null || init === group ? outerHeir(task) : init.liveTask() ?? outerHeir(task);
}

/**
 * The namespace's init itself goes: what it leaves is being killed; the namespace above reaps it. Not where that is another
 * container's: nobody does.
 */
function outerHeir(task: Task): Task | null {
  const init = task.pid.namespace.parent?.init ?? null;
  if (init === null || init.container !== task.threadGroup.container) return null;
  return init.liveTask();
}

function moveChild(child: ThreadGroup, from: ThreadGroup, heir: Task): void {
  from.children.delete(child);
  heir.threadGroup.children.add(child);
  child.exitSignal = SIGCHLD;
  if (child.isZombie && tellParent(child)) {
    reap(child);
    return;
  }
  hangUpIfOrphaned(child, from, false);
}

/** prctl(PR_SET_PDEATHSIG) of any task of the child. */
function sendDeathSignals(child: ThreadGroup, parent: Task): void {
  for (const task of [...child.tasks]) {
    if (task.parentDeathSignal === 0 || task.hasExited) continue;
    const info = new SignalInfo(task.parentDeathSignal, SI_USER);
    info.pid = parent.threadGroup.pid.in(task.pid.namespace);
    info.uid = parent.credentials.uid;
    sendSignal(child, info);
  }
}

/**
 * `parent` was what kept the process group of `group` from being an orphan, or `group` itself was (isExiting): if the
 * group is one now and has stopped members, they are told to hang up and to continue. POSIX, _exit(2).
 */
export function hangUpIfOrphaned(group: ThreadGroup, parent: ThreadGroup | null, isExiting: boolean): void {
  const processGroup = group.processGroup;
  if (parent === null || parent.processGroup === processGroup || parent.session !== group.session) return;
  if (!processGroup.hasStoppedMember || !processGroup.isOrphaned(isExiting ? group : null)) return;
  sendProcessGroupSignal(processGroup, SIGHUP);
  sendProcessGroupSignal(processGroup, SIGCONT);
}
