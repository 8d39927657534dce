// Mount hints: annotations of a pod that say how its containers share a volume, so that the sandbox can serve it better than it
// could without knowing. dev.gvisor.spec.mount.NAME.FIELD = VALUE.

import { type MountOptions, parseMountOptions } from "./mount_options.ts";

export const MountPrefix = "dev.gvisor.spec.mount.";

export type MountType = "tmpfs" | "bind";
export type MountShare = "container" | "pod" | "shared";
export type MountLifecycle = "container" | "pod" | "shared";
export type FileAccess = "exclusive" | "shared";

/** What a hint needs of a mount of config.json. */
export interface SpecMount {
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

export interface MountHint {
  readonly name: string;
  readonly source: string;
  readonly type: MountType;
  readonly share: MountShare;
  readonly lifecycle: MountLifecycle;
  readonly options: readonly string[];
}

const TYPES: readonly string[] = ["tmpfs", "bind"];
const SHARES: readonly string[] = ["container", "pod", "shared"];
const LIFECYCLES: readonly string[] = ["container", "pod", "shared"];
const OPTIONS = new Set(
  "ro rw atime noatime exec noexec suid nosuid dev nodev bind rbind private rprivate shared rshared slave rslave"
    .split(" "),
);

type Fields = { -readonly [K in keyof MountHint]?: MountHint[K] } & { name: string };

export class PodMountHints {
  /** By name. */
  readonly mounts: ReadonlyMap<string, MountHint>;
  /** Sentences on values and hints that are passed over. */
  readonly warnings: readonly string[];

  /** Of a spec's annotations. Throws where a key is no NAME.FIELD, or two hints are of one source. */
  constructor(annotations: Readonly<Record<string, string>>) {
    const warnings: string[] = [];
    const found = new Map<string, Fields>();
    for (const [key, value] of Object.entries(annotations)) {
      if (!key.startsWith(MountPrefix)) continue;
      const parts = key.slice(MountPrefix.length).split(".");
      if (parts.length !== 2 || parts[0] === "") {
        throw new Error(`invalid mount annotation: ${key}=${value}`);
      }
      const [name, field] = parts;
      let fields = found.get(name);
      if (fields === undefined) found.set(name, fields = { name });
      const wrong = setField(fields, field, value);
      if (wrong !== "") warnings.push(`ignoring invalid mount annotation ${key}="${value}": ${wrong}`);
    }
    this.mounts = complete(found, warnings);
    this.warnings = warnings;
  }

  /** The hint for a mount of `source`, or null. */
  findMount(source: string): MountHint | null {
    for (const hint of this.mounts.values()) if (hint.source === source) return hint;
    return null;
  }
}

/** What is wrong with the value, "" = nothing. */
function setField(fields: Fields, field: string, value: string): string {
  switch (field) {
    case "source":
      if (value === "") return "source cannot be empty";
      fields.source = value;
      return "";
    case "type":
      if (!TYPES.includes(value)) return `invalid type "${value}"`;
      fields.type = value as MountType;
      return "";
    case "share":
      if (!SHARES.includes(value)) return `invalid share value "${value}"`;
      fields.share = value as MountShare;
      return "";
    case "lifecycle":
      if (!LIFECYCLES.includes(value)) return `invalid lifecycle "${value}"`;
      fields.lifecycle = value as MountLifecycle;
      return "";
    case "options":
      fields.options = value.split(",").filter((option) => OPTIONS.has(option));
      return "";
    default:
      return `invalid mount annotation field "${field}"`;
  }
}

function complete(found: ReadonlyMap<string, Fields>, warnings: string[]): ReadonlyMap<string, MountHint> {
  const hints = new Map<string, MountHint>();
  for (const [name, { source, type, share, lifecycle = "shared", options = [] }] of found) {
    if (source === undefined || type === undefined || share === undefined) {
      warnings.push(`ignoring mount annotations of "${name}": source, type and share must all be given`);
      continue;
    }
    for (const other of hints.values()) {
      if (other.source === source) {
        throw new Error(`mount annotations "${other.name}" and "${name}" have the same source "${source}"`);
      }
    }
    hints.set(name, { name, source, type, share, lifecycle, options });
  }
  return hints;
}

/** The whole pod has one, made with the first container. */
export function isSharedMount({ type, share }: MountHint): boolean {
  return type === "tmpfs" && share === "pod";
}

/** Only one container changes it, and it goes with that: a memory overlay is not missed. */
export function shouldOverlay({ type, share, lifecycle }: MountHint): boolean {
  return type === "bind" && share === "container" && lifecycle !== "shared";
}

/** Who else may change it while the sandbox runs. */
export function fileAccessOf(hint: MountHint): FileAccess {
  if (hint.share === "shared") return "shared";
  return hint.share === "container" || isSharedMount(hint) ? "exclusive" : "shared";
}

/** Throws where a container's mount of a shared one would allow what the pod's does not. */
export function checkCompatible(hint: MountHint, mount: SpecMount): void {
  const master = parseMountOptions(hint.options), replica = parseMountOptions(mount.options ?? []);
  const limits: readonly (readonly [keyof MountOptions, string])[] = [
    ["isReadOnly", "read-only"],
    ["hasNoExecute", "noexec"],
    ["hasNoAccessTime", "noatime"],
    ["hasNoSetuid", "nosuid"],
  ];
  for (const [field, word] of limits) {
    if (master[field] === true && replica[field] === false) {
      throw new Error(`cannot mount shared mount "${hint.name}" without ${word}: its master is ${word}`);
    }
  }
}
