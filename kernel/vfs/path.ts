// A place in the tree: a dentry as seen through a mount. Linux: struct path.

import type { Dentry } from "./dentry.ts";
import type { Inode } from "./inode.ts";
import type { Mount, MountNamespace } from "./mount.ts";

export class Path {
  readonly mount: Mount;
  readonly dentry: Dentry;

  constructor(mount: Mount, dentry: Dentry) {
    this.mount = mount;
    this.dentry = dentry;
  }

  /** The inode; must not be asked of a negative dentry. */
  get inode(): Inode {
    return this.dentry.inode!;
  }
  equals(other: Path): boolean {
    return this.mount === other.mount && this.dentry === other.dentry;
  }
  /** Keeps dentry and mount from going away. Pairs with drop(). */
  hold(): void {
    this.dentry.hold();
    this.mount.hold();
  }
  drop(): void {
    this.dentry.drop();
    this.mount.drop();
  }
}

/** `path` or what is mounted there, topmost. */
export function acrossMounts(namespace: MountNamespace, path: Path): Path {
  for (;;) {
    const mount = namespace.mountedAt(path.mount, path.dentry);
    if (mount === null) return path;
    path = new Path(mount, mount.root);
  }
}

/** Absolute name of `path` as seen from `root`, d_path: "(unreachable)/x" outside it, " (deleted)" behind a removed one. */
export function pathName(path: Path, root: Path): string {
  let text = "";
  let { mount, dentry } = path;
  const isDeleted = dentry.isUnlinked;
  for (;;) {
    if (mount === root.mount && dentry === root.dentry) break;
    if (dentry === mount.root || dentry.parent === null) {
      if (mount.parent === null) {
        if ((mount !== root.mount || dentry !== mount.root) && !mount.isInternal) {
          text = `(unreachable)${text}`;
        }
        break;
      }
      dentry = mount.mountPoint!;
      mount = mount.parent;
      continue;
    }
    text = `/${dentry.name}${text}`;
    dentry = dentry.parent;
  }
  if (text === "") text = "/";
  return isDeleted ? `${text} (deleted)` : text;
}
