// Files of /proc about the whole system: meminfo, cpuinfo, stat, uptime, loadavg, version and others. Linux: fs/proc.
// A sandbox has no hardware of its own: tables of devices, interrupts and drivers exist and are empty.

import type { Kernel } from "../../kernel.ts";
import { EPERM } from "../../abi/errno.ts";
import { residentMemory } from "../../mm/residency.ts";
import { KERNEL_RELEASE, KERNEL_VERSION } from "../../abi/version.ts";
import { CAP_SYSLOG } from "../../abi/task.ts";
import { type Task, TaskState } from "../../task/task.ts";
import { nanosToTicks } from "../../task/usage.ts";
import { GeneratedFile, StaticDirectory, VirtualLink } from "../virtual.ts";
import { Tmpfs } from "../tmpfs.ts";
import { busyNanos, loadAverages } from "./load.ts";
import type { ProcFilesystem } from "./proc.ts";
import { ipcDirectory } from "./proc_ipc.ts";
import { locksText } from "./proc_locks.ts";

/** Linux's files that a container without modules and drivers has. */
const SOFTIRQS = [
  "HI",
  "TIMER",
  "NET_TX",
  "NET_RX",
  "BLOCK",
  "IRQ_POLL",
  "TASKLET",
  "SCHED",
  "HRTIMER",
  "RCU",
];
const CGROUPS = ["cpuset", "cpu", "cpuacct", "memory", "devices", "freezer", "pids"];

/** Text that does not change. */
const FIXED: Readonly<Record<string, string>> = {
  cmdline: "BOOT_IMAGE=/vmlinuz quiet\n",
  crypto: "",
  devices:
    "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n",
  diskstats: "",
  dma: "",
  execdomains: "0-0\tLinux           \t[kernel]\n",
  fb: "",
  iomem: "",
  ioports: "",
  keys: "",
  misc: "",
  // Addresses are zeros, as for all but the root of a host.
  kallsyms: "0000000000000000 T _stext\n0000000000000000 T _text\n0000000000000000 T _etext\n",
  modules: "",
  mtrr: "",
  partitions: "major minor  #blocks  name\n\n",
  swaps: "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
};

/** Adds the files to /proc. */
export function addSystemFiles(fs: ProcFilesystem, root: StaticDirectory): void {
  const { kernel } = fs;
  const add = (name: string, text: (reader: Task) => string | number, mode = 0o444, parent = root) =>
    parent.add(name, new GeneratedFile(fs, mode, text));
  for (const [name, text] of Object.entries(FIXED)) add(name, () => text);
  add("buddyinfo", () => buddyinfo(kernel));
  add("cgroups", cgroups);
  add("consoles", consoles);
  add("cpuinfo", () => cpuinfo(kernel));
  add("filesystems", () => filesystems(kernel));
  add("interrupts", () => `${" ".repeat(11)}${cpuColumns(kernel)}\n`);
  add("key-users", () => keyUsers(kernel));
  // Linux: a read waits for the next message (do_syslog()); here it ends at once, as none would come.
  add("kmsg", (reader) => reader.credentials.has(CAP_SYSLOG) ? "" : -EPERM, 0o400);
  add("loadavg", () => loadavg(fs));
  add("locks", () => locksText(fs));
  add("meminfo", () => meminfo(kernel));
  add("softirqs", () => softirqs(kernel));
  add("stat", () => stat(fs));
  add("uptime", () => uptime(kernel));
  add("version", () => `Linux version ${KERNEL_RELEASE} (tsvisor) ${KERNEL_VERSION}\n`);
  add("vmstat", () => vmstat(kernel));
  root.add("mounts", new VirtualLink(fs, () => "self/mounts"));
  root.add("net", new VirtualLink(fs, () => "self/net"));
  root.add("sysvipc", ipcDirectory(fs));
  for (const name of ["bus", "driver", "fs", "irq"]) root.add(name, new StaticDirectory(fs));
  const pressure = root.add("pressure", new StaticDirectory(fs));
  for (const name of ["cpu", "io", "memory"]) add(name, pressureText, 0o444, pressure);
  const tty = root.add("tty", new StaticDirectory(fs));
  add("drivers", ttyDrivers, 0o444, tty);
  add("ldiscs", () => "n_tty       0\n", 0o444, tty);
}

function cpuColumns(kernel: Kernel): string {
  return Array.from({ length: kernel.cpuCount }, (_, i) => `CPU${i}`.padEnd(11)).join("");
}

/** The host's processors, limited to the sandbox's number. */
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
  for (const type of kernel.vfs.registry.filesystems.values()) {
    text += `${type.hasNoDevice ? "nodev" : ""}\t${type.name}\n`;
  }
  return text;
}

function cgroups(): string {
  let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n";
  for (const name of CGROUPS) text += `${name}\t0\t1\t1\n`;
  return text;
}

/** proc_consoles(5): the container's terminal, when it has one. */
function consoles(task: Task): string {
  const { terminal } = task.threadGroup.container;
  return terminal === null ? "" : `${terminal.name.padEnd(21)}-W- (EC  p  )  136:${terminal.index}\n`;
}

function ttyDrivers(): string {
  return "/dev/tty             /dev/tty        5       0 system:/dev/tty\n" +
    "/dev/console         /dev/console    5       1 system:console\n" +
    "/dev/ptmx            /dev/ptmx       5       2 system\n" +
    "pty_slave            /dev/pts      136 0-1048575 pty:slave\n" +
    "pty_master           /dev/ptm      128 0-1048575 pty:master\n";
}

/** proc_key-users(5). There are no keys. */
function keyUsers(kernel: Kernel): string {
  let text = "";
  for (const uid of [...kernel.users.keys()].sort((a, b) => a - b)) {
    const quota = uid === 0 ? "0/1000000 0/25000000" : "0/200 0/20000";
    text += `${String(uid).padStart(5)}: ${"0".padStart(5)} 0/0 ${quota}\n`;
  }
  return text;
}

function loadavg(fs: ProcFilesystem): string {
  const { running, count } = taskCounts(fs.kernel);
  const load = loadAverages(fs.kernel).map((average) => average.toFixed(2)).join(" ");
  return `${load} ${running}/${count} ${fs.pids.lastNumber}\n`;
}

function taskCounts(kernel: Kernel): { running: number; blocked: number; count: number; switches: number } {
  let running = 0, blocked = 0, switches = 0;
  for (const task of kernel.tasks.values()) {
    if (task.state === TaskState.Running) running++;
    else if (task.state === TaskState.BlockedKillable) blocked++;
    switches += task.blockCount;
  }
  return { running, blocked, count: kernel.tasks.size, switches };
}

/** Memory in KiB: resident in processes, and in memory files. */
export function memoryUse(kernel: Kernel): { total: number; free: number; resident: number; files: number } {
  const total = Math.floor(kernel.memoryTotalBytes / 1024);
  let resident = 0, files = 0;
  const seen = new Set<unknown>();
  for (const task of kernel.tasks.values()) {
    if (task.hasExited) continue;
    if (!seen.has(task.mm)) resident += residentMemory(task).pages * 4;
    seen.add(task.mm);
    const { mount } = task.namespaces;
    if (seen.has(mount)) continue;
    seen.add(mount);
    for (const { fs } of mount.mounts()) {
      if (fs instanceof Tmpfs && !seen.has(fs)) files += Math.ceil(fs.bytesUsed / 1024);
      seen.add(fs);
    }
  }
  return { total, free: Math.max(0, total - resident - files), resident, files };
}

function meminfo(kernel: Kernel): string {
  const { total, free, resident, files } = memoryUse(kernel);
  const lines: readonly (readonly [string, number])[] = [
    ["MemTotal", total],
    ["MemFree", free],
    ["MemAvailable", free],
    ["Buffers", 0],
    ["Cached", files],
    ["SwapCached", 0],
    ["Active", resident],
    ["Inactive", files],
    ["Active(anon)", resident],
    ["Inactive(anon)", files],
    ["Active(file)", 0],
    ["Inactive(file)", 0],
    ["Unevictable", 0],
    ["Mlocked", 0],
    ["SwapTotal", 0],
    ["SwapFree", 0],
    ["Zswap", 0],
    ["Zswapped", 0],
    ["Dirty", 0],
    ["Writeback", 0],
    ["AnonPages", resident],
    ["Mapped", 0],
    ["Shmem", files],
    ["KReclaimable", 0],
    ["Slab", 0],
    ["SReclaimable", 0],
    ["SUnreclaim", 0],
    ["KernelStack", 0],
    ["PageTables", 0],
    ["SecPageTables", 0],
    ["NFS_Unstable", 0],
    ["Bounce", 0],
    ["WritebackTmp", 0],
    ["CommitLimit", total],
    ["Committed_AS", resident + files],
    ["VmallocTotal", 34359738367],
    ["VmallocUsed", 0],
    ["VmallocChunk", 0],
    ["Percpu", 0],
    ["AnonHugePages", 0],
    ["ShmemHugePages", 0],
    ["ShmemPmdMapped", 0],
    ["FileHugePages", 0],
    ["FilePmdMapped", 0],
  ];
  const text = lines.map(([name, kib]) => `${`${name}:`.padEnd(16)}${String(kib).padStart(8)} kB\n`).join("");
  const counts = ["Total", "Free", "Rsvd", "Surp"].map((name) => `HugePages_${name}:       0\n`).join("");
  return `${text}${counts}Hugepagesize:       2048 kB\nHugetlb:               0 kB\n`;
}

/** Free memory, shown as one zone of blocks of the largest order. */
function buddyinfo(kernel: Kernel): string {
  const blocks = Math.floor(memoryUse(kernel).free / 4096);
  const columns = [...new Array(10).fill(0), blocks].map((count) => `${String(count).padStart(6)} `).join("");
  return `Node 0, zone   Normal ${columns}\n`;
}

function vmstat(kernel: Kernel): string {
  const { free, resident, files } = memoryUse(kernel);
  const pages = (kib: number) => Math.floor(kib / 4);
  const values: readonly (readonly [string, number])[] = [
    ["nr_free_pages", pages(free)],
    ["nr_inactive_anon", pages(files)],
    ["nr_active_anon", pages(resident)],
    ["nr_inactive_file", 0],
    ["nr_active_file", 0],
    ["nr_unevictable", 0],
    ["nr_mlock", 0],
    ["nr_anon_pages", pages(resident)],
    ["nr_mapped", 0],
    ["nr_file_pages", pages(files)],
    ["nr_dirty", 0],
    ["nr_writeback", 0],
    ["nr_shmem", pages(files)],
    ["pgpgin", 0],
    ["pgpgout", 0],
    ["pswpin", 0],
    ["pswpout", 0],
    ["pgalloc_normal", 0],
    ["pgfree", 0],
    ["pgfault", 0],
    ["pgmajfault", 0],
    ["oom_kill", 0],
  ];
  return values.map(([name, value]) => `${name} ${value}\n`).join("");
}

function stat(fs: ProcFilesystem): string {
  const { kernel } = fs;
  const cpus = kernel.cpuCount;
  const busy = nanosToTicks(busyNanos(kernel));
  const idle = Math.max(0, nanosToTicks(kernel.clock.monotonic() - kernel.bootNanos) * cpus - busy);
  let text = `cpu  ${busy} 0 0 ${idle} 0 0 0 0 0 0\n`;
  for (let cpu = 0; cpu < cpus; cpu++) {
    text += `cpu${cpu} ${Math.floor(busy / cpus)} 0 0 ${Math.floor(idle / cpus)} 0 0 0 0 0 0\n`;
  }
  const { running, blocked, switches } = taskCounts(kernel);
  const boot = kernel.clock.realtime() - Math.floor((kernel.clock.monotonic() - kernel.bootNanos) / 1e9);
  return `${text}intr 0\nctxt ${switches}\nbtime ${boot}\nprocesses ${fs.pids.lastNumber}\n` +
    `procs_running ${running}\nprocs_blocked ${blocked}\nsoftirq 0${" 0".repeat(SOFTIRQS.length)}\n`;
}

function softirqs(kernel: Kernel): string {
  let text = `${" ".repeat(20)}${cpuColumns(kernel)}\n`;
  const zeros = " ".repeat(10) + "0";
  for (const name of SOFTIRQS) text += `${`${name}:`.padStart(13)}${zeros.repeat(kernel.cpuCount)}\n`;
  return text;
}

/** proc_pressure(5): stalls happen in the host's kernel and are not known here: zeros. */
function pressureText(): string {
  return ["some", "full"].map((kind) => `${kind} avg10=0.00 avg60=0.00 avg300=0.00 total=0\n`).join("");
}

function uptime(kernel: Kernel): string {
  const up = (kernel.clock.monotonic() - kernel.bootNanos) / 1e9;
  const idle = Math.max(0, up * kernel.cpuCount - busyNanos(kernel) / 1e9);
  return `${up.toFixed(2)} ${idle.toFixed(2)}\n`;
}
