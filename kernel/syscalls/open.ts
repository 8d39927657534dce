// open(2) and related calls: arguments and descriptors. vfs/open.ts does the work.

import { E2BIG, EAGAIN, EINVAL } from "../abi/errno.ts";
import {
  AT_FDCWD,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECT,
  O_DIRECTORY,
  O_DSYNC,
  O_EXCL,
  O_LARGEFILE,
  O_NOATIME,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  O_SYNC,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  PATH_MAX,
  RESOLVE_BENEATH,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../abi/file.ts";
import { u64 } from "../abi/struct.ts";
import { goOnOpening } from "../ipc/fifo.ts";
import type { Task } from "../task/task.ts";
import { openByName } from "../vfs/open.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

export const OPEN_FLAGS = {
  O_WRONLY,
  O_RDWR,
  O_CREAT,
  O_EXCL,
  O_NOCTTY,
  O_TRUNC,
  O_APPEND,
  O_NONBLOCK,
  O_DSYNC,
  O_DIRECT,
  O_LARGEFILE,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NOATIME,
  O_CLOEXEC,
  O_SYNC,
  O_PATH,
  O_TMPFILE,
};
const OPEN_KNOWN = Object.values(OPEN_FLAGS).reduce((all, flag) => all | flag, 0);
const TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY;
/** The flags that openat2(2) allows beside O_PATH; open(2) ignores others. */
const PATH_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
/** Bytes of the struct open_how that this kernel has. */
const HOW_BYTES = 24;
const HOW_BYTES_MAX = 4096;
const RESOLVE_KNOWN = RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |
  RESOLVE_NO_XDEV | RESOLVE_CACHED;
export const OPEN_CALLS: SyscallFamily = {
  open: {
    nr: { x64: 2 },
    args: { pathname: "path", flags: { flags: OPEN_FLAGS }, mode: "mode" },
    returns: "fd",
    support: FULL,
    run: open,
  },
  creat: {
    nr: { x64: 85 },
    args: { pathname: "path", mode: "mode" },
    returns: "fd",
    support: FULL,
    run: creat,
  },
  openat: {
    nr: { x64: 257, arm64: 56 },
    args: { dirfd: "dirfd", pathname: "path", flags: { flags: OPEN_FLAGS }, mode: "mode" },
    returns: "fd",
    support: FULL,
    run: openat,
  },
  openat2: {
    nr: { x64: 437, arm64: 437 },
    args: { dirfd: "dirfd", pathname: "path", how: { in: HOW_BYTES }, size: "size" },
    returns: "fd",
    support: partial("RESOLVE_CACHED answers EAGAIN, as if nothing were cached"),
    run: openat2,
  },
};

function open(task: Task, args: Args): number {
  const name = task.memory.readString(args.word(0), PATH_MAX);
  if (typeof name === "number") return name;
  return openDescriptor(task, AT_FDCWD, name, args.u32(1) & OPEN_KNOWN, args.u32(2) & 0o7777, 0);
}

function openat(task: Task, args: Args): number {
  const name = task.memory.readString(args.word(1), PATH_MAX);
  if (typeof name === "number") return name;
  return openDescriptor(task, args.i32(0), name, args.u32(2) & OPEN_KNOWN, args.u32(3) & 0o7777, 0);
}

function creat(task: Task, args: Args): number {
  const name = task.memory.readString(args.word(0), PATH_MAX);
  if (typeof name === "number") return name;
  const flags = O_CREAT | O_WRONLY | O_TRUNC;
  return openDescriptor(task, AT_FDCWD, name, flags, args.u32(1) & 0o7777, 0);
}

function openat2(task: Task, args: Args): number {
  const size = args.word(3);
  if (size < HOW_BYTES) return -EINVAL;
  if (size > HOW_BYTES_MAX) return -E2BIG;
  const at = task.memory.inView(args.word(2), size);
  if (at < 0) return at;
  const view = task.memory.view;
  const flags = u64(view, at), mode = u64(view, at + 8), how = u64(view, at + 16);
  // A longer, newer struct is accepted if its unknown part is zero: copy_struct_from_user().
  for (let i = HOW_BYTES; i < size; i++) if (view[at + i] !== 0) return -E2BIG;
  if (flags > 0xffff_ffff || (flags & ~OPEN_KNOWN) !== 0) return -EINVAL;
  if (how > 0xffff_ffff || (how & ~RESOLVE_KNOWN) !== 0) return -EINVAL;
  if ((how & RESOLVE_BENEATH) !== 0 && (how & RESOLVE_IN_ROOT) !== 0) return -EINVAL;
  const creates = (flags & (O_CREAT | TMPFILE_BIT)) !== 0;
  if (mode > 0o7777 || (!creates && mode !== 0)) return -EINVAL;
  if ((flags & O_PATH) !== 0 && (flags & ~PATH_FLAGS) !== 0) return -EINVAL;
  // No look-up is known to be answered from the cache beforehand, and creation and truncation never are: EAGAIN is
  // always allowed.
  if ((how & RESOLVE_CACHED) !== 0) return -EAGAIN;
  const name = task.memory.readString(args.word(1), PATH_MAX);
  if (typeof name === "number") return name;
  return openDescriptor(task, args.i32(0), name, flags, mode, how);
}

/** Opens the file and installs it at a descriptor. */
function openDescriptor(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how: number,
): number {
  const file = task.call.state.kind === "fifo"
    ? goOnOpening(task)
    : openByName(task, dirfd, name, flags, mode, how);
  if (typeof file === "number") return file;
  const fd = task.files.allocate(task, file, (flags & O_CLOEXEC) !== 0);
  if (fd < 0) file.drop();
  return fd;
}
