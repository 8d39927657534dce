// Who may do what with an inode: mode bits and capabilities. Linux: inode_permission, generic_permission, path_resolution(7).

import { EACCES, EPERM } from "../abi/errno.ts";
import { S_IFDIR, S_IFMT, S_ISGID, S_ISVTX } from "../abi/file.ts";
import { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID } from "../abi/task.ts";
import type { Credentials } from "../task/credentials.ts";
import type { Inode } from "./inode.ts";

export const MAY_EXEC = 1;
export const MAY_WRITE = 2;
export const MAY_READ = 4;

/** 0 when `credentials` may do `mask` (MAY_) with `inode`, else -EACCES. Uses the file system ids. */
export function mayAccess(credentials: Credentials, inode: Inode, mask: number): number {
  const mode = inode.mode;
  let bits: number;
  if (credentials.fsuid === inode.uid) bits = mode >> 6 & 7;
  else if (credentials.isInGroup(inode.gid)) bits = mode >> 3 & 7;
  else bits = mode & 7;
  if ((bits & mask) === mask) return 0;
  if ((mode & S_IFMT) === S_IFDIR) {
    if ((mask & MAY_WRITE) === 0 && credentials.has(CAP_DAC_READ_SEARCH)) return 0;
    return credentials.has(CAP_DAC_OVERRIDE) ? 0 : -EACCES;
  }
  if (mask === MAY_READ && credentials.has(CAP_DAC_READ_SEARCH)) return 0;
  // Nobody executes a file without any x bit.
  if (((mask & MAY_EXEC) === 0 || (mode & 0o111) !== 0) && credentials.has(CAP_DAC_OVERRIDE)) return 0;
  return -EACCES;
}

/** Whether `credentials` own `inode` or may act as if. */
export function isOwnerOrCapable(credentials: Credentials, inode: Inode): boolean {
  return credentials.fsuid === inode.uid || credentials.has(CAP_FOWNER);
}

/** 0 when an entry for `inode` may be removed from `directory`: write permission and the sticky bit. */
export function mayDelete(credentials: Credentials, directory: Inode, inode: Inode): number {
  const access = mayAccess(credentials, directory, MAY_WRITE | MAY_EXEC);
  if (access < 0) return access;
  const isSticky = (directory.mode & S_ISVTX) !== 0 && credentials.fsuid !== inode.uid &&
    credentials.fsuid !== directory.uid;
  return isSticky && !credentials.has(CAP_FOWNER) ? -EPERM : 0;
}

/** Mode bits that stay when someone without CAP_FSETID sets `mode` on a file of group `gid`. */
export function allowedMode(credentials: Credentials, mode: number, gid: number): number {
  const dropsSetgid = (mode & S_ISGID) !== 0 && !credentials.isInGroup(gid) && !credentials.has(CAP_FSETID);
  return dropsSetgid ? mode & ~S_ISGID : mode;
}
