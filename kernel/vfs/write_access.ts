// Who writes a file and who runs it: never both (ETXTBSY). Linux: i_writecount, get_write_access(), deny_write_access().

import { ETXTBSY } from "../abi/errno.ts";
import { S_IFREG } from "../abi/file.ts";
import type { File } from "./file.ts";
import type { Inode } from "./inode.ts";

/** A regular file has been opened for writing. 0, or -ETXTBSY while a program runs from it. */
export function claimWriteAccess(file: File): number {
  const inode = file.inode;
  if (inode.type !== S_IFREG) return 0;
  if (inode.writers < 0) return -ETXTBSY;
  inode.writers++;
  file.isWriter = true;
  if (file.path !== null) file.path.mount.writers++;
  return 0;
}

/** A program is going to run from `inode`: nobody may open it for writing until allowWriteAccess. 0 or -ETXTBSY. */
export function denyWriteAccess(inode: Inode): number {
  if (inode.writers > 0) return -ETXTBSY;
  inode.writers--;
  return 0;
}

/** The program has ended. */
export function allowWriteAccess(inode: Inode): void {
  inode.writers++;
}
