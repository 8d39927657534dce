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
import { PeerGroup } from "./peer_group.ts";

/** How mounts travel to this one and from it: mount_namespaces(7). propagation.ts does it. */
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
  /** Its group while it is shared; mounts travel from it to these. */
  #peers: PeerGroup | null = null;
  /** The group from which mounts travel to it while it is a slave; peers have the same. */
  #master: PeerGroup | null = null;
  /** It cannot be bound elsewhere. */
  isUnbindable = false;
  /** Where it is attached; null before and after. Set by the namespace. */
  namespace: MountNamespace | null = null;
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
    this.setPropagation("private");
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

  /** Another mount of the same place, as a bind makes it: a peer of this one, a slave of the same master. */
  copy(root: Dentry = this.root): Mount {
    const copy = this.copyAlone(root);
    copy.follow(this);
    copy.isUnbindable = this.isUnbindable;
    return copy;
  }

  /** Another mount of the same place that no mounts travel to or from. */
  copyAlone(root: Dentry = this.root): Mount {
    const copy = new Mount(this.fs, root, this.source, this.flags);
    if (this.#pinned !== null) copy.pinTo(this.#pinned);
    return copy;
  }

  get peers(): PeerGroup | null {
    return this.#peers;
  }
  get master(): PeerGroup | null {
    return this.#master;
  }

  /** Joins the group of `other`, and has its master. */
  follow(other: Mount): void {
    this.setMaster(other.#master);
    this.#leavePeers();
    this.#peers = other.#peers;
    this.#peers?.members.add(this);
  }

  setMaster(group: PeerGroup | null): void {
    this.#master?.slaves.delete(this);
    this.#master = group;
    group?.slaves.add(this);
  }

  /** change_mnt_propagation() */
  setPropagation(propagation: Propagation): void {
    if (propagation === "shared") {
      this.isUnbindable = false;
      if (this.#peers !== null) return;
      this.#peers = new PeerGroup(this.fs.vfs.peerGroups.next());
      this.#peers.members.add(this);
      return;
    }
    const group = this.#peers;
    this.#leavePeers();
    // A shared mount becomes a slave of its peers; without any, of the master that it had.
    if (propagation !== "slave") this.setMaster(null);
    else if (group !== null && group.members.size > 0) this.setMaster(group);
    this.isUnbindable = propagation === "unbindable" || (propagation === "slave" && this.isUnbindable);
  }

  /** The last one of a group leaves its slaves to the group's own master. */
  #leavePeers(): void {
    const group = this.#peers;
    if (group === null) return;
    this.#peers = null;
    group.members.delete(this);
    if (group.members.size > 0) return;
    for (const slave of [...group.slaves]) slave.setMaster(this.#master);
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

  /**
   * Optional fields of mountinfo with a trailing space, or "". A master without a member in this namespace is followed by
   * the nearest group above it that has one: get_dominating_id().
   */
  propagationText(): string {
    let text = this.#peers === null ? "" : `shared:${this.#peers.id} `;
    if (this.#master !== null) {
      text += `master:${this.#master.id} `;
      const nearest = nearestIn(this.namespace, this.#master);
      if (nearest !== null && nearest !== this.#master) text += `propagate_from:${nearest.id} `;
    }
    return this.isUnbindable ? `${text}unbindable ` : text;
  }

  /** Whether `other` is this mount or is mounted below it. */
  contains(other: Mount): boolean {
    for (let at: Mount | null = other; at !== null; at = at.parent) if (at === this) return true;
    return false;
  }
}

/** `group`, or the first of its masters, that has a member in `namespace`. */
function nearestIn(namespace: MountNamespace | null, group: PeerGroup): PeerGroup | null {
  for (let at: PeerGroup | null = group; at !== null;) {
    let master: PeerGroup | null = null;
    for (const member of at.members) {
      if (member.namespace === namespace) return at;
      master = member.master;
    }
    at = master;
  }
  return null;
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
    root.namespace = this;
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
    mount.namespace = this;
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
    mount.namespace = null;
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
