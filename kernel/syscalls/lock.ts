// flock(2) and the lock commands of fcntl(2): arguments, waiting and results. vfs/file_locks.ts has the locks.

import { EAGAIN, EBADF, EFAULT, EINVAL, EOVERFLOW, ERESTARTSYS } from "../abi/errno.ts";
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
import { BLOCKED, type Continuation, continuation } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { suspend, suspendThen } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import { assert } from "../util/assert.ts";
import type { File } from "../vfs/file.ts";
import { findConflict, LOCK_END, locksOf, setFlock, setRecordLock } from "../vfs/file_locks.ts";
import type { Args } from "./args.ts";
import { FILE } from "./file_wait.ts";

const FLOCK_BYTES = 32;
const bytes = new Uint8Array(FLOCK_BYTES);

/** flock(2). */
export function flock(task: Task, file: File, operation: number): number {
  const type = operation & ~LOCK_NB;
  if (type !== LOCK_SH && type !== LOCK_EX && type !== LOCK_UN) return -EINVAL;
  const result = setFlock(file, type);
  if (result !== -EAGAIN || (operation & LOCK_NB) !== 0) return result;
  task.call.hold(FILE, file);
  task.call.waitOn(locksOf(file.inode).queue, POLLIN);
  return suspend(task, FOR_FLOCK, -ERESTARTSYS);
}

interface Range {
  readonly type: number;
  /** First and last byte, both included. */
  readonly start: number;
  readonly end: number;
}

/** Reads the call's struct flock. */
function readRange(task: Task, file: File, address: number, isDescription: boolean): Range | number {
  if (task.memory.copyIn(address, bytes, 0, FLOCK_BYTES) < 0) return -EFAULT;
  const type = u16(bytes, 0), whence = u16(bytes, 2);
  let start = i64(bytes, 8);
  const length = i64(bytes, 16);
  if (isDescription && i32(bytes, 24) !== 0) return -EINVAL;
  if (whence === SEEK_CUR) start += file.position;
  else if (whence === SEEK_END) start += file.inode.size;
  else if (whence !== SEEK_SET) return -EINVAL;
  let end = length === 0 ? LOCK_END : start + length - 1;
  if (length < 0) {
    end = start - 1;
    start += length;
  }
  if (start < 0) return -EINVAL;
  return start > LOCK_END || end > LOCK_END ? -EOVERFLOW : { type, start, end };
}

function ownerOf(task: Task, file: File, isDescription: boolean): object {
  return isDescription ? file : task.files;
}

/** F_GETLK, F_OFD_GETLK. */
export function getLock(task: Task, file: File, args: Args, isDescription: boolean): number {
  const range = readRange(task, file, args.word(2), isDescription);
  if (typeof range === "number") return range;
  if (range.type !== F_RDLCK && range.type !== F_WRLCK) return -EINVAL;
  const owner = ownerOf(task, file, isDescription);
  const lock = findConflict(file.inode, owner, range.type, range.start, range.end);
  if (lock === null) {
    put16(bytes, 0, F_UNLCK);
  } else {
    put16(bytes, 0, lock.type);
    put16(bytes, 2, SEEK_SET);
    put64(bytes, 8, lock.start);
    put64(bytes, 16, lock.end === LOCK_END ? 0 : lock.end - lock.start + 1);
    put32(bytes, 24, lock.holder === null ? -1 : lock.holder.threadGroup.pid.in(task.pid.namespace));
  }
  return task.memory.copyOut(args.word(2), bytes, 0, FLOCK_BYTES);
}

/** F_SETLK, F_SETLKW and their OFD twins. */
export function setLock(task: Task, file: File, args: Args, command: number): number {
  const isDescription = command === F_OFD_SETLK || command === F_OFD_SETLKW;
  const range = readRange(task, file, args.word(2), isDescription);
  if (typeof range === "number") return range;
  return takeLock(task, file, command, range);
}

function takeLock(task: Task, file: File, command: number, range: Range): number {
  const isDescription = command === F_OFD_SETLK || command === F_OFD_SETLKW;
  const { type, start, end } = range;
  if (type !== F_RDLCK && type !== F_WRLCK && type !== F_UNLCK) return -EINVAL;
  if (type === F_WRLCK ? !file.isWritable : type === F_RDLCK && !file.isReadable) return -EBADF;
  const owner = ownerOf(task, file, isDescription);
  const result = setRecordLock(file.inode, owner, isDescription ? null : task, type, start, end);
  if (result !== -EAGAIN || (command !== F_SETLKW && command !== F_OFD_SETLKW)) return result;
  if (!isDescription) {
    const blocker = findConflict(file.inode, owner, type, start, end)!;
    const deadlock = task.kernel.vfs.lockWaits.begin(task, owner, blocker);
    if (deadlock < 0) return deadlock;
  }
  task.call.hold(FILE, file);
  task.call.waitOn(locksOf(file.inode).queue, POLLIN);
  const waited = suspendThen(task, { kind: "record lock", type, start, end }, LOCK_ON, -ERESTARTSYS);
  if (waited !== BLOCKED) task.kernel.vfs.lockWaits.end(task, owner);
  return waited;
}

/** The range, file and command are those of the call's begin. */
function lockOn(task: Task, args: Args): number {
  const { state } = task.call;
  const file = task.call.held(FILE);
  assert(file !== null && state.kind === "record lock", "a lock that waits knows its file and range");
  const command = args.i32(1);
  const isDescription = command === F_OFD_SETLKW;
  task.kernel.vfs.lockWaits.end(task, ownerOf(task, file, isDescription));
  const result = takeLock(task, file, command, state);
  // The descriptor was closed meanwhile, which removes the process's locks: fcntl_setlk() removes this one too.
  if (result === 0 && !isDescription && task.files.get(args.i32(0)) !== file) {
    setRecordLock(file.inode, task.files, task, F_UNLCK, state.start, state.end);
    return -EBADF;
  }
  return result;
}

const FOR_FLOCK: WaitState = { kind: "file lock" };
const LOCK_ON = continuation("record lock", lockOn);

export const LOCK_CONTINUATIONS: readonly Continuation[] = [LOCK_ON];
