// IPv6 packets that come in: RFC 8200 and what RFC 8504 section 5.3 lets a node limit.

import { deepEqual as equal, ok } from "node:assert/strict";
import { Bench, bytesOf, describe, icmp, ipv6, type Ipv6Fields, isSound, udp } from "../test_support.ts";
import { get32 } from "../wire/bytes.ts";

const SOURCE = "2001:db8::2", OWN = "2001:db8::1";
const echo = icmp(128, 0, 0x00010002, bytesOf("hello"), SOURCE, OWN);

function answers(bench: Bench, fields: Partial<Ipv6Fields>, to?: string): string[] {
  bench.know(SOURCE);
  bench.v6(ipv6({ next: 58, payload: echo, ...fields }), to);
  const frames = bench.take();
  for (const frame of frames) ok(isSound(frame), describe(frame));
  return frames.map(describe);
}
const REPLY = `ICMP6 ${OWN} > ${SOURCE} type 129 code 0`;

Deno.test("an echo request is answered (RFC 4443 section 4.2)", () => {
  const bench = new Bench();
  equal(answers(bench, {}), [REPLY]);
  equal(bench.packetsHeld, 0);
});

Deno.test("bad headers are dropped: version, length, checksum of ICMPv6, martians", () => {
  const bench = new Bench();
  const bytes = ipv6({ next: 58, payload: echo });
  bytes[0] = 0x40;
  bench.v6(bytes);
  bench.v6(ipv6({ next: 58, payload: echo }).slice(0, 39));
  equal(answers(bench, { payloadLength: echo.length + 1 }), []);
  const broken = echo.slice();
  broken[2] ^= 1;
  equal(answers(bench, { payload: broken }), []);
  for (const source of ["ff02::1", "::1", "::ffff:192.0.2.2", OWN]) {
    equal(answers(bench, { source }), [], source);
  }
  for (const destination of ["::1", "::", "2001:db8::77"]) {
    equal(answers(bench, { destination }), [], destination);
  }
  equal(bench.take().map(describe), []);
});

Deno.test("ethernet padding is cut off", () => {
  const bench = new Bench();
  bench.know(SOURCE);
  bench.v6(bytesOf(ipv6({ next: 58, payload: echo }), new Uint8Array(30)));
  equal(bench.take()[0].bytes.length, 40 + echo.length);
});

Deno.test("extension headers are walked: hop-by-hop, destination options, routing with nothing left", () => {
  const pad = [1, 4, 0, 0, 0, 0];
  equal(answers(new Bench(), { next: 0, payload: bytesOf(58, 0, pad, echo) }), [REPLY]);
  equal(answers(new Bench(), { next: 60, payload: bytesOf(58, 0, pad, echo) }), [REPLY]);
  equal(answers(new Bench(), { next: 43, payload: bytesOf(58, 0, 9, 0, 0, 0, 0, 0, echo) }), [REPLY]);
  equal(
    answers(new Bench(), {
      next: 0,
      payload: bytesOf(60, 0, pad, 43, 0, pad, 58, 0, 9, 0, 0, 0, 0, 0, echo),
    }),
    [REPLY],
  );
});

Deno.test("hop-by-hop options elsewhere than first are an unrecognized next header (RFC 8200 section 4.3)", () => {
  const bench = new Bench();
  const pad = [1, 4, 0, 0, 0, 0];
  const [line] = answers(bench, { next: 60, payload: bytesOf(0, 0, pad, 58, 0, pad, echo) });
  equal(line, `ICMP6 ${OWN} > ${SOURCE} type 4 code 1`);
});

Deno.test("a routing header with segments left is refused, pointing at its type (RFC 8200 section 4.4)", () => {
  const bench = new Bench();
  bench.know(SOURCE);
  bench.v6(ipv6({ next: 43, payload: bytesOf(58, 0, 0, 1, 0, 0, 0, 0, echo) }));
  const [frame] = bench.take();
  equal(describe(frame), `ICMP6 ${OWN} > ${SOURCE} type 4 code 0`);
  equal(get32(frame.bytes, 44), 42);
});

Deno.test("unknown options are skipped, discarded, or discarded and told of by their two highest bits (section 4.2)", () => {
  const cases: [number, string, string[]][] = [
    [0x1e, OWN, [REPLY]],
    [0x5e, OWN, []],
    [0x9e, OWN, [`ICMP6 ${OWN} > ${SOURCE} type 4 code 2`]],
    [0xde, OWN, [`ICMP6 ${OWN} > ${SOURCE} type 4 code 2`]],
    // To a group: 10 tells, 11 does not.
    [0x9e, "ff02::1", [`ICMP6 ${OWN} > ${SOURCE} type 4 code 2`]],
    [0xde, "ff02::1", []],
  ];
  for (const [type, destination, expected] of cases) {
    const bench = new Bench();
    bench.know(SOURCE);
    const payload = bytesOf(58, 0, type, 4, 0, 0, 0, 0, echo);
    const hardware = destination === OWN ? undefined : "33:33:00:00:00:01";
    bench.v6(ipv6({ next: 60, destination, payload }), hardware);
    const frames = bench.take();
    equal(frames.map(describe), expected, `${type.toString(16)} to ${destination}`);
    if (expected.length === 1 && type !== 0x1e) equal(get32(frames[0].bytes, 44), 42);
  }
});

Deno.test("truncated and endless header chains end: no answer, no exception", () => {
  const bench = new Bench();
  const pad = [1, 4, 0, 0, 0, 0];
  equal(answers(bench, { next: 60, payload: bytesOf(58, 200, pad) }), []);
  equal(answers(bench, { next: 60, payload: bytesOf(58) }), []);
  equal(answers(bench, { next: 43, payload: bytesOf(58, 0, 0) }), []);
  equal(answers(bench, { next: 44, payload: bytesOf(58, 0, 0) }), []);
  // An option longer than its header.
  equal(answers(bench, { next: 60, payload: bytesOf(58, 0, 5, 40, 0, 0, 0, 0, echo) }), []);
  const chain: number[] = [];
  for (let i = 0; i < 40; i++) chain.push(60, 0, ...pad);
  equal(answers(bench, { next: 60, payload: bytesOf(chain, 58, 0, pad, echo) }), []);
  ok(bench.stack.ipv6.InHdrErrors >= 5);
});

Deno.test("no next header: nothing follows, nothing is said (RFC 8200 section 4.7)", () => {
  equal(answers(new Bench(), { next: 59, payload: bytesOf("whatever") }), []);
});

Deno.test("an unknown protocol is a parameter problem that points at the field that names it (RFC 4443 section 3.4)", () => {
  const bench = new Bench();
  bench.know(SOURCE);
  bench.v6(ipv6({ next: 60, payload: bytesOf(200, 0, 1, 4, 0, 0, 0, 0, "x") }));
  const [frame] = bench.take();
  equal(describe(frame), `ICMP6 ${OWN} > ${SOURCE} type 4 code 1`);
  equal(get32(frame.bytes, 44), 40);
});

Deno.test("atomic fragments are packets like others (RFC 6946), and one may not hold another fragment header", () => {
  equal(answers(new Bench(), { next: 44, payload: bytesOf(58, 0, 0, 0, 1, 2, 3, 4, echo) }), [REPLY]);
  equal(
    answers(new Bench(), {
      next: 44,
      payload: bytesOf(44, 0, 0, 0, 1, 2, 3, 4, 58, 0, 0, 0, 1, 2, 3, 4, echo),
    }),
    [],
  );
});

Deno.test("a fragment whose length is no multiple of eight is told of (RFC 8200 section 4.5)", () => {
  const bench = new Bench();
  bench.know(SOURCE);
  bench.v6(ipv6({ next: 44, payload: bytesOf(58, 0, 0, 1, 1, 2, 3, 4, "abc") }));
  const [frame] = bench.take();
  equal(describe(frame), `ICMP6 ${OWN} > ${SOURCE} type 4 code 0`);
  equal(get32(frame.bytes, 44), 4);
});

Deno.test("a closed UDP port is told of; a datagram without checksum is not read (RFC 8200 section 8.1)", () => {
  const bench = new Bench();
  equal(answers(bench, { next: 17, payload: udp(1, 2, "x", SOURCE, OWN) }), [
    `ICMP6 ${OWN} > ${SOURCE} type 1 code 4`,
  ]);
  const bare = udp(1, 2, "x", SOURCE, OWN);
  bare[6] = bare[7] = 0;
  equal(answers(bench, { next: 17, payload: bare }), []);
  equal(bench.stack.udp.statistics.v6.InCsumErrors, 1);
});

Deno.test("groups: all nodes is heard, others only by members; echoes to groups are answered from our address", () => {
  const bench = new Bench();
  bench.know(SOURCE);
  const toGroup = icmp(128, 0, 1, [], SOURCE, "ff02::1");
  bench.v6(ipv6({ destination: "ff02::1", next: 58, payload: toGroup }), "33:33:00:00:00:01");
  equal(bench.take().map(describe), [REPLY]);
  bench.v6(ipv6({ destination: "ff02::99", next: 58, payload: toGroup }), "33:33:00:00:00:99");
  equal(bench.take(), []);
});
