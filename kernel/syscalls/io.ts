// read(2), write(2) and all their kin. Bytes go from the file straight into the view of the caller's memory.

import {
  EAGAIN,
  EBADF,
  EFAULT,
  EFBIG,
  EINVAL,
  EISDIR,
  EOPNOTSUPP,
  EPIPE,
  ERESTARTSYS,
  ESPIPE,
} from "../abi/errno.ts";
import {
  O_APPEND,
  O_NONBLOCK,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  RWF_NOWAIT,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from "../abi/file.ts";
import { SIGPIPE, SIGXFSZ } from "../abi/signal.ts";
import { u64 } from "../abi/struct.ts";
import { RLIMIT_FSIZE } from "../abi/task.ts";
import { VIEW_MAX } from "../../platform/platform.ts";
import { raiseSignal } from "../signal/send.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

/** MAX_RW_COUNT: most bytes one call moves. */
const COUNT_MAX = 0x7fff_f000;
/** Iovecs of one call (UIO_MAXIOV). */
const IOV_MAX = 1024;
/** Bytes moved in one step by loops between files. */
const STEP_BYTES = 64 * 1024;

export const IO_CALLS: SyscallFamily = {
  read: {
    nr: { x64: 0, arm64: 63 },
    args: { fd: "fd", buf: { outBuffer: "count" }, count: "size" },
    returns: "size",
    support: FULL,
    run: read,
  },
  write: {
    nr: { x64: 1, arm64: 64 },
    args: { fd: "fd", buf: { inBuffer: "count" }, count: "size" },
    returns: "size",
    support: FULL,
    run: write,
  },
  lseek: {
    nr: { x64: 8, arm64: 62 },
    args: {
      fd: "fd",
      offset: "offset",
      whence: { values: { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE } },
    },
    returns: "word",
    support: FULL,
    run: lseek,
  },
  pread64: {
    nr: { x64: 17, arm64: 67 },
    args: { fd: "fd", buf: { outBuffer: "count" }, count: "size", offset: "offset" },
    returns: "size",
    support: FULL,
    run: pread64,
  },
  pwrite64: {
    nr: { x64: 18, arm64: 68 },
    args: { fd: "fd", buf: { inBuffer: "count" }, count: "size", offset: "offset" },
    returns: "size",
    support: FULL,
    run: pwrite64,
  },
  readv: {
    nr: { x64: 19, arm64: 65 },
    args: { fd: "fd", iov: { in: 16 }, iovcnt: "int" },
    returns: "size",
    support: FULL,
    run: readv,
  },
  writev: {
    nr: { x64: 20, arm64: 66 },
    args: { fd: "fd", iov: { inIovec: "iovcnt" }, iovcnt: "int" },
    returns: "size",
    support: FULL,
    run: writev,
  },
  preadv: {
    nr: { x64: 295, arm64: 69 },
    args: { fd: "fd", iov: { in: 16 }, iovcnt: "int", offset: "offset" },
    returns: "size",
    support: FULL,
    run: preadv,
  },
  pwritev: {
    nr: { x64: 296, arm64: 70 },
    args: { fd: "fd", iov: { inIovec: "iovcnt" }, iovcnt: "int", offset: "offset" },
    returns: "size",
    support: FULL,
    run: pwritev,
  },
  preadv2: {
    nr: { x64: 327, arm64: 286 },
    args: { fd: "fd", iov: { in: 16 }, iovcnt: "int", offset: "offset", pos_h: "word", flags: "int" },
    returns: "size",
    support: partial("of the RWF_ flags only RWF_NOWAIT, RWF_APPEND and the ordering ones"),
    run: preadv2,
  },
  pwritev2: {
    nr: { x64: 328, arm64: 287 },
    args: {
      fd: "fd",
      iov: { inIovec: "iovcnt" },
      iovcnt: "int",
      offset: "offset",
      pos_h: "word",
      flags: "int",
    },
    returns: "size",
    support: partial("of the RWF_ flags only RWF_NOWAIT, RWF_APPEND and the ordering ones"),
    run: pwritev2,
  },
  sendfile: {
    nr: { x64: 40, arm64: 71 },
    args: { out_fd: "fd", in_fd: "fd", offset: { inOut: 8 }, count: "size" },
    returns: "size",
    support: FULL,
    run: sendfile,
  },
  copy_file_range: {
    nr: { x64: 326, arm64: 285 },
    args: {
      fd_in: "fd",
      off_in: { inOut: 8 },
      fd_out: "fd",
      off_out: { inOut: 8 },
      len: "size",
      flags: "uint",
    },
    returns: "size",
    support: FULL,
    run: copyFileRange,
  },
};

function fileForRead(task: Task, fd: number): File | null {
  const file = task.files.get(fd);
  return file !== null && file.isReadable ? file : null;
}
function fileForWrite(task: Task, fd: number): File | null {
  const file = task.files.get(fd);
  return file !== null && file.isWritable ? file : null;
}

function read(task: Task, args: Args): number {
  const file = fileForRead(task, args.i32(0));
  if (file === null) return -EBADF;
  const result = readInto(task, file, args.word(1), args.word(2), -1);
  return result === -EAGAIN ? waitToRead(task, file, read) : result;
}

function pread64(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = fileForRead(task, args.i32(0));
  if (file === null) return -EBADF;
  if (!file.isSeekable) return -ESPIPE;
  return readInto(task, file, args.word(1), args.word(2), offset);
}

/** Waits for input, unless the file is non-blocking. */
function waitToRead(task: Task, file: File, again: (task: Task, args: Args) => number): number {
  if ((file.flags & O_NONBLOCK) !== 0) return -EAGAIN;
  task.waitOn(file.queue, POLLIN | POLLRDHUP);
  return task.block(again, -ERESTARTSYS);
}

/** Reads up to `count` bytes at `offset` (-1: the position) into guest memory. -EAGAIN when it would wait. */
function readInto(task: Task, file: File, address: number, count: number, offset: number): number {
  if (count > COUNT_MAX) {
    if (count >= 2 ** 63) return -EINVAL;
    count = COUNT_MAX;
  }
  const isSeekable = file.isSeekable;
  const atPosition = offset < 0;
  let done = 0;
  for (;;) {
    const length = count - done > VIEW_MAX ? VIEW_MAX : count - done;
    const at = task.memory.outView(address + done, length);
    if (at < 0) return done > 0 ? done : at;
    const place = isSeekable ? (atPosition ? file.position : offset + done) : -1;
    const n = file.read(task, task.memory.view, at, length, place);
    if (n < 0) return done > 0 ? done : n;
    const committed = task.memory.outCommit(n);
    if (committed < 0) return done > 0 ? done : committed;
    if (isSeekable && atPosition) file.position += n;
    done += n;
    // A pipe or socket gives what it has; only a regular file is read on.
    if (n < length || done === count || !isSeekable) return done;
  }
}

function write(task: Task, args: Args): number {
  const file = fileForWrite(task, args.i32(0));
  if (file === null) return -EBADF;
  return writeOrWait(task, file, args, write);
}

function writeOrWait(task: Task, file: File, args: Args, again: (task: Task, args: Args) => number): number {
  const done = task.progress;
  const result = writeFrom(task, file, args.word(1) + done, args.word(2) - done, -1);
  const count = Math.min(args.word(2), COUNT_MAX);
  if (result >= 0 && (done + result >= count || file.isSeekable)) return done + result;
  if (result < 0 && result !== -EAGAIN) return done > 0 ? done : result;
  if (result > 0) task.progress = done + result;
  if ((file.flags & O_NONBLOCK) !== 0) return task.progress > 0 ? task.progress : -EAGAIN;
  task.waitOn(file.queue, POLLOUT);
  return task.block(again, task.progress > 0 ? task.progress : -ERESTARTSYS);
}

function pwrite64(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = fileForWrite(task, args.i32(0));
  if (file === null) return -EBADF;
  if (!file.isSeekable) return -ESPIPE;
  return writeFrom(task, file, args.word(1), args.word(2), offset);
}

/** Writes up to `count` bytes of guest memory at `offset` (-1: the position). -EAGAIN when it would wait. */
function writeFrom(task: Task, file: File, address: number, count: number, offset: number): number {
  if (count > COUNT_MAX) {
    if (count >= 2 ** 63) return -EINVAL;
    count = COUNT_MAX;
  }
  const isSeekable = file.isSeekable;
  const atPosition = offset < 0;
  if (isSeekable) {
    count = withinFileLimit(task, file, atPosition ? file.position : offset, count);
    if (count < 0) return count;
  }
  let done = 0;
  for (;;) {
    const length = count - done > VIEW_MAX ? VIEW_MAX : count - done;
    const at = task.memory.inView(address + done, length);
    if (at < 0) return done > 0 ? done : at;
    const place = isSeekable ? (atPosition ? file.position : offset + done) : -1;
    const n = file.write(task, task.memory.view, at, length, place);
    if (n < 0) {
      if (n === -EPIPE && done === 0) raiseSignal(task, SIGPIPE);
      return done > 0 ? done : n;
    }
    if (isSeekable && atPosition) file.position = (file.flags & O_APPEND) !== 0 ? file.inode.size : place + n;
    done += n;
    if (n < length || done === count) return done;
  }
}

/** RLIMIT_FSIZE: bytes that may be written at `offset`, or -EFBIG with SIGXFSZ. */
function withinFileLimit(task: Task, file: File, offset: number, count: number): number {
  const limit = task.threadGroup.limits.soft(RLIMIT_FSIZE);
  if (limit === Infinity) return offset + count > Number.MAX_SAFE_INTEGER ? -EFBIG : count;
  const from = (file.flags & O_APPEND) !== 0 ? file.inode.size : offset;
  if (from >= limit && count > 0) {
    raiseSignal(task, SIGXFSZ);
    return -EFBIG;
  }
  return Math.min(count, limit - from);
}

function lseek(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  if (file === null) return -EBADF;
  const whence = args.u32(2);
  if (whence > SEEK_HOLE) return -EINVAL;
  return file.seek(args.i53(1), whence);
}

// --- vectors ------------------------------------------------------------------------------------------------------------

const vector = new Float64Array(2 * IOV_MAX);

/** Reads `count` iovecs at `address` into `vector` (base, length pairs); total bytes, or -ERRNO. */
export function readVector(task: Task, address: number, count: number): number {
  if (count < 0 || count > IOV_MAX) return -EINVAL;
  if (count === 0) return 0;
  const at = task.memory.inView(address, count * 16);
  if (at < 0) return at;
  const view = task.memory.view;
  let total = 0;
  for (let i = 0; i < count; i++) {
    const length = u64(view, at + i * 16 + 8);
    if (length >= 2 ** 63) return -EINVAL;
    vector[2 * i] = u64(view, at + i * 16);
    vector[2 * i + 1] = Math.min(length, COUNT_MAX - total);
    total += vector[2 * i + 1];
  }
  return total;
}

/** Base and length of entry `i` of the vector that readVector has read last. */
export function vectorBase(i: number): number {
  return vector[2 * i];
}
export function vectorLength(i: number): number {
  return vector[2 * i + 1];
}

function readv(task: Task, args: Args): number {
  const file = fileForRead(task, args.i32(0));
  if (file === null) return -EBADF;
  const result = readVectorInto(task, file, args, -1);
  return result === -EAGAIN ? waitToRead(task, file, readv) : result;
}

function preadv(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = fileForRead(task, args.i32(0));
  if (file === null) return -EBADF;
  return file.isSeekable ? readVectorInto(task, file, args, offset) : -ESPIPE;
}

function preadv2(task: Task, args: Args): number {
  const flags = args.u32(5);
  if ((flags & ~0x1f) !== 0) return -EOPNOTSUPP;
  const offset = args.i53(3);
  if (offset < -1) return -EINVAL;
  const file = fileForRead(task, args.i32(0));
  if (file === null) return -EBADF;
  if (offset >= 0 && !file.isSeekable) return -ESPIPE;
  const result = readVectorInto(task, file, args, offset);
  return result === -EAGAIN && (flags & RWF_NOWAIT) === 0 ? waitToRead(task, file, preadv2) : result;
}

function readVectorInto(task: Task, file: File, args: Args, offset: number): number {
  const count = args.i32(2);
  const total = readVector(task, args.word(1), count);
  if (total < 0) return total;
  let done = 0;
  for (let i = 0; i < count; i++) {
    const length = vector[2 * i + 1];
    if (length === 0) continue;
    const n = readInto(task, file, vector[2 * i], length, offset < 0 ? -1 : offset + done);
    if (n < 0) return done > 0 ? done : n;
    done += n;
    if (n < length) break;
  }
  return done;
}

function writev(task: Task, args: Args): number {
  const file = fileForWrite(task, args.i32(0));
  if (file === null) return -EBADF;
  return writeVectorOrWait(task, file, args, writev);
}

function writeVectorOrWait(
  task: Task,
  file: File,
  args: Args,
  again: (task: Task, args: Args) => number,
): number {
  const total = readVector(task, args.word(1), args.i32(2));
  if (total < 0) return total;
  const result = writeVectorFrom(task, file, args.i32(2), -1, task.progress);
  if (result >= 0) task.progress += result;
  if (result < 0 && result !== -EAGAIN) return task.progress > 0 ? task.progress : result;
  if (task.progress >= total || file.isSeekable) return task.progress;
  if ((file.flags & O_NONBLOCK) !== 0) return task.progress > 0 ? task.progress : -EAGAIN;
  task.waitOn(file.queue, POLLOUT);
  return task.block(again, task.progress > 0 ? task.progress : -ERESTARTSYS);
}

function pwritev(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = fileForWrite(task, args.i32(0));
  if (file === null) return -EBADF;
  if (!file.isSeekable) return -ESPIPE;
  const total = readVector(task, args.word(1), args.i32(2));
  return total < 0 ? total : writeVectorFrom(task, file, args.i32(2), offset, 0);
}

function pwritev2(task: Task, args: Args): number {
  const flags = args.u32(5);
  if ((flags & ~0x1f) !== 0) return -EOPNOTSUPP;
  const offset = args.i53(3);
  if (offset < -1) return -EINVAL;
  const file = fileForWrite(task, args.i32(0));
  if (file === null) return -EBADF;
  if (offset < 0) return writeVectorOrWait(task, file, args, pwritev2);
  if (!file.isSeekable) return -ESPIPE;
  const total = readVector(task, args.word(1), args.i32(2));
  return total < 0 ? total : writeVectorFrom(task, file, args.i32(2), offset, 0);
}

/** Writes the vector read last, skipping the first `skip` bytes. */
function writeVectorFrom(task: Task, file: File, count: number, offset: number, skip: number): number {
  let done = 0;
  for (let i = 0; i < count; i++) {
    let base = vector[2 * i], length = vector[2 * i + 1];
    if (skip >= length) {
      skip -= length;
      continue;
    }
    base += skip;
    length -= skip;
    skip = 0;
    const n = writeFrom(task, file, base, length, offset < 0 ? -1 : offset + done);
    if (n < 0) return done > 0 ? done : n;
    done += n;
    if (n < length) break;
  }
  return done;
}

// --- file to file -------------------------------------------------------------------------------------------------------

const step = new Uint8Array(STEP_BYTES);

function sendfile(task: Task, args: Args): number {
  const from = fileForRead(task, args.i32(1)), to = fileForWrite(task, args.i32(0));
  if (from === null || to === null) return -EBADF;
  const pointer = args.word(2);
  if (!from.isSeekable) return pointer !== 0 ? -ESPIPE : -EINVAL;
  if ((to.flags & O_APPEND) !== 0) return -EINVAL;
  let offset = from.position;
  if (pointer !== 0) {
    const at = task.memory.inView(pointer, 8);
    if (at < 0) return at;
    offset = u64(task.memory.view, at) + task.progress;
    if (offset > Number.MAX_SAFE_INTEGER) return -EINVAL;
  }
  const count = Math.min(args.word(3), COUNT_MAX) - task.progress;
  const n = pump(task, from, offset, to, to.isSeekable ? to.position : -1, count);
  if (n > 0) {
    if (to.isSeekable) to.position += n;
    if (pointer === 0) from.position += n;
    task.progress += n;
  }
  if (n === -EAGAIN && task.progress === 0) {
    if ((to.flags & O_NONBLOCK) !== 0) return -EAGAIN;
    task.waitOn(to.queue, POLLOUT);
    return task.block(sendfile, -ERESTARTSYS);
  }
  if (n < 0 && task.progress === 0) return n;
  return pointer === 0 ? task.progress : putOffset(task, pointer, offset + Math.max(n, 0), task.progress);
}

function putOffset(task: Task, pointer: number, offset: number, result: number): number {
  const bytes = step;
  for (let i = 0; i < 8; i++) bytes[i] = Math.floor(offset / 256 ** i) % 256;
  const written = task.memory.copyOut(pointer, bytes, 0, 8);
  return written < 0 ? written : result;
}

/** Copies up to `count` bytes between files; bytes, or the error that came before the first one. */
function pump(task: Task, from: File, offset: number, to: File, toOffset: number, count: number): number {
  let done = 0;
  while (done < count) {
    const length = Math.min(STEP_BYTES, count - done);
    const got = from.read(task, step, 0, length, offset + done);
    if (got <= 0) return done > 0 ? done : got;
    const put = to.write(task, step, 0, got, toOffset < 0 ? -1 : toOffset + done);
    if (put < 0) {
      if (put === -EPIPE && done === 0) raiseSignal(task, SIGPIPE);
      return done > 0 ? done : put;
    }
    done += put;
    if (put < got) break;
  }
  return done;
}

function copyFileRange(task: Task, args: Args): number {
  const from = fileForRead(task, args.i32(0)), to = fileForWrite(task, args.i32(2));
  if (from === null || to === null || (to.flags & O_APPEND) !== 0) return -EBADF;
  if (args.u32(5) !== 0) return -EINVAL;
  if (from.inode.isDirectory || to.inode.isDirectory) return -EISDIR;
  if (!from.isSeekable || !to.isSeekable) return -EINVAL;
  const fromPointer = args.word(1), toPointer = args.word(3);
  const fromAt = readOffset(task, fromPointer, from.position),
    toAt = readOffset(task, toPointer, to.position);
  if (fromAt < 0) return fromAt;
  if (toAt < 0) return toAt;
  const count = Math.min(args.word(4), COUNT_MAX);
  if (from.inode === to.inode && fromAt < toAt + count && toAt < fromAt + count) return -EINVAL;
  const n = pump(task, from, fromAt, to, toAt, count);
  if (n <= 0) return n;
  if (fromPointer === 0) from.position += n;
  else if (putOffset(task, fromPointer, fromAt + n, 0) < 0) return -EFAULT;
  if (toPointer === 0) to.position += n;
  else if (putOffset(task, toPointer, toAt + n, 0) < 0) return -EFAULT;
  return n;
}

function readOffset(task: Task, pointer: number, position: number): number {
  if (pointer === 0) return position;
  const at = task.memory.inView(pointer, 8);
  if (at < 0) return at;
  const offset = u64(task.memory.view, at);
  return offset > Number.MAX_SAFE_INTEGER ? -EINVAL : offset;
}
