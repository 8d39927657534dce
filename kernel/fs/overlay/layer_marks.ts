// What an overlay writes into its upper layer besides files: whiteouts and opaque directories
// (Documentation/filesystems/overlayfs.rst).

import { ENOENT } from "../../abi/errno.ts";
import { S_IFCHR, S_IFMT } from "../../abi/file.ts";
import type { Inode } from "../../vfs/inode.ts";

export const OPAQUE_XATTR = "trusted.overlay.opaque";
/** The overlay's own attributes, which it does not show. */
export const PRIVATE_XATTRS = "trusted.overlay.";

/** Whether `inode` of a layer marks its name as removed, here and in the layers below. */
export function isWhiteout(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdevMajor === 0 && inode.rdevMinor === 0;
}

/** Whether directory `inode` of a layer hides the layers below it. */
export function isOpaque(inode: Inode): boolean {
  const value = inode.fs.vfs.indivisibly(() => inode.getXattr(OPAQUE_XATTR));
  return typeof value !== "number" && value.length === 1 && value[0] === 0x79; // "y"
}

/** The inode of `name` in directory `inode` of a layer (whiteouts included); null for none, -ERRNO. */
export function lookupIn(inode: Inode, name: string): Inode | number | null {
  const found = inode.lookup(name);
  if (found === -ENOENT) return null;
  return found;
}
