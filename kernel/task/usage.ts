// CPU time and counters of processes: getrusage(2), times(2), wait4(2). Linux: struct rusage, cputime_adjust() of
// kernel/sched/cputime.c. The host knows how long guest code has run and how often it faulted; the time we spend on calls is
// sampled (SAMPLED_CALLS). Linux: system time is an estimate; blocks and messages are not counted.

import { HostUsage } from "../../platform/platform.ts";
import { put64, zero } from "../abi/struct.ts";
import type { Task } from "./task.ts";
import type { ThreadGroup } from "./thread_group.ts";

/** Clock ticks a second that user space sees (USER_HZ). */
const TICKS_PER_SECOND = 100;
export const RUSAGE_BYTES = 144;
/** One call in so many is timed, as a sample of all. A prime, as programs make calls in patterns. */
export const SAMPLED_CALLS = 17;

export class Usage {
  cpuNanos = 0;
  /** How much of that was system time. */
  systemNanos = 0;
  minorFaults = 0;
  majorFaults = 0;
  voluntarySwitches = 0;
  involuntarySwitches = 0;
  /** Largest resident set ever, KiB. */
  maxResidentKib = 0;

  get userNanos(): number {
    return this.cpuNanos - this.systemNanos;
  }

  clear(): void {
    this.cpuNanos = this.systemNanos = 0;
    this.minorFaults = this.majorFaults = 0;
    this.voluntarySwitches = this.involuntarySwitches = 0;
    this.maxResidentKib = 0;
  }

  add(other: Usage): void {
    this.cpuNanos += other.cpuNanos;
    this.systemNanos += other.systemNanos;
    this.minorFaults += other.minorFaults;
    this.majorFaults += other.majorFaults;
    this.voluntarySwitches += other.voluntarySwitches;
    this.involuntarySwitches += other.involuntarySwitches;
    if (other.maxResidentKib > this.maxResidentKib) this.maxResidentKib = other.maxResidentKib;
  }
}

const host = new HostUsage();
const final = new Usage();

/** What a process has used so far, without its children, into `into`. */
export function processUsage(group: ThreadGroup, into: Usage): void {
  into.clear();
  if (group.liveCount === 0) return into.add(group.usage);
  const task = group.liveTask()!;
  into.cpuNanos = group.cpuNanos();
  into.voluntarySwitches = group.usage.voluntarySwitches;
  for (const other of group.tasks) into.voluntarySwitches += other.blockCount;
  addHostUsage(task.thread.addressSpace.usage(host), group.callNanos, into);
  keepFrom(group.usage, into);
}

/** The account of a process whose last task ends; afterwards its host process may go. */
export function closeUsage(task: Task): void {
  const { threadGroup: group, thread: { addressSpace: space } } = task;
  final.clear();
  final.cpuNanos = Math.max(0, group.cpuNanosBefore + space.cpuNanos());
  addHostUsage(space.usage(host), group.callNanos, final);
  // A vfork child that has not called execve: the host process is its parent's.
  if (task.mm.references > 1) final.minorFaults = final.majorFaults = final.involuntarySwitches = 0;
  keepFrom(group.usage, final);
  final.voluntarySwitches = group.usage.voluntarySwitches + group.leader.blockCount;
  group.usage.clear();
  group.usage.add(final);
}

/** The same of one thread. */
export function threadUsage(task: Task, into: Usage): void {
  into.clear();
  into.cpuNanos = task.cpuNanos();
  into.voluntarySwitches = task.blockCount;
  addHostUsage(task.thread.usage(host), task.callNanos, into);
  into.maxResidentKib = task.thread.addressSpace.usage(host) ? host.peakKib : 0;
}

function addHostUsage(isKnown: boolean, callNanos: number, into: Usage): void {
  let systemNanos = callNanos;
  if (isKnown) {
    const ticks = host.userTicks + host.systemTicks;
    if (ticks > 0) systemNanos += into.cpuNanos * host.systemTicks / ticks;
    into.minorFaults = host.minorFaults;
    into.majorFaults = host.majorFaults;
    into.involuntarySwitches = host.involuntarySwitches;
    into.maxResidentKib = host.peakKib;
  }
  into.systemNanos = Math.min(into.cpuNanos, Math.floor(systemNanos));
}

/** Neither user nor system time goes back, whatever the estimate says: cputime_adjust(). */
function keepFrom(known: Usage, into: Usage): void {
  const user = Math.max(into.userNanos, known.userNanos);
  into.systemNanos = Math.max(known.systemNanos, into.cpuNanos - user);
  if (into.systemNanos > into.cpuNanos) into.cpuNanos = into.systemNanos;
  if (known.maxResidentKib > into.maxResidentKib) into.maxResidentKib = known.maxResidentKib;
  known.cpuNanos = into.cpuNanos;
  known.systemNanos = into.systemNanos;
  known.maxResidentKib = into.maxResidentKib;
}

export function nanosToTicks(nanos: number): number {
  return Math.floor(nanos / (1e9 / TICKS_PER_SECOND));
}

/** Writes struct rusage, RUSAGE_BYTES at `at`. */
export function putRusage(bytes: Uint8Array, at: number, usage: Usage): void {
  zero(bytes, at, RUSAGE_BYTES);
  putTimeval(bytes, at, usage.userNanos);
  putTimeval(bytes, at + 16, usage.systemNanos);
  put64(bytes, at + 32, usage.maxResidentKib);
  put64(bytes, at + 64, usage.minorFaults);
  put64(bytes, at + 72, usage.majorFaults);
  put64(bytes, at + 128, usage.voluntarySwitches);
  put64(bytes, at + 136, usage.involuntarySwitches);
}

function putTimeval(bytes: Uint8Array, at: number, nanos: number): void {
  put64(bytes, at, Math.floor(nanos / 1e9));
  put64(bytes, at + 8, Math.floor(nanos % 1e9 / 1000));
}
