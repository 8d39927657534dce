// ICMP errors sent and heard: RFC 792, RFC 1122 section 3.2.2, RFC 4443, RFC 1191, RFC 8201.

import { deepEqual as equal, ok } from "node:assert/strict";
import type { NetworkError } from "../ip/ip.ts";
import { address, Bench, bytesOf, describe, icmp, ipv4, ipv6, SECOND, udp } from "../test_support.ts";
import { IPPROTO_UDP } from "../wire/numbers.ts";

interface Heard {
  errno: number;
  isHard: boolean;
  type: number;
  code: number;
  info: number;
  to: string;
  by: string;
  bytes: number[];
}

/** A bench whose UDP writes down the errors it is told. */
function listening(bench: Bench): Heard[] {
  const heard: Heard[] = [];
  bench.stack.transports[IPPROTO_UDP] = {
    protocol: IPPROTO_UDP,
    receive() {},
    receiveError(error: NetworkError) {
      heard.push({
        errno: error.errno,
        isHard: error.isHard,
        type: error.type,
        code: error.code,
        info: error.info,
        to: error.destination.toString(),
        by: error.offender.toString(),
        bytes: [...error.bytes.slice(error.at, error.at + error.length)],
      });
    },
  };
  return heard;
}
const ours4 = ipv4({
  source: "192.0.2.1",
  destination: "198.51.100.9",
  protocol: 17,
  payload: udp(1000, 2000, "data"),
});
const ours6 = ipv6({
  source: "2001:db8::1",
  destination: "2001:db8:9::9",
  next: 17,
  payload: udp(1000, 2000, "data"),
});

function tell4(bench: Bench, type: number, code: number, info: number, body = ours4): void {
  bench.v4(ipv4({ protocol: 1, payload: icmp(type, code, info, body) }));
}
function tell6(bench: Bench, type: number, code: number, info: number, body = ours6): void {
  bench.v6(ipv6({ next: 58, payload: icmp(type, code, info, body, "2001:db8::2", "2001:db8::1") }));
}

Deno.test("an error reaches the protocol that its quotation names, with ports and payload", () => {
  const bench = new Bench();
  const heard = listening(bench);
  tell4(bench, 3, 3, 0);
  tell6(bench, 1, 4, 0);
  equal(heard.map((error) => [error.errno, error.isHard, error.to, error.by]), [
    [111, true, "198.51.100.9", "192.0.2.2"],
    [111, true, "2001:db8:9::9", "2001:db8::2"],
  ]);
  equal(String.fromCharCode(...heard[0].bytes.slice(8)), "data");
});

Deno.test("errno by type and code is that of Linux", () => {
  const cases: [number, number, number, boolean][] = [
    [3, 0, 101, false],
    [3, 1, 113, false],
    [3, 2, 92, true],
    [3, 3, 111, true],
    [3, 4, 90, false],
    [3, 5, 95, false],
    [3, 6, 101, true],
    [3, 7, 112, true],
    [3, 8, 64, true],
    [3, 9, 101, true],
    [3, 10, 113, true],
    [3, 13, 113, true],
    [11, 0, 113, false],
    [12, 0, 71, true],
  ];
  for (const [type, code, errno, isHard] of cases) {
    const bench = new Bench();
    const heard = listening(bench);
    tell4(bench, type, code, 1400);
    equal([heard[0].errno, heard[0].isHard], [errno, isHard], `${type}/${code}`);
  }
});

Deno.test("too big tells the MTU; an IPv4 router that does not say one means 552", () => {
  const bench = new Bench();
  const heard = listening(bench);
  tell4(bench, 3, 4, 1400);
  tell4(bench, 3, 4, 0);
  tell6(bench, 2, 0, 1350);
  equal(heard.map((error) => error.info), [1400, 552, 1350]);
});

Deno.test("quotations that are cut, nonsense, or not of a packet of ours are dropped", () => {
  const bench = new Bench();
  const heard = listening(bench);
  for (const length of [0, 10, 19, 20, 27]) tell4(bench, 3, 3, 0, ours4.slice(0, length));
  for (const length of [0, 39, 47]) tell6(bench, 1, 4, 0, ours6.slice(0, length));
  tell4(
    bench,
    3,
    3,
    0,
    ipv4({ source: "203.0.113.1", destination: "192.0.2.1", protocol: 17, payload: udp(1, 2, "x") }),
  );
  // Not the first fragment: no ports.
  tell4(bench, 3, 3, 0, ipv4({ source: "192.0.2.1", protocol: 17, fragment: 5, payload: udp(1, 2, "x") }));
  const long = ours4.slice();
  long[0] = 0x4f;
  tell4(bench, 3, 3, 0, long);
  tell6(
    bench,
    1,
    4,
    0,
    ipv6({ source: "2001:db8::1", next: 43, payload: bytesOf(17, 200, 0, 0, 0, 0, 0, 0) }),
  );
  equal(heard, []);
});

Deno.test("redirects are counted and not obeyed", () => {
  const bench = new Bench();
  const generation = bench.stack.routes.generation;
  tell4(bench, 5, 1, 0xc0000263);
  equal(bench.stack.icmp.statistics.v4.inTypes[5], 1);
  equal(bench.stack.routes.generation, generation);
});

Deno.test("errors are limited to 1000 a second with bursts of 50, and for one destination to one a second and six at once", () => {
  const bench = new Bench();
  for (let i = 2; i < 250; i++) bench.know(`192.0.2.${i}`);
  const knock = (from: string) =>
    bench.v4(ipv4({ source: from, protocol: 17, payload: udp(1, 2, "x", from) }));
  for (let i = 0; i < 20; i++) knock("192.0.2.2");
  equal(bench.take().length, 6);
  ok(bench.stack.icmp.statistics.v4.outRateLimited >= 14);
  bench.advance(2 * SECOND);
  for (let i = 0; i < 20; i++) knock("192.0.2.2");
  equal(bench.take().length, 2);
  bench.advance(10 * SECOND);
  bench.take();
  for (let i = 3; i < 250; i++) knock(`192.0.2.${i}`);
  const n = bench.take().length;
  ok(n <= 50 && n >= 40, String(n));
});

Deno.test("echoes are not limited", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  for (let i = 0; i < 200; i++) bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, i, [1]) }));
  equal(bench.take().length, 200);
});

Deno.test("an error quotes what fits: 576 bytes for IPv4, the minimum MTU for IPv6", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.know("2001:db8::2");
  bench.v4(ipv4({ protocol: 200, payload: new Uint8Array(1400) }));
  bench.v6(ipv6({ next: 200, payload: new Uint8Array(1400) }));
  equal(bench.take().map((frame) => frame.bytes.length), [576, 1280]);
});

Deno.test("a timestamp request is answered with the time of day", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.v4(ipv4({ protocol: 1, payload: icmp(13, 0, 1, new Uint8Array(12)) }));
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 14 code 0"]);
});

Deno.test("an answer goes back the way the routing table says, from the address that was asked", () => {
  const bench = new Bench();
  bench.add("192.0.2.10/24");
  bench.take();
  bench.know("192.0.2.2");
  bench.v4(ipv4({ destination: "192.0.2.10", protocol: 1, payload: icmp(8, 0, 1, [1]) }));
  equal(bench.take().map(describe), ["ICMP 192.0.2.10 > 192.0.2.2 type 0 code 0"]);
  ok(bench.nic.hasAddress(address("192.0.2.10")));
});

Deno.test("ping of the own address comes back by loopback", () => {
  const bench = new Bench();
  const endpoint = bench.stack.newPingEndpoint(true);
  const to = { address: address("192.0.2.1"), port: 0, scope: 0 };
  equal(endpoint.connect(Object.assign(Object.create(null), to)), 0);
  const request = bytesOf(8, 0, 0, 0, 0, 0, 0, 1, "hello");
  equal(endpoint.write(request, 0, request.length, 0, null), request.length);
  bench.run();
  const into = new Uint8Array(100);
  const n = endpoint.read(into, 0, 100, 0, null);
  equal([n, into[0], String.fromCharCode(...into.slice(8, n))], [request.length, 0, "hello"]);
  equal(endpoint.read(into, 0, 100, 0, null), -11);
  endpoint.close();
  equal(bench.packetsHeld, 0);
});
