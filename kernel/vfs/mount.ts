// Mounts and mount namespaces: which file system stands where. Linux: struct mount, fs/namespace.c.

import { EBUSY, EINVAL } from "../abi/errno.ts";
import { MS_NOATIME, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_RELATIME } from "../abi/file.ts";
import { Dentry } from "./dentry.ts";
import type { Filesystem } from "./filesystem.ts";
import { Path } from "./path.ts";

/** Mounts in one namespace (sysctl fs.mount-max is 100000). */
export const MOUNTS_MAX = 10_000;

/** How mount events would travel; kept for mountinfo. Linux: with one sandbox there are no peers to tell yet. */
export type Propagation = "private" | "shared" | "slave" | "unbindable";

let nextId = 1;

export class Mount {
  readonly id = nextId++;
  readonly fs: Filesystem;
  /** Root of this mount: the root of the file system, or a directory (or file) of it for a bind. */
  readonly root: Dentry;
  /** As mount(2) got it, for /proc/mounts. */
  source: string;
  /** MS_ flags that hold per mount. */
  flags: number;
  propagation: Propagation = "private";
  /** Where it is attached; null for the namespace's root and once detached. */
  parent: Mount | null = null;
  mountPoint: Dentry | null = null;
  readonly children: Mount[] = [];
  /** Open files and cwd/root paths: a busy mount is not unmounted without MNT_DETACH. */
  uses = 0;

  constructor(fs: Filesystem, root: Dentry, source: string, flags: number) {
    this.fs = fs;
    this.root = root;
    this.source = source;
    this.flags = flags;
    root.hold();
  }

  get isReadOnly(): boolean {
    return (this.flags & MS_RDONLY) !== 0;
  }

  /** Options as /proc/mounts shows them, the file system's own after them. */
  optionText(): string {
    let text = this.isReadOnly ? "ro" : "rw";
    if ((this.flags & MS_NOSUID) !== 0) text += ",nosuid";
    if ((this.flags & MS_NODEV) !== 0) text += ",nodev";
    if ((this.flags & MS_NOEXEC) !== 0) text += ",noexec";
    if ((this.flags & MS_NOATIME) !== 0) text += ",noatime";
    else if ((this.flags & MS_RELATIME) !== 0) text += ",relatime";
    return text;
  }
}

export class MountNamespace {
  root: Mount;
  /** Mounts by mount point: the topmost one of each. */
  readonly #byPoint = new Map<Dentry, Mount[]>();
  count = 1;
  ino = 0xefff_0000 + nextId;

  constructor(root: Mount) {
    this.root = root;
  }

  /** The mount that covers `dentry` of `mount`, or null. */
  mountedAt(mount: Mount, dentry: Dentry): Mount | null {
    if (dentry.mountCount === 0) return null;
    const list = this.#byPoint.get(dentry);
    if (list === undefined) return null;
    for (let i = list.length - 1; i >= 0; i--) if (list[i].parent === mount) return list[i];
    return null;
  }

  /** Attaches `mount` at `at`; on top of what is mounted there. */
  attach(mount: Mount, at: Path): void {
    mount.parent = at.mount;
    mount.mountPoint = at.dentry;
    at.mount.children.push(mount);
    at.dentry.hold();
    at.dentry.mountCount++;
    const list = this.#byPoint.get(at.dentry);
    if (list === undefined) this.#byPoint.set(at.dentry, [mount]);
    else list.push(mount);
    this.count++;
  }

  /** Takes `mount` off its place, with everything below it. */
  detach(mount: Mount): void {
    const point = mount.mountPoint, parent = mount.parent;
    if (point === null || parent === null) return;
    const list = this.#byPoint.get(point)!;
    list.splice(list.indexOf(mount), 1);
    if (list.length === 0) this.#byPoint.delete(point);
    parent.children.splice(parent.children.indexOf(mount), 1);
    point.mountCount--;
    point.drop();
    mount.parent = null;
    mount.mountPoint = null;
    this.count--;
  }

  /** umount2(2) of the mount whose root is `path`. */
  unmount(path: Path, isLazy: boolean): number {
    const mount = path.mount;
    if (path.dentry !== mount.root || mount.parent === null) return -EINVAL;
    if (!isLazy && (mount.children.length > 0 || mount.uses > 0)) return -EBUSY;
    for (const child of [...mount.children]) this.unmount(new Path(child, child.root), true);
    this.detach(mount);
    return 0;
  }

  /** Every mount, parents before children. */
  *mounts(): Generator<Mount> {
    const queue = [this.root];
    for (let i = 0; i < queue.length; i++) {
      yield queue[i];
      queue.push(...queue[i].children);
    }
  }

  /** A copy for CLONE_NEWNS; `moved` gives the new mount for each old one. */
  clone(moved: Map<Mount, Mount>): MountNamespace {
    const copyOf = (mount: Mount): Mount => {
      const copy = new Mount(mount.fs, mount.root, mount.source, mount.flags);
      copy.propagation = mount.propagation;
      moved.set(mount, copy);
      return copy;
    };
    const copy = new MountNamespace(copyOf(this.root));
    for (const mount of this.mounts()) {
      if (mount.parent === null) continue;
      copy.attach(copyOf(mount), new Path(moved.get(mount.parent)!, mount.mountPoint!));
    }
    return copy;
  }
}

/** A mount of a whole file system. */
export function newMount(fs: Filesystem, source: string, flags: number): Mount {
  return new Mount(fs, new Dentry("", null, fs.root), source, flags);
}
