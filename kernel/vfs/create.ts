// Making names: files, directories, nodes, symlinks and hard links. Linux: vfs_create(), vfs_mkdir(), vfs_mknod(),
// vfs_symlink(), vfs_link() of fs/namei.c. Used by the system calls and by kernel code that needs a node (bound sockets).

import { EEXIST, ENOENT, EPERM, EROFS, EXDEV } from "../abi/errno.ts";
import {
  IN_ATTRIB,
  IN_CREATE,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  S_ISGID,
  S_ISUID,
  S_IXGRP,
} from "../abi/file.ts";
import { CAP_MKNOD } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import type { Inode, NewNode } from "./inode.ts";
import { notifyEntry, notifyInode } from "./notify.ts";
import { Path } from "./path.ts";
import { allowedMode, isOwnerOrCapable, MAY_EXEC, MAY_READ, MAY_WRITE, mayAccess } from "./permission.ts";
import { lookupChild, type Parent, resolveParent } from "./path_walk.ts";

/** Owner and mode of a node that `task` makes in `directory`: umask and setgid inheritance. */
export function newNode(task: Task, directory: Inode, mode: number): NewNode {
  const inherits = (directory.mode & S_ISGID) !== 0;
  const gid = inherits ? directory.gid : task.credentials.fsgid;
  let bits = mode & ~task.fs.umask;
  if (inherits) {
    if ((mode & S_IFMT) === S_IFDIR) bits |= S_ISGID;
    else if ((mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) {
      bits = allowedMode(task.credentials, bits, gid);
    }
  }
  return { mode: bits, uid: task.credentials.fsuid, gid };
}

/** 0 when `task` may make an entry in `directory`. */
export function mayCreate(task: Task, directory: Path): number {
  if (directory.mount.isReadOnly) return -EROFS;
  return mayAccess(task.credentials, directory.inode, MAY_WRITE | MAY_EXEC);
}

/** Enters what the file system has made under a name that was looked up before; tells watchers. */
export function enterNew(parent: Path, name: string, inode: Inode): Path {
  const known = parent.dentry.child(name);
  const dentry = known !== null && known.inode === null ? known : parent.dentry.add(name, null);
  dentry.instantiate(inode);
  notifyEntry(parent.inode, name, inode.isDirectory, IN_CREATE, 0);
  return new Path(parent.mount, dentry);
}

/** The directory in which `name` is free. */
function resolveFree(task: Task, dirfd: number, name: string, isDirectory: boolean): Parent | number {
  const parent = resolveParent(task, dirfd, name);
  if (typeof parent === "number") return parent;
  if (!isPlainName(parent.name)) return -EEXIST;
  const child = lookupChild(task, parent.path, parent.name);
  if (typeof child === "number") return child;
  if (child.dentry.inode !== null) return -EEXIST;
  if (parent.hasSlash && !isDirectory) return -ENOENT;
  const refused = mayCreate(task, parent.path);
  return refused < 0 ? refused : parent;
}

/** A name that can be given to something: not ".", ".." or "/". */
export function isPlainName(name: string): boolean {
  return name !== "." && name !== ".." && name !== "/";
}

/** mkdir(2): 0 or -ERRNO. */
export function makeDirectory(task: Task, dirfd: number, name: string, mode: number): number {
  const parent = resolveFree(task, dirfd, name, true);
  if (typeof parent === "number") return parent;
  const directory = parent.path.inode;
  const inode = directory.mkdir(parent.name, newNode(task, directory, S_IFDIR | mode & 0o1777));
  if (typeof inode === "number") return inode;
  enterNew(parent.path, parent.name, inode);
  return 0;
}

/** mknod(2), with the type in `mode` (0 = regular): the new place or -ERRNO. Bound Unix sockets come here with S_IFSOCK. */
export function makeNode(
  task: Task,
  dirfd: number,
  name: string,
  mode: number,
  rdevMajor: number,
  rdevMinor: number,
): Path | number {
  const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
  const parent = resolveFree(task, dirfd, name, false);
  if (typeof parent === "number") return parent;
  const isWhiteout = type === S_IFCHR && rdevMajor === 0 && rdevMinor === 0;
  if ((type === S_IFCHR || type === S_IFBLK) && !isWhiteout && !task.credentials.has(CAP_MKNOD)) {
    return -EPERM;
  }
  const directory = parent.path.inode;
  const node = newNode(task, directory, type | mode & 0o7777);
  const inode = type === S_IFREG
    ? directory.create(parent.name, node)
    : directory.mknod(parent.name, node, rdevMajor, rdevMinor);
  if (typeof inode === "number") return inode;
  return enterNew(parent.path, parent.name, inode);
}

/** symlink(2): 0 or -ERRNO. */
export function makeSymlink(task: Task, target: string, dirfd: number, name: string): number {
  if (target === "") return -ENOENT;
  const parent = resolveFree(task, dirfd, name, false);
  if (typeof parent === "number") return parent;
  const directory = parent.path.inode;
  const node = { mode: 0o120777, uid: task.credentials.fsuid, gid: newNode(task, directory, 0).gid };
  const inode = directory.symlink(parent.name, target, node);
  if (typeof inode === "number") return inode;
  enterNew(parent.path, parent.name, inode);
  return 0;
}

/** link(2) of the file at `source`: 0 or -ERRNO. */
export function makeLink(task: Task, source: Path, dirfd: number, name: string): number {
  const parent = resolveFree(task, dirfd, name, false);
  if (typeof parent === "number") return parent;
  const inode = source.inode;
  if (parent.path.mount !== source.mount) return -EXDEV;
  if (!mayLink(task, inode)) return -EPERM;
  if (inode.isDirectory) return -EPERM;
  if (inode.nlink === 0 && !inode.isLinkable) return -ENOENT;
  const result = parent.path.inode.link(parent.name, inode);
  if (result < 0) return result;
  inode.isLinkable = false;
  enterNew(parent.path, parent.name, inode);
  notifyInode(inode, IN_ATTRIB);
  return 0;
}

/** fs.protected_hardlinks: only one's own files, or plain ones that one may read and write. */
function mayLink(task: Task, inode: Inode): boolean {
  if (inode.fs.vfs.parameters.protectedHardlinks === 0) return true;
  if (isOwnerOrCapable(task.credentials, inode)) return true;
  if (inode.type !== S_IFREG || (inode.mode & S_ISUID) !== 0) return false;
  if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) return false;
  return mayAccess(task.credentials, inode, MAY_READ | MAY_WRITE) === 0;
}
