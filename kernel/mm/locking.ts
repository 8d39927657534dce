// mlock(2), munlock(2), mlockall(2): locked memory counts against RLIMIT_MEMLOCK and is populated. Linux: mm/mlock.c.
// Linux: pins the pages; here the host does not, since all sandboxes would lose that memory.

import { EINVAL, ENOMEM, EPERM } from "../abi/errno.ts";
import {
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  pageDown,
  pageUp,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { CAP_IPC_LOCK, RLIMIT_MEMLOCK } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import { mayLock, POPULATE_PIECE_BYTES } from "./limits.ts";
import type { Vma } from "./vma.ts";

/** mlock(2) and mlock2(2); with `isOnFault` the pages are not populated now. */
export function lockMemory(task: Task, address: number, length: number, isOnFault: boolean): number {
  if (mayLock(task, 0) === -EPERM) return -EPERM;
  const start = pageDown(address);
  const bytes = pageUp(length + (address - start));
  if (bytes > task.mm.layout.end || start + bytes > task.mm.layout.end) return -ENOMEM;
  const areas = task.mm.areas;
  // Memory that is already locked is not counted twice.
  if (mayLock(task, bytes) < 0 && mayLock(task, bytes - lockedBytes(task, start, start + bytes)) < 0) {
    return -ENOMEM;
  }
  if (bytes === 0) return 0;
  if (!areas.isCovered(start, start + bytes)) return -ENOMEM;
  areas.update(start, start + bytes, lock);
  // Memory without access cannot be populated but is locked. The calling system call populates large ranges in pieces
  // (syscalls/paging.ts).
  if (!isOnFault && bytes <= POPULATE_PIECE_BYTES) {
    populateLocked(task, start, start + bytes);
  }
  return 0;
}

function populateLocked(task: Task, start: number, end: number): void {
  const { areas, space } = task.mm;
  for (let i = areas.indexAfter(start); i < areas.count && areas.at(i).start < end; i++) {
    const area = areas.at(i), advice = populateAdvice(area);
    const from = Math.max(start, area.start), to = Math.min(end, area.end);
    if (advice !== 0 && space.advise(task.thread, from, to - from, advice) < 0) return;
  }
}

/** The advice that populates pages of `area`, 0 for none: private writable pages are made the process's own. */
export function populateAdvice(area: Vma): number {
  const isWritable = (area.prot & PROT_WRITE) !== 0, isReadable = (area.prot & PROT_READ) !== 0;
  if (isWritable && (!area.isShared || !isReadable)) return MADV_POPULATE_WRITE;
  return isReadable ? MADV_POPULATE_READ : 0;
}

/** munlock(2). */
export function unlockMemory(task: Task, address: number, length: number): number {
  const start = pageDown(address);
  const bytes = pageUp(length + (address - start));
  if (bytes > task.mm.layout.end || start + bytes > task.mm.layout.end) return -EINVAL;
  if (bytes === 0) return 0;
  if (!task.mm.areas.isCovered(start, start + bytes)) return -ENOMEM;
  task.mm.areas.update(start, start + bytes, unlock);
  return 0;
}

/** mlockall(2). */
export function lockAllMemory(task: Task, flags: number): number {
  const known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
  if (flags === 0 || (flags & ~known) !== 0 || flags === MCL_ONFAULT) return -EINVAL;
  if (mayLock(task, 0) === -EPERM) return -EPERM;
  const { areas } = task.mm;
  const isOver = (flags & MCL_CURRENT) !== 0 && !task.credentials.has(CAP_IPC_LOCK) &&
    areas.totalBytes > task.threadGroup.limits.soft(RLIMIT_MEMLOCK);
  if (isOver) return -ENOMEM;
  task.mm.lockFuture = (flags & MCL_FUTURE) !== 0;
  if ((flags & MCL_CURRENT) !== 0) areas.update(0, task.mm.layout.end, lock);
  return 0;
}

/** munlockall(2). */
export function unlockAllMemory(task: Task): number {
  task.mm.areas.update(0, task.mm.layout.end, unlock);
  task.mm.lockFuture = false;
  return 0;
}

function lockedBytes(task: Task, start: number, end: number): number {
  const areas = task.mm.areas;
  let bytes = 0;
  for (let i = areas.indexAfter(start); i < areas.count && areas.at(i).start < end; i++) {
    const area = areas.at(i);
    if (area.isLocked) bytes += Math.min(end, area.end) - Math.max(start, area.start);
  }
  return bytes;
}

function lock(area: Vma): void {
  area.isLocked = true;
}

function unlock(area: Vma): void {
  area.isLocked = false;
}
