// What the socket calls share: finding the socket, addresses to and from the guest, waiting with SO_RCVTIMEO and SO_SNDTIMEO.

import { EAGAIN, EBADF, EFAULT, EINTR, EINVAL, ENOTSOCK, ERESTARTSYS } from "../abi/errno.ts";
import { O_NONBLOCK, O_PATH, POLLIN, POLLOUT, POLLRDHUP } from "../abi/file.ts";
import { MSG_DONTWAIT } from "../abi/socket.ts";
import { i32, put32 } from "../abi/struct.ts";
import { ADDRESS_BYTES_MAX, SocketAddress } from "../socket/message.ts";
import { Socket } from "../socket/socket.ts";
import type { Task } from "../task/task.ts";
import type { WaitQueue } from "../util/wait_queue.ts";
import type { SyscallHandler } from "./table.ts";

/** The address of the call being served. */
export const callAddress = new SocketAddress();
const word = new Uint8Array(4);

export function socketOf(task: Task, fd: number): Socket | number {
  const file = task.files.get(fd);
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  return file instanceof Socket ? file : -ENOTSOCK;
}

/** move_addr_to_kernel(): reads an address of `length` bytes. 0 or -ERRNO. */
export function readAddress(task: Task, at: number, length: number, into: SocketAddress): number {
  if (length < 0 || length > ADDRESS_BYTES_MAX) return -EINVAL;
  into.length = length;
  return length > 0 && task.memory.copyIn(at, into.bytes, 0, length) < 0 ? -EFAULT : 0;
}

/** move_addr_to_user(): writes as much as the caller has room for, and the length it would take. */
export function writeAddress(task: Task, at: number, lengthAt: number, address: SocketAddress): number {
  if (task.memory.copyIn(lengthAt, word, 0, 4) < 0) return -EFAULT;
  const room = i32(word, 0);
  if (room < 0) return -EINVAL;
  const size = Math.min(room, address.length);
  if (size > 0 && task.memory.copyOut(at, address.bytes, 0, size) < 0) return -EFAULT;
  put32(word, 0, address.length);
  return task.memory.copyOut(lengthAt, word, 0, 4);
}

/** The call does not wait, whether by its flags or by those of the file. */
export function isNonblocking(socket: Socket, flags: number): boolean {
  return (flags & MSG_DONTWAIT) !== 0 || (socket.flags & O_NONBLOCK) !== 0;
}

/**
 * Waits for input or room and runs `again`. `done` is what the call answers when it may not wait, its time is over or a
 * signal comes: what has been achieved, or 0 for an error. The end of the time stands in task.scratch.
 */
export function waitToReceive(
  task: Task,
  socket: Socket,
  flags: number,
  done: number,
  again: SyscallHandler,
): number {
  const events = POLLIN | POLLRDHUP;
  return waitFor(
    task,
    socket.queue,
    events,
    socket.readTimeoutNanos,
    isNonblocking(socket, flags),
    done,
    again,
  );
}

export function waitToSend(
  task: Task,
  socket: Socket,
  flags: number,
  done: number,
  again: SyscallHandler,
): number {
  const nonblocking = isNonblocking(socket, flags);
  return waitFor(task, socket.queue, POLLOUT, socket.writeTimeoutNanos, nonblocking, done, again);
}

export function waitFor(
  task: Task,
  queue: WaitQueue,
  events: number,
  timeoutNanos: number,
  nonblocking: boolean,
  done: number,
  again: SyscallHandler,
): number {
  if (nonblocking) return done > 0 ? done : -EAGAIN;
  let interrupted = -ERESTARTSYS;
  if (timeoutNanos !== Infinity) {
    const now = task.kernel.clock.monotonic();
    task.scratch ??= now + timeoutNanos;
    const deadline = task.scratch as number;
    if (deadline <= now) return done > 0 ? done : -EAGAIN;
    // A call with a timeout is not made again: sock_intr_errno().
    interrupted = -EINTR;
    task.waitUntil(deadline);
  }
  task.waitOn(queue, events);
  return task.block(again, done > 0 ? done : interrupted);
}
