// The Internet checksum, RFC 1071: one's complement sums of 16-bit words. Sums are kept unfolded as numbers, in
// little-endian words (RFC 1071 section 2 (B)): a sum taken so and stored so is the same on the wire.

/** Sum of `length` bytes at `at`, added to `sum`; fold it at the end. An odd last byte counts as if a zero followed. */
export function sumBytes(sum: number, bytes: Uint8Array, at: number, length: number): number {
  const end = at + (length & ~1);
  const end16 = at + (length & ~15);
  // At most 64 KiB: 32,768 words of 16 bits stay far below 2^53, and the partial below 2^31.
  for (; at < end16; at += 16) {
    sum += (bytes[at] + bytes[at + 2] + bytes[at + 4] + bytes[at + 6] + bytes[at + 8] + bytes[at + 10] +
      bytes[at + 12] + bytes[at + 14]) +
      (bytes[at + 1] + bytes[at + 3] + bytes[at + 5] + bytes[at + 7] + bytes[at + 9] + bytes[at + 11] +
          bytes[at + 13] + bytes[at + 15]) * 256;
  }
  for (; at < end; at += 2) sum += bytes[at] | bytes[at + 1] << 8;
  if ((length & 1) !== 0) sum += bytes[at];
  return sum;
}

/** Adds the pseudo header of IPv4 (RFC 9293 section 3.1) or IPv6 (RFC 8200 section 8.1). */
export function sumPseudoHeader(
  source: { a: number; b: number; c: number; d: number; isV4: boolean },
  destination: { a: number; b: number; c: number; d: number },
  protocol: number,
  length: number,
): number {
  // A word in network order, as two little-endian halves: swapped bytes of each half.
  let sum = swapped(source.d) + swapped(destination.d) + (protocol << 8) + swapped(length);
  if (!source.isV4) {
    sum += swapped(source.a) + swapped(source.b) + swapped(source.c) + swapped(destination.a) +
      swapped(destination.b) + swapped(destination.c);
  }
  return sum;
}

/** Folds a sum to 16 bits, without complementing it. */
export function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

/** The checksum to store, little-endian, with putChecksum(). */
export function checksumOf(sum: number): number {
  return ~fold(sum) & 0xffff;
}
export function putChecksum(bytes: Uint8Array, at: number, checksum: number): void {
  bytes[at] = checksum;
  bytes[at + 1] = checksum >>> 8;
}

/** Changes a stored checksum for a 16-bit word that changed from `old` to `now` (both as on the wire), RFC 1624. */
export function updateChecksum(bytes: Uint8Array, at: number, old: number, now: number): void {
  const stored = bytes[at] << 8 | bytes[at + 1];
  let sum = (~stored & 0xffff) + (~old & 0xffff) + now;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes[at] = ~sum >>> 8;
  bytes[at + 1] = ~sum;
}

function swapped(word: number): number {
  return (word >>> 24 | word >>> 8 & 0xff00) + (word >>> 8 & 0xff | word << 8 & 0xff00);
}
