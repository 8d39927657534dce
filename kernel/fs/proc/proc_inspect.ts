// Files of /proc/PID that debuggers, profilers and checkpointing read: attr, autogroup, map_files, sched, stack, timers.
// Linux: fs/proc/base.c, kernel/sched/debug.c, kernel/sched/autogroup.c.

import { EACCES, EINVAL, ENOENT, EPERM } from "../../abi/errno.ts";
import { S_IFLNK } from "../../abi/file.ts";
import { PROT_WRITE } from "../../abi/memory.ts";
import { CAP_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, CAP_SYS_NICE } from "../../abi/task.ts";
import type { Vma } from "../../mm/vma.ts";
import type { GroupTimers } from "../../task/process_timers.ts";
import type { Task } from "../../task/task.ts";
import type { Inode } from "../../vfs/inode.ts";
import { pathName } from "../../vfs/path.ts";
import { DynamicDirectory, GeneratedFile, StaticDirectory, VirtualLink } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";
import { mayInspect, ownerOf } from "./proc_access.ts";

const ATTRIBUTES = ["current", "exec", "fscreate", "keycreate", "prev", "sockcreate"];
const NICE_MIN = -20, NICE_MAX = 19;
/** The priority of nice 0 (DEFAULT_PRIO of include/linux/sched/prio.h). */
const PRIORITY_OF_NICE = 120;
/** The first inode number of map_files entries. */
const MAP_INODES = 5_000_000;

/** Attributes of a security module. There is none; Linux without one answers the same. */
export function attributeDirectory(fs: ProcFilesystem, task: Task): Inode {
  const directory = new StaticDirectory(fs, 0o555);
  [directory.uid, directory.gid] = ownerOf(task);
  for (const name of ATTRIBUTES) {
    const mode = name === "prev" ? 0o444 : 0o666;
    directory.add(name, new GeneratedFile(fs, mode, () => -EINVAL, () => -EINVAL, ...ownerOf(task)));
  }
  return directory;
}

/** The kernel stack is the host's and not shown: permitted readers get an empty text. */
export function stackText(reader: Task): string | number {
  return reader.credentials.has(CAP_SYS_ADMIN) ? "" : -EACCES;
}

/** The session's autogroup. Linux: schedules sessions as groups; here the host schedules, and nothing changes. */
export function autogroupText(task: Task): string | number {
  if (task.hasExited) return "";
  const { session } = task.threadGroup;
  return `/autogroup-${session.pid.root} nice ${session.nice}\n`;
}

export function setAutogroup(task: Task, writer: Task, text: string): number {
  const trimmed = text.replace(/\n$/, "");
  if (!/^[+-]?\d+$/.test(trimmed)) return -EINVAL;
  const nice = Number(trimmed);
  if (nice < NICE_MIN || nice > NICE_MAX) return -EINVAL;
  if (nice < 0 && !writer.credentials.has(CAP_SYS_NICE)) return -EPERM;
  task.threadGroup.session.nice = nice;
  return 0;
}

/** Known scheduling figures: run time, switches, policy and priority. */
export function schedText(fs: ProcFilesystem, task: Task, isThread: boolean): string {
  const { scheduling, threadGroup } = task;
  const head = `${task.name} (${task.pid.in(fs.pids)}, #threads: ${Math.max(1, threadGroup.liveCount)})\n`;
  const nanos = task.hasExited || !isThread ? threadGroup.cpuNanos() : task.cpuNanos();
  const row = (name: string, value: string | number) => `${name.padEnd(45)}:${String(value).padStart(21)}\n`;
  const millis = (value: number) => (value / 1e6).toFixed(6);
  return head + "-".repeat(67) + "\n" +
    row("se.exec_start", millis(fs.kernel.clock.monotonic())) +
    row("se.sum_exec_runtime", millis(nanos)) +
    row("nr_switches", task.blockCount) +
    row("nr_voluntary_switches", task.blockCount) +
    row("nr_involuntary_switches", 0) +
    row("policy", scheduling.policy) +
    row("prio", scheduling.priority > 0 ? 99 - scheduling.priority : PRIORITY_OF_NICE + scheduling.nice);
}

/** POSIX timers of a process, newest first. */
export function timersText(fs: ProcFilesystem, task: Task): string {
  const timers = task.threadGroup.timers as GroupTimers | null;
  if (timers === null) return "";
  let text = "";
  for (const [id, { settings }] of [...timers.posix].reverse()) {
    const { target, value, signal } = settings;
    const bits = value === null
      ? id.toString(16).padStart(16, "0")
      : value.high.toString(16).padStart(8, "0") + value.low.toString(16).padStart(8, "0");
    const who = target === null ? `pid.${task.threadGroup.pid.in(fs.pids)}` : `tid.${target.pid.in(fs.pids)}`;
    text += `ID: ${id}\nsignal: ${signal}/${bits}\n` +
      `notify: ${signal === 0 ? "none" : "signal"}/${who}\nClockID: ${settings.clock}\n`;
  }
  return text;
}

/** map_files: for each mapping of a file a link named by its addresses. */
export function mapFilesDirectory(fs: ProcFilesystem, task: Task): Inode {
  const mayLook = () => mayInspect(fs.kernel.currentTask!, task);
  const find = (name: string): Inode | number => {
    if (task.hasExited) return -ENOENT;
    if (!mayLook()) return -EACCES;
    const area = areaNamed(task, name);
    return area === null ? -ENOENT : linkTo(fs, task, area);
  };
  const list = () => {
    const entries = [];
    if (task.hasExited || !mayLook()) return [];
    for (const area of task.mm.areas) {
      if (area.backing?.file?.path == null) continue;
      entries.push({ name: nameOf(area), ino: MAP_INODES + entries.length, type: S_IFLNK });
    }
    return entries;
  };
  return new DynamicDirectory(fs, 0o500, find, list, ...ownerOf(task));
}

function nameOf(area: Vma): string {
  return `${area.start.toString(16)}-${area.end.toString(16)}`;
}

function areaNamed(task: Task, name: string): Vma | null {
  if (!/^[0-9a-f]{1,12}-[0-9a-f]{1,12}$/.test(name)) return null;
  const area = task.mm.areas.find(parseInt(name, 16));
  return area !== null && nameOf(area) === name && area.backing?.file?.path != null ? area : null;
}

/**
 * Following the link opens the file whatever its mode; that takes CAP_CHECKPOINT_RESTORE (proc_map_files_get_link()).
 */
function linkTo(fs: ProcFilesystem, task: Task, area: Vma): Inode {
  const path = area.backing!.file!.path!;
  const isSame = () => !task.hasExited && task.mm.areas.find(area.start) === area;
  const text = () => isSame() ? pathName(path, fs.kernel.currentTask!.fs.root) : -ENOENT;
  const follow = (reader: Task) => {
    const { credentials } = reader;
    if (!credentials.has(CAP_SYS_ADMIN) && !credentials.has(CAP_CHECKPOINT_RESTORE)) return -EPERM;
    return isSame() ? path : -ENOENT;
  };
  const link = new VirtualLink(fs, text, follow);
  link.mode = S_IFLNK | ((area.prot & PROT_WRITE) !== 0 ? 0o600 : 0o400);
  return link;
}
