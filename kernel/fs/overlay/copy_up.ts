// Copy-up: before an object of a lower layer is changed, it and the directories above it are copied to the upper
// layer. Linux: fs/overlayfs/copy_up.c.

import { EIO, ENOENT, EROFS } from "../../abi/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../abi/file.ts";
import {
  ATTR_ATIME,
  ATTR_GID,
  ATTR_MODE,
  ATTR_MTIME,
  ATTR_UID,
  AttributeChange,
  type Inode,
} from "../../vfs/inode.ts";
import { mergedEntries } from "./directory_file.ts";
import { ContentCopy } from "./content_copy.ts";
import type { OverlayInode } from "./inode.ts";
import { PRIVATE_XATTRS } from "./layer_marks.ts";

/** Depth of directories that a rename copies up. */
const TREE_DEPTH_MAX = 200;
/** Scratch. Not the object that callers pass: copy-up runs in the middle of their setattr(). */
const change = new AttributeChange();

/** Makes sure that `inode` is in the upper layer; `hasContent` false: without its content. 0, MUST_WAIT, -ERRNO. */
export function copyUp(inode: OverlayInode, hasContent = true): number {
  if (inode.upper !== null) return 0;
  if (inode.fs.upperRoot === null) return -EROFS;
  const { parent } = inode;
  if (parent === null && !isRegular(inode)) return -ENOENT;
  const above = parent === null ? 0 : copyUp(parent);
  if (above < 0) return above;
  const { vfs, copies, upperRoot } = inode.fs;
  // What waits in enter() waits on the spot: by then the upper layer has changed.
  if (!hasContent || !isRegular(inode) || !upperRoot.fs.isMemory) {
    return vfs.indivisibly(() => enter(inode, null, hasContent));
  }
  const copy = copies.take(inode.fs.task!, inode.real, () => makeUnnamed(inode));
  if (typeof copy === "number") return copy;
  const result = vfs.indivisibly(() => enter(inode, copy.upper, false));
  copy.end();
  return result;
}

function isRegular(inode: OverlayInode): boolean {
  return (inode.mode & S_IFMT) === S_IFREG;
}

function makeUnnamed({ fs, mode, uid, gid }: OverlayInode): Inode | number {
  return fs.upperRoot!.createUnnamed({ mode, uid, gid });
}

/** Gives the object its place in the upper layer, content and attributes. `unnamed`: a file that has its content. */
function enter(inode: OverlayInode, unnamed: Inode | null, hasContent: boolean): number {
  // A removed file that is still open gets a copy without a name.
  if (inode.parent === null) {
    const made = unnamed ?? makeUnnamed(inode);
    if (typeof made === "number") return made;
    const result = fill(inode, made, hasContent);
    if (result === 0) inode.setUpper(made);
    return result;
  }
  const directory = inode.parent.upper!;
  const times = timesOf(directory);
  const made = unnamed ?? make(inode, directory);
  if (typeof made === "number") return made;
  const linked = unnamed === null ? 0 : directory.link(inode.name, made);
  if (linked < 0) return linked;
  const result = fill(inode, made, hasContent);
  if (result < 0) {
    if (made.isDirectory) directory.rmdir(inode.name, made);
    else directory.unlink(inode.name, made);
    return result;
  }
  // Restores the directory's times: the copy-up changed them in the layer, but in the overlay nothing has changed.
  directory.setattr(times);
  inode.parent.sync();
  inode.setUpper(made);
  return 0;
}
/** Copies up a directory with everything below it. */
export function copyTreeUp(inode: OverlayInode, depth = 0): number {
  if (depth > TREE_DEPTH_MAX) return -EIO;
  const result = copyUp(inode);
  if (result < 0 || !inode.isDirectory || inode.lowers.length === 0) return result;
  const entries = mergedEntries(inode);
  if (typeof entries === "number") return entries;
  for (const entry of entries) {
    const child = inode.lookup(entry.name);
    if (typeof child === "number") return child;
    child.hold();
    const copied = copyTreeUp(child as OverlayInode, depth + 1);
    child.drop();
    if (copied < 0) return copied;
  }
  return 0;
}

function make(inode: OverlayInode, directory: Inode): Inode | number {
  const { name } = inode;
  const lower = inode.real;
  const node = { mode: lower.mode, uid: lower.uid, gid: lower.gid };
  switch (lower.mode & S_IFMT) {
    case S_IFDIR:
      return directory.mkdir(name, node);
    case S_IFREG:
      return directory.create(name, node);
    case S_IFLNK: {
      const target = lower.readlink();
      return typeof target === "number" ? target : directory.symlink(name, target, node);
    }
    default:
      return directory.mknod(name, node, lower.rdevMajor, lower.rdevMinor);
  }
}

/** Copies content, extended attributes, then the attributes that the first two change. */
function fill(inode: OverlayInode, upper: Inode, hasContent: boolean): number {
  const lower = inode.real;
  if (hasContent && (lower.mode & S_IFMT) === S_IFREG) {
    const copied = copyContent(inode, lower, upper);
    if (copied < 0) return copied;
  }
  if ((lower.mode & S_IFMT) !== S_IFLNK) copyXattrs(lower, upper);
  change.mask = ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME;
  if ((lower.mode & S_IFMT) !== S_IFLNK) change.mask |= ATTR_MODE;
  change.mode = lower.mode & 0o7777;
  change.uid = lower.uid;
  change.gid = lower.gid;
  change.atimeSec = lower.atimeSec;
  change.atimeNsec = lower.atimeNsec;
  change.mtimeSec = lower.mtimeSec;
  change.mtimeNsec = lower.mtimeNsec;
  return upper.setattr(change);
}

function copyContent(inode: OverlayInode, lower: Inode, upper: Inode): number {
  // There is no task at boot, and none is needed.
  const task = inode.fs.task!;
  const copy = ContentCopy.begin(task, lower, () => upper);
  if (typeof copy === "number") return copy;
  const result = copy.proceed(task);
  copy.end();
  return result;
}

function copyXattrs(lower: Inode, upper: Inode): void {
  const names = lower.listXattr();
  if (typeof names === "number") return;
  for (const name of names) {
    if (name.startsWith(PRIVATE_XATTRS)) continue;
    const value = lower.getXattr(name);
    // An attribute that the upper layer does not support is dropped, as Linux does for optional ones
    // (ovl_copy_xattr()).
    if (typeof value !== "number") upper.setXattr(name, value, 0);
  }
}

function timesOf(directory: Inode): AttributeChange {
  const times = new AttributeChange();
  times.mask = ATTR_ATIME | ATTR_MTIME;
  times.atimeSec = directory.atimeSec;
  times.atimeNsec = directory.atimeNsec;
  times.mtimeSec = directory.mtimeSec;
  times.mtimeNsec = directory.mtimeNsec;
  return times;
}
