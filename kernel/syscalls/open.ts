// open(2) and its kin: creating and opening files, and the descriptors they come back as.

import {
  E2BIG,
  EACCES,
  EBADF,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOTDIR,
  EOPNOTSUPP,
  EPERM,
  EROFS,
} from "../abi/errno.ts";
import {
  AT_FDCWD,
  MS_NODEV,
  O_ACCMODE,
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
  PATH_MAX,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  S_IFBLK,
  S_IFCHR,
  S_IFMT,
  S_IFREG,
  S_ISGID,
  S_ISVTX,
} from "../abi/file.ts";
import { u64 } from "../abi/struct.ts";
import type { Task } from "../task/task.ts";
import { File } from "../vfs/file.ts";
import { ATTR_CTIME, ATTR_MTIME, ATTR_SIZE, AttributeChange, type NewNode } from "../vfs/inode.ts";
import type { TmpfsInode } from "../fs/tmpfs.ts";
import { acrossMounts, Path } from "../vfs/path.ts";
import {
  allowedMode,
  isOwnerOrCapable,
  MAY_EXEC,
  MAY_READ,
  MAY_WRITE,
  mayAccess,
  modeAfterWrite,
} from "../vfs/permission.ts";
import { DIRECTORY, FOLLOW, resolve, resolveParent } from "../vfs/path_walk.ts";
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
const RESOLVE_KNOWN = RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS |
  RESOLVE_NO_XDEV | RESOLVE_CACHED;
/** Flags that an open file description keeps. */
const KEPT_FLAGS = ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);

export const OPEN_CALLS: SyscallFamily = {
  open: {
    nr: { x64: 2 },
    args: { pathname: "path", flags: { flags: OPEN_FLAGS }, mode: "mode" },
    returns: "fd",
    support: FULL,
    run: (task, args) => openAt(task, AT_FDCWD, args, 0),
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
    run: (task, args) => openAt(task, args.i32(0), args, 1),
  },
  openat2: {
    nr: { x64: 437, arm64: 437 },
    args: { dirfd: "dirfd", pathname: "path", how: { in: 24 }, size: "size" },
    returns: "fd",
    support: partial("RESOLVE_CACHED looks things up"),
    run: openat2,
  },
};

function openAt(task: Task, dirfd: number, args: Args, first: number): number {
  const name = task.memory.readString(args.word(first), PATH_MAX);
  if (typeof name === "number") return name;
  return openDescriptor(task, dirfd, name, args.u32(first + 1) & OPEN_KNOWN, args.u32(first + 2) & 0o7777, 0);
}

function creat(task: Task, args: Args): number {
  const name = task.memory.readString(args.word(0), PATH_MAX);
  if (typeof name === "number") return name;
  return openDescriptor(task, AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, args.u32(1) & 0o7777, 0);
}

function openat2(task: Task, args: Args): number {
  const size = args.word(3);
  if (size < 24) return -EINVAL;
  if (size > 4096) return -E2BIG;
  const at = task.memory.inView(args.word(2), size);
  if (at < 0) return at;
  const view = task.memory.view;
  for (let i = 24; i < size; i++) if (view[at + i] !== 0) return -E2BIG; // E2BIG: a newer struct than we know
  const flags = u64(view, at), mode = u64(view, at + 8), how = u64(view, at + 16);
  const name = task.memory.readString(args.word(1), PATH_MAX);
  if (typeof name === "number") return name;
  if (
    flags > OPEN_KNOWN || (flags & ~OPEN_KNOWN) !== 0 || how > RESOLVE_KNOWN || (how & ~RESOLVE_KNOWN) !== 0
  ) return -EINVAL;
  if ((how & RESOLVE_BENEATH) !== 0 && (how & RESOLVE_IN_ROOT) !== 0) return -EINVAL;
  const creates = (flags & O_CREAT) !== 0 || (flags & O_TMPFILE) === O_TMPFILE;
  if (mode > 0o7777 || (!creates && mode !== 0)) return -EINVAL;
  return openDescriptor(task, args.i32(0), name, flags, mode, how);
}

/** Opens and gives the file a descriptor. */
function openDescriptor(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how: number,
): number {
  const file = openByName(task, dirfd, name, flags, mode, how);
  if (typeof file === "number") return file;
  const fd = task.files.allocate(task, file, (flags & O_CLOEXEC) !== 0);
  if (fd < 0) file.drop();
  return fd;
}

/** open(2) up to the file: resolves, creates where asked, checks, truncates. May answer BLOCKED for a FIFO. */
export function openByName(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how: number,
): File | number {
  // A FIFO's open that waits is run again: what it has opened so far stands in task.scratch, owned by the opener.
  if ((flags & O_PATH) !== 0) return openPathOnly(task, dirfd, name, flags, how);
  if ((flags & O_TMPFILE) === O_TMPFILE) return openUnnamed(task, dirfd, name, flags, mode, how);
  if ((flags & O_CREAT) !== 0) {
    if ((flags & O_DIRECTORY) !== 0) return -EINVAL;
    return openOrCreate(task, dirfd, name, flags, mode, how);
  }
  const follow = (flags & O_NOFOLLOW) !== 0 ? 0 : FOLLOW;
  const path = resolve(task, dirfd, name, follow | ((flags & O_DIRECTORY) !== 0 ? DIRECTORY : 0), how);
  if (typeof path === "number") return path;
  return openPath(task, path, flags);
}

function openPathOnly(task: Task, dirfd: number, name: string, flags: number, how: number): File | number {
  const follow = (flags & O_NOFOLLOW) !== 0 ? 0 : FOLLOW;
  const path = resolve(task, dirfd, name, follow | ((flags & O_DIRECTORY) !== 0 ? DIRECTORY : 0), how);
  if (typeof path === "number") return path;
  return new PathFile(path, flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW));
}

/** O_CREAT: the last component may be missing, or a symlink whose target may be missing. */
function openOrCreate(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how: number,
): File | number {
  const parent = resolveParent(task, dirfd, name, how);
  if (typeof parent === "number") return parent;
  if (parent.hasSlash || parent.name === "") return -EISDIR;
  if (parent.name === "." || parent.name === "..") return (flags & O_EXCL) !== 0 ? -EEXIST : -EISDIR;
  const access = mayAccess(task.credentials, parent.path.inode, MAY_EXEC);
  if (access < 0) return access;
  const dentry = parent.path.dentry.lookup(parent.name);
  if (typeof dentry === "number") return dentry;
  if (dentry.inode === null) return createAndOpen(task, parent.path, parent.name, flags, mode);
  if ((flags & O_EXCL) !== 0) return -EEXIST;
  const found = acrossMounts(task.namespaces.mount, new Path(parent.path.mount, dentry));
  if (!found.inode.isSymlink) {
    const refused = mayCreateOver(task, parent.path, found);
    return refused < 0 ? refused : openPath(task, found, flags);
  }
  if ((flags & O_NOFOLLOW) !== 0) return -ELOOP;
  // Through the link: what it leads to may be missing, and is created there then.
  const target = resolve(task, dirfd, name, FOLLOW, how);
  if (typeof target !== "number") return openPath(task, target, flags);
  if (target !== -ENOENT) return target;
  const text = found.inode.readlink();
  if (typeof text === "number") return text;
  return openOrCreateBelow(task, parent.path, text, flags, mode, how);
}

/** The dangling symlink's target, relative to the directory of the link. */
function openOrCreateBelow(
  task: Task,
  directory: Path,
  target: string,
  flags: number,
  mode: number,
  how: number,
): File | number {
  if (target.startsWith("/")) return openOrCreate(task, AT_FDCWD, target, flags, mode, how);
  const holder = new PathFile(directory, O_PATH);
  const fd = task.files.allocate(task, holder, true);
  if (fd < 0) {
    holder.drop();
    return fd;
  }
  const file = openOrCreate(task, fd, target, flags, mode, how);
  task.files.close(task, fd);
  return file;
}

/** fs.protected_regular: in a sticky directory O_CREAT does not open another's file unless the directory's owner made it. */
function mayCreateOver(task: Task, directory: Path, path: Path): number {
  const inode = path.inode, parent = directory.inode;
  if ((parent.mode & S_ISVTX) === 0 || (parent.mode & 0o022) === 0) return 0;
  if (inode.type !== S_IFREG || inode.uid === task.credentials.fsuid || inode.uid === parent.uid) return 0;
  return (parent.mode & 0o002) !== 0 ? -EACCES : 0;
}

/** Owner and mode of a node that `task` makes in `directory`: umask and setgid inheritance. */
export function newNode(task: Task, directory: Path, mode: number): NewNode {
  const parent = directory.inode;
  const inherits = (parent.mode & S_ISGID) !== 0;
  const gid = inherits ? parent.gid : task.credentials.fsgid;
  let bits = mode & ~task.fs.umask;
  if (inherits && (mode & S_IFMT) !== S_IFREG && (mode & S_IFMT) === 0o040000) bits |= S_ISGID;
  return { mode: allowedMode(task.credentials, bits, gid), uid: task.credentials.fsuid, gid };
}

function createAndOpen(
  task: Task,
  directory: Path,
  name: string,
  flags: number,
  mode: number,
): File | number {
  if (directory.mount.isReadOnly) return -EROFS;
  const access = mayAccess(task.credentials, directory.inode, MAY_WRITE | MAY_EXEC);
  if (access < 0) return access;
  const inode = directory.inode.create(name, newNode(task, directory, S_IFREG | mode));
  if (typeof inode === "number") return inode;
  const known = directory.dentry.child(name);
  const dentry = known !== null && known.inode === null ? known : directory.dentry.add(name, null);
  dentry.instantiate(inode);
  // The new file opens whatever its mode says: creat(2) with mode 0 gives a writable descriptor.
  return openInode(task, new Path(directory.mount, dentry), flags & ~O_TRUNC);
}

function openUnnamed(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how: number,
): File | number {
  if ((flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
  const directory = resolve(task, dirfd, name, FOLLOW | DIRECTORY, how);
  if (typeof directory === "number") return directory;
  if (directory.mount.isReadOnly) return -EROFS;
  const access = mayAccess(task.credentials, directory.inode, MAY_WRITE | MAY_EXEC);
  if (access < 0) return access;
  const parent = directory.inode as Partial<TmpfsInode>;
  if (parent.createUnnamed === undefined) return -EOPNOTSUPP;
  const inode = parent.createUnnamed.call(directory.inode, newNode(task, directory, S_IFREG | mode));
  if (typeof inode === "number") return inode;
  const file = inode.open(task, flags & KEPT_FLAGS & ~(O_TMPFILE | O_DIRECTORY));
  return file;
}

/** Opens an existing object: permission, read-only mounts, truncation. */
export function openPath(task: Task, path: Path, flags: number): File | number {
  const inode = path.inode;
  if (inode.isSymlink) return -ELOOP;
  const access = flags & O_ACCMODE;
  const wantsWrite = access === O_WRONLY || access === O_RDWR || access === 3;
  if (inode.isDirectory && (wantsWrite || (flags & O_CREAT) !== 0)) return -EISDIR;
  if ((flags & O_DIRECTORY) !== 0 && !inode.isDirectory) return -ENOTDIR;
  const type = inode.mode & S_IFMT;
  const isDevice = type === S_IFCHR || type === S_IFBLK;
  if (isDevice && (path.mount.flags & MS_NODEV) !== 0) return -EACCES;
  const isContent = type === S_IFREG || inode.isDirectory;
  if ((wantsWrite || (flags & O_TRUNC) !== 0) && isContent && path.mount.isReadOnly) return -EROFS;
  const mask = (access !== O_WRONLY ? MAY_READ : 0) | (wantsWrite || (flags & O_TRUNC) !== 0 ? MAY_WRITE : 0);
  const refused = mayAccess(task.credentials, inode, mask);
  if (refused < 0) return refused;
  if ((flags & O_NOATIME) !== 0 && !isOwnerOrCapable(task.credentials, inode)) return -EPERM;
  return openInode(task, path, flags);
}

/** Last step: O_TRUNC and the file itself. */
function openInode(task: Task, path: Path, flags: number): File | number {
  const file = path.inode.open(task, flags & KEPT_FLAGS | (flags & O_NOCTTY));
  if (typeof file === "number") return file;
  if ((flags & O_TRUNC) !== 0 && path.inode.type === S_IFREG) {
    const result = truncateInode(task, path, 0);
    if (result < 0) {
      file.drop();
      return result;
    }
  }
  setFilePath(file, path);
  return file;
}

/** Ties a file to where it was opened; the path is held until the file closes. */
export function setFilePath(file: File, path: Path): void {
  if (file.path !== null) return;
  path.hold();
  file.path = path;
}

/** Sets the size of an inode and what goes with it: times, loss of setuid. */
export function truncateInode(task: Task, path: Path, size: number): number {
  const change = new AttributeChange();
  change.mask = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME;
  change.size = size;
  change.mtimeSec = change.ctimeSec = task.kernel.clock.realtime();
  change.mtimeNsec = change.ctimeNsec = task.kernel.clock.nanoseconds;
  const inode = path.inode;
  const result = inode.setattr(change);
  if (result === 0) inode.mode = modeAfterWrite(task.credentials, inode.mode);
  return result;
}

/** An O_PATH descriptor: a place, nothing to read or write. open(2) "O_PATH". */
export class PathFile extends File {
  constructor(path: Path, flags: number) {
    super(path.inode, flags | O_PATH);
    path.hold();
    this.path = path;
  }
  override read(): number {
    return -EBADF;
  }
  override write(): number {
    return -EBADF;
  }
  override seek(): number {
    return -EBADF;
  }
  override readDirectory(): number {
    return -EBADF;
  }
  override ioctl(): number {
    return -EBADF;
  }
}
