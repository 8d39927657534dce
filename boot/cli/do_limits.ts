// Limits that `do` is asked for: what our kernel keeps to, and the host's cgroup that holds what it does not see.

import { readHostFacts } from "../host_facts.ts";
import { TASKS_MAX } from "../oci/guest_view.ts";
import type { Resources } from "../oci/resources.ts";
import { bytesOf, countOf, secondsOf } from "./amounts.ts";
import { type GlobalFlags, type Options, UsageError } from "./flags.ts";
import type { HostCgroup } from "./host_cgroup.ts";
import { reportWarning } from "./report.ts";

export const LIMIT_OPTIONS = {
  memory: {
    type: "string",
    short: "m",
    value: "BYTES",
    about: "limit of memory, of the sandbox as a whole; k, m, g may follow",
  },
  pids: { type: "string", value: "N", about: `processes and threads at most (default: ${TASKS_MAX})` },
  cpus: { type: "string", value: "N", about: "processors' worth of CPU time, such as 1.5 (default: all)" },
  timeout: {
    type: "string",
    value: "DURATION",
    about: "kill the program after 500ms, 30s, 2m; the exit code is 124 then",
  },
} as const satisfies Options;

/** Period of the quota of CPU time, microseconds: Linux' default. */
const PERIOD_MICROS = 100_000;
/** Below this the sandbox's own processes leave nothing to the program. */
const MEMORY_BYTES_MIN = 32 * 2 ** 20;

export interface DoLimits {
  readonly memoryBytes: number;
  readonly tasks: number;
  /** Processors that the program sees. */
  readonly cpuCount: number;
  /** 0 = as long as it wants. */
  readonly timeoutSeconds: number;
  /** What the host's cgroup is to hold; null = nothing, and there is to be none. */
  readonly resources: Resources | null;
}

export function limitsOf(values: Record<string, unknown>): DoLimits {
  const facts = readHostFacts();
  const text = (flag: keyof typeof LIMIT_OPTIONS) => values[flag] as string | undefined;
  const memory = bytesOf(text("memory"), "memory"), pids = text("pids"), cpus = cpusOf(text("cpus"));
  if (memory !== undefined && memory >= 0 && memory < MEMORY_BYTES_MIN) {
    throw new UsageError(`--memory: "${text("memory")}" is below ${MEMORY_BYTES_MIN / 2 ** 20}m`);
  }
  const limit = memory === undefined || memory < 0 ? 0 : memory;
  const tasks = pids === undefined ? TASKS_MAX : countOf(pids, "pids", 4_194_304);
  const timeout = text("timeout");
  const resources = {
    ...(limit === 0 ? {} : { memory: { limit } }),
    ...(cpus === 0 ? {} : { cpu: { quota: Math.round(cpus * PERIOD_MICROS), period: PERIOD_MICROS } }),
    ...(pids === undefined ? {} : { pids: { limit: tasks } }),
  };
  return {
    memoryBytes: limit === 0 ? facts.memoryTotalBytes : Math.min(limit, facts.memoryTotalBytes),
    tasks,
    cpuCount: cpus === 0 ? facts.cpuCount : Math.min(facts.cpuCount, Math.ceil(cpus)),
    timeoutSeconds: timeout === undefined ? 0 : secondsOf(timeout, "timeout"),
    resources: Object.keys(resources).length === 0 ? null : resources,
  };
}

/** 0 = none is given. */
function cpusOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const cpus = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  // Linux takes no quota below a millisecond.
  if (cpus >= 0.01) return cpus;
  throw new UsageError(`--cpus: "${text}" is not a number of processors from 0.01 on`);
}

/** The host's cgroup for them, made; null = there is none. Loaded where limits are asked for only. */
export async function cgroupFor(
  id: string,
  limits: DoLimits,
  flags: GlobalFlags,
): Promise<HostCgroup | null> {
  if (limits.resources === null) return null;
  const { madeCgroup, plannedCgroup } = await import("./host_cgroup.ts");
  const warn = (line: string) => reportWarning(line, flags);
  const config = { linux: { resources: limits.resources } };
  const planned = plannedCgroup(config, id, { ...flags, wantsSystemd: false }, warn);
  return planned === null ? null : madeCgroup(planned, id, warn, () => {});
}
