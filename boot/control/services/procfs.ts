// containerManager.ProcfsDump: what /proc tells of each process, for a security monitor that attaches to a sandbox that runs. In
// the form of gVisor's procfs.ProcessProcfsDump: fields that are empty are left out.

import { S_IFMT } from "../../../kernel/abi/file.ts";
import { MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE } from "../../../kernel/abi/memory.ts";
import { RLIMIT_NOFILE } from "../../../kernel/abi/task.ts";
import type { Kernel } from "../../../kernel/kernel.ts";
import { residentMemory } from "../../../kernel/mm/residency.ts";
import type { Task } from "../../../kernel/task/task.ts";
import type { ThreadGroup } from "../../../kernel/task/thread_group.ts";
import { byteStringToUtf8 } from "../../../kernel/util/bytes.ts";
import type { File } from "../../../kernel/vfs/file.ts";
import type { Path } from "../../../kernel/vfs/path.ts";
import { pathName } from "../../../kernel/vfs/path.ts";
import { processesOf } from "../../process_rows.ts";
import type { Services } from "./query.ts";

const PAGE_BYTES = 4096;
/** Of arguments, and of environment, of one process. */
const STRINGS_BYTES_MAX = 128 * 1024;
/** Mappings and descriptors of one process: a dump has to fit into an answer. */
const MAPPINGS_MAX = 4096;
const DESCRIPTORS_MAX = 4096;
/** RLIM_INFINITY. */
const UNLIMITED = 2n ** 64n - 1n;

function dump(kernel: Kernel, group: ThreadGroup): object {
  const { leader: task } = group;
  const { credentials } = task;
  const now = kernel.clock.realtime();
  const age = kernel.clock.monotonic() - group.startNanos;
  const startNanos = BigInt(now) * 1_000_000_000n + BigInt(Math.round(kernel.clock.nanoseconds - age));
  const status = {
    comm: byteStringToUtf8(task.name),
    pid: group.tgid,
    ppid: group.parent === null ? 0 : group.parent.tgid,
    uid: { real: credentials.uid, effective: credentials.euid, saved: credentials.suid },
    gid: { real: credentials.gid, effective: credentials.egid, saved: credentials.sgid },
  };
  const stat = { pgid: group.processGroup.pid.root, sid: group.session.pid.root };
  const limit = (value: number) => value === Infinity ? UNLIMITED : value;
  const limits = {
    RLIMIT_NOFILE: {
      Cur: limit(group.limits.soft(RLIMIT_NOFILE)),
      Max: limit(group.limits.hard(RLIMIT_NOFILE)),
    },
  };
  const common = { clone_ts: startNanos, limits, cgroup: [{ hierarchy_id: 0, path: "/" }], stat };
  // A zombie has neither files nor memory.
  if (task.hasExited) return { ...common, status };
  const memory = { vm_size: task.mm.areas.totalBytes, vm_rss: residentMemory(task).pages * PAGE_BYTES };
  const exe = task.mm.exe;
  return {
    ...common,
    exe: exe === null ? "" : nameOf(exe, task),
    args: strings(task, task.mm.argStart, task.mm.argEnd),
    env: strings(task, task.mm.envStart, task.mm.envEnd),
    cwd: placeName(task.fs.cwd, task),
    root: placeName(task.fs.root, task),
    fdlist: descriptors(task),
    status: { ...status, ...memory },
    maps: mappings(task),
  };
}

/** As the root of its container sees it. */
function placeName(path: Path, task: Task): string {
  const root = task.threadGroup.container.initTask?.fs.root ?? task.fs.root;
  return byteStringToUtf8(pathName(path, root));
}

function nameOf(file: File, task: Task): string {
  return file.path === null ? file.linkText : placeName(file.path, task);
}

function strings(task: Task, start: number, end: number): string[] {
  const bytes = new Uint8Array(Math.max(0, Math.min(end - start, STRINGS_BYTES_MAX)));
  const n = Math.max(0, task.mm.space.read(start, bytes, 0, bytes.length));
  const list = new TextDecoder().decode(bytes.subarray(0, n)).split("\0");
  if (list.at(-1) === "") list.pop();
  return list;
}

function descriptors(task: Task): object[] {
  const list: object[] = [];
  task.files.forEach((number, file) => {
    if (list.length >= DESCRIPTORS_MAX) return;
    const { mode } = file.inode;
    list.push({ number, path: nameOf(file, task), mode: mode & 0xffff & (S_IFMT | 0o7777) });
  });
  return list;
}

function mappings(task: Task): object[] {
  const list: object[] = [];
  for (const area of task.mm.areas) {
    if (list.length >= MAPPINGS_MAX) break;
    const file = area.backing?.file ?? null;
    list.push({
      address: { Start: area.start, End: area.end },
      permissions: {
        Read: (area.prot & PROT_READ) !== 0,
        Write: (area.prot & PROT_WRITE) !== 0,
        Execute: (area.prot & PROT_EXEC) !== 0,
      },
      private: (area.flags & MAP_PRIVATE) !== 0 ? "p" : "s",
      offset: area.backing === null ? 0 : area.offset,
      ...(file === null ? {} : { deviceMinor: file.inode.fs.device, inode: file.inode.ino }),
      pathname: area.name !== "" ? area.name : file === null ? "" : nameOf(file, task),
    });
  }
  return list;
}

export const PROCFS: Services = {
  "containerManager.ProcfsDump": ({ kernel }) =>
    processesOf(kernel, null).map((group) => dump(kernel, group)),
};
