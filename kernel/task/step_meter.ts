// Measures the steps of the run loop: one call's turn, or what the loop does between calls. Nobody else is served during one, so
// its CPU time is what a call makes others wait on an idle machine; a loaded one does not change it.

import { Heartbeat } from "./heartbeat.ts";

/** A step that took long; or all of a turn together, where none did alone. */
export interface LongStep {
  readonly nanos: number;
  /** 1; of a turn as many as it had. */
  readonly steps: number;
  /** Whose call it was, and its number; 0 = nobody's. Of a turn: that of its longest step. */
  readonly tid: number;
  readonly number: number;
}

export class StepMeter extends Heartbeat {
  readonly #limitNanos: number;
  /** CPU time so far of whoever works for the loop. */
  readonly #busyNanos: () => number;
  readonly #tell: (step: LongStep) => void;
  /** When the step began, and whose it is. */
  #start: number;
  #tid = 0;
  #number = 0;
  /** Of the turn so far: from the end of the wait for events to the next. */
  #turnNanos = 0;
  #turnSteps = 0;
  #longestNanos = 0;
  #longestTid = 0;
  #longestNumber = 0;

  constructor(limitNanos: number, busyNanos: () => number, tell: (step: LongStep) => void) {
    super();
    this.#limitNanos = limitNanos;
    this.#busyNanos = busyNanos;
    this.#tell = tell;
    this.#start = busyNanos();
  }

  override turn(): void {
    super.turn();
    this.#endStep(0, 0);
  }

  override serve(tid: number, number: number): void {
    super.serve(tid, number);
    this.#endStep(tid, number);
  }

  override beginWait(): void {
    this.#endStep(0, 0);
    // One long step has been told by itself.
    if (this.#turnNanos > this.#limitNanos && this.#longestNanos <= this.#limitNanos) {
      this.#tell({
        nanos: this.#turnNanos,
        steps: this.#turnSteps,
        tid: this.#longestTid,
        number: this.#longestNumber,
      });
    }
    this.#turnNanos = this.#turnSteps = this.#longestNanos = 0;
    super.beginWait();
  }

  override endWait(): void {
    super.endWait();
    this.#start = this.#busyNanos();
  }

  /** What comes now is for call `number` of `tid`. */
  #endStep(tid: number, number: number): void {
    const nanos = this.#busyNanos() - this.#start;
    if (nanos > this.#limitNanos) this.#tell({ nanos, steps: 1, tid: this.#tid, number: this.#number });
    this.#turnNanos += nanos;
    this.#turnSteps++;
    if (nanos > this.#longestNanos) {
      this.#longestNanos = nanos;
      this.#longestTid = this.#tid;
      this.#longestNumber = this.#number;
    }
    this.#tid = tid;
    this.#number = number;
    // Neither telling nor reading the clock is what is measured.
    this.#start = this.#busyNanos();
  }
}
