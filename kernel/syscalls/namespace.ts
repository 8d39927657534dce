// unshare(2) and setns(2): a task stops sharing something, or joins another namespace.

import { EBADF, EINVAL, EPERM } from "../abi/errno.ts";
import {
  CAP_SYS_ADMIN,
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VM,
} from "../abi/task.ts";
import { hasCapability } from "../task/credentials.ts";
import {
  changedNamespaces,
  type MovedMounts,
  moveToMounts,
  NAMESPACE_FLAGS,
  withMountNamespace,
  withNamespace,
} from "../task/namespace_changes.ts";
import { IpcNamespace, NetNamespace, PidNamespace, UtsNamespace } from "../task/namespaces.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import { PidFile } from "../fs/anonymous/pidfd.ts";
import { MountNamespace } from "../vfs/mount.ts";
import { Path } from "../vfs/path.ts";
import type { Args } from "./args.ts";
import { CLONE_FLAGS } from "./process.ts";
import { partial, type SyscallFamily } from "./table.ts";

const UNSHARE_FLAGS = NAMESPACE_FLAGS | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_THREAD |
  CLONE_SIGHAND |
  CLONE_VM;

type Namespace = UtsNamespace | IpcNamespace | NetNamespace | PidNamespace | MountNamespace;

/** The members of an nsfs file (/proc/PID/ns) beside File's. */
interface NamespaceFile {
  readonly namespace?: Namespace;
}

function unshare(task: Task, args: Args): number {
  let flags = args.u32(0);
  if ((flags & ~UNSHARE_FLAGS) !== 0) return -EINVAL;
  if ((flags & CLONE_VM) !== 0) flags |= CLONE_SIGHAND;
  if ((flags & CLONE_SIGHAND) !== 0) flags |= CLONE_THREAD;
  if ((flags & CLONE_NEWNS) !== 0) flags |= CLONE_FS;
  // CLONE_THREAD and related flags are only valid in a single-threaded process, and have no effect there: unshare(2).
  const isAlone = task.threadGroup.liveCount === 1;
  if ((flags & CLONE_THREAD) !== 0 && !isAlone) return -EINVAL;
  if ((flags & CLONE_SIGHAND) !== 0 && task.threadGroup.actions.references > 1) return -EINVAL;
  if ((flags & CLONE_VM) !== 0 && task.mm.references > 1) return -EINVAL;
  const moved: MovedMounts = new Map();
  const namespaces = changedNamespaces(task, flags, moved);
  if (typeof namespaces === "number") return namespaces;
  if ((flags & CLONE_FS) !== 0) unshareFs(task);
  if ((flags & CLONE_FILES) !== 0 && task.files.references > 1) {
    const copy = task.files.clone();
    task.files.drop(task);
    task.files = copy;
  }
  task.setNamespaces(namespaces);
  moveToMounts(task.fs, moved);
  return 0;
}

function unshareFs(task: Task): void {
  if (task.fs.references === 1) return;
  const copy = task.fs.clone();
  task.fs.drop();
  task.fs = copy;
}

const KINDS = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS;

function setns(task: Task, args: Args): number {
  const file = task.files.get(args.i32(0));
  if (file === null) return -EBADF;
  const flags = args.u32(1);
  if (file instanceof PidFile) return joinProcess(task, file.threadGroup, flags);
  const { namespace } = file as unknown as NamespaceFile;
  if (namespace === undefined) return -EINVAL;
  if (flags !== 0 && flags !== kindOf(namespace)) return -EINVAL;
  return join(task, namespace);
}

/** setns(2) with a pidfd: joins each kind of namespace in `flags`. */
function joinProcess(task: Task, group: ThreadGroup, flags: number): number {
  if (flags === 0 || (flags & ~KINDS) !== 0) return -EINVAL;
  const other = group.liveTask();
  if (other === null) return -EINVAL;
  const theirs = other.namespaces;
  const all: Namespace[] = [theirs.uts, theirs.ipc, theirs.net, other.pid.namespace, theirs.mount];
  for (const namespace of all) {
    if ((flags & kindOf(namespace)) === 0) continue;
    const joined = join(task, namespace);
    if (joined < 0) return joined;
  }
  return 0;
}

function kindOf(namespace: Namespace): number {
  if (namespace instanceof UtsNamespace) return CLONE_NEWUTS;
  if (namespace instanceof IpcNamespace) return CLONE_NEWIPC;
  if (namespace instanceof NetNamespace) return CLONE_NEWNET;
  return namespace instanceof PidNamespace ? CLONE_NEWPID : CLONE_NEWNS;
}

function join(task: Task, namespace: Namespace): number {
  if (!hasCapability(task.credentials, CAP_SYS_ADMIN)) return -EPERM;
  if (namespace instanceof MountNamespace) {
    // Refused while other tasks share the root: setns(2), CLONE_NEWNS.
    if (task.fs.references > 1) return -EINVAL;
    task.setNamespaces(withMountNamespace(task.namespaces, namespace));
    const root = new Path(namespace.root, namespace.root.root);
    task.fs.root = root;
    task.fs.cwd = root;
    return 0;
  }
  // Only descendants of the current PID namespace: a parent must see its child (pidns_install()).
  if (namespace instanceof PidNamespace && !task.pid.namespace.contains(namespace)) return -EINVAL;
  task.setNamespaces(withNamespace(task.namespaces, namespace));
  return 0;
}

export const NAMESPACE_CALLS: SyscallFamily = {
  unshare: {
    nr: { x64: 272, arm64: 97 },
    args: { flags: { flags: CLONE_FLAGS } },
    returns: "int",
    support: partial("no user, time and cgroup namespaces"),
    run: unshare,
  },
  setns: {
    nr: { x64: 308, arm64: 268 },
    args: { fd: "fd", nstype: { flags: CLONE_FLAGS } },
    returns: "int",
    support: partial("no user, time and cgroup namespaces"),
    run: setns,
  },
};
