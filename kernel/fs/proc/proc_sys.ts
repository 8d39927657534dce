// /proc/sys: kernel parameters. Linux: sysctl(8), Documentation/admin-guide/sysctl.

import { EINVAL, EPERM } from "../../abi/errno.ts";
import { CAP_SYS_ADMIN } from "../../abi/task.ts";
import { KERNEL_RELEASE, KERNEL_SYSNAME, KERNEL_VERSION } from "../../abi/version.ts";
import type { Task } from "../../task/task.ts";
import { DevptsFilesystem, TERMINALS_MAX } from "../devpts.ts";
import { type Accept, type Generate, GeneratedFile, StaticDirectory } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";
import { addNetSysctls } from "./proc_sys_net.ts";
import { addParameters } from "./proc_sys_parameters.ts";

/**
 * Values that only describe the kernel, read-only; those that can be written are in proc_sys_parameters.ts. Linux: some
 * of these can be written; a write that could have no effect fails here.
 */
const VALUES: Readonly<Record<string, string | number>> = {
  "kernel/ostype": KERNEL_SYSNAME,
  "kernel/osrelease": KERNEL_RELEASE,
  "kernel/version": KERNEL_VERSION,
  "kernel/bootloader_type": 0,
  "kernel/cad_pid": 1,
  "kernel/cap_last_cap": 40,
  "kernel/core_pattern": "core",
  "kernel/io_uring_disabled": 2,
  "kernel/modules_disabled": 1,
  "kernel/msg_next_id": -1,
  "kernel/ngroups_max": 65536,
  "kernel/printk": "4\t4\t1\t7",
  "kernel/pty/max": TERMINALS_MAX,
  "kernel/pty/reserve": 1024,
  "kernel/random/entropy_avail": 256,
  "kernel/random/poolsize": 256,
  "kernel/random/urandom_min_reseed_secs": 60,
  "kernel/random/write_wakeup_threshold": 256,
  "kernel/sem_next_id": -1,
  "kernel/shm_next_id": -1,
  "kernel/tainted": 0,
  "kernel/unprivileged_bpf_disabled": 2,
  "kernel/yama/ptrace_scope": 0,
  "dev/tty/ldisc_autoload": 0,
  "dev/tty/legacy_tiocsti": 0,
  "fs/aio-nr": 0,
  "fs/dentry-state": "0\t0\t45\t0\t0\t0",
  "fs/inode-nr": "0\t0",
  "fs/inode-state": "0\t0\t0\t0\t0\t0\t0",
  "vm/memfd_noexec": 0,
  "vm/mmap_min_addr": 65536,
  "vm/overcommit_kbytes": 0,
  "vm/unprivileged_userfaultfd": 0,
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
  add("kernel/pty/nr", (task) => `${countTerminals(task)}\n`);
  const bootId = uuid(fs);
  add("kernel/random/boot_id", () => `${bootId}\n`);
  add("kernel/random/uuid", () => `${uuid(fs)}\n`);
  addNetSysctls(add);
  addParameters(fs, add);
  add("fs/file-nr", () => `${fs.kernel.vfs.openFiles}\t0\t${fs.kernel.parameters.filesMax}\n`);
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
