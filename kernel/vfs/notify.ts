// Reports events on inodes to their watches. Linux: fs/notify/fsnotify.c, inotify(7). The queue that a guest reads is in
// fs/anonymous/inotify.ts; this file decides which watches get an event.

import { IN_DELETE_SELF, IN_IGNORED, IN_ISDIR, IN_MOVE_SELF } from "../abi/file.ts";
import type { Inode } from "./inode.ts";
import type { Path } from "./path.ts";

/** One watch on one inode. */
export interface InodeWatch {
  /** IN_ events that it wants. */
  mask: number;
  /** An event in the mask. `name` is "" for one of the inode itself, else of an entry of the directory. */
  onEvent(event: number, cookie: number, name: string): void;
  /** The inode is gone, or the watch was removed. */
  onGone(): void;
}

export function addWatch(inode: Inode, watch: InodeWatch): void {
  if (inode.watches === null) {
    inode.watches = [];
    inode.hold();
  }
  inode.watches.push(watch);
  inode.fs.vfs.watchCount++;
}

export function removeWatch(inode: Inode, watch: InodeWatch): void {
  const watches = inode.watches;
  const index = watches === null ? -1 : watches.indexOf(watch);
  if (index < 0) return;
  watches!.splice(index, 1);
  inode.fs.vfs.watchCount--;
  if (watches!.length > 0) return;
  inode.watches = null;
  inode.drop();
}

/** `event` has happened to `inode` itself. */
export function notifyInode(inode: Inode, event: number): void {
  if (inode.watches === null) return;
  const isOfSelf = (event & (IN_DELETE_SELF | IN_MOVE_SELF)) !== 0;
  tell(inode, inode.isDirectory && !isOfSelf ? event | IN_ISDIR : event, 0, "");
}

/** `event` has happened to the entry `name` of `directory`. */
export function notifyEntry(
  directory: Inode,
  name: string,
  isDirectory: boolean,
  event: number,
  cookie: number,
): void {
  if (directory.watches === null) return;
  tell(directory, isDirectory ? event | IN_ISDIR : event, cookie, name);
}

/** `event` (open, read, write, close, attributes) of the file at `path`: to its watches, and those of its directory. */
export function notifyPath(path: Path | null, event: number): void {
  if (path === null || path.mount.fs.vfs.watchCount === 0) return;
  const dentry = path.dentry, inode = dentry.inode;
  if (inode === null) return;
  const directory = dentry.parent?.inode;
  if (directory !== undefined && directory !== null && !dentry.isUnlinked) {
    notifyEntry(directory, dentry.name, inode.isDirectory, event, 0);
  }
  notifyInode(inode, event);
}

/** Nobody uses an unlinked name of `inode` any more: without another link it is gone, and its watches end. */
export function notifyGone(inode: Inode): void {
  if (inode.watches === null || inode.nlink > 0) return;
  notifyInode(inode, IN_DELETE_SELF);
  for (const watch of [...inode.watches ?? []]) {
    watch.onEvent(IN_IGNORED, 0, "");
    watch.onGone();
    removeWatch(inode, watch);
  }
}

function tell(inode: Inode, event: number, cookie: number, name: string): void {
  // A one-shot watch (IN_ONESHOT) removes itself while it is notified.
  for (const watch of [...inode.watches!]) {
    if ((watch.mask & event & ~IN_ISDIR) !== 0) watch.onEvent(event, cookie, name);
  }
}
