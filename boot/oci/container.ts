// From a bundle's config.json to the configurations of sentry and gofer. Everything that can be wrong on the host's side (a root or
// a source that is missing) is found here, before any process starts.

import { readHostFacts } from "../host_facts.ts";
import type { Launch } from "../launch.ts";
import type { OverlayConfig } from "../api/overlay_medium.ts";
import { NO_EXTRAS, OWN_NAMESPACES, type WatchdogConfig } from "../sentry_config.ts";
import { guestContainerOf, isReadOnlyBy, mountsOf, plain } from "./guest_view.ts";
import type { HintedMount, PodHints } from "./pod.ts";
import type { StraceStyle } from "../../kernel/trace/style.ts";
import type { StubCalls } from "../../platform/names.ts";
import { seccompOf } from "./seccomp.ts";
import type { OciConfig } from "./spec.ts";

/** What does not come from the bundle. */
export interface ContainerOptions {
  readonly id: string;
  readonly platform: "systrap" | "ptrace";
  readonly mayPatch: boolean;
  readonly stubCalls: StubCalls;
  readonly watchdog: WatchdogConfig;
  readonly isDebug: boolean;
  readonly strace: boolean;
  readonly straceCalls: readonly string[];
  readonly straceStyle: StraceStyle;
  readonly overlay: OverlayConfig;
  /** linux.seccomp is carried out. */
  readonly wantsSeccomp: boolean;
  readonly isLenient: boolean;
  readonly isExclusive: boolean;
  /** Of the pod that it is in, or else its own. */
  readonly hints: PodHints;
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

/** As --stub-calls. */
const STUB_CALLS_ANNOTATION = "dev.tsvisor.flag.stub-calls";

function stubCallsBy(config: OciConfig): StubCalls | null {
  const value = config.annotations?.[STUB_CALLS_ANNOTATION] ?? null;
  if (value === null || value === "own" || value === "none") return value;
  throw new Error(`annotations: ${STUB_CALLS_ANNOTATION} is "${value}", not own or none`);
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
  // As runc: a user who may change a link on the way could choose the root.
  const real = Deno.realPathSync(root);
  if (real !== plain(root)) {
    throw new Error(`root.path: "${config.root.path}" is a symlink or behind one (${root} leads to ${real})`);
  }
  const isReadOnly = config.root.readonly === true;
  // A root that is read-only lacks places to mount at, as often as not: they are made in memory.
  const hasOverlay = isReadOnly || options.overlay.coversRoot;
  const served: Served = {
    mounts: [{ path: root, isReadOnly: hasOverlay, isRecursive: true }],
    gofers: [{ isReadOnly: hasOverlay, isExclusive: options.isExclusive }],
  };
  const mounts = mountsOf(config, options.hints, (...bind) => serve(bundle, served, ...bind));
  const memory = config.linux?.resources?.memory?.limit ?? 0;
  const memoryBytes = memory > 0 ? Math.min(memory, facts.memoryTotalBytes) : facts.memoryTotalBytes;
  const parts = {
    sharing: OWN_NAMESPACES,
    mounts,
    gofers: served.gofers,
    hasOverlay,
    overlayBytesMax: options.overlay.sizeBytes,
    seccomp: options.wantsSeccomp ? seccompOf(config.linux?.seccomp) : null,
    bundle,
  };
  const guest = guestContainerOf(options.id, config, parts);
  return {
    gofer: { mounts: served.mounts, isLenient: options.isLenient, isDebug: options.isDebug },
    sentry: {
      ...guest,
      ...NO_EXTRAS,
      platform: options.platform,
      mayPatch: options.mayPatch && mayPatchBy(config),
      stubCalls: stubCallsBy(config) ?? options.stubCalls,
      watchdog: options.watchdog,
      isDebug: options.isDebug,
      strace: options.strace,
      straceCalls: options.straceCalls,
      straceStyle: options.straceStyle,
      cpuCount: facts.cpuCount,
      memoryTotalBytes: memoryBytes,
      memoryBytesMax: memoryBytes,
      host: { cpuinfo: facts.cpuinfo, hwcap: facts.hwcap, hwcap2: facts.hwcap2 },
      isLenient: options.isLenient,
      processesMax: guest.tasksMax,
    },
  };
}

/** Has the gofer serve the source of bind mount `i`: the number of its connection. */
function serve(
  bundle: string,
  served: Served,
  i: number,
  source: string,
  options: readonly string[],
  hint: HintedMount | null,
): number {
  if (source === "") throw new Error(`mounts[${i}].source: a bind mount needs one`);
  const path = absolute(bundle, source);
  if (!exists(path)) throw new Error(`mounts[${i}].source: "${source}" does not exist (${path})`);
  const isReadOnly = isReadOnlyBy(options) || hint?.hasOverlay === true;
  served.mounts.push({ path, isReadOnly, isRecursive: options.includes("rbind") });
  served.gofers.push({ isReadOnly, isExclusive: hint?.isExclusive ?? false });
  return served.gofers.length - 1;
}

function absolute(bundle: string, path: string): string {
  return path.startsWith("/") ? path : `${bundle}/${path}`;
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
