// Network-order fields by (bytes, at).

export function get16(bytes: Uint8Array, at: number): number {
  return bytes[at] << 8 | bytes[at + 1];
}
/** int32: sequence numbers and addresses are compared with `(x - y) | 0`. */
export function get32(bytes: Uint8Array, at: number): number {
  return bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
}
export function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
export function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Copies `length` bytes; small ones by a loop, which beats set() with its subarray. */
export function copyBytes(
  into: Uint8Array,
  at: number,
  from: Uint8Array,
  fromAt: number,
  length: number,
): void {
  if (length <= 48) {
    for (let i = 0; i < length; i++) into[at + i] = from[fromAt + i];
    return;
  }
  into.set(from.subarray(fromAt, fromAt + length), at);
}
