// Making and joining namespaces: the CLONE_NEW flags of clone(2), unshare(2), setns(2). Linux: kernel/nsproxy.c. User,
// time and cgroup namespaces do not exist here: EINVAL, as from a Linux built without them.

import { EINVAL, ENOSPC, EPERM } from "../abi/errno.ts";
import {
  CAP_SYS_ADMIN,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "../abi/task.ts";
import { Path } from "../vfs/path.ts";
import type { FsContext } from "../vfs/fs_context.ts";
import type { Mount, MountNamespace } from "../vfs/mount.ts";
import { NamespaceCharge, type NamespaceLimits } from "../util/parameters.ts";
import { hasCapability } from "./credentials.ts";
import {
  IpcNamespace,
  NetNamespace,
  PID_LEVELS_MAX,
  PidNamespace,
  TaskNamespaces,
  UtsNamespace,
} from "./namespaces.ts";
import type { Task } from "./task.ts";
import { userAccount } from "./user_account.ts";

const SUPPORTED = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS;
const UNSUPPORTED = CLONE_NEWUSER | CLONE_NEWTIME | CLONE_NEWCGROUP;
/** Every flag that asks for a namespace. */
export const NAMESPACE_FLAGS = SUPPORTED | UNSUPPORTED;

/** What user.max_*_namespaces limits. */
const KINDS: readonly (readonly [keyof NamespaceLimits, number])[] = [
  ["uts", CLONE_NEWUTS],
  ["ipc", CLONE_NEWIPC],
  ["mnt", CLONE_NEWNS],
  ["net", CLONE_NEWNET],
  ["pid", CLONE_NEWPID],
];

/** For each mount of the old namespace the one in its copy; empty when the mount namespace stays. */
export type MovedMounts = Map<Mount, Mount>;

/** What a task sees with the namespaces of `flags` made new: the same object when it asks for none. -ERRNO. */
export function changedNamespaces(task: Task, flags: number, moved: MovedMounts): TaskNamespaces | number {
  const old = task.namespaces;
  if ((flags & NAMESPACE_FLAGS) === 0) return old;
  if ((flags & UNSUPPORTED) !== 0) return -EINVAL;
  if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  const { namespaceInodes: inodes, parameters } = task.kernel;
  const counts = userAccount(task.kernel, task.credentials.euid).namespaces;
  for (const [kind, flag] of KINDS) {
    if ((flags & flag) !== 0 && counts[kind] >= parameters.namespaces[kind]) return -ENOSPC;
  }
  let pids = old.pidForChildren;
  if ((flags & CLONE_NEWPID) !== 0) {
    if (pids.level >= PID_LEVELS_MAX) return -ENOSPC;
    pids = new PidNamespace(inodes.next(), pids);
  }
  const made = new TaskNamespaces(
    (flags & CLONE_NEWUTS) !== 0
      ? new UtsNamespace(inodes.next(), old.uts.hostname, old.uts.domainname)
      : old.uts,
    (flags & CLONE_NEWIPC) !== 0 ? new IpcNamespace(inodes.next()) : old.ipc,
    (flags & CLONE_NEWNET) !== 0 ? new NetNamespace(inodes.next()) : old.net,
    (flags & CLONE_NEWNS) !== 0 ? old.mount.clone(moved, inodes.next()) : old.mount,
    pids,
  );
  if (made.uts !== old.uts) made.uts.charge = new NamespaceCharge(counts, "uts");
  if (made.ipc !== old.ipc) made.ipc.charge = new NamespaceCharge(counts, "ipc");
  if (made.net !== old.net) made.net.charge = new NamespaceCharge(counts, "net");
  if (made.mount !== old.mount) made.mount.charge = new NamespaceCharge(counts, "mnt");
  if (pids !== old.pidForChildren) pids.charge = new NamespaceCharge(counts, "pid");
  return made;
}

/** Root and working directory go to the same places in the new mount namespace. */
export function moveToMounts(fs: FsContext, moved: MovedMounts): void {
  const root = moved.get(fs.root.mount);
  if (root !== undefined) fs.root = new Path(root, fs.root.dentry);
  const cwd = moved.get(fs.cwd.mount);
  if (cwd !== undefined) fs.cwd = new Path(cwd, fs.cwd.dentry);
}

/** The namespaces of a task with one exchanged: setns(2). */
export function withNamespace(
  old: TaskNamespaces,
  namespace: UtsNamespace | IpcNamespace | NetNamespace | PidNamespace,
): TaskNamespaces {
  return new TaskNamespaces(
    namespace instanceof UtsNamespace ? namespace : old.uts,
    namespace instanceof IpcNamespace ? namespace : old.ipc,
    namespace instanceof NetNamespace ? namespace : old.net,
    old.mount,
    namespace instanceof PidNamespace ? namespace : old.pidForChildren,
  );
}

/** The same with another mount namespace. */
export function withMountNamespace(old: TaskNamespaces, mount: MountNamespace): TaskNamespaces {
  return new TaskNamespaces(old.uts, old.ipc, old.net, mount, old.pidForChildren);
}
