import { equal } from "node:assert/strict";
import { Patience, Stall } from "./patience.ts";

const SLICE_MILLIS = 10;

/** Milliseconds until `stall` is given up, -1 = not within 30 seconds. */
function untilGivenUp(stall: Stall, hasHalted: boolean, cpuShare: number): number {
  for (let millis = SLICE_MILLIS; millis <= 30_000; millis += SLICE_MILLIS) {
    if (stall.note(SLICE_MILLIS, hasHalted, millis * 1e6 * cpuShare) !== "") return millis;
  }
  return -1;
}

Deno.test("patience: a stub that halts and does not go on is given up soon, asleep or busy", () => {
  equal(untilGivenUp(new Stall(1, false, 1000, 0), true, 0), 60);
  equal(untilGivenUp(new Stall(1, true, 1000, 0), true, 1), 60);
  equal(untilGivenUp(new Stall(40, false, 1000, 0), true, 0), 450);
});

Deno.test("patience: a long call of the host's may take its time, and the host's disk more", () => {
  equal(untilGivenUp(new Stall(1, false, 1000, 0), false, 1), 1010);
  equal(untilGivenUp(new Stall(1, true, 1000, 0), false, 1), 6010);
  equal(untilGivenUp(new Stall(1, false, 1000, 0), false, 0), 20_010);
});

Deno.test("patience: clone is left alone for a while, a shorter one once patience is spent", () => {
  const stall = new Stall(1, true, 1000, 0), impatient = new Stall(1, true, 0, 0);
  for (let millis = 0; millis < 100; millis += SLICE_MILLIS) {
    equal(stall.isCloneOver || impatient.isCloneOver, false);
    stall.note(SLICE_MILLIS, false, 0);
    impatient.note(SLICE_MILLIS, false, 0);
  }
  equal(impatient.isCloneOver, true);
  for (let millis = 100; millis < 1000; millis += SLICE_MILLIS) {
    equal(stall.isCloneOver, false);
    stall.note(SLICE_MILLIS, false, 0);
  }
  equal(stall.isCloneOver, true);
});

Deno.test("patience: a stub that gets no CPU is not judged by what goes on meanwhile, but not waited for without end", () => {
  const stall = new Stall(1, true, 0, 0);
  for (let millis = SLICE_MILLIS; millis <= 20_000; millis += SLICE_MILLIS) {
    equal(stall.note(SLICE_MILLIS, false, millis * 1e6, true), "");
  }
  equal(stall.isCloneOver, false);
  equal(stall.ownMillis, 0);
  equal(stall.note(SLICE_MILLIS, false, 0, true), "it is stuck");
});

Deno.test("patience: what is spent comes back slowly, and no more than there was", () => {
  const patience = new Patience();
  equal(patience.left(1000), 1000);
  patience.spend(2000, 5000);
  equal(patience.left(2000), 0);
  equal(patience.left(4000), 100);
  equal(patience.left(1e9), 1000);
});
