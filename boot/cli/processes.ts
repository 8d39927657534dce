// tsvisor ps, events, pause, resume, wait: what goes on in a container, and stopping it for a while.

import { EALREADY, EPIPE, EPROTO, errnoName, ESRCH } from "../../kernel/abi/errno.ts";
import { SIGKILL } from "../../kernel/abi/signal.ts";
import { commandLineHost } from "../../native/host.ts";
import { ContMgrEvent } from "../api/methods.ts";
import type { EventOut } from "../api/stats.ts";
import { Cgroup } from "../cgroup/cgroup.ts";
import { oomKills, statisticsOf as cgroupStatistics } from "../cgroup/statistics.ts";
import { ControlClient, type Reply } from "../control/client.ts";
import { memoryOf } from "../host_facts.ts";
import { type ContainerState, StateDirectory } from "../oci/state.ts";
import type { ProcessRow } from "../process_rows.ts";
import type { Statistics } from "../sentry_config.ts";
import { exitCode } from "./attached.ts";
import { currentState } from "./condition.ts";
import { callOf } from "./control_call.ts";
import { connectTo, documentOf, requestOf } from "./control_connection.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";
import { printTable } from "./state.ts";

export const PS_OPTIONS = {
  format: { type: "string", short: "f", value: "table|json", about: "of the list; json has ids only" },
} as const satisfies Options;

export const EVENTS_OPTIONS = {
  stats: { type: "boolean", about: "what is used now, once" },
  interval: { type: "string", value: "SECONDS", about: "between two lines (5)" },
} as const satisfies Options;

export const WAIT_OPTIONS = {
  pid: {
    type: "string",
    value: "PID",
    about: "wait for process PID of the container, which exec has started",
  },
  rootpid: { type: "string", value: "PID", about: "as --pid" },
} as const satisfies Options;

const INTERVAL_SECONDS = 5;
/** Between two looks at whether the host has ended a process. */
const OOM_POLL_MILLIS = 500;

async function liveState(
  words: readonly string[],
  command: string,
  flags: GlobalFlags,
): Promise<ContainerState> {
  if (words.length < 1) throw new UsageError(`${command} takes one container id`);
  const state = await currentState(new StateDirectory(flags.root), words[0]);
  if (state.status === "stopped" || state.status === "creating") {
    throw new Error(`Cannot ask container "${state.id}" in state ${state.status}`);
  }
  return state;
}

export async function psCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, PS_OPTIONS, false);
  const format = values.format ?? "table";
  if (format !== "table" && format !== "json") {
    throw new UsageError(`--format: "${format}" is not table or json`);
  }
  const state = await liveState(words, "ps", flags);
  const what = `Cannot list the processes of container "${state.id}"`;
  const rows = await documentOf(state, { kind: "processes" }, what) as ProcessRow[];
  if (format === "json") {
    console.log(JSON.stringify(rows.map(({ pid }) => pid)));
    return 0;
  }
  const now = Date.now();
  printTable([
    ["UID", "PID", "PPID", "C", "TTY", "STIME", "TIME", "CMD"],
    ...rows.map(({ uid, pid, parentPid, tty, ageNanos, cpuNanos, name }) => [
      ...[String(uid), String(pid), String(parentPid)],
      String(Math.min(99, Math.round(100 * cpuNanos / Math.max(1, ageNanos)))),
      tty,
      startTime(now, ageNanos),
      duration(cpuNanos),
      name,
    ]),
  ]);
  return 0;
}

/** "14:05", or a date where it is long ago: ps(1), STIME. */
function startTime(now: number, ageNanos: number): string {
  const start = new Date(now - ageNanos / 1e6);
  const isToday = start.toDateString() === new Date(now).toDateString();
  return isToday ? start.toTimeString().slice(0, 5) : start.toDateString().slice(4, 10).replace(" ", "");
}

function duration(nanos: number): string {
  const seconds = Math.floor(nanos / 1e9);
  const two = (number: number) => String(number).padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

export async function eventsCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, EVENTS_OPTIONS, false);
  const seconds = Number(values.interval ?? INTERVAL_SECONDS);
  if (!(seconds > 0)) throw new UsageError(`--interval: "${values.interval}" is not a number of seconds`);
  let state = await liveState(words, "events", flags);
  const cgroup = state.cgroup === undefined ? null : new Cgroup(state.cgroup);
  let kills = cgroup === null ? 0 : oomKills(cgroup);
  for (;;) {
    console.log(JSON.stringify(await statisticsOf(state, cgroup)));
    if (values.stats === true) return 0;
    const next = performance.now() + seconds * 1000;
    while (state.status !== "stopped" && performance.now() < next) {
      await new Promise((resolve) =>
        setTimeout(resolve, Math.min(OOM_POLL_MILLIS, next - performance.now()))
      );
      state = new StateDirectory(flags.root).find(state.id) ?? { ...state, status: "stopped" };
      const present = cgroup === null ? 0 : oomKills(cgroup);
      if (present > kills) console.log(JSON.stringify({ type: "oom", id: state.id }));
      kills = present;
    }
    if (state.status === "stopped") return 0;
  }
}

/**
 * As runc prints them (its type stats.Stats): what nobody counts is 0. The host counts memory and CPU time of the whole sandbox
 * where that has a cgroup; tasks are the container's, which our kernel counts.
 */
async function statisticsOf(state: ContainerState, cgroup: Cgroup | null): Promise<unknown> {
  // Of a pod's memory the host measures the sum alone: the sandbox divides it.
  if (state.sandboxId !== undefined) return (await callOf(state, ContMgrEvent, state.id) as EventOut).event;
  const what = `Cannot read what container "${state.id}" uses`;
  const { cpuNanos, tasks, tasksMax } = await documentOf(state, { kind: "statistics" }, what) as Statistics;
  const pids = { current: tasks, limit: tasksMax };
  if (cgroup !== null) {
    const { cpu, memory, blkio } = cgroupStatistics(cgroup);
    return { type: "stats", id: state.id, data: { cpu, memory, pids, blkio, hugetlb: {} } };
  }
  return {
    type: "stats",
    id: state.id,
    data: {
      cpu: {
        usage: { total: Math.round(cpuNanos), kernel: 0, user: Math.round(cpuNanos), percpu: [] },
        throttling: {},
      },
      memory: { usage: { limit: 0, usage: memoryOf(state.pid), max: 0, failcnt: 0 }, raw: {} },
      pids,
      blkio: {},
      hugetlb: {},
    },
  };
}

export async function pauseCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const state = await liveState(parse(args, {}, false).words, "pause", flags);
  const refuse = (reason: string) => new Error(`Cannot pause container "${state.id}" ${reason}`);
  if (state.status !== "running") throw refuse(`in state ${state.status}`);
  const states = new StateDirectory(flags.root);
  // Noted first: what it says is checked with the sentry, so it may be wrong in that direction alone.
  states.move(state.id, ["created", "running"], "paused");
  const result = await requestOf(state, { kind: "pause" });
  if (result === -EALREADY) throw refuse("in state paused");
  if (result === 0) return 0;
  states.move(state.id, ["paused"], "running");
  throw refuse(`: ${errnoName(-result)}`);
}

export async function resumeCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const state = await liveState(parse(args, {}, false).words, "resume", flags);
  const refuse = (reason: string) => new Error(`Cannot resume container "${state.id}" ${reason}`);
  if (state.status !== "paused") throw refuse(`in state ${state.status}`);
  const result = await requestOf(state, { kind: "resume" });
  if (result < 0) throw refuse(result === -EALREADY ? "in state running" : `: ${errnoName(-result)}`);
  new StateDirectory(flags.root).move(state.id, ["paused"], "running");
  return 0;
}

export async function waitCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, WAIT_OPTIONS, false);
  const text = (values.pid ?? values.rootpid ?? "0") as string, pid = Number(text);
  if (!Number.isInteger(pid) || pid < 0) throw new UsageError(`--pid: "${text}" is not a process id`);
  const state = await liveState(words, "wait", flags);
  const socket = connectTo(state);
  const client = socket < 0 ? null : new ControlClient(commandLineHost(), socket);
  // It was alive a moment ago: a sandbox that has gone meanwhile was killed as one that hangs up.
  const refused = socket === -ESRCH ? -EPIPE : socket;
  const reply = client === null ? refused : await client.ask({ kind: "wait", pid }, null);
  const status = statusOf(reply);
  if (status < 0) throw new Error(`Cannot wait for container "${state.id}": ${errnoName(-status)}`);
  console.log(JSON.stringify({ id: state.id, pid, exitStatus: status }));
  return exitCode(status);
}

/** A sandbox that is killed hangs up: as if each of its processes had been. */
function statusOf(reply: Reply | number): number {
  if (reply === -EPIPE) return SIGKILL;
  if (typeof reply === "number") return reply;
  return reply.message.kind === "exit" ? reply.message.status : -EPROTO;
}
