// tsvisor exec: a further process in a container that runs, attached or in the background.

import { EAGAIN, errnoName } from "../../kernel/abi/errno.ts";
import { SIGKILL } from "../../kernel/abi/signal.ts";
import { CAPABILITY_NAMES } from "../../kernel/abi/task.ts";
import { commandLineHost, type NativeHost } from "../../native/host.ts";
import { ATTENDANCE, type Attendant, requireAttendant } from "../attendant.ts";
import { receive, send } from "../control/channel.ts";
import { SCOPE, WAIT_REQUEST } from "../control/protocol.ts";
import { jsonDescriptor } from "../descriptors.ts";
import { processOf } from "../oci/guest_view.ts";
import { type OciConfig, problemOfProcess, readBundleProcess, readProcess } from "../oci/spec.ts";
import { StateDirectory } from "../oci/state.ts";
import { StartError } from "../start_error.ts";
import type { ContainerTerminal } from "../terminal.ts";
import { attachedTo } from "./attached_process.ts";
import { currentState } from "./condition.ts";
import { connectTo } from "./control_connection.ts";
import { type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";
import { passedBy, terminalOf, writePid } from "./new_container.ts";

export const EXEC_OPTIONS = {
  process: {
    type: "string",
    short: "p",
    value: "FILE",
    about: "the whole process as config.json has it, instead of words",
  },
  cwd: { type: "string", value: "DIR", about: "directory to start in (the container's)" },
  env: {
    type: "string",
    short: "e",
    multiple: true,
    value: "NAME=VALUE",
    about: "one more variable; may come again",
  },
  user: { type: "string", short: "u", value: "UID[:GID]", about: "who it is (the container's)" },
  "additional-gids": {
    type: "string",
    short: "g",
    multiple: true,
    value: "GID",
    about: "one more group; may come again",
  },
  cap: {
    type: "string",
    short: "c",
    multiple: true,
    value: "NAME",
    about: "one more capability; may come again",
  },
  tty: { type: "boolean", short: "t", about: "give it a terminal" },
  "no-new-privs": { type: "boolean", about: "it gains no rights by execve" },
  detach: { type: "boolean", short: "d", about: "leave it running in the background" },
  "pid-file": { type: "string", value: "FILE", about: "write the pid that waits for it to FILE" },
  "internal-pid-file": { type: "string", value: "FILE", about: "write its id in the container to FILE" },
  "console-socket": { type: "string", value: "PATH", about: "Unix socket that gets its terminal" },
  "preserve-fds": {
    type: "string",
    value: "N",
    about: "it gets N more of the caller's descriptors, from 3 on",
  },
  "pass-fd": {
    type: "string",
    multiple: true,
    value: "FD:GUEST",
    about: "it gets the caller's descriptor FD as GUEST, 3 or more; may come again",
  },
  "process-label": { type: "string", value: "LABEL", about: IGNORED },
  apparmor: { type: "string", value: "PROFILE", about: IGNORED },
  cgroup: { type: "string", multiple: true, value: "PATH", about: IGNORED },
  "no-subreaper": { type: "boolean", about: IGNORED },
  "ignore-paused": { type: "boolean", about: IGNORED },
} as const satisfies Options;

/** Longest the sentry may take to load a program, milliseconds: its files may be on a slow disk. */
const START_MILLIS_MAX = 60_000;
const UNFINISHED = "exec takes a container id and a program: tsvisor exec [flags] ID CMD ARGS...";

export async function execCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, EXEC_OPTIONS, true);
  const [id, ...program] = words;
  if (id === undefined) throw new UsageError(UNFINISHED);
  const state = await currentState(new StateDirectory(flags.root), id);
  if (state.status !== "running") {
    throw new Error(`Cannot execute in container "${id}" in state ${state.status}`);
  }
  const process = processFor(values, program, state.bundle);
  const isDetached = values.detach === true;
  const consoleSocket = values["console-socket"] as string | undefined;
  if (isDetached && process.terminal === true && consoleSocket === undefined) {
    throw new UsageError("exec --detach with a terminal needs --console-socket");
  }
  const attendant = isDetached ? requireAttendant() : null;
  const host = commandLineHost();
  const passed = passedBy(values);
  const terminal = terminalOf(process, consoleSocket);
  const socket = connectTo(state);
  if (socket < 0) throw new Error(`Cannot execute in container "${id}": ${errnoName(-socket)}`);
  const config = {
    ...processOf(process),
    terminal: terminal === null ? null : { ...terminal.config, isOwn: false },
    passedAs: passed.map(({ guest }) => guest),
  };
  const configFd = jsonDescriptor(host, config);
  const fds = Int32Array.from([
    configFd,
    ...(terminal?.stdio ?? [0, 1, 2]),
    ...passed.map(({ host }) => host),
  ]);
  send(host, socket, { kind: "execute" }, { request: 1, fds });
  host.close(configFd);
  const pid = startedPid(host, socket, id);
  const files = {
    outside: values["pid-file"] as string | undefined,
    inside: values["internal-pid-file"] as string | undefined,
  };
  try {
    if (files.inside !== undefined) writePid(files.inside, pid);
    if (files.outside !== undefined) writePid(files.outside, attendant?.pid ?? Deno.pid);
  } catch (error) {
    // Nobody would know of it.
    send(host, socket, { kind: "signal", signal: SIGKILL, pid, scope: SCOPE.PROCESS });
    throw error;
  }
  send(host, socket, { kind: "wait", pid }, { request: WAIT_REQUEST });
  if (attendant === null) return await attachedTo(socket, { ...ATTENDANCE, pid }, terminal, flags);
  leave(attendant, socket, pid, terminal, flags);
  return 0;
}

/** The process that is asked for: a file's, or the container's own with what the command line changes. */
function processFor(
  values: Record<string, unknown>,
  program: readonly string[],
  bundle: string,
): OciConfig["process"] {
  const file = values.process as string | undefined;
  if (file !== undefined) {
    const process = readProcess(file);
    return values.tty === true ? { ...process, terminal: true } : process;
  }
  if (program.length === 0) throw new UsageError(UNFINISHED);
  const base = readBundleProcess(bundle);
  const list = (name: string) => (values[name] as string[] | undefined) ?? [];
  const user = { ...userOf(values.user as string | undefined, base.user) };
  const groups = list("additional-gids").map((text) => id(text, "--additional-gids"));
  const caps = list("cap").map(capabilityName);
  const sets = base.capabilities ?? {};
  const process = {
    ...base,
    args: [...program],
    env: [...(base.env ?? []), ...list("env")],
    cwd: (values.cwd as string | undefined) ?? base.cwd,
    terminal: values.tty === true,
    user: { ...user, additionalGids: [...(user.additionalGids ?? []), ...groups] },
    noNewPrivileges: base.noNewPrivileges === true || values["no-new-privs"] === true,
    // As runc: one that is added is in the sets that a program has and hands down.
    capabilities: caps.length === 0 ? sets : {
      bounding: [...(sets.bounding ?? []), ...caps],
      effective: [...(sets.effective ?? []), ...caps],
      inheritable: sets.inheritable ?? [],
      permitted: [...(sets.permitted ?? []), ...caps],
      ambient: sets.ambient ?? [],
    },
  };
  if (!process.cwd.startsWith("/")) throw new UsageError(`--cwd: "${process.cwd}" is not an absolute path`);
  const wrong = problemOfProcess(process);
  if (wrong !== null) throw new UsageError(wrong);
  return process;
}

function userOf(
  text: string | undefined,
  base: OciConfig["process"]["user"],
): NonNullable<OciConfig["process"]["user"]> {
  if (text === undefined) return base ?? { uid: 0, gid: 0 };
  const [uid, gid] = text.split(":");
  return {
    uid: id(uid, "--user"),
    gid: gid === undefined ? base?.gid ?? 0 : id(gid, "--user"),
    ...(base?.umask === undefined ? {} : { umask: base.umask }),
  };
}

function id(text: string, flag: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= 0xffff_fffe) return Number(text);
  throw new UsageError(`${flag}: "${text}" is not a number of a user or group`);
}

function capabilityName(text: string): string {
  const name = text.toUpperCase().startsWith("CAP_") ? text.toUpperCase() : `CAP_${text.toUpperCase()}`;
  if (!CAPABILITY_NAMES.includes(name)) throw new UsageError(`--cap: unknown capability "${text}"`);
  return name;
}

/** The id in the container of the process that now runs. Throws StartError with the sentry's reason. */
function startedPid(host: NativeHost, socket: number, id: string): number {
  const received = receive(host, socket, "role", START_MILLIS_MAX);
  const message = received?.frame?.message ?? null;
  if (message?.kind === "executed") return message.pid;
  if (message?.kind === "failed") throw new StartError(message.message, message.code);
  if (message?.kind === "refused" && message.errno !== EAGAIN) {
    throw new Error(`Cannot execute in container "${id}": ${errnoName(message.errno)}`);
  }
  throw new Error(`Cannot execute in container "${id}": it does not run any more`);
}

function leave(
  attendant: Attendant,
  socket: number,
  pid: number,
  terminal: ContainerTerminal | null,
  flags: GlobalFlags,
): void {
  const attendance = {
    ...ATTENDANCE,
    pid,
    hasTerminal: terminal !== null,
    log: flags.log,
    logFormat: flags.logFormat,
  };
  attendant.attend(attendance, [socket, ...(terminal?.opened ?? [])]);
}
