// Send and receive rings against plain arrays.

import { deepEqual as equal } from "node:assert/strict";
import { SeededRandom } from "../random.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { RingMemory } from "./ring.ts";
import { SendBuffer } from "./send_buffer.ts";

const SIZE = 300_000;
const source = new Uint8Array(SIZE);
new SeededRandom(5).fill(source);

Deno.test("SendBuffer gives back what was pushed, from any place", () => {
  const random = new SeededRandom(11);
  const buffer = new SendBuffer(new RingMemory());
  const into = new Uint8Array(SIZE);
  while (buffer.start < SIZE) {
    const n = Math.min(random.below(9000), SIZE - buffer.end);
    if (random.below(2) === 0) buffer.push(source, buffer.end, n);
    if (buffer.used === 0) continue;
    const from = buffer.start + random.below(buffer.used), length = random.below(buffer.end - from + 1);
    buffer.peek(from, into, 0, length);
    equal(into.subarray(0, length), source.subarray(from, from + length));
    buffer.drop(buffer.start + random.below(buffer.used + 1));
    if (buffer.end === SIZE && random.below(3) === 0) buffer.drop(SIZE);
  }
  equal(buffer.used, 0);
});

Deno.test("ReceiveBuffer puts segments together in any order, with overlaps", () => {
  for (let seed = 1; seed < 60; seed++) {
    const random = new SeededRandom(seed);
    const buffer = new ReceiveBuffer(new RingMemory());
    const got = new Uint8Array(SIZE);
    let at = 0;
    const total = 60_000;
    while (at < total) {
      const window = 20_000;
      let place = buffer.next + (random.below(3) === 0 ? 0 : random.below(window));
      let length = random.below(3000);
      if (place + length > buffer.start + window) length = buffer.start + window - place;
      if (place + length > total) length = total - place;
      if (length > 0 && place >= buffer.next) {
        const before = buffer.next;
        const moved = buffer.write(place, source, place, length);
        equal(buffer.next, before + Math.max(0, moved));
      }
      place = random.below(2000);
      const n = buffer.peek(0, got, at, place);
      buffer.skip(n);
      at += n;
      for (let i = 0; i + 2 < buffer.ranges.length; i += 2) {
        equal(buffer.ranges[i + 1] < buffer.ranges[i + 2], true);
      }
    }
    equal(got.subarray(0, total), source.subarray(0, total));
  }
});
