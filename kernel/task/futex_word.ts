// The 32-bit word of a futex in guest memory. Guest threads change it while the kernel handles it, so it is read from
// memory and not from what the stub copied in, and changed only by compare-and-exchange.

import { EAGAIN, EFAULT } from "../abi/errno.ts";
import { put32, u32 } from "../abi/struct.ts";
import type { Task } from "./task.ts";

/** How often a change is tried again when guest threads keep changing the word: they must not hold the kernel up. */
export const EXCHANGE_TRIES_MAX = 1000;

const word = new Uint8Array(4);

/** The word at `address` now, unsigned, or -EFAULT. */
export function readWord(task: Task, address: number): number {
  return task.mm.space.read(address, word, 0, 4) === 4 ? u32(word, 0) : -EFAULT;
}

/**
 * As compareWord() for a futex that is not private, without reading where what the stub has copied in will do: nobody has
 * woken or changed a futex since the task last resumed. A waker changes the word before it calls, so a change that the
 * copy does not have is followed by a wake that finds this task waiting.
 */
export function compareSharedWord(task: Task, address: number, expected: number): number {
  const { memory } = task;
  const at = task.futexChanges === task.kernel.futexes.changes ? memory.known(address, 4) : -1;
  if (at < 0) return compareWord(task, address, expected);
  return u32(memory.view, at) === expected ? 0 : -EAGAIN;
}

/** What a wait asks first: 0 when the word is `expected` (unsigned), -EAGAIN when not, -EFAULT. */
export function compareWord(task: Task, address: number, expected: number): number {
  const now = readWord(task, address);
  if (now < 0) return now;
  return now === expected ? 0 : -EAGAIN;
}

/** Writes the word: 0 or -EFAULT. For words that only this task may write (clear_child_tid). */
export function writeWord(task: Task, address: number, value: number): number {
  put32(word, 0, value);
  return task.mm.space.write(address, word, 0, 4) === 4 ? 0 : -EFAULT;
}

/** Sets the word to `value` if it is `expected` (unsigned): 1 done, 0 it was another, -EFAULT. */
export function exchangeWord(task: Task, address: number, expected: number, value: number): number {
  const space = task.mm.space;
  // A thread that has been killed while it runs cannot carry out commands. What is left then is a dying owner's word, in
  // which others only set FUTEX_WAITERS, and look again before they sleep.
  if (space.features.hasExchange && !task.thread.isRunning) {
    return space.compareExchange(task.thread, address, expected, value >>> 0);
  }
  const now = readWord(task, address);
  if (now < 0) return now;
  if (now !== expected) return 0;
  return writeWord(task, address, value) < 0 ? -EFAULT : 1;
}
