// The processes of a sandbox as lists show them: `ps` prints these rows, the control API puts them into gVisor's form
// (control/services/process_document.ts).

import type { Container } from "../kernel/container.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { PidNamespace } from "../kernel/task/namespaces.ts";
import type { ThreadGroup } from "../kernel/task/thread_group.ts";

/** A process, with ids of one PID namespace. */
export interface ProcessRow {
  readonly pid: number;
  readonly parentPid: number;
  /** The effective one, as ps(1) shows it. */
  readonly uid: number;
  /** "pts/0"; "?": none. */
  readonly tty: string;
  readonly ageNanos: number;
  readonly cpuNanos: number;
  readonly name: string;
}

/** Processes of a container (null: of the sandbox) that have not been reaped, by their id in the root PID namespace. */
export function processesOf(kernel: Kernel, container: Container | null): ThreadGroup[] {
  const groups = new Set<ThreadGroup>();
  for (const { threadGroup } of kernel.tasks.values()) {
    if (container === null || threadGroup.container === container) groups.add(threadGroup);
  }
  return [...groups].filter((group) => !group.isReaped).sort((a, b) => a.tgid - b.tgid);
}

/** The row of a process, with ids of `pids`. */
export function processRow(kernel: Kernel, group: ThreadGroup, pids: PidNamespace): ProcessRow {
  return {
    pid: group.pid.in(pids),
    parentPid: group.parent === null ? 0 : group.parent.pid.in(pids),
    uid: group.leader.credentials.euid,
    tty: group.session.terminal?.name ?? "?",
    ageNanos: kernel.clock.monotonic() - group.startNanos,
    cpuNanos: group.cpuNanos(),
    name: group.leader.name,
  };
}
