// Shared by the socket calls: finding the socket, copying addresses from and to the guest, waiting with SO_RCVTIMEO
// and SO_SNDTIMEO.

import { EAGAIN, EBADF, EFAULT, EINVAL, ENOTSOCK } from "../abi/errno.ts";
import { O_NONBLOCK, O_PATH, POLLIN, POLLOUT, POLLRDHUP } from "../abi/file.ts";
import { MSG_DONTWAIT } from "../abi/socket.ts";
import { i32, put32 } from "../abi/struct.ts";
import { ADDRESS_BYTES_MAX, SocketAddress } from "../socket/message.ts";
import { Socket } from "../socket/socket.ts";
import type { Task } from "../task/task.ts";
import type { WaitState } from "../task/wait_state.ts";
import { FILE, TRANSFER, waitForFile } from "./file_wait.ts";

/** Scratch: the address of the call being served. */
export const callAddress = new SocketAddress();
const word = new Uint8Array(4);

/** The socket of descriptor `fd`, or, after a wait, the one that the call began with. -ERRNO. */
export function socketOf(task: Task, fd: number): Socket | number {
  const file = task.call.file(FILE, fd);
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  return file instanceof Socket ? file : -ENOTSOCK;
}

/** move_addr_to_kernel(): reads an address of `length` bytes. 0 or -ERRNO. */
export function readAddress(task: Task, at: number, length: number, into: SocketAddress): number {
  if (length < 0 || length > ADDRESS_BYTES_MAX) return -EINVAL;
  into.length = length;
  return length > 0 && task.memory.copyIn(at, into.bytes, 0, length) < 0 ? -EFAULT : 0;
}

/** move_addr_to_user(): writes what fits into the caller's buffer, and the full length. */
export function writeAddress(task: Task, at: number, lengthAt: number, address: SocketAddress): number {
  if (task.memory.copyIn(lengthAt, word, 0, 4) < 0) return -EFAULT;
  const room = i32(word, 0);
  if (room < 0) return -EINVAL;
  const size = Math.min(room, address.length);
  if (size > 0 && task.memory.copyOut(at, address.bytes, 0, size) < 0) return -EFAULT;
  put32(word, 0, address.length);
  return task.memory.copyOut(lengthAt, word, 0, 4);
}

/** Whether the call must not wait, because of its flags or the file's. */
export function isNonblocking(socket: Socket, flags: number): boolean {
  return (flags & MSG_DONTWAIT) !== 0 || (socket.flags & O_NONBLOCK) !== 0;
}

/**
 * Waits for input or room. `done`: the result if the call may not wait, times out or is interrupted: bytes moved, or
 * 0 for an error.
 */
export function waitToReceive(
  task: Task,
  socket: Socket,
  flags: number,
  done = task.call.done,
  state: WaitState = TRANSFER,
): number {
  if (isNonblocking(socket, flags)) return done > 0 ? done : -EAGAIN;
  const events = POLLIN | POLLRDHUP;
  return waitForFile(task, socket, socket.queue, events, socket.readTimeoutNanos, done, state);
}

export function waitToSend(
  task: Task,
  socket: Socket,
  flags: number,
  done = task.call.done,
  state: WaitState = TRANSFER,
): number {
  if (isNonblocking(socket, flags)) return done > 0 ? done : -EAGAIN;
  return waitForFile(task, socket, socket.queue, POLLOUT, socket.writeTimeoutNanos, done, state);
}
