// How long a connection was busy, and what held it back meanwhile: the peer's window or the send buffer. For TCP_INFO;
// Linux: tcp_chrono_start().

export const enum Limit {
  /** Nothing to send. */
  Idle,
  /** Data is out or waits. */
  Busy,
  /** The peer's window is full. */
  Receiver,
  /** The writer waits for room in the send buffer. */
  Buffer,
}

export class Limits {
  #limit: Limit = Limit.Idle;
  #since = 0;
  readonly #nanos = [0, 0, 0, 0];

  /** From now on this is what holds it back. */
  enter(limit: Limit, now: number): void {
    if (limit === this.#limit) return;
    this.#nanos[this.#limit] += now - this.#since;
    this.#limit = limit;
    this.#since = now;
  }

  #sum(limit: Limit, now: number): number {
    return this.#nanos[limit] + (this.#limit === limit ? now - this.#since : 0);
  }
  /** All but idle. */
  busyNanos(now: number): number {
    return this.#sum(Limit.Busy, now) + this.receiverNanos(now) + this.bufferNanos(now);
  }
  receiverNanos(now: number): number {
    return this.#sum(Limit.Receiver, now);
  }
  bufferNanos(now: number): number {
    return this.#sum(Limit.Buffer, now);
  }
}
