// tsvisor do -- CMD ARGS...: a host program in a sandbox over the host's root, read-only below a memory overlay.

import { callerEnvironment } from "../caller_environment.ts";
import { readHostFacts } from "../host_facts.ts";
import type { Launch } from "../launch.ts";
import { OWN_NAMESPACES } from "../sentry_config.ts";
import { terminalOfCaller } from "../terminal.ts";
import { RESOLVER_FILE, startUserNetwork } from "../net/user/start.ts";
import type { UserNetwork } from "../net/user/user_network.ts";
import { runAttached } from "./attached.ts";
import { connectOver } from "./control_connection.ts";
import { cgroupFor, LIMIT_OPTIONS, limitsOf } from "./do_limits.ts";
import { doMounts } from "./do_mounts.ts";
import { type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";
import type { HostCgroup } from "./host_cgroup.ts";
import { Outputs } from "./outputs.ts";
import { reportError, reportWarning } from "./report.ts";
import { SHOWN_TEXT, shownEnvironment } from "./shown_environment.ts";
import { userOf } from "./user_of.ts";

export const DO_OPTIONS = {
  bind: {
    type: "string",
    short: "v",
    multiple: true,
    value: "SRC[:DST][:ro]",
    about: "show SRC of the host at DST (SRC), for writing unless :ro follows; may come again",
  },
  rw: {
    type: "string",
    multiple: true,
    value: "DIR",
    about: "what is written below DIR is written on the host; may come again",
  },
  workdir: { type: "string", short: "w", value: "DIR", about: "directory to start in (the caller's)" },
  cwd: { type: "string", value: "DIR", about: "the same as --workdir" },
  user: {
    type: "string",
    short: "u",
    value: "USER[:GROUP]",
    about: "who the program is, by name or number (the caller)",
  },
  env: {
    type: "string",
    short: "e",
    multiple: true,
    value: "NAME[=VALUE]",
    about: "one more variable, without a value the caller's; may come again",
  },
  "clear-env": {
    type: "boolean",
    about: `no variable but those of --env; otherwise the program sees the caller's ${SHOWN_TEXT}`,
  },
  ...LIMIT_OPTIONS,
  out: {
    type: "string",
    multiple: true,
    value: "FILE:HOST",
    about: "copy FILE of the sandbox to HOST when the program has ended; may come again",
  },
  root: {
    type: "string",
    value: "DIR",
    about: "root of the sandbox (the host's, whose password hashes in /etc/shadow it does not have)",
  },
  quiet: { type: "boolean", about: IGNORED },
} as const satisfies Options;

export async function doCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, DO_OPTIONS, true);
  if (words.length === 0) throw new UsageError("Nothing to run: tsvisor do [flags] -- CMD ARGS...");
  const list = (flag: "bind" | "rw" | "env" | "out") => (values[flag] as string[] | undefined) ?? [];
  const facts = readHostFacts(), limits = limitsOf(values), id = `do-${Deno.pid}`;
  const root = (values.root as string | undefined) ?? "/";
  const mounts = doMounts(root, list("bind"), list("rw"), flags.isExclusive);
  const asked = values.user as string | undefined;
  const user = asked === undefined
    ? { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0, additionalGids: [] }
    : userOf(asked, root === "/" ? "" : root);
  const env = shownEnvironment(callerEnvironment(), {
    given: list("env"),
    isCleared: values["clear-env"] === true,
    isOther: user.uid !== Deno.uid(),
  });
  const cwd = workingDirectory(values);
  const terminal = terminalOfCaller();
  const outputs = list("out").length === 0 ? null : new Outputs(list("out"), cwd.path);
  const sentry: Launch["sentry"] = {
    id,
    sharing: OWN_NAMESPACES,
    platform: flags.platform,
    mayPatch: flags.mayPatch,
    stubCalls: flags.stubCalls,
    watchdog: flags.watchdog,
    isDebug: flags.isDebug,
    strace: flags.strace,
    straceCalls: flags.straceCalls,
    straceStyle: flags.straceStyle,
    gofers: mounts.gofers,
    root: { isReadOnly: false, hasOverlay: true },
    overlayBytesMax: flags.overlay.sizeBytes,
    seccomp: null,
    mounts: mounts.mounts,
    maskedPaths: [],
    readonlyPaths: [],
    sysctl: {},
    devices: [],
    process: {
      args: words,
      env,
      cwd: cwd.path,
      makesCwd: cwd.isDefault,
      ...user,
      umask: Deno.umask(),
      capabilities: null,
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024 * 64, hard: 1024 * 1024 }],
      noNewPrivileges: false,
      ownsStdio: asked !== undefined,
      wantsHome: asked !== undefined,
      diesOfSignals: true,
      terminal: terminal?.config ?? null,
    },
    hostname: "tsvisor",
    domainname: "(none)",
    cpuCount: limits.cpuCount,
    memoryTotalBytes: limits.memoryBytes,
    tasksMax: limits.tasks,
    isHeld: false,
    startHooks: [],
    memoryBytesMax: limits.memoryBytes,
    host: { cpuinfo: facts.cpuinfo, hwcap: facts.hwcap, hwcap2: facts.hwcap2 },
    isLenient: flags.isLenient,
    processesMax: limits.tasks,
    explains: flags.explains,
    timeoutSeconds: limits.timeoutSeconds,
    // Nobody but root could read them.
    hidesPasswords: root === "/" && Deno.uid() === 0,
    outputs: outputs?.paths ?? [],
  };
  const hasUserNetwork = flags.network.mode === "user";
  let cgroup: HostCgroup | null = null, network: UserNetwork | null = null, code = 128;
  try {
    if (hasUserNetwork) network = await startUserNetwork({ sentry, debugLog: flags.debugLog }, flags.network);
    cgroup = await cgroupFor(id, limits, flags);
    code = await runAttached({
      sentry: hasUserNetwork ? { ...sentry, files: [RESOLVER_FILE], isHeld: true } : sentry,
      gofer: { mounts: mounts.served, isLenient: flags.isLenient, isDebug: flags.isDebug },
      stdio: terminal?.stdio ?? [0, 1, 2],
      debugLog: flags.debugLog,
      oomScoreAdj: null,
      memoryLimitBytes: limits.resources?.memory?.limit ?? 0,
      ...(cgroup === null ? {} : { enter: enterOf(cgroup, flags) }),
      isRootInside: false,
      outputs: outputs?.fds ?? [],
    }, {
      terminal,
      record: null,
      cgroup: cgroup?.cgroup.record,
      outputs,
      flags,
      onReady: (_pid, controlFd) => network?.handOver(() => connectOver(controlFd)),
    });
  } finally {
    network?.close();
    if (cgroup !== null) await (await import("./host_cgroup.ts")).undoCgroup(cgroup);
    const failures = outputs?.finish() ?? [];
    for (const line of failures) reportError(line, flags);
    // The program may have succeeded; what was asked of us has not.
    if (failures.length > 0 && code === 0) code = 128;
  }
  return code;
}

/** A relative directory is one below the caller's. The caller's own need not be below another root, and is made there. */
function workingDirectory(values: Record<string, unknown>): { path: string; isDefault: boolean } {
  if (values.workdir !== undefined && values.cwd !== undefined) {
    throw new UsageError("--workdir and --cwd are the same: give one of them");
  }
  const given = (values.workdir ?? values.cwd) as string | undefined;
  if (given === undefined) return { path: Deno.cwd(), isDefault: true };
  return { path: given.startsWith("/") ? given : `${Deno.cwd()}/${given}`, isDefault: false };
}

/** Loaded with the cgroup. */
function enterOf(cgroup: HostCgroup, flags: GlobalFlags): (pids: readonly number[]) => Promise<void> {
  return async (pids) => {
    const { enterCgroup } = await import("./host_cgroup.ts");
    await enterCgroup(cgroup, pids, (line) => reportWarning(line, flags));
  };
}
