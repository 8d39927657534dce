// From a bundle's config.json to what sentry and gofer are told. Everything that can be wrong on the host's side (a root or
// a source that is missing) is found here, before any process starts.

import { readHostFacts } from "../host_facts.ts";
import type { Launch } from "../launch.ts";
import type { MountConfig, ProcessConfig, WatchdogConfig } from "../sentry_config.ts";
import type { OciConfig } from "./spec.ts";

/** Mount types that our kernel serves itself. */
const OWN_TYPES = new Set(["tmpfs", "proc", "sysfs", "devpts", "mqueue", "devtmpfs"]);
/** Of mounts that a container gets whether it asks or not. */
const ALWAYS = [["/proc", "proc"], ["/sys", "sysfs"], ["/dev", "devtmpfs"]];
/** Tasks at most where the bundle says nothing. */
const TASKS_MAX = 8192;

/** What does not come from the bundle. */
export interface ContainerOptions {
  readonly id: string;
  readonly platform: "systrap" | "ptrace";
  readonly mayPatch: boolean;
  readonly watchdog: WatchdogConfig;
  readonly isDebug: boolean;
  readonly strace: boolean;
  readonly straceCalls: readonly string[];
  readonly overlay: "memory" | "none";
  readonly isLenient: boolean;
  readonly isExclusive: boolean;
}

/** What the gofer serves, and what each connection of the sentry to it may do: the root first, then the bind mounts. */
interface Served {
  readonly mounts: { path: string; isReadOnly: boolean; isRecursive: boolean }[];
  readonly gofers: { isReadOnly: boolean; isExclusive: boolean }[];
}

/** What a bundle says for itself, as --patching. */
const PATCHING_ANNOTATION = "dev.tsvisor.flag.patching";

function mayPatchBy(config: OciConfig): boolean {
  const value = config.annotations?.[PATCHING_ANNOTATION] ?? "on";
  if (value === "on" || value === "off") return value === "on";
  throw new Error(`annotations: ${PATCHING_ANNOTATION} is "${value}", not on or off`);
}

/** Linux: there is no cgroup file system yet; a container that only reads it finds an empty directory. */
const MISSING_TYPES: readonly (string | undefined)[] = ["cgroup", "cgroup2"];

/** Mounts that a container is started without. */
export function missingMounts(config: OciConfig): string[] {
  const mounts = [...(config.mounts ?? []).entries()];
  return mounts.filter(([, { type }]) => MISSING_TYPES.includes(type)).map(([i, { type }]) =>
    `mounts[${i}] (${type})`
  );
}

/** Throws one line that names the field and its value for what cannot be. */
export function containerOf(
  bundle: string,
  config: OciConfig,
  options: ContainerOptions,
): Pick<Launch, "sentry" | "gofer"> {
  const facts = readHostFacts();
  const root = absolute(bundle, config.root.path);
  if (!isDirectory(root)) throw new Error(`root.path: "${config.root.path}" is not a directory (${root})`);
  // As runc: whoever may change a link on the way would choose the root.
  const real = Deno.realPathSync(root);
  if (real !== plain(root)) {
    throw new Error(`root.path: "${config.root.path}" is a symlink or behind one (${root} leads to ${real})`);
  }
  const isReadOnly = config.root.readonly === true;
  // A root that is read-only lacks places to mount at, as often as not: they are made in memory.
  const hasOverlay = isReadOnly || options.overlay === "memory";
  const served: Served = {
    mounts: [{ path: root, isReadOnly: hasOverlay, isRecursive: true }],
    gofers: [{ isReadOnly: hasOverlay, isExclusive: options.isExclusive }],
  };
  const mounts = mountsOf(bundle, config, served);
  const { process } = config;
  const memory = config.linux?.resources?.memory?.limit ?? 0;
  const memoryBytes = memory > 0 ? Math.min(memory, facts.memoryTotalBytes) : facts.memoryTotalBytes;
  const pids = config.linux?.resources?.pids?.limit ?? 0;
  return {
    gofer: { mounts: served.mounts, isLenient: options.isLenient, isDebug: options.isDebug },
    sentry: {
      id: options.id,
      platform: options.platform,
      mayPatch: options.mayPatch && mayPatchBy(config),
      watchdog: options.watchdog,
      isDebug: options.isDebug,
      strace: options.strace,
      straceCalls: options.straceCalls,
      gofers: served.gofers,
      root: { isReadOnly, hasOverlay },
      mounts,
      maskedPaths: config.linux?.maskedPaths ?? [],
      readonlyPaths: config.linux?.readonlyPaths ?? [],
      sysctl: config.linux?.sysctl ?? {},
      process: { ...processOf(process), makesCwd: true },
      hostname: config.hostname ?? "tsvisor",
      domainname: config.domainname ?? "(none)",
      cpuCount: facts.cpuCount,
      memoryTotalBytes: memoryBytes,
      tasksMax: pids > 0 ? pids : TASKS_MAX,
      isHeld: false,
      memoryBytesMax: memoryBytes,
      host: { cpuinfo: facts.cpuinfo, hwcap: facts.hwcap, hwcap2: facts.hwcap2 },
      isLenient: options.isLenient,
    },
  };
}

/** A process as the sentry is told of it; its terminal, and whether its directory is made, are the caller's to say. */
export function processOf(process: OciConfig["process"]): ProcessConfig {
  return {
    args: process.args,
    env: withoutRepeats(process.env ?? []),
    cwd: process.cwd,
    makesCwd: false,
    uid: process.user?.uid ?? 0,
    gid: process.user?.gid ?? 0,
    umask: process.user?.umask ?? 0o22,
    additionalGids: process.user?.additionalGids ?? [],
    capabilities: {
      bounding: process.capabilities?.bounding ?? [],
      effective: process.capabilities?.effective ?? [],
      inheritable: process.capabilities?.inheritable ?? [],
      permitted: process.capabilities?.permitted ?? [],
      ambient: process.capabilities?.ambient ?? [],
    },
    rlimits: process.rlimits ?? [],
    noNewPrivileges: process.noNewPrivileges === true,
    ownsStdio: true,
    wantsHome: true,
    diesOfSignals: false,
    terminal: null,
  };
}

/** In the order of the bundle, as a later mount hides an earlier one; what is always there comes first. */
function mountsOf(bundle: string, config: OciConfig, served: Served): MountConfig[] {
  const asked = config.mounts ?? [];
  const mounts: MountConfig[] = [];
  for (const [destination, type] of ALWAYS) {
    if (asked.some((mount) => plain(mount.destination) === destination)) continue;
    mounts.push({ destination, type, source: type, options: [], gofer: -1 });
  }
  for (const [i, mount] of asked.entries()) {
    const options = mount.options ?? [];
    const isBind = mount.type === "bind" || options.includes("bind") || options.includes("rbind");
    const type = isBind ? "bind" : mount.type ?? "none";
    const shared = options.find((option) => option === "shared" || option === "rshared");
    if (shared !== undefined) {
      throw new Error(
        `mounts[${i}].options: "${shared}" cannot be given: nothing propagates out of a sandbox`,
      );
    }
    if (!isBind && MISSING_TYPES.includes(type)) continue;
    if (!isBind && !OWN_TYPES.has(type)) {
      throw new Error(`mounts[${i}].type: "${type}" is unknown (destination ${mount.destination})`);
    }
    // /dev is ours with its devices, whatever file system the spec names for it.
    const isDev = plain(mount.destination) === "/dev" && type === "tmpfs";
    mounts.push({
      destination: mount.destination,
      type: isDev ? "devtmpfs" : type,
      source: mount.source ?? type,
      options: isDev ? options.filter((option) => !/^(mode|size)=/.test(option)) : options,
      gofer: isBind ? serve(bundle, i, mount.source ?? "", options, served) : -1,
    });
  }
  return mounts;
}

/** Has the gofer serve the source of bind mount `i`: the number of its connection. */
function serve(
  bundle: string,
  i: number,
  source: string,
  options: readonly string[],
  served: Served,
): number {
  if (source === "") throw new Error(`mounts[${i}].source: a bind mount needs one`);
  const path = absolute(bundle, source);
  if (!exists(path)) throw new Error(`mounts[${i}].source: "${source}" does not exist (${path})`);
  const last = options.findLast((option) => option === "ro" || option === "rw");
  const isReadOnly = last === "ro";
  served.mounts.push({ path, isReadOnly, isRecursive: options.includes("rbind") });
  served.gofers.push({ isReadOnly, isExclusive: false });
  return served.gofers.length - 1;
}

/** Of a variable that is there twice the last value holds, at its first place. */
function withoutRepeats(env: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const entry of env) byName.set(entry.split("=", 1)[0], entry);
  return [...byName.values()];
}

function absolute(bundle: string, path: string): string {
  return path.startsWith("/") ? path : `${bundle}/${path}`;
}

/** A path without what makes no difference. */
function plain(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  return exists(path) && Deno.statSync(path).isDirectory;
}
