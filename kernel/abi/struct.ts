// Little-endian fields of guest structs, by (bytes, at). 64-bit fields travel as numbers: exact within 2^53.

const TWO_32 = 4294967296;

export function u16(b: Uint8Array, at: number): number {
  return b[at] | b[at + 1] << 8;
}
export function u32(b: Uint8Array, at: number): number {
  return (b[at] | b[at + 1] << 8 | b[at + 2] << 16 | b[at + 3] << 24) >>> 0;
}
export function i32(b: Uint8Array, at: number): number {
  return b[at] | b[at + 1] << 8 | b[at + 2] << 16 | b[at + 3] << 24;
}
/** Unsigned 64 bits; above 2^53 inexact but still large. */
export function u64(b: Uint8Array, at: number): number {
  return u32(b, at) + u32(b, at + 4) * TWO_32;
}
/** Signed 64 bits. */
export function i64(b: Uint8Array, at: number): number {
  return u32(b, at) + i32(b, at + 4) * TWO_32;
}
export function put16(b: Uint8Array, at: number, value: number): void {
  b[at] = value;
  b[at + 1] = value >>> 8;
}
export function put32(b: Uint8Array, at: number, value: number): void {
  b[at] = value;
  b[at + 1] = value >>> 8;
  b[at + 2] = value >>> 16;
  b[at + 3] = value >>> 24;
}
/** A whole number, signed or unsigned, as 64 bits in two's complement. Infinity becomes all ones (RLIM_INFINITY). */
export function put64(b: Uint8Array, at: number, value: number): void {
  if (value === Infinity) {
    put32(b, at, -1);
    put32(b, at + 4, -1);
    return;
  }
  put32(b, at, value | 0);
  put32(b, at + 4, Math.floor(value / TWO_32));
}
/** Zeroes `length` bytes. */
export function zero(b: Uint8Array, at: number, length: number): void {
  b.fill(0, at, at + length);
}
