// Mounts and mount namespaces: which file system is mounted where. Linux: struct mount, fs/namespace.c. What mount(2) and
// umount(2) check and do with them is in mounting.ts.

import { Changes } from "../util/changes.ts";
import {
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
} from "../abi/file.ts";
import { Dentry } from "./dentry.ts";
import type { Filesystem } from "./filesystem.ts";
import { MOUNT_COST } from "../util/kernel_memory.ts";
import type { NamespaceCharge } from "../util/parameters.ts";
import { Path } from "./path.ts";

/** How mount events would travel. Linux: it is kept and shown; within one sandbox mounts are not copied to peers. */
export type Propagation = "private" | "shared" | "slave" | "unbindable";

/** Something that is counted by those who need it. */
export interface Pinned {
  hold(): void;
  drop(): void;
}

export class Mount {
  readonly id: number;
  readonly fs: Filesystem;
  /** Root of this mount: the root of the file system, or a directory (or file) of it for a bind. */
  readonly root: Dentry;
  /** As mount(2) got it, for /proc/mounts. */
  source: string;
  /** MS_ flags that hold per mount. */
  flags: number;
  propagation: Propagation = "private";
  /** Number of its peer group while it is shared or a slave, for mountinfo. */
  peerGroup = 0;
  /** Where it is attached; null for the namespace's root and once detached. */
  parent: Mount | null = null;
  mountPoint: Dentry | null = null;
  /** In the order they were mounted. */
  readonly children: Mount[] = [];
  /** Open files and cwd/root paths: a busy mount is not unmounted without MNT_DETACH. */
  #uses = 0;
  /** Regular files that are open for writing through it: it cannot become read-only meanwhile (mnt_hold_writers()). */
  writers = 0;
  /** It was unmounted, and goes when nothing uses it any more. */
  #isDetached = false;
  /** The kernel's own, in nobody's tree (memfds): its names are shown as if it stood at the root. */
  isInternal = false;
  /** The kernel's own, of pipes, sockets and their like: its files have no names, and are not opened on a place. */
  isNameless = false;
  /** The namespace that a bind of one of nsfs keeps alive; set by pinTo(). */
  #pinned: Pinned | null = null;
  /** umount2(MNT_EXPIRE) has been here and nobody has used it since. */
  isExpiring = false;

  constructor(fs: Filesystem, root: Dentry, source: string, flags: number) {
    this.id = fs.vfs.mountIds.next();
    this.fs = fs;
    this.root = root;
    this.source = source;
    this.flags = flags;
    root.hold();
    fs.hold();
    fs.vfs.memory.heap.force(MOUNT_COST);
  }

  get isReadOnly(): boolean {
    return (this.flags & MS_RDONLY) !== 0;
  }

  get uses(): number {
    return this.#uses;
  }
  hold(): void {
    this.#uses++;
    this.isExpiring = false;
  }
  drop(): void {
    if (--this.#uses === 0 && this.#isDetached) this.#release();
  }

  /** It is detached from the tree (MNT_DETACH, umount). */
  onDetached(): void {
    if (this.#isDetached) return;
    this.#isDetached = true;
    if (this.#uses === 0) this.#release();
  }

  /** It shows a namespace, which lives as long as it. */
  pinTo(namespace: Pinned): void {
    namespace.hold();
    this.#pinned = namespace;
  }

  #release(): void {
    this.#pinned?.drop();
    this.fs.vfs.memory.heap.give(MOUNT_COST);
    this.root.drop();
    this.fs.drop();
  }

  /** Another mount of the same place, as a bind makes it. */
  copy(root: Dentry = this.root): Mount {
    const copy = new Mount(this.fs, root, this.source, this.flags);
    copy.propagation = this.propagation;
    copy.peerGroup = this.peerGroup;
    if (this.#pinned !== null) copy.pinTo(this.#pinned);
    return copy;
  }

  setPropagation(propagation: Propagation): void {
    this.propagation = propagation;
    if (propagation === "shared" && this.peerGroup === 0) this.peerGroup = this.fs.vfs.peerGroups.next();
    else if (propagation === "private" || propagation === "unbindable") this.peerGroup = 0;
  }

  /** Options as /proc/mounts shows them before the file system's own. */
  optionText(): string {
    let text = this.isReadOnly ? "ro" : "rw";
    if ((this.flags & MS_NOSUID) !== 0) text += ",nosuid";
    if ((this.flags & MS_NODEV) !== 0) text += ",nodev";
    if ((this.flags & MS_NOEXEC) !== 0) text += ",noexec";
    if ((this.flags & MS_NOATIME) !== 0) text += ",noatime";
    if ((this.flags & MS_NODIRATIME) !== 0) text += ",nodiratime";
    if ((this.flags & MS_RELATIME) !== 0) text += ",relatime";
    if ((this.flags & MS_NOSYMFOLLOW) !== 0) text += ",nosymfollow";
    return text;
  }

  /** Optional fields of mountinfo with a trailing space, or "". */
  propagationText(): string {
    if (this.propagation === "shared") return `shared:${this.peerGroup} `;
    if (this.propagation === "slave" && this.peerGroup !== 0) return `master:${this.peerGroup} `;
    return this.propagation === "unbindable" ? "unbindable " : "";
  }

  /** Whether `other` is this mount or is mounted below it. */
  contains(other: Mount): boolean {
    for (let at: Mount | null = other; at !== null; at = at.parent) if (at === this) return true;
    return false;
  }
}

export class MountNamespace {
  root: Mount;
  /** Mounts by mount point and parent; the last one of a list covers the others. */
  readonly #byPoint = new Map<Dentry, Map<Mount, Mount[]>>();
  count = 1;
  /** Mounts that came, went or moved. */
  readonly changes = new Changes();
  /** As /proc/PID/ns shows it. */
  readonly ino: number;
  /** Who is charged for it; null for a container's. Given back with its last user. */
  charge: NamespaceCharge | null = null;
  /** Tasks that are in it and open files of nsfs. */
  #users = 0;

  constructor(root: Mount, ino: number) {
    this.ino = ino;
    this.root = root;
  }

  hold(): void {
    this.#users++;
  }
  /** With the last one everything in it is unmounted; what is in use lives on for its users. */
  drop(): void {
    if (--this.#users > 0) return;
    this.charge?.give();
    this.charge = null;
    this.discard(this.root);
  }

  /** The mount that covers `dentry` of `mount`, or null. */
  mountedAt(mount: Mount, dentry: Dentry): Mount | null {
    if (dentry.mountCount === 0) return null;
    const list = this.#byPoint.get(dentry)?.get(mount);
    return list === undefined ? null : list[list.length - 1];
  }

  /** Attaches `mount` at `at`; on top of what is mounted there. */
  attach(mount: Mount, at: Path): void {
    mount.parent = at.mount;
    mount.mountPoint = at.dentry;
    at.mount.children.push(mount);
    at.dentry.hold();
    at.dentry.mountCount++;
    let lists = this.#byPoint.get(at.dentry);
    if (lists === undefined) this.#byPoint.set(at.dentry, lists = new Map());
    const list = lists.get(at.mount);
    if (list === undefined) lists.set(at.mount, [mount]);
    else list.push(mount);
    this.count++;
    this.changes.tell();
  }

  /** Takes `mount` off its place, with everything below it; it can be attached elsewhere. */
  detach(mount: Mount): void {
    const point = mount.mountPoint, parent = mount.parent;
    if (point === null || parent === null) return;
    const lists = this.#byPoint.get(point)!;
    const list = lists.get(parent)!;
    list.splice(list.indexOf(mount), 1);
    if (list.length === 0) lists.delete(parent);
    if (lists.size === 0) this.#byPoint.delete(point);
    parent.children.splice(parent.children.indexOf(mount), 1);
    mount.parent = null;
    mount.mountPoint = null;
    this.count--;
    point.mountCount--;
    point.drop();
    this.changes.tell();
  }

  /** Unmounts `mount` and everything below it, at once for lookups; what is in use lives on for its users. */
  discard(mount: Mount): void {
    for (const child of [...mount.children]) this.discard(child);
    this.detach(mount);
    mount.onDetached();
  }

  /** Every mount, parents before children. */
  *mounts(): Generator<Mount> {
    const queue = [this.root];
    for (let i = 0; i < queue.length; i++) {
      yield queue[i];
      for (const child of queue[i].children) queue.push(child);
    }
  }

  /** A copy for CLONE_NEWNS; `moved` gives the new mount for each old one. */
  clone(moved: Map<Mount, Mount>, ino: number): MountNamespace {
    const root = this.root.copy();
    moved.set(this.root, root);
    const copy = new MountNamespace(root, ino);
    for (const mount of this.mounts()) {
      if (mount.parent === null) continue;
      const twin = mount.copy();
      moved.set(mount, twin);
      copy.attach(twin, new Path(moved.get(mount.parent)!, mount.mountPoint!));
    }
    return copy;
  }
}

/** A mount of a whole file system. */
export function newMount(fs: Filesystem, source: string, flags: number): Mount {
  return new Mount(fs, fs.rootDentry ??= new Dentry("", null, fs.root), source, flags);
}
