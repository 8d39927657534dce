// Calls on descriptors: close, dup, fcntl, ioctl, flock, truncation and sync.

import {
  EBADF,
  EFAULT,
  EFBIG,
  EINTR,
  EINVAL,
  EISDIR,
  ENODEV,
  ENOTTY,
  EOPNOTSUPP,
  EPERM,
  ESPIPE,
  EXDEV,
} from "../abi/errno.ts";
import {
  AT_FDCWD,
  CLOSE_RANGE_CLOEXEC,
  CLOSE_RANGE_UNSHARE,
  F_ADD_SEALS,
  F_CREATED_QUERY,
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_GET_SEALS,
  F_GETFD,
  F_GETFL,
  F_GETLEASE,
  F_GETLK,
  F_GETOWN,
  F_GETOWN_EX,
  F_GETPIPE_SZ,
  F_GETSIG,
  F_NOTIFY,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_SETFD,
  F_SETFL,
  F_SETLEASE,
  F_SETLK,
  F_SETLKW,
  F_SETOWN,
  F_SETOWN_EX,
  F_SETPIPE_SZ,
  F_SETSIG,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FD_CLOEXEC,
  FICLONE,
  FIOASYNC,
  FIOCLEX,
  FIOGETOWN,
  FIONBIO,
  FIONCLEX,
  FIONREAD,
  FIOQSIZE,
  FIOSETOWN,
  IN_MODIFY,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  O_APPEND,
  O_CLOEXEC,
  O_DIRECT,
  O_NOATIME,
  O_NONBLOCK,
  O_PATH,
  PATH_MAX,
  S_IFBLK,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SIOCGPGRP,
  SIOCSPGRP,
} from "../abi/file.ts";
import { PAGE_SIZE } from "../abi/memory.ts";
import { i32, put32, put64, u64 } from "../abi/struct.ts";
import { RLIMIT_FSIZE, RLIMIT_NOFILE } from "../abi/task.ts";
import { SIGXFSZ } from "../abi/signal.ts";
import { raiseSignal } from "../signal/send.ts";
import { MUST_WAIT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { giveTurn } from "../task/wait_engine.ts";
import type { File } from "../vfs/file.ts";
import {
  changesAsync,
  getOwner,
  getOwnerEx,
  getOwnerSignal,
  setAsync,
  setNotify,
  setOwner,
  setOwnerEx,
  setOwnerSignal,
} from "./file_owner.ts";
import { flock, getLock, setLock } from "./lock.ts";
import { mayBePrivileged, removePrivileges, truncatePath } from "../vfs/attributes.ts";
import { notifyPath } from "../vfs/notify.ts";
import { isOwnerOrCapable } from "../vfs/permission.ts";
import { FOLLOW, resolve } from "../vfs/path_walk.ts";
import type { Args } from "./args.ts";
import { FILE } from "./file_wait.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const O_ASYNC = 0o20000;
const SETFL_FLAGS = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | O_ASYNC;
/**
 * The most that fallocate(2) allocates or punches per turn, as the host finds and clears the memory meanwhile. Linux:
 * an allocation that a signal ends is undone; here that part stays allocated.
 */
const ALLOCATION_BYTES_MAX = 8 * 2 ** 20;
/** The modes of fallocate(2) that Linux has; a file system may support fewer. */
const FALLOC_FL_KNOWN = 0x7f;

export const DESCRIPTOR_CALLS: SyscallFamily = {
  close: {
    nr: { x64: 3, arm64: 57 },
    args: { fd: "fd" },
    returns: "int",
    support: FULL,
    run: (task, args) => task.files.close(task, args.i32(0)),
  },
  ioctl: {
    nr: { x64: 16, arm64: 29 },
    args: { fd: "fd", request: "uint", argp: "word" },
    returns: "int",
    support: partial("requests of the files that exist here; others answer ENOTTY"),
    run: ioctl,
  },
  dup: { nr: { x64: 32, arm64: 23 }, args: { oldfd: "fd" }, returns: "fd", support: FULL, run: dup },
  dup2: { nr: { x64: 33 }, args: { oldfd: "fd", newfd: "fd" }, returns: "fd", support: FULL, run: dup2 },
  dup3: {
    nr: { x64: 292, arm64: 24 },
    args: { oldfd: "fd", newfd: "fd", flags: { flags: { O_CLOEXEC } } },
    returns: "fd",
    support: FULL,
    run: dup3,
  },
  fcntl: {
    nr: { x64: 72, arm64: 25 },
    args: { fd: "fd", cmd: "int", arg: "word" },
    returns: "int",
    support: partial("no leases"),
    run: fcntl,
  },
  flock: {
    nr: { x64: 73, arm64: 32 },
    args: { fd: "fd", operation: { flags: { LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN } } },
    returns: "int",
    support: FULL,
    run: flockCall,
  },
  fsync: {
    nr: { x64: 74, arm64: 82 },
    args: { fd: "fd" },
    returns: "int",
    support: FULL,
    run: (t, a) => sync(t, a, false),
  },
  fdatasync: {
    nr: { x64: 75, arm64: 83 },
    args: { fd: "fd" },
    returns: "int",
    support: FULL,
    run: (task, args) => sync(task, args, true),
  },
  truncate: {
    nr: { x64: 76, arm64: 45 },
    args: { path: "path", length: "offset" },
    returns: "int",
    support: FULL,
    run: truncate,
  },
  ftruncate: {
    nr: { x64: 77, arm64: 46 },
    args: { fd: "fd", length: "offset" },
    returns: "int",
    support: FULL,
    run: ftruncate,
  },
  sync: { nr: { x64: 162, arm64: 81 }, args: {}, returns: "int", support: FULL, run: syncAll },
  syncfs: { nr: { x64: 306, arm64: 267 }, args: { fd: "fd" }, returns: "int", support: FULL, run: syncfs },
  sync_file_range: {
    nr: { x64: 277, arm64: 84 },
    args: { fd: "fd", offset: "offset", nbytes: "offset", flags: "uint" },
    returns: "int",
    support: partial("syncs the whole file"),
    run: syncFileRange,
  },
  fallocate: {
    nr: { x64: 285, arm64: 47 },
    args: { fd: "fd", mode: "int", offset: "offset", len: "offset" },
    returns: "int",
    support: FULL,
    run: fallocate,
  },
  cachestat: {
    nr: { x64: 451, arm64: 451 },
    args: { fd: "fd", cstat_range: { in: 16 }, cstat: { out: 40 }, flags: "uint" },
    returns: "int",
    support: partial("pages that a file has count as cached; dirty and evicted ones are the host's to know"),
    run: cachestat,
  },
  fadvise64: {
    nr: { x64: 221, arm64: 223 },
    args: { fd: "fd", offset: "offset", len: "offset", advice: "int" },
    returns: "int",
    support: partial("checked; the host's page cache decides"),
    run: fadvise,
  },
  readahead: {
    nr: { x64: 187, arm64: 213 },
    args: { fd: "fd", offset: "offset", count: "size" },
    returns: "int",
    support: partial("checked; the host's page cache decides"),
    run: readahead,
  },
  close_range: {
    nr: { x64: 436, arm64: 436 },
    args: { first: "uint", last: "uint", flags: { flags: { CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC } } },
    returns: "int",
    support: FULL,
    run: closeRange,
  },
};

function dup(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  return file === null ? -EBADF : duplicate(task, file, false, 0);
}

function duplicate(task: Task, file: File, closeOnExec: boolean, from: number): number {
  file.hold();
  const fd = task.files.allocate(task, file, closeOnExec, from);
  if (fd < 0) file.drop();
  return fd;
}

function dup2(task: Task, args: Args): number {
  const from = args.i32(0), to = args.i32(1);
  const file = task.files.get(from);
  if (file === null) return -EBADF;
  return from === to ? to : place(task, file, to, false);
}

function dup3(task: Task, args: Args): number {
  const flags = args.u32(2);
  if ((flags & ~O_CLOEXEC) !== 0) return -EINVAL;
  const from = args.i32(0), to = args.i32(1);
  if (from === to) return -EINVAL;
  const file = task.files.get(from);
  return file === null ? -EBADF : place(task, file, to, flags !== 0);
}

function place(task: Task, file: File, fd: number, closeOnExec: boolean): number {
  if (fd < 0 || fd >= task.threadGroup.limits.soft(RLIMIT_NOFILE)) return -EBADF;
  file.hold();
  task.files.replace(task, fd, file, closeOnExec);
  return fd;
}

function fcntl(task: Task, args: Args): number {
  const fd = args.i32(0), command = args.i32(1);
  const file = task.files.get(fd);
  if (file === null) return -EBADF;
  if ((file.flags & O_PATH) !== 0 && !WORKS_ON_PATH.has(command)) return -EBADF;
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      if (args.i32(2) < 0 || args.i32(2) >= task.threadGroup.limits.soft(RLIMIT_NOFILE)) return -EINVAL;
      return duplicate(task, file, command === F_DUPFD_CLOEXEC, args.i32(2));
    case F_GETFD:
      return task.files.isCloseOnExec(fd) ? FD_CLOEXEC : 0;
    case F_SETFD:
      task.files.setCloseOnExec(fd, (args.u32(2) & FD_CLOEXEC) !== 0);
      return 0;
    case F_GETFL:
      return file.flags;
    case F_SETFL:
      return setStatusFlags(task, file, fd, args.u32(2));
    case F_GETLK:
    case F_OFD_GETLK:
      return getLock(task, file, args, command === F_OFD_GETLK);
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
      return setLock(task, file, args, command);
    case F_GETOWN:
      return getOwner(task, file);
    case F_SETOWN:
      return setOwner(task, file, args.i32(2));
    case F_GETOWN_EX:
      return getOwnerEx(task, file, args.word(2));
    case F_SETOWN_EX:
      return setOwnerEx(task, file, args.word(2));
    case F_GETSIG:
      return getOwnerSignal(file);
    case F_SETSIG:
      return setOwnerSignal(file, args.i32(2));
    case F_NOTIFY:
      return setNotify(task, file, args.i32(0), args.u32(2));
    case F_GETLEASE:
      return 2; // F_UNLCK: no lease
    case F_SETLEASE:
      return -EINVAL;
    case F_CREATED_QUERY:
      return file.wasCreated ? 1 : 0;
    case F_GETPIPE_SZ:
      return file.asPipe()?.capacity ?? -EBADF;
    case F_SETPIPE_SZ:
      // pipe_fcntl() takes the argument as an unsigned int.
      return file.asPipe()?.resize(task, args.u32(2)) ?? -EBADF;
    case F_ADD_SEALS:
      return file.isWritable ? file.asSealable()?.addSeals(args.word(2)) ?? -EINVAL : -EPERM;
    case F_GET_SEALS:
      return file.asSealable()?.seals ?? -EINVAL;
    default:
      return -EINVAL;
  }
}

const WORKS_ON_PATH = new Set([F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL]);

function setStatusFlags(task: Task, file: File, fd: number, wanted: number): number {
  const changed = (file.flags ^ wanted) & SETFL_FLAGS;
  if ((changed & O_NOATIME & wanted) !== 0 && !isOwnerOrCapable(task.credentials, file.inode)) return -EPERM;
  const isDirect = (changed & O_DIRECT & wanted) !== 0;
  if (isDirect && file.asContent() === null && file.asPipe() === null) return -EINVAL;
  return changeFlags(file, fd, (file.flags & ~SETFL_FLAGS) | (wanted & SETFL_FLAGS));
}

function changeFlags(file: File, fd: number, flags: number): number {
  const before = file.flags;
  const result = file.setFlags(flags);
  if (result === 0 && changesAsync(before, flags)) setAsync(file, fd, (flags & O_ASYNC) !== 0);
  return result;
}

const small = new Uint8Array(8);
/** struct cachestat_range, struct cachestat. */
const CACHE_RANGE_BYTES = 16, CACHE_STATE_BYTES = 40;
const cached = new Uint8Array(CACHE_STATE_BYTES);
/** The unit of st_blocks. */
const BLOCK_BYTES = 512;

function ioctl(task: Task, args: Args): number {
  const fd = args.i32(0), request = args.u32(1), pointer = args.word(2);
  const file = task.files.get(fd);
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  switch (request) {
    case FIOCLEX:
      task.files.setCloseOnExec(fd, true);
      return 0;
    case FIONCLEX:
      task.files.setCloseOnExec(fd, false);
      return 0;
    case FIONBIO:
    case FIOASYNC: {
      if (task.memory.copyIn(pointer, small, 0, 4) < 0) return -EFAULT;
      const flag = request === FIONBIO ? O_NONBLOCK : O_ASYNC;
      return changeFlags(file, fd, i32(small, 0) !== 0 ? file.flags | flag : file.flags & ~flag);
    }
    case FIONREAD:
      if ((file.inode.mode & S_IFMT) !== S_IFREG) break;
      put32(small, 0, Math.max(0, file.inode.size - file.position));
      return task.memory.copyOut(pointer, small, 0, 4);
    case FIOQSIZE: {
      const { type } = file.inode;
      if (type !== S_IFREG && type !== S_IFDIR && type !== S_IFLNK) return -ENOTTY;
      put64(small, 0, file.inode.size);
      return task.memory.copyOut(pointer, small, 0, 8);
    }
    case FIOSETOWN:
    case SIOCSPGRP:
      if (file.asSocket() === null) break;
      return task.memory.copyIn(pointer, small, 0, 4) < 0 ? -EFAULT : setOwner(task, file, i32(small, 0));
    case FIOGETOWN:
    case SIOCGPGRP:
      if (file.asSocket() === null) break;
      put32(small, 0, getOwner(task, file));
      return task.memory.copyOut(pointer, small, 0, 4);
    case FICLONE:
      return refuseClone(task.files.getOpen(args.i32(2)), file);
  }
  return file.ioctl(task, request, pointer);
}

/** FICLONE: no file system here shares blocks between files; this errno makes cp(1) copy. */
function refuseClone(from: File | null, to: File): number {
  if (from === null) return -EBADF;
  if (from.inode.fs !== to.inode.fs) return -EXDEV;
  if (from.inode.isDirectory || to.inode.isDirectory) return -EISDIR;
  if (from.inode.type !== S_IFREG || to.inode.type !== S_IFREG) return -EINVAL;
  if (!from.isReadable || !to.isWritable || (to.flags & O_APPEND) !== 0) return -EBADF;
  return -EOPNOTSUPP;
}

function flockCall(task: Task, args: Args): number {
  const file = task.call.file(FILE, args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  return flock(task, file, args.i32(1));
}

function sync(task: Task, args: Args, isDataOnly: boolean): number {
  const file = task.call.file(FILE, args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  const result = file.syncCall(isDataOnly);
  if (result === MUST_WAIT) task.call.hold(FILE, file);
  return result;
}

function truncate(task: Task, args: Args): number {
  const size = args.i53(1);
  if (size < 0) return -EINVAL;
  const name = task.memory.readString(args.word(0), PATH_MAX);
  if (typeof name === "number") return name;
  const path = resolve(task, AT_FDCWD, name, FOLLOW);
  if (typeof path === "number") return path;
  const result = truncatePath(task, path, size);
  if (result === -EFBIG) raiseSignal(task, SIGXFSZ);
  return result;
}

function overFileLimit(task: Task, size: number): boolean {
  if (size <= task.threadGroup.limits.soft(RLIMIT_FSIZE)) return false;
  raiseSignal(task, SIGXFSZ);
  return true;
}

function ftruncate(task: Task, args: Args): number {
  const size = args.i53(1);
  if (size < 0) return -EINVAL;
  const file = task.call.file(FILE, args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  if ((file.inode.mode & S_IFMT) !== S_IFREG || !file.isWritable) return -EINVAL;
  if (overFileLimit(task, size)) return -EFBIG;
  const result = file.asContent()?.truncate(size) ?? -EINVAL;
  if (result === MUST_WAIT) task.call.hold(FILE, file);
  if (result < 0) return result;
  if (mayBePrivileged(file.inode)) removePrivileges(task, file.inode);
  notifyPath(file.path, IN_MODIFY);
  return 0;
}

function syncAll(task: Task): number {
  for (const mount of task.namespaces.mount.mounts()) mount.fs.sync();
  return 0;
}

function syncfs(task: Task, args: Args): number {
  const file = task.files.getOpen(args.i32(0));
  return file === null ? -EBADF : file.inode.fs.sync();
}

function syncFileRange(task: Task, args: Args): number {
  const file = task.call.file(FILE, args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  if ((args.u32(3) & ~7) !== 0 || args.i53(1) < 0 || args.i53(2) < 0) return -EINVAL;
  const { type } = file.inode;
  if (type !== S_IFREG && type !== S_IFBLK && type !== S_IFDIR && type !== S_IFLNK) return -ESPIPE;
  const result = file.syncCall(true);
  if (result === MUST_WAIT) task.call.hold(FILE, file);
  // A file without pages to write back: success.
  return result === -EINVAL ? 0 : result;
}

function fallocate(task: Task, args: Args): number {
  const offset = args.i53(2), length = args.i53(3), mode = args.u32(1);
  const file = task.call.file(FILE, args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  const { done } = task.call;
  if (done === 0) {
    const refused = mayAllocate(task, file, mode, offset, length);
    if (refused < 0) return refused;
    if (mayBePrivileged(file.inode)) removePrivileges(task, file.inode);
  }
  const at = offset + done;
  const piece = Math.min(length - done, ALLOCATION_BYTES_MAX - at % ALLOCATION_BYTES_MAX);
  const result = file.asContent()?.allocate(mode, at, piece) ?? -EOPNOTSUPP;
  if (result === MUST_WAIT) task.call.hold(FILE, file);
  if (result < 0) return result;
  if (done + piece === length) {
    notifyPath(file.path, IN_MODIFY);
    return result;
  }
  task.call.advance(piece);
  task.call.hold(FILE, file);
  return giveTurn(task, -EINTR);
}

function mayAllocate(task: Task, file: File, mode: number, offset: number, length: number): number {
  if (offset < 0 || length <= 0) return -EINVAL;
  if ((mode & ~FALLOC_FL_KNOWN) !== 0) return -EOPNOTSUPP;
  if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0 && (mode & FALLOC_FL_KEEP_SIZE) === 0) return -EOPNOTSUPP;
  if (!file.isWritable) return -EBADF;
  const { type } = file.inode;
  if (type === S_IFIFO) return -ESPIPE;
  if (type === S_IFDIR) return -EISDIR;
  if (type !== S_IFREG && type !== S_IFBLK) return -ENODEV;
  // vfs_fallocate(): the end exceeds the largest offset.
  if (offset + length >= 2 ** 63 || overFileLimit(task, offset + length)) return -EFBIG;
  return file.asContent()?.mayAllocate(mode, offset, length) ?? -EOPNOTSUPP;
}

function fadvise(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  if (file.inode.type === S_IFIFO) return -ESPIPE;
  return args.i53(2) < 0 || args.u32(3) > 5 ? -EINVAL : 0;
}

function cachestat(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  if (task.memory.copyIn(args.word(1), cached, 0, CACHE_RANGE_BYTES) < 0) return -EFAULT;
  if (args.u32(3) !== 0) return -EINVAL;
  const from = u64(cached, 0), length = u64(cached, 8);
  const { inode } = file;
  const refreshed = inode.refresh();
  if (refreshed < 0) return refreshed;
  const size = inode.type === S_IFREG ? inode.size : 0;
  // A length of 0 reaches to the end.
  const end = length === 0 ? size : Math.min(size, from + length);
  const pages = end > from ? Math.ceil(end / PAGE_SIZE) - Math.floor(from / PAGE_SIZE) : 0;
  cached.fill(0);
  put64(cached, 0, Math.min(pages, Math.ceil(inode.blocks * BLOCK_BYTES / PAGE_SIZE)));
  return task.memory.copyOut(args.word(2), cached, 0, CACHE_STATE_BYTES) < 0 ? -EFAULT : 0;
}

function readahead(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  if (file === null || !file.isReadable) return -EBADF;
  return (file.inode.mode & S_IFMT) === S_IFREG ? 0 : -EINVAL;
}

function closeRange(task: Task, args: Args): number {
  const first = args.u32(0), flags = args.u32(2);
  if ((flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) !== 0 || first > args.u32(1)) return -EINVAL;
  if ((flags & CLOSE_RANGE_UNSHARE) !== 0 && task.files.references > 1) {
    const copy = task.files.clone();
    task.files.drop(task);
    task.files = copy;
  }
  const last = Math.min(args.u32(1), task.files.size - 1);
  for (let fd = first; fd <= last; fd++) {
    if ((flags & CLOSE_RANGE_CLOEXEC) === 0) task.files.close(task, fd);
    else if (task.files.get(fd) !== null) task.files.setCloseOnExec(fd, true);
  }
  return 0;
}
