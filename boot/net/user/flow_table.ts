// Flows of a protocol without connections, by a key: the one that was unused the longest goes when there are too many, and
// each when nothing has come for a while.

export interface Flow {
  /** Nanoseconds; kept by FlowTable.touch(). */
  usedAt: number;
  close(): void;
}

export class FlowTable<F extends Flow> {
  readonly #most: number;
  readonly #idleNanos: number;
  /** In the order of their last use. */
  readonly #flows = new Map<string, F>();

  constructor(most: number, idleNanos: number) {
    this.#most = most;
    this.#idleNanos = idleNanos;
  }

  get(key: string): F | null {
    return this.#flows.get(key) ?? null;
  }

  /** A copy: they may be removed meanwhile. */
  all(): readonly F[] {
    return [...this.#flows.values()];
  }

  add(key: string, flow: F, now: number): void {
    if (this.#flows.size >= this.#most) this.remove(this.#flows.keys().next().value!);
    this.#flows.set(key, flow);
    flow.usedAt = now;
  }

  touch(key: string, flow: F, now: number): void {
    flow.usedAt = now;
    if (!this.#flows.delete(key)) return;
    this.#flows.set(key, flow);
  }

  remove(key: string): void {
    const flow = this.#flows.get(key);
    if (flow === undefined) return;
    this.#flows.delete(key);
    flow.close();
  }

  /** Ends those that are idle. True while there are any. */
  sweep(now: number): boolean {
    for (const [key, flow] of this.#flows) {
      if (now - flow.usedAt < this.#idleNanos) break;
      this.remove(key);
    }
    return this.#flows.size > 0;
  }
}
