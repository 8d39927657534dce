// Copy-up: before an object of a lower layer is changed, it and the directories above it are copied to the upper
// layer. Linux: fs/overlayfs/copy_up.c.

import { EIO, ENOENT, ENXIO, EROFS } from "../../abi/errno.ts";
import {
  O_RDONLY,
  O_WRONLY,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SEEK_DATA,
  SEEK_HOLE,
} from "../../abi/file.ts";
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
import type { File } from "../../vfs/file.ts";
import type { ContentFile } from "../../vfs/file_kinds.ts";
import type { Task } from "../../task/task.ts";
import type { OverlayInode } from "./inode.ts";
import { PRIVATE_XATTRS } from "./layer_marks.ts";

/** Depth of directories that a rename copies up. */
const TREE_DEPTH_MAX = 200;
const STEP_BYTES = 256 * 1024;

const buffer = new Uint8Array(STEP_BYTES);
/** Scratch. Not the object that callers pass: copy-up runs in the middle of their setattr(). */
const change = new AttributeChange();

/** Makes sure that `inode` is in the upper layer; `hasContent` false: without its content. 0 or -ERRNO. */
export function copyUp(inode: OverlayInode, hasContent = true): number {
  if (inode.upper !== null) return 0;
  if (inode.fs.upperRoot === null) return -EROFS;
  const { parent } = inode;
  // A removed file that is still open gets an unnamed copy.
  if (parent === null) return copyUnnamed(inode, hasContent);
  const above = copyUp(parent);
  if (above < 0) return above;
  const directory = parent.upper!;
  const times = timesOf(directory);
  const made = make(inode, directory);
  if (typeof made === "number") return made;
  const result = inode.fs.vfs.indivisibly(() => fill(inode, made, hasContent));
  if (result < 0) {
    if (made.isDirectory) directory.rmdir(inode.name, made);
    else directory.unlink(inode.name, made);
    return result;
  }
  // Restores the directory's times: the copy-up changed them in the layer, but in the overlay nothing has changed.
  directory.setattr(times);
  parent.sync();
  inode.setUpper(made);
  return 0;
}

function copyUnnamed(inode: OverlayInode, hasContent: boolean): number {
  if ((inode.mode & S_IFMT) !== S_IFREG) return -ENOENT;
  const made = inode.fs.upperRoot!.createUnnamed({ mode: inode.mode, uid: inode.uid, gid: inode.gid });
  if (typeof made === "number") return made;
  const result = inode.fs.vfs.indivisibly(() => fill(inode, made, hasContent));
  if (result === 0) inode.setUpper(made);
  return result;
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
  // Regular files of all layers read and write without using the task; there is none at boot.
  const task = inode.fs.task!;
  const from = lower.open(task, O_RDONLY);
  if (typeof from === "number") return from;
  const to = upper.open(task, O_WRONLY);
  if (typeof to === "number") {
    from.drop();
    return to;
  }
  try {
    return copyBytes(task, from.asContent()!, to.asContent()!, lower.size);
  } finally {
    from.drop();
    to.drop();
  }
}

/** Content and holes: what is no data in the lower layer is none in the upper one. */
function copyBytes(task: Task, from: ContentFile, to: ContentFile, size: number): number {
  let copied = 0;
  for (let offset = 0; offset < size;) {
    const data = from.seek(offset, SEEK_DATA);
    if (data === -ENXIO) break;
    // A layer that cannot tell has no holes.
    const start = data < 0 ? offset : data;
    const hole = data < 0 ? size : from.seek(start, SEEK_HOLE);
    const end = hole < 0 ? size : Math.min(hole, size);
    const result = copyPiece(task, from, to, start, end);
    if (result < 0) return result;
    copied = offset = start + result;
    if (offset < end) break;
  }
  return copied < size ? to.truncate(size) : 0;
}

/** Copies the bytes from `start` to `end`; how many there were, or -ERRNO. */
function copyPiece(task: Task, from: File, to: File, start: number, end: number): number {
  let offset = start;
  while (offset < end) {
    const got = from.read(task, buffer, 0, Math.min(STEP_BYTES, end - offset), offset);
    if (got < 0) return got;
    if (got === 0) break;
    for (let put = 0; put < got;) {
      const n = to.write(task, buffer, put, got - put, offset + put);
      if (n <= 0) return n === 0 ? -EIO : n;
      put += n;
    }
    offset += got;
  }
  return offset - start;
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
