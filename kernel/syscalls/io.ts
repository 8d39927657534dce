// read(2), write(2), pread(2), pwrite(2), lseek(2). Bytes are moved directly between the file and a view of the
// caller's memory. vector.ts has the vector forms, transfer.ts the calls between two files.

import { EAGAIN, EBADF, EFAULT, EFBIG, EINVAL, EISDIR, EPIPE, ESPIPE } from "../abi/errno.ts";
import {
  IN_ACCESS,
  IN_MODIFY,
  O_APPEND,
  O_DSYNC,
  O_PATH,
  O_SYNC,
  S_IFCHR,
  S_IFMT,
  S_IFREG,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from "../abi/file.ts";
import { PAGE_SIZE, PROT_WRITE } from "../abi/memory.ts";
import { SIGPIPE, SIGXFSZ } from "../abi/signal.ts";
import { RLIMIT_FSIZE } from "../abi/task.ts";
import { NOT_MOVED, VIEW_MAX } from "../../platform/platform.ts";
import { raiseSignal } from "../signal/send.ts";
import type { Task } from "../task/task.ts";
import { MUST_WAIT } from "../task/call_in_flight.ts";
import { giveTurn, giveTurnKillable } from "../task/wait_engine.ts";
import { mayBePrivileged, removePrivileges } from "../vfs/attributes.ts";
import { DIRECT_BYTES_MIN } from "../vfs/direct.ts";
import { type File, SLICE_BYTES_MIN } from "../vfs/file.ts";
import { notifyPath } from "../vfs/notify.ts";
import type { Args } from "./args.ts";
import { FILE, fileForRead, fileForWrite, openFile, waitToRead, waitToWrite } from "./file_wait.ts";
import { FULL, type SyscallFamily } from "./table.ts";

/** MAX_RW_COUNT: the most bytes that one call moves. */
export const COUNT_MAX = 0x7fff_f000;
/** The most bytes per turn for terminals, which process each byte. */
const TERMINAL_SLICE_BYTES = 64 * 1024;
/** A size from here on is negative as ssize_t: access_ok() and rw_verify_area() refuse it. */
const SIZE_END = 2 ** 63;

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
};

function read(task: Task, args: Args): number {
  const file = fileForRead(task, args.i32(0));
  if (file === null) return -EBADF;
  const size = args.word(2);
  if (size > SLICE_BYTES_MIN && file.isSeekable && size > file.sliceBytes) {
    return moveSlice(task, file, args.word(1), size, -1, readInto);
  }
  const result = readInto(task, file, args.word(1), args.word(2), -1);
  return result === -EAGAIN ? waitToRead(task, file) : result;
}

function pread64(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = openFile(task, args.i32(0));
  if (file === null) return -EBADF;
  if (!file.isSeekable) return -ESPIPE;
  if (!file.isReadable) return -EBADF;
  const size = args.word(2);
  if (size > SLICE_BYTES_MIN && size > file.sliceBytes) {
    return moveSlice(task, file, args.word(1), size, offset, readInto);
  }
  return readInto(task, file, args.word(1), args.word(2), offset);
}

function write(task: Task, args: Args): number {
  const file = fileForWrite(task, args.i32(0));
  if (file === null) return -EBADF;
  const size = args.word(2);
  if (size > SLICE_BYTES_MIN && file.isSeekable && size > file.sliceBytes) {
    return moveSlice(task, file, args.word(1), size, -1, writeFrom);
  }
  return writeOrWait(task, file, args.word(1), args.word(2));
}

function pwrite64(task: Task, args: Args): number {
  const offset = args.i53(3);
  if (offset < 0) return -EINVAL;
  const file = openFile(task, args.i32(0));
  if (file === null) return -EBADF;
  if (!file.isSeekable) return -ESPIPE;
  if (!file.isWritable) return -EBADF;
  const size = args.word(2);
  if (size > SLICE_BYTES_MIN && size > file.sliceBytes) {
    return moveSlice(task, file, args.word(1), size, offset, writeFrom);
  }
  return writeFrom(task, file, args.word(1), args.word(2), offset);
}

/**
 * Moves one slice of a long transfer with `move`; other tasks have their turn before the next one. As on Linux a
 * signal does not end a transfer early, except for devices.
 */
export function moveSlice(
  task: Task,
  file: File,
  address: number,
  size: number,
  offset: number,
  move: typeof readInto,
): number {
  if (size >= SIZE_END) return -EINVAL;
  const { done } = task.call;
  const left = Math.min(size, COUNT_MAX) - done, count = Math.min(left, file.sliceBytes);
  const n = move(task, file, address + done, count, offset < 0 ? -1 : offset + done);
  if (n === MUST_WAIT) return n;
  if (n < 0) return done > 0 ? done : n;
  if (n < count || n === left) return done + n;
  task.call.advance(n);
  return letOthers(task, file);
}

/** Lets other tasks run before the call continues. */
export function letOthers(task: Task, file: File): number {
  task.call.hold(FILE, file);
  return file.inode.type === S_IFREG ? giveTurnKillable(task) : giveTurn(task, task.call.done);
}

function lseek(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  const whence = args.u32(2);
  if (whence > SEEK_HOLE) return -EINVAL;
  return file.seek(args.i53(1), whence);
}

// --- reading ------------------------------------------------------------------------------------------------------------

/** Reads up to `count` bytes at `offset` (-1: the position) into guest memory. -EAGAIN if it would wait. */
export function readInto(task: Task, file: File, address: number, count: number, offset: number): number {
  if (count > COUNT_MAX) {
    if (count >= SIZE_END) return -EINVAL;
    count = COUNT_MAX;
  }
  const isSeekable = file.isSeekable;
  const memory = task.memory;
  let done = 0;
  for (;;) {
    let length = count - done > VIEW_MAX ? VIEW_MAX : count - done;
    if (!isSeekable) {
      length = lengthToTake(
        file,
        length,
        task.mm.accessibleBytes(address, file.bytesAtStake(length), PROT_WRITE),
      );
      if (length < 0) return length;
    }
    const place = isSeekable ? (offset < 0 ? file.position : offset + done) : -1;
    let n = length < DIRECT_BYTES_MIN
      ? NOT_MOVED
      : file.asContent()?.readDirectly(task, address + done, length, place) ?? NOT_MOVED;
    const isMoved = n !== NOT_MOVED;
    if (!isMoved) {
      const at = memory.outView(address + done, length);
      if (at < 0) return done > 0 ? done : at;
      n = file.read(task, memory.view, at, length, place);
      if (n === MUST_WAIT) return readAgain(task, file, offset < 0 ? done : 0);
      if (n < 0) return done > 0 ? done : readError(file, n);
      if (n > 0 && isSeekable && (offset < 0 || crossesPage(address + done, n))) {
        // Views may be written back only at the end of the call: find where accessible memory ends before moving the
        // position.
        n = task.mm.accessibleBytes(address + done, n, PROT_WRITE);
        if (n === 0) return done > 0 ? done : -EFAULT;
      }
      const committed = memory.outCommit(n);
      if (committed < 0) return done > 0 ? done : committed;
    } else if (n < 0) {
      return done > 0 ? done : n;
    }
    done += n;
    if (isSeekable && offset < 0) file.position += n;
    // A pipe or socket returns what it has; only a regular file is read further.
    if (done === count || !isSeekable || n === 0 || (n < length && !isMoved)) break;
  }
  notifyPath(file.path, IN_ACCESS);
  task.threadGroup.bytesRead += done;
  task.threadGroup.readCalls++;
  return done;
}

/**
 * A read of a regular file must wait after `moved` bytes: it is made again from its start, when the host has those
 * bytes in memory.
 */
export function readAgain(task: Task, file: File, moved: number): number {
  task.call.hold(FILE, file);
  file.position -= moved;
  return MUST_WAIT;
}

/**
 * How many of `length` bytes to read from a file when guest memory has room for only the first `room` of those at
 * stake. A pipe returns whole pages that fit; -EFAULT leaves the bytes queued.
 */
export function lengthToTake(file: File, length: number, room: number): number {
  if (room >= file.bytesAtStake(length)) return length;
  return file.asPipe() !== null && room >= PAGE_SIZE ? room - room % PAGE_SIZE : -EFAULT;
}

function crossesPage(address: number, length: number): boolean {
  return address % PAGE_SIZE + length > PAGE_SIZE;
}

/** Reading a directory fails with EISDIR, not EINVAL. */
export function readError(file: File, result: number): number {
  return result === -EINVAL && file.inode.isDirectory ? -EISDIR : result;
}

// --- writing ------------------------------------------------------------------------------------------------------------

/** Writes all bytes at the position, waiting as often as needed. */
export function writeOrWait(task: Task, file: File, address: number, count: number): number {
  if (file.isSeekable) return writeFrom(task, file, address, count, -1);
  if (count > COUNT_MAX) {
    if (count >= SIZE_END) return -EINVAL;
    count = COUNT_MAX;
  }
  const memory = task.memory;
  const isDevice = file.inode.type === S_IFCHR;
  for (let { done } = task.call;;) {
    const length = isDevice ? Math.min(count - done, TERMINAL_SLICE_BYTES) : count - done;
    const at = viewBytes(task, address + done, length, piece);
    if (at < 0) return done > 0 ? done : at;
    const n = file.write(task, memory.view, at, piece.length, -1);
    if (n === -EAGAIN) {
      task.call.setDone(done);
      return waitToWrite(task, file);
    }
    if (n < 0) return writeError(task, n, done);
    done += n;
    if (done >= count || n === 0) {
      notifyPath(file.path, IN_MODIFY);
      task.threadGroup.bytesWritten += done;
      task.threadGroup.writeCalls++;
      return done;
    }
    if (isDevice && n === TERMINAL_SLICE_BYTES) {
      task.call.setDone(done);
      return letOthers(task, file);
    }
  }
}

/** Writes up to `count` bytes of guest memory at `offset` (-1: the position) of a regular file. */
export function writeFrom(task: Task, file: File, address: number, count: number, offset: number): number {
  if (count > COUNT_MAX) {
    if (count >= SIZE_END) return -EINVAL;
    count = COUNT_MAX;
  }
  count = beginWrite(task, file, offset < 0 ? file.position : offset, count);
  if (count <= 0) return count;
  let done = 0;
  while (done < count) {
    const place = offset < 0 ? file.position : offset + done;
    let n = count - done < DIRECT_BYTES_MIN
      ? NOT_MOVED
      : file.asContent()?.writeDirectly(task, address + done, Math.min(count - done, VIEW_MAX), place) ??
        NOT_MOVED;
    if (n > 0) {
      piece.length = n;
    } else if (n === NOT_MOVED) {
      const at = viewBytes(task, address + done, count - done, piece);
      if (at < 0) {
        if (done === 0) return at;
        break;
      }
      n = file.write(task, task.memory.view, at, piece.length, place);
    }
    if (n < 0) {
      if (done === 0) {
        if (n === MUST_WAIT) task.call.hold(FILE, file);
        return writeError(task, n, 0);
      }
      break;
    }
    if (offset < 0) file.position = (file.flags & O_APPEND) !== 0 ? file.inode.size : place + n;
    done += n;
    if (n < piece.length) break;
  }
  task.threadGroup.bytesWritten += done;
  task.threadGroup.writeCalls++;
  return endWrite(file, done);
}

/** A part of guest memory to be written to a file. */
class Piece {
  length = 0;
}

const piece = new Piece();

/** The index in the view of up to `length` bytes to write; fewer if memory ends after the first page. */
function viewBytes(task: Task, address: number, length: number, into: Piece): number {
  if (length > VIEW_MAX) length = VIEW_MAX;
  into.length = length;
  const at = task.memory.inView(address, length);
  if (at >= 0) return at;
  into.length = PAGE_SIZE - address % PAGE_SIZE;
  return into.length < length ? task.memory.inView(address, into.length) : at;
}

/** The result of a write that fails with `error` after `done` bytes: EPIPE raises SIGPIPE even after some bytes. */
export function writeError(task: Task, error: number, done: number): number {
  if (error === -EPIPE) raiseSignal(task, SIGPIPE);
  return done > 0 ? done : error;
}

/**
 * Before a write to a regular file: returns the number of bytes that RLIMIT_FSIZE allows, or -EFBIG with SIGXFSZ;
 * removes setuid bits and file capabilities (file_remove_privs()).
 */
export function beginWrite(task: Task, file: File, offset: number, count: number): number {
  const inode = file.inode;
  if ((inode.mode & S_IFMT) !== S_IFREG || count === 0) return count;
  if (mayBePrivileged(inode)) removePrivileges(task, inode);
  const limit = task.threadGroup.limits.soft(RLIMIT_FSIZE);
  if (limit === Infinity) return offset + count > Number.MAX_SAFE_INTEGER ? -EFBIG : count;
  const from = (file.flags & O_APPEND) !== 0 ? inode.size : offset;
  if (from >= limit) {
    raiseSignal(task, SIGXFSZ);
    return -EFBIG;
  }
  return Math.min(count, limit - from);
}

/** After a write to a regular file: O_SYNC, inotify. Returns `done`. */
export function endWrite(file: File, done: number): number {
  if ((file.flags & O_DSYNC) !== 0 && !file.syncsWrites) {
    const synced = file.sync((file.flags & O_SYNC) !== O_SYNC);
    if (synced < 0 && synced !== -EINVAL) return synced;
  }
  if (done > 0) notifyPath(file.path, IN_MODIFY);
  return done;
}
