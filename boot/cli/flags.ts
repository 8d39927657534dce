// Flags of the command line. node:util's parseArgs does the parsing: it is part of the runtime and costs no start-up
// time; it stands behind this file alone, so that another parser can take its place.

import { parseArgs } from "node:util";
import { PLATFORM_NAMES } from "../../platform/names.ts";

/** A wrong command line. */
export class UsageError extends Error {}

export interface GlobalFlags {
  readonly root: string;
  readonly platform: "systrap" | "ptrace";
  readonly log: string;
  readonly logFormat: string;
  readonly debugLog: string;
  readonly strace: boolean;
  /** "memory": writes to the root go to a memory overlay; "none": to the host. */
  readonly overlay: "memory" | "none";
  /** A denied host call of ours gives EPERM instead of killing the process; for finding out which. */
  readonly isLenient: boolean;
}

type Options = Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }>;

const GLOBAL: Options = {
  root: { type: "string" },
  platform: { type: "string" },
  log: { type: "string" },
  "log-format": { type: "string" },
  "debug-log": { type: "string" },
  debug: { type: "boolean" },
  strace: { type: "boolean" },
  overlay2: { type: "string" },
  "lenient-seccomp": { type: "boolean" },
  // Of runc and runsc; without a meaning here.
  "systemd-cgroup": { type: "boolean" },
  rootless: { type: "string" },
  network: { type: "string" },
  "ignore-cgroups": { type: "boolean" },
  version: { type: "boolean", short: "v" },
  help: { type: "boolean", short: "h" },
};

export interface Parsed {
  readonly flags: GlobalFlags;
  readonly rest: string[];
  readonly isVersion: boolean;
  readonly isHelp: boolean;
}

/** Splits the flags before the command from the rest. */
export function parseGlobal(argv: readonly string[]): Parsed {
  let end = 0;
  while (end < argv.length && argv[end].startsWith("-") && argv[end] !== "--") {
    const name = argv[end].replace(/^-+/, "").split("=")[0];
    const takesNext = GLOBAL[name]?.type === "string" && !argv[end].includes("=");
    end += takesNext ? 2 : 1;
  }
  const { values } = parse(argv.slice(0, end).map(withTwoDashes), GLOBAL, false);
  const platform = String(values.platform ?? "systrap");
  if (!(PLATFORM_NAMES as readonly string[]).includes(platform)) {
    throw new UsageError(`Unknown platform "${platform}": it is one of ${PLATFORM_NAMES.join(", ")}`);
  }
  const overlay = String(values.overlay2 ?? "root:memory");
  const flags: GlobalFlags = {
    root: String(values.root ?? defaultRoot()),
    platform: platform as GlobalFlags["platform"],
    log: String(values.log ?? ""),
    logFormat: String(values["log-format"] ?? "text"),
    debugLog: String(values["debug-log"] ?? ""),
    strace: values.strace === true,
    overlay: overlay === "none" ? "none" : "memory",
    isLenient: values["lenient-seccomp"] === true,
  };
  return { flags, rest: argv.slice(end), isVersion: values.version === true, isHelp: values.help === true };
}

/** runsc takes -flag for --flag. */
function withTwoDashes(argument: string): string {
  return /^-[a-z][a-z0-9-]+/.test(argument) ? `-${argument}` : argument;
}

function defaultRoot(): string {
  const runtime = Deno.env.get("XDG_RUNTIME_DIR");
  return runtime ? `${runtime}/tsvisor` : "/run/tsvisor";
}

/** A command's flags and the words after them. Stops at the first word when `stopsAtWord`. */
export function parse(
  args: readonly string[],
  options: Options,
  stopsAtWord: boolean,
): { values: Record<string, unknown>; words: string[] } {
  let own = [...args], rest: string[] = [];
  if (stopsAtWord) {
    let at = 0;
    while (at < args.length && args[at].startsWith("-") && args[at] !== "--") {
      const name = args[at].replace(/^-+/, "").split("=")[0];
      const option = options[name] ?? Object.values(options).find((candidate) => candidate.short === name);
      at += option?.type === "string" && !args[at].includes("=") ? 2 : 1;
    }
    own = args.slice(0, at);
    rest = args.slice(args[at] === "--" ? at + 1 : at);
  }
  try {
    const { values, positionals } = parseArgs({ args: own, options, allowPositionals: true, strict: true });
    return { values: values as Record<string, unknown>, words: [...positionals, ...rest] };
  } catch (error) {
    throw new UsageError((error as Error).message.split("\n")[0]);
  }
}
