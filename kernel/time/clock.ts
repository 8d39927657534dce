// The one clock of the kernel. Monotonic time is nanoseconds in a number (exact for 104 days); wall-clock time is split
// into seconds and nanoseconds, as 2^53 nanoseconds would not reach from 1970. Linux: timekeeping.

import type { Host } from "../../platform/platform.ts";
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from "../abi/time.ts";

export interface Clock {
  /** Monotonic nanoseconds: what deadlines are made of. */
  monotonic(): number;
  /** Wall-clock seconds; the nanoseconds of that same reading are left in `nanoseconds`. */
  realtime(): number;
  nanoseconds: number;
}

/** The host's clocks, as the vDSO gives them to guests too. */
export class HostClock implements Clock {
  nanoseconds = 0;
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  monotonic(): number {
    return this.#host.clockNanos(CLOCK_MONOTONIC);
  }

  realtime(): number {
    const seconds = this.#host.clockSeconds(CLOCK_REALTIME);
    this.nanoseconds = this.#host.clockFraction;
    return seconds;
  }
}
