// /proc/PID and /proc/PID/task/TID. Linux: fs/proc/base.c, proc(5). What another user may not see answers EACCES, as
// ptrace access checks do there.

import { EACCES, EINVAL, ENOENT, EPERM, ESRCH } from "../../abi/errno.ts";
import { O_ACCMODE, O_CLOEXEC, O_RDWR, O_WRONLY, S_IFDIR, S_IFLNK } from "../../abi/file.ts";
import { CAP_SYS_PTRACE } from "../../abi/task.ts";
import type { Task } from "../../task/task.ts";
import type { File } from "../../vfs/file.ts";
import type { Inode } from "../../vfs/inode.ts";
import { placeOf } from "../../vfs/nameless.ts";
import { type Path, pathName } from "../../vfs/path.ts";
import { DynamicDirectory, GeneratedFile, StaticDirectory, VirtualLink } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";
import { ProcessMemoryInode, smapsRollupText, smapsText } from "./proc_memory.ts";
import { mountinfoText, mountstatsText, mountsText } from "./proc_mounts.ts";
import { limitsText, statmText, statText, statusText } from "./proc_status.ts";

/** Bytes of cmdline or environ read at most. */
const STRINGS_BYTES_MAX = 1024 * 1024;

/** The directory of a process, or of one of its threads. */
export function processDirectory(fs: ProcFilesystem, task: Task, isThread: boolean): Inode {
  const directory = new ProcessDirectory(fs, task);
  const add = (name: string, mode: number, text: (reader: Task) => string | number) =>
    directory.add(
      name,
      new GeneratedFile(
        fs,
        mode,
        (reader) => task.pid.task === null ? -ESRCH : text(reader),
        null,
        ...owner(task),
      ),
    );
  const guarded = (text: () => string | number) => (reader: Task) =>
    mayInspect(reader, task) ? text() : -EACCES;

  add("cmdline", 0o444, () => guestStrings(task, task.mm.argStart, task.mm.argEnd));
  add("environ", 0o400, guarded(() => guestStrings(task, task.mm.envStart, task.mm.envEnd)));
  add("auxv", 0o400, guarded(() => String.fromCharCode(...task.mm.auxv)));
  add("stat", 0o444, () => statText(fs, task));
  add("statm", 0o444, () => statmText(task));
  add("status", 0o444, () => statusText(fs, task));
  add(
    "maps",
    0o444,
    guarded(() => task.hasExited ? "" : task.mm.mapsText((file) => nameOf(file, fs.kernel.currentTask!))),
  );
  add("smaps", 0o444, guarded(() => smapsText(task, (file) => nameOf(file, fs.kernel.currentTask!))));
  add("smaps_rollup", 0o444, guarded(() => smapsRollupText(task)));
  directory.add(
    "mem",
    new ProcessMemoryInode(fs, task, (reader) => mayInspect(reader, task), ...owner(task)),
  );
  add("mounts", 0o444, (reader) => mountsText(task, reader));
  add("mountinfo", 0o444, (reader) => mountinfoText(task, reader));
  add("mountstats", 0o400, (reader) => mountstatsText(task, reader));
  add("limits", 0o444, () => limitsText(task));
  add("cgroup", 0o444, () => "0::/\n");
  add("wchan", 0o444, () => "0");
  add("oom_score", 0o444, () => "0\n");
  add("loginuid", 0o444, () => "4294967295");
  add("sessionid", 0o444, () => "4294967295");
  add("personality", 0o400, () => `${task.personality.toString(16).padStart(8, "0")}\n`);
  add("schedstat", 0o444, () => `${Math.round(task.threadGroup.cpuNanos())} 0 ${task.blockCount}\n`);
  add(
    "io",
    0o400,
    () => "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n",
  );
  for (const name of ["uid_map", "gid_map"]) add(name, 0o444, () => "         0          0 4294967295\n");
  add("setgroups", 0o444, () => "allow\n");
  directory.add("comm", commFile(fs, task));
  directory.add("oom_score_adj", oomFile(fs, task));
  directory.add("oom_adj", oldOomFile(fs, task));
  directory.add("coredump_filter", coredumpFile(fs, task));
  directory.add("timerslack_ns", timerSlackFile(fs, task));
  directory.add("cwd", link(fs, task, () => task.fs.cwd));
  directory.add("root", link(fs, task, () => task.fs.root));
  directory.add("exe", link(fs, task, () => task.hasExited ? null : task.mm.exe?.path ?? null));
  directory.add("fd", fdDirectory(fs, task));
  directory.add("fdinfo", fdinfoDirectory(fs, task));
  directory.add("ns", namespaceDirectory(fs, task));
  if (isThread) add("children", 0o444, () => childrenText(fs, task));
  else directory.add("task", taskDirectory(fs, task));
  return directory;
}

/** Attributes follow the task's credentials, which may change while the inode lives. */
class ProcessDirectory extends StaticDirectory {
  constructor(fs: ProcFilesystem, task: Task) {
    super(fs);
    [this.uid, this.gid] = owner(task);
  }
}

/** Files of a process belong to its user, or to root where it is not dumpable. */
function owner(task: Task): [number, number] {
  return task.mm.dumpable === 1 ? [task.credentials.euid, task.credentials.egid] : [0, 0];
}

/** ptrace(2) PTRACE_MODE_READ_FSCREDS. */
function mayInspect(reader: Task, task: Task): boolean {
  if (reader.threadGroup === task.threadGroup || reader.credentials.has(CAP_SYS_PTRACE)) return true;
  const mine = reader.credentials, theirs = task.credentials;
  return mine.fsuid === theirs.euid && mine.fsuid === theirs.suid && mine.fsuid === theirs.uid &&
    mine.fsgid === theirs.egid && mine.fsgid === theirs.sgid && mine.fsgid === theirs.gid &&
    task.mm.dumpable === 1;
}

function guestStrings(task: Task, start: number, end: number): string | number {
  if (task.hasExited || end <= start) return "";
  const length = Math.min(end - start, STRINGS_BYTES_MAX);
  const bytes = new Uint8Array(length);
  const n = task.mm.space.read(start, bytes, 0, length);
  let text = "";
  for (let i = 0; i < n; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

function commFile(fs: ProcFilesystem, task: Task): Inode {
  const write = (writer: Task, text: string) => {
    if (writer.threadGroup !== task.threadGroup) return -EINVAL;
    task.name = text.replace(/\n$/, "").slice(0, 15);
    return 0;
  };
  return new GeneratedFile(fs, 0o644, () => `${task.name}\n`, write, ...owner(task));
}

function oomFile(fs: ProcFilesystem, task: Task): Inode {
  const write = (_writer: Task, text: string) => {
    const value = Number(text.trim());
    if (!Number.isInteger(value) || value < -1000 || value > 1000) return -EINVAL;
    task.threadGroup.oomScoreAdjust = value;
    return 0;
  };
  return new GeneratedFile(fs, 0o644, () => `${task.threadGroup.oomScoreAdjust}\n`, write, ...owner(task));
}

/** What oom_score_adj was before Linux 2.6.36: -17 to 15. */
function oldOomFile(fs: ProcFilesystem, task: Task): Inode {
  const read = () => {
    const value = task.threadGroup.oomScoreAdjust;
    return `${value === 1000 ? 15 : Math.trunc(value * 17 / 1000)}\n`;
  };
  const write = (_writer: Task, text: string) => {
    const value = Number(text.trim());
    if (!Number.isInteger(value) || value < -17 || value > 15) return -EINVAL;
    task.threadGroup.oomScoreAdjust = value === 15 ? 1000 : Math.trunc(value * 1000 / 17);
    return 0;
  };
  return new GeneratedFile(fs, 0o644, read, write, ...owner(task));
}

/** core(5): which mappings a core dump would hold. Kept and shown; there are no core dumps. */
function coredumpFile(fs: ProcFilesystem, task: Task): Inode {
  const write = (_writer: Task, text: string) => {
    const value = Number(text.trim());
    if (!Number.isInteger(value) || value < 0) return -EINVAL;
    task.mm.coredumpFilter = value & 0x1ff;
    return 0;
  };
  const read = () => `${task.mm.coredumpFilter.toString(16).padStart(8, "0")}\n`;
  return new GeneratedFile(fs, 0o644, read, write, ...owner(task));
}

/** As prctl(PR_SET_TIMERSLACK). */
function timerSlackFile(fs: ProcFilesystem, task: Task): Inode {
  const write = (_writer: Task, text: string) => {
    const value = Number(text.trim());
    if (!Number.isInteger(value) || value < 0) return -EINVAL;
    const { scheduling } = task;
    scheduling.timerSlackNanos = value === 0 ? scheduling.defaultTimerSlackNanos : value;
    return 0;
  };
  return new GeneratedFile(fs, 0o666, () => `${task.scheduling.timerSlackNanos}\n`, write, ...owner(task));
}

/** Children of the process; of one thread, Linux shows those that it has made itself. */
function childrenText(fs: ProcFilesystem, task: Task): string {
  if (task.threadGroup.leader !== task) return "";
  let text = "";
  for (const child of task.threadGroup.children) text += `${child.pid.in(fs.pids)} `;
  return text;
}

/** A magic link to a place of the process. */
function link(fs: ProcFilesystem, task: Task, place: () => Path | null): Inode {
  const text = () => {
    const reader = fs.kernel.currentTask!;
    const path = task.hasExited ? null : place();
    if (path === null) return -ENOENT;
    return mayInspect(reader, task) ? pathName(path, reader.fs.root) : -EACCES;
  };
  const follow = (reader: Task) => {
    const path = task.hasExited ? null : place();
    return path === null ? -ENOENT : mayInspect(reader, task) ? path : -EACCES;
  };
  return new VirtualLink(fs, text, follow);
}

/** What a descriptor's link shows: a path, or "pipe:[7]", "anon_inode:[eventfd]". */
function nameOf(file: File, reader: Task): string {
  if (file.path !== null) return pathName(file.path, reader.fs.root);
  return file.linkText;
}

function fdDirectory(fs: ProcFilesystem, task: Task): Inode {
  const find = (name: string): Inode | number => {
    const file = openFile(fs, task, name);
    if (file === null) return -ENOENT;
    if (!mayInspect(fs.kernel.currentTask!, task)) return -EACCES;
    const target = new VirtualLink(
      fs,
      () => nameOf(file, fs.kernel.currentTask!),
      () => placeOf(file),
    );
    const mode = file.flags & O_ACCMODE;
    target.mode = S_IFLNK | (mode === O_WRONLY ? 0o300 : mode === O_RDWR ? 0o700 : 0o500);
    return target;
  };
  return new DynamicDirectory(fs, 0o500, find, () => descriptorEntries(task, S_IFLNK), ...owner(task));
}

function openFile(_fs: ProcFilesystem, task: Task, name: string): File | null {
  if (!/^\d{1,7}$/.test(name) || task.hasExited) return null;
  return task.files.get(Number(name));
}

function descriptorEntries(task: Task, type: number): { name: string; ino: number; type: number }[] {
  const entries: { name: string; ino: number; type: number }[] = [];
  if (!task.hasExited) {
    task.files.forEach((fd) => entries.push({ name: String(fd), ino: 2_000_000 + fd, type }));
  }
  return entries;
}

function fdinfoDirectory(fs: ProcFilesystem, task: Task): Inode {
  const find = (name: string): Inode | number => {
    const file = openFile(fs, task, name);
    if (file === null) return -ENOENT;
    const text = () => {
      const mount = file.path?.mount.id ?? 0;
      const flags = file.flags | (task.files.isCloseOnExec(Number(name)) ? O_CLOEXEC : 0);
      return `pos:\t${file.position}\nflags:\t0${
        flags.toString(8)
      }\nmnt_id:\t${mount}\nino:\t${file.inode.ino}\n${file.infoText}`;
    };
    return new GeneratedFile(fs, 0o444, text, null, ...owner(task));
  };
  return new DynamicDirectory(fs, 0o500, find, () => descriptorEntries(task, 0o100000), ...owner(task));
}

function namespaceDirectory(fs: ProcFilesystem, task: Task): Inode {
  const directory = new StaticDirectory(fs, 0o511);
  const add = (name: string, ino: () => number) =>
    directory.add(name, new VirtualLink(fs, () => `${name}:[${ino()}]`, () => -EPERM));
  add("ipc", () => task.namespaces.ipc.ino);
  add("mnt", () => task.namespaces.mount.ino);
  add("net", () => task.namespaces.net.ino);
  add("pid", () => task.pid.namespace.ino);
  add("pid_for_children", () => task.namespaces.pidForChildren.ino);
  add("uts", () => task.namespaces.uts.ino);
  add("user", () => 0xefff_fffd);
  add("cgroup", () => 0xefff_fffb);
  return directory;
}

function taskDirectory(fs: ProcFilesystem, leader: Task): Inode {
  const find = (name: string): Inode | number => {
    const task = /^[1-9]\d{0,8}$/.test(name) ? fs.pids.task(Number(name)) : null;
    return task === null || task.threadGroup !== leader.threadGroup
      ? -ENOENT
      : processDirectory(fs, task, true);
  };
  const list = () =>
    leader.threadGroup.tasks.filter((task) => !task.hasExited || task === leader).map((task) => {
      const number = task.pid.in(fs.pids);
      return { name: String(number), ino: 3_000_000 + number, type: S_IFDIR };
    });
  return new DynamicDirectory(fs, 0o555, find, list, ...owner(leader));
}
