// Memory of send and receive buffers: rings whose size is a power of two, kept for the next to need one, as a large array
// from the collector costs its zeroing.

import { copyBytes } from "../wire/bytes.ts";

const RING_BYTES_MIN = 4 * 1024;
/** Rings kept, in sum. */
const SPARE_BYTES_MAX = 48 * 1024 * 1024;
/** Bytes of all rings in use beyond which what comes out of order finds no new memory (Linux: tcp_mem). */
export const RING_BYTES_MAX = 512 * 1024 * 1024;
/** Bytes of all rings in use. */
export const ringBytes = { held: 0 };

const spares: Uint8Array[][] = Array.from({ length: 32 }, () => []);
let spareBytes = 0;

/** A ring of `bytes`, a power of two; contents undefined. */
export function newRing(bytes: number): Uint8Array {
  ringBytes.held += bytes;
  const ring = spares[31 - Math.clz32(bytes)].pop();
  if (ring === undefined) return new Uint8Array(bytes);
  spareBytes -= bytes;
  return ring;
}

/** Gives a ring back. */
export function releaseRing(ring: Uint8Array): void {
  ringBytes.held -= ring.length;
  if (spareBytes + ring.length > SPARE_BYTES_MAX) return;
  spareBytes += ring.length;
  spares[31 - Math.clz32(ring.length)].push(ring);
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
