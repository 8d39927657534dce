// Calls that move bytes between two files: sendfile(2), copy_file_range(2), splice(2), tee(2). Bytes pass through a
// buffer here; they are removed from a pipe only after the other file has taken them.

import { EAGAIN, EBADF, EINVAL, EISDIR, EOVERFLOW, EPIPE, ERESTARTSYS, ESPIPE, EXDEV } from "../abi/errno.ts";
import {
  IN_MODIFY,
  O_APPEND,
  O_NONBLOCK,
  O_PATH,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  S_IFMT,
  S_IFREG,
} from "../abi/file.ts";
import { i64, put64 } from "../abi/struct.ts";
import type { Task } from "../task/task.ts";
import { giveTurn, suspend } from "../task/wait_engine.ts";
import type { File } from "../vfs/file.ts";
import type { PipeEnd } from "../vfs/file_kinds.ts";
import { notifyPath } from "../vfs/notify.ts";
import type { Args } from "./args.ts";
import { FILE, fileForRead, fileForWrite, SECOND_FILE, TRANSFER, waitToWrite } from "./file_wait.ts";
import { beginWrite, COUNT_MAX, writeError } from "./io.ts";
import { FULL, type SyscallFamily } from "./table.ts";
import { SPLICE_FLAGS } from "./vector.ts";

/** Bytes per step, and bytes per turn. */
const STEP_BYTES = 64 * 1024;
const SLICE_BYTES = 1024 * 1024;
const SPLICE_KNOWN = 0xf;

export const TRANSFER_CALLS: SyscallFamily = {
  sendfile: {
    nr: { x64: 40, arm64: 71 },
    args: { out_fd: "fd", in_fd: "fd", offset: { inOut: 8 }, count: "size" },
    returns: "size",
    support: FULL,
    run: sendfile,
  },
  splice: {
    nr: { x64: 275, arm64: 76 },
    args: {
      fd_in: "fd",
      off_in: { inOut: 8 },
      fd_out: "fd",
      off_out: { inOut: 8 },
      len: "size",
      flags: { flags: SPLICE_FLAGS },
    },
    returns: "size",
    support: FULL,
    run: splice,
  },
  tee: {
    nr: { x64: 276, arm64: 77 },
    args: { fd_in: "fd", fd_out: "fd", len: "size", flags: { flags: SPLICE_FLAGS } },
    returns: "size",
    support: FULL,
    run: tee,
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

const step = new Uint8Array(STEP_BYTES);
const offsetBytes = new Uint8Array(8);

/** The offset of a call: the one at `pointer`, or the file's position. -ERRNO. */
function readOffset(task: Task, pointer: number, file: File): number {
  if (pointer === 0) return file.isSeekable ? file.position : 0;
  const at = task.memory.inView(pointer, 8);
  if (at < 0) return at;
  const offset = i64(task.memory.view, at);
  if (offset < 0) return -EINVAL;
  return offset > Number.MAX_SAFE_INTEGER ? -EOVERFLOW : offset;
}

/** Writes the offset back to where readOffset() read it. 0 or -EFAULT. */
function writeOffset(task: Task, pointer: number, file: File, offset: number): number {
  if (pointer === 0) {
    if (file.isSeekable) file.position = offset;
    return 0;
  }
  put64(offsetBytes, 0, offset);
  return task.memory.copyOut(pointer, offsetBytes, 0, 8);
}

/** Why pump() ended before `count`: 0 for the end of input, or -ERRNO. */
class PumpEnd {
  result = 0;
}

const end = new PumpEnd();

/** Copies up to `count` bytes from a regular file to another file; returns their number. */
function pump(
  task: Task,
  from: File,
  offset: number,
  to: File,
  toOffset: number,
  count: number,
  end: PumpEnd,
): number {
  end.result = 0;
  let done = 0;
  while (done < count) {
    const got = from.read(task, step, 0, Math.min(STEP_BYTES, count - done), offset + done);
    if (got <= 0) {
      end.result = got;
      break;
    }
    const put = to.write(task, step, 0, got, toOffset < 0 ? -1 : toOffset + done);
    if (put < 0) {
      end.result = put;
      break;
    }
    done += put;
    if (put < got && toOffset >= 0) break;
  }
  if (done > 0) notifyPath(to.path, IN_MODIFY);
  return done;
}

function sendfile(task: Task, args: Args): number {
  const from = fileForRead(task, args.i32(1), SECOND_FILE);
  if (from === null) return -EBADF;
  const pointer = args.word(2);
  if (!from.isSeekable && pointer !== 0) return -ESPIPE;
  const { state, done: before } = task.call;
  // do_sendfile(): the offset is checked before the file to write.
  const start = state.kind === "sendfile" ? state.start : readOffset(task, pointer, from);
  if (start < 0) return start;
  const to = fileForWrite(task, args.i32(0));
  if (to === null) return -EBADF;
  if (!from.isSeekable || !from.canSplice || from.inode.isDirectory || (to.flags & O_APPEND) !== 0) {
    return -EINVAL;
  }
  let left = Math.min(args.word(3), COUNT_MAX) - before;
  const toOffset = to.isSeekable ? to.position : -1;
  if (toOffset >= 0) {
    left = beginWrite(task, to, toOffset, left);
    if (left < 0) return left;
  }
  const count = Math.min(left, SLICE_BYTES);
  const n = pump(task, from, start + before, to, toOffset, count, end);
  if (to.isSeekable) to.position += n;
  const done = before + n;
  const isWaiting = n < count && end.result === -EAGAIN && (to.flags & O_NONBLOCK) === 0;
  if (done === 0 && end.result < 0 && !isWaiting) return writeError(task, end.result, 0);
  if (end.result === -EPIPE) writeError(task, end.result, done);
  const written = writeOffset(task, pointer, from, start + done);
  if (written < 0) return written;
  const isSlice = n === count && count < left;
  if (!isWaiting && !isSlice) return done;
  const next = state.kind === "sendfile" ? state : { kind: "sendfile", start } as const;
  task.call.setDone(done);
  task.call.hold(SECOND_FILE, from);
  if (isWaiting) return waitToWrite(task, to, next);
  task.call.hold(FILE, to);
  return giveTurn(task, done, next);
}

/** Linux: updates the offsets at the end; here after each turn. */
function copyFileRange(task: Task, args: Args): number {
  const { call } = task;
  const from = call.file(FILE, args.i32(0)), to = call.file(SECOND_FILE, args.i32(2));
  if (from === null || to === null || ((from.flags | to.flags) & O_PATH) !== 0) return -EBADF;
  if (args.u32(5) !== 0) return -EINVAL;
  if (from.inode.isDirectory || to.inode.isDirectory) return -EISDIR;
  if (!isRegular(from) || !isRegular(to)) return -EINVAL;
  if (!from.isReadable || !to.isWritable || (to.flags & O_APPEND) !== 0) return -EBADF;
  if (from.inode.fs !== to.inode.fs) return -EXDEV;
  const fromPointer = args.word(1), toPointer = args.word(3);
  const fromAt = readOffset(task, fromPointer, from), toAt = readOffset(task, toPointer, to);
  if (fromAt < 0) return fromAt;
  if (toAt < 0) return toAt;
  const { done } = call;
  let count = Math.min(args.word(4), COUNT_MAX) - done;
  // generic_copy_file_checks(): what lies beyond the end overlaps nothing.
  count = Math.min(count, Math.max(0, from.inode.size - fromAt));
  if (from.inode === to.inode && fromAt < toAt + count && toAt < fromAt + count) return -EINVAL;
  count = beginWrite(task, to, toAt, count);
  if (count <= 0) return done > 0 ? done : count;
  const slice = Math.min(count, SLICE_BYTES);
  const n = pump(task, from, fromAt, to, toAt, slice, end);
  if (n === 0) return done > 0 ? done : end.result;
  const first = writeOffset(task, fromPointer, from, fromAt + n);
  const second = writeOffset(task, toPointer, to, toAt + n);
  if (first < 0 || second < 0) return first < 0 ? first : second;
  if (n < slice || slice === count) return done + n;
  call.advance(n);
  call.hold(FILE, from);
  call.hold(SECOND_FILE, to);
  return giveTurn(task, done + n);
}

function isRegular(file: File): boolean {
  return (file.inode.mode & S_IFMT) === S_IFREG && file.isSeekable;
}

/**
 * Linux: no limit but the pipe's size; here SLICE_BYTES per call, which is more than a pipe of pipe-max-size holds.
 */
function splice(task: Task, args: Args): number {
  const flags = args.u32(5);
  if ((flags & ~SPLICE_KNOWN) !== 0) return -EINVAL;
  const count = Math.min(args.word(4), SLICE_BYTES);
  if (count === 0) return 0;
  const from = fileForRead(task, args.i32(0)), to = fileForWrite(task, args.i32(2), SECOND_FILE);
  if (from === null || to === null) return -EBADF;
  const fromPointer = args.word(1), toPointer = args.word(3);
  const source = from.asPipe(), sink = to.asPipe();
  if (source !== null && fromPointer !== 0) return -ESPIPE;
  if (sink !== null && toPointer !== 0) return -ESPIPE;
  const mayWait = (flags & SPLICE_FLAGS.SPLICE_F_NONBLOCK) === 0;
  if (source !== null && sink !== null) {
    if (source.queue === sink.queue) return -EINVAL;
    return between(task, source, sink, count, true, mayWait);
  }
  if (source !== null) return outOfPipe(task, source, to, toPointer, count, mayWait);
  return sink !== null ? intoPipe(task, from, fromPointer, sink, count, mayWait) : -EINVAL;
}

function tee(task: Task, args: Args): number {
  const flags = args.u32(3);
  if ((flags & ~SPLICE_KNOWN) !== 0) return -EINVAL;
  const count = Math.min(args.word(2), SLICE_BYTES);
  if (count === 0) return 0;
  const from = fileForRead(task, args.i32(0)), to = fileForWrite(task, args.i32(1), SECOND_FILE);
  if (from === null || to === null) return -EBADF;
  const source = from.asPipe(), sink = to.asPipe();
  if (source === null || sink === null || source.queue === sink.queue) return -EINVAL;
  return between(task, source, sink, count, false, (flags & SPLICE_FLAGS.SPLICE_F_NONBLOCK) === 0);
}

/** Moves bytes between two pipes; with `consumes` they leave the first. */
function between(
  task: Task,
  from: PipeEnd,
  to: PipeEnd,
  count: number,
  consumes: boolean,
  mayWait: boolean,
): number {
  let done = 0;
  while (done < count) {
    const got = from.peek(step, 0, Math.min(STEP_BYTES, count - done), consumes ? 0 : done);
    if (got <= 0) return done > 0 ? done : waitOrFail(task, from, to, from, POLLIN, got, mayWait);
    const room = to.room();
    // Writes no more than fits: a write of at most PIPE_BUF bytes is atomic and would wait for room for all of it.
    const put = room > 0 ? to.write(task, step, 0, Math.min(got, room), -1) : room < 0 ? room : -EAGAIN;
    if (put < 0) {
      if (put === -EAGAIN && done > 0) return done;
      return put === -EAGAIN
        ? waitOrFail(task, from, to, to, POLLOUT, put, mayWait)
        : writeError(task, put, done);
    }
    if (consumes) from.consume(put);
    done += put;
    if (put < got) break;
  }
  return done;
}

function outOfPipe(
  task: Task,
  from: PipeEnd,
  to: File,
  pointer: number,
  count: number,
  mayWait: boolean,
): number {
  if (pointer !== 0 && !to.isSeekable) return -EINVAL;
  if ((to.flags & O_APPEND) !== 0) return -EINVAL;
  const start = readOffset(task, pointer, to);
  if (start < 0) return start;
  if (to.isSeekable) {
    count = beginWrite(task, to, start, count);
    if (count < 0) return count;
  }
  let done = 0, stop = 0, waits: File | null = null;
  while (done < count) {
    const got = from.peek(step, 0, Math.min(STEP_BYTES, count - done), 0);
    if (got <= 0) {
      stop = got;
      waits = from;
      break;
    }
    const put = to.write(task, step, 0, got, to.isSeekable ? start + done : -1);
    if (put < 0) {
      stop = put;
      waits = to;
      break;
    }
    from.consume(put);
    done += put;
  }
  if (done === 0 && waits !== null) {
    if (waits === from) return waitOrFail(task, from, to, from, POLLIN, stop, mayWait);
    return stop === -EAGAIN
      ? waitOrFail(task, from, to, to, POLLOUT, stop, mayWait)
      : writeError(task, stop, 0);
  }
  const written = writeOffset(task, pointer, to, start + done);
  if (done > 0) notifyPath(to.path, IN_MODIFY);
  return written < 0 ? written : done;
}

function intoPipe(
  task: Task,
  from: File,
  pointer: number,
  to: PipeEnd,
  count: number,
  mayWait: boolean,
): number {
  if (pointer !== 0 && !from.isSeekable) return -EINVAL;
  if (!from.canSplice || from.inode.isDirectory) return -EINVAL;
  const start = readOffset(task, pointer, from);
  if (start < 0) return start;
  const room = to.room();
  if (room < 0) return writeError(task, room, 0);
  if (room === 0) return waitOrFail(task, from, to, to, POLLOUT, -EAGAIN, mayWait);
  // Read no more than the pipe has room for: a socket's bytes cannot be put back.
  const got = from.read(task, step, 0, Math.min(STEP_BYTES, count, room), from.isSeekable ? start : -1);
  if (got <= 0) return waitOrFail(task, from, to, from, POLLIN | POLLRDHUP, got, mayWait);
  const put = to.write(task, step, 0, got, -1);
  if (put < 0) return writeError(task, put, 0);
  const written = writeOffset(task, pointer, from, start + put);
  return written < 0 ? written : put;
}

/**
 * Nothing was moved between `from` and `to`: waits on `file`, one of them, if `result` is -EAGAIN and waiting is
 * allowed.
 */
function waitOrFail(
  task: Task,
  from: File,
  to: File,
  file: File,
  events: number,
  result: number,
  mayWait: boolean,
): number {
  if (result !== -EAGAIN || !mayWait || (file.flags & O_NONBLOCK) !== 0) return result;
  const { call } = task;
  call.hold(FILE, from);
  call.hold(SECOND_FILE, to);
  call.waitOn(file.queue, events);
  return suspend(task, TRANSFER, -ERESTARTSYS);
}
