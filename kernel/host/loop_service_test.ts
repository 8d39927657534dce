import { deepStrictEqual as same, strictEqual as equal } from "node:assert/strict";
import { type LoopService, LoopServices, SERVICE_ERRORS_MAX } from "./loop_service.ts";

class Ticker implements LoopService {
  readonly name: string;
  readonly isVital: boolean;
  at: number;
  readonly polled: number[] = [];
  failure: Error | null = null;
  constructor(name: string, at: number, isVital = false) {
    this.name = name;
    this.at = at;
    this.isVital = isVital;
  }
  pollAt(): number {
    return this.at;
  }
  poll(now: number): void {
    this.polled.push(now);
    if (this.failure !== null) throw this.failure;
    this.at = Infinity;
  }
}

/** `reads`: how often it was asked. */
function clockAt(now: number) {
  return {
    nanoseconds: 0,
    reads: 0,
    monotonic() {
      this.reads++;
      return now;
    },
    realtime: () => 0,
  };
}

Deno.test("the loop waits for the earliest service", () => {
  const services = new LoopServices();
  equal(services.pollAt(), Infinity);
  services.add(new Ticker("a", 500));
  services.add(new Ticker("b", 300));
  services.add(new Ticker("c", Infinity));
  equal(services.pollAt(), 300);
});

Deno.test("services that are due are polled, at one time, in their order", () => {
  const services = new LoopServices();
  const [due, later, over] = [new Ticker("due", 100), new Ticker("later", 101), new Ticker("over", 1)];
  for (const service of [due, later, over]) services.add(service);
  const clock = clockAt(100);
  equal(services.poll(clock), true);
  same([due.polled, later.polled, over.polled], [[100], [], [100]]);
  equal(clock.reads, 1);
});

Deno.test("nobody reads the clock while no service waits for a time", () => {
  const services = new LoopServices();
  services.add(new Ticker("idle", Infinity));
  const clock = clockAt(100);
  services.poll(clock);
  equal(clock.reads, 0);
});

Deno.test("a service may leave while it is polled", () => {
  const services = new LoopServices();
  const first = new Ticker("first", 1), second = new Ticker("second", 1);
  first.poll = () => services.remove(first);
  services.add(first);
  services.add(second);
  services.poll(clockAt(5));
  same(second.polled, [5]);
  equal(services.pollAt(), Infinity);
});

Deno.test("a service that keeps throwing is left out, a vital one never", () => {
  const services = new LoopServices();
  const broken = new Ticker("broken", 1), vital = new Ticker("vital", 1, true);
  broken.failure = new Error("bug");
  services.add(broken);
  for (let i = 0; i < SERVICE_ERRORS_MAX; i++) {
    equal(services.poll(clockAt(5)), false);
    equal(services.failed, broken);
    equal(services.error, broken.failure);
  }
  equal(services.poll(clockAt(5)), true);
  equal(services.pollAt(), Infinity);
  vital.failure = new Error("bug");
  services.add(vital);
  for (let i = 0; i < 2 * SERVICE_ERRORS_MAX; i++) services.poll(clockAt(5));
  equal(vital.polled.length, 2 * SERVICE_ERRORS_MAX);
});
