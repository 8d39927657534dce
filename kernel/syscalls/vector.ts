// readv(2), writev(2) and their p forms, vmsplice(2). The iovecs are gathered or scattered around one read or write
// of the file, so that a datagram stays one and a small pipe write stays atomic.

import { EAGAIN, EBADF, EFAULT, EINVAL, EOPNOTSUPP, ESPIPE } from "../abi/errno.ts";
import {
  IN_ACCESS,
  IN_MODIFY,
  O_APPEND,
  O_DSYNC,
  O_NONBLOCK,
  O_SYNC,
  RWF_APPEND,
  RWF_DSYNC,
  RWF_HIPRI,
  RWF_NOWAIT,
  RWF_SUPPORTED,
  RWF_SYNC,
} from "../abi/file.ts";
import { PAGE_SIZE } from "../abi/memory.ts";
import { VIEW_MAX } from "../../platform/platform.ts";
import { MUST_WAIT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import { notifyPath } from "../vfs/notify.ts";
import type { Args } from "./args.ts";
import {
  beginWrite,
  endWrite,
  lengthToTake,
  letOthers,
  moveSlice,
  readAgain,
  readError,
  readInto,
  writeError,
  writeFrom,
  writeOrWait,
} from "./io.ts";
import {
  buffer,
  gather,
  IOVEC_BYTES,
  readVector,
  scatter,
  vectorBase,
  vectorLength,
  vectorRoom,
} from "./iovec.ts";
import { FILE, fileForRead, fileForWrite, openFile, waitToRead, waitToWrite } from "./file_wait.ts";
import { FULL, type SyscallFamily } from "./table.ts";

const RWF_FLAGS = { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND };

export const SPLICE_FLAGS = { SPLICE_F_MOVE: 1, SPLICE_F_NONBLOCK: 2, SPLICE_F_MORE: 4, SPLICE_F_GIFT: 8 };

const IN_ARGS = { fd: "fd", iov: { in: IOVEC_BYTES }, iovcnt: "int" } as const;
const OUT_ARGS = { fd: "fd", iov: { inIovec: "iovcnt" }, iovcnt: "int" } as const;

export const VECTOR_CALLS: SyscallFamily = {
  readv: { nr: { x64: 19, arm64: 65 }, args: IN_ARGS, returns: "size", support: FULL, run: readv },
  writev: { nr: { x64: 20, arm64: 66 }, args: OUT_ARGS, returns: "size", support: FULL, run: writev },
  vmsplice: {
    nr: { x64: 278, arm64: 75 },
    args: { ...OUT_ARGS, flags: { flags: SPLICE_FLAGS } },
    returns: "size",
    support: FULL,
    run: vmsplice,
  },
  preadv: {
    nr: { x64: 295, arm64: 69 },
    args: { ...IN_ARGS, offset: "offset" },
    returns: "size",
    support: FULL,
    run: preadv,
  },
  pwritev: {
    nr: { x64: 296, arm64: 70 },
    args: { ...OUT_ARGS, offset: "offset" },
    returns: "size",
    support: FULL,
    run: pwritev,
  },
  preadv2: {
    nr: { x64: 327, arm64: 286 },
    args: { ...IN_ARGS, offset: "offset", pos_h: "word", flags: { flags: RWF_FLAGS } },
    returns: "size",
    support: FULL,
    run: preadv2,
  },
  pwritev2: {
    nr: { x64: 328, arm64: 287 },
    args: { ...OUT_ARGS, offset: "offset", pos_h: "word", flags: { flags: RWF_FLAGS } },
    returns: "size",
    support: FULL,
    run: pwritev2,
  },
};

function readv(task: Task, args: Args): number {
  const file = fileForRead(task, args.i32(0));
  if (file === null) return -EBADF;
  const result = readVectorFrom(task, file, args, -1);
  return result === -EAGAIN ? waitToRead(task, file) : result;
}

function preadv(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = openFile(task, args.i32(0));
  if (file === null) return -EBADF;
  if (!file.isSeekable) return -ESPIPE;
  return file.isReadable ? readVectorFrom(task, file, args, offset) : -EBADF;
}

function preadv2(task: Task, args: Args): number {
  const flags = args.u32(5), offset = args.i53(3);
  if (offset < -1) return -EINVAL;
  const file = openFile(task, args.i32(0));
  if (file === null) return -EBADF;
  if (offset >= 0 && !file.isSeekable) return -ESPIPE;
  if (!file.isReadable) return -EBADF;
  if ((flags & ~RWF_SUPPORTED) !== 0) return -EOPNOTSUPP;
  const result = readVectorFrom(task, file, args, offset);
  return result === -EAGAIN && (flags & RWF_NOWAIT) === 0 ? waitToRead(task, file) : result;
}

function readVectorFrom(task: Task, file: File, args: Args, offset: number): number {
  const count = args.i32(2);
  const total = readVector(task, args.word(1), count);
  if (total < 0) return total;
  const isSeekable = file.isSeekable;
  if (count === 1) {
    return isSeekable && total > file.sliceBytes
      ? moveSlice(task, file, vectorBase(0), total, offset, readInto)
      : readInto(task, file, vectorBase(0), total, offset);
  }
  let { done } = task.call;
  const before = done, sliceEnd = Math.min(total, done + file.sliceBytes);
  for (;;) {
    let length = Math.min(sliceEnd - done, VIEW_MAX);
    if (!isSeekable) {
      length = lengthToTake(file, length, vectorRoom(task, count, done, file.bytesAtStake(length)));
      if (length < 0) return length;
    }
    buffer.reserve(length, VIEW_MAX);
    const place = isSeekable ? (offset < 0 ? file.position : offset + done) : -1;
    let n = file.read(task, buffer.bytes, 0, length, place);
    if (n === MUST_WAIT) return readAgain(task, file, offset < 0 ? done - before : 0);
    if (n < 0) return done > 0 ? done : readError(file, n);
    if (isSeekable && n > 0) {
      n = vectorRoom(task, count, done, n);
      if (n === 0) return done > 0 ? done : -EFAULT;
    }
    const put = scatter(task, count, done, n);
    if (put < 0) return done > 0 ? done : put;
    done += put;
    if (isSeekable && offset < 0) file.position += put;
    if (put < length || done === total || !isSeekable) break;
    if (done === sliceEnd) {
      task.call.setDone(done);
      return letOthers(task, file);
    }
  }
  notifyPath(file.path, IN_ACCESS);
  return done;
}

function writev(task: Task, args: Args): number {
  const file = fileForWrite(task, args.i32(0));
  if (file === null) return -EBADF;
  const total = readVector(task, args.word(1), args.i32(2));
  return total < 0 ? total : writeVectorOrWait(task, file, args.i32(2), total, true);
}

function pwritev(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = openFile(task, args.i32(0));
  if (file === null) return -EBADF;
  if (!file.isSeekable) return -ESPIPE;
  if (!file.isWritable) return -EBADF;
  const total = readVector(task, args.word(1), args.i32(2));
  return total < 0 ? total : writeVectorAt(task, file, args.i32(2), total, offset);
}

function pwritev2(task: Task, args: Args): number {
  const flags = args.u32(5), offset = args.i53(3);
  if (offset < -1) return -EINVAL;
  const file = openFile(task, args.i32(0));
  if (file === null) return -EBADF;
  if (offset >= 0 && !file.isSeekable) return -ESPIPE;
  if (!file.isWritable) return -EBADF;
  if ((flags & ~RWF_SUPPORTED) !== 0) return -EOPNOTSUPP;
  const total = readVector(task, args.word(1), args.i32(2));
  if (total < 0) return total;
  if (!file.isSeekable) {
    return writeVectorOrWait(task, file, args.i32(2), total, (flags & RWF_NOWAIT) === 0);
  }
  // RWF_ flags: for this call the file has the corresponding O_ flags.
  const before = file.flags;
  if ((flags & RWF_APPEND) !== 0) file.flags |= O_APPEND;
  if ((flags & RWF_DSYNC) !== 0) file.flags |= O_DSYNC;
  if ((flags & RWF_SYNC) !== 0) file.flags |= O_SYNC;
  const result = writeVectorAt(task, file, args.i32(2), total, offset);
  file.flags = before;
  return result;
}

/** Writes the vector read last at the file's position, or into a stream, waiting as often as needed. */
function writeVectorOrWait(
  task: Task,
  file: File,
  count: number,
  total: number,
  mayWait: boolean,
): number {
  if (file.isSeekable) return writeVectorAt(task, file, count, total, -1);
  if (count === 1 && mayWait) return writeOrWait(task, file, vectorBase(0), vectorLength(0));
  let { done } = task.call;
  const sliceEnd = done + file.sliceBytes;
  for (;;) {
    if (done >= sliceEnd && mayWait) {
      task.call.setDone(done);
      return letOthers(task, file);
    }
    const length = gather(task, count, done, Math.min(total - done, VIEW_MAX));
    if (length < 0) return done > 0 ? done : length;
    const n = file.write(task, buffer.bytes, 0, length, -1);
    if (n === -EAGAIN) {
      if (!mayWait) return done > 0 ? done : -EAGAIN;
      task.call.setDone(done);
      return waitToWrite(task, file);
    }
    if (n < 0) return writeError(task, n, done);
    done += n;
    if (done >= total || n === 0) {
      notifyPath(file.path, IN_MODIFY);
      return done;
    }
  }
}

function writeVectorAt(task: Task, file: File, count: number, total: number, offset: number): number {
  if (count === 1) {
    return total > file.sliceBytes
      ? moveSlice(task, file, vectorBase(0), total, offset, writeFrom)
      : writeFrom(task, file, vectorBase(0), vectorLength(0), offset);
  }
  const { done: before } = task.call;
  const place = offset < 0 ? file.position : offset + before;
  total = before + beginWrite(task, file, place, total - before);
  if (total <= before) return before > 0 ? before : total;
  let done = before;
  const sliceEnd = Math.min(total, done + file.sliceBytes);
  while (done < sliceEnd) {
    const length = gather(task, count, done, Math.min(sliceEnd - done, VIEW_MAX));
    if (length < 0) {
      if (done === 0) return length;
      break;
    }
    const place = offset < 0 ? file.position : offset + done;
    const n = file.write(task, buffer.bytes, 0, length, place);
    if (n === MUST_WAIT && done === before) {
      task.call.hold(FILE, file);
      return n;
    }
    if (n < 0) {
      if (done === 0) return writeError(task, n, 0);
      break;
    }
    if (offset < 0) file.position = (file.flags & O_APPEND) !== 0 ? file.inode.size : place + n;
    done += n;
    if (n < length) return endWrite(file, done);
  }
  if (done < sliceEnd || done === total) return endWrite(file, done);
  task.call.setDone(done);
  return letOthers(task, file);
}

function vmsplice(task: Task, args: Args): number {
  const flags = args.u32(3);
  if ((flags & ~0xf) !== 0) return -EINVAL;
  const file = task.call.file(FILE, args.i32(0));
  if (file === null || file.asPipe() === null) return -EBADF;
  const isNonblocking = (flags & SPLICE_FLAGS.SPLICE_F_NONBLOCK) !== 0 || (file.flags & O_NONBLOCK) !== 0;
  const count = args.i32(2);
  if (!file.isWritable) {
    const result = readVectorFrom(task, file, args, -1);
    return result === -EAGAIN && !isNonblocking ? waitToRead(task, file) : result;
  }
  const total = readVector(task, args.word(1), count);
  if (total <= 0) return total;
  const room = file.asPipe()!.room();
  if (room < 0) return writeError(task, room, 0);
  if (room === 0) return isNonblocking ? -EAGAIN : waitToWrite(task, file);
  return writeVectorOrWait(task, file, count, bytesInPages(count, Math.ceil(room / PAGE_SIZE), room), false);
}

/** Bytes of the vector read last that lie in its first `pages` pages: what a pipe takes at once, iter_to_pipe(). */
function bytesInPages(count: number, pages: number, bytesMax: number): number {
  let bytes = 0;
  for (let i = 0; i < count && pages > 0; i++) {
    const length = vectorLength(i);
    if (length === 0) continue;
    const skipped = vectorBase(i) % PAGE_SIZE;
    const used = Math.min(pages, Math.ceil((skipped + length) / PAGE_SIZE));
    bytes += Math.min(length, used * PAGE_SIZE - skipped);
    pages -= used;
  }
  return Math.min(bytes, bytesMax);
}
