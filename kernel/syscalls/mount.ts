// mount(2), umount2(2), pivot_root(2), and the refusals of the newer mount calls. vfs/mounting.ts does the work.

import { EINVAL, ENOSYS, EOPNOTSUPP, EPERM } from "../abi/errno.ts";
import {
  AT_FDCWD,
  MNT_DETACH,
  MNT_EXPIRE,
  MNT_FORCE,
  MS_BIND,
  MS_DIRSYNC,
  MS_LAZYTIME,
  MS_MOVE,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_SHARED,
  MS_SILENT,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
  PATH_MAX,
  UMOUNT_NOFOLLOW,
} from "../abi/file.ts";
import { CAP_SYS_ADMIN } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import type { Propagation } from "../vfs/mount.ts";
import { bind, mountNew, move, pivotRoot, remount, setPropagation, unmount } from "../vfs/mounting.ts";
import type { Path } from "../vfs/path.ts";
import { DIRECTORY, FOLLOW, resolve } from "../vfs/path_walk.ts";
import type { Args } from "./args.ts";
import { FULL, type Support, type SyscallFamily } from "./table.ts";

const MS_FLAGS = {
  MS_RDONLY,
  MS_NOSUID,
  MS_NODEV,
  MS_NOEXEC,
  MS_SYNCHRONOUS,
  MS_REMOUNT,
  MS_DIRSYNC,
  MS_NOSYMFOLLOW,
  MS_NOATIME,
  MS_NODIRATIME,
  MS_BIND,
  MS_MOVE,
  MS_REC,
  MS_SILENT,
  MS_UNBINDABLE,
  MS_PRIVATE,
  MS_SLAVE,
  MS_SHARED,
  MS_RELATIME,
  MS_STRICTATIME,
  MS_LAZYTIME,
};
/** Linux once required this value in the upper half of the flags and still accepts it: mount(2). */
const MS_MGC_VAL = 0xc0ed_0000;
const MS_MGC_MASK = 0xffff_0000;
const PROPAGATIONS = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
const UMOUNT_FLAGS = MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW;

const NOT_YET: Support = { level: "none", note: "mount(2) does it" };
const NO_HANDLES: Support = { level: "none", note: "files have no handles that outlive them" };

export const MOUNT_CALLS: SyscallFamily = {
  pivot_root: {
    nr: { x64: 155, arm64: 41 },
    args: { new_root: "path", put_old: "path" },
    returns: "int",
    support: FULL,
    run: pivotRootCall,
  },
  mount: {
    nr: { x64: 165, arm64: 40 },
    args: {
      source: "string",
      target: "path",
      filesystemtype: "string",
      mountflags: { flags: MS_FLAGS },
      data: "string",
    },
    returns: "int",
    support: FULL,
    run: mount,
  },
  umount2: {
    nr: { x64: 166, arm64: 39 },
    args: { target: "path", flags: { flags: { MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW } } },
    returns: "int",
    support: FULL,
    run: umount2,
  },
  name_to_handle_at: {
    nr: { x64: 303, arm64: 264 },
    args: { dirfd: "dirfd", pathname: "path", handle: "word", mount_id: "word", flags: "uint" },
    returns: "int",
    support: NO_HANDLES,
    run: noHandles,
  },
  open_by_handle_at: {
    nr: { x64: 304, arm64: 265 },
    args: { mount_fd: "fd", handle: "word", flags: "uint" },
    returns: "fd",
    support: NO_HANDLES,
    run: noHandles,
  },
  open_tree: {
    nr: { x64: 428, arm64: 428 },
    args: { dirfd: "dirfd", filename: "path", flags: "uint" },
    returns: "fd",
    support: NOT_YET,
    run: notYet,
  },
  move_mount: {
    nr: { x64: 429, arm64: 429 },
    args: { from_dirfd: "dirfd", from_path: "path", to_dirfd: "dirfd", to_path: "path", flags: "uint" },
    returns: "int",
    support: NOT_YET,
    run: notYet,
  },
  fsopen: {
    nr: { x64: 430, arm64: 430 },
    args: { fs_name: "string", flags: "uint" },
    returns: "fd",
    support: NOT_YET,
    run: notYet,
  },
  fsconfig: {
    nr: { x64: 431, arm64: 431 },
    args: { fd: "fd", cmd: "uint", key: "string", value: "word", aux: "int" },
    returns: "int",
    support: NOT_YET,
    run: notYet,
  },
  fsmount: {
    nr: { x64: 432, arm64: 432 },
    args: { fd: "fd", flags: "uint", attr_flags: "uint" },
    returns: "fd",
    support: NOT_YET,
    run: notYet,
  },
  fspick: {
    nr: { x64: 433, arm64: 433 },
    args: { dirfd: "dirfd", path: "path", flags: "uint" },
    returns: "fd",
    support: NOT_YET,
    run: notYet,
  },
  mount_setattr: {
    nr: { x64: 442, arm64: 442 },
    args: { dirfd: "dirfd", path: "path", flags: "uint", attr: "word", size: "size" },
    returns: "int",
    support: NOT_YET,
    run: notYet,
  },
};

function notYet(): number {
  return -ENOSYS;
}
function noHandles(): number {
  return -EOPNOTSUPP;
}

function mount(task: Task, args: Args): number {
  let flags = args.u32(3);
  if (((flags & MS_MGC_MASK) >>> 0) === MS_MGC_VAL) flags &= ~MS_MGC_MASK;
  const type = optionalString(task, args.word(2));
  if (typeof type === "number") return type;
  const source = optionalString(task, args.word(0));
  if (typeof source === "number") return source;
  const options = optionalString(task, args.word(4));
  if (typeof options === "number") return options;
  const name = task.memory.readString(args.word(1), PATH_MAX);
  if (typeof name === "number") return name;
  const at = resolve(task, AT_FDCWD, name, FOLLOW);
  if (typeof at === "number") return at;
  if (!task.credentials.has(CAP_SYS_ADMIN)) return -EPERM;
  if ((flags & MS_REMOUNT) !== 0) return remount(task, at, flags, (flags & MS_BIND) !== 0 ? null : options);
  if ((flags & MS_BIND) !== 0) {
    const from = sourcePath(task, source);
    if (typeof from === "number") return from;
    return bind(task.namespaces.mount, from, at, (flags & MS_REC) !== 0);
  }
  if ((flags & PROPAGATIONS) !== 0) return propagate(task, at, flags);
  if ((flags & MS_MOVE) !== 0) {
    const from = sourcePath(task, source);
    return typeof from === "number" ? from : move(task.namespaces.mount, from, at);
  }
  return type === "" ? -EINVAL : mountNew(task, at, type, source, options, flags);
}

/** Reads a string; an address of 0 is allowed. */
function optionalString(task: Task, address: number): string | number {
  return address === 0 ? "" : task.memory.readString(address, PATH_MAX);
}

function sourcePath(task: Task, source: string): Path | number {
  return source === "" ? -EINVAL : resolve(task, AT_FDCWD, source, FOLLOW);
}

function propagate(task: Task, at: Path, flags: number): number {
  if ((flags & ~(PROPAGATIONS | MS_REC | MS_SILENT)) !== 0) return -EINVAL;
  let propagation: Propagation;
  switch (flags & PROPAGATIONS) {
    case MS_SHARED:
      propagation = "shared";
      break;
    case MS_PRIVATE:
      propagation = "private";
      break;
    case MS_SLAVE:
      propagation = "slave";
      break;
    case MS_UNBINDABLE:
      propagation = "unbindable";
      break;
    default:
      return -EINVAL;
  }
  return setPropagation(task.namespaces.mount, at, propagation, (flags & MS_REC) !== 0);
}

function umount2(task: Task, args: Args): number {
  const flags = args.u32(1);
  if ((flags & ~UMOUNT_FLAGS) !== 0) return -EINVAL;
  if ((flags & MNT_EXPIRE) !== 0 && (flags & (MNT_FORCE | MNT_DETACH)) !== 0) return -EINVAL;
  const name = task.memory.readString(args.word(0), PATH_MAX);
  if (typeof name === "number") return name;
  const at = resolve(task, AT_FDCWD, name, (flags & UMOUNT_NOFOLLOW) !== 0 ? 0 : FOLLOW);
  if (typeof at === "number") return at;
  return task.credentials.has(CAP_SYS_ADMIN) ? unmount(task.namespaces.mount, at, flags) : -EPERM;
}

function pivotRootCall(task: Task, args: Args): number {
  if (!task.credentials.has(CAP_SYS_ADMIN)) return -EPERM;
  const next = directoryAt(task, args.word(0));
  if (typeof next === "number") return next;
  const putOld = directoryAt(task, args.word(1));
  return typeof putOld === "number" ? putOld : pivotRoot(task, next, putOld);
}

function directoryAt(task: Task, address: number): Path | number {
  const name = task.memory.readString(address, PATH_MAX);
  return typeof name === "number" ? name : resolve(task, AT_FDCWD, name, FOLLOW | DIRECTORY);
}
