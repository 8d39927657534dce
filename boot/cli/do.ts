// tsvisor do -- CMD ARGS...: a host program in a sandbox over the host's root, read-only below a memory overlay.

import { callerEnvironment } from "../caller_environment.ts";
import { readHostFacts } from "../host_facts.ts";
import type { Launch } from "../launch.ts";
import { OWN_NAMESPACES } from "../sentry_config.ts";
import { terminalOfCaller } from "../terminal.ts";
import { TASKS_MAX } from "../oci/guest_view.ts";
import { runAttached } from "./attached.ts";
import { type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";

export const DO_OPTIONS = {
  cwd: { type: "string", value: "DIR", about: "directory to start in (the caller's)" },
  env: {
    type: "string",
    short: "e",
    multiple: true,
    value: "NAME=VALUE",
    about: "one more variable; may come again",
  },
  root: { type: "string", value: "DIR", about: "root of the sandbox (the host's)" },
  quiet: { type: "boolean", about: IGNORED },
} as const satisfies Options;

export async function doCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, DO_OPTIONS, true);
  if (words.length === 0) {
    throw new UsageError("Nothing to run: tsvisor do [--cwd DIR] [--env NAME=VALUE] -- CMD ARGS...");
  }
  const facts = readHostFacts();
  const terminal = terminalOfCaller();
  const extra = (values.env as string[] | undefined) ?? [];
  const sentry: Launch["sentry"] = {
    id: `do-${Deno.pid}`,
    sharing: OWN_NAMESPACES,
    platform: flags.platform,
    mayPatch: flags.mayPatch,
    stubCalls: flags.stubCalls,
    watchdog: flags.watchdog,
    isDebug: flags.isDebug,
    strace: flags.strace,
    straceCalls: flags.straceCalls,
    gofers: [{ isReadOnly: true, isExclusive: flags.isExclusive }],
    root: { isReadOnly: false, hasOverlay: true },
    overlayBytesMax: flags.overlay.sizeBytes,
    mounts: [
      {
        destination: "/proc",
        type: "proc",
        source: "proc",
        options: ["nosuid", "nodev", "noexec"],
        gofer: -1,
      },
      {
        destination: "/sys",
        type: "sysfs",
        source: "sysfs",
        options: ["ro", "nosuid", "nodev", "noexec"],
        gofer: -1,
      },
      { destination: "/dev", type: "devtmpfs", source: "devtmpfs", options: ["nosuid"], gofer: -1 },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "mode=620", "ptmxmode=666", "gid=5"],
        gofer: -1,
      },
      {
        destination: "/dev/shm",
        type: "tmpfs",
        source: "shm",
        options: ["nosuid", "nodev", "mode=1777"],
        gofer: -1,
      },
    ],
    maskedPaths: [],
    readonlyPaths: [],
    sysctl: {},
    devices: [],
    process: {
      args: words,
      env: [...callerEnvironment(), ...extra],
      cwd: directoryOf(values.cwd as string | undefined),
      // The caller's own need not be below another root.
      makesCwd: values.cwd === undefined,
      uid: Deno.uid() ?? 0,
      gid: Deno.gid() ?? 0,
      umask: Deno.umask(),
      additionalGids: [],
      capabilities: null,
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024 * 64, hard: 1024 * 1024 }],
      noNewPrivileges: false,
      ownsStdio: false,
      wantsHome: false,
      diesOfSignals: true,
      terminal: terminal?.config ?? null,
    },
    hostname: "tsvisor",
    domainname: "(none)",
    cpuCount: facts.cpuCount,
    memoryTotalBytes: facts.memoryTotalBytes,
    tasksMax: TASKS_MAX,
    isHeld: false,
    startHooks: [],
    memoryBytesMax: facts.memoryTotalBytes,
    host: { cpuinfo: facts.cpuinfo, hwcap: facts.hwcap, hwcap2: facts.hwcap2 },
    isLenient: flags.isLenient,
    processesMax: TASKS_MAX,
  };
  const root = (values.root as string | undefined) ?? "/";
  return await runAttached({
    sentry,
    gofer: {
      mounts: [{ path: root, isReadOnly: true, isRecursive: true }],
      isLenient: flags.isLenient,
      isDebug: flags.isDebug,
    },
    stdio: terminal?.stdio ?? [0, 1, 2],
    debugLog: flags.debugLog,
    oomScoreAdj: null,
    isRootInside: false,
  }, { terminal, record: null, flags });
}

/** A relative directory is one below the caller's. */
function directoryOf(cwd: string | undefined): string {
  if (cwd === undefined) return Deno.cwd();
  return cwd.startsWith("/") ? cwd : `${Deno.cwd()}/${cwd}`;
}
