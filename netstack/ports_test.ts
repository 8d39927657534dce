// Who may bind what beside whom: inet_csk_bind_conflict(); and which port nobody asked for by number, RFC 6056.

import { deepEqual as equal, notDeepEqual as differ, ok } from "node:assert/strict";
import { EADDRINUSE, EADDRNOTAVAIL } from "./errno.ts";
import { PortBinding, PortTable } from "./ports.ts";
import { RandomWords, SeededRandom } from "./random.ts";
import { address } from "./test_support.ts";

interface Wish {
  readonly host?: string;
  readonly port?: number;
  readonly nic?: number;
  readonly v6Only?: boolean;
  readonly reuseAddress?: boolean;
  readonly reusePort?: boolean;
  readonly uid?: number;
}

const binding = (wish: Wish) =>
  new PortBinding(
    address(wish.host ?? "0.0.0.0"),
    wish.port ?? 80,
    wish.nic ?? 0,
    wish.v6Only === true,
    wish.reuseAddress === true,
    wish.reusePort === true,
    wish.uid ?? 0,
  );
const table = (seed = 1) => new PortTable(new RandomWords(new SeededRandom(seed)));

/** Whether the second may bind once the first has. */
function mayBoth(first: Wish, second: Wish, isFirstListening = false): boolean {
  const ports = table();
  const held = ports.bind(binding(first));
  if (typeof held === "number") throw new Error("The first cannot bind");
  held.isListening = isFirstListening;
  const result = ports.bind(binding(second));
  if (typeof result === "number") equal(result, -EADDRINUSE);
  return typeof result !== "number";
}

Deno.test("PortTable: the same port conflicts where some packet could be for both", () => {
  equal(mayBoth({}, {}), false);
  equal(mayBoth({}, { port: 81 }), true);
  equal(mayBoth({ host: "10.0.0.1" }, { host: "10.0.0.2" }), true);
  equal(mayBoth({ host: "10.0.0.1" }, {}), false);
  equal(mayBoth({ host: "10.0.0.1" }, { host: "10.0.0.1" }), false);
  equal(mayBoth({ host: "::" }, { host: "10.0.0.1" }), false);
  equal(mayBoth({ host: "::" }, {}), false);
  equal(mayBoth({ host: "::", v6Only: true }, {}), true);
  equal(mayBoth({ host: "2001:db8::1" }, {}), true);
  equal(mayBoth({ nic: 1 }, { nic: 2 }), true);
  equal(mayBoth({ nic: 1 }, {}), false);
});

Deno.test("PortTable: SO_REUSEADDR on both shares, but not with a listener", () => {
  equal(mayBoth({ reuseAddress: true }, { reuseAddress: true }), true);
  equal(mayBoth({ reuseAddress: true }, {}), false);
  equal(mayBoth({}, { reuseAddress: true }), false);
  equal(mayBoth({ reuseAddress: true }, { reuseAddress: true }, true), false);
});

Deno.test("PortTable: SO_REUSEPORT on both shares, for one user", () => {
  equal(mayBoth({ reusePort: true }, { reusePort: true }, true), true);
  equal(mayBoth({ reusePort: true, uid: 1 }, { reusePort: true, uid: 2 }), false);
  equal(mayBoth({ reusePort: true }, {}), false);
});

Deno.test("PortTable: connections hold their port, unless both sides allow to share it", () => {
  const ports = table();
  ports.hold(80, true, false);
  ports.hold(80, true, false);
  equal(ports.bind(binding({})), -EADDRINUSE);
  const shared = ports.bind(binding({ reuseAddress: true }));
  ok(typeof shared !== "number");
  ports.release(shared as PortBinding);
  ports.hold(80, false, false);
  equal(ports.bind(binding({ reuseAddress: true })), -EADDRINUSE);
  ports.unhold(80, false, false);
  ports.unhold(80, true, false);
  ports.unhold(80, true, false);
  ok(typeof ports.bind(binding({})) !== "number");
});

Deno.test("PortTable: port 0 is one of the range, reserved ones left out, until none is left", () => {
  const ports = table();
  ports.first = 1000;
  ports.last = 1009;
  ports.reserved.add(1004);
  const seen = new Set<number>();
  for (let i = 0; i < 9; i++) {
    const bound = ports.bind(binding({ port: 0 }));
    ok(typeof bound !== "number");
    seen.add((bound as PortBinding).port);
  }
  equal(seen.size, 9);
  equal(seen.has(1004), false);
  equal(ports.bind(binding({ port: 0 })), -EADDRINUSE);
});

Deno.test("PortTable: choices differ by destination and by secret, and do not come back soon", () => {
  const ports = table(), others = table(2);
  const from = address("10.0.0.1"), to = address("10.0.0.2"), elsewhere = address("10.0.0.3");
  const free = () => true;
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    const port = ports.choose(from, to, 80, free);
    ok(port >= ports.first && port <= ports.last);
    seen.add(port);
  }
  equal(seen.size, 1000, "a port was chosen twice");
  differ(table(5).choose(from, to, 80, free), table(5).choose(from, elsewhere, 80, free));
  differ(table(5).choose(from, to, 80, free), others.choose(from, to, 80, free));
  equal(ports.choose(from, to, 80, () => false), -EADDRNOTAVAIL);
});

Deno.test("PortTable: many connections to one place cost few looks each", () => {
  const ports = table();
  const from = address("10.0.0.1"), to = address("10.0.0.2");
  const taken = new Set<number>();
  let looks = 0;
  for (let i = 0; i < 20_000; i++) {
    const port = ports.choose(from, to, 80, (candidate) => {
      looks++;
      return !taken.has(candidate);
    });
    taken.add(port);
  }
  equal(taken.size, 20_000);
  ok(looks < 60_000, `${looks} looks`);
});
