// What a sandbox is made from: gVisor's boot.Args.

import type { FDMapping } from "./fd_mapping.ts";
import type { OverlayMedium } from "./overlay_medium.ts";

/** `Spec` is a config.json, `Config` the flags; descriptors are the loader's from then on. */
export interface Args<Spec, Config> {
  /** The sandbox's. */
  readonly id: string;
  /** Its mounts are the gofer's, which has resolved links on the way to them. */
  readonly spec: Spec;
  readonly conf: Config;
  /** Where clients of the control API connect. */
  readonly controllerFd: number;
  /** Of the platform (/dev/kvm); -1 = none. */
  readonly deviceFd: number;
  /** A socket for each mount of the gofer, the root's first. */
  readonly goferFds: readonly number[];
  readonly stdioFds: readonly number[];
  readonly passFds: readonly FDMapping[];
  /** The program to execute; -1 = by its name. */
  readonly execFd: number;
  /** Files of the host behind upper layers. */
  readonly overlayFilestoreFds: readonly number[];
  /** Of each mount of the gofer, the root's first. */
  readonly overlayMediums: readonly OverlayMedium[];
  /** Processors of the sandbox. */
  readonly numCpu: number;
  /** Bytes that guests see: the host's, or the limit. */
  readonly totalMem: number;
  /** The host's. */
  readonly totalHostMem: number;
  /** Where messages for the user go; -1 = nowhere. */
  readonly userLogFd: number;
  /** The host's DMI product name. */
  readonly productName: string;
  /** Configuration of trace sessions; -1 = none. */
  readonly podInitConfigFd: number;
  readonly sinkFds: readonly number[];
}
