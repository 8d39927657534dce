// Placement: which regime follows from what guests do.

import { PLACE, Placement } from "./placement.ts";

const MILLI = 1e6;

/** Feeds `rate` events a millisecond for `millis`, looking each millisecond; the decisions that were not STAY. */
function feed(
  placement: Placement,
  from: number,
  millis: number,
  rate: number,
  running = 1,
  hasGap = false,
): number[] {
  const decisions: number[] = [];
  for (let at = 1; at <= millis; at++) {
    placement.count(rate);
    const decision = placement.decide(from + at * MILLI, running, hasGap);
    if (decision !== PLACE.STAY) decisions.push(decision);
  }
  return decisions;
}

function equal(got: unknown, want: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    throw new Error(`${JSON.stringify(got)} instead of ${JSON.stringify(want)}`);
  }
}

Deno.test("one CPU is never kept for the sentry", () => {
  const placement = new Placement(1);
  equal(placement.isApart, false);
  equal(feed(placement, 0, 1000, 100), []);
});

Deno.test("a guest that computes gets its CPU back, and one that calls pays for it again", () => {
  const placement = new Placement(2);
  equal(feed(placement, 0, 100, 50), []);
  equal(feed(placement, 100 * MILLI, 100, 0), [PLACE.TOGETHER]);
  equal(feed(placement, 200 * MILLI, 100, 50), [PLACE.APART]);
});

Deno.test("with as many guests as CPUs it takes more calls", () => {
  const placement = new Placement(2);
  equal(feed(placement, 0, 100, 10, 1), []);
  equal(feed(placement, 100 * MILLI, 100, 10, 2), [PLACE.TOGETHER]);
  equal(feed(placement, 200 * MILLI, 100, 10, 2), []);
  equal(feed(placement, 300 * MILLI, 100, 30, 2), [PLACE.APART]);
});

Deno.test("foreign load on the sentry's CPU moves it away, each time for longer", () => {
  const placement = new Placement(2);
  let togetherFor = 0;
  let longest = 0;
  for (let at = 1; at <= 5000; at++) {
    placement.count(50);
    placement.decide(at * MILLI, 1, placement.isApart);
    togetherFor = placement.isApart ? 0 : togetherFor + 1;
    longest = Math.max(longest, togetherFor);
  }
  if (longest < 1000) throw new Error(`It comes back after ${longest} ms at most`);
});

Deno.test("a long sleep with nobody running decides nothing", () => {
  const placement = new Placement(2);
  feed(placement, 0, 100, 50);
  equal(placement.decide(5000 * MILLI, 0, false), PLACE.STAY);
  equal(placement.isApart, true);
});

Deno.test("guests that ask nothing for long get the sentry's CPU, until they ask again", () => {
  const placement = new Placement(2);
  equal(feed(placement, 0, 20, 50), []);
  placement.rest(30 * MILLI);
  equal(placement.isApart, false);
  equal(feed(placement, 31 * MILLI, 100, 0), []);
  equal(feed(placement, 131 * MILLI, 100, 50), [PLACE.APART]);
});
