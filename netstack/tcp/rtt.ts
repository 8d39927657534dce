// Round-trip time and retransmission timeout, RFC 6298, with Linux' bounds (200 ms to 120 s).

export const RTO_MIN_NANOS = 200e6;
export const RTO_MAX_NANOS = 120e9;
export const RTO_INITIAL_NANOS = 1e9;
/** How long a minimum is believed (tcp_min_rtt_wlen). */
const MIN_RTT_WINDOW_NANOS = 300e9;
/** What is too short to be measured counts as so much. */
const RTT_NANOS_LEAST = 1000;

export class RoundTrip {
  /** Smoothed time and its variation, nanoseconds; 0 before the first sample. */
  smoothed = 0;
  variation = 0;
  /** Least lately. */
  min = 0;
  #minAt = 0;
  latest = 0;
  /** Without backoff. */
  timeout = RTO_INITIAL_NANOS;

  /** A sample, RFC 6298 section 2. */
  sample(nanos: number, now: number): void {
    nanos = Math.max(nanos, RTT_NANOS_LEAST);
    this.latest = nanos;
    if (this.min === 0 || nanos <= this.min || now - this.#minAt > MIN_RTT_WINDOW_NANOS) {
      this.min = nanos;
      this.#minAt = now;
    }
    if (this.smoothed === 0) {
      this.smoothed = nanos;
      this.variation = nanos / 2;
    } else {
      this.variation += (Math.abs(this.smoothed - nanos) - this.variation) / 4;
      this.smoothed += (nanos - this.smoothed) / 8;
    }
    // Linux bounds the variation below, not the sum: the timeout stays a good deal above the time itself.
    const spread = Math.max(4 * this.variation, RTO_MIN_NANOS);
    this.timeout = Math.min(this.smoothed + spread, RTO_MAX_NANOS);
  }

  /** With `backoff` doublings, RFC 6298 section 5.5. */
  backedOff(backoff: number): number {
    return Math.min(this.timeout * 2 ** Math.min(backoff, 20), RTO_MAX_NANOS);
  }
}
