// Advisory locks: flock(2), POSIX record locks and open file description locks of fcntl(2). Linux: fs/locks.c.
// All locks of an inode stand in one list on the inode; whoever waits stands in its queue.

import { EAGAIN, EBADF, EDEADLK, EFAULT, EINVAL, ENOLCK, EOVERFLOW, ERESTARTSYS } from "../abi/errno.ts";
import {
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_RDLCK,
  F_SETLKW,
  F_UNLCK,
  F_WRLCK,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  POLLIN,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "../abi/file.ts";
import { i32, i64, put16, put32, put64, u16 } from "../abi/struct.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import type { Args } from "../syscalls/args.ts";
import type { SyscallHandler } from "../syscalls/table.ts";
import type { Task } from "../task/task.ts";
import type { File } from "./file.ts";
import type { Inode } from "./inode.ts";

const FLOCK_BYTES = 32;
/** Locks one inode may carry: a guest cannot make the kernel's lists endless. */
export const LOCKS_PER_INODE_MAX = 65_536;

/** Who holds a record lock: the process's descriptor table (POSIX) or the open file description. */
type Owner = object;

interface RecordLock {
  readonly owner: Owner;
  readonly pid: number;
  readonly isWrite: boolean;
  /** [start, end), end Infinity to the end of the file. */
  readonly start: number;
  readonly end: number;
}

class LockList {
  /** flock(2): by open file description. */
  readonly whole = new Map<File, boolean>();
  records: RecordLock[] = [];
  readonly queue = new WaitQueue();
}

function listOf(inode: Inode): LockList {
  if (inode.locks === null) inode.locks = new LockList();
  return inode.locks as LockList;
}

/** flock(2). `again` is the handler that is run again after a wait. */
export function flock(task: Task, file: File, operation: number, again: SyscallHandler): number {
  const kind = operation & ~LOCK_NB;
  if (kind !== LOCK_SH && kind !== LOCK_EX && kind !== LOCK_UN) return -EINVAL;
  const list = listOf(file.inode);
  if (kind === LOCK_UN) {
    if (list.whole.delete(file)) list.queue.notify(POLLIN);
    return 0;
  }
  const wantsWrite = kind === LOCK_EX;
  // Converting gives the old lock up first, as flock(2) says; it is lost if the new one cannot be had.
  if (list.whole.get(file) === wantsWrite) return 0;
  if (list.whole.delete(file)) list.queue.notify(POLLIN);
  for (const isWrite of list.whole.values()) {
    if (!wantsWrite && !isWrite) continue;
    if ((operation & LOCK_NB) !== 0) return -EAGAIN;
    task.waitOn(list.queue, POLLIN);
    return task.block(again, -ERESTARTSYS);
  }
  list.whole.set(file, wantsWrite);
  return 0;
}

const bytes = new Uint8Array(FLOCK_BYTES);

interface Range {
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

/** Reads struct flock of the call; end is exclusive, Infinity to the end of file. */
function readRange(task: Task, file: File, address: number, isDescription: boolean): Range | number {
  if (task.memory.copyIn(address, bytes, 0, FLOCK_BYTES) < 0) return -EFAULT;
  const type = u16(bytes, 0), whence = u16(bytes, 2);
  let start = i64(bytes, 8);
  const length = i64(bytes, 16);
  if (isDescription && i32(bytes, 24) !== 0) return -EINVAL;
  if (whence === SEEK_CUR) start += file.position;
  else if (whence === SEEK_END) start += file.inode.size;
  else if (whence !== SEEK_SET) return -EINVAL;
  let end = length === 0 ? Infinity : start + length;
  if (length < 0) {
    end = start;
    start += length;
  }
  if (start < 0) return -EINVAL;
  if (start > Number.MAX_SAFE_INTEGER || (end !== Infinity && end > Number.MAX_SAFE_INTEGER)) {
    return -EOVERFLOW;
  }
  return { type, start, end };
}

function ownerOf(task: Task, file: File, isDescription: boolean): Owner {
  return isDescription ? file : task.files;
}

function conflict(
  list: LockList,
  owner: Owner,
  isWrite: boolean,
  start: number,
  end: number,
): RecordLock | null {
  for (const lock of list.records) {
    if (lock.owner === owner || lock.start >= end || lock.end <= start) continue;
    if (isWrite || lock.isWrite) return lock;
  }
  return null;
}

/** F_GETLK, F_OFD_GETLK. */
export function getLock(task: Task, file: File, args: Args, isDescription: boolean): number {
  const range = readRange(task, file, args.word(2), isDescription);
  if (typeof range === "number") return range;
  if (range.type !== F_RDLCK && range.type !== F_WRLCK) return -EINVAL;
  const owner = ownerOf(task, file, isDescription);
  const lock = conflict(listOf(file.inode), owner, range.type === F_WRLCK, range.start, range.end);
  if (lock === null) {
    put16(bytes, 0, F_UNLCK);
  } else {
    put16(bytes, 0, lock.isWrite ? F_WRLCK : F_RDLCK);
    put16(bytes, 2, SEEK_SET);
    put64(bytes, 8, lock.start);
    put64(bytes, 16, lock.end === Infinity ? 0 : lock.end - lock.start);
    put32(bytes, 24, lock.pid);
  }
  return task.memory.copyOut(args.word(2), bytes, 0, FLOCK_BYTES);
}

/** F_SETLK, F_SETLKW and their OFD twins. Run again through fcntl's handler after a wait. */
export function setLock(task: Task, file: File, args: Args, command: number): number {
  const isDescription = command === F_OFD_SETLK || command === F_OFD_SETLKW;
  const range = readRange(task, file, args.word(2), isDescription);
  if (typeof range === "number") return range;
  const owner = ownerOf(task, file, isDescription);
  const list = listOf(file.inode);
  if (range.type === F_UNLCK) {
    cut(list, owner, range.start, range.end);
    list.queue.notify(POLLIN);
    return 0;
  }
  if (range.type !== F_RDLCK && range.type !== F_WRLCK) return -EINVAL;
  const isWrite = range.type === F_WRLCK;
  if (isWrite ? !file.isWritable : !file.isReadable) return -EBADF;
  const other = conflict(list, owner, isWrite, range.start, range.end);
  if (other === null) {
    if (list.records.length >= LOCKS_PER_INODE_MAX) return -ENOLCK;
    cut(list, owner, range.start, range.end);
    const pid = isDescription ? -1 : task.threadGroup.tgid;
    add(list, { owner, pid, isWrite, start: range.start, end: range.end });
    // A write lock turned into a read lock lets readers in.
    list.queue.notify(POLLIN);
    return 0;
  }
  if (command !== F_SETLKW && command !== F_OFD_SETLKW) return -EAGAIN;
  if (!isDescription && wouldDeadlock(owner, other.owner)) return -EDEADLK;
  waitsFor.set(owner, other.owner);
  task.waitOn(list.queue, POLLIN);
  return task.block(again, -ERESTARTSYS);
}

/** Process to the process it waits for. One entry each: a process waits in one place at a time as far as this check goes. */
const waitsFor = new WeakMap<Owner, Owner>();

function wouldDeadlock(owner: Owner, other: Owner): boolean {
  let at: Owner | undefined = other;
  for (let depth = 0; at !== undefined && depth < 16; depth++) {
    if (at === owner) return true;
    at = waitsFor.get(at);
  }
  return false;
}

function again(task: Task, args: Args): number {
  waitsFor.delete(task.files);
  const file = task.files.get(args.i32(0));
  return file === null ? -EBADF : setLock(task, file, args, args.i32(1));
}

/** Takes [start, end) out of the owner's locks, splitting those that reach beyond. */
function cut(list: LockList, owner: Owner, start: number, end: number): void {
  const kept: RecordLock[] = [];
  for (const lock of list.records) {
    if (lock.owner !== owner || lock.start >= end || lock.end <= start) {
      kept.push(lock);
      continue;
    }
    if (lock.start < start) kept.push({ ...lock, end: start });
    if (lock.end > end) kept.push({ ...lock, start: end });
  }
  list.records = kept;
}

/** Adds a lock, merged with the owner's adjoining ones of the same kind. */
function add(list: LockList, lock: RecordLock): void {
  let { start, end } = lock;
  const kept: RecordLock[] = [];
  for (const other of list.records) {
    if (
      other.owner === lock.owner && other.isWrite === lock.isWrite && other.start <= end && other.end >= start
    ) {
      start = Math.min(start, other.start);
      end = Math.max(end, other.end);
    } else {
      kept.push(other);
    }
  }
  kept.push({ ...lock, start, end });
  list.records = kept;
}

/** A process has closed a descriptor to `inode`: its POSIX locks there go. fcntl(2). */
export function dropProcessLocks(task: Task, inode: Inode): void {
  if (inode.locks === null) return;
  const list = inode.locks as LockList;
  cut(list, task.files, 0, Infinity);
  list.queue.notify(POLLIN);
}

/** The last descriptor of an open file description went: its flock and OFD locks go. */
export function dropFileLocks(file: File): void {
  if (file.inode.locks === null) return;
  const list = file.inode.locks as LockList;
  list.whole.delete(file);
  cut(list, file, 0, Infinity);
  list.queue.notify(POLLIN);
}
