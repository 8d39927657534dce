// Taking names away: unlink, rmdir, rename. Linux: vfs_unlink(), vfs_rmdir(), vfs_rename() of fs/namei.c.

import {
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  EROFS,
  EXDEV,
} from "../abi/errno.ts";
import {
  IN_ATTRIB,
  IN_DELETE,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
} from "../abi/file.ts";
import { CAP_MKNOD } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import { Dentry } from "./dentry.ts";
import { isPlainName, mayCreate } from "./create.ts";
import { notifyEntry, notifyInode } from "./notify.ts";
import { MAY_EXEC, MAY_WRITE, mayAccess, mayDelete } from "./permission.ts";
import { type Parent, resolveParent } from "./path_walk.ts";
import { NAME_MAX } from "../abi/file.ts";
import { ENAMETOOLONG } from "../abi/errno.ts";

/** unlink(2): 0 or -ERRNO. */
export function removeFile(task: Task, dirfd: number, name: string): number {
  const parent = resolveParent(task, dirfd, name);
  if (typeof parent === "number") return parent;
  if (!isPlainName(parent.name)) return -EISDIR;
  if (parent.path.mount.isReadOnly) return -EROFS;
  const dentry = existingChild(task, parent);
  if (typeof dentry === "number") return dentry;
  const inode = dentry.inode!;
  if (parent.hasSlash) return inode.isDirectory ? -EISDIR : -ENOTDIR;
  const directory = parent.path.inode;
  const refused = mayDelete(task.credentials, directory, inode);
  if (refused < 0) return refused;
  if (inode.isDirectory) return -EISDIR;
  if (dentry.mountCount > 0) return -EBUSY;
  const result = directory.unlink(parent.name, inode);
  if (result < 0) return result;
  afterRemoval(parent, dentry);
  return 0;
}

/** rmdir(2): 0 or -ERRNO. */
export function removeDirectory(task: Task, dirfd: number, name: string): number {
  const parent = resolveParent(task, dirfd, name);
  if (typeof parent === "number") return parent;
  if (parent.name === ".") return -EINVAL;
  if (parent.name === "..") return -ENOTEMPTY;
  if (parent.name === "/") return -EBUSY;
  if (parent.path.mount.isReadOnly) return -EROFS;
  const dentry = existingChild(task, parent);
  if (typeof dentry === "number") return dentry;
  const directory = parent.path.inode, inode = dentry.inode!;
  const refused = mayDelete(task.credentials, directory, inode);
  if (refused < 0) return refused;
  if (!inode.isDirectory) return -ENOTDIR;
  if (dentry.mountCount > 0) return -EBUSY;
  const result = directory.rmdir(parent.name, inode);
  if (result < 0) return result;
  afterRemoval(parent, dentry);
  return 0;
}

function afterRemoval(parent: Parent, dentry: Dentry): void {
  const inode = dentry.inode!;
  const isDirectory = inode.isDirectory;
  // The dentry may be the inode's last holder: watchers hear first.
  notifyEntry(parent.path.inode, parent.name, isDirectory, IN_DELETE, 0);
  if (!isDirectory) notifyInode(inode, IN_ATTRIB);
  parent.path.dentry.remove(dentry);
}

/** The child that a parent names, without crossing into what is mounted on it. -ENOENT where there is none. */
function existingChild(task: Task, parent: Parent): Dentry | number {
  const dentry = child(task, parent);
  if (typeof dentry === "number") return dentry;
  return dentry.inode === null ? -ENOENT : dentry;
}

function child(task: Task, parent: Parent): Dentry | number {
  const access = mayAccess(task.credentials, parent.path.inode, MAY_EXEC);
  if (access < 0) return access;
  return parent.name.length > NAME_MAX ? -ENAMETOOLONG : parent.path.dentry.lookup(parent.name);
}

/** renameat2(2): 0 or -ERRNO. `flags` are known RENAME_ bits. */
export function renamePath(
  task: Task,
  oldDirfd: number,
  oldName: string,
  newDirfd: number,
  newName: string,
  flags: number,
): number {
  if ((flags & RENAME_EXCHANGE) !== 0 && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) !== 0) return -EINVAL;
  if ((flags & RENAME_WHITEOUT) !== 0 && !task.credentials.has(CAP_MKNOD)) return -EPERM;
  const from = resolveParent(task, oldDirfd, oldName);
  if (typeof from === "number") return from;
  const to = resolveParent(task, newDirfd, newName);
  if (typeof to === "number") return to;
  if (from.path.mount !== to.path.mount) return -EXDEV;
  if (!isPlainName(from.name)) return -EBUSY;
  if (!isPlainName(to.name)) return (flags & RENAME_NOREPLACE) !== 0 ? -EEXIST : -EBUSY;
  if (from.path.mount.isReadOnly) return -EROFS;
  const source = existingChild(task, from);
  if (typeof source === "number") return source;
  // The same name is not looked up again: where each look gives an inode of its own (proc), the first would be gone.
  const isSame = to.path.dentry === from.path.dentry && to.name === from.name;
  const target = isSame ? source : child(task, to);
  if (typeof target === "number") return target;
  if (source.inode === null) return -ENOENT;
  const refused = checkRename(task, from, source, to, target, flags);
  if (refused !== 0) return refused < 0 ? refused : 0;
  return carryOut(from, source, to, target, flags);
}

/** 0 = go on, -ERRNO, 1 = both names are one file already: nothing to do. */
function checkRename(
  task: Task,
  from: Parent,
  source: Dentry,
  to: Parent,
  target: Dentry,
  flags: number,
): number {
  const inode = source.inode!, replaced = target.inode;
  const isExchange = (flags & RENAME_EXCHANGE) !== 0;
  if ((flags & RENAME_NOREPLACE) !== 0 && replaced !== null) return -EEXIST;
  if (isExchange) {
    if (replaced === null) return -ENOENT;
    if (to.hasSlash && !replaced.isDirectory) return -ENOTDIR;
  }
  if (!inode.isDirectory && (from.hasSlash || (!isExchange && to.hasSlash))) return -ENOTDIR;
  // A directory cannot go below itself, nor take the place of one above it.
  if (source.contains(to.path.dentry)) return -EINVAL;
  if (target.contains(from.path.dentry)) return isExchange ? -EINVAL : -ENOTEMPTY;
  if (inode === replaced) return 1;
  const credentials = task.credentials;
  const deletion = mayDelete(credentials, from.path.inode, inode);
  if (deletion < 0) return deletion;
  if (replaced === null) {
    const creation = mayCreate(task, to.path);
    if (creation < 0) return creation;
  } else {
    const replacement = mayDelete(credentials, to.path.inode, replaced);
    if (replacement < 0) return replacement;
    if (!isExchange && inode.isDirectory && !replaced.isDirectory) return -ENOTDIR;
    if (!isExchange && !inode.isDirectory && replaced.isDirectory) return -EISDIR;
  }
  // A directory that moves has its ".." changed.
  if (from.path.dentry !== to.path.dentry) {
    if (inode.isDirectory && mayAccess(credentials, inode, MAY_WRITE) < 0) {
      return mayAccess(credentials, inode, MAY_WRITE);
    }
    if (isExchange && replaced !== null && replaced.isDirectory) {
      const access = mayAccess(credentials, replaced, MAY_WRITE);
      if (access < 0) return access;
    }
  }
  return source.mountCount > 0 || target.mountCount > 0 ? -EBUSY : 0;
}

function carryOut(from: Parent, source: Dentry, to: Parent, target: Dentry, flags: number): number {
  const oldDirectory = from.path.inode, newDirectory = to.path.inode;
  const inode = source.inode!, replaced = target.inode;
  const result = oldDirectory.rename(from.name, inode, newDirectory, to.name, replaced, flags);
  if (result < 0) return result;
  const cookies = newDirectory.fs.vfs.moveCookies;
  const cookie = cookies.next();
  notifyEntry(oldDirectory, from.name, inode.isDirectory, IN_MOVED_FROM, cookie);
  notifyEntry(newDirectory, to.name, inode.isDirectory, IN_MOVED_TO, cookie);
  if ((flags & RENAME_EXCHANGE) !== 0) {
    Dentry.exchange(source, target);
    const back = cookies.next();
    notifyEntry(newDirectory, to.name, replaced!.isDirectory, IN_MOVED_FROM, back);
    notifyEntry(oldDirectory, from.name, replaced!.isDirectory, IN_MOVED_TO, back);
    notifyInode(replaced!, IN_MOVE_SELF);
  } else {
    if (replaced !== null && !replaced.isDirectory) notifyInode(replaced, IN_ATTRIB);
    from.path.dentry.moveChild(source, to.path.dentry, to.name);
  }
  notifyInode(inode, IN_MOVE_SELF);
  return 0;
}
