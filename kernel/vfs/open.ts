// From a name to an open file description: open(2) up to the descriptor. Linux: path_openat(), do_open(), may_open() of
// fs/namei.c and do_dentry_open(). Used by the system calls, by execve and by boot.

import { EACCES, EEXIST, EINVAL, EISDIR, ELOOP, ENOTDIR, EPERM, EROFS } from "../abi/errno.ts";
import {
  IN_MODIFY,
  IN_OPEN,
  MS_NODEV,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_LARGEFILE,
  O_NOATIME,
  O_NOCTTY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_ISVTX,
} from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import { truncateInode } from "./attributes.ts";
import { enterNew, isPlainName, mayCreate, newNode } from "./create.ts";
import { Dentry } from "./dentry.ts";
import { File } from "./file.ts";
import { notifyPath } from "./notify.ts";
import { Path } from "./path.ts";
import { DIRECTORY, FOLLOW, type Place, PRESUME, resolve, resolvePlace } from "./path_walk.ts";
import { isOwnerOrCapable, MAY_READ, MAY_WRITE, mayAccess } from "./permission.ts";
import { claimWriteAccess } from "./write_access.ts";

/** Flags that an open file description keeps. */
const KEPT_FLAGS = ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
/** The slot of CallInFlight in which a call keeps the file that it is opening while that must wait (FIFOs). */
export const OPENED = 0;
/** The bit of O_TMPFILE beside O_DIRECTORY. */
const TMPFILE_BIT = O_TMPFILE & ~O_DIRECTORY;

/**
 * open(2) up to the file: resolves, creates where asked, checks, truncates. `mode` is that of a new file before the umask,
 * `how` RESOLVE_ bits. A FIFO that waits for its other end answers MUST_WAIT (task/wait_engine.ts).
 */
export function openByName(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how = 0,
): File | number {
  if ((flags & O_PATH) !== 0) return openPlace(task, dirfd, name, flags, how);
  if ((flags & TMPFILE_BIT) !== 0) return openUnnamed(task, dirfd, name, flags, mode, how);
  if ((flags & O_CREAT) !== 0) {
    if ((flags & O_DIRECTORY) !== 0) return -EINVAL;
    return openOrCreate(task, dirfd, name, flags, mode, how);
  }
  const { vfs } = task.kernel;
  vfs.opensNext = (flags & (O_ACCMODE | O_TRUNC | O_DIRECTORY)) === O_RDONLY;
  const path = resolve(task, dirfd, name, walkFlags(flags), how);
  vfs.opensNext = false;
  return typeof path === "number" ? path : openPath(task, path, flags);
}

/** Opens an existing object after the checks of open(2): type, permission, read-only and nodev mounts; truncates. */
export function openPath(task: Task, path: Path, flags: number): File | number {
  const inode = path.inode, type = inode.mode & S_IFMT;
  const access = flags & O_ACCMODE;
  // O_TRUNC asks for the right to write, whatever there is to truncate: build_open_flags().
  const wantsWrite = access !== O_RDONLY || (flags & O_TRUNC) !== 0;
  switch (type) {
    case S_IFLNK:
      return -ELOOP;
    case S_IFDIR:
      if (wantsWrite || (flags & O_CREAT) !== 0) return -EISDIR;
      break;
    case S_IFCHR:
    case S_IFBLK:
      if ((path.mount.flags & MS_NODEV) !== 0) return -EACCES;
  }
  if ((flags & O_DIRECTORY) !== 0 && type !== S_IFDIR) return -ENOTDIR;
  const mask = (access !== O_WRONLY ? MAY_READ : 0) | (wantsWrite ? MAY_WRITE : 0);
  const refused = mayAccess(task.credentials, inode, mask);
  if (refused < 0) return refused;
  if ((flags & O_NOATIME) !== 0 && !isOwnerOrCapable(task.credentials, inode)) return -EPERM;
  // Devices, FIFOs and sockets are written through a read-only mount.
  if (wantsWrite && type === S_IFREG && path.mount.isReadOnly) return -EROFS;
  return openInode(task, path, flags);
}

/** A file open on `path` whatever its mode says: creat(2) with mode 0 gives a writable descriptor. */
function openInode(task: Task, path: Path, flags: number): File | number {
  const inode = path.inode;
  if ((flags & O_TRUNC) !== 0 && inode.type === S_IFREG) {
    const prepared = inode.prepareTruncate();
    if (prepared < 0) return prepared;
  }
  // Terminals want to know of O_NOCTTY, which no file keeps. An x86-64 kernel opens every file as with O_LARGEFILE, and
  // F_GETFL tells.
  const isDevice = inode.type === S_IFCHR;
  const kept = isDevice ? KEPT_FLAGS | O_NOCTTY : KEPT_FLAGS;
  const file = inode.open(task, (flags & kept) | O_LARGEFILE);
  if (typeof file === "number") {
    const waiting = task.call.held(OPENED);
    if (waiting !== null && waiting.inode === inode) keepPath(waiting, path);
    return file;
  }
  if (isDevice) file.flags &= ~O_NOCTTY;
  keepPath(file, path);
  if ((flags & O_ACCMODE) !== O_RDONLY) {
    const busy = claimWriteAccess(file);
    if (busy < 0) {
      file.drop();
      return busy;
    }
  }
  if ((flags & O_TRUNC) !== 0 && inode.type === S_IFREG) {
    const result = truncateInode(task, inode, 0);
    if (result < 0) {
      file.drop();
      return result;
    }
    notifyPath(path, IN_MODIFY);
  }
  notifyPath(path, IN_OPEN);
  return file;
}

function keepPath(file: File, path: Path): void {
  if (file.path !== null || path.mount.isNameless) return;
  path.hold();
  file.path = path;
}

function walkFlags(flags: number): number {
  return ((flags & O_NOFOLLOW) !== 0 ? 0 : FOLLOW) | ((flags & O_DIRECTORY) !== 0 ? DIRECTORY : 0);
}

/** O_PATH: a place in the tree, nothing is opened. */
function openPlace(task: Task, dirfd: number, name: string, flags: number, how: number): File | number {
  const path = resolve(task, dirfd, name, walkFlags(flags), how);
  if (typeof path === "number") return path;
  return new PathFile(path, flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW));
}

/** O_CREAT: the last component, or what the last symlink leads to, may be missing. */
function openOrCreate(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how: number,
): File | number {
  // With O_EXCL a symlink is not followed: it is something that exists.
  const follow = (flags & (O_NOFOLLOW | O_EXCL)) !== 0 ? 0 : FOLLOW;
  let place = resolvePlace(task, dirfd, name, follow | PRESUME, how);
  if (typeof place === "number") return place;
  if (place.isPresumed) {
    const path = createAt(task, place, mode);
    if (typeof path !== "number") return openNew(task, path, flags);
    // It may exist, and then be opened although nothing may be made there.
    if (path !== -EEXIST && path !== -EACCES && path !== -EROFS) return path;
    place = resolvePlace(task, dirfd, name, follow, how);
    if (typeof place === "number") return place;
  }
  if (place.child.dentry.inode !== null) {
    if ((flags & O_EXCL) !== 0) return -EEXIST;
    if (!isPlainName(place.name)) return -EISDIR;
    const refused = mayOpenExisting(task, place);
    return refused < 0 ? refused : openPath(task, place.child, flags);
  }
  const path = createAt(task, place, mode);
  return typeof path === "number" ? path : openNew(task, path, flags);
}

function openNew(task: Task, path: Path, flags: number): File | number {
  const file = openInode(task, path, flags & ~O_TRUNC);
  if (typeof file !== "number") file.wasCreated = true;
  return file;
}

/** A new regular file at `place`. */
function createAt(task: Task, place: Place, mode: number): Path | number {
  const refused = mayCreate(task, place.path);
  if (refused < 0) return refused;
  const directory = place.path.inode;
  const inode = directory.create(place.name, newNode(task, directory, S_IFREG | mode));
  return typeof inode === "number" ? inode : enterNew(place.path, place.name, inode);
}

/**
 * fs.protected_regular, protected_fifos: O_CREAT in a sticky directory anyone may write does not open what a third user
 * put there: may_create_in_sticky().
 */
function mayOpenExisting(task: Task, place: Place): number {
  const inode = place.child.inode, directory = place.path.inode;
  const { protectedRegular, protectedFifos } = inode.fs.vfs.parameters;
  const level = inode.type === S_IFREG ? protectedRegular : inode.type === S_IFIFO ? protectedFifos : 0;
  if (level === 0 || (directory.mode & S_ISVTX) === 0) return 0;
  // Level 2 counts directories that a group may write too.
  if ((directory.mode & (level > 1 ? 0o022 : 0o002)) === 0) return 0;
  return inode.uid === task.credentials.fsuid || inode.uid === directory.uid ? 0 : -EACCES;
}

function openUnnamed(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  mode: number,
  how: number,
): File | number {
  if ((flags & O_TMPFILE) !== O_TMPFILE || (flags & O_CREAT) !== 0) return -EINVAL;
  if ((flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
  const parent = resolve(task, dirfd, name, FOLLOW | DIRECTORY, how);
  if (typeof parent === "number") return parent;
  const refused = mayCreate(task, parent);
  if (refused < 0) return refused;
  const inode = parent.inode.createUnnamed(newNode(task, parent.inode, S_IFREG | mode));
  if (typeof inode === "number") return inode;
  inode.isLinkable = (flags & O_EXCL) === 0;
  const dentry = new Dentry(`#${inode.ino}`, parent.dentry, inode);
  dentry.isUnlinked = true;
  return openInode(task, new Path(parent.mount, dentry), flags & ~O_TRUNC);
}

/** An O_PATH descriptor: a place, nothing to read or write. Most calls do not know it (EBADF). */
class PathFile extends File {
  constructor(path: Path, flags: number) {
    super(path.inode, flags | O_PATH);
    path.hold();
    this.path = path;
  }
}
