// /proc/sys: kernel parameters. Linux: sysctl(8), Documentation/admin-guide/sysctl.

import { EINVAL, EPERM } from "../../abi/errno.ts";
import { CAP_SYS_ADMIN } from "../../abi/task.ts";
import { KERNEL_RELEASE, KERNEL_SYSNAME, KERNEL_VERSION } from "../../abi/version.ts";
import { MESSAGE_BYTES_MAX, MESSAGES_MAX, QUEUES_MAX } from "../../ipc/mqueue.ts";
import { MAPPINGS_MAX } from "../../mm/limits.ts";
import { PID_MAX } from "../../task/namespaces.ts";
import { NR_OPEN } from "../../task/rlimits.ts";
import type { Task } from "../../task/task.ts";
import { EPOLL_ITEMS_MAX } from "../anonymous/epoll.ts";
import { QUEUED_EVENTS_MAX, WATCHES_MAX } from "../anonymous/inotify.ts";
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
  // What a container finds there and does not change: programs ask whether a feature is to be had.
  file(kernel, "core_uses_pid", () => "0\n");
  file(kernel, "printk", () => "4\t4\t1\t7\n");
  file(kernel, "panic", () => "0\n");
  file(kernel, "perf_event_paranoid", () => "2\n");
  file(kernel, "kptr_restrict", () => "1\n");
  file(kernel, "dmesg_restrict", () => "1\n");
  file(kernel, "unprivileged_bpf_disabled", () => "2\n");
  file(kernel, "sysrq", () => "0\n");
  file(kernel, "ns_last_pid", () => `${fs.pids.lastNumber}\n`);
  const terminals = directory(kernel, "pty");
  file(terminals, "max", () => "4096\n");
  file(terminals, "nr", () => "0\n");
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

  file(files, "inode-nr", () => "0\t0\n");
  file(files, "dentry-state", () => "0\t0\t45\t0\t0\t0\n");
  file(files, "pipe-user-pages-soft", () => "16384\n");
  file(files, "pipe-user-pages-hard", () => "0\n");
  file(files, "aio-nr", () => "0\n");
  file(files, "aio-max-nr", () => "65536\n");
  file(files, "suid_dumpable", () => "0\n");
  file(files, "lease-break-time", () => "45\n");
  file(files, "leases-enable", () => "1\n");
  const watches = directory(files, "inotify");
  file(watches, "max_user_watches", () => `${WATCHES_MAX}\n`);
  file(watches, "max_user_instances", () => "128\n");
  file(watches, "max_queued_events", () => `${QUEUED_EVENTS_MAX}\n`);
  const queues = directory(files, "mqueue");
  file(queues, "msg_max", () => `${MESSAGES_MAX}\n`);
  file(queues, "msg_default", () => `${MESSAGES_MAX}\n`);
  file(queues, "msgsize_max", () => `${MESSAGE_BYTES_MAX}\n`);
  file(queues, "msgsize_default", () => `${MESSAGE_BYTES_MAX}\n`);
  file(queues, "queues_max", () => `${QUEUES_MAX}\n`);
  file(directory(files, "epoll"), "max_user_watches", () => `${EPOLL_ITEMS_MAX}\n`);

  const vm = directory(sys, "vm");
  file(vm, "max_map_count", () => `${MAPPINGS_MAX}\n`);
  file(vm, "mmap_min_addr", () => "65536\n");
  file(vm, "overcommit_memory", () => "0\n");
  file(vm, "overcommit_ratio", () => "50\n");
  file(vm, "swappiness", () => "60\n");
  file(vm, "min_free_kbytes", () => "67584\n");
  file(vm, "dirty_ratio", () => "20\n");
  file(vm, "dirty_background_ratio", () => "10\n");
  file(vm, "nr_hugepages", () => "0\n");
  file(vm, "vfs_cache_pressure", () => "100\n");
  file(vm, "panic_on_oom", () => "0\n");
  file(vm, "oom_kill_allocating_task", () => "0\n");

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
