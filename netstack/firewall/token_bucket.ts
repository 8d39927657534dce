// A token bucket for rules and log lines; time is passed in. Linux: xt_limit.

export class TokenBucket {
  readonly perSecond: number;
  readonly burst: number;
  /** What is there at #countedAt; never more than `burst`. */
  #tokens: number;
  #countedAt = -1;

  constructor(perSecond: number, burst: number) {
    this.perSecond = perSecond;
    this.burst = burst;
    this.#tokens = burst;
  }

  /** Takes one; false when there is none. */
  take(now: number): boolean {
    if (this.#countedAt >= 0) {
      this.#tokens = Math.min(this.burst, this.#tokens + (now - this.#countedAt) * this.perSecond / 1e9);
    }
    this.#countedAt = now;
    // What a rate of 3 in 60 s adds up to may be short of one by the last bit.
    if (this.#tokens < 0.999_999) return false;
    this.#tokens = Math.max(0, this.#tokens - 1);
    return true;
  }
}
