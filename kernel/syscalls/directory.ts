// Calls on directories and names: mkdir, unlink, rename, link, symlink, mknod, getdents, getcwd, chdir. vfs/create.ts
// and vfs/remove.ts do the work; arguments and results are here.

import { EACCES, EBADF, EFAULT, EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, ERANGE } from "../abi/errno.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  IN_ACCESS,
  PATH_MAX,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../abi/file.ts";
import { put16, put64, u64, zero } from "../abi/struct.ts";
import { CAP_DAC_READ_SEARCH, CAP_SYS_CHROOT } from "../abi/task.ts";
import { VIEW_MAX } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import { bytesToLatin1, putLatin1 } from "../util/bytes.ts";
import { notifyPath } from "../vfs/notify.ts";
import { makeDirectory, makeLink, makeNode, makeSymlink } from "../vfs/create.ts";
import type { File } from "../vfs/file.ts";
import type { DirectorySink } from "../vfs/file_kinds.ts";
import { type Path, pathName } from "../vfs/path.ts";
import { DIRECTORY, EMPTY, FOLLOW, resolve } from "../vfs/path_walk.ts";
import { MAY_EXEC, mayAccess } from "../vfs/permission.ts";
import { removeDirectory, removeFile, renamePath } from "../vfs/remove.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";

const RENAME_FLAGS = { RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT };
/** Bytes before d_name in struct linux_dirent and linux_dirent64. */
const OLD_ENTRY_BYTES = 18;
const ENTRY_BYTES = 19;

export const DIRECTORY_CALLS: SyscallFamily = {
  getdents: {
    nr: { x64: 78 },
    args: { fd: "fd", dirp: { outBuffer: "count" }, count: "uint" },
    returns: "size",
    support: FULL,
    run: getdents,
  },
  getcwd: {
    nr: { x64: 79, arm64: 17 },
    args: { buf: { outBuffer: "size" }, size: "size" },
    returns: "size",
    support: FULL,
    run: getcwd,
  },
  chdir: {
    nr: { x64: 80, arm64: 49 },
    args: { path: "path" },
    returns: "int",
    support: FULL,
    run: chdir,
  },
  fchdir: {
    nr: { x64: 81, arm64: 50 },
    args: { fd: "fd" },
    returns: "int",
    support: FULL,
    run: fchdir,
  },
  rename: {
    nr: { x64: 82 },
    args: { oldpath: "path", newpath: "path" },
    returns: "int",
    support: FULL,
    run: rename,
  },
  mkdir: {
    nr: { x64: 83 },
    args: { pathname: "path", mode: "mode" },
    returns: "int",
    support: FULL,
    run: mkdir,
  },
  rmdir: { nr: { x64: 84 }, args: { pathname: "path" }, returns: "int", support: FULL, run: rmdir },
  link: {
    nr: { x64: 86 },
    args: { oldpath: "path", newpath: "path" },
    returns: "int",
    support: FULL,
    run: link,
  },
  unlink: { nr: { x64: 87 }, args: { pathname: "path" }, returns: "int", support: FULL, run: unlink },
  symlink: {
    nr: { x64: 88 },
    args: { target: "path", linkpath: "path" },
    returns: "int",
    support: FULL,
    run: symlink,
  },
  mknod: {
    nr: { x64: 133 },
    args: { pathname: "path", mode: "mode", dev: "uint" },
    returns: "int",
    support: FULL,
    run: mknod,
  },
  chroot: {
    nr: { x64: 161, arm64: 51 },
    args: { path: "path" },
    returns: "int",
    support: FULL,
    run: chroot,
  },
  getdents64: {
    nr: { x64: 217, arm64: 61 },
    args: { fd: "fd", dirp: { outBuffer: "count" }, count: "uint" },
    returns: "size",
    support: FULL,
    run: getdents64,
  },
  mkdirat: {
    nr: { x64: 258, arm64: 34 },
    args: { dirfd: "dirfd", pathname: "path", mode: "mode" },
    returns: "int",
    support: FULL,
    run: mkdirat,
  },
  mknodat: {
    nr: { x64: 259, arm64: 33 },
    args: { dirfd: "dirfd", pathname: "path", mode: "mode", dev: "uint" },
    returns: "int",
    support: FULL,
    run: mknodat,
  },
  unlinkat: {
    nr: { x64: 263, arm64: 35 },
    args: { dirfd: "dirfd", pathname: "path", flags: { flags: { AT_REMOVEDIR } } },
    returns: "int",
    support: FULL,
    run: unlinkat,
  },
  renameat: {
    nr: { x64: 264, arm64: 38 },
    args: { olddirfd: "dirfd", oldpath: "path", newdirfd: "dirfd", newpath: "path" },
    returns: "int",
    support: FULL,
    run: renameat,
  },
  linkat: {
    nr: { x64: 265, arm64: 37 },
    args: {
      olddirfd: "dirfd",
      oldpath: "path",
      newdirfd: "dirfd",
      newpath: "path",
      flags: { flags: { AT_SYMLINK_FOLLOW, AT_EMPTY_PATH } },
    },
    returns: "int",
    support: FULL,
    run: linkat,
  },
  symlinkat: {
    nr: { x64: 266, arm64: 36 },
    args: { target: "path", newdirfd: "dirfd", linkpath: "path" },
    returns: "int",
    support: FULL,
    run: symlinkat,
  },
  renameat2: {
    nr: { x64: 316, arm64: 276 },
    args: {
      olddirfd: "dirfd",
      oldpath: "path",
      newdirfd: "dirfd",
      newpath: "path",
      flags: { flags: RENAME_FLAGS },
    },
    returns: "int",
    support: FULL,
    run: renameat2,
  },
};

function readPath(task: Task, args: Args, n: number): string | number {
  return task.memory.readString(args.word(n), PATH_MAX);
}

function mkdir(task: Task, args: Args): number {
  const name = readPath(task, args, 0);
  return typeof name === "number" ? name : makeDirectory(task, AT_FDCWD, name, args.u32(1));
}
function mkdirat(task: Task, args: Args): number {
  const name = readPath(task, args, 1);
  return typeof name === "number" ? name : makeDirectory(task, args.i32(0), name, args.u32(2));
}

function rmdir(task: Task, args: Args): number {
  const name = readPath(task, args, 0);
  return typeof name === "number" ? name : removeDirectory(task, AT_FDCWD, name);
}
function unlink(task: Task, args: Args): number {
  const name = readPath(task, args, 0);
  return typeof name === "number" ? name : removeFile(task, AT_FDCWD, name);
}
function unlinkat(task: Task, args: Args): number {
  const flags = args.u32(2);
  if ((flags & ~AT_REMOVEDIR) !== 0) return -EINVAL;
  const name = readPath(task, args, 1);
  if (typeof name === "number") return name;
  return (flags & AT_REMOVEDIR) !== 0
    ? removeDirectory(task, args.i32(0), name)
    : removeFile(task, args.i32(0), name);
}

function rename(task: Task, args: Args): number {
  return renameNames(task, AT_FDCWD, args.word(0), AT_FDCWD, args.word(1), 0);
}
function renameat(task: Task, args: Args): number {
  return renameNames(task, args.i32(0), args.word(1), args.i32(2), args.word(3), 0);
}
function renameat2(task: Task, args: Args): number {
  return renameNames(task, args.i32(0), args.word(1), args.i32(2), args.word(3), args.u32(4));
}
function renameNames(
  task: Task,
  oldDirfd: number,
  oldAddress: number,
  newDirfd: number,
  newAddress: number,
  flags: number,
): number {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) !== 0) return -EINVAL;
  const from = task.memory.readString(oldAddress, PATH_MAX);
  if (typeof from === "number") return from;
  const to = task.memory.readString(newAddress, PATH_MAX);
  if (typeof to === "number") return to;
  return renamePath(task, oldDirfd, from, newDirfd, to, flags);
}

function link(task: Task, args: Args): number {
  return linkNames(task, AT_FDCWD, args.word(0), AT_FDCWD, args.word(1), 0);
}
function linkat(task: Task, args: Args): number {
  return linkNames(task, args.i32(0), args.word(1), args.i32(2), args.word(3), args.u32(4));
}
function linkNames(
  task: Task,
  oldDirfd: number,
  oldAddress: number,
  newDirfd: number,
  newAddress: number,
  flags: number,
): number {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const isEmptyAllowed = (flags & AT_EMPTY_PATH) !== 0;
  const from = task.memory.readString(oldAddress, PATH_MAX);
  if (typeof from === "number") return from;
  // AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH: linkat(2).
  if (isEmptyAllowed && from === "" && !task.credentials.has(CAP_DAC_READ_SEARCH)) return -ENOENT;
  const follow = (flags & AT_SYMLINK_FOLLOW) !== 0 ? FOLLOW : 0;
  const source = resolve(task, oldDirfd, from, follow | (isEmptyAllowed ? EMPTY : 0));
  if (typeof source === "number") return source;
  const to = task.memory.readString(newAddress, PATH_MAX);
  if (typeof to === "number") return to;
  return makeLink(task, source, newDirfd, to);
}

function symlink(task: Task, args: Args): number {
  return symlinkTo(task, args.word(0), AT_FDCWD, args.word(1));
}
function symlinkat(task: Task, args: Args): number {
  return symlinkTo(task, args.word(0), args.i32(1), args.word(2));
}
function symlinkTo(task: Task, targetAddress: number, dirfd: number, nameAddress: number): number {
  const target = task.memory.readString(targetAddress, PATH_MAX);
  if (typeof target === "number") return target;
  const name = task.memory.readString(nameAddress, PATH_MAX);
  return typeof name === "number" ? name : makeSymlink(task, target, dirfd, name);
}

function mknod(task: Task, args: Args): number {
  return makeNodeOf(task, AT_FDCWD, args.word(0), args.u32(1), args.u32(2));
}
function mknodat(task: Task, args: Args): number {
  return makeNodeOf(task, args.i32(0), args.word(1), args.u32(2), args.u32(3));
}
function makeNodeOf(task: Task, dirfd: number, address: number, mode: number, device: number): number {
  switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
      break;
    case S_IFDIR:
      return -EPERM;
    default:
      return -EINVAL;
  }
  const name = task.memory.readString(address, PATH_MAX);
  if (typeof name === "number") return name;
  // new_decode_dev(): 8 low bits of the minor number, 12 of the major, 12 high bits of the minor.
  const major = (device & 0xfff00) >>> 8, minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  const made = makeNode(task, dirfd, name, mode, major, minor);
  return typeof made === "number" ? made : 0;
}

/**
 * Fills the caller's buffer with directory entries. One object serves all calls, as no call waits while it is filled.
 */
class EntryWriter implements DirectorySink {
  isOld = false;
  #view: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  at = 0;
  /** The first entry did not fit into the buffer. */
  isTooSmall = false;

  begin(view: Uint8Array, at: number, size: number, isOld: boolean): void {
    this.#view = view;
    this.#start = this.at = at;
    this.#end = at + size;
    this.isOld = isOld;
    this.isTooSmall = false;
  }

  emit(name: string, ino: number, type: number, nextOffset: number): boolean {
    const { at, isOld } = this;
    // linux_dirent keeps the type in the last byte, behind the name's NUL: getdents(2).
    const length = (isOld ? OLD_ENTRY_BYTES + name.length + 2 : ENTRY_BYTES + name.length + 1) + 7 & ~7;
    if (at + length > this.#end) {
      this.isTooSmall = at === this.#start;
      return false;
    }
    const bytes = this.#view;
    put64(bytes, at, ino);
    put64(bytes, at + 8, nextOffset);
    put16(bytes, at + 16, length);
    const nameAt = at + (isOld ? OLD_ENTRY_BYTES : ENTRY_BYTES);
    putLatin1(bytes, nameAt, name);
    zero(bytes, nameAt + name.length, at + length - nameAt - name.length);
    bytes[isOld ? at + length - 1 : at + 18] = type;
    this.at = at + length;
    return true;
  }

  emitRecord(from: Uint8Array, fromAt: number, nameLength: number, nextOffset: number): boolean {
    if (this.isOld) {
      const name = bytesToLatin1(from, fromAt + ENTRY_BYTES, nameLength);
      return this.emit(name, u64(from, fromAt), from[fromAt + 18], nextOffset);
    }
    const at = this.at;
    const length = ENTRY_BYTES + nameLength + 1 + 7 & ~7;
    if (at + length > this.#end) {
      this.isTooSmall = at === this.#start;
      return false;
    }
    const bytes = this.#view;
    for (let i = 0; i < 8; i++) bytes[at + i] = from[fromAt + i];
    put64(bytes, at + 8, nextOffset);
    put16(bytes, at + 16, length);
    for (let i = 18; i < ENTRY_BYTES + nameLength; i++) bytes[at + i] = from[fromAt + i];
    for (let i = ENTRY_BYTES + nameLength; i < length; i++) bytes[at + i] = 0;
    this.at = at + length;
    return true;
  }
}
const entries = new EntryWriter();

function getdents(task: Task, args: Args): number {
  return readEntries(task, args, true);
}
function getdents64(task: Task, args: Args): number {
  return readEntries(task, args, false);
}
function readEntries(task: Task, args: Args, isOld: boolean): number {
  const file = task.files.getOpen(args.i32(0));
  if (file === null) return -EBADF;
  const directory = file.asDirectory();
  if (directory === null) return -ENOTDIR;
  if (file.inode.nlink === 0) return -ENOENT;
  const size = Math.min(args.u32(2), VIEW_MAX);
  const at = task.memory.outView(args.word(1), size);
  if (at < 0) return at;
  entries.begin(task.memory.view, at, size, isOld);
  const result = directory.readDirectory(task, entries);
  if (result >= 0) notifyPath(file.path, IN_ACCESS);
  const length = entries.at - at;
  if (result < 0 && length === 0) return result;
  if (length === 0 && entries.isTooSmall) return -EINVAL;
  const written = task.memory.outCommit(length);
  return written < 0 ? written : length;
}

function getcwd(task: Task, args: Args): number {
  const { cwd, root } = task.fs;
  if (cwd.dentry.isUnlinked) return -ENOENT;
  const name = pathName(cwd, root);
  if (name.length >= PATH_MAX) return -ENAMETOOLONG;
  const length = name.length + 1;
  if (args.word(1) < length) return -ERANGE;
  const at = task.memory.outView(args.word(0), length);
  if (at < 0) return -EFAULT;
  putLatin1(task.memory.view, at, name);
  task.memory.view[at + name.length] = 0;
  const written = task.memory.outCommit(length);
  return written < 0 ? written : length;
}

function chdir(task: Task, args: Args): number {
  const name = readPath(task, args, 0);
  if (typeof name === "number") return name;
  const path = resolve(task, AT_FDCWD, name, FOLLOW | DIRECTORY);
  return typeof path === "number" ? path : enter(task, path);
}
function fchdir(task: Task, args: Args): number {
  const file: File | null = task.files.get(args.i32(0));
  if (file === null) return -EBADF;
  if (file.path === null || !file.inode.isDirectory) return -ENOTDIR;
  return enter(task, file.path);
}
function enter(task: Task, path: Path): number {
  const access = mayAccess(task.credentials, path.inode, MAY_EXEC);
  if (access < 0) return access;
  task.fs.cwd = path;
  return 0;
}

function chroot(task: Task, args: Args): number {
  const name = readPath(task, args, 0);
  if (typeof name === "number") return name;
  const path = resolve(task, AT_FDCWD, name, FOLLOW | DIRECTORY);
  if (typeof path === "number") return path;
  if (mayAccess(task.credentials, path.inode, MAY_EXEC) < 0) return -EACCES;
  if (!task.credentials.has(CAP_SYS_CHROOT)) return -EPERM;
  task.fs.root = path;
  return 0;
}
