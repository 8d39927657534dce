// Waiting for one open file to be ready: read and write in all their forms, sockets, splices. One rule for all of them:
// the call keeps its file, SO_RCVTIMEO and SO_SNDTIMEO bound the whole call, and bytes that have been moved are the answer
// whenever it must end early.

import { EAGAIN, EINTR, ERESTARTSYS } from "../abi/errno.ts";
import { O_NONBLOCK, O_PATH, POLLIN, POLLOUT, POLLRDHUP } from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import { suspend } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import type { WaitQueue } from "../util/wait_queue.ts";
import type { File } from "../vfs/file.ts";

/** The slot of CallInFlight in which a call keeps the file it is about; splices and sendfile have a second one. */
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

/** The open file at `fd`, or the one that the call began with. */
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

/** Files that time their reads themselves (terminals) have set a state of their own. */
function stateOf(task: Task): WaitState {
  const { state } = task.call;
  return state.kind === "terminal" ? state : TRANSFER;
}

/**
 * Waits on `queue` for `file`, at most `timeoutNanos` in all, and makes the call again. `done` is what has been achieved: the
 * answer, where it is not 0, of a call whose time is over or that a signal ends.
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
    // A call with a timeout is not made again: signal(7), sock_intr_errno().
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
