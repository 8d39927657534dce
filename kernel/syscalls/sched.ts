// Scheduling: nice values, policies, affinity, I/O priority; sched(7), getpriority(2). Values are checked and stored
// as on Linux. Linux: they decide what runs when; here the host schedules guest threads and they have no effect.

import { E2BIG, EACCES, EFAULT, EINVAL, EPERM, ESRCH } from "../abi/errno.ts";
import { MEMBARRIER_CMD_ALL, PAGE_SIZE, PROT_READ, PROT_WRITE } from "../abi/memory.ts";
import { i32, put32, put64, u32, zero } from "../abi/struct.ts";
import {
  CAP_SYS_NICE,
  PRIO_PGRP,
  PRIO_PROCESS,
  PRIO_USER,
  RLIMIT_NICE,
  RLIMIT_RTPRIO,
  RSEQ_FLAG_UNREGISTER,
  SCHED_BATCH,
  SCHED_DEADLINE,
  SCHED_FIFO,
  SCHED_FLAG_KEEP_PARAMS,
  SCHED_FLAG_KEEP_POLICY,
  SCHED_FLAG_RESET_ON_FORK,
  SCHED_IDLE,
  SCHED_NORMAL,
  SCHED_RESET_ON_FORK,
  SCHED_RR,
} from "../abi/task.ts";
import { hasCapability } from "../task/credentials.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const POLICIES = { SCHED_NORMAL, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE };
const PRIORITY_MAX = 99;
const NICE_MIN = -20;
const NICE_MAX = 19;
/** sched_rr_get_interval(2): RR_TIMESLICE, and the slice of SCHED_OTHER. */
const RR_NANOS = 100_000_000;
const SLICE_NANOS = 4_000_000;
const SCHED_ATTR_BYTES_MIN = 48;
const SCHED_ATTR_BYTES = 56;

const bytes = new Uint8Array(64);

function schedYield(): number {
  return 0;
}

/** The task that a pid argument names (0: the caller), or null. */
function taskOf(task: Task, pid: number): Task | null {
  return pid === 0 ? task : task.pid.namespace.task(pid);
}

/**
 * The caller's effective user must be the target's real or effective one, or have CAP_SYS_NICE: check_same_owner().
 */
function mayTouch(task: Task, target: Task): boolean {
  const { euid } = task.credentials;
  return euid === target.credentials.euid || euid === target.credentials.uid ||
    hasCapability(task.credentials, CAP_SYS_NICE);
}

/** can_nice(): RLIMIT_NICE of 1..40 permits nice values down to 19..-20. */
function mayRaise(task: Task, target: Task, nice: number): boolean {
  return 20 - nice <= target.threadGroup.limits.soft(RLIMIT_NICE) ||
    hasCapability(task.credentials, CAP_SYS_NICE);
}

/** Calls `visit` for every task that (which, who) of getpriority(2) names; false for an invalid `which`. */
function forPriority(task: Task, which: number, who: number, visit: (target: Task) => void): boolean {
  if (which === PRIO_PROCESS) {
    const target = taskOf(task, who);
    if (target !== null) visit(target);
    return true;
  }
  if (which === PRIO_PGRP) {
    const group = who === 0 ? task.threadGroup.processGroup : task.pid.namespace.pids.get(who)?.group ?? null;
    if (group === null) return true;
    for (const member of group.members) for (const target of member.tasks) visit(target);
    return true;
  }
  if (which !== PRIO_USER) return false;
  const uid = who === 0 ? task.credentials.uid : who >>> 0;
  for (const target of task.kernel.tasks.values()) {
    if (target.credentials.uid === uid && target.pid.in(task.pid.namespace) !== 0) visit(target);
  }
  return true;
}

function getpriority(task: Task, args: Args): number {
  let highest = -ESRCH;
  const isKnown = forPriority(task, args.i32(0), args.i32(1), (target) => {
    highest = Math.max(highest, 20 - target.scheduling.nice);
  });
  return isKnown ? highest : -EINVAL;
}

function setpriority(task: Task, args: Args): number {
  const nice = Math.max(NICE_MIN, Math.min(NICE_MAX, args.i32(2)));
  let result = -ESRCH;
  const isKnown = forPriority(task, args.i32(0), args.i32(1), (target) => {
    const set = setNice(task, target, nice);
    if (result === -ESRCH || set < 0) result = set;
  });
  return isKnown ? result : -EINVAL;
}

function setNice(task: Task, target: Task, nice: number): number {
  if (!mayTouch(task, target)) return -EPERM;
  if (nice < target.scheduling.nice && !mayRaise(task, target, nice)) return -EACCES;
  target.scheduling.nice = nice;
  return 0;
}

function schedSetscheduler(task: Task, args: Args): number {
  if (args.i32(1) < 0) return -EINVAL;
  return setScheduler(task, args.i32(0), args.i32(1), args.word(2));
}

function schedSetparam(task: Task, args: Args): number {
  return setScheduler(task, args.i32(0), -1, args.word(1));
}

/** A `policy` of -1 keeps the current one. */
function setScheduler(task: Task, pid: number, policy: number, address: number): number {
  if (address === 0 || pid < 0) return -EINVAL;
  const at = task.memory.inView(address, 4);
  if (at < 0) return -EFAULT;
  const priority = i32(task.memory.view, at);
  const target = taskOf(task, pid);
  if (target === null) return -ESRCH;
  if (policy < 0) {
    return applyPolicy(task, target, target.scheduling.policy, priority, target.scheduling.resetsOnFork);
  }
  return applyPolicy(
    task,
    target,
    policy & ~SCHED_RESET_ON_FORK,
    priority,
    (policy & SCHED_RESET_ON_FORK) !== 0,
  );
}

function isRealTime(policy: number): boolean {
  return policy === SCHED_FIFO || policy === SCHED_RR;
}

/** The checks of __sched_setscheduler(), then the change. */
function applyPolicy(
  task: Task,
  target: Task,
  policy: number,
  priority: number,
  resetsOnFork: boolean,
): number {
  const isOrdinary = policy === SCHED_NORMAL || policy === SCHED_BATCH || policy === SCHED_IDLE;
  if (!isOrdinary && !isRealTime(policy)) return -EINVAL;
  if (priority < 0 || priority > PRIORITY_MAX || isRealTime(policy) !== (priority !== 0)) return -EINVAL;
  const scheduling = target.scheduling;
  if (!hasCapability(task.credentials, CAP_SYS_NICE)) {
    if (isRealTime(policy)) {
      const limit = target.threadGroup.limits.soft(RLIMIT_RTPRIO);
      if (policy !== scheduling.policy && limit === 0) return -EPERM;
      if (priority > scheduling.priority && priority > limit) return -EPERM;
    }
    if (
      scheduling.policy === SCHED_IDLE && policy !== SCHED_IDLE && !mayRaise(task, target, scheduling.nice)
    ) {
      return -EPERM;
    }
    if (!mayTouch(task, target)) return -EPERM;
    if (scheduling.resetsOnFork && !resetsOnFork) return -EPERM;
  }
  scheduling.policy = policy;
  scheduling.priority = priority;
  scheduling.resetsOnFork = resetsOnFork;
  return 0;
}

function schedGetscheduler(task: Task, args: Args): number {
  if (args.i32(0) < 0) return -EINVAL;
  const target = taskOf(task, args.i32(0));
  if (target === null) return -ESRCH;
  return target.scheduling.policy | (target.scheduling.resetsOnFork ? SCHED_RESET_ON_FORK : 0);
}

function schedGetparam(task: Task, args: Args): number {
  if (args.word(1) === 0 || args.i32(0) < 0) return -EINVAL;
  const target = taskOf(task, args.i32(0));
  if (target === null) return -ESRCH;
  put32(bytes, 0, target.scheduling.priority);
  return task.memory.copyOut(args.word(1), bytes, 0, 4) < 0 ? -EFAULT : 0;
}

function schedGetPriorityMax(_task: Task, args: Args): number {
  return priorityBound(args.i32(0), PRIORITY_MAX);
}
function schedGetPriorityMin(_task: Task, args: Args): number {
  return priorityBound(args.i32(0), 1);
}
function priorityBound(policy: number, bound: number): number {
  if (isRealTime(policy)) return bound;
  const isOther = policy === SCHED_NORMAL || policy === SCHED_BATCH || policy === SCHED_IDLE ||
    policy === SCHED_DEADLINE;
  return isOther ? 0 : -EINVAL;
}

function schedRrGetInterval(task: Task, args: Args): number {
  if (args.i32(0) < 0) return -EINVAL;
  const target = taskOf(task, args.i32(0));
  if (target === null) return -ESRCH;
  const { policy } = target.scheduling;
  put64(bytes, 0, 0);
  put64(bytes, 8, policy === SCHED_RR ? RR_NANOS : policy === SCHED_FIFO ? 0 : SLICE_NANOS);
  return task.memory.copyOut(args.word(1), bytes, 0, 16) < 0 ? -EFAULT : 0;
}

/** Bytes of a processor mask in the kernel: a multiple of a long. */
function maskBytes(task: Task): number {
  return Math.ceil(task.kernel.cpuCount / 64) * 8;
}

function schedSetaffinity(task: Task, args: Args): number {
  const size = Math.min(args.u32(1), maskBytes(task));
  const at = task.memory.inView(args.word(2), size);
  if (at < 0) return -EFAULT;
  const mask = new Uint8Array(maskBytes(task));
  let isEmpty = true;
  for (let cpu = 0; cpu < Math.min(task.kernel.cpuCount, size * 8); cpu++) {
    if ((task.memory.view[at + (cpu >> 3)] >> (cpu & 7) & 1) === 0) continue;
    mask[cpu >> 3] |= 1 << (cpu & 7);
    isEmpty = false;
  }
  const target = taskOf(task, args.i32(0));
  if (target === null) return -ESRCH;
  if (!mayTouch(task, target)) return -EPERM;
  if (isEmpty) return -EINVAL;
  target.scheduling.affinity = mask;
  return 0;
}

function schedGetaffinity(task: Task, args: Args): number {
  const length = args.u32(1);
  if (length * 8 < task.kernel.cpuCount || length % 8 !== 0) return -EINVAL;
  const target = taskOf(task, args.i32(0));
  if (target === null) return -ESRCH;
  const size = Math.min(length, maskBytes(task));
  const at = task.memory.outView(args.word(2), size);
  if (at < 0) return -EFAULT;
  zero(task.memory.view, at, size);
  const { affinity } = target.scheduling;
  for (let cpu = 0; cpu < task.kernel.cpuCount; cpu++) {
    const isAllowed = affinity === null || (affinity[cpu >> 3] >> (cpu & 7) & 1) !== 0;
    if (isAllowed) task.memory.view[at + (cpu >> 3)] |= 1 << (cpu & 7);
  }
  return task.memory.outCommit(size) < 0 ? -EFAULT : size;
}

function schedSetattr(task: Task, args: Args): number {
  const address = args.word(1);
  if (address === 0 || args.i32(0) < 0 || args.u32(2) !== 0) return -EINVAL;
  let at = task.memory.inView(address, 4);
  if (at < 0) return -EFAULT;
  const given = u32(task.memory.view, at);
  const size = given === 0 ? SCHED_ATTR_BYTES_MIN : given;
  if (size < SCHED_ATTR_BYTES_MIN || size > PAGE_SIZE) return tellSize(task, address);
  at = task.memory.inView(address, size);
  if (at < 0) return -EFAULT;
  const view = task.memory.view;
  for (let i = SCHED_ATTR_BYTES; i < size; i++) {
    if (view[at + i] !== 0) return tellSize(task, address);
  }
  const policy = i32(view, at + 4);
  const flags = u32(view, at + 8);
  const nice = Math.max(NICE_MIN, Math.min(NICE_MAX, i32(view, at + 16)));
  const priority = i32(view, at + 20);
  const known = SCHED_FLAG_RESET_ON_FORK | SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS;
  if (policy < 0 || (flags & ~known) !== 0 || u32(view, at + 12) !== 0) return -EINVAL;
  if (policy === SCHED_DEADLINE) {
    return task.kernel.coverage.unfinished("sched_setattr SCHED_DEADLINE", EINVAL);
  }
  const target = taskOf(task, args.i32(0));
  if (target === null) return -ESRCH;
  const scheduling = target.scheduling;
  const keepsParameters = (flags & SCHED_FLAG_KEEP_PARAMS) !== 0;
  const wanted = (flags & SCHED_FLAG_KEEP_POLICY) !== 0 ? scheduling.policy : policy;
  const wantsNice = !keepsParameters && !isRealTime(wanted);
  if (wantsNice && nice < scheduling.nice && !mayRaise(task, target, nice)) return -EPERM;
  const wantedPriority = keepsParameters ? scheduling.priority : priority;
  const applied = applyPolicy(task, target, wanted, wantedPriority, (flags & SCHED_FLAG_RESET_ON_FORK) !== 0);
  if (applied === 0 && wantsNice) scheduling.nice = nice;
  return applied;
}

/** The struct's size is unknown: stores the size that this kernel has (sched_copy_attr()). */
function tellSize(task: Task, address: number): number {
  put32(bytes, 0, SCHED_ATTR_BYTES);
  return task.memory.copyOut(address, bytes, 0, 4) < 0 ? -EFAULT : -E2BIG;
}

function schedGetattr(task: Task, args: Args): number {
  const size = args.u32(2);
  if (args.word(1) === 0 || args.i32(0) < 0 || args.u32(3) !== 0) return -EINVAL;
  if (size < SCHED_ATTR_BYTES_MIN || size > PAGE_SIZE) return -EINVAL;
  const target = taskOf(task, args.i32(0));
  if (target === null) return -ESRCH;
  const { scheduling } = target;
  const length = Math.min(size, SCHED_ATTR_BYTES);
  zero(bytes, 0, SCHED_ATTR_BYTES);
  put32(bytes, 0, length);
  put32(bytes, 4, scheduling.policy);
  put32(bytes, 8, scheduling.resetsOnFork ? SCHED_FLAG_RESET_ON_FORK : 0);
  put32(bytes, 16, scheduling.isRealTime ? 0 : scheduling.nice);
  put32(bytes, 20, scheduling.priority);
  return task.memory.copyOut(args.word(1), bytes, 0, length) < 0 ? -EFAULT : 0;
}

/** Linux: the current CPU; here the first one in the affinity mask, and node 0. The vDSO asks the host. */
function getcpu(task: Task, args: Args): number {
  const { affinity } = task.scheduling;
  let cpu = 0;
  while (affinity !== null && cpu < affinity.length * 8 && (affinity[cpu >> 3] >> (cpu & 7) & 1) === 0) cpu++;
  for (let i = 0; i < 2; i++) {
    put32(bytes, 0, i === 0 ? cpu : 0);
    if (args.word(i) !== 0 && task.memory.copyOut(args.word(i), bytes, 0, 4) < 0) return -EFAULT;
  }
  return 0;
}

const IOPRIO_WHO_PROCESS = 1;
const IOPRIO_WHO_PGRP = 2;
const IOPRIO_WHO_USER = 3;
const IOPRIO_CLASS_RT = 1;
const IOPRIO_CLASS_IDLE = 3;
const IOPRIO_LEVELS = 8;

function ioprioSet(task: Task, args: Args): number {
  const value = args.i32(2);
  const kind = value >> 13;
  const level = value & 7;
  if (kind < 0 || kind > IOPRIO_CLASS_IDLE || (value & 0x1fff) >= IOPRIO_LEVELS) return -EINVAL;
  if (kind === 0 && level !== 0) return -EINVAL;
  if (kind === IOPRIO_CLASS_RT && !hasCapability(task.credentials, CAP_SYS_NICE)) return -EPERM;
  let result = -ESRCH;
  // IOPRIO_WHO_ values are the PRIO_ values plus one.
  const isKnown = forPriority(task, args.i32(0) - 1, args.i32(1), (target) => {
    const isAllowed = mayTouch(task, target);
    if (isAllowed) target.scheduling.ioPriority = value;
    if (result === -ESRCH || !isAllowed) result = isAllowed ? 0 : -EPERM;
  });
  return isKnown ? result : -EINVAL;
}

function ioprioGet(task: Task, args: Args): number {
  let best = -ESRCH;
  const isKnown = forPriority(task, args.i32(0) - 1, args.i32(1), (target) => {
    const value = target.scheduling.ioPriority;
    // The numerically lowest class wins; "none" counts last: ioprio_best().
    if (best < 0 || (value !== 0 && (best === 0 || value < best))) best = value;
  });
  return isKnown ? best : -EINVAL;
}

function membarrier(task: Task, args: Args): number {
  const { thread } = task;
  const command = args.i32(0);
  // The stub's filter permits these commands only (stub_filter), so newer ones of the host are unknown here.
  if ((command & ~MEMBARRIER_CMD_ALL) !== 0 || (command & command - 1) !== 0) return -EINVAL;
  const result = thread.memoryBarrier(command, args.u32(1), args.i32(2));
  return command === 0 && result > 0 ? result & MEMBARRIER_CMD_ALL : result;
}

/** The size of struct rseq as it was at first, which is aligned to as much. */
const ORIG_RSEQ_BYTES = 32;

/** Whether the host registers the area for sure: a thread's first one, in writable memory that no file is behind. */
function isPlainRegistration(task: Task, address: number, length: number, flags: number): boolean {
  if (flags !== 0 || task.rseqAddress !== 0) return false;
  if (length !== ORIG_RSEQ_BYTES || address === 0 || address % ORIG_RSEQ_BYTES !== 0) return false;
  const area = task.mm.areas.find(address);
  if (area === null || area.backing !== null) return false;
  return (area.prot & (PROT_READ | PROT_WRITE)) === (PROT_READ | PROT_WRITE);
}

/** The host keeps the area up to date, as only it sees when a thread is preempted. fork copies the registration. */
function rseq(task: Task, args: Args): number {
  const { thread } = task;
  const address = args.word(0), length = args.u32(1), flags = args.i32(2), signature = args.u32(3);
  if (address + length > task.mm.layout.end) return -EINVAL;
  if (
    !isPlainRegistration(task, address, length, flags) || !thread.registerLater(address, length, signature)
  ) {
    const result = thread.rseq(address, length, flags, signature);
    if (result < 0) return result;
  }
  const isRegistered = (flags & RSEQ_FLAG_UNREGISTER) === 0;
  task.rseqAddress = isRegistered ? address : 0;
  task.rseqLength = isRegistered ? length : 0;
  task.rseqSignature = isRegistered ? signature : 0;
  return 0;
}

const NO_EFFECT = partial("checked and stored; the host schedules");
const IOPRIO_WHO = { IOPRIO_WHO_PROCESS, IOPRIO_WHO_PGRP, IOPRIO_WHO_USER };
const PRIO_WHICH = { PRIO_PROCESS, PRIO_PGRP, PRIO_USER };

export const SCHED_CALLS: SyscallFamily = {
  sched_yield: { nr: { x64: 24, arm64: 124 }, args: {}, returns: "int", support: FULL, run: schedYield },
  getpriority: {
    nr: { x64: 140, arm64: 141 },
    args: { which: { values: PRIO_WHICH }, who: "int" },
    returns: "int",
    support: FULL,
    run: getpriority,
  },
  setpriority: {
    nr: { x64: 141, arm64: 140 },
    args: { which: { values: PRIO_WHICH }, who: "int", prio: "int" },
    returns: "int",
    support: NO_EFFECT,
    run: setpriority,
  },
  sched_setparam: {
    nr: { x64: 142, arm64: 118 },
    args: { pid: "pid", param: { in: 4 } },
    returns: "int",
    support: NO_EFFECT,
    run: schedSetparam,
  },
  sched_getparam: {
    nr: { x64: 143, arm64: 121 },
    args: { pid: "pid", param: { out: 4 } },
    returns: "int",
    support: FULL,
    run: schedGetparam,
  },
  sched_setscheduler: {
    nr: { x64: 144, arm64: 119 },
    args: { pid: "pid", policy: { values: POLICIES }, param: { in: 4 } },
    returns: "int",
    support: NO_EFFECT,
    run: schedSetscheduler,
  },
  sched_getscheduler: {
    nr: { x64: 145, arm64: 120 },
    args: { pid: "pid" },
    returns: "int",
    support: FULL,
    run: schedGetscheduler,
  },
  sched_get_priority_max: {
    nr: { x64: 146, arm64: 125 },
    args: { policy: { values: POLICIES } },
    returns: "int",
    support: FULL,
    run: schedGetPriorityMax,
  },
  sched_get_priority_min: {
    nr: { x64: 147, arm64: 126 },
    args: { policy: { values: POLICIES } },
    returns: "int",
    support: FULL,
    run: schedGetPriorityMin,
  },
  sched_rr_get_interval: {
    nr: { x64: 148, arm64: 127 },
    args: { pid: "pid", tp: { out: 16 } },
    returns: "int",
    support: FULL,
    run: schedRrGetInterval,
  },
  sched_setaffinity: {
    nr: { x64: 203, arm64: 122 },
    args: { pid: "pid", cpusetsize: "size", mask: { inBuffer: "cpusetsize" } },
    returns: "int",
    support: NO_EFFECT,
    run: schedSetaffinity,
  },
  sched_getaffinity: {
    nr: { x64: 204, arm64: 123 },
    args: { pid: "pid", cpusetsize: "size", mask: { outBuffer: "cpusetsize" } },
    returns: "size",
    support: FULL,
    run: schedGetaffinity,
  },
  ioprio_set: {
    nr: { x64: 251, arm64: 30 },
    args: { which: { values: IOPRIO_WHO }, who: "int", ioprio: "int" },
    returns: "int",
    support: NO_EFFECT,
    run: ioprioSet,
  },
  ioprio_get: {
    nr: { x64: 252, arm64: 31 },
    args: { which: { values: IOPRIO_WHO }, who: "int" },
    returns: "int",
    support: FULL,
    run: ioprioGet,
  },
  getcpu: {
    nr: { x64: 309, arm64: 168 },
    args: { cpu: { out: 4 }, node: { out: 4 }, tcache: "word" },
    returns: "int",
    support: partial("as a system call always processor 0; the vDSO knows the real one"),
    run: getcpu,
  },
  sched_setattr: {
    nr: { x64: 314, arm64: 274 },
    args: { pid: "pid", attr: { in: SCHED_ATTR_BYTES_MIN }, flags: "uint" },
    returns: "int",
    support: partial("no SCHED_DEADLINE, no utilization clamps; the host schedules"),
    run: schedSetattr,
  },
  sched_getattr: {
    nr: { x64: 315, arm64: 275 },
    args: { pid: "pid", attr: { outBuffer: "size" }, size: "uint", flags: "uint" },
    returns: "int",
    support: FULL,
    run: schedGetattr,
  },
  membarrier: {
    nr: { x64: 324, arm64: 283 },
    args: { cmd: "int", flags: "uint", cpu_id: "int" },
    returns: "int",
    support: FULL,
    run: membarrier,
  },
  rseq: {
    nr: { x64: 334, arm64: 293 },
    args: { rseq: "word", rseq_len: "uint", flags: "int", sig: "uint" },
    returns: "int",
    support: FULL,
    run: rseq,
  },
};
