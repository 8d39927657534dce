// Namespaces of a task: what it sees of host name, process ids, mounts, IPC objects and network. Linux: struct nsproxy,
// pid_namespaces(7), uts_namespaces(7). Making and joining them is in namespace_changes.ts.

import { Changes } from "../util/changes.ts";
import { IpcParameters, type NamespaceCharge } from "../util/parameters.ts";
import type { MqueueFilesystem } from "../fs/mqueue.ts";
import type { SystemVTables } from "../ipc/system_v/tables.ts";
import type { Network } from "../socket/inet/network.ts";
import type { UnixSocket } from "../socket/unix/unix_socket.ts";
import type { Pid } from "./pid.ts";
import type { Task } from "./task.ts";
import type { ThreadGroup } from "./thread_group.ts";
import type { MountNamespace } from "../vfs/mount.ts";

/** After the numbers have wrapped, allocation starts here (RESERVED_PIDS). */
const RESERVED_PIDS = 300;
/** MAX_PID_NS_LEVEL: deepest nesting. */
export const PID_LEVELS_MAX = 32;

/** First inode number of nsfs (PROC_DYNAMIC_FIRST): what /proc/PID/ns shows, "uts:[ino]". Those below are Linux' own. */
export const NAMESPACE_INODE_FIRST = 0xf000_0000;

export class UtsNamespace {
  readonly ino: number;
  /** Byte strings of at most 64 bytes. */
  hostname: string;
  domainname: string;
  readonly changes = { hostname: new Changes(), domainname: new Changes() };
  /** Who is charged for it; null for those of a container. Given back with its last user. */
  charge: NamespaceCharge | null = null;
  /** Tasks that are in it. */
  #users = 0;

  constructor(ino: number, hostname: string, domainname: string) {
    this.ino = ino;
    this.hostname = hostname;
    this.domainname = domainname;
  }

  hold(): void {
    this.#users++;
  }
  drop(): void {
    if (--this.#users > 0) return;
    this.charge?.give();
    this.charge = null;
  }

  /** sethostname(2), setdomainname(2), and their sysctls. */
  setName(which: "hostname" | "domainname", name: string): void {
    this[which] = name;
    this.changes[which].tell();
  }
}

/** System V IPC objects and POSIX queues of a namespace. */
export class IpcNamespace {
  readonly ino: number;
  /** Limits of its objects. */
  readonly parameters = new IpcParameters();
  /** System V objects, made on first use by ipc/system_v. */
  tables: SystemVTables | null = null;
  /** POSIX queues, made on first use by fs/mqueue. */
  mqueues: MqueueFilesystem | null = null;
  /** What goes with it. */
  readonly held: { release(): void }[] = [];
  /** Who is charged for it; null for those of a container. Given back with its last user. */
  charge: NamespaceCharge | null = null;
  /** Tasks that are in it and open files of nsfs. */
  #users = 0;

  constructor(ino: number) {
    this.ino = ino;
  }

  hold(): void {
    this.#users++;
  }
  /** With the last one its objects go. */
  drop(): void {
    if (--this.#users > 0) return;
    this.charge?.give();
    this.charge = null;
    for (const one of this.held) one.release();
    this.held.length = 0;
    this.tables = null;
    this.mqueues = null;
  }
}

/** Network of a namespace: abstract Unix names, interfaces, addresses, routes. */
export class NetNamespace {
  readonly ino: number;
  /** Bound Unix sockets by type and abstract name; kept by socket/unix. */
  readonly abstractNames = new Map<string, UnixSocket>();
  /** Its stack; made on first use by socket/inet. */
  network: Network | null = null;
  /** Its loopback begins up with its addresses, as boot sets it up for a container; that of unshare(2) is down. */
  readonly isLoopbackUp: boolean;
  /** Who is charged for it; null for those of a container. Given back with its last user. */
  charge: NamespaceCharge | null = null;
  /** Tasks that are in it, open files of nsfs, and sockets. */
  #users = 0;

  constructor(ino: number, start: { readonly isLoopbackUp: boolean } = { isLoopbackUp: false }) {
    this.ino = ino;
    this.isLoopbackUp = start.isLoopbackUp;
  }

  hold(): void {
    this.#users++;
  }
  /** With the last one its interfaces go. */
  drop(): void {
    if (--this.#users > 0) return;
    this.charge?.give();
    this.charge = null;
    this.network?.release();
    this.network = null;
  }
}

/** Process ids of one namespace. A process has a number in its namespace and in every one above. */
export class PidNamespace {
  readonly ino: number;
  readonly parent: PidNamespace | null;
  /** Depth: 0 for the root. */
  readonly level: number;
  /** Who has which number: tasks (zombies too), process groups, sessions. */
  readonly pids = new Map<number, Pid>();
  /** Process with id 1: children of the dead go to it, and its end ends the namespace. null before it is born. */
  init: ThreadGroup | null = null;
  /** Its init has gone: nobody is born here any more (ENOMEM, pid_namespaces(7)). */
  isClosed = false;
  /** Who is charged for it; null for those of a container. Given back with its last user. */
  charge: NamespaceCharge | null = null;
  /** Tasks whose children are born in it. */
  #users = 0;
  #last = 0;

  constructor(ino: number, parent: PidNamespace | null) {
    this.ino = ino;
    this.parent = parent;
    this.level = parent === null ? 0 : parent.level + 1;
  }

  hold(): void {
    this.#users++;
  }
  drop(): void {
    this.#users--;
    this.endIfUnused();
  }
  /** A number has become free, or a task is born elsewhere from now on. */
  endIfUnused(): void {
    if (this.#users > 0 || this.pids.size > 0) return;
    this.charge?.give();
    this.charge = null;
  }

  /** A number below `most` that nobody has, or -1 when all are taken. */
  freeNumber(most: number): number {
    for (let tries = 0; tries < most; tries++) {
      if (++this.#last >= most) this.#last = RESERVED_PIDS;
      if (!this.pids.has(this.#last)) return this.#last;
    }
    return -1;
  }

  /** The last number given out, for /proc/loadavg. */
  get lastNumber(): number {
    return this.#last;
  }
  /** The next number is searched after `number`: kernel.ns_last_pid. */
  set lastNumber(number: number) {
    this.#last = number;
  }

  /** The task with thread id `tid` here, or null. Zombies count until they are reaped. */
  task(tid: number): Task | null {
    const pid = this.pids.get(tid);
    return pid === undefined ? null : pid.task;
  }

  /** The thread group whose leader has id `tgid` here, or null. */
  threadGroup(tgid: number): ThreadGroup | null {
    const task = this.task(tgid);
    return task !== null && task.threadGroup.leader === task ? task.threadGroup : null;
  }

  /** Whether `other` is this namespace or lies below it. */
  contains(other: PidNamespace): boolean {
    let up: PidNamespace | null = other;
    while (up !== null && up !== this) up = up.parent;
    return up === this;
  }
}

/** What a task sees. Immutable; unshare(2) and setns(2) put another in its place. Its own PID namespace is task.pid.namespace. */
export class TaskNamespaces {
  readonly uts: UtsNamespace;
  readonly ipc: IpcNamespace;
  readonly net: NetNamespace;
  readonly mount: MountNamespace;
  /** Where its children are born. */
  readonly pidForChildren: PidNamespace;

  constructor(
    uts: UtsNamespace,
    ipc: IpcNamespace,
    net: NetNamespace,
    mount: MountNamespace,
    pidForChildren: PidNamespace,
  ) {
    this.uts = uts;
    this.ipc = ipc;
    this.net = net;
    this.mount = mount;
    this.pidForChildren = pidForChildren;
  }

  /** One more task has these. */
  hold(): void {
    this.uts.hold();
    this.pidForChildren.hold();
    this.ipc.hold();
    this.net.hold();
    this.mount.hold();
  }
  drop(): void {
    this.uts.drop();
    this.pidForChildren.drop();
    this.ipc.drop();
    this.net.drop();
    this.mount.drop();
  }
  /** New ones that no task was given after all: what was made for them goes. */
  discardIfUnused(): void {
    this.hold();
    this.drop();
  }
}
