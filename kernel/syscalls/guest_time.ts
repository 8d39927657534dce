// Times as guests pass them: struct timespec and timeval, relative and absolute, to the kernel's monotonic deadlines.

import type { TimeValue } from "../time/time_value.ts";
import { EFAULT, EINVAL } from "../abi/errno.ts";
import { CLOCK_REALTIME } from "../abi/time.ts";
import { i64 } from "../abi/struct.ts";
import type { Task } from "../task/task.ts";

/** Longest wait that is counted, seconds: beyond it a wait has no end (KTIME_MAX is 292 years). */
const SECONDS_MAX = 1e9;

/** Reads a struct timespec: 0, -EFAULT, or -EINVAL when its fields are out of range. */
export function readTimespec(task: Task, address: number, into: TimeValue): number {
  const at = task.memory.inView(address, 16);
  if (at < 0) return -EFAULT;
  const seconds = into.seconds = i64(task.memory.view, at);
  const nanos = into.nanos = i64(task.memory.view, at + 8);
  return seconds < 0 || nanos < 0 || nanos >= 1e9 ? -EINVAL : 0;
}

/** Monotonic deadline of `time`, a span from now. */
export function relativeDeadline(task: Task, { seconds, nanos }: TimeValue): number {
  if (seconds > SECONDS_MAX) return Infinity;
  return task.kernel.clock.monotonic() + seconds * 1e9 + nanos;
}

/** Monotonic deadline of `time`, an instant of `clock` (CLOCK_REALTIME, else monotonic). */
export function absoluteDeadline(task: Task, clock: number, time: TimeValue): number {
  if (clock !== CLOCK_REALTIME) {
    return time.seconds > SECONDS_MAX ? Infinity : time.seconds * 1e9 + time.nanos;
  }
  const now = task.kernel.clock;
  const seconds = time.seconds - now.realtime();
  if (seconds > SECONDS_MAX) return Infinity;
  return now.monotonic() + seconds * 1e9 + time.nanos - now.nanoseconds;
}
