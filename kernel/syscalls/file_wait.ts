// Waiting for one open file to be ready: read and write in all forms, sockets, splices. One rule for all: the call
// keeps its file, SO_RCVTIMEO and SO_SNDTIMEO limit the whole call, and a call that must end early returns the bytes
// moved so far.

import { EAGAIN, EINTR, ERESTARTSYS } from "../abi/errno.ts";
import { O_NONBLOCK, O_PATH, POLLIN, POLLOUT, POLLRDHUP } from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import { suspend } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import type { WaitQueue } from "../util/wait_queue.ts";
import type { File } from "../vfs/file.ts";

/** The slot of CallInFlight for the file that a call uses; splices and sendfile use a second one. */
export const FILE = 0;
export const SECOND_FILE = 1;

export const TRANSFER: WaitState = { kind: "transfer" };

export function fileForRead(task: Task, fd: number, slot = FILE): File | null {
  const file = task.call.file(slot, fd);
  return file !== null && file.isReadable ? file : null;
}
export function fileForWrite(task: Task, fd: number, slot = FILE): File | null {
  const file = task.call.file(slot, fd);
  return file !== null && file.isWritable ? file : null;
}

/** The open file at `fd`, or, after a wait, the file that the call began with. */
export function openFile(task: Task, fd: number): File | null {
  const file = task.call.file(FILE, fd);
  return file !== null && (file.flags & O_PATH) === 0 ? file : null;
}

/** Waits for input, unless the file is non-blocking. */
export function waitToRead(task: Task, file: File, state: WaitState = stateOf(task)): number {
  const { done } = task.call;
  if ((file.flags & O_NONBLOCK) !== 0) return done > 0 ? done : -EAGAIN;
  const timeoutNanos = file.asSocket()?.readTimeoutNanos ?? Infinity;
  return waitForFile(task, file, file.queue, POLLIN | POLLRDHUP, timeoutNanos, done, state);
}

/** Waits for room, unless the file is non-blocking. */
export function waitToWrite(task: Task, file: File, state: WaitState = stateOf(task)): number {
  const { done } = task.call;
  if ((file.flags & O_NONBLOCK) !== 0) return done > 0 ? done : -EAGAIN;
  const timeoutNanos = file.asSocket()?.writeTimeoutNanos ?? Infinity;
  return waitForFile(task, file, file.queue, POLLOUT, timeoutNanos, done, state);
}

/** The default state; files that time their own reads (terminals) have already set another one. */
function stateOf(task: Task): WaitState {
  const { state } = task.call;
  return state.kind === "terminal" ? state : TRANSFER;
}

/**
 * Waits on `queue` for `file`, at most `timeoutNanos` in all, then makes the call again. A call that runs out of time
 * or is interrupted returns `done`, the bytes moved, unless that is 0.
 */
export function waitForFile(
  task: Task,
  file: File,
  queue: WaitQueue,
  events: number,
  timeoutNanos: number,
  done: number,
  state: WaitState,
): number {
  const { call } = task;
  let interrupted = -ERESTARTSYS;
  if (timeoutNanos !== Infinity) {
    // A call with a timeout is not restarted: signal(7), sock_intr_errno().
    interrupted = -EINTR;
    if (call.deadline === Infinity) call.setDeadline(task.kernel.clock.monotonic() + timeoutNanos);
  }
  if (call.deadline !== Infinity && call.deadline <= task.kernel.clock.monotonic()) {
    return done > 0 ? done : -EAGAIN;
  }
  call.hold(FILE, file);
  call.waitOn(queue, events);
  return suspend(task, state, done > 0 ? done : interrupted);
}
