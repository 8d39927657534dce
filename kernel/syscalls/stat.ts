// stat(2) and variants, access(2), readlink(2), statfs(2).

import { EBADF, EFAULT, EINVAL, ENOENT } from "../abi/errno.ts";
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_STATX_SYNC_TYPE,
  AT_SYMLINK_NOFOLLOW,
  F_OK,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  PATH_MAX,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFSOCK,
  STATX__RESERVED,
  STATX_ATTR_MOUNT_ROOT,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_MNT_ID,
  W_OK,
  X_OK,
} from "../abi/file.ts";
import { EACCES, EROFS } from "../abi/errno.ts";
import { put16, put32, put64, zero } from "../abi/struct.ts";
import { STAT, STAT_BYTES } from "../arch/layouts.ts";
import { putLatin1 } from "../util/bytes.ts";
import type { Task } from "../task/task.ts";
import { NO_CAPABILITIES } from "../task/credentials.ts";
import { FilesystemStat } from "../vfs/filesystem.ts";
import type { File } from "../vfs/file.ts";
import type { Inode } from "../vfs/inode.ts";
import type { Mount } from "../vfs/mount.ts";
import { Path } from "../vfs/path.ts";
import { mayAccess } from "../vfs/permission.ts";
import { EMPTY, FOLLOW, resolve } from "../vfs/path_walk.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";

const STATX_BYTES = 256;
const STATFS_BYTES = 120;
const AT_FLAGS = { AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT };

const TWO_32 = 4294967296;

export const STAT_CALLS: SyscallFamily = {
  stat: {
    nr: { x64: 4 },
    args: { pathname: "path", statbuf: { out: STAT_BYTES } },
    returns: "int",
    support: FULL,
    run: (task, args) => statAt(task, AT_FDCWD, args.word(0), args.word(1), FOLLOW),
  },
  fstat: {
    nr: { x64: 5, arm64: 80 },
    args: { fd: "fd", statbuf: { out: STAT_BYTES } },
    returns: "int",
    support: FULL,
    run: fstat,
  },
  lstat: {
    nr: { x64: 6 },
    args: { pathname: "path", statbuf: { out: STAT_BYTES } },
    returns: "int",
    support: FULL,
    run: (task, args) => statAt(task, AT_FDCWD, args.word(0), args.word(1), 0),
  },
  newfstatat: {
    nr: { x64: 262, arm64: 79 },
    args: { dirfd: "dirfd", pathname: "path", statbuf: { out: STAT_BYTES }, flags: { flags: AT_FLAGS } },
    returns: "int",
    support: FULL,
    run: newfstatat,
  },
  statx: {
    nr: { x64: 332, arm64: 291 },
    args: {
      dirfd: "dirfd",
      pathname: "path",
      flags: { flags: AT_FLAGS },
      mask: "uint",
      statxbuf: { out: STATX_BYTES },
    },
    returns: "int",
    support: FULL,
    run: statx,
  },
  access: {
    nr: { x64: 21 },
    args: { pathname: "path", mode: "int" },
    returns: "int",
    support: FULL,
    run: (task, args) => accessAt(task, AT_FDCWD, args.word(0), args.i32(1), 0),
  },
  faccessat: {
    nr: { x64: 269, arm64: 48 },
    args: { dirfd: "dirfd", pathname: "path", mode: "int" },
    returns: "int",
    support: FULL,
    run: (task, args) => accessAt(task, args.i32(0), args.word(1), args.i32(2), 0),
  },
  faccessat2: {
    nr: { x64: 439, arm64: 439 },
    args: {
      dirfd: "dirfd",
      pathname: "path",
      mode: "int",
      flags: { flags: { AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH } },
    },
    returns: "int",
    support: FULL,
    run: (task, args) => accessAt(task, args.i32(0), args.word(1), args.i32(2), args.u32(3)),
  },
  readlink: {
    nr: { x64: 89 },
    args: { pathname: "path", buf: { outBuffer: "bufsiz" }, bufsiz: "int" },
    returns: "size",
    support: FULL,
    run: (task, args) => readlinkAt(task, AT_FDCWD, args.word(0), args.word(1), args.i32(2)),
  },
  readlinkat: {
    nr: { x64: 267, arm64: 78 },
    args: { dirfd: "dirfd", pathname: "path", buf: { outBuffer: "bufsiz" }, bufsiz: "int" },
    returns: "size",
    support: FULL,
    run: (task, args) => readlinkAt(task, args.i32(0), args.word(1), args.word(2), args.i32(3)),
  },
  statfs: {
    nr: { x64: 137, arm64: 43 },
    args: { path: "path", buf: { out: STATFS_BYTES } },
    returns: "int",
    support: FULL,
    run: statfs,
  },
  fstatfs: {
    nr: { x64: 138, arm64: 44 },
    args: { fd: "fd", buf: { out: STATFS_BYTES } },
    returns: "int",
    support: FULL,
    run: fstatfs,
  },
};

/** The user-space encoding of st_dev and st_rdev: new_encode_dev(). */
export function encodeDevice(major: number, minor: number): number {
  return (minor & 0xff) + ((major & 0xfff) << 8) + (minor >>> 8) * 2 ** 20;
}

/**
 * struct stat as words, and the same as bytes: 17 fields byte by byte took a quarter of a stat(2). What lies between the fields
 * is never written.
 */
const statWords = new Uint32Array(STAT_BYTES / 4);
const statBytes = new Uint8Array(statWords.buffer);

/** Writes the struct stat of `inode` to `address`. */
function putStat(task: Task, inode: Inode, address: number): number {
  const refreshed = inode.refresh();
  if (refreshed < 0) return refreshed;
  const at = task.memory.outView(address, STAT_BYTES);
  if (at < 0) return at;
  putField(STAT.dev, encodeDevice(0, inode.fs.device));
  putField(STAT.ino, inode.ino);
  putField(STAT.nlink, inode.nlink);
  statWords[STAT.mode >> 2] = inode.mode;
  statWords[STAT.uid >> 2] = inode.uid;
  statWords[STAT.gid >> 2] = inode.gid;
  putField(STAT.rdev, encodeDevice(inode.rdevMajor, inode.rdevMinor));
  putField(STAT.size, inode.size);
  putField(STAT.blksize, 4096);
  putField(STAT.blocks, inode.blocks);
  putField(STAT.atime, inode.atimeSec);
  putField(STAT.atime + 8, inode.atimeNsec);
  putField(STAT.mtime, inode.mtimeSec);
  putField(STAT.mtime + 8, inode.mtimeNsec);
  putField(STAT.ctime, inode.ctimeSec);
  putField(STAT.ctime + 8, inode.ctimeNsec);
  task.memory.view.set(statBytes, at);
  return task.memory.outCommit(STAT_BYTES);
}

/** As put64(). */
function putField(at: number, value: number): void {
  const word = at >> 2, low = value | 0;
  statWords[word] = low;
  statWords[word + 1] = low === value ? low >> 31 : Math.floor(value / TWO_32);
}

function statAt(task: Task, dirfd: number, nameAt: number, address: number, flags: number): number {
  const name = task.memory.readString(nameAt, PATH_MAX);
  if (typeof name === "number") return name;
  const path = resolve(task, dirfd, name, flags);
  return typeof path === "number" ? path : putStat(task, path.inode, address);
}

function fstat(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  return file === null ? -EBADF : putStat(task, file.inode, args.word(1));
}

function newfstatat(task: Task, args: Args): number {
  const flags = args.u32(3);
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)) !== 0) return -EINVAL;
  const found = find(task, args.i32(0), args.word(1), flags);
  return typeof found === "number" ? found : putStat(task, found.inode, args.word(2));
}

/** The object of an *at call: a path, or the descriptor itself with an empty path and AT_EMPTY_PATH. -ERRNO. */
function find(task: Task, dirfd: number, nameAt: number, flags: number): Path | File | number {
  const hasEmpty = (flags & AT_EMPTY_PATH) !== 0;
  const name = hasEmpty && nameAt === 0 ? "" : task.memory.readString(nameAt, PATH_MAX);
  if (typeof name === "number") return name;
  if (name === "" && hasEmpty && dirfd !== AT_FDCWD) {
    // Pipes and sockets have no path, but fstat(2) works on them.
    const file = task.files.get(dirfd);
    return file ?? -EBADF;
  }
  const follow = (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : FOLLOW;
  return resolve(task, dirfd, name, follow | (hasEmpty ? EMPTY : 0));
}

function statx(task: Task, args: Args): number {
  const flags = args.u32(2), mask = args.u32(3);
  if ((mask & STATX__RESERVED) !== 0) return -EINVAL;
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)) !== 0) {
    return -EINVAL;
  }
  if ((flags & AT_STATX_SYNC_TYPE) === AT_STATX_SYNC_TYPE) return -EINVAL;
  const found = find(task, args.i32(0), args.word(1), flags);
  if (typeof found === "number") return found;
  const { inode } = found, path = found instanceof Path ? found : found.path;
  const refreshed = inode.refresh();
  if (refreshed < 0) return refreshed;
  const at = task.memory.outView(args.word(4), STATX_BYTES);
  if (at < 0) return at;
  const b = task.memory.view;
  zero(b, at, STATX_BYTES);
  const hasBirth = inode.birthSec !== 0 || inode.birthNsec !== 0;
  const known = STATX_BASIC_STATS | (hasBirth ? STATX_BTIME : 0);
  put32(b, at, path === null ? known : known | STATX_MNT_ID);
  put32(b, at + 4, 4096);
  put32(b, at + 16, inode.nlink);
  put32(b, at + 20, inode.uid);
  put32(b, at + 24, inode.gid);
  put16(b, at + 28, inode.mode);
  put64(b, at + 32, inode.ino);
  put64(b, at + 40, inode.size);
  put64(b, at + 48, inode.blocks);
  putTime(b, at + 64, inode.atimeSec, inode.atimeNsec);
  if (hasBirth) putTime(b, at + 80, inode.birthSec, inode.birthNsec);
  putTime(b, at + 96, inode.ctimeSec, inode.ctimeNsec);
  putTime(b, at + 112, inode.mtimeSec, inode.mtimeNsec);
  put32(b, at + 128, inode.rdevMajor);
  put32(b, at + 132, inode.rdevMinor);
  put32(b, at + 136, 0);
  put32(b, at + 140, inode.fs.device);
  put64(b, at + 56, STATX_ATTR_MOUNT_ROOT);
  if (path !== null) {
    put64(b, at + 144, path.mount.id);
    if (path.dentry === path.mount.root) put64(b, at + 8, STATX_ATTR_MOUNT_ROOT);
  }
  return task.memory.outCommit(STATX_BYTES);
}

function putTime(b: Uint8Array, at: number, seconds: number, nanoseconds: number): void {
  put64(b, at, seconds);
  put32(b, at + 8, nanoseconds);
}

function accessAt(task: Task, dirfd: number, nameAt: number, mode: number, flags: number): number {
  if ((mode & ~7) !== 0) return -EINVAL;
  if ((flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const name = task.memory.readString(nameAt, PATH_MAX);
  if (typeof name === "number") return name;
  const saved = task.credentials;
  // access(2) checks with the real ids, and with the capabilities that the real user has: access_override_creds().
  if ((flags & AT_EACCESS) === 0 && (saved.uid !== saved.fsuid || saved.gid !== saved.fsgid)) {
    task.credentials = saved.with({
      fsuid: saved.uid,
      fsgid: saved.gid,
      effective: saved.uid === 0 ? saved.permitted : NO_CAPABILITIES,
    });
  }
  const follow = (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : FOLLOW;
  const path = resolve(task, dirfd, name, follow | ((flags & AT_EMPTY_PATH) !== 0 ? EMPTY : 0));
  const result = typeof path === "number" ? path : checkAccess(task, path, mode);
  task.credentials = saved;
  return result;
}

function checkAccess(task: Task, path: Path, mode: number): number {
  if (mode === F_OK) return 0;
  const inode = path.inode;
  const type = inode.mode & S_IFMT;
  if ((mode & X_OK) !== 0 && !inode.isDirectory && (path.mount.flags & MS_NOEXEC) !== 0) return -EACCES;
  const result = mayAccess(task.credentials, inode, mode);
  if (result < 0) return result;
  const isSpecial = type === S_IFCHR || type === S_IFBLK || type === S_IFIFO || type === S_IFSOCK;
  return (mode & W_OK) !== 0 && !isSpecial && path.mount.isReadOnly ? -EROFS : 0;
}

function readlinkAt(task: Task, dirfd: number, nameAt: number, address: number, size: number): number {
  if (size <= 0) return -EINVAL;
  const name = task.memory.readString(nameAt, PATH_MAX);
  if (typeof name === "number") return name;
  const path = resolve(task, dirfd, name, EMPTY);
  if (typeof path === "number") return name === "" && dirfd === AT_FDCWD ? -ENOENT : path;
  if (!path.inode.isSymlink) return name === "" ? -ENOENT : -EINVAL;
  const target = path.inode.readlink();
  if (typeof target === "number") return target;
  const length = Math.min(size, target.length);
  const at = task.memory.outView(address, length);
  if (at < 0) return -EFAULT;
  putLatin1(task.memory.view, at, target.slice(0, length));
  const written = task.memory.outCommit(length);
  return written < 0 ? written : length;
}

function statfs(task: Task, args: Args): number {
  const name = task.memory.readString(args.word(0), PATH_MAX);
  if (typeof name === "number") return name;
  const path = resolve(task, AT_FDCWD, name, FOLLOW);
  return typeof path === "number" ? path : putStatfs(task, path.inode, path.mount, args.word(1));
}

function fstatfs(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  if (file === null) return -EBADF;
  return putStatfs(task, file.inode, file.path?.mount ?? null, args.word(1));
}

const ST_VALID = 0x20;
const ST_RELATIME = 0x1000;
const ST_NOSYMFOLLOW = 0x2000;

function putStatfs(task: Task, inode: Inode, mount: Mount | null, address: number): number {
  const stat = new FilesystemStat();
  const result = inode.fs.statfs(stat);
  if (result < 0) return result;
  const at = task.memory.outView(address, STATFS_BYTES);
  if (at < 0) return at;
  const b = task.memory.view;
  zero(b, at, STATFS_BYTES);
  put64(b, at, stat.type);
  put64(b, at + 8, stat.blockSize);
  put64(b, at + 16, stat.blocks);
  put64(b, at + 24, stat.blocksFree);
  put64(b, at + 32, stat.blocksAvailable);
  put64(b, at + 40, stat.files);
  put64(b, at + 48, stat.filesFree);
  put32(b, at + 56, inode.fs.device);
  put64(b, at + 64, stat.nameMax);
  put64(b, at + 72, stat.blockSize);
  put64(b, at + 80, ST_VALID | stat.flags | (mount === null ? 0 : statfsFlags(mount.flags)));
  return task.memory.outCommit(STATFS_BYTES);
}

/** ST_ flags of a mount's MS_ ones: flags_by_mnt() of fs/statfs.c. */
function statfsFlags(flags: number): number {
  let shown = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME);
  if ((flags & MS_RELATIME) !== 0) shown |= ST_RELATIME;
  if ((flags & MS_NOSYMFOLLOW) !== 0) shown |= ST_NOSYMFOLLOW;
  return shown;
}
