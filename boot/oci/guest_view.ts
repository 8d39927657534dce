// The part of a config.json that the kernel gets, without anything of the host's: the process, and mounts by their place, type and options.

import type {
  ContainerConfig,
  MountConfig,
  NamespaceSharing,
  ProcessConfig,
  StartHook,
} from "../sentry_config.ts";
import type { SeccompProfile } from "../seccomp_profile.ts";
import { OCI_VERSION } from "../version.ts";
import type { HintedMount, PodHints } from "./pod.ts";
import type { OciConfig } from "./spec.ts";

/** Mount types that our kernel serves itself. */
const OWN_TYPES = new Set(["tmpfs", "proc", "sysfs", "devpts", "mqueue", "devtmpfs"]);
/** Of mounts that a container gets whether it asks or not. */
const ALWAYS = [["/proc", "proc"], ["/sys", "sysfs"], ["/dev", "devtmpfs"]];
/** Linux: there is no cgroup file system yet; a container that only reads it finds an empty directory. */
const MISSING_TYPES: readonly (string | undefined)[] = ["cgroup", "cgroup2"];

/** Mounts that a container is started without. */
export function missingMounts(config: OciConfig): string[] {
  const mounts = [...(config.mounts ?? []).entries()];
  return mounts.filter(([, { type }]) => MISSING_TYPES.includes(type)).map(([i, { type }]) =>
    `mounts[${i}] (${type})`
  );
}

/** A process in the form that the sentry gets; its terminal, and whether its directory is made, are the caller's to say. */
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

/** Tasks at most where the bundle says nothing. */
export const TASKS_MAX = 8192;

/** What does not come from config.json alone. */
export interface GuestParts {
  readonly sharing: NamespaceSharing;
  readonly mounts: readonly MountConfig[];
  readonly gofers: ContainerConfig["gofers"];
  /** What is written to the root stays in memory. */
  readonly hasOverlay: boolean;
  /** Bytes that changes below one overlay may take; null = half of the sandbox's memory. */
  readonly overlayBytesMax: number | null;
  readonly seccomp: SeccompProfile | null;
  /** As a hook reads of it. */
  readonly bundle: string;
}

/** Of a device for which a bundle says none, as runc. */
const DEVICE_MODE = 0o666;

/** Container `id` in the form that the sentry gets. Its init runs at once, without a terminal. */
export function guestContainerOf(id: string, config: OciConfig, parts: GuestParts): ContainerConfig {
  const pids = config.linux?.resources?.pids?.limit ?? 0;
  return {
    id,
    sharing: parts.sharing,
    gofers: parts.gofers,
    root: { isReadOnly: config.root.readonly === true, hasOverlay: parts.hasOverlay },
    overlayBytesMax: parts.overlayBytesMax,
    mounts: parts.mounts,
    maskedPaths: config.linux?.maskedPaths ?? [],
    readonlyPaths: config.linux?.readonlyPaths ?? [],
    sysctl: config.linux?.sysctl ?? {},
    devices: (config.linux?.devices ?? []).map(({ type, path, major, minor, fileMode, uid, gid }) => ({
      type,
      path,
      major: major ?? 0,
      minor: minor ?? 0,
      mode: (fileMode ?? DEVICE_MODE) & 0o777,
      uid: uid ?? 0,
      gid: gid ?? 0,
    })),
    process: { ...processOf(config.process), makesCwd: true },
    seccomp: parts.seccomp,
    hostname: config.hostname ?? "tsvisor",
    domainname: config.domainname ?? "(none)",
    tasksMax: pids > 0 ? pids : TASKS_MAX,
    isHeld: false,
    startHooks: startHooksOf(id, config, parts.bundle),
  };
}

/** What they read on stdin is the state as it is inside: the init is process 1 there. */
function startHooksOf(id: string, config: OciConfig, bundle: string): StartHook[] {
  const { annotations = {}, hooks } = config;
  const state = { ociVersion: OCI_VERSION, id, status: "created", pid: 1, bundle, annotations };
  return (hooks?.startContainer ?? []).map(({ path, args = [], env = [], timeout = 0 }, i) => ({
    name: `startContainer[${i}] (${path})`,
    // Its own name is args[0], which is the path's to begin with.
    process: { ...processOf(config.process), args: [path, ...args.slice(1)], env, wantsHome: false },
    input: JSON.stringify(state),
    timeoutSeconds: timeout,
  }));
}

/** Has the gofer serve the source of bind mount `i`: the number of its mount. */
export type ServeBind = (
  i: number,
  source: string,
  options: readonly string[],
  hint: HintedMount | null,
) => number;

/** In the order of the bundle, as a later mount hides an earlier one; what is always there comes first. */
export function mountsOf(config: OciConfig, hints: PodHints, serve: ServeBind): MountConfig[] {
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
    const hint = isBind ? hints.of(mount) : null;
    if (hint !== null && hint.sharedAs !== null) {
      const own = options.filter((option) => option !== "bind" && option !== "rbind");
      const { destination } = mount, { sharedAs } = hint;
      mounts.push({ destination, type: "tmpfs", source: sharedAs, options: own, gofer: -1, sharedAs });
      continue;
    }
    // /dev is ours with its devices, whatever file system the spec names for it.
    const isDev = plain(mount.destination) === "/dev" && type === "tmpfs";
    mounts.push({
      destination: mount.destination,
      type: isDev ? "devtmpfs" : type,
      source: mount.source ?? type,
      options: isDev ? options.filter((option) => !/^(mode|size)=/.test(option)) : options,
      gofer: isBind ? serve(i, mount.source ?? "", options, hint) : -1,
      hasOverlay: hint?.hasOverlay ?? false,
    });
  }
  return mounts;
}

/** Of a variable that is there twice the last value holds, at its first place. */
function withoutRepeats(env: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const entry of env) byName.set(entry.split("=", 1)[0], entry);
  return [...byName.values()];
}

/** Whether a mount with these options may not be written to: of "ro" and "rw" the later one holds. */
export function isReadOnlyBy(options: readonly string[]): boolean {
  return options.findLast((option) => option === "ro" || option === "rw") === "ro";
}

/** A path without what makes no difference. */
export function plain(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
