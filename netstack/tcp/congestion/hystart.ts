// HyStart++: when to leave slow start before the queue overflows, by growing delay. RFC 9406.

const MIN_RTT_THRESHOLD_NANOS = 4e6;
const MAX_RTT_THRESHOLD_NANOS = 16e6;
const MIN_RTT_DIVISOR = 8;
const SAMPLES = 8;
/** Growth in conservative slow start, and how many rounds of it. */
const CSS_GROWTH_DIVISOR = 4;
const CSS_ROUNDS = 5;

export class HyStart {
  #lastRoundMin = Infinity;
  #roundMin = Infinity;
  #samples = 0;
  /** Conservative slow start: rounds done, and the delay that began it; -1 = not in it. */
  #cssRounds = -1;
  #cssBaseline = Infinity;
  /** Slow start is over for good. */
  isDone = false;

  onRound(): void {
    this.#lastRoundMin = this.#roundMin;
    this.#roundMin = Infinity;
    this.#samples = 0;
    if (this.#cssRounds < 0) return;
    this.#cssRounds++;
    if (this.#cssRounds >= CSS_ROUNDS) this.isDone = true;
  }

  /** Growth in slow start for `acked` bytes; RFC 9406 section 4.2. */
  growth(acked: number, rtt: number): number {
    if (rtt > 0) this.#sample(rtt);
    return this.#cssRounds < 0 ? acked : acked / CSS_GROWTH_DIVISOR;
  }

  #sample(rtt: number): void {
    this.#roundMin = Math.min(this.#roundMin, rtt);
    this.#samples++;
    if (this.#samples < SAMPLES || this.#lastRoundMin === Infinity) return;
    if (this.#cssRounds >= 0) {
      // The delay fell back: it was no queue of ours.
      if (this.#roundMin < this.#cssBaseline) this.#cssRounds = -1;
      return;
    }
    const threshold = Math.min(
      Math.max(this.#lastRoundMin / MIN_RTT_DIVISOR, MIN_RTT_THRESHOLD_NANOS),
      MAX_RTT_THRESHOLD_NANOS,
    );
    if (this.#roundMin < this.#lastRoundMin + threshold) return;
    this.#cssBaseline = this.#roundMin;
    this.#cssRounds = 0;
  }

  reset(): void {
    this.#lastRoundMin = this.#roundMin = this.#cssBaseline = Infinity;
    this.#samples = 0;
    this.#cssRounds = -1;
    this.isDone = false;
  }
}
