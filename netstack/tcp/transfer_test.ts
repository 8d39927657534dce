// Whole transfers between two stacks over good and bad wires: every byte arrives once and in order, both sides end, nothing
// is left behind.

import { deepEqual as equal, ok } from "node:assert/strict";
import type { Impairment } from "../link/impairment.ts";
import { SeededRandom } from "../random.ts";
import { addressOf, PatternProgram, TwoStacks } from "./two_stacks.ts";

const PORT = 7000;

function transfer(pair: TwoStacks, forth: number, back: number, seconds: number): void {
  const listener = pair.b.newTcpEndpoint(pair.addressB.isV4);
  equal(listener.bind(addressOf(pair.addressB, PORT)), 0);
  equal(listener.listen(5), 0);
  const caller = pair.a.newTcpEndpoint(pair.addressA.isV4);
  equal(caller.connect(addressOf(pair.addressB, PORT)), -115);
  const left = new PatternProgram(caller, forth), right = new PatternProgram(null, back);
  const isOver = () => {
    if (right.endpoint === null) {
      const accepted = listener.accept();
      if (typeof accepted !== "number") right.endpoint = accepted;
    }
    left.serve();
    right.serve();
    return left.isDone && right.isDone;
  };
  const isDone = pair.run(isOver, seconds);
  const state =
    `sent ${left.sent}/${forth} received ${right.received}; back ${right.sent}/${back} received ${left.received}`;
  equal(left.failure, "", `${left.failure}: ${state}`);
  equal(right.failure, "", `${right.failure}: ${state}`);
  ok(isDone, `It has not ended: ${state}`);
  equal(right.received, forth);
  equal(left.received, back);
  left.endpoint!.close();
  right.endpoint!.close();
  listener.close();
  pair.run(() => pair.a.tcp.count + pair.b.tcp.count === 0, 400);
  equal(pair.a.tcp.count + pair.b.tcp.count, 0, "connections are left");
  equal(pair.a.tcp.statistics.CurrEstab + pair.b.tcp.statistics.CurrEstab, 0);
  pair.close();
  equal(pair.pool.used, 0, "packets are left");
}

Deno.test("a good wire carries 20 MB both ways, with trains of segments", () => {
  transfer(new TwoStacks(1, null), 20_000_000, 20_000_000, 60);
});

Deno.test("a good wire over IPv6, and with an MTU of 1,280", () => {
  transfer(new TwoStacks(2, null, true, 1280), 5_000_000, 3_000_000, 60);
});

Deno.test("40 ms of delay", () => {
  const pair = new TwoStacks(3, { delayNanos: 20e6 });
  transfer(pair, 5_000_000, 5_000_000, 60);
  equal(
    pair.a.tcp.statistics.RetransSegs + pair.b.tcp.statistics.RetransSegs,
    0,
    "something was sent twice for nothing",
  );
});

Deno.test("1 % loss at 4 ms: within reach of the window, without timeouts piling up", () => {
  const pair = new TwoStacks(4, { delayNanos: 2e6, lossPerMillion: 10_000 });
  transfer(pair, 5_000_000, 0, 60);
  ok(pair.a.tcp.statistics.TCPTimeouts <= 3, `${pair.a.tcp.statistics.TCPTimeouts} timeouts`);
});

Deno.test("wires of every badness, by seed", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SeededRandom(seed);
    const impairment: Partial<Impairment> = {
      delayNanos: random.below(20) * 1e6,
      jitterNanos: random.below(3) * 1e6,
      lossPerMillion: random.below(3) * 25_000,
      duplicatePerMillion: random.below(3) * 20_000,
      reorderPerMillion: random.below(3) * 30_000,
      corruptPerMillion: random.below(3) * 5_000,
      rateBytes: random.below(2) === 0 ? Infinity : 2_000_000,
      packetsMax: 20 + random.below(200),
    };
    const settings = random.below(8);
    const pair = new TwoStacks(seed, impairment, random.below(2) === 0, 576 + 1280 * random.below(2) + 704);
    for (const stack of [pair.a, pair.b]) {
      stack.tcp.settings.set("sack", (settings & 1) === 0 ? 1 : 0);
      stack.tcp.settings.set("timestamps", (settings & 2) === 0 ? 1 : 0);
      stack.tcp.setDefaultCongestion((settings & 4) === 0 ? "cubic" : "reno");
    }
    try {
      transfer(pair, random.below(300_000), random.below(300_000), 1200);
    } catch (error) {
      throw new Error(
        `Seed ${seed} ${JSON.stringify(impairment)} settings ${settings}: ${(error as Error).message}`,
      );
    }
  }
});
