// Internet checksums against a straightforward sum, RFC 1071.

import { parseAddress } from "../address.ts";
import { SeededRandom } from "../random.ts";
import { deepEqual as equal } from "node:assert/strict";
import { get16, put16 } from "./bytes.ts";
import { checksumOf, fold, putChecksum, sumBytes, sumPseudoHeader, updateChecksum } from "./checksum.ts";

/** In network order, a word at a time. */
function plain(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i += 2) {
    sum += bytes[at + i] << 8 | (i + 1 < length ? bytes[at + i + 1] : 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

Deno.test("sumBytes() is the sum of RFC 1071 for every length and place", () => {
  const random = new SeededRandom(3);
  const bytes = new Uint8Array(4096);
  random.fill(bytes);
  for (let i = 0; i < 2000; i++) {
    const at = random.below(64), length = random.below(1500);
    putChecksum(bytes, 4090, checksumOf(sumBytes(0, bytes, at, length)));
    equal(get16(bytes, 4090), ~plain(bytes, at, length) & 0xffff, `${at} ${length}`);
  }
});

Deno.test("sumPseudoHeader() is the sum over the pseudo header's bytes", () => {
  for (const [from, to] of [["192.0.2.1", "198.51.100.255"], ["2001:db8::1", "fe80::ffff:1:2"]]) {
    const source = parseAddress(from)!, destination = parseAddress(to)!;
    const bytes = new Uint8Array(64);
    let length: number;
    if (source.isV4) {
      source.write4(bytes, 0);
      destination.write4(bytes, 4);
      bytes[9] = 6;
      put16(bytes, 10, 40_000);
      length = 12;
    } else {
      source.write6(bytes, 0);
      destination.write6(bytes, 16);
      put16(bytes, 34, 40_000);
      bytes[39] = 6;
      length = 40;
    }
    putChecksum(bytes, 60, fold(sumPseudoHeader(source, destination, 6, 40_000)));
    equal(get16(bytes, 60), plain(bytes, 0, length));
  }
});

Deno.test("updateChecksum() follows a changed word, RFC 1624", () => {
  const random = new SeededRandom(9);
  const bytes = new Uint8Array(42);
  for (let i = 0; i < 500; i++) {
    random.fill(bytes);
    put16(bytes, 40, 0);
    putChecksum(bytes, 40, checksumOf(sumBytes(0, bytes, 0, 40)));
    const at = random.below(20) * 2, old = get16(bytes, at), now = random.below(65_536);
    put16(bytes, at, now);
    updateChecksum(bytes, 40, old, now);
    equal(plain(bytes, 0, 42), 0xffff);
  }
});
