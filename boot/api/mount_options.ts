// Options of a mount in config.json, as far as a mount of the sandbox's own knows them. Linux peer: mount(8).

/** Types of mounts that have a meaning of their own. */
export const Bind = "bind";
/** Treated as sysfs. */
export const Nonefs = "none";

export interface MountOptions {
  readonly isReadOnly: boolean;
  readonly hasNoAccessTime: boolean;
  readonly hasNoExecute: boolean;
  readonly hasNoSetuid: boolean;
  /** The sandbox mounts it, no guest: always. */
  readonly isInternal: true;
  /** What is not known, and has no effect. */
  readonly unknown: readonly string[];
}

/** They say what is so anyway. */
const WITHOUT_EFFECT = new Set(["rw", "atime", "exec", "bind", "rbind"]);

export function parseMountOptions(options: readonly string[]): MountOptions {
  const given = new Set(options);
  const known = ["ro", "noatime", "noexec", "nosuid"];
  return {
    isReadOnly: given.has("ro"),
    hasNoAccessTime: given.has("noatime"),
    hasNoExecute: given.has("noexec"),
    hasNoSetuid: given.has("nosuid"),
    isInternal: true,
    unknown: options.filter((option) => !known.includes(option) && !WITHOUT_EFFECT.has(option)),
  };
}
