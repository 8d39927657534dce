// vfork(2): the parent sleeps until its child no longer uses its memory. Linux: mm_release(), complete_vfork_done().

import type { Task } from "./task.ts";

/** vfork(2): the parent goes on, as the child no longer uses its memory (execve) or is gone. */
export function releaseVforkParent(task: Task): void {
  const parent = task.vforkParent;
  if (parent === null) return;
  task.vforkParent = null;
  parent.call.wake();
}
