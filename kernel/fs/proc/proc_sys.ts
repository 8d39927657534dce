// /proc/sys: kernel parameters. Linux: sysctl(8), Documentation/admin-guide/sysctl.

import { EINVAL, EPERM } from "../../abi/errno.ts";
import { CAP_SYS_ADMIN } from "../../abi/task.ts";
import { KERNEL_RELEASE, KERNEL_SYSNAME, KERNEL_VERSION } from "../../abi/version.ts";
import { MAPPINGS_MAX } from "../../mm/limits.ts";
import { PID_MAX } from "../../task/namespaces.ts";
import { NR_OPEN } from "../../task/rlimits.ts";
import type { Task } from "../../task/task.ts";
import { type Accept, type Generate, GeneratedFile, StaticDirectory } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";

/** Adds /proc/sys to /proc. */
export function addSysctls(fs: ProcFilesystem, root: StaticDirectory): void {
  const sys = root.add("sys", new StaticDirectory(fs));
  const directory = (parent: StaticDirectory, name: string) => parent.add(name, new StaticDirectory(fs));
  const file = (parent: StaticDirectory, name: string, text: Generate, accept: Accept | null = null) =>
    parent.add(name, new GeneratedFile(fs, accept === null ? 0o444 : 0o644, text, accept));

  const kernel = directory(sys, "kernel");
  file(kernel, "ostype", () => `${KERNEL_SYSNAME}\n`);
  file(kernel, "osrelease", () => `${KERNEL_RELEASE}\n`);
  file(kernel, "version", () => `${KERNEL_VERSION}\n`);
  file(
    kernel,
    "hostname",
    (task) => `${task.namespaces.uts.hostname}\n`,
    (task, text) => setName(task, text, "hostname"),
  );
  file(
    kernel,
    "domainname",
    (task) => `${task.namespaces.uts.domainname}\n`,
    (task, text) => setName(task, text, "domainname"),
  );
  file(kernel, "pid_max", () => `${PID_MAX}\n`);
  file(kernel, "threads-max", () => `${fs.kernel.limits.tasksMax}\n`);
  file(kernel, "cap_last_cap", () => "40\n");
  file(kernel, "ngroups_max", () => "65536\n");
  file(kernel, "overflowuid", () => "65534\n");
  file(kernel, "overflowgid", () => "65534\n");
  file(kernel, "randomize_va_space", () => "2\n");
  file(kernel, "tainted", () => "0\n");
  file(kernel, "core_pattern", () => "core\n");
  file(kernel, "msgmax", () => "8192\n");
  file(kernel, "msgmnb", () => "16384\n");
  file(kernel, "msgmni", () => "32000\n");
  file(kernel, "sem", () => "32000\t1024000000\t500\t32000\n");
  file(kernel, "shmall", () => "18446744073692774399\n");
  file(kernel, "shmmax", () => "18446744073692774399\n");
  file(kernel, "shmmni", () => "4096\n");
  const random = directory(kernel, "random");
  const bootId = uuid(fs);
  file(random, "boot_id", () => `${bootId}\n`);
  file(random, "uuid", () => `${uuid(fs)}\n`);
  file(random, "entropy_avail", () => "256\n");
  file(random, "poolsize", () => "256\n");

  const files = directory(sys, "fs");
  file(files, "nr_open", () => `${NR_OPEN}\n`);
  file(files, "file-max", () => "9223372036854775807\n");
  file(files, "file-nr", () => "0\t0\t9223372036854775807\n");
  file(files, "pipe-max-size", () => "1048576\n");
  file(files, "protected_symlinks", () => "1\n");
  file(files, "protected_hardlinks", () => "1\n");
  file(files, "protected_regular", () => "1\n");
  file(files, "protected_fifos", () => "1\n");

  const vm = directory(sys, "vm");
  file(vm, "max_map_count", () => `${MAPPINGS_MAX}\n`);
  file(vm, "mmap_min_addr", () => "65536\n");
  file(vm, "overcommit_memory", () => "0\n");
  file(vm, "overcommit_ratio", () => "50\n");
  file(vm, "swappiness", () => "60\n");

  const core = directory(directory(sys, "net"), "core");
  file(core, "somaxconn", () => "4096\n");
  file(core, "rmem_max", () => "212992\n");
  file(core, "wmem_max", () => "212992\n");
  file(core, "rmem_default", () => "212992\n");
  file(core, "wmem_default", () => "212992\n");
}

function setName(task: Task, text: string, which: "hostname" | "domainname"): number {
  if (!task.credentials.has(CAP_SYS_ADMIN)) return -EPERM;
  const name = text.replace(/\n.*$/s, "");
  if (name.length > 64) return -EINVAL;
  task.namespaces.uts[which] = name;
  return 0;
}

function uuid(fs: ProcFilesystem): string {
  const b = new Uint8Array(16);
  fs.kernel.host.random(b, 0, 16);
  b[6] = b[6] & 0x0f | 0x40;
  b[8] = b[8] & 0x3f | 0x80;
  const hex = [...b].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
