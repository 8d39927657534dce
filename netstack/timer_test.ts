// The timer heap against a plain list.

import { SeededRandom } from "./random.ts";
import { NEVER, Timer, type TimerOwner, TimerQueue } from "./timer.ts";
import { deepEqual as equal, ok as assert } from "node:assert/strict";

class Recorder implements TimerOwner {
  readonly fired: number[] = [];
  onTimer(kind: number): void {
    this.fired.push(kind);
  }
}

Deno.test("Timers fire in order, not before their time, and once", () => {
  const queue = new TimerQueue(), recorder = new Recorder();
  for (const at of [50, 10, 30, 20, 40]) queue.set(new Timer(recorder, at), at);
  queue.expire(25);
  equal(recorder.fired, [10, 20]);
  equal(queue.next, 30);
  queue.expire(100);
  equal(recorder.fired, [10, 20, 30, 40, 50]);
  equal(queue.next, NEVER);
});

Deno.test("A timer moved later or stopped does not fire at its old time", () => {
  const queue = new TimerQueue(), recorder = new Recorder();
  const moved = new Timer(recorder, 1), stopped = new Timer(recorder, 2);
  queue.set(moved, 10);
  queue.set(stopped, 11);
  queue.set(moved, 100);
  queue.stop(stopped);
  queue.expire(50);
  equal(recorder.fired, []);
  equal(queue.next, 100);
  queue.set(moved, 5);
  queue.expire(60);
  equal(recorder.fired, [1]);
});

Deno.test("Random sets, stops and removals fire what a list would fire", () => {
  const random = new SeededRandom(7);
  const queue = new TimerQueue(), recorder = new Recorder();
  const timers = Array.from({ length: 200 }, (_, i) => new Timer(recorder, i));
  const expected = new Map<number, number>();
  let now = 0;
  for (let step = 0; step < 20_000; step++) {
    const i = random.below(timers.length);
    const choice = random.below(10);
    if (choice < 6) {
      const at = now + 1 + random.below(1000);
      queue.set(timers[i], at);
      expected.set(i, at);
    } else if (choice < 7) {
      queue.stop(timers[i]);
      expected.delete(i);
    } else if (choice < 8) {
      queue.remove(timers[i]);
      expected.delete(i);
    } else {
      now += random.below(200);
      recorder.fired.length = 0;
      queue.expire(now);
      const due = [...expected].filter(([, at]) => at <= now).sort((a, b) => a[1] - b[1]).map(([kind]) =>
        kind
      );
      equal([...recorder.fired].sort((a, b) => a - b), [...due].sort((a, b) => a - b), `step ${step}`);
      for (const kind of due) expected.delete(kind);
      const least = Math.min(NEVER, ...expected.values());
      equal(queue.next, least, `next at step ${step}`);
    }
  }
  assert(queue.size <= timers.length, "entries of stopped timers pile up");
});
