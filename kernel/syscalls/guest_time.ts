// Times as guests pass them: struct timespec and timeval, relative and absolute, to the kernel's monotonic deadlines.

import { EFAULT, EINVAL } from "../abi/errno.ts";
import { CLOCK_REALTIME } from "../abi/time.ts";
import { i64 } from "../abi/struct.ts";
import type { Task } from "../task/task.ts";

/** Longest wait that is counted, seconds: beyond it a wait has no end (KTIME_MAX is 292 years). */
const SECONDS_MAX = 1e9;

/** Fields of the timespec that readTimespec has read. */
export let timeSeconds = 0;
export let timeNanos = 0;

/** Reads a struct timespec: 0, -EFAULT, or -EINVAL when its fields are out of range. */
export function readTimespec(task: Task, address: number): number {
  const at = task.memory.inView(address, 16);
  if (at < 0) return -EFAULT;
  timeSeconds = i64(task.memory.view, at);
  timeNanos = i64(task.memory.view, at + 8);
  return timeSeconds < 0 || timeNanos < 0 || timeNanos >= 1e9 ? -EINVAL : 0;
}

/** Monotonic deadline of the time just read, taken as a span from now. */
export function relativeDeadline(task: Task): number {
  if (timeSeconds > SECONDS_MAX) return Infinity;
  return task.kernel.clock.monotonic() + timeSeconds * 1e9 + timeNanos;
}

/** Monotonic deadline of the time just read, taken as an instant of `clock` (CLOCK_REALTIME, else monotonic). */
export function absoluteDeadline(task: Task, clock: number): number {
  if (clock !== CLOCK_REALTIME) return timeSeconds > SECONDS_MAX ? Infinity : timeSeconds * 1e9 + timeNanos;
  const time = task.kernel.clock;
  const seconds = timeSeconds - time.realtime();
  if (seconds > SECONDS_MAX) return Infinity;
  return time.monotonic() + seconds * 1e9 + timeNanos - time.nanoseconds;
}
