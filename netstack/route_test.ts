// Which way packets take, and from which address: ip-route(8), ip-rule(8), RFC 1122 section 3.3.1, RFC 6724.

import { deepEqual as equal } from "node:assert/strict";
import { Address, prefixBits } from "./address.ts";
import { Route, type RouteEntry, type RouteRule } from "./route.ts";
import { address, Bench } from "./test_support.ts";
import { RouteType, TABLE_MAIN } from "./numbers.ts";

const route = new Route();

function find(bench: Bench, to: string, from = "", nicId = 0, mark = 0): string | number {
  const destination = address(to);
  const source = from === "" ? new Address().setUnspecified(destination.isV4) : address(from);
  const result = bench.stack.routes.find(destination, source, nicId, route, mark);
  if (result < 0) return result;
  return `${route.nic!.name} ${route.source} via ${route.nextHop}`;
}
function add(bench: Bench, prefix: string, more: Partial<RouteEntry> = {}): void {
  const [host, length] = prefix.split("/");
  const parsed = address(host);
  bench.stack.routes.add({
    prefix: parsed,
    prefixBits: prefixBits(Number(length), parsed.isV4),
    gateway: null,
    nic: bench.nic,
    metric: 0,
    mtu: 0,
    source: null,
    ...more,
  });
}
function rule(more: Partial<RouteRule>): RouteRule {
  return {
    priority: 1000,
    isV4: true,
    source: null,
    sourceBits: 0,
    destination: null,
    destinationBits: 0,
    mark: 0,
    markMask: 0,
    incomingNicId: 0,
    table: TABLE_MAIN,
    type: RouteType.Unicast,
    ...more,
  };
}

Deno.test("on the link, by the gateway, and nowhere", () => {
  const bench = new Bench();
  equal(find(bench, "192.0.2.9"), "eth0 192.0.2.1 via 192.0.2.9");
  equal(find(bench, "198.51.100.1"), -101);
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.254"));
  equal(find(bench, "198.51.100.1"), "eth0 192.0.2.1 via 192.0.2.254");
  equal(find(bench, "2001:db8::9"), "eth0 2001:db8::1 via 2001:db8::9");
  equal(find(bench, "2001:db8:1::9"), -101);
});

Deno.test("the longest prefix wins, then the least metric", () => {
  const bench = new Bench();
  const second = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]).nic;
  add(bench, "10.0.0.0/8", { gateway: address("192.0.2.10") });
  add(bench, "10.1.0.0/16", { gateway: address("192.0.2.11"), metric: 5 });
  add(bench, "10.1.0.0/16", { gateway: address("198.51.100.11"), nic: second, metric: 1 });
  equal(find(bench, "10.2.0.1"), "eth0 192.0.2.1 via 192.0.2.10");
  equal(find(bench, "10.1.0.1"), "eth1 198.51.100.1 via 198.51.100.11");
  // An interface that is down has no routes.
  bench.stack.setUp(second, false);
  equal(find(bench, "10.1.0.1"), "eth0 192.0.2.1 via 192.0.2.11");
});

Deno.test("own addresses are local, 127.0.0.0/8 and the unspecified address too", () => {
  const bench = new Bench();
  for (const to of ["192.0.2.1", "127.0.0.1", "2001:db8::1", "::1"]) {
    equal(find(bench, to), `lo ${to} via ${to}`);
    equal(route.isLocal, true);
  }
  equal(find(bench, "127.9.9.9"), "lo 127.0.0.1 via 127.9.9.9");
  equal(find(bench, "0.0.0.0"), "lo 127.0.0.1 via 127.0.0.1");
  equal(find(bench, "::"), "lo ::1 via ::1");
});

Deno.test("of equal routes the one whose interface has the source; bound endpoints use their interface alone", () => {
  const bench = new Bench();
  const second = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]).nic;
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.254"));
  bench.stack.addDefaultRoute(second, address("198.51.100.254"));
  equal(find(bench, "203.0.113.1"), "eth0 192.0.2.1 via 192.0.2.254");
  equal(find(bench, "203.0.113.1", "198.51.100.1"), "eth1 198.51.100.1 via 198.51.100.254");
  equal(find(bench, "203.0.113.1", "", second.id), "eth1 198.51.100.1 via 198.51.100.254");
  equal(find(bench, "192.0.2.9", "", second.id), "eth1 198.51.100.1 via 198.51.100.254");
  equal(find(bench, "203.0.113.1", "", 77), -19);
});

Deno.test("routes that refuse say how", () => {
  const bench = new Bench();
  add(bench, "10.1.0.0/16", { type: RouteType.Unreachable });
  add(bench, "10.2.0.0/16", { type: RouteType.Prohibit });
  add(bench, "10.3.0.0/16", { type: RouteType.Blackhole });
  equal(["10.1.0.1", "10.2.0.1", "10.3.0.1"].map((to) => find(bench, to)), [-113, -13, -22]);
});

Deno.test("rules choose a table by mark, source, destination and interface, in their order", () => {
  const bench = new Bench();
  const second = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]).nic;
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.254"));
  add(bench, "0.0.0.0/0", { nic: second, gateway: address("198.51.100.254"), table: 100 });
  const { routes } = bench.stack;
  equal(find(bench, "203.0.113.1"), "eth0 192.0.2.1 via 192.0.2.254");
  routes.addRule(rule({ mark: 7, markMask: 15, table: 100 }));
  equal(find(bench, "203.0.113.1", "", 0, 7), "eth1 198.51.100.1 via 198.51.100.254");
  equal(find(bench, "203.0.113.1", "", 0, 0x17), "eth1 198.51.100.1 via 198.51.100.254");
  equal(find(bench, "203.0.113.1", "", 0, 8), "eth0 192.0.2.1 via 192.0.2.254");
  routes.addRule(rule({ source: address("198.51.100.0"), sourceBits: 120, table: 100 }));
  equal(find(bench, "203.0.113.1", "198.51.100.1"), "eth1 198.51.100.1 via 198.51.100.254");
  // A table without an answer passes the question on.
  routes.addRule(rule({ priority: 1, table: 99 }));
  equal(find(bench, "203.0.113.1"), "eth0 192.0.2.1 via 192.0.2.254");
  routes.addRule(
    rule({
      priority: 2,
      destination: address("203.0.113.0"),
      destinationBits: 120,
      type: RouteType.Prohibit,
    }),
  );
  equal(find(bench, "203.0.113.1"), -13);
  equal(find(bench, "203.0.114.1"), "eth0 192.0.2.1 via 192.0.2.254");
  equal(routes.removeRule((entry) => entry.priority === 2), 0);
  equal(routes.removeRule((entry) => entry.priority === 2), -2);
  equal(find(bench, "203.0.113.1"), "eth0 192.0.2.1 via 192.0.2.254");
});

Deno.test("source addresses: in the destination's subnet (IPv4), else the first of the interface", () => {
  const bench = new Bench();
  bench.add("10.7.0.1/16");
  bench.stack.addDefaultRoute(bench.nic, address("10.7.0.254"));
  equal(find(bench, "10.7.3.3"), "eth0 10.7.0.1 via 10.7.3.3");
  equal(find(bench, "203.0.113.1"), "eth0 192.0.2.1 via 10.7.0.254");
});

Deno.test("source addresses: scope, deprecation, label and prefix (RFC 6724 section 5)", () => {
  const bench = new Bench(1, {
    addresses: ["fe80::1/64", "2001:db8::1/64", "fd00::1/64", "2001:db8:0:1::1/64"],
  });
  bench.stack.addDefaultRoute(bench.nic, address("fe80::99"));
  const from = (to: string, nicId = 0) => String(find(bench, to, "", nicId)).split(" ")[1];
  // Rule 2: scope.
  equal(from("fe80::5", bench.nic.id), "fe80::1");
  equal(from("2001:db8:9::1"), "2001:db8::1");
  equal(from("ff02::5", bench.nic.id), "fe80::1");
  equal(from("ff0e::5", bench.nic.id), "2001:db8::1");
  // Rule 6: label.
  equal(from("fd00:1::5"), "fd00::1");
  // Rule 8: longest prefix.
  equal(from("2001:db8:0:1::77"), "2001:db8:0:1::1");
  // Rule 3: deprecated ones last.
  bench.nic.find(address("2001:db8::1"))!.isDeprecated = true;
  equal(from("2001:db8:9::1"), "2001:db8:0:1::1");
});

Deno.test("tentative addresses are never sources (RFC 4862 section 5.4)", () => {
  const bench = new Bench(1, { addresses: ["2001:db8::1/64"] });
  bench.nic.find(address("2001:db8::1"))!.isTentative = true;
  equal(find(bench, "2001:db8::2"), -99);
});

Deno.test("the least of the interface's, the route's and the path's MTU", () => {
  const bench = new Bench();
  add(bench, "10.0.0.0/8", { gateway: address("192.0.2.10"), mtu: 1400 });
  find(bench, "10.0.0.1");
  equal(route.mtu, 1400);
  bench.stack.learnPathMtu(address("10.0.0.1"), 1000);
  equal(bench.stack.routes.generation === route.generation, false);
  find(bench, "10.0.0.1");
  equal(route.mtu, 1000);
  // A larger one is not believed, it runs out after ten minutes (RFC 1191 section 6.3).
  bench.stack.learnPathMtu(address("10.0.0.1"), 1300);
  find(bench, "10.0.0.1");
  equal(route.mtu, 1000);
  bench.advance(601e9);
  find(bench, "10.0.0.1");
  equal(route.mtu, 1400);
  equal(bench.stack.pathMtus.size, 0);
});
