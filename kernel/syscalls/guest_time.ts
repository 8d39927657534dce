// Converts the times that guests pass (struct timespec and timeval, relative and absolute) to the kernel's monotonic
// deadlines.

import type { TimeValue } from "../time/time_value.ts";
import { EFAULT, EINVAL } from "../abi/errno.ts";
import { CLOCK_REALTIME } from "../abi/time.ts";
import { i64 } from "../abi/struct.ts";
import type { Task } from "../task/task.ts";

/** The longest wait in seconds: a longer one never ends (KTIME_MAX is 292 years). */
const SECONDS_MAX = 1e9;

/** Reads a struct timespec: 0, -EFAULT, or -EINVAL for fields out of range. */
export function readTimespec(task: Task, address: number, into: TimeValue): number {
  const at = task.memory.inView(address, 16);
  if (at < 0) return -EFAULT;
  const seconds = into.seconds = i64(task.memory.view, at);
  const nanos = into.nanos = i64(task.memory.view, at + 8);
  return seconds < 0 || nanos < 0 || nanos >= 1e9 ? -EINVAL : 0;
}

/** The monotonic deadline of the span `time` from now. */
export function relativeDeadline(task: Task, { seconds, nanos }: TimeValue): number {
  if (seconds > SECONDS_MAX) return Infinity;
  return task.kernel.clock.monotonic() + seconds * 1e9 + nanos;
}

/** The monotonic deadline of the instant `time` on `clock` (CLOCK_REALTIME, or else a monotonic one). */
export function absoluteDeadline(task: Task, clock: number, time: TimeValue): number {
  if (clock !== CLOCK_REALTIME) {
    return time.seconds > SECONDS_MAX ? Infinity : time.seconds * 1e9 + time.nanos;
  }
  const now = task.kernel.clock;
  const seconds = time.seconds - now.realtime();
  if (seconds > SECONDS_MAX) return Infinity;
  return now.monotonic() + seconds * 1e9 + time.nanos - now.nanoseconds;
}
