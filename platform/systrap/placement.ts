// Which CPUs the sentry and its guests run on, and whether the sentry spins. Two regimes:
//
// apart: the sentry keeps a CPU of its own and spins there, the guests share the others. A call costs a fraction of a
//   microsecond, as no thread is ever woken for it; but the sentry's CPU is lost to guests that compute.
// together: everyone may run everywhere, nobody spins for long. A call costs a wake-up or two; the host balances.
//
// Chosen by what guests do: many calls a millisecond pay for a CPU, few do not. Foreign load on the sentry's CPU shows as
// gaps in its spinning; then it must not insist on that CPU.

/** What one look at the measurements decides. */
export const PLACE = { STAY: 0, APART: 1, TOGETHER: 2 } as const;

/** Calls are counted over at least this long. */
const WINDOW_NANOS = 2e6;
/** Calls a millisecond from which apart pays, and below which it no longer does: with a CPU to spare, and without. */
const SPARE_ENTER = 6, SPARE_LEAVE = 3;
const SCARCE_ENTER = 25, SCARCE_LEAVE = 12;
/** Two gaps no further apart than this mean that somebody else runs on our CPU. */
const GAPS_NANOS = 50e6;
/** A regime is kept for this long at least; longer, up to the maximum, each time that apart did not last. */
const HOLD_NANOS = 10e6;
const HOLD_NANOS_MAX = 1280e6;

export class Placement {
  readonly cpuCount: number;
  isApart: boolean;
  #windowStart = 0;
  /** Events since windowStart. */
  #events = 0;
  #lastGap = -Infinity;
  #isContended = false;
  #since = 0;
  #hold = HOLD_NANOS;

  constructor(cpuCount: number) {
    this.cpuCount = cpuCount;
    // A program begins with many calls.
    this.isApart = cpuCount > 1;
  }

  /** Events that came; called on every turn. */
  count(events: number): void {
    this.#events += events;
  }

  /** Guests run, or wait among themselves, and nothing has come for long: they get the sentry's CPU. */
  rest(now: number): void {
    this.isApart = false;
    this.#since = now;
    this.#windowStart = now;
    this.#events = 0;
  }

  /**
   * On a turn that had to wait: `now` in nanoseconds, how many guests run, whether spinning showed gaps. Gives back a
   * PLACE; the caller carries it out.
   */
  decide(now: number, running: number, hasGap: boolean): number {
    if (this.cpuCount < 2) return PLACE.STAY;
    if (hasGap) {
      this.#isContended ||= now - this.#lastGap < GAPS_NANOS;
      this.#lastGap = now;
    }
    const span = now - this.#windowStart;
    if (span < WINDOW_NANOS) return PLACE.STAY;
    const rate = this.#events / (span / 1e6);
    const isContended = this.#isContended;
    this.#windowStart = now;
    this.#events = 0;
    this.#isContended = false;
    // Nobody ran for most of such a window: it says nothing about how guests behave.
    if (span > 16 * WINDOW_NANOS && running === 0) return PLACE.STAY;
    if (now - this.#since < (this.isApart ? HOLD_NANOS : this.#hold)) return PLACE.STAY;
    const isScarce = running >= this.cpuCount;
    if (!this.isApart) {
      if (rate < (isScarce ? SCARCE_ENTER : SPARE_ENTER)) return PLACE.STAY;
      this.isApart = true;
      this.#since = now;
      return PLACE.APART;
    }
    if (!isContended && rate >= (isScarce ? SCARCE_LEAVE : SPARE_LEAVE)) {
      // It lasts: the next doubt starts small again.
      if (now - this.#since > HOLD_NANOS_MAX) this.#hold = HOLD_NANOS;
      return PLACE.STAY;
    }
    if (isContended) this.#hold = Math.min(2 * this.#hold, HOLD_NANOS_MAX);
    this.isApart = false;
    this.#since = now;
    return PLACE.TOGETHER;
  }
}
