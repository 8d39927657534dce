// Bytes written and not yet acknowledged: a ring addressed by place in the stream. Memory comes with the first byte and
// goes with the last, so that an idle connection holds none.

import { copyBytes } from "../wire/bytes.ts";
import { moveRing, type RingMemory, ringSize } from "./ring.ts";

export class SendBuffer {
  readonly #memory: RingMemory;
  #ring: Uint8Array | null = null;
  /** Places in the stream: first byte kept, one past the last. */
  start = 0;
  end = 0;

  constructor(memory: RingMemory) {
    this.#memory = memory;
  }

  get used(): number {
    return this.end - this.start;
  }

  /** Appends; the caller keeps to its limit. */
  push(from: Uint8Array, at: number, length: number): void {
    if (!Number.isInteger(length)) throw new Error(`Send buffer was given ${length} bytes`);
    const ring = this.#reserve(length);
    const place = this.end % ring.length;
    const head = Math.min(length, ring.length - place);
    copyBytes(ring, place, from, at, head);
    if (head < length) copyBytes(ring, 0, from, at + head, length - head);
    this.end += length;
  }

  /** Copies `length` bytes from place `from` on. */
  peek(from: number, into: Uint8Array, at: number, length: number): void {
    const ring = this.#ring!;
    const place = from % ring.length;
    const head = Math.min(length, ring.length - place);
    copyBytes(into, at, ring, place, head);
    if (head < length) copyBytes(into, at + head, ring, 0, length - head);
  }

  /** Everything before place `to` has arrived. */
  drop(to: number): void {
    this.start = to;
    if (this.start < this.end || this.#ring === null) return;
    this.#memory.give(this.#ring);
    this.#ring = null;
  }

  clear(): void {
    this.drop(this.end);
  }

  #reserve(length: number): Uint8Array {
    const ring = this.#ring;
    const needed = this.used + length;
    if (ring !== null && needed <= ring.length) return ring;
    const larger = this.#memory.take(ringSize(needed, ring === null ? 0 : ring.length));
    if (ring !== null) {
      moveRing(ring, larger, this.start, this.end);
      this.#memory.give(ring);
    }
    return this.#ring = larger;
  }
}
