// What linux.resources asks for as files of cgroup v1. Linux' own: Documentation/admin-guide/cgroup-v1/.

import type { Resources } from "../oci/resources.ts";
import { decimal, OWN_TASKS_MAX, type ReadSetting, type Setting, SettingList } from "./settings.ts";

/** In the order in which the host takes them. Throws one line for what v1 cannot have. */
export function settingsOfV1(resources: Resources, read: ReadSetting): Setting[] {
  const list = new SettingList();
  cpuset(list, resources);
  devices(list, resources);
  memory(list, resources, read);
  cpu(list, resources);
  const pids = resources.pids?.limit ?? 0;
  if (pids !== 0) {
    list.add("pids.limit", "pids", "pids.max", pids > 0 ? decimal(pids + OWN_TASKS_MAX) : "max");
  }
  blockIo(list, resources);
  for (const [i, { pageSize, limit }] of (resources.hugepageLimits ?? []).entries()) {
    list.add(`hugepageLimits[${i}]`, "hugetlb", `hugetlb.${pageSize}.limit_in_bytes`, decimal(limit));
  }
  list.amount("network.classID", "net_cls", "net_cls.classid", resources.network?.classID);
  for (const [i, { name, priority }] of (resources.network?.priorities ?? []).entries()) {
    list.add(`network.priorities[${i}]`, "net_prio", "net_prio.ifpriomap", `${name} ${decimal(priority)}`);
  }
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(resources.rdma ?? {})) {
    const parts = [device];
    if (hcaHandles !== undefined) parts.push(`hca_handle=${decimal(hcaHandles)}`);
    if (hcaObjects !== undefined) parts.push(`hca_object=${decimal(hcaObjects)}`);
    list.add(`rdma.${device}`, "rdma", "rdma.max", parts.join(" "));
  }
  const unified = Object.keys(resources.unified ?? {})[0];
  if (unified !== undefined) {
    throw new Error(`linux.resources.unified: "${unified}" cannot be set, the host has cgroup v1`);
  }
  return list.settings;
}

/** Without processors and nodes a v1 cgroup takes no process, so these come first. */
function cpuset(list: SettingList, { cpu }: Resources): void {
  if (cpu?.cpus) list.add("cpu.cpus", "cpuset", "cpuset.cpus", cpu.cpus);
  if (cpu?.mems) list.add("cpu.mems", "cpuset", "cpuset.mems", cpu.mems);
}

/** As runc: what every container may use. (mknod of any, null, zero, full, random, urandom, tty, console, ptmx, pts.) */
const DEVICES_ALLOWED = [
  ...["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm"],
  ...["c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"],
];

/** A guest has no device of the host; what is held here is the gofer, where a bind mount has some. */
function devices(list: SettingList, resources: Resources): void {
  const rules = resources.devices ?? [];
  if (rules.length === 0) return;
  for (const [i, { allow, type, major, minor, access }] of rules.entries()) {
    const number = (value: number | undefined) => value === undefined || value < 0 ? "*" : String(value);
    const isAll = (type === undefined || type === "a") && number(major) === "*" && number(minor) === "*";
    const rule = isAll ? "a" : `${type ?? "a"} ${number(major)}:${number(minor)} ${access ?? "rwm"}`;
    list.add(`devices[${i}]`, "devices", allow ? "devices.allow" : "devices.deny", rule);
  }
  for (const rule of DEVICES_ALLOWED) list.add("devices", "devices", "devices.allow", rule);
}

const LIMIT = "memory.limit_in_bytes", LIMIT_WITH_SWAP = "memory.memsw.limit_in_bytes";

/** The limit with swap is never below the one without, so which is first depends on what is there. */
function memory(list: SettingList, { memory }: Resources, read: ReadSetting): void {
  if (memory === undefined) return;
  const { limit = 0 } = memory;
  // As runc: no limit of memory means none of memory and swap.
  const swap = memory.swap ?? 0, withSwap = swap === 0 && limit === -1 ? -1 : swap;
  const hasSwap = swap !== 0 || read("memory", LIMIT_WITH_SWAP) !== null;
  if (memory.checkBeforeUpdate === true && limit > 0) {
    const usage = Number(read("memory", "memory.usage_in_bytes") ?? 0);
    if (usage > limit) {
      throw new Error(`linux.resources.memory.limit: ${limit} is below what is in use, ${usage} bytes`);
    }
  }
  const present = Number(read("memory", LIMIT_WITH_SWAP) ?? Infinity);
  const isRaised = withSwap === -1 || withSwap > present || limit === -1;
  const setLimit = () => list.amount("memory.limit", "memory", LIMIT, limit);
  const setWithSwap = () => {
    if (hasSwap) list.amount("memory.swap", "memory", LIMIT_WITH_SWAP, withSwap);
  };
  if (isRaised) setWithSwap();
  setLimit();
  if (!isRaised) setWithSwap();
  list.amount("memory.reservation", "memory", "memory.soft_limit_in_bytes", memory.reservation);
  list.amount("memory.kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", memory.kernelTCP);
  // 0 is a value here.
  if (memory.swappiness !== undefined && memory.swappiness >= 0) {
    list.add("memory.swappiness", "memory", "memory.swappiness", decimal(memory.swappiness));
  }
  if (memory.disableOOMKiller === true) {
    list.add("memory.disableOOMKiller", "memory", "memory.oom_control", "1");
  }
}

function cpu(list: SettingList, { cpu }: Resources): void {
  if (cpu === undefined) return;
  list.amount("cpu.shares", "cpu", "cpu.shares", cpu.shares);
  list.amount("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", cpu.realtimePeriod);
  list.amount("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", cpu.realtimeRuntime);
  list.amount("cpu.period", "cpu", "cpu.cfs_period_us", cpu.period);
  list.amount("cpu.quota", "cpu", "cpu.cfs_quota_us", cpu.quota);
  list.amount("cpu.burst", "cpu", "cpu.cfs_burst_us", cpu.burst);
  if (cpu.idle !== undefined) list.add("cpu.idle", "cpu", "cpu.idle", decimal(cpu.idle));
}

function blockIo(list: SettingList, { blockIO }: Resources): void {
  if (blockIO === undefined) return;
  const add = (field: string, file: string | string[], value: string) =>
    list.add(`blockIO.${field}`, "blkio", file, value);
  list.amount("blockIO.weight", "blkio", ["blkio.weight", "blkio.bfq.weight"], blockIO.weight);
  list.amount("blockIO.leafWeight", "blkio", "blkio.leaf_weight", blockIO.leafWeight);
  for (const [i, { major, minor, weight, leafWeight }] of (blockIO.weightDevice ?? []).entries()) {
    const files = ["blkio.weight_device", "blkio.bfq.weight_device"];
    if (weight) add(`weightDevice[${i}].weight`, files, `${major}:${minor} ${decimal(weight)}`);
    if (leafWeight) {
      add(
        `weightDevice[${i}].leafWeight`,
        "blkio.leaf_weight_device",
        `${major}:${minor} ${decimal(leafWeight)}`,
      );
    }
  }
  const throttles = [
    ["throttleReadBpsDevice", "blkio.throttle.read_bps_device"],
    ["throttleWriteBpsDevice", "blkio.throttle.write_bps_device"],
    ["throttleReadIOPSDevice", "blkio.throttle.read_iops_device"],
    ["throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"],
  ] as const;
  for (const [name, file] of throttles) {
    for (const [i, { major, minor, rate }] of (blockIO[name] ?? []).entries()) {
      add(`${name}[${i}]`, file, `${major}:${minor} ${decimal(rate)}`);
    }
  }
}
