// A bounded ring of bytes: the data of a pipe or of a stream socket. Its memory grows with its content, up to the
// bound. Linux: pipe buffers and socket queues; only the order of their bytes matters here.

import { copyBytes } from "../util/bytes.ts";
import type { Budget } from "../util/kernel_memory.ts";

/** First allocation, bytes. */
const FIRST_BYTES = 4096;
/** An empty ring with more memory than this frees it. */
const KEPT_BYTES_MAX = 256 * 1024;
const NOTHING = new Uint8Array(0);

export class ByteRing {
  /** The most bytes it may hold. */
  capacity: number;
  /** Bytes it holds now. */
  used = 0;
  readonly #heap: Budget;
  #bytes: Uint8Array = NOTHING;
  /** Index of the oldest byte. */
  #head = 0;

  /** `heap` accounts for its memory. */
  constructor(heap: Budget, capacity: number) {
    this.#heap = heap;
    this.capacity = capacity;
  }

  get free(): number {
    return this.used < this.capacity ? this.capacity - this.used : 0;
  }

  /** Appends as many of `length` bytes as fit and returns their number: 0 although there is room means no memory. */
  push(from: Uint8Array, at: number, length: number): number {
    const free = this.free;
    if (length > free) length = free;
    if (this.used + length > this.#bytes.length && !this.#grow(this.used + length)) {
      length = Math.min(length, this.#bytes.length - this.used);
      if (length === 0) return 0;
    }
    const size = this.#bytes.length;
    let tail = this.#head + this.used;
    if (tail >= size) tail -= size;
    const first = size - tail;
    if (length <= first) {
      copyBytes(this.#bytes, tail, from, at, length);
    } else {
      copyBytes(this.#bytes, tail, from, at, first);
      copyBytes(this.#bytes, 0, from, at + first, length - first);
    }
    this.used += length;
    return length;
  }

  /** Moves up to `length` bytes out and returns their number. */
  pop(into: Uint8Array, at: number, length: number): number {
    const n = this.peek(into, at, length, 0);
    this.skip(n);
    return n;
  }

  /** Copies up to `length` bytes, starting `offset` bytes after the oldest, without removing them. */
  peek(into: Uint8Array, at: number, length: number, offset: number): number {
    const there = this.used - offset;
    if (there <= 0) return 0;
    if (length > there) length = there;
    const size = this.#bytes.length;
    let head = this.#head + offset;
    if (head >= size) head -= size;
    const first = size - head;
    if (length <= first) {
      copyBytes(into, at, this.#bytes, head, length);
    } else {
      copyBytes(into, at, this.#bytes, head, first);
      copyBytes(into, at + first, this.#bytes, 0, length - first);
    }
    return length;
  }

  /** Drops the oldest `length` bytes, which must exist. */
  skip(length: number): void {
    this.used -= length;
    if (this.used === 0) {
      // Restarts at the beginning, so that the next bytes are contiguous.
      this.#head = 0;
      if (this.#bytes.length > KEPT_BYTES_MAX) this.#giveBack();
      return;
    }
    this.#head += length;
    if (this.#head >= this.#bytes.length) this.#head -= this.#bytes.length;
  }

  /** Frees the memory and drops its content. */
  clear(): void {
    this.used = 0;
    this.#head = 0;
    this.#giveBack();
  }

  #giveBack(): void {
    this.#heap.give(this.#bytes.length);
    this.#bytes = NOTHING;
  }

  /** Makes room for `needed` bytes; false without memory. */
  #grow(needed: number): boolean {
    let size = Math.max(FIRST_BYTES, this.#bytes.length);
    while (size < needed) size *= 2;
    if (!this.#heap.take(size - this.#bytes.length)) return false;
    const bytes = new Uint8Array(size);
    const used = this.used;
    this.peek(bytes, 0, used, 0);
    this.#bytes = bytes;
    this.#head = 0;
    return true;
  }
}
