// /proc/sys: kernel parameters. Linux: sysctl(8), Documentation/admin-guide/sysctl.

import { EINVAL, EPERM } from "../../abi/errno.ts";
import { CAP_SYS_ADMIN } from "../../abi/task.ts";
import { KERNEL_RELEASE, KERNEL_SYSNAME, KERNEL_VERSION } from "../../abi/version.ts";
import {
  MESSAGE_BYTES_MAX as MQUEUE_BYTES,
  MESSAGES_MAX as MQUEUE_MESSAGES,
  QUEUES_MAX as MQUEUES_MAX,
} from "../../ipc/mqueue.ts";
import { PIPE_BYTES_MAX, USER_PAGES_MAX } from "../../ipc/pipe.ts";
import { MESSAGE_BYTES_MAX, QUEUE_BYTES, QUEUES_MAX } from "../../ipc/system_v/messages.ts";
import { MAPPINGS_MAX } from "../../mm/limits.ts";
import { PID_MAX } from "../../task/namespaces.ts";
import { NR_OPEN } from "../../task/rlimits.ts";
import type { Task } from "../../task/task.ts";
import { FILES_MAX } from "../../vfs/file.ts";
import { MOUNTS_MAX } from "../../vfs/mount.ts";
import { EPOLL_ITEMS_MAX } from "../anonymous/epoll.ts";
import { INSTANCES_MAX, QUEUED_EVENTS_MAX, WATCHES_MAX } from "../anonymous/inotify.ts";
import { DevptsFilesystem, TERMINALS_MAX } from "../devpts.ts";
import { type Accept, type Generate, GeneratedFile, StaticDirectory } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";
import { addNetSysctls } from "./proc_sys_net.ts";

/**
 * Values that only describe the kernel. Linux: most can be written; here they are read-only, so that a write without
 * effect fails.
 */
const VALUES: Readonly<Record<string, string | number>> = {
  "kernel/ostype": KERNEL_SYSNAME,
  "kernel/osrelease": KERNEL_RELEASE,
  "kernel/version": KERNEL_VERSION,
  "kernel/auto_msgmni": 0,
  "kernel/bootloader_type": 0,
  "kernel/cad_pid": 1,
  "kernel/cap_last_cap": 40,
  "kernel/core_pattern": "core",
  "kernel/core_pipe_limit": 0,
  "kernel/core_uses_pid": 0,
  "kernel/ctrl-alt-del": 0,
  "kernel/dmesg_restrict": 1,
  "kernel/hung_task_timeout_secs": 0,
  "kernel/io_uring_disabled": 2,
  "kernel/keys/maxbytes": 20000,
  "kernel/keys/maxkeys": 200,
  "kernel/keys/root_maxbytes": 25000000,
  "kernel/keys/root_maxkeys": 1000000,
  "kernel/kptr_restrict": 1,
  "kernel/modules_disabled": 1,
  "kernel/msg_next_id": -1,
  "kernel/msgmax": MESSAGE_BYTES_MAX,
  "kernel/msgmnb": QUEUE_BYTES,
  "kernel/msgmni": QUEUES_MAX,
  "kernel/ngroups_max": 65536,
  "kernel/numa_balancing": 0,
  "kernel/overflowgid": 65534,
  "kernel/overflowuid": 65534,
  "kernel/panic": 0,
  "kernel/panic_on_oops": 0,
  "kernel/perf_event_paranoid": 2,
  "kernel/pid_max": PID_MAX,
  "kernel/print-fatal-signals": 0,
  "kernel/printk": "4\t4\t1\t7",
  "kernel/pty/max": TERMINALS_MAX,
  "kernel/pty/reserve": 1024,
  "kernel/random/entropy_avail": 256,
  "kernel/random/poolsize": 256,
  "kernel/random/urandom_min_reseed_secs": 60,
  "kernel/random/write_wakeup_threshold": 256,
  "kernel/randomize_va_space": 2,
  "kernel/sched_autogroup_enabled": 1,
  "kernel/sched_rr_timeslice_ms": 100,
  "kernel/sched_rt_period_us": 1000000,
  "kernel/sched_rt_runtime_us": 950000,
  "kernel/sem": "32000\t1024000000\t500\t32000",
  "kernel/sem_next_id": -1,
  "kernel/shm_next_id": -1,
  "kernel/shm_rmid_forced": 0,
  "kernel/shmall": "18446744073692774399",
  "kernel/shmmax": "18446744073692774399",
  "kernel/shmmni": 4096,
  "kernel/sysctl_writes_strict": 1,
  "kernel/tainted": 0,
  "kernel/sysrq": 0,
  "kernel/unprivileged_bpf_disabled": 2,
  "kernel/yama/ptrace_scope": 0,
  "dev/tty/ldisc_autoload": 0,
  "dev/tty/legacy_tiocsti": 0,
  "fs/aio-max-nr": 65536,
  "fs/aio-nr": 0,
  "fs/dentry-state": "0\t0\t45\t0\t0\t0",
  "fs/dir-notify-enable": 0,
  "fs/epoll/max_user_watches": EPOLL_ITEMS_MAX,
  "fs/file-max": FILES_MAX,
  "fs/inode-nr": "0\t0",
  "fs/inode-state": "0\t0\t0\t0\t0\t0\t0",
  "fs/inotify/max_queued_events": QUEUED_EVENTS_MAX,
  "fs/inotify/max_user_instances": INSTANCES_MAX,
  "fs/inotify/max_user_watches": WATCHES_MAX,
  "fs/lease-break-time": 45,
  "fs/leases-enable": 1,
  "fs/mount-max": MOUNTS_MAX,
  "fs/mqueue/msg_default": MQUEUE_MESSAGES,
  "fs/mqueue/msg_max": MQUEUE_MESSAGES,
  "fs/mqueue/msgsize_default": MQUEUE_BYTES,
  "fs/mqueue/msgsize_max": MQUEUE_BYTES,
  "fs/mqueue/queues_max": MQUEUES_MAX,
  "fs/nr_open": NR_OPEN,
  "fs/overflowgid": 65534,
  "fs/overflowuid": 65534,
  "fs/pipe-max-size": PIPE_BYTES_MAX,
  "fs/pipe-user-pages-hard": 0,
  "fs/pipe-user-pages-soft": USER_PAGES_MAX,
  "fs/protected_fifos": 1,
  "fs/protected_hardlinks": 1,
  "fs/protected_regular": 1,
  "fs/protected_symlinks": 1,
  "fs/suid_dumpable": 0,
  "vm/admin_reserve_kbytes": 8192,
  "vm/compact_unevictable_allowed": 1,
  "vm/dirty_background_bytes": 0,
  "vm/dirty_background_ratio": 10,
  "vm/dirty_bytes": 0,
  "vm/dirty_expire_centisecs": 3000,
  "vm/dirty_ratio": 20,
  "vm/dirty_writeback_centisecs": 500,
  "vm/laptop_mode": 0,
  "vm/legacy_va_layout": 0,
  "vm/max_map_count": MAPPINGS_MAX,
  "vm/memfd_noexec": 0,
  "vm/min_free_kbytes": 67584,
  "vm/mmap_min_addr": 65536,
  "vm/nr_hugepages": 0,
  "vm/nr_overcommit_hugepages": 0,
  "vm/oom_dump_tasks": 1,
  "vm/oom_kill_allocating_task": 0,
  "vm/overcommit_kbytes": 0,
  "vm/overcommit_memory": 0,
  "vm/overcommit_ratio": 50,
  "vm/page-cluster": 3,
  "vm/panic_on_oom": 0,
  "vm/stat_interval": 1,
  "vm/swappiness": 60,
  "vm/unprivileged_userfaultfd": 0,
  "vm/user_reserve_kbytes": 131072,
  "vm/vfs_cache_pressure": 100,
  "vm/zone_reclaim_mode": 0,
  "net/core/netdev_max_backlog": 1000,
  "net/core/optmem_max": 131072,
  "net/core/rmem_default": 212992,
  "net/core/rmem_max": 212992,
  "net/core/somaxconn": 4096,
  "net/core/wmem_default": 212992,
  "net/core/wmem_max": 212992,
  "net/ipv4/tcp_allowed_congestion_control": "reno cubic",
  "net/ipv4/tcp_available_congestion_control": "reno cubic",
  "net/ipv6/bindv6only": 0,
  "net/ipv6/conf/all/disable_ipv6": 0,
  "net/ipv6/conf/default/disable_ipv6": 0,
  "net/ipv6/conf/lo/disable_ipv6": 0,
  "net/unix/max_dgram_qlen": 512,
};

/** Linux shows a link count of 1 for these: proc_sys_make_inode() of fs/proc/proc_sysctl.c. */
class SysctlDirectory extends StaticDirectory {
  override refresh(): number {
    this.nlink = 1;
    return 0;
  }
}

/** Adds /proc/sys to /proc. */
export function addSysctls(fs: ProcFilesystem, root: StaticDirectory): void {
  const sys = root.add("sys", new SysctlDirectory(fs));
  const add = (path: string, text: Generate, accept: Accept | null = null) => {
    const parts = path.split("/");
    const name = parts.pop()!;
    const file = new GeneratedFile(fs, accept === null ? 0o444 : 0o644, text, accept);
    return parts.reduce((parent, part) => childDirectory(fs, parent, part), sys).add(name, file);
  };
  for (const [path, value] of Object.entries(VALUES)) add(path, () => `${value}\n`);
  for (const which of ["hostname", "domainname"] as const) {
    const text: Generate = (task) => `${task.namespaces.uts[which]}\n`;
    const file = add(`kernel/${which}`, text, (task, written) => setName(task, written, which));
    file.changes = (task) => task.namespaces.uts.changes[which];
  }
  add("kernel/threads-max", () => `${fs.kernel.limits.tasksMax}\n`);
  add("kernel/ns_last_pid", () => `${fs.pids.lastNumber}\n`);
  add("kernel/pty/nr", (task) => `${countTerminals(task)}\n`);
  const bootId = uuid(fs);
  add("kernel/random/boot_id", () => `${bootId}\n`);
  add("kernel/random/uuid", () => `${uuid(fs)}\n`);
  addNetSysctls(add);
  add("fs/file-nr", () => `${fs.kernel.vfs.openFiles}\t0\t${FILES_MAX}\n`);
}

function childDirectory(fs: ProcFilesystem, parent: StaticDirectory, name: string): StaticDirectory {
  const found = parent.lookup(name);
  return found instanceof StaticDirectory ? found : parent.add(name, new SysctlDirectory(fs));
}

/** Number of pseudo-terminals in the devpts mounts that the task can reach. */
function countTerminals(task: Task): number {
  const instances = new Set<DevptsFilesystem>();
  for (const { fs } of task.namespaces.mount.mounts()) if (fs instanceof DevptsFilesystem) instances.add(fs);
  let count = 0;
  for (const instance of instances) count += instance.count;
  return count;
}

function setName(task: Task, text: string, which: "hostname" | "domainname"): number {
  if (!task.credentials.has(CAP_SYS_ADMIN)) return -EPERM;
  // The text ends at a NUL or a newline: proc_dostring().
  const name = text.replace(/[\0\n].*$/s, "");
  if (name.length > 64) return -EINVAL;
  task.namespaces.uts.setName(which, name);
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
