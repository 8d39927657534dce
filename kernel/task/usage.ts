// CPU time and counters of processes: getrusage(2), times(2), wait4(2). Linux: struct rusage. The platform knows how long
// a guest process has run; all of it is shown as user time.
// Linux: system time is 0, and faults, blocks and messages are not counted.

import { put64, zero } from "../abi/struct.ts";

/** Clock ticks a second that user space sees (USER_HZ). */
const TICKS_PER_SECOND = 100;
export const RUSAGE_BYTES = 144;

export class Usage {
  cpuNanos = 0;
  voluntarySwitches = 0;
  /** Largest resident set ever, KiB. */
  maxResidentKib = 0;

  add(other: Usage): void {
    this.cpuNanos += other.cpuNanos;
    this.voluntarySwitches += other.voluntarySwitches;
    if (other.maxResidentKib > this.maxResidentKib) this.maxResidentKib = other.maxResidentKib;
  }
}

export function nanosToTicks(nanos: number): number {
  return Math.floor(nanos / (1e9 / TICKS_PER_SECOND));
}

/** Writes struct rusage, RUSAGE_BYTES at `at`. */
export function putRusage(bytes: Uint8Array, at: number, usage: Usage): void {
  zero(bytes, at, RUSAGE_BYTES);
  put64(bytes, at, Math.floor(usage.cpuNanos / 1e9));
  put64(bytes, at + 8, Math.floor(usage.cpuNanos % 1e9 / 1000));
  put64(bytes, at + 32, usage.maxResidentKib);
  put64(bytes, at + 128, usage.voluntarySwitches);
}
