// Places for files that have no name: pipes, sockets and anonymous files stand on a mount of their own that is in nobody's
// tree, so that AT_EMPTY_PATH and /proc/PID/fd/N reach them. Linux: the mounts of init_pseudo(), alloc_file_pseudo().

import { Dentry } from "./dentry.ts";
import type { File } from "./file.ts";
import type { Filesystem } from "./filesystem.ts";
import type { Inode } from "./inode.ts";
import { Mount } from "./mount.ts";
import { Path } from "./path.ts";

/** Where `file` was opened, or a place that leads to it alone. */
export function placeOf(file: File): Path {
  return file.path ?? placeOfInode(file.inode);
}

/** A place that leads to an inode without name. */
export function placeOfInode(inode: Inode): Path {
  const mount = inode.fs.namelessMount ??= newNamelessMount(inode.fs);
  const dentry = new Dentry("", mount.root, inode);
  dentry.isUnlinked = true;
  return new Path(mount, dentry);
}

function newNamelessMount(fs: Filesystem): Mount {
  const mount = new Mount(fs, new Dentry("", null, fs.root), "none", 0);
  mount.isNameless = true;
  return mount;
}
