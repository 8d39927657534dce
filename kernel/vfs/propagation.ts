// How mounts travel to peers and slaves of the mount they are attached to, and how they go from there again. Linux:
// propagate_mnt(), propagate_umount(), propagate_mount_busy() of fs/pnode.c.

import { EBUSY, ENOSPC } from "../abi/errno.ts";
import type { Dentry } from "./dentry.ts";
import type { Mount, MountNamespace } from "./mount.ts";
import { Path } from "./path.ts";
import type { PeerGroup } from "./peer_group.ts";

/** A mount of a tree that is not attached yet: its parent in the tree and its place there; null for the tree's root. */
export interface TreeNode {
  readonly mount: Mount;
  readonly parent: Mount | null;
  readonly mountPoint: Dentry | null;
}

/** `mount` and all that is mounted below it. */
export function treeOf(mount: Mount): TreeNode[] {
  const tree: TreeNode[] = [{ mount, parent: null, mountPoint: null }];
  for (let i = 0; i < tree.length; i++) {
    for (const child of tree[i].mount.children) {
      tree.push({ mount: child, parent: tree[i].mount, mountPoint: child.mountPoint });
    }
  }
  return tree;
}

/** A tree of copies and the mount that it goes to. */
interface Spread {
  readonly to: Mount;
  readonly tree: readonly TreeNode[];
}

/**
 * Attaches `tree` at `at`, and copies of it wherever that propagates to. The mounts below the root of `tree` are attached
 * too unless they are already. 0, or -ENOSPC, which changes nothing.
 */
export function attachTree(namespace: MountNamespace, tree: readonly TreeNode[], at: Path): number {
  const { parameters } = at.mount.fs.vfs;
  const group = at.mount.peers;
  const targets = group === null ? 0 : countTargets(group, at);
  const room = parameters.mountsMax - namespace.count;
  if (tree.length > room || tree.length * targets > parameters.mountsMax) return -ENOSPC;
  const spreads: Spread[] = [];
  if (group !== null) {
    for (const { mount } of tree) mount.setPropagation("shared");
    for (const peer of group.members) {
      if (shows(peer, at)) spreads.push({ to: peer, tree: copyTree(tree, becomePeer) });
    }
    spreadToSlaves(group, tree, at, new Set([group]), spreads);
  }
  attachAll(namespace, tree, at);
  for (const { to, tree: copies } of spreads) {
    const its = to.namespace!;
    const covered = its.mountedAt(to, at.dentry);
    // What is mounted there already stays on top of what comes: the copy goes beneath it.
    if (covered !== null) its.detach(covered);
    attachAll(its, copies, new Path(to, at.dentry));
    if (covered !== null) its.attach(covered, new Path(copies[0].mount, copies[0].mount.root));
  }
  return 0;
}

function attachAll(namespace: MountNamespace, tree: readonly TreeNode[], at: Path): void {
  for (const { mount, parent, mountPoint } of tree) {
    if (parent === null) namespace.attach(mount, at);
    else if (mount.parent === null) namespace.attach(mount, new Path(parent, mountPoint!));
  }
}

/** Every mount that what happens on a member of `group` reaches, that member among them. */
function* reached(group: PeerGroup, seen: Set<PeerGroup>): Generator<Mount> {
  seen.add(group);
  yield* group.members;
  for (const slave of group.slaves) {
    if (slave.peers === null) yield slave;
    else if (!seen.has(slave.peers)) yield* reached(slave.peers, seen);
  }
}

/** Whether `to` shows the place of `at`, and is somewhere. */
function shows(to: Mount, at: Path): boolean {
  return to !== at.mount && to.namespace !== null && to.root.contains(at.dentry);
}

function countTargets(group: PeerGroup, at: Path): number {
  let count = 0;
  for (const mount of reached(group, new Set())) if (shows(mount, at)) count++;
  return count;
}

/** Copies `source` for the slaves of `group`, and theirs. */
function spreadToSlaves(
  group: PeerGroup,
  source: readonly TreeNode[],
  at: Path,
  seen: Set<PeerGroup>,
  into: Spread[],
): void {
  for (const slave of group.slaves) {
    if (slave.peers === null) {
      if (shows(slave, at)) into.push({ to: slave, tree: copyTree(source, becomeSlave) });
      continue;
    }
    if (seen.has(slave.peers)) continue;
    seen.add(slave.peers);
    // The first member's copy founds a group that is a slave of the source's; the others' copies join it.
    let first: readonly TreeNode[] | null = null;
    for (const member of slave.peers.members) {
      if (!shows(member, at)) continue;
      const tree: readonly TreeNode[] = first === null
        ? copyTree(source, becomeSharedSlave)
        : copyTree(first, becomePeer);
      first ??= tree;
      into.push({ to: member, tree });
    }
    spreadToSlaves(slave.peers, first ?? source, at, seen, into);
  }
}

function becomePeer(copy: Mount, original: Mount): void {
  copy.follow(original);
}
function becomeSlave(copy: Mount, original: Mount): void {
  copy.setMaster(original.peers);
}
function becomeSharedSlave(copy: Mount, original: Mount): void {
  copy.setMaster(original.peers);
  copy.setPropagation("shared");
}

/** Copies of the mounts of `tree`; `relate` says what a copy is to its original. */
function copyTree(
  tree: readonly TreeNode[],
  relate: (copy: Mount, original: Mount) => void,
): readonly TreeNode[] {
  const copies = new Map<Mount, Mount>();
  return tree.map(({ mount: original, parent, mountPoint }) => {
    const mount = original.copyAlone();
    relate(mount, original);
    copies.set(original, mount);
    return { mount, parent: parent === null ? null : copies.get(parent)!, mountPoint };
  });
}

/**
 * Unmounts `mount` with all below it, and what has come from it to peers and slaves of its parent. A mount there on which
 * something else is mounted stays. Without `isLazy` -EBUSY where one is in use.
 */
export function detachTree(mount: Mount, isLazy: boolean): number {
  const going = new Set<Mount>();
  const tree = treeOf(mount);
  for (const node of tree) going.add(node.mount);
  const others: Mount[] = [];
  for (const { mount: one } of tree) {
    const { parent, mountPoint } = one;
    if (parent?.peers == null) continue;
    const at = new Path(parent, mountPoint!);
    for (const to of reached(parent.peers, new Set())) {
      const twin = shows(to, at) ? to.namespace!.mountedAt(to, at.dentry) : null;
      if (twin !== null && !going.has(twin)) others.push(twin);
    }
  }
  // From the leaves up: a mount goes when all on it go, or all that is on it covers it wholly.
  for (let i = others.length - 1; i >= 0; i--) {
    const twin = others[i];
    const staying = twin.children.filter((child) => !going.has(child));
    if (staying.length > 0 && topper(twin) === null) continue;
    if (!isLazy && twin.uses > 0) return -EBUSY;
    going.add(twin);
  }
  const { namespace } = mount;
  for (const twin of others) if (going.has(twin) && twin.namespace !== null) leave(twin, going);
  namespace!.discard(mount);
  return 0;
}

/** The only mount on `mount`, if it covers its root. */
function topper(mount: Mount): Mount | null {
  const [only] = mount.children;
  return mount.children.length === 1 && only.mountPoint === mount.root ? only : null;
}

/** Takes `mount` away; what covers it takes its place. */
function leave(mount: Mount, going: ReadonlySet<Mount>): void {
  const namespace = mount.namespace!;
  const over = topper(mount);
  const place = new Path(mount.parent!, mount.mountPoint!);
  const stays = over !== null && !going.has(over);
  if (stays) namespace.detach(over);
  namespace.discard(mount);
  if (stays) namespace.attach(over, place);
}
