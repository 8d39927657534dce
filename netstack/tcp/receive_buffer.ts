// Bytes that have come in and were not read: a ring addressed by place in the stream, with the ranges beyond the gap noted
// (smoltcp's assembler is the model). A segment is copied straight to its place, in order or not; no packet is kept.

import { copyBytes } from "../wire/bytes.ts";
import { moveRing, type RingMemory, ringSize } from "./ring.ts";

/** Separate ranges beyond the first gap at most; what would be one more is dropped and comes again. */
export const RANGES_MAX = 256;

export class ReceiveBuffer {
  readonly #memory: RingMemory;
  #ring: Uint8Array | null = null;
  /** Places in the stream: first unread byte, and the end of what is there without a gap. */
  start = 0;
  next = 0;
  /** Start and end of each range beyond `next`, sorted, disjoint, not touching. */
  readonly ranges: number[] = [];

  constructor(memory: RingMemory) {
    this.#memory = memory;
  }

  /** Bytes of memory it holds. */
  get ringBytes(): number {
    return this.#ring === null ? 0 : this.#ring.length;
  }
  /** Bytes that can be read. */
  get readable(): number {
    return this.next - this.start;
  }
  get hasGap(): boolean {
    return this.ranges.length > 0;
  }
  /** One past the highest byte held. */
  get end(): number {
    return this.ranges.length === 0 ? this.next : this.ranges[this.ranges.length - 1];
  }

  /**
   * Takes `length` bytes for place `place` (>= next), which the caller has cut to the window. Number of bytes by which
   * `next` has moved; -1 where there are too many ranges.
   */
  write(place: number, from: Uint8Array, at: number, length: number): number {
    if (!Number.isInteger(place + length)) {
      throw new Error(`Receive buffer was given ${length} bytes at ${place}`);
    }
    if (place === this.next && this.ranges.length === 0) {
      this.#copyIn(place, from, at, length);
      this.next += length;
      return length;
    }
    const to = place + length;
    if (!this.#enter(place, to)) return -1;
    this.#copyIn(place, from, at, length);
    if (this.ranges[0] > this.next) return 0;
    const moved = this.ranges[1] - this.next;
    this.next = this.ranges[1];
    this.ranges.splice(0, 2);
    return moved;
  }

  /** Enters [from, to) into the ranges, joined with those it meets. */
  #enter(from: number, to: number): boolean {
    const { ranges } = this;
    let i = 0;
    while (i < ranges.length && ranges[i + 1] < from) i += 2;
    let j = i;
    while (j < ranges.length && ranges[j] <= to) j += 2;
    if (i === j) {
      if (ranges.length >= 2 * RANGES_MAX) return false;
      ranges.splice(i, 0, from, to);
      return true;
    }
    ranges[i] = Math.min(from, ranges[i]);
    ranges[i + 1] = Math.max(to, ranges[j - 1]);
    if (j > i + 2) ranges.splice(i + 2, j - i - 2);
    return true;
  }

  /** Bytes of another stream's write, straight in: nothing is out of order. */
  append(from: Uint8Array, at: number, length: number): void {
    this.#copyIn(this.next, from, at, length);
    this.next += length;
  }

  /** Copies up to `length` bytes without taking them. */
  peek(skip: number, into: Uint8Array, at: number, length: number): number {
    const n = Math.min(length, this.readable - skip);
    if (n <= 0) return 0;
    const ring = this.#ring!;
    const place = (this.start + skip) % ring.length;
    const head = Math.min(n, ring.length - place);
    copyBytes(into, at, ring, place, head);
    if (head < n) copyBytes(into, at + head, ring, 0, n - head);
    return n;
  }

  /** Takes `length` bytes away. */
  skip(length: number): void {
    this.start += length;
    if (this.start < this.next || this.ranges.length > 0 || this.#ring === null) return;
    this.#memory.give(this.#ring);
    this.#ring = null;
  }

  clear(): void {
    this.start = this.next;
    this.ranges.length = 0;
    this.skip(0);
  }

  #copyIn(place: number, from: Uint8Array, at: number, length: number): void {
    const ring = this.#reserve(place + length);
    const offset = place % ring.length;
    const head = Math.min(length, ring.length - offset);
    copyBytes(ring, offset, from, at, head);
    if (head < length) copyBytes(ring, 0, from, at + head, length - head);
  }

  /** A ring that holds everything up to place `to`. */
  #reserve(to: number): Uint8Array {
    const ring = this.#ring;
    const needed = to - this.start;
    if (ring !== null && needed <= ring.length) return ring;
    const larger = this.#memory.take(ringSize(needed, ring === null ? 0 : ring.length));
    if (ring !== null) {
      moveRing(ring, larger, this.start, Math.min(this.end, this.start + ring.length));
      this.#memory.give(ring);
    }
    return this.#ring = larger;
  }
}
