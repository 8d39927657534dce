// What linux.resources, whose words are those of cgroup v1, asks for as files of cgroup v2. Linux' own:
// Documentation/admin-guide/cgroup-v2.rst; the conversions are those of runc and crun.

import type { Resources } from "../oci/resources.ts";
import {
  decimal,
  OWN_TASKS_MAX,
  type ReadSetting,
  RESOURCES,
  type Setting,
  SettingList,
} from "./settings.ts";

/** Longest period of cpu.max where none is given, microseconds. */
const PERIOD_MICROS = 100_000;

/** In the order in which the host takes them. Throws one line for what cannot be. */
export function settingsOfV2(resources: Resources, read: ReadSetting): Setting[] {
  const list = new SettingList();
  const { cpu, pids } = resources;
  if (cpu?.cpus) list.add("cpu.cpus", "cpuset", "cpuset.cpus", cpu.cpus);
  if (cpu?.mems) list.add("cpu.mems", "cpuset", "cpuset.mems", cpu.mems);
  memory(list, resources, read);
  list.amount("cpu.shares", "cpu", "cpu.weight", cpu?.shares, weightOfShares);
  const most = cpuMax(resources, read);
  if (most !== null) list.add(cpu?.quota ? "cpu.quota" : "cpu.period", "cpu", "cpu.max", most);
  list.amount("cpu.burst", "cpu", "cpu.max.burst", cpu?.burst);
  if (cpu?.idle !== undefined) list.add("cpu.idle", "cpu", "cpu.idle", decimal(cpu.idle));
  list.amount(
    "pids.limit",
    "pids",
    "pids.max",
    pids?.limit,
    (limit) => limit < 0 ? "max" : decimal(limit + OWN_TASKS_MAX),
  );
  blockIo(list, resources, read);
  for (const [i, { pageSize, limit }] of (resources.hugepageLimits ?? []).entries()) {
    list.add(`hugepageLimits[${i}]`, "hugetlb", `hugetlb.${pageSize}.max`, decimal(limit));
  }
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(resources.rdma ?? {})) {
    const parts = [device];
    if (hcaHandles !== undefined) parts.push(`hca_handle=${decimal(hcaHandles)}`);
    if (hcaObjects !== undefined) parts.push(`hca_object=${decimal(hcaObjects)}`);
    list.add(`rdma.${device}`, "rdma", "rdma.max", parts.join(" "));
  }
  for (const [file, value] of Object.entries(resources.unified ?? {})) {
    list.add(`unified.${file}`, file.split(".")[0], file, value);
  }
  return list.settings;
}

/** Fields that v2 has no file for. (Rules for devices are a BPF program there; a guest has no device of the host.) */
export function missingInV2({ memory, cpu, blockIO, network, devices }: Resources): string[] {
  const asked: readonly (readonly [string, unknown])[] = [
    ["memory.kernelTCP", memory?.kernelTCP],
    ["memory.swappiness", memory?.swappiness],
    ["memory.disableOOMKiller", memory?.disableOOMKiller],
    ["cpu.realtimeRuntime", cpu?.realtimeRuntime],
    ["cpu.realtimePeriod", cpu?.realtimePeriod],
    ["blockIO.leafWeight", blockIO?.leafWeight],
    ["network.classID", network?.classID],
    ["network.priorities", network?.priorities?.length],
    ["devices", devices?.length],
  ];
  return asked.filter(([, value]) => value !== undefined && value !== 0 && value !== false)
    .map(([field]) => `${RESOURCES}.${field}`);
}

function memory(list: SettingList, { memory }: Resources, read: ReadSetting): void {
  if (memory === undefined) return;
  const { limit = 0, swap = 0, reservation } = memory;
  if (memory.checkBeforeUpdate === true && limit > 0) {
    const usage = Number(read("memory", "memory.current") ?? 0);
    if (usage > limit) {
      throw new Error(`linux.resources.memory.limit: ${limit} is below what is in use, ${usage} bytes`);
    }
  }
  const most = (value: number) => value < 0 ? "max" : decimal(value);
  list.amount("memory.reservation", "memory", "memory.low", reservation, most);
  list.amount("memory.limit", "memory", "memory.max", limit, most);
  // Of v1 it is memory and swap together, of v2 swap alone.
  if (swap > 0 && limit <= 0) {
    throw new Error(`linux.resources.memory.swap: ${swap} needs a memory.limit, the host has cgroup v2`);
  }
  if (swap > 0 && swap < limit) {
    throw new Error(`linux.resources.memory.swap: ${swap} is below the limit of memory, ${limit}`);
  }
  if (swap === 0 && limit !== -1) return;
  const swapMost = swap > 0 ? decimal(swap - limit) : "max";
  // Without swap there is no such file, and nothing to hold.
  const isMoot = swapMost === "0" || swapMost === "max";
  if (isMoot && read("memory", "memory.swap.max") === null) return;
  list.add("memory.swap", "memory", "memory.swap.max", swapMost);
}

/** "quota period": what is not asked for stays as it is. */
function cpuMax({ cpu }: Resources, read: ReadSetting): string | null {
  const quota = cpu?.quota ?? 0, period = cpu?.period ?? 0;
  if (quota === 0 && period === 0) return null;
  const [ownQuota = "max", ownPeriod = String(PERIOD_MICROS)] = (read("cpu", "cpu.max") ?? "").split(" ")
    .filter((word) => word !== "");
  const most = quota > 0 ? decimal(quota) : quota < 0 ? "max" : ownQuota;
  return `${most} ${period > 0 ? decimal(period) : ownPeriod}`;
}

/** 2..262144 becomes 1..10000. */
function weightOfShares(shares: number): string {
  const bounded = Math.min(262_144, Math.max(2, shares));
  return String(1 + Math.floor((bounded - 2) * 9999 / 262_142));
}

function blockIo(list: SettingList, { blockIO }: Resources, read: ReadSetting): void {
  if (blockIO === undefined) return;
  if (blockIO.weight) {
    const hasBfq = read("io", "io.bfq.weight") !== null;
    // 10..1000 becomes 1..10000.
    const weight = hasBfq ? blockIO.weight : 1 + Math.floor((blockIO.weight - 10) * 9999 / 990);
    list.add("blockIO.weight", "io", hasBfq ? "io.bfq.weight" : "io.weight", decimal(weight));
  }
  for (const [i, { major, minor, weight }] of (blockIO.weightDevice ?? []).entries()) {
    if (!weight) continue;
    list.add(`blockIO.weightDevice[${i}]`, "io", "io.bfq.weight", `${major}:${minor} ${decimal(weight)}`);
  }
  const throttles = [
    ["throttleReadBpsDevice", "rbps"],
    ["throttleWriteBpsDevice", "wbps"],
    ["throttleReadIOPSDevice", "riops"],
    ["throttleWriteIOPSDevice", "wiops"],
  ] as const;
  for (const [name, key] of throttles) {
    for (const [i, { major, minor, rate }] of (blockIO[name] ?? []).entries()) {
      list.add(`blockIO.${name}[${i}]`, "io", "io.max", `${major}:${minor} ${key}=${decimal(rate)}`);
    }
  }
}
