import { deepEqual, equal } from "node:assert/strict";
import { EAGAIN, EDEADLK } from "../abi/errno.ts";
import {
  AT_FDCWD,
  F_RDLCK,
  F_SETLKW,
  F_UNLCK,
  F_WRLCK,
  LOCK_EX,
  LOCK_SH,
  LOCK_UN,
  O_CREAT,
  O_RDWR,
} from "../abi/file.ts";
import { put16, put64 } from "../abi/struct.ts";
import { TEST_BLOCKED, VfsTask } from "../../tests/support/vfs_task.ts";
import { DESCRIPTOR_CALLS } from "../syscalls/descriptor.ts";
import type { File } from "./file.ts";
import { findConflict, LOCK_END, setFlock, setRecordLock } from "./file_locks.ts";
import { openByName } from "./open.ts";

function open(t: VfsTask): File {
  return openByName(t.task, AT_FDCWD, "/file", O_CREAT | O_RDWR, 0o644) as File;
}

/** Ranges of the locks on the file as "r0-9 w10-19". */
function shown(file: File): string {
  return file.inode.locks!.records.map(({ type, start, end }) =>
    `${type === F_WRLCK ? "w" : "r"}${start}-${end === LOCK_END ? "" : end}`
  ).join(" ");
}

Deno.test("record locks of one owner split, merge and change type", () => {
  const t = new VfsTask();
  const file = open(t);
  const set = (type: number, start: number, end: number) =>
    setRecordLock(file.inode, t.files, t.task, type, start, end);
  set(F_WRLCK, 0, 99);
  set(F_RDLCK, 20, 29);
  equal(shown(file), "w0-19 r20-29 w30-99");
  set(F_WRLCK, 20, 29);
  equal(shown(file), "w0-99");
  set(F_UNLCK, 50, 59);
  equal(shown(file), "w0-49 w60-99");
  set(F_WRLCK, 50, 59);
  equal(shown(file), "w0-99");
  set(F_UNLCK, 90, LOCK_END);
  equal(shown(file), "w0-89");
  set(F_RDLCK, 80, LOCK_END);
  equal(shown(file), "w0-79 r80-");
});

Deno.test("record locks of two owners conflict where one writes", () => {
  const t = new VfsTask(), other = new VfsTask(t);
  const file = open(t);
  equal(setRecordLock(file.inode, t.files, t.task, F_RDLCK, 0, 9), 0);
  equal(setRecordLock(file.inode, other.files, other.task, F_RDLCK, 5, 14), 0);
  equal(setRecordLock(file.inode, other.files, other.task, F_WRLCK, 5, 14), -EAGAIN);
  equal(findConflict(file.inode, other.files, F_WRLCK, 5, 14)?.owner, t.files);
  equal(setRecordLock(file.inode, other.files, other.task, F_WRLCK, 10, 14), 0);
});

Deno.test("closing any descriptor of a file drops the process's record locks on it", () => {
  const t = new VfsTask();
  const first = open(t), second = open(t);
  const fd = t.files.allocate(t.task, second, false);
  setRecordLock(first.inode, t.files, t.task, F_WRLCK, 0, 9);
  t.files.close(t.task, fd);
  deepEqual(first.inode.locks!.records, []);
});

Deno.test("flock() belongs to the open file description and goes with it", () => {
  const t = new VfsTask();
  const first = open(t), second = open(t);
  equal(setFlock(first, LOCK_SH), 0);
  equal(setFlock(second, LOCK_SH), 0);
  equal(setFlock(first, LOCK_EX), -EAGAIN);
  // The change gave up the shared lock first.
  equal(setFlock(second, LOCK_EX), 0);
  second.drop();
  equal(setFlock(first, LOCK_EX), 0);
  equal(setFlock(first, LOCK_UN), 0);
});

function flockBytes(type: number, start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(32);
  put16(bytes, 0, type);
  put64(bytes, 8, start);
  put64(bytes, 16, length);
  return bytes;
}

Deno.test("F_SETLKW waits, and finds a deadlock", () => {
  const a = new VfsTask(), b = new VfsTask(a);
  const fdA = a.files.allocate(a.task, open(a), false), fdB = b.files.allocate(b.task, open(b), false);
  const { run } = DESCRIPTOR_CALLS.fcntl;
  const lock = (t: VfsTask, fd: number, type: number, start: number) =>
    t.make(run, fd, F_SETLKW, flockBytes(type, start, 1));
  equal(lock(a, fdA, F_WRLCK, 0), 0);
  equal(lock(b, fdB, F_WRLCK, 1), 0);
  equal(lock(a, fdA, F_WRLCK, 1), TEST_BLOCKED);
  equal(lock(b, fdB, F_WRLCK, 0), -EDEADLK);
  equal(lock(b, fdB, F_UNLCK, 1), 0);
  equal(a.isWoken, true);
  equal(a.goOn(), 0);
  // A wait that a signal ended is no part of a deadlock.
  equal(lock(b, fdB, F_WRLCK, 1), TEST_BLOCKED);
  equal(b.interrupt(), -512);
  equal(lock(b, fdB, F_WRLCK, 2), 0);
  equal(lock(a, fdA, F_WRLCK, 2), TEST_BLOCKED);
});
