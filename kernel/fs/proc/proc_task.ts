// /proc/PID and /proc/PID/task/TID: their entries. Linux: fs/proc/base.c, proc(5). Entries that the ptrace access
// check protects answer EACCES. An entry's inode is made when it is looked up.

import { EACCES, EINVAL, ENOENT, EPERM, ESRCH } from "../../abi/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../abi/file.ts";
import { CAP_SYS_NICE, CAP_SYS_RESOURCE } from "../../abi/task.ts";
import { instructionPointer, stackPointer } from "../../arch/arch.ts";
import { residentMemory } from "../../mm/residency.ts";
import { type Task, TaskState } from "../../task/task.ts";
import type { File } from "../../vfs/file.ts";
import type { Inode } from "../../vfs/inode.ts";
import { type Path, pathName } from "../../vfs/path.ts";
import { CGROUP_NAMESPACE, namespaceText, type NumberedNamespace, USER_NAMESPACE } from "../nsfs.ts";
import {
  type Accept,
  DynamicDirectory,
  type Generate,
  GeneratedFile,
  StaticDirectory,
  type TextSource,
  VirtualDirectoryFile,
  type VirtualEntry,
  VirtualInode,
  VirtualLink,
} from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";
import { mayInspect, ownerOf } from "./proc_access.ts";
import { fdDirectory, fdinfoDirectory } from "./proc_fd.ts";
import {
  attributeDirectory,
  autogroupText,
  mapFilesDirectory,
  schedText,
  setAutogroup,
  stackText,
  timersText,
} from "./proc_inspect.ts";
import {
  MapsText,
  memoryFile,
  NumaMapsText,
  pagemapFile,
  SmapsRollupText,
  SmapsText,
} from "./proc_memory.ts";
import { mountinfoText, mountstatsText, mountsText } from "./proc_mounts.ts";
import { netDirectory } from "./proc_net.ts";
import { limitsText, statmText, statText, statusText } from "./proc_status.ts";

/** The most bytes of cmdline or environ that are read. */
const STRINGS_BYTES_MAX = 1024 * 1024;
const COMM_BYTES_MAX = 15;
const OOM_ADJUST_MAX = 1000;
/** oom_adj, the old interface: its maximum; -17 disables the OOM killer. */
const OLD_OOM_ADJUST_MAX = 15;
const OLD_OOM_DISABLE = -17;
/** CLEAR_REFS_MM_HIWATER_RSS. */
const CLEAR_REFS_LAST = 5;
/** The defined bits of coredump_filter. */
const COREDUMP_FILTER_BITS = 0x1ff;
/** The only user namespace maps each id to itself. */
const WHOLE_MAP = "         0          0 4294967295\n";

interface Reading {
  readonly fs: ProcFilesystem;
  readonly task: Task;
  readonly isThread: boolean;
  /** The task that reads. */
  readonly reader: Task;
}
type Text = (reading: Reading) => string | number | TextSource;
type Make = (fs: ProcFilesystem, task: Task, isThread: boolean) => Inode;

interface Entry {
  readonly name: string;
  /** S_IF type bits. */
  readonly type: number;
  readonly make: Make;
}

const ENTRIES: readonly Entry[] = [
  { name: "attr", type: S_IFDIR, make: attributeDirectory },
  file("autogroup", 0o644, ({ task }) => autogroupText(task), setAutogroup),
  memory("auxv", 0o400, ({ task }) => String.fromCharCode(...task.mm.auxv)),
  file("cgroup", 0o444, () => "0::/\n"),
  file("children", 0o444, childrenText),
  file("clear_refs", 0o200, () => "", clearReferences),
  file("cmdline", 0o444, ({ task }) => guestStrings(task, task.mm.argStart, task.mm.argEnd)),
  file("comm", 0o644, ({ task }) => `${task.name}\n`, setName),
  file("coredump_filter", 0o644, ({ task }) => `${hex(task.mm.coredumpFilter, 8)}\n`, setFilter),
  file("cpuset", 0o444, () => "/\n"),
  link("cwd", (task) => task.fs.cwd),
  memory("environ", 0o400, ({ task }) => guestStrings(task, task.mm.envStart, task.mm.envEnd)),
  link("exe", (task) => task.mm.exe?.path ?? null),
  { name: "fd", type: S_IFDIR, make: fdDirectory },
  { name: "fdinfo", type: S_IFDIR, make: fdinfoDirectory },
  file("gid_map", 0o444, () => WHOLE_MAP),
  file("io", 0o400, guarded(({ task }) => ioText(task))),
  file("limits", 0o444, ({ task }) => limitsText(task)),
  file("loginuid", 0o444, () => "4294967295"),
  { name: "map_files", type: S_IFDIR, make: mapFilesDirectory },
  memory("maps", 0o444, (reading) => new MapsText(reading.task, mappedNames(reading))),
  { name: "mem", type: S_IFREG, make: memoryFile },
  ofMounts(file("mountinfo", 0o444, ({ task, reader }) => mountinfoText(task, reader))),
  ofMounts(file("mounts", 0o444, ({ task, reader }) => mountsText(task, reader))),
  file("mountstats", 0o400, ({ task, reader }) => mountstatsText(task, reader)),
  { name: "net", type: S_IFDIR, make: netDirectory },
  { name: "ns", type: S_IFDIR, make: namespaceDirectory },
  memory("numa_maps", 0o444, (reading) => new NumaMapsText(reading.task, mappedNames(reading))),
  file("oom_adj", 0o644, ({ task }) => `${oldAdjust(task)}\n`, setOldAdjust),
  file("oom_score", 0o444, ({ task }) => `${oomScore(task)}\n`),
  file("oom_score_adj", 0o644, ({ task }) => `${task.threadGroup.oomScoreAdjust}\n`, setAdjust),
  { name: "pagemap", type: S_IFREG, make: pagemapFile },
  file("personality", 0o400, guarded(({ task }) => `${hex(task.personality, 8)}\n`)),
  file("projid_map", 0o444, () => WHOLE_MAP),
  link("root", (task) => task.fs.root),
  file("sched", 0o644, ({ fs, task, isThread }) => schedText(fs, task, isThread), () => 0),
  file("schedstat", 0o444, schedstatText),
  file("sessionid", 0o444, () => "4294967295"),
  file("setgroups", 0o444, () => "allow\n"),
  memory("smaps", 0o444, (reading) => new SmapsText(reading.task, mappedNames(reading))),
  memory("smaps_rollup", 0o444, ({ task }) => new SmapsRollupText(task)),
  file("stack", 0o400, guarded(({ reader }) => stackText(reader))),
  file("stat", 0o444, ({ fs, task, isThread }) => statText(fs, task, isThread)),
  file("statm", 0o444, ({ task }) => statmText(task)),
  file("status", 0o444, ({ fs, task }) => statusText(fs, task)),
  file("syscall", 0o400, guarded(({ task, reader }) => syscallText(task, reader))),
  { name: "task", type: S_IFDIR, make: taskDirectory },
  file("timers", 0o444, ({ fs, task }) => timersText(fs, task)),
  file("timerslack_ns", 0o666, timerSlackText, setTimerSlack),
  file("uid_map", 0o444, () => WHOLE_MAP),
  file("wchan", 0o444, () => "0"),
];
const BY_NAME = new Map(ENTRIES.map((entry) => [entry.name, entry]));
/** Entries of processes only, and of threads only. */
const NOT_OF_THREADS = new Set([
  "autogroup",
  "clear_refs",
  "coredump_filter",
  "map_files",
  "mountstats",
  "task",
  "timers",
  "timerslack_ns",
]);
const OF_THREADS = new Set(["children"]);

export class ProcessDirectory extends VirtualInode {
  declare readonly fs: ProcFilesystem;
  readonly task: Task;
  readonly isThread: boolean;
  readonly #made = new Map<string, Inode>();

  constructor(fs: ProcFilesystem, task: Task, isThread: boolean) {
    super(fs, S_IFDIR | 0o555, ...ownerOf(task));
    this.nlink = isThread ? 6 : 9;
    this.task = task;
    this.isThread = isThread;
  }

  /** Whether its owner is still the owner of the process's files. */
  get isCurrent(): boolean {
    const [uid, gid] = ownerOf(this.task);
    return this.uid === uid && this.gid === gid;
  }

  #has(name: string): boolean {
    return !(this.isThread ? NOT_OF_THREADS : OF_THREADS).has(name);
  }

  override lookup(name: string): Inode | number {
    const made = this.#made.get(name);
    if (made !== undefined) return made;
    const entry = BY_NAME.get(name);
    if (entry === undefined || !this.#has(name)) return -ENOENT;
    const inode = entry.make(this.fs, this.task, this.isThread);
    this.#made.set(name, inode);
    return inode;
  }

  override open(_task: Task, flags: number): File | number {
    return new VirtualDirectoryFile(this, flags, () => this.#entries());
  }

  #entries(): VirtualEntry[] {
    const first = this.ino * ENTRIES.length;
    return ENTRIES.filter(({ name }) => this.#has(name)).map(({ name, type }, i) => ({
      name,
      ino: first + i,
      type,
    }));
  }
}

// --- kinds of entries ---------------------------------------------------------------------------------------------------

function file(
  name: string,
  mode: number,
  text: Text,
  accept: ((task: Task, writer: Task, text: string) => number) | null = null,
): Entry {
  const make: Make = (fs, task, isThread) => {
    const generate = (reader: Task) => task.pid.task === null ? -ESRCH : text({ fs, task, isThread, reader });
    const write: Accept | null = accept === null
      ? null
      : (writer, written) => task.hasExited ? -ESRCH : accept(task, writer, written);
    const inode = new GeneratedFile(fs, mode, generate, write, ...ownerOf(task));
    inode.isPollable = false;
    return inode;
  };
  return { name, type: S_IFREG, make };
}

/** Polling these files reports changes of mounts: mounts_poll(). */
function ofMounts({ name, type, make }: Entry): Entry {
  return {
    name,
    type,
    make: (fs, task, isThread) => {
      const inode = make(fs, task, isThread) as GeneratedFile;
      inode.isPollable = true;
      inode.changes = () => task.namespaces.mount.changes;
      return inode;
    },
  };
}

function guarded(text: Text): Text {
  return (reading) => mayInspect(reading.reader, reading.task) ? text(reading) : -EACCES;
}

/**
 * A file about the memory of a process: open(2) needs the ptrace access check. Empty once the process has no memory.
 */
function memory(name: string, mode: number, text: Text): Entry {
  const make: Make = (fs, task, isThread) => {
    const generate = (reader: Task) => task.hasExited ? "" : text({ fs, task, isThread, reader });
    return new GuardedFile(fs, mode, task, generate);
  };
  return { name, type: S_IFREG, make };
}

class GuardedFile extends GeneratedFile {
  readonly #task: Task;

  constructor(fs: ProcFilesystem, mode: number, task: Task, generate: Generate) {
    super(fs, mode, generate, null, ...ownerOf(task));
    this.isPollable = false;
    this.#task = task;
  }
  override open(opener: Task, flags: number): File | number {
    if (this.#task.pid.task === null) return -ESRCH;
    return mayInspect(opener, this.#task) ? super.open(opener, flags) : -EACCES;
  }
}

/** A magic link to a place of the process. */
function link(name: string, place: (task: Task) => Path | null): Entry {
  const make: Make = (fs, task) => {
    const text = () => {
      const reader = fs.kernel.currentTask!;
      const path = task.hasExited ? null : place(task);
      if (path === null) return -ENOENT;
      return mayInspect(reader, task) ? pathName(path, reader.fs.root) : -EACCES;
    };
    const follow = (reader: Task) => {
      const path = task.hasExited ? null : place(task);
      return path === null ? -ENOENT : mayInspect(reader, task) ? path : -EACCES;
    };
    return new VirtualLink(fs, text, follow);
  };
  return { name, type: S_IFLNK, make };
}

function namespaceDirectory(fs: ProcFilesystem, task: Task): Inode {
  const directory = new StaticDirectory(fs, 0o511);
  const add = (name: string, kind: string, namespace: () => NumberedNamespace) => {
    const guard = (reader: Task) => task.hasExited ? -ENOENT : mayInspect(reader, task) ? 0 : -EACCES;
    const text = () => guard(fs.kernel.currentTask!) || namespaceText(kind, namespace());
    const follow = (reader: Task) => guard(reader) || fs.kernel.pseudo.nsfs.placeOf(kind, namespace());
    directory.add(name, new VirtualLink(fs, text, follow));
  };
  add("cgroup", "cgroup", () => CGROUP_NAMESPACE);
  add("ipc", "ipc", () => task.namespaces.ipc);
  add("mnt", "mnt", () => task.namespaces.mount);
  add("net", "net", () => task.namespaces.net);
  add("pid", "pid", () => task.pid.namespace);
  add("pid_for_children", "pid", () => task.namespaces.pidForChildren);
  add("user", "user", () => USER_NAMESPACE);
  add("uts", "uts", () => task.namespaces.uts);
  return directory;
}

function taskDirectory(fs: ProcFilesystem, leader: Task): Inode {
  const made = new Map<Task, ProcessDirectory>();
  const find = (name: string): Inode | number => {
    const task = /^[1-9]\d{0,8}$/.test(name) ? fs.pids.task(Number(name)) : null;
    if (task === null || task.threadGroup !== leader.threadGroup) return -ENOENT;
    let directory = made.get(task);
    if (directory === undefined || !directory.isCurrent) {
      directory = new ProcessDirectory(fs, task, true);
      made.set(task, directory);
    }
    return directory;
  };
  const list = () =>
    leader.threadGroup.tasks.filter((task) => !task.hasExited || task === leader).map((task) => {
      const number = task.pid.in(fs.pids);
      return { name: String(number), ino: 3_000_000 + number, type: S_IFDIR };
    });
  return new TaskDirectory(fs, leader, find, list);
}

/** The link count includes the number of threads: proc_task_getattr() of fs/proc/base.c. */
class TaskDirectory extends DynamicDirectory {
  readonly #list: () => VirtualEntry[];

  constructor(
    fs: ProcFilesystem,
    leader: Task,
    find: (name: string) => Inode | number,
    list: () => VirtualEntry[],
  ) {
    super(fs, 0o555, find, list, ...ownerOf(leader));
    this.#list = list;
  }
  override refresh(): number {
    this.nlink = 2 + this.#list().length;
    return 0;
  }
}

// --- texts --------------------------------------------------------------------------------------------------------------

function hex(value: number, width: number): string {
  return (value >>> 0).toString(16).padStart(width, "0");
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

/** The path of a mapped file as the reader sees it. */
function mappedNames({ reader }: Reading): (file: File) => string {
  return (file) => file.path !== null ? pathName(file.path, reader.fs.root) : file.linkText;
}

/** Pids of the children that this thread has made. */
function childrenText({ fs, task }: Reading): string {
  let text = "";
  for (const child of task.threadGroup.children) {
    if (child.parentTask === task) text += `${child.pid.in(fs.pids)} `;
  }
  return text;
}

/** Linux: block device traffic is counted separately; here rchar and wchar count bytes of calls only. */
function ioText(task: Task): string {
  const { bytesRead, bytesWritten, readCalls, writeCalls } = task.threadGroup;
  return `rchar: ${bytesRead}\nwchar: ${bytesWritten}\nsyscr: ${readCalls}\nsyscw: ${writeCalls}\n` +
    "read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n";
}

function schedstatText({ task, isThread }: Reading): string {
  const nanos = task.hasExited || !isThread ? task.threadGroup.cpuNanos() : task.cpuNanos();
  return `${Math.round(nanos)} 0 ${task.blockCount}\n`;
}

/** The current call with its arguments, stack and instruction pointer, or "running". */
function syscallText(task: Task, reader: Task): string {
  if (task.hasExited) return "0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n";
  const isWaiting = task.state === TaskState.Blocked || task.state === TaskState.BlockedKillable;
  if (!isWaiting && task !== reader) return "running\n";
  const word = (low: number, high: number) => `0x${(high * 2 ** 32 + low).toString(16)}`;
  const { words } = task.args;
  let text = String(task.call.number);
  for (let i = 0; i < 6; i++) text += ` ${word(words[2 * i], words[2 * i + 1])}`;
  const hex = (address: number) => `0x${address.toString(16)}`;
  return `${text} ${hex(stackPointer(task.thread))} ${hex(instructionPointer(task.thread))}\n`;
}

/** The process's share of memory in thousandths plus oom_score_adj: oom_badness(). */
function oomScore(task: Task): number {
  if (task.hasExited) return 0;
  const { oomScoreAdjust } = task.threadGroup;
  if (oomScoreAdjust === -OOM_ADJUST_MAX) return 0;
  const pages = residentMemory(task).pages;
  const share = pages * 4096 / task.kernel.memoryTotalBytes * OOM_ADJUST_MAX;
  return Math.max(0, Math.floor((OOM_ADJUST_MAX + share + oomScoreAdjust) * 2 / 3));
}

function oldAdjust(task: Task): number {
  const { oomScoreAdjust } = task.threadGroup;
  if (oomScoreAdjust === OOM_ADJUST_MAX) return OLD_OOM_ADJUST_MAX;
  return Math.trunc(oomScoreAdjust * -OLD_OOM_DISABLE / OOM_ADJUST_MAX);
}

function timerSlackText({ task, reader }: Reading): string | number {
  if (task !== reader && !reader.credentials.has(CAP_SYS_NICE)) return -EPERM;
  return `${task.scheduling.timerSlackNanos}\n`;
}

// --- writing ------------------------------------------------------------------------------------------------------------

function setName(task: Task, writer: Task, text: string): number {
  if (writer.threadGroup !== task.threadGroup) return -EINVAL;
  task.name = text.replace(/\n$/, "").slice(0, COMM_BYTES_MAX);
  return 0;
}

function setFilter(task: Task, _writer: Task, text: string): number {
  const value = wholeNumber(text);
  if (Number.isNaN(value)) return -EINVAL;
  task.mm.coredumpFilter = value & COREDUMP_FILTER_BITS;
  return 0;
}

/** clear_refs_write(). Linux: pages lose their referenced and soft-dirty bits, which nobody can read here. */
function clearReferences(_task: Task, _writer: Task, text: string): number {
  const type = wholeNumber(text);
  return type >= 1 && type <= CLEAR_REFS_LAST ? 0 : -EINVAL;
}

function setAdjust(task: Task, writer: Task, text: string): number {
  const value = wholeNumber(text);
  if (Number.isNaN(value) || Math.abs(value) > OOM_ADJUST_MAX) return -EINVAL;
  return adjust(task, writer, value);
}

function setOldAdjust(task: Task, writer: Task, text: string): number {
  const value = wholeNumber(text);
  if (Number.isNaN(value)) return -EINVAL;
  if ((value < -OLD_OOM_ADJUST_MAX - 1 || value > OLD_OOM_ADJUST_MAX) && value !== OLD_OOM_DISABLE) {
    return -EINVAL;
  }
  const scaled = value === OLD_OOM_ADJUST_MAX
    ? OOM_ADJUST_MAX
    : Math.trunc(value * OOM_ADJUST_MAX / -OLD_OOM_DISABLE);
  return adjust(task, writer, scaled);
}

/** Lowering the value below what a privileged process set takes CAP_SYS_RESOURCE. */
function adjust(task: Task, writer: Task, value: number): number {
  const group = task.threadGroup;
  const isPrivileged = writer.credentials.has(CAP_SYS_RESOURCE);
  if (value < group.oomScoreAdjustMin && !isPrivileged) return -EACCES;
  group.oomScoreAdjust = value;
  if (isPrivileged) group.oomScoreAdjustMin = value;
  return 0;
}

function setTimerSlack(task: Task, writer: Task, text: string): number {
  if (task !== writer && !writer.credentials.has(CAP_SYS_NICE)) return -EPERM;
  const value = wholeNumber(text);
  if (Number.isNaN(value) || value < 0) return -EINVAL;
  task.scheduling.timerSlackNanos = value === 0 ? task.scheduling.defaultTimerSlackNanos : value;
  return 0;
}

/** kstrtoint(): decimal, 0x and 0 prefixes; NaN for anything else. */
function wholeNumber(text: string): number {
  const trimmed = text.replace(/\n$/, "").trim();
  if (/^-?0[0-7]+$/.test(trimmed)) return parseInt(trimmed, 8);
  return /^[+-]?(0[xX][0-9a-fA-F]+|\d+)$/.test(trimmed) ? Number(trimmed) : NaN;
}
