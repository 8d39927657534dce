// The host's cgroup of a container as the command line makes it, and removes it: boot/cgroup/ does the work.

import {
  Cgroup,
  CgroupExists,
  type CgroupRecord,
  hostHierarchies,
  MissingController,
  NoCgroup,
} from "../cgroup/cgroup.ts";
import { HOST_FILES } from "../cgroup/files.ts";
import { scopeOf, startScope, stopScope, type SystemdScope } from "../cgroup/systemd.ts";
import type { Resources } from "../oci/resources.ts";
import type { OciConfig } from "../oci/spec.ts";
import type { GlobalFlags } from "./flags.ts";

/** How long what is left in a cgroup may take to end by itself, and after it has been killed. */
const END_MILLIS = 2000;
const KILLED_MILLIS_MAX = 60_000;
const POLL_MILLIS = 5;
/** Random names until one must be free. */
const NAME_TRIES_MAX = 3;

export interface HostCgroup {
  readonly cgroup: Cgroup;
  readonly resources: Resources;
  /** systemd makes it, when the processes that are to be in it are there. */
  readonly scope: SystemdScope | null;
  /** Nobody has named it: it may have another name where the container's is taken. */
  readonly hasOwnName: boolean;
}

/** The cgroup that `config` asks for, which is not there yet; null = there is to be none. Throws one line for what cannot be. */
export function plannedCgroup(
  config: Pick<OciConfig, "linux">,
  id: string,
  flags: Pick<GlobalFlags, "wantsCgroup" | "wantsSystemd">,
  warn: (line: string) => void,
): HostCgroup | null {
  if (!flags.wantsCgroup) return null;
  const cgroupsPath = config.linux?.cgroupsPath ?? "";
  const scope = flags.wantsSystemd ? scopeOf(cgroupsPath, id, Deno.uid() === 0) : null;
  try {
    const cgroup = Cgroup.planned(hostHierarchies(), scope === null ? cgroupsPath : scope.path, id);
    const hasOwnName = scope === null && cgroupsPath === "";
    return { cgroup, resources: config.linux?.resources ?? {}, scope, hasOwnName };
  } catch (error) {
    return without(error, warn, config.linux?.resources ?? {});
  }
}

/**
 * Makes it and sets its limits, so far as that is not systemd's to begin. null = the host does not let the caller have one.
 * `record` notes what is about to be made. Ids are unique in a state directory only, so a name of our own may be taken.
 */
export function madeCgroup(
  planned: HostCgroup,
  id: string,
  warn: (line: string) => void,
  record: (planned: HostCgroup) => void,
): HostCgroup | null {
  if (planned.scope !== null) return planned;
  let host = planned;
  for (let tries = 0;; tries++) {
    try {
      makeAndLimit(host);
      return host;
    } catch (error) {
      if (!(error instanceof CgroupExists) || tries === NAME_TRIES_MAX) {
        return without(error, warn, host.resources);
      }
      const name = `${id}.${crypto.randomUUID().slice(0, 8)}`;
      host = { ...host, cgroup: Cgroup.planned(hostHierarchies(), "", name) };
      record(host);
    }
  }
}

function makeAndLimit({ cgroup, resources, hasOwnName }: HostCgroup): void {
  cgroup.make(hasOwnName);
  try {
    cgroup.limit(resources);
  } catch (error) {
    cgroup.removeEmpty();
    // v2: a cgroup with processes of its own hands no controllers down, as that of a container has some which is not prepared
    // for containers inside. Nobody has asked for this place, so that is no mistake of the caller's.
    const isUnprepared = cgroup.version === 2 && hasOwnName && error instanceof MissingController;
    throw isUnprepared ? new NoCgroup(error.message) : error;
  }
}

/** Logged where there are limits to hold. */
function without(error: unknown, warn: (line: string) => void, resources: Resources): null {
  if (!(error instanceof NoCgroup)) throw error;
  if (!hasLimits(resources)) return null;
  warn(
    `No cgroup for the sandbox (${error.message}): the host holds none of its limits, the sandbox itself does`,
  );
  return null;
}

/** Rules for devices are none: a guest has no device of the host. */
function hasLimits({ devices: _, ...limits }: Resources): boolean {
  const isLimit = (value: unknown): boolean =>
    typeof value === "object" && value !== null ? Object.values(value).some(isLimit) : Boolean(value);
  return isLimit(limits);
}

/** Puts the sandbox's processes into it. They have no configuration yet. */
export async function enterCgroup(
  host: HostCgroup,
  pids: readonly number[],
  warn: (line: string) => void,
): Promise<void> {
  const { cgroup, resources, scope } = host;
  if (scope !== null) {
    await startScope(scope, pids, resources, cgroup.version, HOST_FILES);
    // Of v1 systemd has made some of its directories only, and it supports only some of the limits.
    makeAndLimit(host);
  }
  try {
    cgroup.join(pids);
  } catch (error) {
    // v2 lets nobody move a process out of a part of the tree that has not been handed to the caller.
    if (!host.hasOwnName) throw error;
    if (hasLimits(resources)) warn(`${(error as Error).message}: the host holds none of its limits`);
  }
}

/** Removes what was made for a container that has ended. A sentence about what is left, null = nothing. */
export async function removeCgroup(
  record: CgroupRecord | undefined,
  unit: string | undefined = undefined,
): Promise<string | null> {
  if (record === undefined) return null;
  const cgroup = new Cgroup(record);
  const killsAt = Date.now() + END_MILLIS, endsAt = killsAt + KILLED_MILLIS_MAX;
  while (!cgroup.removeEmpty()) {
    const now = Date.now();
    if (now > endsAt) return `Cannot remove the cgroup ${record.places[0]?.path}: processes are left in it`;
    // What is in there the sandbox has made: nobody else puts processes into a cgroup of ours.
    if (now > killsAt) { for (const pid of cgroup.processes()) end(pid); }
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS));
  }
  if (unit !== undefined) await stopScope(unit);
  return null;
}

/** As removeCgroup(), of a container that has not come to be. */
export async function undoCgroup(host: HostCgroup | null): Promise<void> {
  if (host !== null) await removeCgroup(host.cgroup.record, host.scope?.unit);
}

function end(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}
