// Advisory locks: flock(2) on open file descriptions, record locks of fcntl(2) owned by a descriptor table (POSIX) or by
// an open file description (OFD). Linux: fs/locks.c.

import { EAGAIN, EDEADLK, ENOLCK } from "../abi/errno.ts";
import { F_UNLCK, F_WRLCK, LOCK_EX, LOCK_UN, POLLIN } from "../abi/file.ts";
import { LOCK_COST } from "../util/kernel_memory.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import type { Task } from "../task/task.ts";
import type { File } from "./file.ts";
import type { Inode } from "./inode.ts";

/** Record locks on one inode; Linux has no such limit but for memory. */
const RECORD_LOCKS_MAX = 16_384;
/** Owners followed when looking for a deadlock (MAX_DEADLK_ITERATIONS). */
const DEADLOCK_STEPS_MAX = 10;
/** l_len 0: up to the end, wherever that is. */
export const LOCK_END = Number.MAX_SAFE_INTEGER;

/** A record lock on bytes start..end, both included. */
export interface RecordLock {
  /** F_RDLCK or F_WRLCK. */
  readonly type: number;
  readonly start: number;
  readonly end: number;
  /** Descriptor table (POSIX) or File (OFD). */
  readonly owner: object;
  /** Who took it, for l_pid; null for OFD locks, which show -1. */
  readonly holder: Task | null;
}

interface FlockHolder {
  readonly file: File;
  /** LOCK_SH or LOCK_EX. */
  readonly type: number;
}

/** All locks of one inode. */
export class InodeLocks {
  /** By start; those of one owner do not overlap. */
  records: RecordLock[] = [];
  flocks: FlockHolder[] = [];
  /** Told with POLLIN when a lock goes. */
  readonly queue = new WaitQueue();
}

/** An owner that waits for another one's POSIX lock; its task ends it when it goes on, or exits. */
class LockWait {
  readonly task: Task;
  readonly blocker: object;

  constructor(task: Task, blocker: object) {
    this.task = task;
    this.blocker = blocker;
  }
}

/** Who waits for whose POSIX lock, to find deadlocks. */
export class LockWaits {
  /** By owner. */
  readonly #waits = new Map<object, LockWait>();

  /** `owner` is about to wait for the lock `blocker`: -EDEADLK when that would never end. Only POSIX locks count. */
  begin(task: Task, owner: object, blocker: RecordLock): number {
    let other = blocker.owner;
    for (let steps = 0; steps < DEADLOCK_STEPS_MAX; steps++) {
      if (other === owner) return -EDEADLK;
      const wait = this.#waits.get(other);
      if (wait === undefined) break;
      if (wait.task.hasExited) {
        this.#waits.delete(other);
        break;
      }
      other = wait.blocker;
    }
    this.#waits.set(owner, new LockWait(task, blocker.owner));
    return 0;
  }

  /** `task` does not wait for a lock of `owner` any more. */
  end(task: Task, owner: object): void {
    if (this.#waits.get(owner)?.task === task) this.#waits.delete(owner);
  }
}

export function locksOf(inode: Inode): InodeLocks {
  return inode.locks ??= new InodeLocks();
}

/** The first lock that keeps `owner` from taking `type` on start..end, or null. */
export function findConflict(
  inode: Inode,
  owner: object,
  type: number,
  start: number,
  end: number,
): RecordLock | null {
  if (inode.locks === null) return null;
  for (const lock of inode.locks.records) {
    if (lock.owner === owner || lock.end < start || lock.start > end) continue;
    if (type === F_WRLCK || lock.type === F_WRLCK) return lock;
  }
  return null;
}

/** Takes, changes or (F_UNLCK) gives up a record lock. 0, -EAGAIN at a conflict, -ENOLCK. */
export function setRecordLock(
  inode: Inode,
  owner: object,
  holder: Task | null,
  type: number,
  start: number,
  end: number,
): number {
  if (type === F_UNLCK) {
    if (inode.locks === null) return 0;
  } else if (findConflict(inode, owner, type, start, end) !== null) {
    return -EAGAIN;
  }
  const locks = locksOf(inode), memory = inode.fs.vfs.memory.heap;
  if (locks.records.length >= RECORD_LOCKS_MAX || memory.isFull) return -ENOLCK;
  const { records } = locks;
  if (!records.some((lock) => lock.owner === owner && lock.end >= start - 1 && lock.start <= end + 1)) {
    if (type !== F_UNLCK) insertLock(inode, locks, { type, start, end, owner, holder });
    return 0;
  }
  const next: RecordLock[] = [];
  let from = start, to = end, isLoosened = false;
  for (const lock of records) {
    const isMine = lock.owner === owner;
    if (isMine && type !== F_UNLCK && lock.type === type && lock.end >= from - 1 && lock.start <= to + 1) {
      from = Math.min(from, lock.start);
      to = Math.max(to, lock.end);
    } else if (isMine && lock.end >= start && lock.start <= end) {
      isLoosened = true;
      if (lock.start < start) next.push({ ...lock, end: start - 1 });
      if (lock.end > end) next.push({ ...lock, start: end + 1 });
    } else {
      next.push(lock);
    }
  }
  if (type !== F_UNLCK) next.push({ type, start: from, end: to, owner, holder });
  next.sort((a, b) => a.start - b.start);
  setRecords(inode, locks, next);
  if (isLoosened) locks.queue.notify(POLLIN);
  return 0;
}

/** Adds a lock that meets none of its owner's. */
function insertLock(inode: Inode, locks: InodeLocks, lock: RecordLock): void {
  const { records } = locks;
  let low = 0, high = records.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (records[middle].start > lock.start) high = middle;
    else low = middle + 1;
  }
  records.splice(low, 0, lock);
  inode.fs.vfs.memory.heap.force(LOCK_COST);
}

function setRecords(inode: Inode, locks: InodeLocks, records: RecordLock[]): void {
  inode.fs.vfs.memory.heap.force((records.length - locks.records.length) * LOCK_COST);
  locks.records = records;
}

/** flock(2): 0, or -EAGAIN where another description's lock is in the way. A change of type gives up the old one first. */
export function setFlock(file: File, type: number): number {
  const inode = file.inode;
  if (type === LOCK_UN && inode.locks === null) return 0;
  const locks = locksOf(inode);
  const mine = locks.flocks.findIndex((lock) => lock.file === file);
  if (mine >= 0) {
    if (locks.flocks[mine].type === type) return 0;
    locks.flocks.splice(mine, 1);
    locks.queue.notify(POLLIN);
  }
  if (type === LOCK_UN) return 0;
  for (const lock of locks.flocks) {
    if (type === LOCK_EX || lock.type === LOCK_EX) return -EAGAIN;
  }
  locks.flocks.push({ file, type });
  return 0;
}

/** A descriptor table closed a descriptor of this inode: all its POSIX locks on it go, fcntl(2). */
export function releasePosixLocks(inode: Inode, owner: object): void {
  const locks = inode.locks;
  if (locks === null) return;
  const before = locks.records.length;
  setRecords(inode, locks, locks.records.filter((lock) => lock.owner !== owner));
  if (locks.records.length !== before) locks.queue.notify(POLLIN);
}

/** An open file description closes: its flock and OFD locks go. */
export function releaseFileLocks(file: File): void {
  releasePosixLocks(file.inode, file);
  setFlock(file, LOCK_UN);
}
