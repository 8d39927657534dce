// sysfs: the little of /sys that programs look at to find processors and memory nodes. Linux: sysfs(5).

import type { Task } from "../task/task.ts";
import type { Filesystem, FilesystemType } from "../vfs/filesystem.ts";
import { GeneratedFile, StaticDirectory, VirtualFilesystem } from "./virtual.ts";

const SYSFS_MAGIC = 0x6265_6572;

export const SYSFS_TYPE: FilesystemType = {
  name: "sysfs",
  hasNoDevice: true,
  isUserMountable: true,
  mount: mountSysfs,
};

function mountSysfs(task: Task, _source: string, _options: string): Filesystem | number {
  const fs = new VirtualFilesystem("sysfs", SYSFS_MAGIC, task.kernel.clock);
  const root = new StaticDirectory(fs);
  fs.setRoot(root);
  const directory = (parent: StaticDirectory, name: string) =>
    parent.add(name, new StaticDirectory(fs, 0o755));
  const file = (parent: StaticDirectory, name: string, text: string) =>
    parent.add(name, new GeneratedFile(fs, 0o444, () => `${text}\n`));
  for (const name of ["block", "bus", "dev", "firmware", "module", "power"]) directory(root, name);
  directory(directory(root, "class"), "net");
  directory(directory(root, "fs"), "cgroup");
  directory(directory(root, "kernel"), "mm");
  const system = directory(directory(root, "devices"), "system");
  addProcessors(directory(system, "cpu"), task.kernel.cpuCount, directory, file);
  addNode(directory(system, "node"), task.kernel.cpuCount, task.kernel.memoryTotalBytes, directory, file);
  return fs;
}

type MakeDirectory = (parent: StaticDirectory, name: string) => StaticDirectory;
type MakeFile = (parent: StaticDirectory, name: string, text: string) => void;

function cpuList(count: number): string {
  return count === 1 ? "0" : `0-${count - 1}`;
}

function addProcessors(cpu: StaticDirectory, count: number, directory: MakeDirectory, file: MakeFile): void {
  for (const name of ["online", "possible", "present"]) file(cpu, name, cpuList(count));
  file(cpu, "offline", "");
  file(cpu, "isolated", "");
  file(cpu, "kernel_max", "8191");
  for (let i = 0; i < count; i++) {
    const one = directory(cpu, `cpu${i}`);
    const topology = directory(one, "topology");
    const mask = (1 << i >>> 0).toString(16);
    file(topology, "core_id", String(i));
    file(topology, "physical_package_id", "0");
    file(topology, "core_siblings", ((1 << count) - 1 >>> 0).toString(16));
    file(topology, "core_siblings_list", cpuList(count));
    file(topology, "thread_siblings", mask);
    file(topology, "thread_siblings_list", String(i));
    if (i > 0) file(one, "online", "1");
  }
}

function addNode(
  node: StaticDirectory,
  cpus: number,
  memoryBytes: number,
  directory: MakeDirectory,
  file: MakeFile,
): void {
  file(node, "online", "0");
  file(node, "possible", "0");
  file(node, "has_memory", "0");
  const zero = directory(node, "node0");
  file(zero, "cpulist", cpuList(cpus));
  file(zero, "cpumap", ((1 << cpus) - 1 >>> 0).toString(16));
  file(zero, "distance", "10");
  const kib = Math.floor(memoryBytes / 1024);
  file(zero, "meminfo", `Node 0 MemTotal:       ${kib} kB\nNode 0 MemFree:        ${kib} kB`);
}
