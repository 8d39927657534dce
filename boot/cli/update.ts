// tsvisor update: other limits for a container that has been made, on the host and in our kernel.

import { errnoName } from "../../kernel/abi/errno.ts";
import { Cgroup } from "../cgroup/cgroup.ts";
import { readHostFacts } from "../host_facts.ts";
import { TASKS_MAX } from "../oci/guest_view.ts";
import { ignoredFields, ignoredLine } from "../oci/ignored.ts";
import type { Resources } from "../oci/resources.ts";
import { readResources } from "../oci/spec.ts";
import { StateDirectory } from "../oci/state.ts";
import { bytesOf } from "./amounts.ts";
import { currentState } from "./condition.ts";
import { requestOf } from "./control_connection.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";
import { reportWarning } from "./report.ts";

const MICROS = { type: "string", value: "MICROSECONDS" } as const;
const BYTES = { type: "string", value: "BYTES" } as const;

export const UPDATE_OPTIONS = {
  resources: {
    type: "string",
    short: "r",
    value: "FILE",
    about: "linux.resources as config.json has them, from FILE or - (stdin); other flags are left out then",
  },
  "blkio-weight": { type: "string", value: "WEIGHT", about: "10 to 1000" },
  "cpu-period": { ...MICROS, about: "of the quota" },
  "cpu-quota": { ...MICROS, about: "of CPU time in a period; -1: no limit" },
  "cpu-burst": { ...MICROS, about: "of CPU time that may be saved up" },
  "cpu-share": { type: "string", value: "SHARES", about: "relative to others" },
  "cpu-rt-period": { ...MICROS, about: "of the realtime runtime" },
  "cpu-rt-runtime": { ...MICROS, about: "for realtime processes in a period" },
  "cpu-idle": { type: "string", value: "0|1", about: "1: only when nobody else wants to run" },
  "cpuset-cpus": { type: "string", value: "LIST", about: "processors to run on" },
  "cpuset-mems": { type: "string", value: "LIST", about: "memory nodes to use" },
  memory: { ...BYTES, about: "limit of memory; k, m, g may follow; -1: none" },
  "memory-reservation": { ...BYTES, about: "what it keeps when memory is short" },
  "memory-swap": { ...BYTES, about: "limit of memory and swap; -1: none" },
  "kernel-memory": { ...BYTES, about: "refused: Linux has no such limit any more" },
  "kernel-memory-tcp": { ...BYTES, about: "limit of memory for TCP" },
  "pids-limit": { type: "string", value: "N", about: "processes and threads; -1: no limit" },
  "l3-cache-schema": { type: "string", value: "TEXT", about: "refused: there is no Intel RDT" },
  "mem-bw-schema": { type: "string", value: "TEXT", about: "refused: there is no Intel RDT" },
} as const satisfies Options;

export async function updateCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, UPDATE_OPTIONS, false);
  if (words.length !== 1) throw new UsageError("update takes one container id");
  for (const refused of ["kernel-memory", "l3-cache-schema", "mem-bw-schema"] as const) {
    if (values[refused] !== undefined) throw new UsageError(`--${refused}: ${UPDATE_OPTIONS[refused].about}`);
  }
  const file = values.resources as string | undefined;
  const { resources, ignored } = file === undefined
    ? { resources: resourcesOf(values), ignored: [] }
    : readResources(file === "-" ? "/dev/stdin" : file);
  const state = await currentState(new StateDirectory(flags.root), words[0]);
  if (state.status === "stopped" || state.status === "creating") {
    throw new Error(`Cannot update container "${state.id}" in state ${state.status}`);
  }
  const cgroup = state.cgroup === undefined ? null : new Cgroup(state.cgroup);
  cgroup?.limit(resources);
  const withoutEffect = cgroup === null ? withoutCgroup(resources) : cgroup.missing(resources);
  const line = ignoredLine([...ignored, ...withoutEffect]).replace("config.json", "the resources");
  if (ignored.length + withoutEffect.length > 0) reportWarning(line, flags);
  const memory = resources.memory?.limit ?? 0, tasks = resources.pids?.limit ?? 0;
  const result = await requestOf(state, {
    kind: "limit",
    memoryBytes: memory < 0 ? readHostFacts().memoryTotalBytes : memory,
    tasks: tasks < 0 ? TASKS_MAX : tasks,
  });
  if (result < 0) throw new Error(`Cannot update container "${state.id}": ${errnoName(-result)}`);
  return 0;
}

/** Our kernel itself keeps to two of them. */
function withoutCgroup(resources: Resources): string[] {
  const kept = {
    memory: { limit: resources.memory?.limit ?? 0 },
    pids: { limit: resources.pids?.limit ?? 0 },
  };
  // What is undefined is not asked for.
  return ignoredFields(JSON.parse(JSON.stringify(resources)), kept).map((field) =>
    `linux.resources.${field}`
  );
}

/** As runc: flags by their names in config.json. */
function resourcesOf(values: Record<string, unknown>): Resources {
  const number = (flag: keyof typeof UPDATE_OPTIONS) => numberOf(values[flag] as string | undefined, flag);
  const bytes = (flag: keyof typeof UPDATE_OPTIONS) => bytesOf(values[flag] as string | undefined, flag);
  const given = {
    memory: {
      limit: bytes("memory"),
      reservation: bytes("memory-reservation"),
      swap: bytes("memory-swap"),
      kernelTCP: bytes("kernel-memory-tcp"),
    },
    cpu: {
      shares: number("cpu-share"),
      quota: number("cpu-quota"),
      burst: number("cpu-burst"),
      period: number("cpu-period"),
      realtimeRuntime: number("cpu-rt-runtime"),
      realtimePeriod: number("cpu-rt-period"),
      idle: number("cpu-idle"),
      cpus: values["cpuset-cpus"] as string | undefined,
      mems: values["cpuset-mems"] as string | undefined,
    },
    pids: { limit: number("pids-limit") },
    blockIO: { weight: number("blkio-weight") },
  };
  const isGiven = (part: object) => Object.values(part).some((value) => value !== undefined);
  if (!Object.values(given).some(isGiven)) throw new UsageError("Nothing to update: no limit is given");
  return given;
}

function numberOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  throw new UsageError(`--${flag}: "${text}" is not a number`);
}
