// How long calls of the control API take to be answered, by method: a distribution that metrics.ts exports.

/** Upper bounds of the buckets, nanoseconds: 100 us to 10 s; the last has none. */
export const BOUNDS_NANOS: readonly number[] = [1e5, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9, 3e9, 1e10];

export interface CallTime {
  totalNanos: number;
  /** Calls in each bucket. */
  readonly counts: number[];
}

export class CallTimes {
  readonly byMethod = new Map<string, CallTime>();
  /** All methods that there are. */
  readonly methods: readonly string[];

  constructor(methods: readonly string[]) {
    this.methods = methods;
  }

  /** `method` is one that there is. */
  note(method: string, nanos: number): void {
    let time = this.byMethod.get(method);
    if (time === undefined) {
      time = { totalNanos: 0, counts: new Array(BOUNDS_NANOS.length + 1).fill(0) };
      this.byMethod.set(method, time);
    }
    const found = BOUNDS_NANOS.findIndex((bound) => nanos <= bound);
    time.counts[found < 0 ? BOUNDS_NANOS.length : found]++;
    time.totalNanos += nanos;
  }
}
