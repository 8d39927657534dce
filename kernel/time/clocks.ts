// The clocks that guests name by number: clock_gettime(2). Wall clocks are read as seconds and nanoseconds, CPU clocks
// belong to a process or a task. Linux: kernel/time/posix-timers.c, posix-cpu-timers.c.

import { TimeValue } from "./time_value.ts";
import { EINVAL } from "../abi/errno.ts";
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  CLOCK_THREAD_CPUTIME_ID,
} from "../abi/time.ts";
import type { Kernel } from "../kernel.ts";
import type { Task } from "../task/task.ts";

/** Longest span that is counted, nanoseconds; beyond it a wait has no end (KTIME_MAX is 292 years). */
const SPAN_NANOS_MAX = 1e18;

/** Bits of a CPU clock's number: kind in the low two, bit 2 = of a thread; the rest is the inverted id. */
const CPU_CLOCK_KIND = 3;
const CPU_CLOCK_THREAD = 4;

/** Something whose CPU time is counted. */
export interface CpuTimed {
  cpuNanos(): number;
}

/** Whether `clock` counts CPU time. */
export function isCpuClock(clock: number): boolean {
  return clock < 0 || clock === CLOCK_PROCESS_CPUTIME_ID || clock === CLOCK_THREAD_CPUTIME_ID;
}

/** Reads `clock` as `task` sees it. 0 or -EINVAL. */
export function readClock(task: Task, clock: number, into: TimeValue): number {
  const kernel = task.kernel;
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
      into.seconds = kernel.clock.realtime();
      into.nanos = kernel.clock.nanoseconds;
      return 0;
    case CLOCK_MONOTONIC:
      return setNanos(into, kernel.clock.monotonic());
    case CLOCK_BOOTTIME_ALARM:
      return readHostClock(kernel, CLOCK_BOOTTIME, into);
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
    case CLOCK_TAI:
      return readHostClock(kernel, clock, into);
  }
  const owner = cpuClockOwner(task, clock);
  return owner === null ? -EINVAL : setNanos(into, owner.cpuNanos());
}

function setNanos(into: TimeValue, nanos: number): number {
  into.seconds = Math.floor(nanos / 1e9);
  into.nanos = Math.floor(nanos % 1e9);
  return 0;
}

/** The other clocks are the host's own, as a guest's vDSO reads them too. */
function readHostClock(kernel: Kernel, clock: number, into: TimeValue): number {
  into.seconds = kernel.host.clockSeconds(clock);
  into.nanos = kernel.host.clockFraction;
  return 0;
}

/** Whose CPU time `clock` counts; null when it is no CPU clock or there is no such task. */
export function cpuClockOwner(task: Task, clock: number): CpuTimed | null {
  if (clock === CLOCK_PROCESS_CPUTIME_ID) return task.threadGroup;
  if (clock === CLOCK_THREAD_CPUTIME_ID) return task;
  if (clock >= 0 || (clock & CPU_CLOCK_KIND) === CPU_CLOCK_KIND) return null;
  const id = ~(clock >> 3);
  const namespace = task.pid.namespace;
  if ((clock & CPU_CLOCK_THREAD) === 0) return id === 0 ? task.threadGroup : namespace.threadGroup(id);
  const thread = id === 0 ? task : namespace.task(id);
  return thread !== null && thread.threadGroup === task.threadGroup ? thread : null;
}

const now = new TimeValue();

/** Monotonic nanoseconds of an instant of a clock that is no CPU clock; Infinity = never. */
export function monotonicOf(task: Task, clock: number, seconds: number, nanos: number): number {
  if (clock === CLOCK_MONOTONIC) return spanNanos(seconds, nanos);
  readClock(task, clock, now);
  const span = spanNanos(seconds - now.seconds, nanos - now.nanos);
  return span === Infinity ? Infinity : task.kernel.clock.monotonic() + span;
}

/** Nanoseconds of a span; Infinity when it is longer than anybody waits. */
export function spanNanos(seconds: number, nanos: number): number {
  const span = seconds * 1e9 + nanos;
  return span > SPAN_NANOS_MAX ? Infinity : span;
}
