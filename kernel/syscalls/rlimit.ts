// Resource limits: getrlimit(2), setrlimit(2), prlimit(2). task/rlimits.ts says where each is enforced.

import { EFAULT, EINVAL, EPERM, ESRCH } from "../abi/errno.ts";
import { put64, u32, u64 } from "../abi/struct.ts";
import {
  CAP_SYS_RESOURCE,
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
  RLIMITS_COUNT,
} from "../abi/task.ts";
import { hasCapability } from "../task/credentials.ts";
import type { Rlimits } from "../task/rlimits.ts";
import { watchCpuLimit } from "../task/process_timers.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";

const RESOURCES = {
  RLIMIT_CPU,
  RLIMIT_FSIZE,
  RLIMIT_DATA,
  RLIMIT_STACK,
  RLIMIT_CORE,
  RLIMIT_RSS,
  RLIMIT_NPROC,
  RLIMIT_NOFILE,
  RLIMIT_MEMLOCK,
  RLIMIT_AS,
  RLIMIT_LOCKS,
  RLIMIT_SIGPENDING,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_RTPRIO,
  RLIMIT_RTTIME,
};
/** struct rlimit: two u64. */
const RLIMIT_BYTES = 16;
/** Larger values become infinity, as limits are stored as numbers. */
const FINITE_MAX = 2 ** 53;

const bytes = new Uint8Array(RLIMIT_BYTES);

function getrlimit(task: Task, args: Args): number {
  const resource = args.u32(0);
  if (resource >= RLIMITS_COUNT) return -EINVAL;
  return putLimit(task, task.threadGroup.limits, resource, args.word(1));
}

function setrlimit(task: Task, args: Args): number {
  const read = readLimit(task, args.word(1), wanted);
  if (read < 0) return read;
  if (args.u32(0) >= RLIMITS_COUNT) return -EINVAL;
  return change(task, task.threadGroup, args.u32(0), wanted);
}

function prlimit64(task: Task, args: Args): number {
  const pid = args.i32(0);
  const resource = args.u32(1);
  const newAddress = args.word(2);
  const oldAddress = args.word(3);
  if (newAddress !== 0) {
    const read = readLimit(task, newAddress, wanted);
    if (read < 0) return read;
  }
  const target = pid === 0 ? task : task.pid.namespace.task(pid);
  if (target === null) return -ESRCH;
  if (!mayChange(task, target)) return -EPERM;
  if (resource >= RLIMITS_COUNT) return -EINVAL;
  const limits = target.threadGroup.limits;
  const soft = limits.soft(resource);
  const hard = limits.hard(resource);
  if (newAddress !== 0) {
    const changed = change(task, target.threadGroup, resource, wanted);
    if (changed < 0) return changed;
  }
  if (oldAddress === 0) return 0;
  put64(bytes, 0, soft);
  put64(bytes, 8, hard);
  return task.memory.copyOut(oldAddress, bytes, 0, RLIMIT_BYTES) < 0 ? -EFAULT : 0;
}

/** A struct rlimit as numbers. */
class Limit {
  soft = 0;
  hard = 0;
}

/** The limit that the caller requests. */
const wanted = new Limit();

function readLimit(task: Task, address: number, into: Limit): number {
  const at = task.memory.inView(address, RLIMIT_BYTES);
  if (at < 0) return -EFAULT;
  into.soft = limitValue(task.memory.view, at);
  into.hard = limitValue(task.memory.view, at + 8);
  return 0;
}

function limitValue(view: Uint8Array, at: number): number {
  const value = u64(view, at);
  return u32(view, at + 4) === 0xffff_ffff || value > FINITE_MAX ? Infinity : value;
}

function putLimit(task: Task, limits: Rlimits, resource: number, address: number): number {
  put64(bytes, 0, limits.soft(resource));
  put64(bytes, 8, limits.hard(resource));
  return task.memory.copyOut(address, bytes, 0, RLIMIT_BYTES) < 0 ? -EFAULT : 0;
}

/** do_prlimit() */
function change(task: Task, group: ThreadGroup, resource: number, { soft, hard }: Limit): number {
  const limits = group.limits;
  if (soft > hard) return -EINVAL;
  if (resource === RLIMIT_NOFILE && hard > task.kernel.parameters.descriptorsMax) return -EPERM;
  if (hard > limits.hard(resource) && !hasCapability(task.credentials, CAP_SYS_RESOURCE)) return -EPERM;
  limits.set(resource, soft, hard);
  if (resource === RLIMIT_CPU) watchCpuLimit(group);
  return 0;
}

/**
 * Changing another process needs its ids to equal the caller's real ones, or CAP_SYS_RESOURCE:
 * check_prlimit_permission().
 */
function mayChange(task: Task, target: Task): boolean {
  if (target.threadGroup === task.threadGroup) return true;
  const mine = task.credentials;
  const its = target.credentials;
  const isSame = mine.uid === its.euid && mine.uid === its.suid && mine.uid === its.uid &&
    mine.gid === its.egid &&
    mine.gid === its.sgid && mine.gid === its.gid;
  return isSame || hasCapability(mine, CAP_SYS_RESOURCE);
}

export const RLIMIT_CALLS: SyscallFamily = {
  getrlimit: {
    nr: { x64: 97, arm64: 163 },
    args: { resource: { values: RESOURCES }, rlim: { out: RLIMIT_BYTES } },
    returns: "int",
    support: FULL,
    run: getrlimit,
  },
  setrlimit: {
    nr: { x64: 160, arm64: 164 },
    args: { resource: { values: RESOURCES }, rlim: { in: RLIMIT_BYTES } },
    returns: "int",
    support: FULL,
    run: setrlimit,
  },
  prlimit64: {
    nr: { x64: 302, arm64: 261 },
    args: {
      pid: "pid",
      resource: { values: RESOURCES },
      new_limit: { in: RLIMIT_BYTES },
      old_limit: { out: RLIMIT_BYTES },
    },
    returns: "int",
    support: FULL,
    run: prlimit64,
  },
};
