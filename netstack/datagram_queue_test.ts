// The receive queue of datagram endpoints against a plain list.

import { deepEqual as equal, ok } from "node:assert/strict";
import { DatagramQueue } from "./datagram_queue.ts";
import { SeededRandom } from "./random.ts";
import { RingMemory } from "./tcp/ring.ts";

Deno.test("DatagramQueue gives back what was put in, in order, within its limit, and all memory at the end", () => {
  const memory = new RingMemory();
  const random = new SeededRandom(3);
  const queue = new DatagramQueue(50_000, memory);
  const plain: Uint8Array[] = [];
  const source = new Uint8Array(9000);
  random.fill(source);
  let refused = 0;
  for (let i = 0; i < 20_000; i++) {
    if (random.below(100) < 52) {
      const at = random.below(1000), length = random.chance(200_000) ? random.below(8000) : random.below(200);
      const record = queue.push(source, at, length);
      if (record === null) {
        refused++;
        ok(plain.length > 0);
      } else {
        record.nicId = i;
        plain.push(source.slice(at, at + length));
      }
    } else if (plain.length > 0) {
      const into = new Uint8Array(9000);
      const room = random.below(9000);
      const n = queue.peek(into, 5, room);
      equal(n, Math.min(room, plain[0].length));
      equal(into.slice(5, 5 + n), plain[0].slice(0, n));
      queue.shift();
      plain.shift();
    }
    equal([queue.count, queue.isEmpty], [plain.length, plain.length === 0]);
    ok(plain.reduce((sum, bytes) => sum + bytes.length, 0) <= 50_000 || plain.length === 1);
  }
  ok(refused > 0);
  while (!queue.isEmpty) queue.shift();
  equal(memory.held, 0);
  queue.push(source, 0, 100);
  queue.clear();
  equal([queue.count, memory.held], [0, 0]);
});

Deno.test("one message always fits, however small the limit", () => {
  const queue = new DatagramQueue(10, new RingMemory());
  ok(queue.push(new Uint8Array(5000), 0, 5000) !== null);
  equal(queue.push(new Uint8Array(1), 0, 1), null);
  queue.clear();
});
