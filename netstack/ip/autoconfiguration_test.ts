// Duplicate detection, router advertisements, addresses of our own making: RFC 4861 section 6, RFC 4862, RFC 7527,
// RFC 7217, RFC 8981, RFC 4191, RFC 8106.

import { deepEqual as equal, notDeepEqual, ok } from "node:assert/strict";
import { Address } from "../address.ts";
import { Route } from "../route.ts";
import { address, Bench, bytesOf, describe, type Frame, icmp, ipv6, SECOND } from "../test_support.ts";
import { put16, put32 } from "../wire/bytes.ts";
import { PREFIXES_MAX, ROUTERS_MAX } from "./router_discovery.ts";

const ROUTER = "fe80::99";
const HOUR = 3600 * SECOND, DAY = 24 * HOUR;

function bytes16(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  address(text).write6(bytes, 0);
  return bytes;
}
function kinds(frames: readonly Frame[], type: number): string[] {
  return frames.map(describe).filter((line) => line.includes(` type ${type} `));
}
function isTentative(bench: Bench, text: string): boolean | undefined {
  return bench.nic.find(address(text))?.isTentative;
}

interface Advertisement {
  seconds?: number;
  flags?: number;
  hopLimit?: number;
  reachable?: number;
  retransmit?: number;
  from?: string;
  hops?: number;
  options?: Uint8Array[];
}
function advertise(bench: Bench, what: Advertisement): void {
  const body = new Uint8Array(8);
  put32(body, 0, what.reachable ?? 0);
  put32(body, 4, what.retransmit ?? 0);
  const info = (what.hopLimit ?? 0) << 24 | (what.flags ?? 0) << 16 | (what.seconds ?? 1800);
  const from = what.from ?? ROUTER;
  const message = icmp(134, 0, info, bytesOf(body, ...what.options ?? []), from, "ff02::1");
  bench.v6(
    ipv6({ source: from, destination: "ff02::1", next: 58, hops: what.hops ?? 255, payload: message }),
    "33:33:00:00:00:01",
  );
}
function prefix(text: string, valid: number, preferred: number, flags = 0xc0): Uint8Array {
  const [host, bits] = text.split("/");
  const option = new Uint8Array(32);
  option[0] = 3;
  option[1] = 4;
  option[2] = Number(bits);
  option[3] = flags;
  put32(option, 4, valid);
  put32(option, 8, preferred);
  option.set(bytes16(host), 16);
  return option;
}
/** A bench with a link-local address that accepts advertisements. */
function host(): Bench {
  const bench = new Bench(1, { addresses: ["fe80::1/64"] });
  bench.stack.acceptRouterAdvertisements(bench.nic);
  bench.advance(20 * SECOND);
  bench.take();
  return bench;
}
/** Our global addresses. */
function own(bench: Bench): string[] {
  return bench.nic.addresses.map((entry) => entry.address.toString()).filter((text) =>
    !text.startsWith("fe80")
  );
}
function via(bench: Bench, to: string): string | number {
  const route = new Route();
  const result = bench.stack.routes.find(address(to), new Address(), 0, route);
  return result < 0 ? result : route.nextHop.toString();
}

Deno.test("a new address is asked for from nobody, with a nonce, and used when nobody answers", () => {
  const bench = new Bench(1, { duplicateProbes: 2, addresses: [] });
  bench.add("2001:db8::7/64");
  equal(isTentative(bench, "2001:db8::7"), true);
  bench.advance(SECOND);
  const questions = bench.take().filter((frame) => describe(frame).includes("type 135"));
  equal(questions.map(describe), [`ICMP6 :: > ff02::1:ff00:7 type 135 code 0`]);
  const { bytes } = questions[0];
  equal([bytes[64], bytes[65], bytes.length], [14, 1, 72]);
  bench.advance(1.9 * SECOND);
  equal(kinds(bench.take(), 135).length, 1);
  bench.advance(SECOND);
  equal(isTentative(bench, "2001:db8::7"), false);
});

Deno.test("an answer, or the same question from another, makes it a duplicate that is not used", () => {
  for (const isQuestion of [false, true]) {
    const bench = new Bench(1, { duplicateProbes: 1, addresses: [] });
    bench.add("2001:db8::7/64");
    bench.advance(SECOND);
    bench.take();
    const target = bytes16("2001:db8::7");
    const group = "ff02::1:ff00:7";
    if (isQuestion) {
      const payload = icmp(135, 0, 0, bytesOf(target, 14, 1, [9, 9, 9, 9, 9, 9]), "::", group);
      bench.v6(ipv6({ source: "::", destination: group, next: 58, hops: 255, payload }), "33:33:ff:00:00:07");
    } else {
      const payload = icmp(
        136,
        0,
        0x20000000,
        bytesOf(target, 2, 1, [2, 0, 0, 0, 0, 9]),
        "2001:db8::7",
        "ff02::1",
      );
      bench.v6(
        ipv6({ source: "2001:db8::7", destination: "ff02::1", next: 58, hops: 255, payload }),
        "33:33:00:00:00:01",
      );
    }
    const entry = bench.nic.find(address("2001:db8::7"))!;
    equal([entry.isDuplicate, entry.isUsable], [true, false]);
    bench.advance(5 * SECOND);
    equal(entry.isUsable, false);
    ok(bench.log[0].includes("2001:db8::7"));
  }
});

Deno.test("our own question that a looped link brings back is no duplicate (RFC 7527)", () => {
  const bench = new Bench(1, { duplicateProbes: 1, addresses: [] });
  bench.add("2001:db8::7/64");
  bench.advance(SECOND);
  const question = bench.take().find((frame) => describe(frame).includes("type 135"))!;
  bench.v6(question.bytes, "33:33:ff:00:00:07");
  bench.advance(2 * SECOND);
  equal(bench.nic.find(address("2001:db8::7"))!.isUsable, true);
});

Deno.test("a tentative address answers nobody and receives nothing", () => {
  const bench = new Bench(1, { duplicateProbes: 1, addresses: [] });
  bench.add("2001:db8::7/64");
  const echo = icmp(128, 0, 1, [1], "2001:db8::2", "2001:db8::7");
  bench.v6(ipv6({ destination: "2001:db8::7", next: 58, payload: echo }));
  equal(kinds(bench.take(), 129), []);
});

Deno.test("stable addresses are the same on each start with one secret, others on other prefixes, interfaces and duplicates", () => {
  const bench = new Bench();
  const a = bench.stack.addStableAddress(bench.nic, address("2001:db8:1::"))!.entry!.address.toString();
  bench.stack.removeAddress(bench.nic, address(a));
  const again = bench.stack.addStableAddress(bench.nic, address("2001:db8:1::"))!.entry!.address.toString();
  equal(again, a);
  const b = bench.stack.addStableAddress(bench.nic, address("2001:db8:2::"))!.entry!.address;
  notDeepEqual([b.c, b.d], [address(a).c, address(a).d]);
  const other = new Bench(2).stack;
  notDeepEqual(other.addStableAddress(other.nics[2]!, address("2001:db8:1::"))!.entry!.address.toString(), a);
});

Deno.test("a made address that somebody has is made anew, a few times (RFC 7217 section 6)", () => {
  const bench = new Bench(1, { duplicateProbes: 1, addresses: [] });
  const made = bench.stack.addLinkLocal(bench.nic)!;
  const seen = new Set<string>();
  for (let i = 0; i < 10 && made.entry !== null; i++) {
    const text = made.entry.address.toString();
    seen.add(text);
    const payload = icmp(136, 0, 0x20000000, bytes16(text), text, "ff02::1");
    bench.v6(
      ipv6({ source: text, destination: "ff02::1", next: 58, hops: 255, payload }),
      "33:33:00:00:00:01",
    );
  }
  equal(seen.size, 4);
  equal(made.entry, null);
  equal(bench.nic.addresses.length, 0);
});

Deno.test("routers are asked for up to three times, four seconds apart; an advertisement ends it (RFC 4861 section 6.3.7)", () => {
  const bench = new Bench(1, { addresses: ["fe80::1/64"] });
  bench.stack.acceptRouterAdvertisements(bench.nic);
  bench.advance(30 * SECOND);
  equal(kinds(bench.take(), 133), Array(3).fill("ICMP6 fe80::1 > ff02::2 type 133 code 0"));
  const other = new Bench(1, { addresses: ["fe80::1/64"] });
  other.stack.acceptRouterAdvertisements(other.nic);
  other.advance(2 * SECOND);
  advertise(other, {});
  other.advance(30 * SECOND);
  equal(kinds(other.take(), 133).length, 1);
});

Deno.test("an advertisement gives a default route, an address in its prefix, and the prefix on the link", () => {
  const bench = host();
  advertise(bench, { options: [prefix("2001:db8:5::/64", 7200, 3600)] });
  equal(own(bench).length, 1);
  ok(own(bench)[0].startsWith("2001:db8:5:"));
  equal(via(bench, "2001:db8:5::77"), "2001:db8:5::77");
  equal(via(bench, "2001:db8:9::1"), ROUTER);
  bench.advance(1801 * SECOND);
  equal(via(bench, "2001:db8:9::1"), -101);
  advertise(bench, { seconds: 9000 });
  equal(via(bench, "2001:db8:9::1"), ROUTER);
  advertise(bench, { seconds: 0 });
  equal(via(bench, "2001:db8:9::1"), -101);
});

Deno.test("addresses are deprecated, then removed, with their lifetimes", () => {
  const bench = host();
  advertise(bench, { options: [prefix("2001:db8:5::/64", 7200, 3600)] });
  const entry = bench.nic.find(address(own(bench)[0]))!;
  bench.advance(3601 * SECOND);
  equal(entry.isDeprecated, true);
  bench.advance(HOUR);
  equal(own(bench), []);
  equal(via(bench, "2001:db8:5::77"), -101);
  equal(bench.nic.routerDiscovery!.prefixCount, 0);
});

Deno.test("a short valid lifetime does not end an address within two hours (RFC 4862 section 5.5.3 e)", () => {
  const bench = host();
  advertise(bench, { options: [prefix("2001:db8:5::/64", 86_400, 3600)] });
  advertise(bench, { options: [prefix("2001:db8:5::/64", 0, 0)] });
  equal(own(bench).length, 1);
  bench.advance(1.9 * HOUR);
  equal(own(bench).length, 1);
  bench.advance(0.2 * HOUR);
  equal(own(bench), []);
});

Deno.test("what is malformed, from beyond the link, or not from a router's link-local address changes nothing", () => {
  const bench = host();
  const generation = bench.stack.routes.generation;
  advertise(bench, { hops: 254, options: [prefix("2001:db8:5::/64", 7200, 3600)] });
  advertise(bench, { from: "2001:db8::99" });
  const short = prefix("2001:db8:5::/64", 7200, 3600);
  short[1] = 0;
  advertise(bench, { options: [short] });
  equal(bench.stack.routes.generation, generation);
  advertise(bench, {
    seconds: 0,
    options: [
      prefix("fe80::/64", 7200, 3600),
      prefix("ff00::/64", 7200, 3600),
      prefix("2001:db8:5::/64", 3600, 7200),
      prefix("2001:db8:6::/64", 0, 0),
      prefix("2001:db8:7::/200", 7200, 3600),
      // Not 64 bits: on the link, but no address is made of it.
      prefix("2001:db8:8::/56", 7200, 3600, 0x40),
    ],
  });
  equal(own(bench), []);
  equal(via(bench, "2001:db8:5::1"), -101);
});

Deno.test("hostile advertisements fill no table", () => {
  const bench = host();
  for (let i = 0; i < 300; i++) {
    advertise(bench, {
      from: `fe80::${(i + 2).toString(16)}`,
      options: [prefix(`2001:db8:${i.toString(16)}::/64`, 7200, 3600)],
    });
  }
  equal(bench.nic.routerDiscovery!.prefixCount, PREFIXES_MAX);
  equal(bench.nic.routerDiscovery!.routeCount, ROUTERS_MAX);
  ok(bench.nic.addresses.length <= PREFIXES_MAX + 1);
});

Deno.test("a router of high preference is taken before others, and more specific routes before default ones (RFC 4191)", () => {
  const bench = host();
  advertise(bench, { from: "fe80::10", flags: 0x18 });
  advertise(bench, { from: "fe80::11" });
  advertise(bench, { from: "fe80::12", flags: 0x08 });
  equal(via(bench, "2001:db8:9::1"), "fe80::12");
  const route = bytesOf(24, 2, 48, 0, 0, 0, 7, 8, bytes16("2001:db8:9::").slice(0, 8));
  advertise(bench, { from: "fe80::10", flags: 0x18, options: [route] });
  equal(via(bench, "2001:db8:9::1"), "fe80::10");
  bench.advance(1801 * SECOND);
  equal(via(bench, "2001:db8:9::1"), -101);
});

Deno.test("MTU, hop limit and times are taken over within bounds", () => {
  const bench = host();
  const mtu = new Uint8Array(8);
  mtu[0] = 5;
  mtu[1] = 1;
  put32(mtu, 4, 1400);
  advertise(bench, {
    hopLimit: 33,
    reachable: 20_000,
    retransmit: 500,
    options: [mtu, prefix("2001:db8:5::/64", 7200, 3600)],
  });
  const route = new Route();
  bench.stack.routes.find(address("2001:db8:9::1"), new Address(), 0, route);
  equal([route.mtu, bench.nic.mtu, bench.nic.hopLimit], [1400, 1500, 33]);
  equal([bench.nic.neighbours.reachableNanos, bench.nic.neighbours.retransmitNanos], [
    20 * SECOND,
    0.5 * SECOND,
  ]);
  put32(mtu, 4, 100);
  advertise(bench, { retransmit: 1, reachable: 0x7fffffff, options: [mtu] });
  equal([bench.nic.ipv6Mtu, bench.nic.neighbours.retransmitNanos], [1400, 0.1 * SECOND]);
});

Deno.test("name servers and search domains are told to the listener (RFC 8106); what is no name is not", () => {
  const bench = host();
  const told: string[] = [];
  bench.nic.routerDiscovery!.listener = {
    onNameServers: (_nic, servers, seconds) => void told.push(`servers ${servers.join(",")} ${seconds}`),
    onSearchDomains: (_nic, domains, seconds) => void told.push(`domains ${domains.join(",")} ${seconds}`),
    onManaged: (_nic, addresses, others) => void told.push(`managed ${addresses} ${others}`),
  };
  const servers = bytesOf(25, 5, 0, 0, 0, 0, 0, 60, bytes16("2001:db8::53"), bytes16("ff02::1"));
  const names = bytesOf(31, 5, 0, 0, 0, 0, 0, 60, 7, "example", 3, "org", 0, 1, "x", 0, new Uint8Array(16));
  advertise(bench, { flags: 0x80, options: [servers, names] });
  equal(told, ["managed true false", "servers 2001:db8::53 60", "domains example.org,x 60"]);
  told.length = 0;
  const evil = bytesOf(31, 3, 0, 0, 0, 0, 0, 60, 3, "a\nb", 0, 60, "x", new Uint8Array(9));
  advertise(bench, { options: [evil] });
  equal(told, ["managed false false"]);
});

Deno.test("temporary addresses are random, preferred as sources, and replaced before they end (RFC 8981)", () => {
  const bench = host();
  bench.nic.usesTemporaryAddresses = true;
  advertise(bench, { seconds: 9000, options: [prefix("2001:db8:5::/64", 0xffffffff, 0xffffffff)] });
  equal(own(bench).length, 2);
  const temporary = () => bench.nic.addresses.filter((entry) => entry.isTemporary);
  const [first] = temporary();
  const route = new Route();
  bench.stack.routes.find(address("2001:db8:9::1"), new Address(), 0, route);
  equal(route.source.toString(), first.address.toString());
  bench.advance(DAY);
  equal(temporary().length, 2);
  equal(first.isDeprecated, true);
  advertise(bench, { seconds: 9000, options: [prefix("2001:db8:5::/64", 0xffffffff, 0xffffffff)] });
  bench.stack.routes.find(address("2001:db8:9::1"), new Address(), 0, route);
  equal(route.source.toString(), temporary()[1].address.toString());
  bench.advance(10 * DAY);
  ok(temporary().length <= 3, String(temporary().length));
  equal(bench.nic.find(first.address), null);
});

Deno.test("a router takes no advertisements (RFC 4861 section 6.2.2)", () => {
  const bench = host();
  bench.nic.isForwarding = true;
  advertise(bench, {});
  equal(bench.nic.routerDiscovery!.routeCount, 0);
});

Deno.test("the stack is closed: no timer is left, no packet is held", () => {
  const bench = host();
  bench.nic.usesTemporaryAddresses = true;
  const nameless = new Uint8Array(8);
  put16(nameless, 0, 5 << 8 | 1);
  advertise(bench, { options: [prefix("2001:db8:5::/64", 7200, 3600), nameless] });
  bench.stack.close();
  equal(bench.stack.pollAt(), Infinity);
  equal(bench.packetsHeld, 0);
});
