// How much a process may map: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, the number of mappings, and the sandbox's
// memory. Linux: may_expand_vm(), mlock_future_ok(), __vm_enough_memory().
//
// Linux: commits memory by heuristic overcommit (mode 0), as here with the sandbox's limit in place of RAM and swap;
// here also the whole data of a process must fit, touched or not. Reservations (MAP_NORESERVE, thread stacks,
// PROT_NONE) are not counted. pressure.ts compares the use of all processes.

import { EAGAIN, ENOMEM, EPERM } from "../abi/errno.ts";
import { CAP_IPC_LOCK, RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import type { GuestLayout } from "../../platform/platform.ts";

/** The most bytes that the host populates in one command, as other guests wait meanwhile: 0.5 to 3 ms. */
export const POPULATE_PIECE_BYTES = 4 << 20;

/** Mappings per process as long as nobody writes vm.max_map_count. */
export const MAPPINGS_MAX = 65_530;

/** vm.overcommit_memory: promises are not refused; who uses too much is killed. */
const OVERCOMMIT_ALWAYS = 1;

/** Whether [start, end) includes addresses that guests must not use: below the minimum, or the stub's. */
export function isReserved(layout: GuestLayout, start: number, end: number): boolean {
  return start < layout.start || end > layout.end;
}

/** 0 if the address space may grow by `bytes`, `dataBytes` of them private and writable; else -ENOMEM. */
export function mayExpand(task: Task, bytes: number, dataBytes: number): number {
  const limits = task.threadGroup.limits;
  const areas = task.mm.areas;
  if (areas.totalBytes + bytes > limits.soft(RLIMIT_AS)) return -ENOMEM;
  if (dataBytes > 0 && areas.dataBytes + dataBytes > limits.soft(RLIMIT_DATA)) return -ENOMEM;
  return 0;
}

/** 0 if `bytes` more memory can be committed, else -ENOMEM. */
export function mayCommit(task: Task, bytes: number): number {
  const limit = task.kernel.limits.memoryBytesMax;
  const isAlways = task.kernel.parameters.overcommitMode === OVERCOMMIT_ALWAYS;
  if (bytes > limit && !isAlways) return -ENOMEM;
  const committed = task.mm.areas.committedBytes + bytes;
  if (committed <= limit || isAlways) {
    task.kernel.memory.grow(bytes);
    return 0;
  }
  task.kernel.notice(
    `Limit of memory reached: ${limit} bytes; a process gets ENOMEM`,
  );
  return -ENOMEM;
}

/** 0 if `bytes` more may be locked, else -EPERM (no lock allowed at all) or -EAGAIN (limit exceeded). */
export function mayLock(task: Task, bytes: number): number {
  if (task.credentials.has(CAP_IPC_LOCK)) return 0;
  const limit = task.threadGroup.limits.soft(RLIMIT_MEMLOCK);
  if (limit === 0) return -EPERM;
  return task.mm.areas.lockedBytes + bytes > limit ? -EAGAIN : 0;
}
