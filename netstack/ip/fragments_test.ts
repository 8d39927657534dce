// Fragments, both ways: RFC 791 section 3.2, RFC 815, RFC 5722, RFC 8200 section 4.5.

import { deepEqual as equal, ok } from "node:assert/strict";
import { Address } from "../address.ts";
import { Route } from "../route.ts";
import {
  address,
  Bench,
  bytesOf,
  describe,
  type Frame,
  icmp,
  ipv4,
  ipv6,
  isSound,
  SECOND,
} from "../test_support.ts";
import { get16, get32, put16, put32 } from "../wire/bytes.ts";
import { IPPROTO_UDP } from "../wire/numbers.ts";
import { Fragmentation } from "./ip.ts";
import { DATAGRAMS_MAX, DATAGRAMS_PER_SOURCE_MAX } from "./reassembly.ts";

const MORE = 0x2000;

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8));
}
/** Pieces [from, to) of an IPv4 packet's payload as packets. */
function pieces4(
  payload: Uint8Array,
  cuts: readonly (readonly [number, number])[],
  id = 7,
  source = "192.0.2.2",
): Uint8Array[] {
  return cuts.map(([from, to]) =>
    ipv4({
      source,
      protocol: 1,
      id,
      fragment: from >> 3 | (to < payload.length ? MORE : 0),
      payload: payload.slice(from, to),
    })
  );
}
function pieces6(payload: Uint8Array, cuts: readonly (readonly [number, number])[], id = 7): Uint8Array[] {
  return cuts.map(([from, to]) => {
    const header = new Uint8Array(8);
    header[0] = 58;
    put16(header, 2, from | (to < payload.length ? 1 : 0));
    put32(header, 4, id);
    return ipv6({ next: 44, payload: bytesOf(header, payload.slice(from, to)) });
  });
}
const echo4 = icmp(8, 0, 0x10001, pattern(3000));
const echo6 = icmp(128, 0, 0x10001, pattern(3000), "2001:db8::2", "2001:db8::1");
const CUTS: [number, number][] = [[0, 1000], [1000, 2000], [2000, 3008]];

/** Puts the fragments of one answer together, as the other side would. */
function join(frames: readonly Frame[]): Uint8Array {
  const parts = frames.map((frame) => {
    ok(isSound(frame), describe(frame));
    const isV4 = frame.etherType === 0x800;
    const offset = isV4 ? (get16(frame.bytes, 6) & 0x1fff) * 8 : get16(frame.bytes, 42) & 0xfff8;
    return [offset, frame.bytes.slice(isV4 ? 20 : 48)] as const;
  });
  return bytesOf(...parts.sort((a, b) => a[0] - b[0]).map(([, bytes]) => bytes));
}

Deno.test("IPv4: an echo of 3000 bytes in three pieces, in every order, is answered in fragments that join to it", () => {
  for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
    const bench = new Bench();
    bench.know("192.0.2.2");
    const pieces = pieces4(echo4, CUTS);
    for (const i of order) bench.v4(pieces[i]);
    const frames = bench.take();
    equal(frames.length, 3);
    for (const frame of frames) ok(frame.bytes.length <= 1500);
    const answer = join(frames);
    equal([answer[0], answer.length], [0, echo4.length]);
    equal(answer.slice(8), echo4.slice(8));
    equal([bench.stack.ipv4.ReasmOKs, bench.stack.reassembly.size, bench.packetsHeld], [1, 0, 0]);
  }
});

Deno.test("IPv6: the same with fragment headers; the pieces of the answer share one identification", () => {
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
    const bench = new Bench();
    bench.know("2001:db8::2");
    const pieces = pieces6(echo6, CUTS);
    for (const i of order) bench.v6(pieces[i]);
    const frames = bench.take();
    equal(frames.length, 3);
    equal(new Set(frames.map((frame) => get32(frame.bytes, 44))).size, 1);
    const answer = join(frames);
    equal(answer[0], 129);
    equal(answer.slice(8), echo6.slice(8));
    equal(bench.packetsHeld, 0);
  }
});

Deno.test("duplicates change nothing; overlaps end the datagram (RFC 5722)", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const [a, b, c] = pieces4(echo4, CUTS);
  for (const piece of [a, a, b, b, a, c]) bench.v4(piece);
  equal(bench.take().length, 3);
  const [d] = pieces4(echo4, [[992, 2000]], 8);
  const [e, f, g] = pieces4(echo4, CUTS, 8);
  bench.v4(e);
  bench.v4(d);
  equal(bench.stack.reassembly.size, 0);
  bench.v4(f);
  bench.v4(g);
  equal(bench.take(), []);
  equal(bench.stack.ipv4.ReasmOverlaps, 1);
});

Deno.test("datagrams are kept apart by id, protocol and addresses", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const [a] = pieces4(echo4, CUTS, 1);
  const [, b, c] = pieces4(echo4, CUTS, 2);
  for (const piece of [a, b, c]) bench.v4(piece);
  equal(bench.take(), []);
  equal(bench.stack.reassembly.size, 2);
});

Deno.test("self-contradicting pieces are refused: odd length, two ends, past the end, past 65,535", () => {
  const bench = new Bench();
  const bad = (fragment: number, length: number, id: number) =>
    bench.v4(ipv4({ protocol: 1, id, fragment, payload: new Uint8Array(length) }));
  bad(MORE, 7, 1);
  bad(MORE, 0, 2);
  equal(bench.stack.reassembly.size, 0);
  bad(10, 8, 3);
  bad(20, 8, 3);
  equal(bench.stack.reassembly.size, 0);
  bad(20 | MORE, 8, 4);
  bad(10, 8, 4);
  equal(bench.stack.reassembly.size, 0);
  bad(0x1fff, 100, 5);
  equal(bench.stack.reassembly.size, 0);
  equal(bench.packetsHeld, 0);
});

Deno.test("after 30 s (IPv4) and 60 s (IPv6) what has not come together goes; the sender is told, quoting the first piece", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.know("2001:db8::2");
  bench.v4(pieces4(echo4, CUTS)[0]);
  bench.v6(pieces6(echo6, CUTS)[0]);
  bench.advance(29 * SECOND);
  equal(bench.take(), []);
  bench.advance(2 * SECOND);
  const [told] = bench.take();
  equal(describe(told), "ICMP 192.0.2.1 > 192.0.2.2 type 11 code 1");
  equal(told.bytes.slice(28, 28 + 100), pieces4(echo4, CUTS)[0].slice(0, 100));
  bench.advance(30 * SECOND);
  equal(bench.take().map(describe), ["ICMP6 2001:db8::1 > 2001:db8::2 type 3 code 1"]);
  equal([bench.stack.reassembly.size, bench.packetsHeld, bench.stack.ipv4.ReasmTimeout], [0, 0, 1]);
});

Deno.test("without the first piece nobody is told", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.v4(pieces4(echo4, CUTS)[1]);
  bench.advance(31 * SECOND);
  equal(bench.take(), []);
  equal(bench.stack.reassembly.size, 0);
});

Deno.test("datagrams that never complete are bounded, in all and from one source, and good ones still come through", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  for (let i = 0; i < 100; i++) bench.v4(pieces4(echo4, CUTS, i)[0]);
  ok(bench.stack.reassembly.size <= DATAGRAMS_PER_SOURCE_MAX);
  for (let i = 0; i < 3000; i++) bench.v4(pieces4(echo4, CUTS, i, `192.0.2.${3 + i % 250}`)[i % 2]);
  ok(bench.stack.reassembly.size <= DATAGRAMS_MAX);
  for (const piece of pieces4(echo4, CUTS, 9999)) bench.v4(piece);
  equal(join(bench.take()).slice(8), echo4.slice(8));
  // Some of the errors about them wait for neighbours that are not there.
  bench.advance(40 * SECOND);
  bench.take();
  equal([bench.stack.reassembly.size, bench.packetsHeld], [0, 0]);
});

Deno.test("one datagram of 8,192 tiny pieces, every second one first, is bounded in ranges", () => {
  const bench = new Bench();
  const payload = new Uint8Array(40_000);
  const cuts: [number, number][] = [];
  for (let at = 0; at < payload.length; at += 16) cuts.push([at, at + 8]);
  for (const piece of pieces4(payload, cuts)) bench.v4(piece);
  ok(bench.stack.reassembly.size <= 20);
  equal(bench.packetsHeld, 0);
});

Deno.test("the largest packet: 65,507 bytes of payload in and out", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const big = icmp(8, 0, 1, pattern(65_400));
  const cuts: [number, number][] = [];
  for (let at = 0; at < big.length; at += 1480) cuts.push([at, Math.min(at + 1480, big.length)]);
  for (const piece of pieces4(big, cuts)) bench.v4(piece);
  equal(join(bench.take()).slice(8), big.slice(8));
});

/** Sends a UDP packet of `length` payload bytes down the stack. */
function send(bench: Bench, to: string, length: number, how: Fragmentation): number {
  const route = new Route();
  const destination = address(to);
  bench.stack.routes.find(destination, new Address().setUnspecified(destination.isV4), 0, route);
  const packet = bench.pool.allocate(length)!;
  packet.source.copy(route.source);
  packet.destination.copy(route.destination);
  packet.protocol = IPPROTO_UDP;
  packet.ttl = 64;
  packet.transportAt = packet.at;
  return bench.stack.ip.send(packet, route, how);
}

Deno.test("what is too long is cut, or refused with EMSGSIZE where it must not be", () => {
  for (const to of ["192.0.2.2", "2001:db8::2"]) {
    const bench = new Bench();
    bench.know(to);
    const isV4 = !to.includes(":");
    equal(send(bench, to, 1500, Fragmentation.Forbidden), -90);
    equal(send(bench, to, 1500, Fragmentation.Probe), -90);
    equal(bench.take(), []);
    equal(send(bench, to, 4000, Fragmentation.Allowed), 0);
    const frames = bench.take();
    equal(frames.length, 3);
    equal(frames[0].bytes.length, isV4 ? 1500 : 1496);
    equal(join(frames).length, 4000);
    // IPv4: Don't Fragment is set where fragments are forbidden, and only there.
    if (isV4) {
      send(bench, to, 100, Fragmentation.Forbidden);
      send(bench, to, 100, Fragmentation.Allowed);
      equal(bench.take().map((frame) => get16(frame.bytes, 6)), [0x4000, 0]);
    }
    equal(bench.packetsHeld, 0);
  }
});

Deno.test("a smaller path is cut for, but a probe goes as large as the interface takes (ip(7), IP_PMTUDISC_PROBE)", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.stack.learnPathMtu(address("192.0.2.2"), 1000);
  equal(send(bench, "192.0.2.2", 1200, Fragmentation.Forbidden), -90);
  equal(send(bench, "192.0.2.2", 1200, Fragmentation.Probe), 0);
  equal(bench.take().map((frame) => frame.bytes.length), [1220]);
  equal(send(bench, "192.0.2.2", 1200, Fragmentation.Allowed), 0);
  equal(bench.take().map((frame) => frame.bytes.length), [996, 244]);
});
