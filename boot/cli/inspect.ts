// tsvisor debug, usage, read, read-control, write-control: what the control API tells of a sandbox, for a person.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import {
  CgroupsReadControlFiles,
  CgroupsWriteControlFiles,
  ContMgrProcesses,
  ContMgrSignal,
  DebugStacks,
  FsRead,
  LoggingChange,
  ProfileBlock,
  ProfileCPU,
  ProfileHeap,
  ProfileMutex,
  ProfileTrace,
  UsageCollect,
} from "../api/methods.ts";
import { parseGoDuration } from "../control/go_duration.ts";
import { printable } from "../control/printable.ts";
import { StateDirectory } from "../oci/state.ts";
import type { ContainerState } from "../oci/state.ts";
import { signalNumber } from "../signals.ts";
import { currentState } from "./condition.ts";
import { callOf, callWithFiles } from "./control_call.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";
import { printTable } from "./state.ts";

export const DEBUG_OPTIONS = {
  stacks: { type: "boolean", about: "the sentry's stack, and of each task its state, call and wait" },
  ps: { type: "boolean", about: "processes of the container" },
  signal: { type: "string", value: "SIGNAL", about: "send a signal to the container's first process" },
  strace: { type: "string", value: "all|off|NAMES", about: "which system calls go to the log from now on" },
  "log-level": { type: "string", value: "warning|info|debug", about: "what goes to the log from now on" },
  "log-packets": { type: "string", value: "true|false", about: "whether packets go to the log" },
  "profile-cpu": { type: "string", value: "FILE", about: "processor time by process and call, for pprof" },
  "profile-heap": { type: "string", value: "FILE", about: "memory by process and kind, for pprof" },
  "profile-block": { type: "string", value: "FILE", about: "waits by process and call, for pprof" },
  "profile-mutex": { type: "string", value: "FILE", about: "waits for locks by process and call, for pprof" },
  trace: { type: "string", value: "FILE", about: "each call with its time, as trace events in JSON" },
  duration: { type: "string", value: "TIME", about: "of each profile and of the trace (1m)" },
  delay: { type: "string", value: "TIME", about: "before each of them (0s)" },
} as const satisfies Options;

export const USAGE_OPTIONS = {
  full: { type: "boolean", about: "by kind, every page looked up" },
} as const satisfies Options;

export const READ_OPTIONS = {
  offset: { type: "string", value: "BYTES", about: "where to begin (0)" },
  size: { type: "string", value: "BYTES", about: "how much at most (to the end)" },
} as const satisfies Options;

/** What one call reads at most. */
const PIECE_BYTES = 1024 * 1024;

/** Of a container that runs. */
export async function runningState(
  words: readonly string[],
  command: string,
  flags: GlobalFlags,
): Promise<ContainerState> {
  if (words.length < 1) throw new UsageError(`${command} takes a container id`);
  const state = await currentState(new StateDirectory(flags.root), words[0]);
  if (state.status === "stopped" || state.status === "creating") {
    throw new Error(`Cannot ask container "${state.id}" in state ${state.status}`);
  }
  return state;
}

export async function debugCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, DEBUG_OPTIONS, false);
  const asked = Object.entries(values).some(([name, value]) =>
    value !== undefined && name !== "duration" && name !== "delay"
  );
  if (!asked) throw new UsageError("debug is to be told what to print or to change: see debug --help");
  const logging = loggingOf(values);
  const state = await runningState(words, "debug", flags);
  if (values.stacks === true) {
    const text = String(await callOf(state, DebugStacks, null));
    console.log(text.split("\n").map(printable).join("\n").trimEnd());
  }
  if (values.ps === true) await printProcesses(state);
  if (values.signal !== undefined) {
    const signal = signalNumber(values.signal as string);
    if (signal < 0) throw new UsageError(`Unknown signal "${values.signal}"`);
    await callOf(state, ContMgrSignal, { CID: state.id, Signo: signal, PID: 0, Mode: 0 });
  }
  for (const [flag, method] of PROFILES) {
    const path = values[flag] as string | undefined;
    if (path !== undefined) await takeProfile(state, method, path, values);
  }
  if (logging !== null) await callOf(state, LoggingChange, logging);
  return 0;
}

const PROFILES = [
  ["profile-cpu", ProfileCPU],
  ["profile-heap", ProfileHeap],
  ["profile-block", ProfileBlock],
  ["profile-mutex", ProfileMutex],
  ["trace", ProfileTrace],
] as const;

const DURATION = "1m";

async function takeProfile(
  state: ContainerState,
  method: string,
  path: string,
  values: Record<string, unknown>,
): Promise<void> {
  const [duration, delay] = [["duration", DURATION], ["delay", "0s"]].map(([flag, otherwise]) => {
    const nanos = parseGoDuration(String(values[flag] ?? otherwise));
    if (nanos === null || nanos < 0) throw new UsageError(`--${flag}: "${values[flag]}" is not a duration`);
    return nanos;
  });
  Deno.writeTextFileSync(path, "");
  const host = commandLineHost(), fd = host.openForAppend(path);
  if (fd < 0) throw new Error(`Cannot open ${path}: ${errnoName(-fd)}`);
  try {
    await callWithFiles(state, method, { duration, delay }, [fd], null);
  } finally {
    host.close(fd);
  }
}

interface ListedProcess {
  readonly uid: number;
  readonly pid: number;
  readonly ppid: number;
  readonly c: number;
  readonly tty: string;
  readonly stime: string;
  readonly time: string;
  readonly cmd: string;
}

async function printProcesses(state: ContainerState): Promise<void> {
  const rows = await callOf(state, ContMgrProcesses, state.id) as ListedProcess[];
  printTable([
    ["UID", "PID", "PPID", "C", "TTY", "STIME", "TIME", "CMD"],
    ...rows.map(({ uid, pid, ppid, c, tty, stime, time, cmd }) => [
      ...[uid, pid, ppid, c].map(String),
      ...[tty, stime, time, cmd],
    ]),
  ]);
}

const LEVELS = ["warning", "info", "debug"];

/** LoggingArgs of gVisor's pkg/sentry/control; null = nothing changes. */
function loggingOf(values: Record<string, unknown>): object | null {
  const strace = values.strace as string | undefined, level = values["log-level"] as string | undefined;
  const packets = values["log-packets"] as string | undefined;
  if (strace === undefined && level === undefined && packets === undefined) return null;
  const number = level === undefined ? 0 : LEVELS.indexOf(level);
  if (number < 0) throw new UsageError(`--log-level: "${level}" is not one of ${LEVELS.join(", ")}`);
  if (packets !== undefined && packets !== "true" && packets !== "false") {
    throw new UsageError(`--log-packets: "${packets}" is not true or false`);
  }
  const names = strace === undefined || strace === "all" || strace === "off" ? [] : strace.split(",");
  return {
    SetStrace: strace !== undefined,
    EnableStrace: strace !== undefined && strace !== "off",
    StraceAllowlist: names,
    SetLevel: level !== undefined,
    Level: number,
    SetLogPackets: packets !== undefined,
    LogPackets: packets === "true",
  };
}

export async function usageCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, USAGE_OPTIONS, false);
  const state = await runningState(words, "usage", flags);
  console.log(JSON.stringify(await callOf(state, UsageCollect, { Full: values.full === true }), null, 2));
  return 0;
}

/** A file of the container to stdout. */
export async function readCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, READ_OPTIONS, false);
  if (words.length !== 2) throw new UsageError("read takes a container id and a path");
  const offset = bytesOf(values.offset, "--offset", 0), size = bytesOf(values.size, "--size", Infinity);
  const state = await runningState(words, "read", flags);
  for (let done = 0; done < size;) {
    const piece = { offset: offset + done, size: Math.min(PIECE_BYTES, size - done) };
    const call = { container_id: state.id, path: words[1], ...piece };
    const { data } = await callOf(state, FsRead, call) as { data: string };
    const bytes = Uint8Array.fromBase64(data);
    for (let at = 0; at < bytes.length;) at += writeOut(bytes, at);
    done += bytes.length;
    if (bytes.length < piece.size) break;
  }
  return 0;
}

function writeOut(bytes: Uint8Array, at: number): number {
  const n = commandLineHost().write(1, bytes, at, bytes.length - at);
  if (n <= 0) throw new Error("Cannot write to stdout");
  return n;
}

function bytesOf(text: unknown, flag: string, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (/^\d{1,15}$/.test(String(text))) return Number(text);
  throw new UsageError(`${flag}: "${text}" is not a number of bytes`);
}

interface ControlResult {
  readonly value: string;
  readonly is_error?: true;
}

async function controlFile(
  state: ContainerState,
  method: string,
  words: readonly string[],
): Promise<string> {
  const [, controller, name, value] = words;
  const file = { controller, path: `/${state.id}`, name };
  const call = { args: [value === undefined ? { file } : { file, value }] };
  const { results: [result] } = await callOf(state, method, call) as { results: readonly ControlResult[] };
  if (result.is_error === true) throw new Error(`${name} of container "${state.id}": ${result.value}`);
  return result.value;
}

export async function readControlCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { words } = parse(args, {}, false);
  if (words.length !== 3) throw new UsageError("read-control takes a container id, a controller and a file");
  const state = await runningState(words, "read-control", flags);
  console.log(printable(await controlFile(state, CgroupsReadControlFiles, words)));
  return 0;
}

export async function writeControlCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { words } = parse(args, {}, false);
  if (words.length !== 4) {
    throw new UsageError("write-control takes a container id, a controller, a file and a value");
  }
  const state = await runningState(words, "write-control", flags);
  await controlFile(state, CgroupsWriteControlFiles, words);
  return 0;
}
