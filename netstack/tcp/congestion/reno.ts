// NewReno: RFC 5681, RFC 6582. Slow start with appropriate byte counting (RFC 3465, L = 2), then a segment a round trip.

import type { CongestionControl, Window } from "./congestion.ts";

export class Reno implements CongestionControl {
  readonly name = "reno";
  /** Bytes acknowledged towards the next segment of growth. */
  #acked = 0;

  onAck(window: Window, acked: number): void {
    if (window.window < window.threshold) {
      window.window = Math.min(window.window + acked, Math.max(window.threshold, window.window));
      return;
    }
    this.#acked += acked;
    if (this.#acked < window.window) return;
    this.#acked -= window.window;
    window.window += window.segmentBytes;
  }
  /** RFC 5681 section 3.1, equation 4. */
  onLoss(window: Window, inFlight: number): number {
    this.#acked = 0;
    return Math.max(inFlight / 2, 2 * window.segmentBytes);
  }
  onTimeout(): void {
    this.#acked = 0;
  }
  onUndo(): void {}
  onRound(): void {}
}
