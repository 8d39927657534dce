// Pods: containers that share a sandbox. Which container belongs to which says an annotation that containerd and CRI-O write;
// what it shares with the others, its namespaces and the mount hints of the pod.

import {
  checkCompatible,
  fileAccessOf,
  isSharedMount,
  type MountHint,
  PodMountHints,
  shouldOverlay,
  type SpecMount,
} from "../api/mount_hints.ts";
import type { NamespaceSharing } from "../sentry_config.ts";
import type { OciConfig } from "./spec.ts";
import type { ContainerState } from "./state.ts";

/** podman writes CRI-O's annotations, with the id of a pod that is no container: its containers have sandboxes of their own. */
const MANAGER = "io.container.manager", PODMAN = "libpod";

type Annotations = Readonly<Record<string, string>>;

/** Names of the annotations, of containerd and of CRI-O. */
const WRITERS = [
  { type: "io.kubernetes.cri.container-type", sandbox: "io.kubernetes.cri.sandbox-id" },
  { type: "io.kubernetes.cri-o.ContainerType", sandbox: "io.kubernetes.cri-o.SandboxID" },
] as const;

/** The sandbox that a container of these annotations is to be in; null = one of its own. */
export function sandboxOf(annotations: Annotations): string | null {
  if (annotations[MANAGER] === PODMAN) return null;
  for (const writer of WRITERS) {
    if (annotations[writer.type] !== "container") continue;
    const id = annotations[writer.sandbox] ?? "";
    if (id === "") {
      throw new Error(`annotations: ${writer.type} is "container", ${writer.sandbox} is missing`);
    }
    return id;
  }
  return null;
}

const SHARED_KINDS = ["pid", "ipc", "uts"] as const;

/**
 * Whose namespaces a container of a pod is in: one that it does not name is the sandbox's, one without a path its own, one with
 * /proc/PID/ns that of the container which engines know as process PID.
 */
export function sharingOf(
  config: OciConfig,
  sandboxId: string,
  members: readonly ContainerState[],
): NamespaceSharing {
  const owner = (kind: typeof SHARED_KINDS[number]): string => {
    const namespace = config.linux?.namespaces?.find(({ type }) => type === kind);
    if (namespace === undefined) return sandboxId;
    if (namespace.path === undefined || namespace.path === "") return "";
    const pid = Number(/^\/proc\/(\d+)\/ns\//.exec(namespace.path)?.[1] ?? 0);
    const found = members.find((state) => pid > 0 && (state.runner.pid === pid || state.pid === pid));
    return found !== undefined && found.sandboxId === sandboxId ? found.id : sandboxId;
  };
  return { pid: owner("pid"), ipc: owner("ipc"), uts: owner("uts") };
}

/** Fields that ask a container of its own sandbox to join somebody else's namespaces, which it cannot. */
export function joinedNamespaces(config: OciConfig): string[] {
  return (config.linux?.namespaces ?? []).flatMap(({ type, path }, i) =>
    type === "network" || path === undefined || path === "" ? [] : [`linux.namespaces[${i}].path`]
  );
}

/** How a bind mount is to be carried out by the pod's hints; null = as it says itself. */
export interface HintedMount {
  /** The pod's own tmpfs of this name takes its place. */
  readonly sharedAs: string | null;
  readonly isExclusive: boolean;
  readonly hasOverlay: boolean;
}

/** --overlay2=all: what is written to any mount stays in memory. */
export const ALL_OVERLAID: HintedMount = { sharedAs: null, isExclusive: false, hasOverlay: true };

export class PodHints {
  readonly #hints: PodMountHints;
  readonly #otherwise: HintedMount | null;

  /** Of the sandbox's annotations; `otherwise` holds of mounts without a hint. Throws where they make no sense. */
  constructor(annotations: Annotations, otherwise: HintedMount | null = null) {
    this.#hints = new PodMountHints(annotations);
    this.#otherwise = otherwise;
  }

  /** Sentences on hints that have no effect. */
  get warnings(): readonly string[] {
    return this.#hints.warnings;
  }

  /** Throws where a mount would allow more than its hint. */
  of(mount: SpecMount): HintedMount | null {
    const hint = this.#hints.findMount(mount.source ?? "");
    if (hint === null) return this.#otherwise;
    if (isSharedMount(hint)) checkCompatible(hint, mount);
    return hinted(hint);
  }
}

function hinted(hint: MountHint): HintedMount {
  return {
    sharedAs: isSharedMount(hint) ? hint.name : null,
    isExclusive: fileAccessOf(hint) === "exclusive",
    hasOverlay: shouldOverlay(hint),
  };
}
