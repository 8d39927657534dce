// What `do` shows to the program: the root below a memory overlay, our own /proc, /sys and /dev, and the host's files and
// directories that --bind and --rw name.

import type { GoferConfig, MountConfig } from "../sentry_config.ts";
import { plain } from "../oci/guest_view.ts";
import { UsageError } from "./flags.ts";

export interface DoMounts {
  /** What the gofer serves, and what the sentry may do with each: the root first. */
  readonly served: GoferConfig["mounts"];
  readonly gofers: readonly { readonly isReadOnly: boolean; readonly isExclusive: boolean }[];
  readonly mounts: readonly MountConfig[];
}

interface Bind {
  readonly flag: string;
  readonly source: string;
  readonly destination: string;
  readonly isReadOnly: boolean;
}

function own(destination: string, type: string, options: readonly string[]): MountConfig {
  return { destination, type, source: type, options, gofer: -1 };
}

const OWN_MOUNTS: readonly MountConfig[] = [
  own("/proc", "proc", ["nosuid", "nodev", "noexec"]),
  own("/sys", "sysfs", ["ro", "nosuid", "nodev", "noexec"]),
  own("/dev", "devtmpfs", ["nosuid"]),
  own("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "mode=620", "ptmxmode=666", "gid=5"]),
  { ...own("/dev/shm", "tmpfs", ["nosuid", "nodev", "mode=1777"]), source: "shm" },
];

/** `binds` are the values of --bind, `writable` those of --rw. Throws UsageError for what cannot be. */
export function doMounts(
  root: string,
  binds: readonly string[],
  writable: readonly string[],
  isExclusive: boolean,
): DoMounts {
  const all = [...binds.map(bindOf), ...writable.map(writableOf)];
  return {
    served: [
      { path: root, isReadOnly: true, isRecursive: true },
      ...all.map(({ source, isReadOnly }) => ({ path: source, isReadOnly, isRecursive: true })),
    ],
    gofers: [
      { isReadOnly: true, isExclusive },
      ...all.map(({ isReadOnly }) => ({ isReadOnly, isExclusive: false })),
    ],
    mounts: [
      ...OWN_MOUNTS,
      ...all.map(({ source, destination, isReadOnly }, i) => ({
        destination,
        type: "bind",
        source,
        options: isReadOnly ? ["rbind", "ro"] : ["rbind"],
        gofer: i + 1,
      })),
    ],
  };
}

/** SRC[:DST][:ro|:rw]. */
function bindOf(text: string): Bind {
  const parts = text.split(":");
  const mode = parts.length > 1 && (parts.at(-1) === "ro" || parts.at(-1) === "rw") ? parts.pop() : "rw";
  if (parts.length > 2 || parts.includes("")) {
    throw new UsageError(`--bind: "${text}" is not SRC[:DST][:ro]`);
  }
  const source = sourceOf("bind", parts[0]);
  if (parts.length > 1 && !parts[1].startsWith("/")) {
    throw new UsageError(`--bind: the destination "${parts[1]}" of "${text}" is not an absolute path`);
  }
  return checked({ flag: "bind", source, destination: parts[1] ?? source, isReadOnly: mode === "ro" });
}

function writableOf(text: string): Bind {
  const source = sourceOf("rw", text);
  if (!Deno.statSync(source).isDirectory) throw new UsageError(`--rw: "${text}" is not a directory`);
  return checked({ flag: "rw", source, destination: source, isReadOnly: false });
}

function checked(bind: Bind): Bind {
  if (plain(bind.destination) !== "/") return bind;
  throw new UsageError(`--${bind.flag}: "/" cannot be mounted over; --root names another root`);
}

/** The real path: a link at its end is the caller's, who says so. */
function sourceOf(flag: string, text: string): string {
  try {
    return Deno.realPathSync(text);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "does not exist" : "cannot be opened";
    throw new UsageError(`--${flag}: "${text}" ${reason}`);
  }
}
