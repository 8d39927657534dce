// Changing attributes: mode, owner, times, size. Linux: notify_change(), setattr_prepare(), chmod_common(), chown_common().

import { EFBIG, EINVAL, EISDIR, EPERM, EROFS } from "../abi/errno.ts";
import { IN_ATTRIB, IN_MODIFY, S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP } from "../abi/file.ts";
import { CAP_CHOWN, CAP_FSETID, RLIMIT_FSIZE } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import {
  ATTR_ATIME,
  ATTR_CTIME,
  ATTR_GID,
  ATTR_MODE,
  ATTR_MTIME,
  ATTR_SIZE,
  ATTR_UID,
  AttributeChange,
  type Inode,
} from "./inode.ts";
import { notifyPath } from "./notify.ts";
import { Path } from "./path.ts";
import { isOwnerOrCapable, MAY_WRITE, mayAccess } from "./permission.ts";

/** An id of chown(2) that means "leave it". */
const KEEP_ID = 0xffff_ffff;

/** Extended attribute with the capabilities that a program has. */
export const CAPABILITY_XATTR = "security.capability";

const SUID_SGID = S_ISUID | S_ISGID;

/** A change that sets ctime to now. One object for all: it is used up before the next one is asked for. */
const change = new AttributeChange();

function newChange(task: Task, mask: number): AttributeChange {
  change.mask = mask | ATTR_CTIME;
  change.ctimeSec = task.kernel.clock.realtime();
  change.ctimeNsec = task.kernel.clock.nanoseconds;
  return change;
}

/** What is changed: a place in the tree, or the inode of a pipe, socket or memfd, which has none. */
export type Target = Path | Inode;

function inodeOf(target: Target): Inode {
  return target instanceof Path ? target.inode : target;
}

function isReadOnly(target: Target): boolean {
  return target instanceof Path && target.mount.isReadOnly;
}

/** chmod(2). */
export function changeMode(task: Task, target: Target, mode: number): number {
  if (isReadOnly(target)) return -EROFS;
  const inode = inodeOf(target), credentials = task.credentials;
  if (!isOwnerOrCapable(credentials, inode)) return -EPERM;
  mode &= 0o7777;
  if (!credentials.isInGroup(inode.gid) && !credentials.has(CAP_FSETID)) mode &= ~S_ISGID;
  const asked = newChange(task, ATTR_MODE);
  asked.mode = mode;
  return applied(target, inode.setattr(asked));
}

/** chown(2); KEEP_ID leaves an id as it is. */
export function changeOwner(task: Task, target: Target, uid: number, gid: number): number {
  if (isReadOnly(target)) return -EROFS;
  const inode = inodeOf(target), credentials = task.credentials;
  const isCapable = credentials.has(CAP_CHOWN);
  const isOwner = credentials.fsuid === inode.uid;
  if (uid !== KEEP_ID && !isCapable && !(isOwner && uid === inode.uid)) return -EPERM;
  if (gid !== KEEP_ID && !isCapable && !(isOwner && (gid === inode.gid || credentials.isInGroup(gid)))) {
    return -EPERM;
  }
  const asked = newChange(task, (uid !== KEEP_ID ? ATTR_UID : 0) | (gid !== KEEP_ID ? ATTR_GID : 0));
  asked.uid = uid;
  asked.gid = gid;
  const kept = modeWithoutPrivileges(task, inode);
  if (!inode.isDirectory && kept !== inode.mode) {
    // It is a change of mode, too, even where no id changes.
    if (!isOwnerOrCapable(credentials, inode)) return -EPERM;
    asked.mask |= ATTR_MODE;
    asked.mode = kept & 0o7777;
  }
  const result = inode.setattr(asked);
  // Even where no id changes, and so no file system is asked to change one.
  const isSame = uid === KEEP_ID && gid === KEEP_ID;
  if (result === 0 && !inode.isDirectory && (inode.mayHaveCapabilities || isSame)) removeCapabilities(inode);
  return applied(target, result);
}

/** Times as utimensat(2) has them: seconds and nanoseconds, UTIME_NOW and UTIME_OMIT worked out by the caller. */
export class TimeChange {
  /** ATTR_ATIME, ATTR_MTIME. */
  mask = 0;
  /** Both are "now": write permission is enough. */
  isNow = false;
  atimeSec = 0;
  atimeNsec = 0;
  mtimeSec = 0;
  mtimeNsec = 0;
}

/** utimensat(2). */
export function changeTimes(task: Task, target: Target, times: TimeChange): number {
  if (isReadOnly(target)) return -EROFS;
  const inode = inodeOf(target);
  if (!isOwnerOrCapable(task.credentials, inode)) {
    if (!times.isNow) return -EPERM;
    const access = mayAccess(task.credentials, inode, MAY_WRITE);
    if (access < 0) return access;
  }
  if (times.mask === 0) return 0;
  const asked = newChange(task, times.mask & (ATTR_ATIME | ATTR_MTIME));
  asked.atimeSec = times.atimeSec;
  asked.atimeNsec = times.atimeNsec;
  asked.mtimeSec = times.mtimeSec;
  asked.mtimeNsec = times.mtimeNsec;
  return applied(target, inode.setattr(asked));
}

/** truncate(2) of the file at `path`. */
export function truncatePath(task: Task, path: Path, size: number): number {
  const inode = path.inode;
  if (inode.isDirectory) return -EISDIR;
  if ((inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  if (path.mount.isReadOnly) return -EROFS;
  const access = mayAccess(task.credentials, inode, MAY_WRITE);
  if (access < 0) return access;
  const limited = checkSizeLimit(task, inode, size);
  if (limited < 0) return limited;
  const result = truncateInode(task, inode, size);
  if (result === 0) notifyPath(path, IN_MODIFY);
  return result;
}

/** RLIMIT_FSIZE where a file is made longer: 0, or -EFBIG and the caller raises SIGXFSZ. */
function checkSizeLimit(task: Task, inode: Inode, size: number): number {
  return size > inode.size && size > task.threadGroup.limits.soft(RLIMIT_FSIZE) ? -EFBIG : 0;
}

/** Sets the size of an inode, and what goes with it: times, loss of privileges. No checks. */
export function truncateInode(task: Task, inode: Inode, size: number): number {
  const asked = newChange(task, ATTR_SIZE | ATTR_MTIME);
  asked.size = size;
  asked.mtimeSec = asked.ctimeSec;
  asked.mtimeNsec = asked.ctimeNsec;
  if ((inode.mode & SUID_SGID) !== 0 && !task.credentials.has(CAP_FSETID)) {
    asked.mask |= ATTR_MODE;
    asked.mode = modeWithoutPrivileges(task, inode) & 0o7777;
  }
  const result = inode.setattr(asked);
  if (result === 0 && inode.mayHaveCapabilities) removeCapabilities(inode);
  return result;
}

/** The content of `inode` is about to change: see removePrivileges(). */
export function mayBePrivileged(inode: Inode): boolean {
  return inode.mayHaveCapabilities || (inode.mode & SUID_SGID) !== 0;
}

/**
 * A write takes off file capabilities and, by someone without CAP_FSETID, setuid and setgid: file_remove_privs(). Called where
 * mayBePrivileged().
 */
export function removePrivileges(task: Task, inode: Inode): void {
  if (inode.mayHaveCapabilities) removeCapabilities(inode);
  if ((inode.mode & SUID_SGID) === 0 || task.credentials.has(CAP_FSETID)) return;
  const mode = modeWithoutPrivileges(task, inode);
  if (mode === inode.mode) return;
  const asked = newChange(task, ATTR_MODE);
  asked.mode = mode & 0o7777;
  inode.setattr(asked);
}

/** cap_inode_killpriv() of security/commoncap.c. */
function removeCapabilities(inode: Inode): void {
  const { vfs } = inode.fs;
  const value = vfs.indivisibly(() => inode.getXattr(CAPABILITY_XATTR));
  if (typeof value !== "number" && vfs.indivisibly(() => inode.removeXattr(CAPABILITY_XATTR)) < 0) return;
  inode.mayHaveCapabilities = false;
}

/** setattr_should_drop_sgid(): setgid without group execution is no privilege, and stays for members of the group. */
function modeWithoutPrivileges(task: Task, inode: Inode): number {
  const mode = inode.mode & ~S_ISUID;
  if ((mode & S_ISGID) === 0) return mode;
  const { credentials } = task;
  const stays = (mode & S_IXGRP) === 0 && (credentials.isInGroup(inode.gid) || credentials.has(CAP_FSETID));
  return stays ? mode : mode & ~S_ISGID;
}

function applied(target: Target, result: number): number {
  if (result === 0 && target instanceof Path) notifyPath(target, IN_ATTRIB);
  return result;
}
