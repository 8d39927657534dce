// What an overlay writes into its upper layer besides files: whiteouts and opaque directories (overlayfs.rst).

import { ENOENT } from "../../abi/errno.ts";
import { S_IFCHR, S_IFMT } from "../../abi/file.ts";
import type { Inode } from "../../vfs/inode.ts";

export const OPAQUE_XATTR = "trusted.overlay.opaque";
/** Attributes of this name space are the overlay's own and not shown. */
export const PRIVATE_XATTRS = "trusted.overlay.";

/** Whether `inode` of a layer says "there is nothing of this name here or below". */
export function isWhiteout(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdevMajor === 0 && inode.rdevMinor === 0;
}

/** Whether directory `inode` of a layer hides the layers below it. */
export function isOpaque(inode: Inode): boolean {
  const value = inode.getXattr(OPAQUE_XATTR);
  return typeof value !== "number" && value.length === 1 && value[0] === 0x79; // "y"
}

/** `name` in directory `inode` of a layer: the inode (a whiteout too), null where there is none, -ERRNO. */
export function lookupIn(inode: Inode, name: string): Inode | number | null {
  const found = inode.lookup(name);
  if (found === -ENOENT) return null;
  return found;
}
