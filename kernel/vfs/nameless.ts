// Places for files that have no name: pipes, sockets and anonymous files stand on a mount of their own that is in nobody's
// tree, so that AT_EMPTY_PATH and /proc/PID/fd/N reach them. Linux: the mounts of init_pseudo(), alloc_file_pseudo().

import { Dentry } from "./dentry.ts";
import type { File } from "./file.ts";
import type { Filesystem } from "./filesystem.ts";
import type { Inode } from "./inode.ts";
import { Mount } from "./mount.ts";
import { Path } from "./path.ts";

const mounts = new WeakMap<Filesystem, Mount>();

/** Where `file` was opened, or a place that leads to it alone. */
export function placeOf(file: File): Path {
  return file.path ?? placeOfInode(file.inode);
}

/** A place that leads to an inode without name. */
export function placeOfInode(inode: Inode): Path {
  let mount = mounts.get(inode.fs);
  if (mount === undefined) {
    mount = new Mount(inode.fs, new Dentry("", null, inode.fs.root), "none", 0);
    mount.isNameless = true;
    mounts.set(inode.fs, mount);
  }
  const dentry = new Dentry("", mount.root, inode);
  dentry.isUnlinked = true;
  return new Path(mount, dentry);
}
