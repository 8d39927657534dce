// /proc/PID/stat, statm, status, limits: figures of a process in Linux's formats. Linux: fs/proc/array.c.

import {
  RLIMIT_AS,
  RLIMIT_CORE,
  RLIMIT_CPU,
  RLIMIT_DATA,
  RLIMIT_FSIZE,
  RLIMIT_LOCKS,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RSS,
  RLIMIT_RTPRIO,
  RLIMIT_RTTIME,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
} from "../../abi/task.ts";
import { residentMemory } from "../../mm/residency.ts";
import { PAGE_SIZE, PROT_EXEC, PROT_WRITE } from "../../abi/memory.ts";
import { SIG_DFL, SIG_IGN } from "../../abi/signal.ts";
import { STRICT } from "../../task/seccomp.ts";
import type { CapabilitySet } from "../../task/credentials.ts";
import { type Task, TaskState } from "../../task/task.ts";
import { nanosToTicks, processUsage, threadUsage, Usage } from "../../task/usage.ts";
import { userAccount } from "../../task/user_account.ts";
import type { ProcFilesystem } from "./proc.ts";

const STATE_LETTERS: Readonly<Record<number, readonly [string, string]>> = {
  [TaskState.Running]: ["R", "R (running)"],
  [TaskState.Blocked]: ["S", "S (sleeping)"],
  [TaskState.BlockedKillable]: ["D", "D (disk sleep)"],
  [TaskState.Stopped]: ["T", "T (stopped)"],
  [TaskState.Zombie]: ["Z", "Z (zombie)"],
  [TaskState.Dead]: ["X", "X (dead)"],
};

function stateOf(task: Task): readonly [string, string] {
  const sleepsOnHost = task.state === TaskState.Running && task.thread.isInHostFutex;
  return STATE_LETTERS[sleepsOnHost ? TaskState.Blocked : task.state];
}

interface MemorySizes {
  readonly total: number;
  readonly code: number;
  readonly data: number;
  readonly stack: number;
  readonly shared: number;
}

/** Sizes in bytes, computed from the VMA tree. */
function memorySizes(task: Task): MemorySizes {
  let code = 0, data = 0, stack = 0, shared = 0;
  if (task.hasExited) return { total: 0, code, data, stack, shared };
  for (const area of task.mm.areas) {
    if (area.name === "[stack]") stack += area.length;
    else if ((area.prot & PROT_EXEC) !== 0) code += area.length;
    else if ((area.prot & PROT_WRITE) !== 0 && !area.isShared) data += area.length;
    if (area.isShared) shared += area.length;
  }
  return { total: task.mm.areas.totalBytes, code, data, stack, shared };
}

const PF_EXITING = 0x4;
const PF_FORKNOEXEC = 0x40;
const PF_RANDOMIZE = 0x40_0000;
/** The priority of nice 0 in user space. */
const DEFAULT_PRIORITY = 20;

const usage = new Usage();

/** stat: one line of 52 fields, proc_pid_stat(5). A thread shows its own processor time. */
export function statText(fs: ProcFilesystem, task: Task, isThread: boolean): string {
  const group = task.threadGroup, mm = task.mm, pids = fs.pids;
  const sizes = memorySizes(task);
  const gone = task.hasExited;
  if (isThread && !gone) threadUsage(task, usage);
  else processUsage(group, usage);
  const ofChildren = group.childrenUsage;
  const start = nanosToTicks(task.startNanos - fs.kernel.bootNanos);
  const { low: ignoredLow, caughtLow } = actionMasks(task);
  const { nice, isRealTime, priority, policy } = task.scheduling;
  const terminal = group.hasLeftTerminal ? null : group.session.terminal;
  const flags = PF_RANDOMIZE | (group.hasExeced ? 0 : PF_FORKNOEXEC) | (gone ? PF_EXITING : 0);
  const fields = [
    task.pid.in(pids),
    `(${task.name})`,
    stateOf(task)[0],
    group.parent === null ? 0 : group.parent.pid.in(pids),
    group.processGroup.pid.in(pids),
    group.session.pid.in(pids),
    terminal === null ? 0 : terminal.deviceNumber,
    terminal === null ? -1 : terminal.foreground?.pid.in(pids) ?? 0,
    flags,
    usage.minorFaults,
    ofChildren.minorFaults,
    usage.majorFaults,
    ofChildren.majorFaults,
    nanosToTicks(usage.userNanos),
    nanosToTicks(usage.systemNanos),
    nanosToTicks(ofChildren.userNanos),
    nanosToTicks(ofChildren.systemNanos),
    isRealTime ? -1 - priority : DEFAULT_PRIORITY + nice,
    nice,
    Math.max(1, group.liveCount),
    0,
    start,
    sizes.total,
    gone ? 0 : residentMemory(task).pages,
    limitValue(task, RLIMIT_RSS),
    gone ? 0 : mm.codeStart,
    gone ? 0 : mm.codeEnd,
    gone ? 0 : mm.stackStart,
    0, // stack and instruction pointer: only while a task dumps core
    0,
    task.signals.pending.low & 0x7fffffff,
    task.signals.maskLow & 0x7fffffff,
    ignoredLow & 0x7fffffff,
    caughtLow & 0x7fffffff,
    0,
    0,
    0,
    task === group.leader ? group.exitSignal : -1,
    0, // processor
    isRealTime ? priority : 0,
    policy,
    0,
    0,
    0,
    gone ? 0 : mm.dataStart,
    gone ? 0 : mm.dataEnd,
    gone ? 0 : mm.brkStart,
    gone ? 0 : mm.argStart,
    gone ? 0 : mm.argEnd,
    gone ? 0 : mm.envStart,
    gone ? 0 : mm.envEnd,
    gone ? task.exitStatus : 0,
  ];
  return `${fields.join(" ")}\n`;
}

/** A soft limit as a 64-bit decimal. */
function limitValue(task: Task, resource: number): string {
  const value = task.threadGroup.limits.soft(resource);
  return value === Infinity ? "18446744073709551615" : String(value);
}

export function statmText(task: Task): string {
  const sizes = memorySizes(task);
  const pages = (bytes: number) => Math.ceil(bytes / PAGE_SIZE);
  const resident = task.hasExited ? null : residentMemory(task);
  const fields = [
    pages(sizes.total),
    resident === null ? 0 : resident.pages,
    resident === null ? 0 : resident.filePages + resident.sharedPages,
    pages(sizes.code),
    0,
    pages(sizes.data + sizes.stack),
    0,
  ];
  return `${fields.join(" ")}\n`;
}

interface Masks {
  low: number;
  high: number;
  caughtLow: number;
  caughtHigh: number;
}

function actionMasks(task: Task): Masks {
  const masks: Masks = { low: 0, high: 0, caughtLow: 0, caughtHigh: 0 };
  const { handler } = task.threadGroup.actions;
  for (let signal = 1; signal <= 64; signal++) {
    if (handler[signal] === SIG_DFL) continue;
    const bit = 1 << ((signal - 1) & 31);
    const isIgnored = handler[signal] === SIG_IGN;
    if (signal <= 32) isIgnored ? masks.low |= bit : masks.caughtLow |= bit;
    else isIgnored ? masks.high |= bit : masks.caughtHigh |= bit;
  }
  return masks;
}

function hex64(high: number, low: number): string {
  return (high >>> 0).toString(16).padStart(8, "0") + (low >>> 0).toString(16).padStart(8, "0");
}
function capabilities(set: CapabilitySet): string {
  return hex64(set.high, set.low);
}

export function statusText(fs: ProcFilesystem, task: Task): string {
  const group = task.threadGroup, credentials = task.credentials, pids = fs.pids;
  const sizes = memorySizes(task);
  const kib = (bytes: number) => `${String(Math.ceil(bytes / 1024)).padStart(8)} kB`;
  const ids = (a: number, b: number, c: number, d: number) => `${a}\t${b}\t${c}\t${d}`;
  const masks = actionMasks(task);
  const pending = task.signals.pending, shared = group.pending;
  const cpus = fs.kernel.cpuCount;
  const allowed = allowedCpus(task, cpus);
  const lines = [
    `Name:\t${task.name}`,
    `Umask:\t${task.hasExited ? "0000" : task.fs.umask.toString(8).padStart(4, "0")}`,
    `State:\t${stateOf(task)[1]}`,
    `Tgid:\t${group.pid.in(pids)}`,
    "Ngid:\t0",
    `Pid:\t${task.pid.in(pids)}`,
    `PPid:\t${group.parent === null ? 0 : group.parent.pid.in(pids)}`,
    "TracerPid:\t0",
    `Uid:\t${ids(credentials.uid, credentials.euid, credentials.suid, credentials.fsuid)}`,
    `Gid:\t${ids(credentials.gid, credentials.egid, credentials.sgid, credentials.fsgid)}`,
    `FDSize:\t${task.hasExited ? 0 : Math.max(64, task.files.size)}`,
    `Groups:\t${credentials.groups.map((gid) => `${gid} `).join("")}`,
    `NStgid:\t${group.pid.numbersFrom(pids).join("\t")}`,
    `NSpid:\t${task.pid.numbersFrom(pids).join("\t")}`,
    `NSpgid:\t${group.processGroup.pid.numbersFrom(pids).join("\t")}`,
    `NSsid:\t${group.session.pid.numbersFrom(pids).join("\t")}`,
    "Kthread:\t0",
  ];
  if (!task.hasExited) {
    const resident = residentMemory(task);
    task.mm.peakBytes = Math.max(task.mm.peakBytes, sizes.total);
    lines.push(
      `VmPeak:\t${kib(task.mm.peakBytes)}`,
      `VmSize:\t${kib(sizes.total)}`,
      `VmLck:\t${kib(task.mm.areas.lockedBytes)}`,
      `VmPin:\t${kib(0)}`,
      `VmHWM:\t${kib(resident.peakPages * PAGE_SIZE)}`,
      `VmRSS:\t${kib(resident.pages * PAGE_SIZE)}`,
      `RssAnon:\t${kib(resident.anonymousPages * PAGE_SIZE)}`,
      `RssFile:\t${kib(resident.filePages * PAGE_SIZE)}`,
      `RssShmem:\t${kib(resident.sharedPages * PAGE_SIZE)}`,
      `VmData:\t${kib(sizes.data)}`,
      `VmStk:\t${kib(sizes.stack)}`,
      `VmExe:\t${kib(task.mm.codeEnd - task.mm.codeStart)}`,
      `VmLib:\t${kib(Math.max(0, sizes.code - (task.mm.codeEnd - task.mm.codeStart)))}`,
      `VmPTE:\t${kib(0)}`,
      `VmSwap:\t${kib(0)}`,
      `HugetlbPages:\t${kib(0)}`,
      "CoreDumping:\t0",
      `THP_enabled:\t${group.isHugePageDisabled ? 0 : 1}`,
      "untag_mask:\t0xffffffffffffffff",
    );
  }
  lines.push(
    `Threads:\t${Math.max(1, group.liveCount)}`,
    `SigQ:\t${userAccount(fs.kernel, credentials.uid).pendingSignals}/${
      limitText(task, RLIMIT_SIGPENDING)[0]
    }`,
    `SigPnd:\t${hex64(pending.high, pending.low)}`,
    `ShdPnd:\t${hex64(shared.high, shared.low)}`,
    `SigBlk:\t${hex64(task.signals.maskHigh, task.signals.maskLow)}`,
    `SigIgn:\t${hex64(masks.high, masks.low)}`,
    `SigCgt:\t${hex64(masks.caughtHigh, masks.caughtLow)}`,
    `CapInh:\t${capabilities(credentials.inheritable)}`,
    `CapPrm:\t${capabilities(credentials.permitted)}`,
    `CapEff:\t${capabilities(credentials.effective)}`,
    `CapBnd:\t${capabilities(credentials.bounding)}`,
    `CapAmb:\t${capabilities(credentials.ambient)}`,
    `NoNewPrivs:\t${credentials.noNewPrivs ? 1 : 0}`,
    `Seccomp:\t${task.seccomp === null ? 0 : task.seccomp === STRICT ? 1 : 2}`,
    `Seccomp_filters:\t${task.seccomp === null || task.seccomp === STRICT ? 0 : task.seccomp.count}`,
    "Speculation_Store_Bypass:\tunknown",
    "SpeculationIndirectBranch:\tunknown",
    `Cpus_allowed:\t${cpuMask(allowed, cpus)}`,
    `Cpus_allowed_list:\t${cpuList(allowed)}`,
    "Mems_allowed:\t00000001",
    "Mems_allowed_list:\t0",
    `voluntary_ctxt_switches:\t${task.blockCount}`,
    "nonvoluntary_ctxt_switches:\t0",
  );
  return `${lines.join("\n")}\n`;
}

/** Numbers of the processors in the task's affinity mask. */
function allowedCpus(task: Task, count: number): number[] {
  const { affinity } = task.scheduling;
  const cpus = Array.from({ length: count }, (_, cpu) => cpu);
  return affinity === null ? cpus : cpus.filter((cpu) => (affinity[cpu >> 3] >> (cpu & 7) & 1) !== 0);
}

/** "f", "ff,ffffffff": a mask of `count` bits in the format of %*pb. */
export function cpuMask(cpus: readonly number[], count: number): string {
  const words = new Array<number>(Math.ceil(count / 32)).fill(0);
  for (const cpu of cpus) words[cpu >> 5] |= 1 << (cpu & 31);
  const digits = Math.ceil((count % 32 || 32) / 4);
  return words.map((word, i) => (word >>> 0).toString(16).padStart(i === words.length - 1 ? digits : 8, "0"))
    .reverse().join(",");
}

/** "0-2,5": a list in the format of %*pbl. */
export function cpuList(cpus: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < cpus.length; i++) {
    const first = cpus[i];
    while (i + 1 < cpus.length && cpus[i + 1] === cpus[i] + 1) i++;
    parts.push(first === cpus[i] ? String(first) : `${first}-${cpus[i]}`);
  }
  return parts.join(",");
}

const LIMITS: readonly (readonly [number, string, string])[] = [
  [RLIMIT_CPU, "Max cpu time", "seconds"],
  [RLIMIT_FSIZE, "Max file size", "bytes"],
  [RLIMIT_DATA, "Max data size", "bytes"],
  [RLIMIT_STACK, "Max stack size", "bytes"],
  [RLIMIT_CORE, "Max core file size", "bytes"],
  [RLIMIT_RSS, "Max resident set", "bytes"],
  [RLIMIT_NPROC, "Max processes", "processes"],
  [RLIMIT_NOFILE, "Max open files", "files"],
  [RLIMIT_MEMLOCK, "Max locked memory", "bytes"],
  [RLIMIT_AS, "Max address space", "bytes"],
  [RLIMIT_LOCKS, "Max file locks", "locks"],
  [RLIMIT_SIGPENDING, "Max pending signals", "signals"],
  [RLIMIT_MSGQUEUE, "Max msgqueue size", "bytes"],
  [RLIMIT_NICE, "Max nice priority", ""],
  [RLIMIT_RTPRIO, "Max realtime priority", ""],
  [RLIMIT_RTTIME, "Max realtime timeout", "us"],
];

function limitText(task: Task, resource: number): [string, string] {
  const text = (value: number) => value === Infinity ? "unlimited" : String(value);
  return [text(task.threadGroup.limits.soft(resource)), text(task.threadGroup.limits.hard(resource))];
}

export function limitsText(task: Task): string {
  let text = `${"Limit".padEnd(26)}${"Soft Limit".padEnd(21)}${"Hard Limit".padEnd(21)}${
    "Units".padEnd(10)
  }\n`;
  for (const [resource, name, unit] of LIMITS) {
    const [soft, hard] = limitText(task, resource);
    text += `${name.padEnd(26)}${soft.padEnd(21)}${hard.padEnd(21)}${unit.padEnd(10)}\n`;
  }
  return text;
}
