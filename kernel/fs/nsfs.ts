// nsfs: the target of the links in /proc/PID/ns. Linux: fs/nsfs.c, namespaces(7), ioctl_ns(2). An open file holds its
// namespace; setns(2) takes such a file.

import { EINVAL, EPERM } from "../abi/errno.ts";
import { O_RDONLY, S_IFREG } from "../abi/file.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "../abi/task.ts";
import type { Clock } from "../time/clock.ts";
import { PidNamespace } from "../task/namespaces.ts";
import type { Task } from "../task/task.ts";
import { File } from "../vfs/file.ts";
import { Inode } from "../vfs/inode.ts";
import type { Pinned } from "../vfs/mount.ts";
import { placeOfInode } from "../vfs/nameless.ts";
import type { Path } from "../vfs/path.ts";
import type { Vfs } from "../vfs/vfs.ts";
import { AnonymousFilesystem, putIntResult } from "./anonymous/filesystem.ts";

const NSFS_MAGIC = 0x6e73_6673;

// ioctl_ns(2)
const NS_GET_USERNS = 0xb701;
const NS_GET_PARENT = 0xb702;
const NS_GET_NSTYPE = 0xb703;
const NS_GET_OWNER_UID = 0xb704;

const TYPES: Readonly<Record<string, number>> = {
  cgroup: CLONE_NEWCGROUP,
  ipc: CLONE_NEWIPC,
  mnt: CLONE_NEWNS,
  net: CLONE_NEWNET,
  pid: CLONE_NEWPID,
  user: CLONE_NEWUSER,
  uts: CLONE_NEWUTS,
};

/** A namespace as nsfs sees it. */
export interface NumberedNamespace {
  readonly ino: number;
  /** Holds the namespace, where its kind counts users. */
  hold?(): void;
  drop?(): void;
}

/** The only user and cgroup namespaces: no call can make or join others. */
export const USER_NAMESPACE: NumberedNamespace = { ino: 0xefff_fffd };
export const CGROUP_NAMESPACE: NumberedNamespace = { ino: 0xefff_fffb };

/** For namespaces that need no holder. */
const NOTHING: Pinned = { hold() {}, drop() {} };

class NamespaceInode extends Inode {
  readonly namespace: NumberedNamespace;
  readonly kind: string;

  constructor(fs: Nsfs, clock: Clock, kind: string, namespace: NumberedNamespace) {
    super(fs, namespace.ino, S_IFREG | 0o444, 0, 0);
    this.kind = kind;
    this.namespace = namespace;
    const pin = namespace.hold === undefined ? NOTHING : namespace as Pinned;
    this.namespaceShown = { pin, name: namespaceText(kind, namespace) };
    this.atimeSec = this.mtimeSec = this.ctimeSec = clock.realtime();
    this.atimeNsec = this.mtimeNsec = this.ctimeNsec = clock.nanoseconds;
  }
  override open(_task: Task, flags: number): File {
    return new NamespaceFile(this, flags);
  }
}

export class NamespaceFile extends File {
  declare readonly inode: NamespaceInode;
  /** The namespace that setns(2) joins; undefined where it cannot be joined. */
  readonly namespace: NumberedNamespace | undefined;

  constructor(inode: NamespaceInode, flags: number) {
    super(inode, flags);
    const { namespace } = inode;
    namespace.hold?.();
    this.namespace = namespace === USER_NAMESPACE || namespace === CGROUP_NAMESPACE ? undefined : namespace;
  }
  override get linkText(): string {
    return namespaceText(this.inode.kind, this.inode.namespace);
  }
  override release(): void {
    this.inode.namespace.drop?.();
    super.release();
  }
  /** Only PID and user namespaces have parents; they are shown to those who are above them, or in them: pidns_get_parent(). */
  #openParent(task: Task): number {
    const { namespace } = this.inode;
    if (namespace === USER_NAMESPACE) return -EPERM;
    if (!(namespace instanceof PidNamespace)) return -EINVAL;
    const { parent } = namespace;
    for (let above = parent; above !== null; above = above.parent) {
      if (above === task.pid.namespace) return openNamespace(task, "pid", parent!);
    }
    return -EPERM;
  }
  override ioctl(task: Task, request: number, argument: number): number {
    switch (request) {
      case NS_GET_NSTYPE:
        return TYPES[this.inode.kind];
      case NS_GET_USERNS:
        // All belong to the one user namespace, whose parent is outside the sandbox (ioctl_ns(2): EPERM).
        return this.inode.namespace === USER_NAMESPACE ? -EPERM : openNamespace(task, "user", USER_NAMESPACE);
      case NS_GET_PARENT:
        return this.#openParent(task);
      case NS_GET_OWNER_UID:
        return this.inode.namespace === USER_NAMESPACE ? putIntResult(task, argument, 0) : -EINVAL;
      default:
        return super.ioctl(task, request, argument);
    }
  }
}

/** A new descriptor of `namespace`: open_related_ns(). */
function openNamespace(task: Task, kind: string, namespace: NumberedNamespace): number {
  const { inode } = task.kernel.pseudo.nsfs.placeOf(kind, namespace);
  const file = new NamespaceFile(inode as NamespaceInode, O_RDONLY);
  const fd = task.files.allocate(task, file, true);
  file.drop();
  return fd;
}

/** The nsfs of one kernel. */
export class Nsfs extends AnonymousFilesystem {
  readonly #clock: Clock;
  /** Each namespace has one inode, which exists as long as it does. */
  readonly #inodes = new WeakMap<NumberedNamespace, NamespaceInode>();

  constructor(vfs: Vfs, clock: Clock) {
    super(vfs, "nsfs", NSFS_MAGIC);
    this.#clock = clock;
  }

  /** The target of a link in /proc/PID/ns. */
  placeOf(kind: string, namespace: NumberedNamespace): Path {
    let inode = this.#inodes.get(namespace);
    if (inode === undefined) {
      inode = new NamespaceInode(this, this.#clock, kind, namespace);
      this.#inodes.set(namespace, inode);
    }
    return placeOfInode(inode);
  }
}

/** "uts:[4026531838]". */
export function namespaceText(kind: string, namespace: NumberedNamespace): string {
  return `${kind}:[${namespace.ino}]`;
}
