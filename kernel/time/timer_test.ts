// Timers and the heap that tells them: expirations, intervals, what is left, and CPU time, which is only looked at.

import { deepEqual, equal, ok } from "node:assert/strict";
import { Processes } from "../../tests/support/processes.ts";
import { Timer } from "./timer.ts";

const MS = 1e6;

class Scene {
  readonly processes = new Processes([]);
  readonly expirations: number[] = [];
  /** CPU time of somebody. */
  cpu = 0;
  /** Looks at the CPU time. */
  looks = 0;

  timer(isCpu = false): Timer {
    const cpuNanos = () => {
      this.looks++;
      return this.cpu;
    };
    return new Timer(this.processes.kernel, {
      onExpire: (timer) => {
        this.expirations.push(timer.forward());
        timer.rearm();
      },
    }, isCpu ? { cpuNanos } : null);
  }
  get now(): number {
    return this.processes.now;
  }
  pass(millis: number): void {
    this.processes.pass(millis * MS);
  }
}

Deno.test("a timer without interval expires once, not before its target, and is disarmed then", () => {
  const scene = new Scene(), timer = scene.timer();
  timer.set(scene.now + 10 * MS, 0);
  equal(timer.remaining(), 10 * MS);
  scene.pass(9);
  deepEqual([scene.expirations, timer.remaining()], [[], MS]);
  scene.pass(1);
  deepEqual([scene.expirations, timer.isArmed, timer.remaining()], [[1], false, 0]);
  scene.pass(100);
  equal(scene.expirations.length, 1);
});

Deno.test("a timer with an interval counts what was missed, and stays in step", () => {
  const scene = new Scene(), timer = scene.timer();
  timer.set(scene.now + 10 * MS, 3 * MS);
  scene.pass(10);
  scene.pass(3);
  deepEqual(scene.expirations, [1, 1]);
  scene.pass(10);
  deepEqual(scene.expirations, [1, 1, 3], "at 16, 19 and 22");
  equal(timer.remaining(), 2 * MS);
  timer.stop();
  scene.pass(100);
  equal(scene.expirations.length, 3);
});

Deno.test("an interval shorter than the shortest still counts right", () => {
  const scene = new Scene(), timer = scene.timer();
  timer.set(scene.now + 1000, 1000);
  scene.pass(1);
  equal(scene.expirations.reduce((a, b) => a + b, 0), 1000);
});

Deno.test("a target that has passed expires in the next turn; setting anew forgets the old one", () => {
  const scene = new Scene(), timer = scene.timer();
  timer.set(scene.now - 5 * MS, 0);
  scene.pass(0);
  deepEqual(scene.expirations, [1]);
  timer.set(scene.now + MS, 0);
  timer.set(scene.now + 5 * MS, 0);
  scene.pass(2);
  equal(scene.expirations.length, 1);
  scene.pass(3);
  equal(scene.expirations.length, 2);
});

Deno.test("while it waits to be looked at, an interval timer that is over shows the next period", () => {
  const scene = new Scene(), timer = scene.timer();
  timer.set(scene.now + MS, 4 * MS);
  scene.processes.host.now += 2 * MS;
  equal(timer.remaining(), 3 * MS);
});

Deno.test("a timer on CPU time expires when that has passed, whatever the clock says", () => {
  const scene = new Scene(), timer = scene.timer(true);
  scene.cpu = 7 * MS;
  timer.set(17 * MS, 0);
  scene.pass(1000);
  deepEqual(scene.expirations, []);
  scene.cpu = 16 * MS;
  scene.pass(200);
  equal(timer.remaining(), MS);
  scene.cpu = 18 * MS;
  scene.pass(200);
  deepEqual(scene.expirations, [1]);
});

Deno.test("CPU time that stands still is looked at less and less often", () => {
  const scene = new Scene(), timer = scene.timer(true);
  timer.set(5 * MS, 0);
  scene.looks = 0;
  for (let i = 0; i < 1000; i++) scene.pass(1);
  ok(scene.looks > 2 && scene.looks < 20, `${scene.looks} looks in a second`);
  // It moves again: the next look sees it, and others come soon.
  const run = (millis: number) => {
    scene.looks = 0;
    for (let i = 0; i < millis; i++) {
      scene.cpu += 0.01 * MS;
      scene.pass(1);
    }
  };
  run(130);
  run(20);
  ok(scene.looks >= 3, `${scene.looks} looks in 20 ms`);
});
