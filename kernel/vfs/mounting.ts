// What mount(2), umount2(2) and pivot_root(2) do to a namespace once their arguments are read. Linux: do_mount(),
// do_loopback(), do_move_mount(), do_umount(), path_pivot_root() of fs/namespace.c.

import { EAGAIN, EBUSY, EINVAL, ELOOP, ENODEV, ENOENT, ENOTDIR, EPERM } from "../abi/errno.ts";
import {
  MNT_DETACH,
  MNT_EXPIRE,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  MS_STRICTATIME,
} from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import { type Mount, MountNamespace, newMount, type Propagation } from "./mount.ts";
import { acrossMounts, Path } from "./path.ts";
import { attachTree, detachTree, type TreeNode, treeOf } from "./propagation.ts";

const ATIME_FLAGS = MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME;
/** Flags that hold per mount. */
const MOUNT_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME |
  MS_NODIRATIME |
  MS_RELATIME;

/** The per-mount flags that mount(2) flags ask for: relatime unless something else is named. */
export function mountFlags(flags: number): number {
  const kept = flags & MOUNT_FLAGS;
  return (flags & (MS_NOATIME | MS_STRICTATIME)) === 0 ? kept | MS_RELATIME : kept;
}

/** Mounts a new file system of type `typeName` at `at`. */
export function mountNew(
  task: Task,
  at: Path,
  typeName: string,
  source: string,
  options: string,
  flags: number,
): number {
  const type = task.kernel.vfs.registry.filesystems.get(typeName);
  if (type === undefined) return -ENODEV;
  if (!type.isUserMountable) return -EPERM;
  const fs = type.mount(task, source, options);
  if (typeof fs === "number") return fs;
  const mount = newMount(fs, source === "" ? "none" : source, mountFlags(flags));
  const top = acrossMounts(task.namespaces.mount, at);
  // do_add_mount(): not the same file system on itself.
  if (top.mount.fs === fs && top.dentry === top.mount.root) {
    mount.onDetached();
    return -EBUSY;
  }
  const result = attach(task.namespaces.mount, mount, at);
  if (result < 0) mount.onDetached();
  return result;
}

/** Attaches `mount` on top of the file at `at`. -ENOTDIR where one is a directory and the other is not. */
export function attach(namespace: MountNamespace, mount: Mount, at: Path): number {
  return attachWhole(namespace, [{ mount, parent: null, mountPoint: null }], at);
}

function attachWhole(namespace: MountNamespace, tree: readonly TreeNode[], at: Path): number {
  const [{ mount }] = tree;
  const top = acrossMounts(namespace, at);
  if (top.dentry.isUnlinked || top.dentry.inode === null) return -ENOENT;
  if (top.inode.isDirectory !== mount.root.inode!.isDirectory) return -ENOTDIR;
  return attachTree(namespace, tree, top);
}

/** MS_BIND: shows `from` at `at` too, with the mounts below it when `isRecursive`. */
export function bind(namespace: MountNamespace, from: Path, at: Path, isRecursive: boolean): number {
  if (from.mount.isUnbindable) return -EINVAL;
  // Namespaces have no names, and may be bound all the same: that is how they are kept.
  const pinned = from.inode.namespaceShown?.pin ?? null;
  if (from.dentry.isUnlinked && pinned === null) return -ENOENT;
  if ((pinned === null && !isInNamespace(namespace, from.mount)) || !isInNamespace(namespace, at.mount)) {
    return -EINVAL;
  }
  // A mount namespace that keeps itself, or one that keeps it, would never end: mnt_ns_loop().
  if (pinned instanceof MountNamespace && pinned.ino <= namespace.ino) return -EINVAL;
  const mount = from.mount.copy(from.dentry);
  if (pinned !== null) {
    mount.source = mount.fs.type;
    mount.pinTo(pinned);
  }
  // The tree is copied before it is attached: it may be attached below itself.
  const tree: TreeNode[] = [{ mount, parent: null, mountPoint: null }];
  if (isRecursive) collectBelow(from.mount, from.dentry, mount, tree);
  const result = attachWhole(namespace, tree, at);
  if (result < 0) { for (const { mount: copy } of tree) copy.onDetached(); }
  return result;
}

/** Copies of the mounts on `mount` below `root`, but the unbindable ones. */
function collectBelow(
  mount: Mount,
  root: Path["dentry"],
  parent: Mount,
  into: TreeNode[],
): void {
  for (const child of mount.children) {
    if (!root.contains(child.mountPoint!) || child.isUnbindable) continue;
    const copy = child.copy();
    into.push({ mount: copy, parent, mountPoint: child.mountPoint });
    collectBelow(child, child.root, copy, into);
  }
}

/** MS_MOVE. */
export function move(namespace: MountNamespace, from: Path, at: Path): number {
  const { mount } = from;
  if (from.dentry !== mount.root || mount.parent === null || !isInNamespace(namespace, mount)) return -EINVAL;
  if (mount.parent.peers !== null) return -EINVAL;
  const top = acrossMounts(namespace, at);
  if (!isInNamespace(namespace, top.mount)) return -EINVAL;
  if (top.dentry.isUnlinked) return -ENOENT;
  if (top.inode.isDirectory !== mount.root.inode!.isDirectory) return -ENOTDIR;
  const tree = treeOf(mount);
  // What is unbindable cannot be copied to the peers.
  if (top.mount.peers !== null && tree.some((node) => node.mount.isUnbindable)) return -EINVAL;
  if (mount.contains(top.mount)) return -ELOOP;
  const place = new Path(mount.parent, mount.mountPoint!);
  namespace.detach(mount);
  const result = attachTree(namespace, tree, top);
  if (result < 0) namespace.attach(mount, place);
  return result;
}

/** MS_REMOUNT: other flags, and with `options` not null other settings of the file system. */
export function remount(task: Task, at: Path, flags: number, options: string | null): number {
  const { mount } = at;
  if (at.dentry !== mount.root) return -EINVAL;
  const closes = (flags & MS_RDONLY) !== 0 && !mount.isReadOnly;
  if (closes && isWritten(task.namespaces.mount, mount, options !== null)) return -EBUSY;
  if (options !== null) {
    const result = mount.fs.reconfigure(task, options);
    if (result < 0) return result;
  }
  let next = flags & MOUNT_FLAGS;
  // Flags that say nothing of access times leave them as they are.
  if ((flags & ATIME_FLAGS) === 0) next |= mount.flags & ATIME_FLAGS;
  else next = next & ~MS_RELATIME | mountFlags(flags) & ATIME_FLAGS;
  mount.flags = next;
  return 0;
}

/** Files are open for writing through `mount` or, with `isWhole`, through any mount of its file system. */
function isWritten(namespace: MountNamespace, mount: Mount, isWhole: boolean): boolean {
  if (!isWhole) return mount.writers > 0;
  for (const other of namespace.mounts()) if (other.fs === mount.fs && other.writers > 0) return true;
  return mount.writers > 0;
}

/** MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE. */
export function setPropagation(
  namespace: MountNamespace,
  at: Path,
  propagation: Propagation,
  isRecursive: boolean,
): number {
  if (at.dentry !== at.mount.root || !isInNamespace(namespace, at.mount)) return -EINVAL;
  const queue = [at.mount];
  for (let i = 0; i < queue.length; i++) {
    queue[i].setPropagation(propagation);
    if (isRecursive) { for (const child of queue[i].children) queue.push(child); }
  }
  return 0;
}

/** umount2(2) of what is mounted at `at`, the topmost. */
export function unmount(namespace: MountNamespace, at: Path, flags: number): number {
  const top = acrossMounts(namespace, at);
  const { mount } = top;
  if (top.dentry !== mount.root || !isInNamespace(namespace, mount)) return -EINVAL;
  if (mount.parent === null) return (flags & MNT_DETACH) !== 0 ? -EINVAL : -EBUSY;
  if ((flags & MNT_DETACH) === 0 && (mount.children.length > 0 || mount.uses > 0)) return -EBUSY;
  if ((flags & MNT_EXPIRE) !== 0 && !mount.isExpiring) {
    mount.isExpiring = true;
    return -EAGAIN;
  }
  return detachTree(mount, (flags & MNT_DETACH) !== 0);
}

function isInNamespace(namespace: MountNamespace, mount: Mount): boolean {
  let top = mount;
  while (top.parent !== null) top = top.parent;
  return top === namespace.root;
}

/** pivot_root(2): `next` becomes the root, the old root goes to `putOld` below it. */
export function pivotRoot(task: Task, next: Path, putOld: Path): number {
  const namespace = task.namespaces.mount;
  const root = task.fs.root;
  const oldMount = root.mount, newMount = next.mount;
  if (!isInNamespace(namespace, newMount) || !isInNamespace(namespace, putOld.mount)) return -EINVAL;
  if (putOld.mount.peers !== null) return -EINVAL;
  if (newMount.parent?.peers != null || oldMount.parent?.peers != null) return -EINVAL;
  if (newMount === oldMount || putOld.mount === oldMount) return -EBUSY;
  if (root.dentry !== oldMount.root || next.dentry !== newMount.root || newMount.parent === null) {
    return -EINVAL;
  }
  if (putOld.dentry.isUnlinked) return -ENOENT;
  if (!isBelow(putOld, next)) return -EINVAL;
  namespace.detach(newMount);
  const place = oldMount.parent === null ? null : new Path(oldMount.parent, oldMount.mountPoint!);
  if (place === null) {
    namespace.root = newMount;
  } else {
    namespace.detach(oldMount);
    namespace.attach(newMount, place);
  }
  namespace.attach(oldMount, putOld);
  // Tasks whose root or working directory was the old root get the new one: chroot_fs_refs().
  const newRoot = new Path(newMount, newMount.root);
  for (const other of task.kernel.tasks.values()) {
    if (other.hasExited) continue;
    const { fs } = other;
    if (fs.root.equals(root)) fs.root = newRoot;
    if (fs.cwd.equals(root)) fs.cwd = newRoot;
  }
  return 0;
}

/** Whether `path` is `root` or below it, mounts crossed. */
function isBelow(path: Path, root: Path): boolean {
  let { mount, dentry } = path;
  while (mount !== root.mount) {
    if (mount.parent === null) return false;
    dentry = mount.mountPoint!;
    mount = mount.parent;
  }
  return root.dentry.contains(dentry);
}
