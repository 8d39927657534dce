// The iovecs of a call: readv(2), writev(2), sendmsg(2) and others. Their bytes are gathered into one buffer, or
// scattered from it, around one read or write of the file.

import { EINVAL } from "../abi/errno.ts";
import { PROT_WRITE } from "../abi/memory.ts";
import { u64 } from "../abi/struct.ts";
import { VIEW_MAX } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import { GrowingBytes } from "../util/growing_bytes.ts";
import { COUNT_MAX } from "./io.ts";

/** Iovecs of one call (UIO_MAXIOV). */
export const IOVECS_MAX = 1024;
export const IOVEC_BYTES = 16;
const SIZE_END = 2 ** 63;

/** Scratch: bases and lengths of the vector read last; each call finishes with it before it waits. */
const bases = new Float64Array(IOVECS_MAX);
const lengths = new Float64Array(IOVECS_MAX);

/** Reads `count` iovecs at `address`; total bytes, or -ERRNO. */
export function readVector(task: Task, address: number, count: number): number {
  if (count < 0 || count > IOVECS_MAX) return -EINVAL;
  const at = task.memory.inView(address, count * IOVEC_BYTES);
  if (at < 0) return count === 0 ? 0 : at;
  const view = task.memory.view;
  let total = 0;
  for (let i = 0; i < count; i++) {
    const length = u64(view, at + i * IOVEC_BYTES + 8);
    if (length >= SIZE_END) return -EINVAL;
    bases[i] = u64(view, at + i * IOVEC_BYTES);
    lengths[i] = Math.min(length, COUNT_MAX - total);
    total += lengths[i];
  }
  return total;
}

/** Base and length of entry `i` of the vector that readVector has read last. */
export function vectorBase(i: number): number {
  return bases[i];
}
export function vectorLength(i: number): number {
  return lengths[i];
}

/** Scratch: bytes between vectors and files. */
export const buffer = new GrowingBytes(64 * 1024);

/**
 * Copies `length` bytes of the vector, from byte `skip` on, into `buffer`. Returns the bytes before a bad address, or
 * -EFAULT.
 */
export function gather(task: Task, count: number, skip: number, length: number): number {
  buffer.reserve(length, VIEW_MAX);
  return eachPart(task, count, skip, length, copyPartIn);
}

/**
 * Copies the first `length` bytes of `buffer` to the vector, from byte `skip` on. Returns the bytes before a bad
 * address, or -EFAULT.
 */
export function scatter(task: Task, count: number, skip: number, length: number): number {
  return eachPart(task, count, skip, length, copyPartOut);
}

/** How many of `length` bytes of the vector, from byte `skip` on, can be written before the first that cannot. */
export function vectorRoom(task: Task, count: number, skip: number, length: number): number {
  return eachPart(task, count, skip, length, roomOfPart);
}

/**
 * Handles `length` bytes at `address` of the guest and at `at` of `buffer`: returns how many succeeded, or -ERRNO.
 */
type OnPart = (task: Task, address: number, at: number, length: number) => number;

function copyPartIn(task: Task, address: number, at: number, length: number): number {
  const copied = task.memory.copyIn(address, buffer.bytes, at, length);
  return copied < 0 ? copied : length;
}
function copyPartOut(task: Task, address: number, at: number, length: number): number {
  const copied = task.memory.copyOut(address, buffer.bytes, at, length);
  return copied < 0 ? copied : length;
}
function roomOfPart(task: Task, address: number, _at: number, length: number): number {
  return task.mm.accessibleBytes(address, length, PROT_WRITE);
}

/**
 * Calls `onPart` for the entries of the vector with its bytes from `skip` on, for `length` bytes or until one fails.
 */
function eachPart(task: Task, count: number, skip: number, length: number, onPart: OnPart): number {
  let done = 0;
  for (let i = 0; i < count && done < length; i++) {
    if (skip >= lengths[i]) {
      skip -= lengths[i];
      continue;
    }
    const wanted = Math.min(lengths[i] - skip, length - done);
    const fit = onPart(task, bases[i] + skip, done, wanted);
    if (fit < 0) return done > 0 ? done : fit;
    done += fit;
    if (fit < wanted) break;
    skip = 0;
  }
  return done;
}
