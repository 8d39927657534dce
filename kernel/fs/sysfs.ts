// sysfs: the part of /sys that programs read to find processors, memory nodes and kernel settings. Linux: sysfs(5),
// Documentation/ABI. There is no hardware: buses, classes and modules are empty directories.

import { KERNEL_RELEASE } from "../abi/version.ts";
import type { Kernel } from "../kernel.ts";
import type { Task } from "../task/task.ts";
import type { Filesystem, FilesystemType } from "../vfs/filesystem.ts";
import { memoryUse } from "./proc/proc_system.ts";
import { cpuList, cpuMask } from "./proc/proc_status.ts";
import { GeneratedFile, LateDirectory, StaticDirectory, VirtualFilesystem } from "./virtual.ts";

const SYSFS_MAGIC = 0x6265_6572;

export const SYSFS_TYPE: FilesystemType = {
  name: "sysfs",
  hasNoDevice: true,
  isUserMountable: true,
  mount: mountSysfs,
};

/** Empty directories. */
// deno-fmt-ignore
const EMPTY = [
  "block", "bus", "class/block", "class/mem", "class/misc", "class/net", "class/tty", "dev/block", "dev/char",
  "devices/virtual", "firmware", "fs/bpf", "fs/cgroup", "fs/pstore", "hypervisor", "kernel/debug", "kernel/security",
  "kernel/tracing", "module", "power",
];

/** Files with a constant text, without its newline. */
const FIXED: Readonly<Record<string, string>> = {
  "devices/system/clocksource/clocksource0/available_clocksource": "tsc ",
  "devices/system/clocksource/clocksource0/current_clocksource": "tsc",
  "devices/virtual/dmi/id/product_name": "tsvisor",
  "devices/virtual/dmi/id/product_version": KERNEL_RELEASE,
  "devices/virtual/dmi/id/sys_vendor": "tsvisor",
  "kernel/address_bits": "64",
  "kernel/cpu_byteorder": "little",
  "kernel/fscaps": "1",
  "kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "0",
  "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0",
  "kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages": "0",
  "kernel/mm/hugepages/hugepages-2048kB/resv_hugepages": "0",
  "kernel/mm/hugepages/hugepages-2048kB/surplus_hugepages": "0",
  "kernel/mm/ksm/run": "0",
  "kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never",
  "kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
  "kernel/mm/transparent_hugepage/hpage_pmd_size": "2097152",
  "kernel/mm/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force",
  "kernel/profiling": "0",
  "kernel/uevent_seqnum": "0",
};

function mountSysfs(task: Task, _source: string, _options: string): Filesystem | number {
  const { kernel } = task;
  const fs = new VirtualFilesystem(kernel, "sysfs", SYSFS_MAGIC);
  fs.setRoot(new SysfsRoot(fs, kernel));
  return fs;
}

class SysfsRoot extends LateDirectory {
  readonly #kernel: Kernel;

  constructor(fs: VirtualFilesystem, kernel: Kernel) {
    super(fs);
    this.#kernel = kernel;
  }

  protected override fill(): void {
    const tree = new Tree(this.fs, this);
    for (const path of EMPTY) tree.directory(path);
    for (const [path, text] of Object.entries(FIXED)) tree.file(path, () => text);
    addProcessors(tree, this.#kernel.cpuCount);
    addNode(tree, this.#kernel);
  }
}

/** Builds directories and files by path. */
class Tree {
  readonly #fs: VirtualFilesystem;
  readonly #root: StaticDirectory;

  constructor(fs: VirtualFilesystem, root: StaticDirectory) {
    this.#fs = fs;
    this.#root = root;
  }

  directory(path: string): StaticDirectory {
    let at = this.#root;
    for (const name of path.split("/")) {
      const found = at.lookup(name);
      at = found instanceof StaticDirectory ? found : at.add(name, new StaticDirectory(this.#fs, 0o755));
    }
    return at;
  }

  file(path: string, text: () => string): void {
    const slash = path.lastIndexOf("/");
    const file = new GeneratedFile(this.#fs, 0o444, () => `${text()}\n`);
    this.directory(path.slice(0, slash)).add(path.slice(slash + 1), file);
  }
}

function addProcessors(tree: Tree, count: number): void {
  const cpus = Array.from({ length: count }, (_, cpu) => cpu);
  const base = "devices/system/cpu";
  const file = (path: string, text: string) => tree.file(`${base}/${path}`, () => text);
  for (const name of ["online", "possible", "present"]) file(name, cpuList(cpus));
  for (const name of ["offline", "isolated", "nohz_full"]) file(name, "");
  file("kernel_max", "8191");
  file("smt/active", "0");
  file("smt/control", "notsupported");
  for (const cpu of cpus) {
    if (cpu > 0) file(`cpu${cpu}/online`, "1");
    tree.directory(`${base}/cpu${cpu}/node0`);
    const topology = (name: string, text: string) => file(`cpu${cpu}/topology/${name}`, text);
    topology("core_id", String(cpu));
    topology("die_id", "0");
    topology("physical_package_id", "0");
    for (const name of ["core_siblings", "package_cpus", "die_cpus"]) topology(name, cpuMask(cpus, count));
    for (const name of ["core_siblings_list", "package_cpus_list", "die_cpus_list"]) {
      topology(name, cpuList(cpus));
    }
    for (const name of ["thread_siblings", "core_cpus"]) topology(name, cpuMask([cpu], count));
    for (const name of ["thread_siblings_list", "core_cpus_list"]) topology(name, String(cpu));
  }
}

function addNode(tree: Tree, kernel: Kernel): void {
  const cpus = Array.from({ length: kernel.cpuCount }, (_, cpu) => cpu);
  const base = "devices/system/node";
  for (const name of ["online", "possible", "has_cpu", "has_memory", "has_normal_memory"]) {
    tree.file(`${base}/${name}`, () => "0");
  }
  tree.file(`${base}/node0/cpulist`, () => cpuList(cpus));
  tree.file(`${base}/node0/cpumap`, () => cpuMask(cpus, cpus.length));
  tree.file(`${base}/node0/distance`, () => "10");
  for (const cpu of cpus) tree.directory(`${base}/node0/cpu${cpu}`);
  tree.file(`${base}/node0/meminfo`, () => {
    const { total, free } = memoryUse(kernel);
    const line = (name: string, kib: number) =>
      `Node 0 ${`${name}:`.padEnd(15)}${String(kib).padStart(8)} kB`;
    return `${line("MemTotal", total)}\n${line("MemFree", free)}\n${line("MemUsed", total - free)}`;
  });
  const names = ["numa_hit", "numa_miss", "numa_foreign", "interleave_hit", "local_node", "other_node"];
  tree.file(`${base}/node0/numastat`, () => names.map((name) => `${name} 0`).join("\n"));
}
