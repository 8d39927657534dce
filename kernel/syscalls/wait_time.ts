// Timeouts and signal masks of poll, select, epoll and their p forms. The timeout is read when the call begins;
// afterwards call.deadline is used.

import { TimeValue } from "../time/time_value.ts";
import { EFAULT, EINTR, EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from "../abi/errno.ts";
import { i64, put64, u32 } from "../abi/struct.ts";
import { BLOCKED } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { readTimespec, relativeDeadline } from "./guest_time.ts";

const SIGSET_BYTES = 8;
/** personality(2): timeouts are not written back. */
const STICKY_TIMEOUTS = 0x400_0000;
const bytes = new Uint8Array(16);
const timeout = new TimeValue();

/** Sets call.deadline to a span in milliseconds from now (negative: none). */
export function setMillisDeadline(task: Task, millis: number): void {
  if (task.call.hasWaited || millis < 0) return;
  task.call.setDeadline(task.kernel.clock.monotonic() + millis * 1e6);
}

/** Sets call.deadline from a timespec at `address` (0: none). 0 or -ERRNO. */
export function setTimespecDeadline(task: Task, address: number): number {
  if (task.call.hasWaited || address === 0) return 0;
  const read = readTimespec(task, address, timeout);
  if (read < 0) return read;
  task.call.setDeadline(relativeDeadline(task, timeout));
  return 0;
}

/** As setTimespecDeadline() for a timeval; select(2) accepts a million microseconds and more. */
export function setTimevalDeadline(task: Task, address: number): number {
  if (task.call.hasWaited || address === 0) return 0;
  const at = task.memory.inView(address, 16);
  if (at < 0) return -EFAULT;
  const seconds = i64(task.memory.view, at);
  const micros = i64(task.memory.view, at + 8);
  if (seconds < 0 || micros < 0) return -EINVAL;
  if (seconds + micros / 1e6 > 1e9) return 0;
  task.call.setDeadline(task.kernel.clock.monotonic() + seconds * 1e9 + micros * 1e3);
  return 0;
}

/** Whether the call's deadline has passed. */
export function isDeadlineOver(task: Task): boolean {
  const { deadline } = task.call;
  return deadline !== Infinity && deadline <= task.kernel.clock.monotonic();
}

/** Writes the remaining time, as select(2) and ppoll(2) do; `unitNanos` is 1 for a timespec, 1000 for a timeval. */
export function putRemaining(task: Task, address: number, unitNanos: number): number {
  const { deadline } = task.call;
  if (address === 0 || deadline === Infinity) return 0;
  // poll_select_finish(): as on other Unixes.
  if ((task.personality & STICKY_TIMEOUTS) !== 0) return -EINTR;
  const left = Math.max(0, deadline - task.kernel.clock.monotonic());
  put64(bytes, 0, Math.floor(left / 1e9));
  put64(bytes, 8, Math.floor(left % 1e9 / unitNanos));
  return task.memory.copyOut(address, bytes, 0, 16);
}

/** Sets the signal mask at `address` (0: none) for the duration of the call. 0 or -ERRNO. */
export function useSignalMask(task: Task, address: number, size: number): number {
  if (address === 0) return 0;
  if (size !== SIGSET_BYTES) return -EINVAL;
  const at = task.memory.inView(address, SIGSET_BYTES);
  if (at < 0) return -EFAULT;
  const low = u32(task.memory.view, at);
  const high = u32(task.memory.view, at + 4);
  task.signals.setTemporaryMask(low, high);
  return 0;
}

/**
 * Restores the signal mask and returns `result`; if a signal ended the wait, it is delivered under the temporary mask
 * first.
 */
export function endSignalMask(task: Task, result: number): number {
  if (result === BLOCKED || !task.signals.hasSavedMask) return result;
  const isInterrupted = result === -EINTR || result === -ERESTARTNOHAND || result === -ERESTART_RESTARTBLOCK;
  if (!isInterrupted || !task.signals.hasPending) task.signals.restoreMask();
  return result;
}
