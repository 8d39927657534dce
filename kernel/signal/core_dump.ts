// Whether a deadly signal dumps core. Linux: do_coredump() of fs/coredump.c, core(5).
//
// Linux: the file itself is not written; wait(2) says what it would say.

import { PAGE_SIZE } from "../abi/memory.ts";
import { RLIMIT_CORE } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import { MAY_EXEC, MAY_WRITE, mayAccess } from "../vfs/permission.ts";
import { isCoreSignal } from "./signal_actions.ts";

/** Bit of a wait status: WCOREDUMP. */
const CORE_DUMPED = 0x80;
/** min_coredump of ELF programs: a limit below leaves no room for anything. */
const CORE_BYTES_MIN = PAGE_SIZE;

/** The status of a process that `signal` ends by its default action in `task`. */
export function deathStatus(task: Task, signal: number): number {
  return dumpsCore(task, signal) ? signal | CORE_DUMPED : signal;
}

function dumpsCore(task: Task, signal: number): boolean {
  if (!isCoreSignal(signal) || task.mm.dumpable !== 1) return false;
  if (task.threadGroup.limits.soft(RLIMIT_CORE) < CORE_BYTES_MIN) return false;
  const { cwd } = task.fs;
  if (cwd.mount.isReadOnly || cwd.dentry.isUnlinked) return false;
  return mayAccess(task.credentials, cwd.inode, MAY_WRITE | MAY_EXEC) === 0;
}
