// Order and numbers of pending signals: signal(7), "Real-time signals".

import { deepEqual as assertEquals } from "node:assert/strict";
import { bit } from "./signal_actions.ts";
import { SignalInfo } from "./signal_info.ts";
import { SignalQueue } from "./signal_queue.ts";

function queueOf(...signals: number[]): SignalQueue {
  const queue = new SignalQueue();
  signals.forEach((signal, i) => {
    const info = new SignalInfo(signal, 0);
    info.valueLow = i;
    queue.add(info);
  });
  return queue;
}

function drain(queue: SignalQueue, maskLow = 0, maskHigh = 0): string {
  let text = "";
  for (let next = queue.next(maskLow, maskHigh); next !== 0; next = queue.next(maskLow, maskHigh)) {
    text += `${next}:${queue.take(next).valueLow} `;
  }
  return text.trim();
}

Deno.test("a queue gives faults first, then the lowest number, real-time ones in the order they came", () => {
  assertEquals(drain(queueOf(64, 34, 10, 34, 11, 2, 33)), "11:4 2:5 10:2 33:6 34:1 34:3 64:0");
});

Deno.test("a queue gives nothing that is masked", () => {
  assertEquals(drain(queueOf(2, 15, 40), bit(2) >>> 0, 0), "15:1 40:2");
  assertEquals(drain(queueOf(2, 40), 0, bit(40) >>> 0), "2:0");
});

Deno.test("a signal that is only marked is taken as one from nobody", () => {
  const queue = new SignalQueue();
  queue.mark(40);
  const info = queue.take(queue.next(0, 0));
  assertEquals([info.signal, info.code, info.pid], [40, 0, 0]);
  assertEquals(queue.isEmpty, true);
});

Deno.test("a real-time signal stays pending until its last instance is taken", () => {
  const queue = queueOf(40, 40);
  queue.take(40);
  assertEquals(queue.has(40), true);
  queue.take(40);
  assertEquals(queue.has(40), false);
});

Deno.test("discard takes every instance out and keeps the others in order", () => {
  const queue = queueOf(40, 20, 41, 40, 18);
  let gone = 0;
  for (let info = queue.discard(bit(20) >>> 0, bit(40) >>> 0); info !== null; info = info.next) gone++;
  assertEquals(gone, 3);
  assertEquals(drain(queue), "18:4 41:2");
  queue.add(new SignalInfo(5, 0));
  assertEquals(queue.next(0, 0), 5);
});
