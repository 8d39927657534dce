// A cgroup that systemd makes (--systemd-cgroup): a transient scope unit with the sandbox's processes. systemd's own client
// asks for it, busctl(1); no library for D-Bus is kept well enough to be root's.

import type { Resources } from "../oci/resources.ts";
import { type CgroupFiles, readOrNull } from "./files.ts";
import { decimal, OWN_TASKS_MAX } from "./settings.ts";

const DESTINATION = [
  "org.freedesktop.systemd1",
  "/org/freedesktop/systemd1",
  "org.freedesktop.systemd1.Manager",
];
/** Longest systemd may take to put a process into its scope. */
const JOB_MILLIS_MAX = 30_000;
const POLL_MILLIS = 5;

export interface SystemdScope {
  /** "docker-3f.scope". */
  readonly unit: string;
  /** "system.slice". */
  readonly slice: string;
  /** Path of its cgroup from the top of a hierarchy. */
  readonly path: string;
}

/** "slice:prefix:name", or one named after the container where there is nothing. Throws for any other form, as runc does. */
export function scopeOf(cgroupsPath: string, id: string, isRoot: boolean): SystemdScope {
  const parts = cgroupsPath === "" ? ["", "tsvisor", id] : cgroupsPath.split(":");
  if (parts.length !== 3) {
    throw new Error(
      `linux.cgroupsPath: "${cgroupsPath}" is not slice:prefix:name, as --systemd-cgroup asks for`,
    );
  }
  const [given, prefix, name] = parts;
  const slice = given === "" ? isRoot ? "system.slice" : "user.slice" : given;
  if (!/^[\w:.@\\-]+\.slice$/.test(slice) && slice !== "-.slice") {
    throw new Error(`linux.cgroupsPath: "${slice}" is not the name of a slice`);
  }
  const unit = prefix === "" ? `${name}.scope` : `${prefix}-${name}.scope`;
  if (!/^[\w:.@\\-]+$/.test(unit)) throw new Error(`linux.cgroupsPath: "${unit}" is not the name of a unit`);
  return { unit, slice, path: `${pathOfSlice(slice)}/${unit}` };
}

/** systemd.slice(5): "a-b.slice" lies in "a.slice". */
function pathOfSlice(slice: string): string {
  if (slice === "-.slice") return "";
  const names = slice.slice(0, -".slice".length).split("-");
  return names.map((_, i) => `/${names.slice(0, i + 1).join("-")}.slice`).join("");
}

/** Arguments of busctl that ask for `scope` with `pids` in it. */
export function startArguments(
  scope: SystemdScope,
  pids: readonly number[],
  resources: Resources,
  version: 1 | 2,
): string[] {
  const properties: string[][] = [
    ["Description", "s", `tsvisor sandbox ${scope.unit}`],
    ["Slice", "s", scope.slice],
    ["Delegate", "b", "true"],
    ["DefaultDependencies", "b", "false"],
    ["MemoryAccounting", "b", "true"],
    ["CPUAccounting", "b", "true"],
    ["TasksAccounting", "b", "true"],
    ["PIDs", "au", String(pids.length), ...pids.map(String)],
  ];
  const { memory, pids: tasks, cpu } = resources;
  const limit = memory?.limit ?? 0;
  if (limit > 0) properties.push([version === 1 ? "MemoryLimit" : "MemoryMax", "t", decimal(limit)]);
  const most = tasks?.limit ?? 0;
  if (most > 0) properties.push(["TasksMax", "t", decimal(most + OWN_TASKS_MAX)]);
  const quota = cpu?.quota ?? 0, period = cpu?.period || 100_000;
  // Microseconds a second, as systemd counts them.
  if (quota > 0) properties.push(["CPUQuotaPerSecUSec", "t", decimal(Math.ceil(quota * 1e6 / period))]);
  return [
    "call",
    ...DESTINATION,
    "StartTransientUnit",
    "ssa(sv)a(sa(sv))",
    scope.unit,
    "fail",
    String(properties.length),
    ...properties.flat(),
    "0",
  ];
}

/** Has systemd make the scope; comes back when `pids` are in it. Throws one line where it does not. */
export async function startScope(
  scope: SystemdScope,
  pids: readonly number[],
  resources: Resources,
  version: 1 | 2,
  files: CgroupFiles,
): Promise<void> {
  const failure = await callSystemd(startArguments(scope, pids, resources, version));
  if (failure !== null) throw new Error(`Cannot have systemd make ${scope.unit}: ${failure}`);
  const isInside = (pid: number) =>
    (readOrNull(files, `/proc/${pid}/cgroup`) ?? "").includes(`/${scope.unit}`);
  const end = Date.now() + JOB_MILLIS_MAX;
  while (!pids.every(isInside)) {
    if (Date.now() > end) throw new Error(`Cannot have systemd make ${scope.unit}: its job does not end`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS));
  }
}

/** The scope goes when it is empty; one that has failed is forgotten too. Best effort: systemd may have done both. */
export async function stopScope(unit: string): Promise<void> {
  await callSystemd(["call", ...DESTINATION, "StopUnit", "ss", unit, "replace"]);
  await callSystemd(["call", ...DESTINATION, "ResetFailedUnit", "s", unit]);
}

/** null = it has done so. */
async function callSystemd(words: readonly string[]): Promise<string | null> {
  const own = Deno.uid() === 0 ? ["--system"] : ["--user"];
  try {
    const args = [...own, "--quiet", ...words];
    const { success, stderr } = await new Deno.Command("busctl", { args, stdin: "null" }).output();
    return success ? null : new TextDecoder().decode(stderr).trim().split("\n")[0];
  } catch {
    return "there is no busctl, systemd's client for D-Bus";
  }
}
