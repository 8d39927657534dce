// futex(2) on a guest's private memory, which the host carries out in the stub (docs/DECISIONS.md, "Private futexes are the
// host's").

import { OP_WAIT, SLOT_TIME } from "../slot.ts";
import { putNumber } from "./commands.ts";
import type { SystrapThread } from "./thread.ts";

const SYS_futex = 202;
const FUTEX_WAIT_BITSET_PRIVATE = 137;

/** Makes the thread wait when it resumes, until `deadline` (CLOCK_MONOTONIC nanoseconds; Infinity: none). */
export function enterFutexWait(
  thread: SystrapThread,
  address: number,
  value: number,
  bitset: number,
  deadline: number,
): void {
  let time = 0;
  if (deadline !== Infinity) {
    time = thread.address + SLOT_TIME;
    putNumber(thread.words, SLOT_TIME >> 2, Math.floor(deadline / 1e9));
    putNumber(thread.words, (SLOT_TIME >> 2) + 2, Math.floor(deadline % 1e9));
  }
  const operation = FUTEX_WAIT_BITSET_PRIVATE;
  thread.command(OP_WAIT, false, SYS_futex, address, operation, value, time, 0, bitset);
}

/** Makes a call that does not wait; its arguments are words. */
export function callFutex(thread: SystrapThread, args: Uint32Array): number {
  const index = thread.call(SYS_futex, false);
  for (let n = 0; n < 6; n++) thread.putCommandWords(index, n, args[2 * n], args[2 * n + 1]);
  const result = thread.run();
  return result < 0 ? result : thread.result(index);
}
