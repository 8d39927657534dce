// Who hears of tasks as they are born, begin a program and end; calls are heard through CallHooks. Linux: the sched tracepoints
// (sched_process_fork, _exec, _exit).

import type { Container } from "../container.ts";
import type { Task } from "./task.ts";
import type { ThreadGroup } from "./thread_group.ts";

export interface LifeListener {
  /** Its init is about to run. */
  onContainerStart(container: Container): void;
  /** `child` has been made by clone(2) with these CLONE_ flags. */
  onClone(task: Task, child: Task, flags: number): void;
  /** `task` is another program from now on. */
  onExec(task: Task): void;
  /** `task` ends; it still has its memory and files. */
  onTaskExit(task: Task): void;
  /** A process has ended, and its parent is about to hear of it. */
  onExitNotifyParent(group: ThreadGroup): void;
}
