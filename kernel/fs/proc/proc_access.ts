// Owners of the files of a process, and the check for reading them: ptrace(2) "Ptrace access mode checking", proc(5).

import { FSCREDS, mayTrace } from "../../task/trace_access.ts";
import type { Task } from "../../task/task.ts";

/** PTRACE_MODE_READ_FSCREDS. */
export function mayInspect(reader: Task, task: Task): boolean {
  return mayTrace(reader, task, FSCREDS) === 0;
}

/** Files of a process belong to its user, or to root when it is not dumpable (proc(5)). */
export function ownerOf(task: Task): [number, number] {
  return task.mm.dumpable === 1 ? [task.credentials.euid, task.credentials.egid] : [0, 0];
}
