// Inodes: the objects of a file system. Linux: struct inode and inode_operations. A file system subclasses Inode; what
// it does not override answers the errno Linux gives for an object that lacks the operation. Permission checks, name
// checks, mount crossing and read-only mounts are the VFS's work: a method here is called only when it is allowed.
// Names and link targets are byte strings: one UTF-16 unit holds one byte.

import { EINVAL, ENODATA, ENODEV, ENOTDIR, EOPNOTSUPP, EPERM } from "../abi/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "../abi/file.ts";
import type { Filesystem } from "./filesystem.ts";
import type { Pinned } from "./mount.ts";
import type { File } from "./file.ts";
import type { InodeLocks } from "./file_locks.ts";
import type { InodeWatch } from "./notify.ts";
import type { Path } from "./path.ts";
import type { Pipe } from "../ipc/pipe.ts";
import type { UnixSocket } from "../socket/unix/unix_socket.ts";
import type { FutexTable } from "../task/futex_queue.ts";
import type { Task } from "../task/task.ts";

/** Which fields of an AttributeChange are meant. */
export const ATTR_MODE = 1;
export const ATTR_UID = 2;
export const ATTR_GID = 4;
export const ATTR_SIZE = 8;
export const ATTR_ATIME = 16;
export const ATTR_MTIME = 32;
export const ATTR_CTIME = 64;

/** What setattr() is asked to change: `mask` says which fields count. */
export class AttributeChange {
  mask = 0;
  mode = 0;
  uid = 0;
  gid = 0;
  size = 0;
  atimeSec = 0;
  atimeNsec = 0;
  mtimeSec = 0;
  mtimeNsec = 0;
  ctimeSec = 0;
  ctimeNsec = 0;
}

/** Owner and mode of an object to be created, umask and setgid inheritance already applied by the VFS. */
export interface NewNode {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** How setxattr(2) treats an existing name. */
export type XattrFlags = number;

export abstract class Inode {
  readonly fs: Filesystem;
  /** Its number there. It changes only where an overlay copies up one of several links (overlay/inode.ts). */
  ino: number;
  /** Type and permission bits. */
  mode: number;
  uid: number;
  gid: number;
  nlink = 1;
  /** Device number of a device node, as two numbers: they are never combined to a dev_t here. */
  rdevMajor = 0;
  rdevMinor = 0;
  /** Bytes; kept current by the file system (see refresh). */
  size = 0;
  /** 512-byte blocks. */
  blocks = 0;
  atimeSec = 0;
  atimeNsec = 0;
  mtimeSec = 0;
  mtimeNsec = 0;
  ctimeSec = 0;
  ctimeNsec = 0;
  birthSec = 0;
  birthNsec = 0;
  /**
   * It may have file capabilities, which a write takes off: false once somebody has looked, until they are set again. Linux:
   * the opposite of S_NOSEC.
   */
  mayHaveCapabilities = true;
  /** What is read and written through a pipe or an open FIFO; owned by ipc/. */
  pipe: Pipe | null = null;
  /** The socket that is bound to this name; owned by socket/unix/. */
  socket: UnixSocket | null = null;
  /** A namespace that a bind mount of this keeps alive, and what mountinfo calls it; null for files. */
  namespaceShown: { readonly pin: Pinned; readonly name: string } | null = null;
  /** flock, POSIX and OFD locks of this inode; made by vfs/file_locks on first use. */
  locks: InodeLocks | null = null;
  /** Futexes in shared mappings of it; owned by task/futex_queue.ts. */
  futexes: FutexTable | null = null;
  /** inotify watches on it; see vfs/notify.ts. */
  watches: InodeWatch[] | null = null;
  /** Open files that may write; below 0 = programs that run from it. See vfs/write_access.ts. */
  writers = 0;
  /** Shared mappings that may write it (i_mmap_writable): F_SEAL_WRITE waits for them to go. Kept by mm/backing.ts. */
  writableMappings = 0;
  /** Made by O_TMPFILE: it may be given its first link although nlink is 0. */
  isLinkable = false;

  constructor(fs: Filesystem, ino: number, mode: number, uid: number, gid: number) {
    this.fs = fs;
    this.ino = ino;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
  }

  get type(): number {
    return this.mode & S_IFMT;
  }
  get isDirectory(): boolean {
    return (this.mode & S_IFMT) === S_IFDIR;
  }
  get isSymlink(): boolean {
    return (this.mode & S_IFMT) === S_IFLNK;
  }

  /** Brings the attributes up to date before they are shown (files that change outside). 0 or -ERRNO. */
  refresh(): number {
    return 0;
  }

  /** Finds `name` in this directory: the inode, or -ENOENT. Never "." or "..". */
  lookup(_name: string): Inode | number {
    return -ENOTDIR;
  }
  /**
   * For open(2) with O_CREAT: making `name`, which answers EEXIST where it exists and makes it known then, costs less than
   * asking for it first.
   */
  presumesMissing(_name: string): boolean {
    return false;
  }
  create(_name: string, _node: NewNode): Inode | number {
    return -EPERM;
  }
  mkdir(_name: string, _node: NewNode): Inode | number {
    return -EPERM;
  }
  /** FIFO, socket, device or regular file by the type bits in node.mode. */
  mknod(_name: string, _node: NewNode, _rdevMajor: number, _rdevMinor: number): Inode | number {
    return -EPERM;
  }
  symlink(_name: string, _target: string, _node: NewNode): Inode | number {
    return -EPERM;
  }
  /** A regular file in this file system that has no name, nlink 0 (O_TMPFILE). */
  createUnnamed(_node: NewNode): Inode | number {
    return -EOPNOTSUPP;
  }
  /** Adds a hard link to `inode` of the same file system. */
  link(_name: string, _inode: Inode): number {
    return -EPERM;
  }
  unlink(_name: string, _inode: Inode): number {
    return -EPERM;
  }
  rmdir(_name: string, _inode: Inode): number {
    return -EPERM;
  }
  /** `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE. `target` is the inode that has the new name now, or null. */
  rename(
    _name: string,
    _inode: Inode,
    _to: Inode,
    _newName: string,
    _target: Inode | null,
    _flags: number,
  ): number {
    return -EPERM;
  }
  readlink(): string | number {
    return -EINVAL;
  }
  /**
   * Magic links (/proc/PID/fd/N, cwd, exe, root) go to an object, not through text: a place, or null for an ordinary
   * symlink. -ERRNO.
   */
  magicLink(_task: Task): Path | number | null {
    return null;
  }

  /** Makes an open file description. `flags` are those of open(2); O_TRUNC and O_CREAT are already dealt with by the VFS. */
  open(_task: Task, _flags: number): File | number {
    return -ENODEV;
  }

  setattr(_change: AttributeChange): number {
    return -EPERM;
  }

  /** It is about to be opened with O_TRUNC: nobody needs the content it has (overlay: nothing to copy up). 0 or -ERRNO. */
  prepareTruncate(): number {
    return 0;
  }

  getXattr(_name: string): Uint8Array | number {
    return -EOPNOTSUPP;
  }
  setXattr(_name: string, _value: Uint8Array, _flags: XattrFlags): number {
    return -EOPNOTSUPP;
  }
  removeXattr(_name: string): number {
    return -ENODATA;
  }
  listXattr(): string[] | number {
    return -EOPNOTSUPP;
  }

  /** False where dentries below this directory must be looked up each time (proc PID directories, shared gofer mounts). */
  get isCacheable(): boolean {
    return true;
  }

  /** One more holder (dentry, open file). Files with host resources count; garbage collection frees plain ones. */
  hold(): void {}
  /** One holder less. At zero, with no links left, the content is given back. */
  drop(): void {}
}
