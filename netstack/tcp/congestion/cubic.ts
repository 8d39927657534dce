// CUBIC, RFC 9438: the window grows as a cube of the time since the last loss, so that it is soon back near where that was
// and then probes beyond.

import type { CongestionControl, Window } from "./congestion.ts";
import { HyStart } from "./hystart.ts";

/** RFC 9438 section 4.1: C in segments per second cubed, and the multiplicative decrease. */
const C = 0.4;
const BETA = 0.7;
/** Section 4.3: additive increase of the Reno-friendly region. */
const ALPHA = 3 * (1 - BETA) / (1 + BETA);

export class Cubic implements CongestionControl {
  readonly name = "cubic";
  readonly #hystart = new HyStart();
  /** Window before the last loss, segments. */
  #windowMax = 0;
  /** When this epoch of avoidance began, 0 = not yet; and its window and K (seconds) then. */
  #epochAt = 0;
  #origin = 0;
  #k = 0;
  /** Window that Reno would have, segments. */
  #reno = 0;
  /** For onUndo(). */
  #priorMax = 0;

  onRound(): void {
    this.#hystart.onRound();
  }

  onAck(window: Window, acked: number, rtt: number, now: number): void {
    if (window.window < window.threshold) {
      window.window += this.#hystart.growth(acked, rtt);
      if (this.#hystart.isDone) window.threshold = window.window;
      return;
    }
    this.#avoid(window, acked, now);
  }

  /** Section 4.2 to 4.5. */
  #avoid(window: Window, acked: number, now: number): void {
    const segments = window.window / window.segmentBytes;
    if (this.#epochAt === 0) {
      this.#epochAt = now;
      this.#reno = segments;
      if (segments < this.#windowMax) {
        this.#k = Math.cbrt((this.#windowMax - segments) / C);
        this.#origin = this.#windowMax;
      } else {
        this.#k = 0;
        this.#origin = segments;
      }
    }
    const ackedSegments = acked / window.segmentBytes;
    const seconds = (now - this.#epochAt + window.smoothedRtt) / 1e9;
    const target = Math.min(Math.max(this.#origin + C * (seconds - this.#k) ** 3, segments), 1.5 * segments);
    this.#reno += (this.#reno >= this.#windowMax ? 1 : ALPHA) * ackedSegments / segments;
    let next = segments + (target - segments) / segments * ackedSegments;
    if (this.#reno > next) next = this.#reno;
    window.window = next * window.segmentBytes;
  }

  /** Sections 4.6 and 4.7 (fast convergence). */
  onLoss(window: Window, inFlight: number): number {
    const segments = Math.min(window.window, Math.max(inFlight, 2 * window.segmentBytes)) /
      window.segmentBytes;
    this.#priorMax = this.#windowMax;
    this.#windowMax = segments < this.#windowMax ? segments * (1 + BETA) / 2 : segments;
    this.#epochAt = 0;
    return Math.max(segments * BETA, 2) * window.segmentBytes;
  }
  onTimeout(): void {
    this.#epochAt = 0;
    this.#hystart.reset();
  }
  onUndo(): void {
    this.#windowMax = this.#priorMax;
    this.#epochAt = 0;
  }
}
