// Flags of the command line. The npm package arg does the parsing, behind this file alone, so that another parser can take
// its place. (node:util's parseArgs loads some forty modules of the runtime: 5 ms of every start.)

import arg from "arg";
import { STRACE_TEXT_MAX, type StraceStyle } from "../../kernel/trace/style.ts";
import { PLATFORM_NAMES, STUB_CALLS, type StubCalls } from "../../platform/names.ts";
import { QueueingDiscipline } from "../api/network.ts";
import type { NetworkFlags } from "../net/namespace.ts";
import { mayTakeInterfaces } from "../net/privilege.ts";
import { isBackedByHostFile, type OverlayConfig, parseOverlay2 } from "../api/overlay_medium.ts";
import type { WatchdogConfig } from "../sentry_config.ts";
import { IGNORED } from "./ignored_flag.ts";
import { refusalOf, RUNSC_OPTIONS } from "./runsc_flags.ts";
import { suggestion } from "./suggestion.ts";

/** A wrong command line. */
export class UsageError extends Error {}

export interface GlobalFlags {
  readonly root: string;
  readonly platform: "systrap" | "ptrace";
  /** Call sites of guests may be patched. */
  readonly mayPatch: boolean;
  readonly stubCalls: StubCalls;
  readonly log: string;
  readonly logFormat: string;
  readonly debugLog: string;
  readonly watchdog: WatchdogConfig;
  /** More goes to --debug-log. */
  readonly isDebug: boolean;
  /** Of a program that runs attached: why it has died. */
  readonly explains: boolean;
  readonly strace: boolean;
  /** Names of the calls that --strace shows; empty = all. */
  readonly straceCalls: readonly string[];
  readonly straceStyle: StraceStyle;
  /** Whether what is written to host files stays in memory. */
  readonly overlay: OverlayConfig;
  /** linux.seccomp of a bundle is carried out. */
  readonly wantsSeccomp: boolean;
  /** Nobody but the sandbox changes the files of its root: what is known of them stays known. */
  readonly isExclusive: boolean;
  /** A denied host call of ours gives EPERM instead of killing the process; for finding out which. */
  readonly isLenient: boolean;
  readonly network: NetworkFlags;
  /** The sandbox is put into a cgroup of the host. */
  readonly wantsCgroup: boolean;
  /** systemd makes that cgroup. */
  readonly wantsSystemd: boolean;
  /** File of an InitConfig; "" = none. */
  readonly podInitConfig: string;
}

/** Flags by name. `value` stands for what follows in the help text. */
export type Options = Readonly<Record<string, Option>>;

export interface Option {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: boolean;
  readonly value?: string;
  readonly about: string;
  /** The help only names it. */
  readonly isHidden?: true;
}

export { IGNORED };

export const GLOBAL_OPTIONS: Options = {
  root: {
    type: "string",
    value: "DIR",
    about: "state directory (/run/tsvisor; without root tsvisor in XDG_RUNTIME_DIR)",
  },
  platform: {
    type: "string",
    value: "NAME",
    about: `${PLATFORM_NAMES.join(" or ")}; the first is the default`,
  },
  patching: {
    type: "string",
    value: "on|off",
    about:
      "off: code of programs is never changed; for programs that read or translate their own (default: on)",
  },
  "stub-calls": {
    type: "string",
    value: "own|none",
    about:
      "host calls that hostile code reaches in its process: those on its own memory (default), or none (mmap is slower)",
  },
  overlay2: {
    type: "string",
    value: "MODE",
    about:
      "none (default: what is written to files of a bundle stays there), root:memory or all:memory, and ,size=N",
  },
  "file-access": {
    type: "string",
    value: "MODE",
    about: "exclusive (default: nobody else changes the root meanwhile) or shared",
  },
  "oci-seccomp": {
    type: "boolean",
    about: "linux.seccomp of config.json filters the container's calls (default: it has no effect)",
  },
  "watchdog-timeout": {
    type: "string",
    value: "SECONDS",
    about: "report a sentry that serves nobody for so long; 0: never (default: 30)",
  },
  "watchdog-action": {
    type: "string",
    value: "log|kill",
    about: "what happens then besides a line in the log (default: log)",
  },
  "watchdog-step": {
    type: "string",
    value: "MILLIS",
    about: "log each step in which the sentry uses more CPU time before it serves others; 0: none (default)",
  },
  network: {
    type: "string",
    value: "MODE",
    about:
      "sandbox (the interfaces of the container's network namespace become the sandbox's), user (the caller's network, without any privilege) or none (default: sandbox for callers with CAP_NET_ADMIN and CAP_NET_RAW and for bundles that name a namespace, else user)",
  },
  egress: {
    type: "string",
    value: "RULES",
    about:
      "with --network=user (implied): where the sandbox may go, as allow:NAME:PORT,allow:CIDR,deny:CIDR,...; the first rule that fits decides (default: all but the host's loopback, link-local and metadata addresses)",
  },
  publish: {
    type: "string",
    multiple: true,
    value: "[IP:]HOSTPORT:PORT[/udp]",
    about: "with --network=user (implied): a port of the host that leads into the sandbox; may come again",
  },
  dns: {
    type: "string",
    multiple: true,
    value: "ADDRESS[:PORT]",
    about: "with --network=user (implied): a name server that is asked instead of the host's; may come again",
  },
  "num-network-channels": {
    type: "string",
    value: "N",
    about: "packet sockets for each of these interfaces (default: 1)",
  },
  qdisc: {
    type: "string",
    value: "NAME",
    about: "queueing discipline of these interfaces: fifo (default) or none",
  },
  pcap: { type: "string", value: "FILE", about: "write all packets of these interfaces to FILE" },
  log: { type: "string", value: "FILE", about: "append errors to FILE" },
  "log-format": { type: "string", value: "text|json", about: "of --log" },
  "debug-log": { type: "string", value: "FILE", about: "append what sentry and gofer log to FILE" },
  explain: {
    type: "boolean",
    about: "of do and run: say in one line why the program has died (default: where stderr is a terminal)",
  },
  strace: { type: "boolean", about: "every system call goes to --debug-log, or else to stderr" },
  "strace-syscalls": {
    type: "string",
    value: "NAMES",
    about: "with --strace: these calls only, separated by commas",
  },
  "strace-format": { type: "string", value: "text|json", about: "of its lines (default: text)" },
  "strace-log-size": {
    type: "string",
    value: "BYTES",
    about: `of strings and buffers in these lines (default: ${STRACE_TEXT_MAX})`,
  },
  "lenient-seccomp": {
    type: "boolean",
    about: "for debugging tsvisor: a host call of ours that is not allowed fails instead of killing us",
  },
  "pod-init-config": {
    type: "string",
    value: "FILE",
    about: "what a sandbox gets before it runs: a trace session, as JSON",
  },
  version: { type: "boolean", short: "v", about: "print version, commit and runtime-spec version" },
  help: { type: "boolean", short: "h", about: "print this" },
  debug: {
    type: "boolean",
    about: "when each stage of a start was reached goes to --debug-log, or else to stderr",
  },
  "systemd-cgroup": {
    type: "boolean",
    about: "systemd makes the sandbox's cgroup: linux.cgroupsPath is slice:prefix:name",
  },
  rootless: { type: "string", about: IGNORED },
  "ignore-cgroups": { type: "boolean", about: "the sandbox has no cgroup on the host" },
  ...RUNSC_OPTIONS,
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
    const takesNext = GLOBAL_OPTIONS[name]?.type === "string" && !argv[end].includes("=");
    end += takesNext ? 2 : 1;
  }
  const { values } = parse(argv.slice(0, end), GLOBAL_OPTIONS, false);
  const refusal = refusalOf(values);
  if (refusal !== null) throw new UsageError(refusal);
  const platform = String(values.platform ?? "systrap");
  if (!(PLATFORM_NAMES as readonly string[]).includes(platform)) {
    throw new UsageError(`Unknown platform "${platform}": it is one of ${PLATFORM_NAMES.join(", ")}`);
  }
  const patching = String(values.patching ?? "on");
  if (patching !== "on" && patching !== "off") {
    throw new UsageError(`--patching: "${patching}" is not on or off`);
  }
  const stubCalls = String(values["stub-calls"] ?? "own");
  if (!(STUB_CALLS as readonly string[]).includes(stubCalls)) {
    throw new UsageError(`--stub-calls: "${stubCalls}" is not ${STUB_CALLS.join(" or ")}`);
  }
  const access = String(values["file-access"] ?? "exclusive");
  if (access !== "exclusive" && access !== "shared") {
    throw new UsageError(`--file-access: "${access}" is not exclusive or shared`);
  }
  const logFormat = String(values["log-format"] ?? "text");
  if (logFormat !== "text" && logFormat !== "json") {
    throw new UsageError(`--log-format: "${logFormat}" is not text or json`);
  }
  const flags: GlobalFlags = {
    // Behind a slash a link would be followed.
    root: String(values.root ?? defaultRoot()).replace(/(?<=.)\/+$/, ""),
    platform: platform as GlobalFlags["platform"],
    mayPatch: patching === "on",
    stubCalls: stubCalls as StubCalls,
    watchdog: watchdogOf(values),
    log: String(values.log ?? ""),
    logFormat,
    debugLog: String(values["debug-log"] ?? ""),
    isDebug: values.debug === true,
    isExclusive: access === "exclusive",
    explains: (values.explain as boolean | undefined) ?? Deno.stderr.isTerminal(),
    strace: values.strace === true,
    straceCalls: String(values["strace-syscalls"] ?? "").split(",").filter((name) => name !== ""),
    straceStyle: straceStyleOf(values),
    overlay: overlayOf(String(values.overlay2 ?? "none")),
    wantsSeccomp: values["oci-seccomp"] === true,
    isLenient: values["lenient-seccomp"] === true,
    podInitConfig: String(values["pod-init-config"] ?? ""),
    network: networkOf(values),
    wantsCgroup: values["ignore-cgroups"] !== true,
    wantsSystemd: values["systemd-cgroup"] === true,
  };
  return { flags, rest: argv.slice(end), isVersion: values.version === true, isHelp: values.help === true };
}

/** Linux: none; of gVisor's media that of the sandbox's memory alone is there. */
function overlayOf(text: string): OverlayConfig {
  let overlay: OverlayConfig;
  try {
    overlay = parseOverlay2(text);
  } catch (error) {
    throw new UsageError(`--overlay2: ${(error as Error).message}`);
  }
  if (isBackedByHostFile(overlay.medium)) {
    throw new UsageError(
      `--overlay2: "${text}": changes cannot be kept in a file of the host's, only in memory`,
    );
  }
  return overlay;
}

const STRACE_TEXT_BYTES_MAX = 4096;

function straceStyleOf(values: Record<string, unknown>): StraceStyle {
  const format = String(values["strace-format"] ?? "text");
  if (format !== "text" && format !== "json") {
    throw new UsageError(`--strace-format: "${format}" is not text or json`);
  }
  const size = String(values["strace-log-size"] ?? STRACE_TEXT_MAX);
  if (!/^\d{1,4}$/.test(size) || Number(size) > STRACE_TEXT_BYTES_MAX) {
    throw new UsageError(`--strace-log-size: "${size}" is not a number up to ${STRACE_TEXT_BYTES_MAX}`);
  }
  return { isJson: format === "json", textMax: Number(size) };
}

/** More would be a mistake. */
const WATCHDOG_SECONDS_MAX = 86_400;
const WATCHDOG_STEP_MILLIS_MAX = 60_000;

function watchdogOf(values: Record<string, unknown>): WatchdogConfig {
  const timeout = String(values["watchdog-timeout"] ?? "30"),
    action = String(values["watchdog-action"] ?? "log"),
    step = String(values["watchdog-step"] ?? "0");
  if (!/^\d+$/.test(timeout) || Number(timeout) > WATCHDOG_SECONDS_MAX) {
    throw new UsageError(
      `--watchdog-timeout: "${timeout}" is not a number of seconds up to ${WATCHDOG_SECONDS_MAX}`,
    );
  }
  if (action !== "log" && action !== "kill") {
    throw new UsageError(`--watchdog-action: "${action}" is not log or kill`);
  }
  if (!/^\d+$/.test(step) || Number(step) > WATCHDOG_STEP_MILLIS_MAX) {
    throw new UsageError(
      `--watchdog-step: "${step}" is not a number of milliseconds up to ${WATCHDOG_STEP_MILLIS_MAX}`,
    );
  }
  return { timeoutSeconds: Number(timeout), kills: action === "kill", stepMillis: Number(step) };
}

/** As CHANNELS_MAX of boot/net/sandbox_network.ts. */
const CHANNELS_MAX = 64;

/** What only mode "user" has: who gives one of them asks for it. */
const USER_FLAGS = ["egress", "publish", "dns"];

function networkOf(values: Record<string, unknown>): NetworkFlags {
  const asksForUser = USER_FLAGS.find((name) => values[name] !== undefined);
  const isDefaultMode = values.network === undefined && asksForUser === undefined;
  const mode = String(
    values.network ?? (asksForUser !== undefined || !mayTakeInterfaces() ? "user" : "sandbox"),
  );
  if (mode === "host") {
    throw new UsageError(
      '--network: "host" would give a sandbox sockets of the host\'s kernel, which it is there to keep it from; ' +
        "--network=user gives it the host's network by way of its own",
    );
  }
  if (mode !== "sandbox" && mode !== "user" && mode !== "none") {
    throw new UsageError(`--network: "${mode}" is not sandbox, user or none`);
  }
  const egress = String(values.egress ?? "");
  const published = (values.publish as string[] | undefined) ?? [];
  const nameServers = (values.dns as string[] | undefined) ?? [];
  if (mode !== "user" && asksForUser !== undefined) {
    throw new UsageError(`--${asksForUser} goes with --network=user`);
  }
  const channels = String(values["num-network-channels"] ?? "1");
  if (!/^\d+$/.test(channels) || Number(channels) < 1 || Number(channels) > CHANNELS_MAX) {
    throw new UsageError(`--num-network-channels: "${channels}" is not a number up to ${CHANNELS_MAX}`);
  }
  const queueing = String(values.qdisc ?? "fifo");
  if (queueing !== "fifo" && queueing !== "none") {
    throw new UsageError(`--qdisc: "${queueing}" is not fifo or none`);
  }
  return {
    mode,
    isDefaultMode,
    egress,
    published,
    nameServers,
    channels: Number(channels),
    queueing: queueing === "fifo" ? QueueingDiscipline.Fifo : QueueingDiscipline.None,
    pcap: String(values.pcap ?? ""),
  };
}

/** Go's callers write -flag for --flag. Several letters behind one dash are no flags of one letter each here. */
function withTwoDashes(word: string): string {
  return /^-[a-zA-Z][\w-]+/.test(word) ? `-${word}` : word;
}

/** As runc: root has its own place, whatever the environment says that somebody else has left. */
function defaultRoot(): string {
  const runtime = Deno.uid() === 0 ? undefined : Deno.env.get("XDG_RUNTIME_DIR");
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
  const end = own.indexOf("--");
  own = own.map((word, at) => end >= 0 && at > end || isValue(own, at, options) ? word : withTwoDashes(word));
  const handlers: arg.Spec = {};
  for (const [name, option] of Object.entries(options)) {
    const type = option.type === "boolean" ? Boolean : String;
    handlers[`--${name}`] = option.multiple === true ? [type] as [typeof type] : type;
    if (option.short !== undefined) handlers[`-${option.short}`] = `--${name}`;
  }
  try {
    const falses: Record<string, unknown> = {};
    const found = arg(handlers, { argv: own.flatMap((word) => plainBoolean(word, options, falses)) });
    const values: Record<string, unknown> = falses;
    for (const [name, value] of Object.entries(found)) {
      if (name !== "_") values[name.slice(2)] = value;
    }
    return { values, words: [...found._, ...rest] };
  } catch (error) {
    throw new UsageError(usageMessage(error as Error, options));
  }
}

/** Whether word `at` is the value of the flag before it. */
function isValue(words: readonly string[], at: number, options: Options): boolean {
  const before = at === 0 ? "" : words[at - 1];
  if (!before.startsWith("-") || before.includes("=")) return false;
  const name = before.replace(/^-+/, "");
  const option = options[name] ?? Object.values(options).find(({ short }) => short === name);
  return option?.type === "string" && !isValue(words, at - 1, options);
}

/** runsc's callers write --debug=true and --debug=false; arg takes --debug. What is false goes to `falses`. */
function plainBoolean(word: string, options: Options, falses: Record<string, unknown>): string[] {
  const match = /^--([\w-]+)=(true|false)$/.exec(word);
  if (match === null || options[match[1]]?.type !== "boolean") return [word];
  if (match[2] === "true") return [`--${match[1]}`];
  falses[match[1]] = false;
  return [];
}

/** "unknown or unexpected option: --x" in the words of our other messages. */
function usageMessage(error: Error, options: Options): string {
  const [reason, option] = error.message.split(": ");
  if (reason.startsWith("unknown")) {
    const near = suggestion(option.split("=")[0], Object.keys(options).map((name) => `--${name}`));
    return `Unknown flag ${option}${near}`;
  }
  if (reason.startsWith("option requires")) return `Flag ${option} needs a value`;
  return error.message;
}
