// Memory of send and receive buffers: rings whose size is a power of two, kept for the next to need one, as a large array
// from the collector costs its zeroing.

import { copyBytes } from "../wire/bytes.ts";

const RING_BYTES_MIN = 4 * 1024;
/** Rings kept, in sum. */
const SPARE_BYTES_MAX = 48 * 1024 * 1024;
/** Bytes of all rings in use beyond which what comes out of order finds no new memory (Linux: tcp_mem). */
export const RING_BYTES_MAX = 512 * 1024 * 1024;

const spares: Uint8Array[][] = Array.from({ length: 32 }, () => []);
let spareBytes = 0;

/** Where an embedder counts memory that the stack holds for others' data. */
export interface MemoryAccount {
  force(bytes: number): void;
  give(bytes: number): void;
}

/** The rings of one stack. */
export class RingMemory {
  readonly #account: MemoryAccount | null;
  /** Bytes in use. */
  held = 0;

  constructor(account: MemoryAccount | null = null) {
    this.#account = account;
  }

  /** A ring of `bytes`, a power of two; contents undefined. */
  take(bytes: number): Uint8Array {
    this.held += bytes;
    this.#account?.force(bytes);
    const ring = spares[31 - Math.clz32(bytes)].pop();
    if (ring === undefined) return new Uint8Array(bytes);
    spareBytes -= bytes;
    return ring;
  }

  give(ring: Uint8Array): void {
    this.held -= ring.length;
    this.#account?.give(ring.length);
    if (spareBytes + ring.length > SPARE_BYTES_MAX) return;
    spareBytes += ring.length;
    spares[31 - Math.clz32(ring.length)].push(ring);
  }
}

/** A ring that has room for `needed` bytes and is not smaller than `current`. */
export function ringSize(needed: number, current: number): number {
  let size = Math.max(current, RING_BYTES_MIN);
  while (size < needed) size *= 2;
  return size;
}

/** Copies places [start, end) of a stream from one ring to another. */
export function moveRing(from: Uint8Array, into: Uint8Array, start: number, end: number): void {
  for (let place = start; place < end;) {
    const at = place % from.length, to = place % into.length;
    const n = Math.min(end - place, from.length - at, into.length - to);
    copyBytes(into, to, from, at, n);
    place += n;
  }
}
