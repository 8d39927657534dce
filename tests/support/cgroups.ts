// The host's cgroups as tests see them.

import { Cgroup, type CgroupRecord, hostHierarchies } from "../../boot/cgroup/cgroup.ts";

let isPossible: boolean | null = null;

/** Whether this host lets us have cgroups with limits of memory and tasks: a container of CI may show them read-only. */
export function canHaveCgroups(): boolean {
  return isPossible ??= probe();
}

function probe(): boolean {
  try {
    const cgroup = Cgroup.planned(hostHierarchies(), "", `tsvisor-probe-${crypto.randomUUID()}`);
    cgroup.make(true);
    try {
      cgroup.limit({ memory: { limit: 1 << 26 }, pids: { limit: 20 } });
      return true;
    } finally {
      cgroup.removeEmpty();
    }
  } catch {
    return false;
  }
}

/** The cgroup of container `id` by its record in state directory `state`; null = it has none. */
export function cgroupOf(state: string, id: string): Cgroup | null {
  const { cgroup } = JSON.parse(Deno.readTextFileSync(`${state}/${id}.json`)) as { cgroup?: CgroupRecord };
  return cgroup === undefined ? null : new Cgroup(cgroup);
}

/** Paths of a cgroup that are there. */
export function pathsOf(cgroup: Cgroup): string[] {
  return cgroup.record.places.map(({ path }) => path).filter(isThere);
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Numbers of a cgroup that both versions have, under the names of one file or the other. */
export function numberOf(cgroup: Cgroup, controller: string, first: string, second: string): number {
  return Number(cgroup.read(controller, cgroup.version === 1 ? first : second));
}
