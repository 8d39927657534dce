// What a cgroup has used, in the shape of `runc events` (its type Stats): only what the host counts is there.

import type { Cgroup } from "./cgroup.ts";

interface Usage {
  readonly limit: number;
  readonly usage: number;
  readonly max: number;
  readonly failcnt: number;
}

interface IoEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

export interface CgroupStatistics {
  readonly cpu: unknown;
  readonly memory: { readonly usage: Usage; readonly raw: Readonly<Record<string, number>> };
  readonly blkio: unknown;
}

/** v1 has page counts of 2^63 where there is no limit, v2 "max": as runc, what JSON can hold of them. */
export function statisticsOf(cgroup: Cgroup): CgroupStatistics {
  return cgroup.version === 1 ? statisticsOfV1(cgroup) : statisticsOfV2(cgroup);
}

/** Processes that the host has ended for want of memory. */
export function oomKills(cgroup: Cgroup): number {
  const text = cgroup.version === 1
    ? cgroup.read("memory", "memory.oom_control")
    : cgroup.read("memory", "memory.events");
  return keyed(text).oom_kill ?? 0;
}

function statisticsOfV1(cgroup: Cgroup): CgroupStatistics {
  const cpuacct = (file: string) => number(cgroup.read("cpuacct", file));
  const throttled = keyed(cgroup.read("cpu", "cpu.stat"));
  const raw = keyed(cgroup.read("memory", "memory.stat"));
  const percpu = (cgroup.read("cpuacct", "cpuacct.usage_percpu") ?? "").split(" ").filter((word) =>
    word !== ""
  );
  const usage = (name: string): Usage => ({
    limit: number(cgroup.read("memory", `memory.${name}limit_in_bytes`)),
    usage: number(cgroup.read("memory", `memory.${name}usage_in_bytes`)),
    max: number(cgroup.read("memory", `memory.${name}max_usage_in_bytes`)),
    failcnt: number(cgroup.read("memory", `memory.${name}failcnt`)),
  });
  const io = (name: string) => ioOfV1(cgroup.read("blkio", `blkio.throttle.${name}`));
  return {
    cpu: {
      usage: {
        total: cpuacct("cpuacct.usage"),
        percpu: percpu.map(Number),
        kernel: cpuacct("cpuacct.usage_sys"),
        user: cpuacct("cpuacct.usage_user"),
      },
      throttling: throttlingOf(throttled, throttled.throttled_time ?? 0),
    },
    memory: {
      cache: raw.cache ?? 0,
      usage: usage(""),
      swap: usage("memsw."),
      kernel: usage("kmem."),
      kernelTCP: usage("kmem.tcp."),
      raw,
    } as CgroupStatistics["memory"],
    blkio: {
      ioServiceBytesRecursive: io("io_service_bytes_recursive"),
      ioServicedRecursive: io("io_serviced_recursive"),
    },
  };
}

function statisticsOfV2(cgroup: Cgroup): CgroupStatistics {
  const cpu = keyed(cgroup.read("cpu", "cpu.stat"));
  const raw = keyed(cgroup.read("memory", "memory.stat"));
  const events = keyed(cgroup.read("memory", "memory.events"));
  const usage = (name: string): Usage => ({
    limit: number(cgroup.read("memory", `memory.${name}max`)),
    usage: number(cgroup.read("memory", `memory.${name}current`)),
    max: number(cgroup.read("memory", `memory.${name}peak`)),
    failcnt: name === "" ? events.max ?? 0 : 0,
  });
  const nanos = (micros: number | undefined) => (micros ?? 0) * 1000;
  return {
    cpu: {
      usage: {
        total: nanos(cpu.usage_usec),
        percpu: [],
        kernel: nanos(cpu.system_usec),
        user: nanos(cpu.user_usec),
      },
      throttling: throttlingOf(cpu, nanos(cpu.throttled_usec)),
    },
    memory: {
      cache: raw.file ?? 0,
      usage: usage(""),
      swap: usage("swap."),
      raw,
    } as CgroupStatistics["memory"],
    blkio: { ioServiceBytesRecursive: ioOfV2(cgroup.read("io", "io.stat")) },
  };
}

function throttlingOf(stat: Readonly<Record<string, number>>, nanos: number) {
  return { periods: stat.nr_periods ?? 0, throttledPeriods: stat.nr_throttled ?? 0, throttledTime: nanos };
}

/** 0 where there is no such file, the largest there is for "max". */
function number(text: string | null): number {
  if (text === "max") return Number.MAX_SAFE_INTEGER;
  return Math.min(Number(text ?? 0) || 0, Number.MAX_SAFE_INTEGER);
}

/** Lines "name number". */
function keyed(text: string | null): Record<string, number> {
  const values: Record<string, number> = {};
  for (const line of (text ?? "").split("\n")) {
    const [name, value] = line.split(" ");
    if (value !== undefined) values[name] = Number(value);
  }
  return values;
}

/** Lines "8:0 Read 4096"; the last is a total without a device. */
function ioOfV1(text: string | null): IoEntry[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    return match === null
      ? []
      : [{ major: Number(match[1]), minor: Number(match[2]), op: match[3], value: Number(match[4]) }];
  });
}

/** Lines "8:0 rbytes=4096 wbytes=0 ...". */
function ioOfV2(text: string | null): IoEntry[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (match === null) return [];
    const [major, minor] = [Number(match[1]), Number(match[2])];
    const values = Object.fromEntries(match[3].split(" ").map((pair) => pair.split("=")));
    return [["Read", "rbytes"], ["Write", "wbytes"]].map(([op, key]) => ({
      major,
      minor,
      op,
      value: Number(values[key] ?? 0),
    }));
  });
}
