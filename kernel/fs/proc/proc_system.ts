// Files of /proc that are about the whole system: meminfo, cpuinfo, stat, uptime, loadavg, version ... Linux: fs/proc.

import type { Kernel } from "../../kernel.ts";
import { residentMemory } from "../../mm/residency.ts";
import { TaskState } from "../../task/task.ts";
import { nanosToTicks } from "../../task/usage.ts";
import { KERNEL_RELEASE, KERNEL_VERSION } from "../../abi/version.ts";
import { GeneratedFile, type StaticDirectory, VirtualLink } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";

/** Adds the files to /proc. */
export function addSystemFiles(fs: ProcFilesystem, root: StaticDirectory): void {
  const kernel = fs.kernel;
  const add = (name: string, text: () => string) => root.add(name, new GeneratedFile(fs, 0o444, text));
  add("cmdline", () => "BOOT_IMAGE=/vmlinuz quiet\n");
  add("cpuinfo", () => cpuinfo(kernel));
  add(
    "devices",
    () =>
      "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n",
  );
  add("filesystems", () => filesystems(kernel));
  add("loadavg", () => loadavg(fs));
  add("meminfo", () => meminfo(kernel));
  add("modules", () => "");
  add("partitions", () => "major minor  #blocks  name\n\n");
  add("stat", () => stat(fs));
  add("swaps", () => "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
  add("uptime", () => uptime(kernel));
  add("version", () => `Linux version ${KERNEL_RELEASE} (tsvisor) ${KERNEL_VERSION}\n`);
  add("diskstats", () => "");
  add("interrupts", () => `${" ".repeat(11)}${cpuColumns(kernel)}\n`);
  add("softirqs", () => `${" ".repeat(20)}${cpuColumns(kernel)}\n`);
  add("locks", () => "");
  add("key-users", () => "");
  add(
    "vmstat",
    () => `nr_free_pages ${Math.floor(kernel.memoryTotalBytes / 4096)}\npgfault 0\npgmajfault 0\n`,
  );
  root.add("mounts", new VirtualLink(fs, () => "self/mounts"));
  root.add("net", new VirtualLink(fs, () => "self/net"));
}

function cpuColumns(kernel: Kernel): string {
  return Array.from({ length: kernel.cpuCount }, (_, i) => `CPU${i}`.padEnd(11)).join("");
}

/** The host's processors, cut to those the sandbox has. */
function cpuinfo(kernel: Kernel): string {
  const blocks = kernel.cpuinfo.split("\n\n").filter((block) => block.startsWith("processor")).slice(
    0,
    kernel.cpuCount,
  );
  if (blocks.length > 0) return `${blocks.join("\n\n")}\n\n`;
  return Array.from({ length: kernel.cpuCount }, (_, i) => `processor\t: ${i}\nvendor_id\t: GenuineIntel\n\n`)
    .join("");
}

function filesystems(kernel: Kernel): string {
  let text = "nodev\tpipefs\nnodev\tsockfs\nnodev\tanon_inodefs\n";
  for (const type of kernel.filesystems.values()) {
    text += `${type.hasNoDevice ? "nodev" : ""}\t${type.name}\n`;
  }
  return text;
}

function loadavg(fs: ProcFilesystem): string {
  let running = 0;
  for (const task of fs.kernel.tasks.values()) if (task.state === TaskState.Running) running++;
  const load = "0.00 0.00 0.00";
  return `${load} ${running}/${fs.kernel.tasks.size} ${fs.pids.lastNumber}\n`;
}

function meminfo(kernel: Kernel): string {
  const total = Math.floor(kernel.memoryTotalBytes / 1024);
  let used = 0;
  const seen = new Set<unknown>();
  for (const task of kernel.tasks.values()) {
    if (task.hasExited || seen.has(task.mm)) continue;
    seen.add(task.mm);
    used += residentMemory(task).pages * 4;
  }
  const free = Math.max(0, total - used);
  const line = (name: string, kib: number) =>
    `${`${name}:`.padEnd(16)}${String(Math.floor(kib)).padStart(8)} kB\n`;
  return line("MemTotal", total) + line("MemFree", free) + line("MemAvailable", free) + line("Buffers", 0) +
    line("Cached", 0) + line("SwapCached", 0) + line("Active", used) + line("Inactive", 0) +
    line("Active(anon)", used) +
    line("Inactive(anon)", 0) + line("Active(file)", 0) + line("Inactive(file)", 0) + line("Unevictable", 0) +
    line("Mlocked", 0) + line("SwapTotal", 0) + line("SwapFree", 0) + line("Dirty", 0) +
    line("Writeback", 0) +
    line("AnonPages", used) + line("Mapped", 0) + line("Shmem", 0) + line("KReclaimable", 0) +
    line("Slab", 0) +
    line("SReclaimable", 0) + line("SUnreclaim", 0) + line("KernelStack", 0) + line("PageTables", 0) +
    line("CommitLimit", total) + line("Committed_AS", used) + line("VmallocTotal", 34359738367) +
    line("VmallocUsed", 0) + line("VmallocChunk", 0) +
    "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n" +
    line("Hugepagesize", 2048);
}

/** Processor time of all processes so far, nanoseconds. */
function busyNanos(kernel: Kernel): number {
  let nanos = 0;
  for (const task of kernel.tasks.values()) {
    if (task.threadGroup.leader === task) nanos += task.threadGroup.cpuNanos();
  }
  return nanos;
}

function stat(fs: ProcFilesystem): string {
  const kernel = fs.kernel;
  const busy = nanosToTicks(busyNanos(kernel));
  const all = nanosToTicks(kernel.clock.monotonic() - kernel.bootNanos) * kernel.cpuCount;
  const idle = Math.max(0, all - busy);
  let text = `cpu  ${busy} 0 0 ${idle} 0 0 0 0 0 0\n`;
  for (let cpu = 0; cpu < kernel.cpuCount; cpu++) {
    text += `cpu${cpu} ${Math.floor(busy / kernel.cpuCount)} 0 0 ${
      Math.floor(idle / kernel.cpuCount)
    } 0 0 0 0 0 0\n`;
  }
  let running = 0, blocked = 0;
  for (const task of kernel.tasks.values()) {
    if (task.state === TaskState.Running) running++;
    else if (task.state === TaskState.BlockedKillable) blocked++;
  }
  const boot = kernel.clock.realtime() - Math.floor((kernel.clock.monotonic() - kernel.bootNanos) / 1e9);
  return `${text}intr 0\nctxt 0\nbtime ${boot}\nprocesses ${fs.pids.lastNumber}\nprocs_running ${running}\nprocs_blocked ${blocked}\nsoftirq 0\n`;
}

function uptime(kernel: Kernel): string {
  const up = (kernel.clock.monotonic() - kernel.bootNanos) / 1e9;
  const idle = Math.max(0, up * kernel.cpuCount - busyNanos(kernel) / 1e9);
  return `${up.toFixed(2)} ${idle.toFixed(2)}\n`;
}
