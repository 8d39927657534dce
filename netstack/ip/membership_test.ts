// Multicast membership on the wire: RFC 3376, RFC 2236, RFC 3810, RFC 2710, and the options of RFC 3678.

import { deepEqual as equal, ok } from "node:assert/strict";
import { Address } from "../address.ts";
import { EndpointAddress } from "../endpoint.ts";
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
  sealed,
  SECOND,
  udp,
} from "../test_support.ts";
import { get16, put16, put32 } from "../wire/bytes.ts";
import type { UdpEndpoint } from "../udp/endpoint.ts";

const GROUP = "239.1.2.3", GROUP6 = "ff15::3";
const SOL_IP = 0, SOL_IPV6 = 41;
const NAMES = ["", "IS_IN", "IS_EX", "TO_IN", "TO_EX", "ALLOW", "BLOCK"];

/** Records of IGMPv3 and MLDv2 reports, older messages by their type: "TO_EX 239.1.2.3 {}". */
function reports(frames: readonly Frame[]): string[] {
  const lines: string[] = [];
  for (const frame of frames) {
    const { bytes } = frame;
    const isV4 = frame.etherType === 0x800;
    const at = isV4 ? 24 : 48;
    if (isV4 && bytes[9] !== 2 || !isV4 && bytes[6] !== 0) continue;
    ok(isSound(frame), describe(frame));
    // One hop, with the router alert.
    equal(bytes[isV4 ? 8 : 7], 1);
    if (bytes[at] !== 0x22 && bytes[at] !== 143) {
      const group = isV4 ? new Address().read4(bytes, at + 4) : new Address().read6(bytes, at + 8);
      lines.push(`${bytes[at].toString(16)} ${group}`);
      continue;
    }
    const size = isV4 ? 4 : 16;
    const read = (place: number) =>
      (isV4 ? new Address().read4(bytes, place) : new Address().read6(bytes, place)).toString();
    const sources = Array.from({ length: get16(bytes, at + 10) }, (_, i) => read(at + 12 + size * (1 + i)));
    lines.push(`${NAMES[bytes[at + 8]]} ${read(at + 12)} {${sources.join(",")}}`);
  }
  return lines;
}
function set(endpoint: UdpEndpoint, level: number, name: number, ...parts: (number | Uint8Array)[]): number {
  const bytes = bytesOf(...parts);
  return endpoint.setOption(level, name, bytes, 0, bytes.length);
}
function v4(text: string): Uint8Array {
  const bytes = new Uint8Array(4);
  address(text).write4(bytes, 0);
  return bytes;
}
function v6(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  address(text).write6(bytes, 0);
  return bytes;
}
function int(value: number): Uint8Array {
  return bytesOf(value & 255, value >> 8 & 255, value >> 16 & 255, value >>> 24);
}
/** struct ip_mreqn. */
function mreq(bench: Bench, group = GROUP): Uint8Array {
  return bytesOf(v4(group), v4("0.0.0.0"), int(bench.nic.id));
}
function mreqSource(source: string, group = GROUP): Uint8Array {
  return bytesOf(v4(group), v4("192.0.2.1"), v4(source));
}
function storage(text: string): Uint8Array {
  const bytes = new Uint8Array(128);
  const isV4 = !text.includes(":");
  bytes[0] = isV4 ? 2 : 10;
  bytes.set(isV4 ? v4(text) : v6(text), isV4 ? 4 : 8);
  return bytes;
}
function udpBound(bench: Bench, port = 5000, isV4 = true): UdpEndpoint {
  const endpoint = bench.stack.newUdpEndpoint(isV4);
  const to = new EndpointAddress();
  to.address.setUnspecified(isV4);
  to.port = port;
  equal(endpoint.bind(to), 0);
  return endpoint;
}
function query(bench: Bench, body: Uint8Array, length8 = false): void {
  const message = sealed(bytesOf(0x11, length8 ? body : bytesOf(body)), 2, 2, "192.0.2.2", "224.0.0.1");
  bench.v4(
    ipv4({ destination: "224.0.0.1", protocol: 2, ttl: 1, payload: message, options: [148, 4, 0, 0] }),
    "01:00:5e:00:00:01",
  );
}
function queryV3(bench: Bench, group = "0.0.0.0", tenths = 10, sources: string[] = []): void {
  const count = new Uint8Array(2);
  put16(count, 0, sources.length);
  query(bench, bytesOf(tenths, 0, 0, v4(group), 2, 125, count, ...sources.map(v4)));
}

Deno.test("joining and leaving are told at once and once more (RFC 3376 section 5.1)", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  equal(set(endpoint, SOL_IP, 35, mreq(bench)), 0);
  const frames = bench.take();
  equal(reports(frames), [`TO_EX ${GROUP} {}`]);
  equal([frames[0].hardware, describe(frames[0])], [
    "01:00:5e:00:00:16",
    "IGMP 192.0.2.1 > 224.0.0.22 type 22",
  ]);
  bench.advance(SECOND);
  equal(reports(bench.take()), [`TO_EX ${GROUP} {}`]);
  bench.advance(100 * SECOND);
  equal(reports(bench.take()), []);
  equal(set(endpoint, SOL_IP, 36, mreq(bench)), 0);
  bench.advance(SECOND);
  equal(reports(bench.take()), [`TO_IN ${GROUP} {}`, `TO_IN ${GROUP} {}`]);
  equal(bench.nic.membership.groups.some((group) => group.address.equals(address(GROUP))), false);
});

Deno.test("MLDv2 the same way, to ff02::16 with hop-by-hop router alert (RFC 3810 section 5.2)", () => {
  const bench = new Bench(1, { addresses: ["fe80::1/64"] });
  const endpoint = udpBound(bench, 5000, false);
  equal(set(endpoint, SOL_IPV6, 20, v6(GROUP6), int(bench.nic.id)), 0);
  const frames = bench.take();
  equal(reports(frames), [`TO_EX ${GROUP6} {}`]);
  equal(describe(frames[0]), "ICMP6 fe80::1 > ff02::16 type 143 code 0");
  equal([...frames[0].bytes.slice(40, 48)], [58, 0, 5, 2, 0, 0, 1, 0]);
  equal(set(endpoint, SOL_IPV6, 21, v6(GROUP6), int(bench.nic.id)), 0);
  bench.advance(SECOND);
  equal(reports(bench.take()), [`TO_IN ${GROUP6} {}`, `TO_IN ${GROUP6} {}`]);
});

Deno.test("a second member on the interface changes nothing on the wire; the last to leave does", () => {
  const bench = new Bench();
  const a = udpBound(bench, 5000), b = udpBound(bench, 5001);
  set(a, SOL_IP, 35, mreq(bench));
  bench.advance(5 * SECOND);
  bench.take();
  equal(set(b, SOL_IP, 35, mreq(bench)), 0);
  a.close();
  bench.advance(5 * SECOND);
  equal(reports(bench.take()), []);
  b.close();
  equal(reports(bench.take()), [`TO_IN ${GROUP} {}`]);
});

Deno.test("source-specific joins tell sources that are allowed and no longer (RFC 3376 section 5.1)", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  equal(set(endpoint, SOL_IP, 39, mreqSource("10.0.0.1")), 0);
  equal(reports(bench.take()), [`ALLOW ${GROUP} {10.0.0.1}`]);
  bench.advance(5 * SECOND);
  bench.take();
  equal(set(endpoint, SOL_IP, 39, mreqSource("10.0.0.2")), 0);
  equal(reports(bench.take()), [`ALLOW ${GROUP} {10.0.0.2}`]);
  bench.advance(5 * SECOND);
  bench.take();
  equal(set(endpoint, SOL_IP, 40, mreqSource("10.0.0.1")), 0);
  equal(reports(bench.take()), [`BLOCK ${GROUP} {10.0.0.1}`]);
  bench.advance(5 * SECOND);
  bench.take();
  // The last source gone is the group left.
  equal(set(endpoint, SOL_IP, 40, mreqSource("10.0.0.2")), 0);
  equal(reports(bench.take()), [`BLOCK ${GROUP} {10.0.0.2}`]);
  equal(set(endpoint, SOL_IP, 36, mreq(bench)), -99);
});

Deno.test("the interface's filter is made of all its members' (RFC 3376 section 3.2)", () => {
  const bench = new Bench();
  const a = udpBound(bench, 5000), b = udpBound(bench, 5001), c = udpBound(bench, 5002);
  set(a, SOL_IP, 35, mreq(bench));
  set(a, SOL_IP, 38, mreqSource("10.0.0.1"));
  set(a, SOL_IP, 38, mreqSource("10.0.0.2"));
  bench.advance(5 * SECOND);
  bench.take();
  // b excludes .2 and .3, c includes .2: only what nobody wants is excluded.
  set(b, SOL_IP, 35, mreq(bench));
  bench.advance(5 * SECOND);
  bench.take();
  set(b, SOL_IP, 38, mreqSource("10.0.0.2"));
  bench.advance(5 * SECOND);
  bench.take();
  queryV3(bench);
  bench.advance(2 * SECOND);
  ok(reports(bench.take()).includes(`IS_EX ${GROUP} {10.0.0.2}`));
  set(c, SOL_IP, 39, mreqSource("10.0.0.2"));
  bench.advance(5 * SECOND);
  equal(reports(bench.take()), [`ALLOW ${GROUP} {10.0.0.2}`, `ALLOW ${GROUP} {10.0.0.2}`]);
});

Deno.test("queries are answered within their time: general, of the group, of its sources (RFC 3376 section 5.2)", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  set(endpoint, SOL_IP, 35, mreq(bench));
  bench.advance(5 * SECOND);
  bench.take();
  queryV3(bench, "0.0.0.0", 50);
  equal(reports(bench.take()), []);
  bench.advance(5.1 * SECOND);
  equal(reports(bench.take()), [`IS_EX ${GROUP} {}`]);
  queryV3(bench, "239.9.9.9");
  bench.advance(2 * SECOND);
  equal(reports(bench.take()), []);
  queryV3(bench, GROUP);
  bench.advance(2 * SECOND);
  equal(reports(bench.take()), [`IS_EX ${GROUP} {}`]);
  set(endpoint, SOL_IP, 38, mreqSource("10.0.0.1"));
  bench.advance(5 * SECOND);
  bench.take();
  queryV3(bench, GROUP, 10, ["10.0.0.1", "10.0.0.2"]);
  bench.advance(2 * SECOND);
  equal(reports(bench.take()), [`IS_IN ${GROUP} {10.0.0.2}`]);
});

Deno.test("a router of version 2 is answered in version 2, for 260 s; another's report stops ours (RFC 2236)", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  query(bench, bytesOf(10, 0, 0, v4("0.0.0.0")));
  set(endpoint, SOL_IP, 35, mreq(bench));
  const [first] = bench.take();
  equal([describe(first), first.hardware], [`IGMP 192.0.2.1 > ${GROUP} type 16`, "01:00:5e:01:02:03"]);
  bench.advance(5 * SECOND);
  bench.take();
  query(bench, bytesOf(100, 0, 0, v4("0.0.0.0")));
  const other = sealed(bytesOf(0x16, 0, 0, 0, v4(GROUP)), 2, 2, "192.0.2.3", GROUP);
  bench.v4(
    ipv4({ source: "192.0.2.3", destination: GROUP, protocol: 2, ttl: 1, payload: other }),
    "01:00:5e:01:02:03",
  );
  bench.advance(11 * SECOND);
  equal(reports(bench.take()), []);
  endpoint.close();
  equal(bench.take().map(describe), ["IGMP 192.0.2.1 > 224.0.0.2 type 17"]);
  bench.advance(270 * SECOND);
  const again = udpBound(bench);
  set(again, SOL_IP, 35, mreq(bench));
  equal(reports(bench.take()), [`TO_EX ${GROUP} {}`]);
});

Deno.test("a router of version 1 is answered in version 1 and told of no leaving (RFC 2236 section 4)", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  query(bench, bytesOf(0, 0, 0, v4("0.0.0.0")));
  set(endpoint, SOL_IP, 35, mreq(bench));
  equal(bench.take().map(describe), [`IGMP 192.0.2.1 > ${GROUP} type 12`]);
  bench.advance(5 * SECOND);
  bench.take();
  endpoint.close();
  bench.advance(5 * SECOND);
  equal(reports(bench.take()), []);
});

Deno.test("an MLDv1 router is answered in MLDv1 (RFC 3810 section 8)", () => {
  const bench = new Bench(1, { addresses: ["fe80::1/64"] });
  const endpoint = udpBound(bench, 5000, false);
  const body = new Uint8Array(16);
  const message = icmp(130, 0, 100 << 16, body, "fe80::9", "ff02::1");
  bench.v6(
    ipv6({
      source: "fe80::9",
      destination: "ff02::1",
      next: 0,
      hops: 1,
      payload: bytesOf(58, 0, 5, 2, 0, 0, 1, 0, message),
    }),
    "33:33:00:00:00:01",
  );
  bench.take();
  set(endpoint, SOL_IPV6, 20, v6(GROUP6), int(bench.nic.id));
  equal(bench.take().map(describe), [`ICMP6 fe80::1 > ${GROUP6} type 131 code 0`]);
  endpoint.close();
  equal(bench.take().map(describe), ["ICMP6 fe80::1 > ff02::2 type 132 code 0"]);
});

Deno.test("malformed queries are dropped", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  set(endpoint, SOL_IP, 35, mreq(bench));
  bench.advance(5 * SECOND);
  bench.take();
  query(bench, bytesOf(1, 0, 0));
  query(bench, bytesOf(1, 0, 0, v4("0.0.0.0"), 2, 125));
  query(bench, bytesOf(1, 0, 0, v4(GROUP), 2, 125, 255, 255, v4("10.0.0.1")));
  bench.v4(
    ipv4({ destination: "224.0.0.1", protocol: 2, payload: bytesOf(0x11, 1, 1, 1, 0, 0, 0, 0) }),
    "01:00:5e:00:00:01",
  );
  bench.advance(20 * SECOND);
  equal(reports(bench.take()), []);
});

/** A datagram to the group comes in; how many bytes `endpoint` reads. */
function hear(bench: Bench, endpoint: UdpEndpoint, source: string, port = 5000, group = GROUP): number {
  const payload = udp(9, port, "abc", source, group);
  const d = address(group).d;
  const hardware = `01:00:5e:${
    [d >> 16 & 127, d >> 8 & 255, d & 255].map((b) => b.toString(16).padStart(2, "0")).join(":")
  }`;
  bench.v4(ipv4({ source, destination: group, protocol: 17, ttl: 1, payload }), hardware);
  return endpoint.read(new Uint8Array(10), 0, 10, 0, null);
}

Deno.test("datagrams reach every member whose filter lets the source through, and nobody else", () => {
  const bench = new Bench();
  const all = udpBound(bench, 5000);
  equal(hear(bench, all, "10.0.0.1"), -11);
  const some = bench.stack.newUdpEndpoint(true);
  set(some, 1, 2, int(1));
  set(all, SOL_IP, 35, mreq(bench));
  equal(hear(bench, all, "10.0.0.1"), 3);
  set(all, SOL_IP, 38, mreqSource("10.0.0.1"));
  equal(hear(bench, all, "10.0.0.1"), -11);
  equal(hear(bench, all, "10.0.0.2"), 3);
  set(all, SOL_IP, 37, mreqSource("10.0.0.1"));
  equal(hear(bench, all, "10.0.0.1"), 3);
  set(all, SOL_IP, 36, mreq(bench));
  equal(hear(bench, all, "10.0.0.1"), -11);
});

Deno.test("IP_MULTICAST_ALL: one who has not joined hears what another has, unless it is off", () => {
  const bench = new Bench();
  const joined = udpBound(bench, 5000), other = udpBound(bench, 6000);
  set(joined, SOL_IP, 35, mreq(bench));
  equal(hear(bench, other, "10.0.0.1", 6000), 3);
  equal(set(other, SOL_IP, 49, int(0)), 0);
  equal(hear(bench, other, "10.0.0.1", 6000), -11);
});

Deno.test("the options answer what Linux answers", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  equal(set(endpoint, SOL_IP, 35, v4(GROUP)), -22);
  equal(set(endpoint, SOL_IP, 35, v4("10.0.0.1"), v4("0.0.0.0"), int(bench.nic.id)), -22);
  equal(set(endpoint, SOL_IP, 35, v4(GROUP), v4("0.0.0.0"), int(99)), -19);
  equal(set(endpoint, SOL_IP, 35, mreq(bench)), 0);
  equal(set(endpoint, SOL_IP, 35, mreq(bench)), -98);
  equal(set(endpoint, SOL_IP, 36, mreq(bench, "239.9.9.9")), -99);
  // Blocking where nothing was joined; unblocking what is not blocked; switching a filter with sources.
  equal(set(endpoint, SOL_IP, 38, mreqSource("10.0.0.1", "239.7.7.7")), -22);
  equal(set(endpoint, SOL_IP, 37, mreqSource("10.0.0.1")), -99);
  equal(set(endpoint, SOL_IP, 38, mreqSource("10.0.0.1")), 0);
  equal(set(endpoint, SOL_IP, 38, mreqSource("10.0.0.1")), -99);
  equal(set(endpoint, SOL_IP, 39, mreqSource("10.0.0.1")), -22);
  let joined = 0;
  for (let i = 0; i < 40; i++) if (set(endpoint, SOL_IP, 35, mreq(bench, `239.50.0.${i}`)) === 0) joined++;
  equal(joined, 19);
  equal(set(endpoint, SOL_IP, 35, mreq(bench, "239.60.0.1")), -105);
});

Deno.test("MCAST_* of RFC 3678 for both families, and whole filters set and read back", () => {
  const bench = new Bench();
  const endpoint = udpBound(bench);
  const request = (group: string, source?: string) =>
    bytesOf(int(bench.nic.id), int(0), storage(group), source === undefined ? [] : storage(source));
  equal(set(endpoint, SOL_IP, 42, request(GROUP)), 0);
  equal(set(endpoint, SOL_IP, 43, request(GROUP, "10.0.0.9")), 0);
  equal(hear(bench, endpoint, "10.0.0.9"), -11);
  equal(set(endpoint, SOL_IP, 44, request(GROUP, "10.0.0.9")), 0);
  equal(set(endpoint, SOL_IP, 45, request(GROUP)), 0);
  equal(set(endpoint, SOL_IP, 46, request(GROUP, "10.0.0.1")), 0);
  equal(hear(bench, endpoint, "10.0.0.1"), 3);
  equal(set(endpoint, SOL_IP, 42, request("ff15::3")), -99);
  const filter = bytesOf(v4(GROUP), v4("192.0.2.1"), int(1), int(2), v4("10.0.0.5"), v4("10.0.0.6"));
  equal(set(endpoint, SOL_IP, 41, filter), 0);
  equal([hear(bench, endpoint, "10.0.0.1"), hear(bench, endpoint, "10.0.0.6")], [-11, 3]);
  const got = bytesOf(v4(GROUP), v4("192.0.2.1"), int(9), int(2), new Uint8Array(8));
  equal(endpoint.getOption(SOL_IP, 41, got, 0, got.length), 24);
  equal(got, filter);
  const six = udpBound(bench, 6000, false);
  equal(set(six, SOL_IPV6, 46, request(GROUP6, "2001:db8::5")), 0);
  bench.advance(5 * SECOND);
  ok(reports(bench.take()).includes(`ALLOW ${GROUP6} {2001:db8::5}`));
  const put = new Uint8Array(4);
  put32(put, 0, 0);
});

Deno.test("thousands of groups are bounded, close() leaves them all", () => {
  const bench = new Bench();
  const endpoints: UdpEndpoint[] = [];
  let refused = 0;
  for (let i = 0; i < 60; i++) {
    const endpoint = udpBound(bench, 7000 + i);
    endpoints.push(endpoint);
    for (let j = 0; j < 20; j++) {
      if (set(endpoint, SOL_IP, 35, mreq(bench, `239.${i}.1.${j}`)) !== 0) refused++;
    }
  }
  ok(refused > 0 && bench.nic.membership.groups.length <= 1024);
  for (const endpoint of endpoints) endpoint.close();
  bench.advance(10 * SECOND);
  bench.take();
  ok(bench.nic.membership.groups.length <= 2);
  equal(bench.packetsHeld, 0);
});
