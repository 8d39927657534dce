// IPv4 packets that come in: RFC 791, RFC 1122 section 3.2, RFC 1812 section 5.

import { deepEqual as equal, ok } from "node:assert/strict";
import { Bench, bytesOf, describe, icmp, ipv4, type Ipv4Fields, isSound, udp } from "../test_support.ts";

const echo = icmp(8, 0, 0x00010002, bytesOf("hello"));

function pings(bench: Bench, fields: Partial<Ipv4Fields> = {}): string[] {
  bench.know("192.0.2.2");
  bench.v4(ipv4({ protocol: 1, payload: echo, ...fields }));
  const frames = bench.take();
  for (const frame of frames) ok(isSound(frame), describe(frame));
  return frames.map(describe);
}

Deno.test("an echo request is answered (RFC 792)", () => {
  const bench = new Bench();
  equal(pings(bench), ["ICMP 192.0.2.1 > 192.0.2.2 type 0 code 0"]);
  equal(bench.packetsHeld, 0);
});

Deno.test("ethernet padding behind the total length is cut off", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.v4(bytesOf(ipv4({ protocol: 1, payload: echo }), new Uint8Array(20)));
  equal(bench.take()[0].bytes.length, 20 + echo.length);
});

Deno.test("bad headers are counted and dropped: version, header length, total length, checksum", () => {
  const bench = new Bench();
  equal(pings(bench, { headerWords: 4 }), []);
  equal(pings(bench, { headerWords: 15 }), []);
  equal(pings(bench, { totalLength: 19 }), []);
  equal(pings(bench, { totalLength: 200 }), []);
  equal(pings(bench, { checksum: 0x1234 }), []);
  const other = ipv4({ protocol: 1, payload: echo });
  other[0] = 0x65;
  bench.v4(other);
  bench.v4(other.slice(0, 19));
  equal(bench.take(), []);
  equal(bench.stack.ipv4.InTruncatedPkts, 1);
  equal(bench.stack.ipv4.InHdrErrors, 6);
  equal(bench.stack.ipv4.InCsumErrors, 1);
});

Deno.test("martians are dropped: sources that are nobody's, loopback on a wire, our own address", () => {
  const bench = new Bench();
  for (const source of ["224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0", "192.0.2.1"]) {
    equal(pings(bench, { source }), [], source);
  }
  for (const destination of ["127.0.0.1", "0.0.0.0"]) equal(pings(bench, { destination }), [], destination);
  equal(bench.stack.ipv4.InAddrErrors, 7);
});

Deno.test("a packet for somebody else is not answered, nor one for us in a broadcast frame (RFC 1122 section 3.3.6)", () => {
  const bench = new Bench();
  equal(pings(bench, { destination: "192.0.2.77" }), []);
  bench.v4(ipv4({ protocol: 1, payload: echo }), "ff:ff:ff:ff:ff:ff");
  equal(bench.take(), []);
});

Deno.test("echoes to broadcast addresses are ignored, as Linux does by default", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  for (const destination of ["192.0.2.255", "255.255.255.255"]) {
    bench.v4(ipv4({ protocol: 1, payload: echo, destination }), "ff:ff:ff:ff:ff:ff");
  }
  equal(bench.take().map(describe), []);
});

Deno.test("an unknown protocol is answered with protocol unreachable (RFC 1122 section 3.2.2.1)", () => {
  equal(pings(new Bench(), { protocol: 200 }), ["ICMP 192.0.2.1 > 192.0.2.2 type 3 code 2"]);
});

Deno.test("a datagram to a closed port is answered with port unreachable, quoting it", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const packet = ipv4({ protocol: 17, payload: udp(1000, 2000, "x") });
  bench.v4(packet);
  const [frame] = bench.take();
  equal(describe(frame), "ICMP 192.0.2.1 > 192.0.2.2 type 3 code 3");
  equal(frame.bytes.slice(28), packet);
});

Deno.test("no error about an error, a fragment behind the first, a broadcast or a group (RFC 1122 section 3.2.2)", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const inner = ipv4({
    protocol: 17,
    payload: udp(1, 2, "x"),
    source: "192.0.2.1",
    destination: "192.0.2.9",
  });
  // An error in a protocol-unreachable situation: ICMP itself is known, so use a bad option on an error message.
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 1, 0, inner), options: [7, 2, 4, 1] }));
  bench.v4(ipv4({ protocol: 17, payload: udp(1, 2, "x"), destination: "192.0.2.255" }), "ff:ff:ff:ff:ff:ff");
  bench.v4(ipv4({ protocol: 200, payload: bytesOf("x"), fragment: 1, options: [7, 2, 4, 1] }));
  equal(bench.take().map(describe), []);
});

Deno.test("options: bad ones are answered with a parameter problem that points at them (RFC 792)", () => {
  const cases: [number[], number | null][] = [
    [[1, 1, 1, 0], null],
    [[7, 3, 4, 0], null],
    // Record route: length past the header, pointer below 4, no length.
    [[7, 40, 4, 0], 20],
    [[7, 3, 3, 0], 22],
    [[7], 20],
    [[1, 7, 0, 0], 21],
    [[7, 2, 4, 0], 21],
    // Timestamp with an unknown flag, and a pointer below 5.
    [[68, 12, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0], 23],
    [[68, 8, 4, 0, 0, 0, 0, 0], 22],
    // Overflow counter full.
    [[68, 4, 5, 0xf0], 23],
    // Router alert and unknown options pass.
    [[148, 4, 0, 0], null],
    [[30, 4, 1, 2], null],
  ];
  for (const [options, pointer] of cases) {
    const bench = new Bench();
    bench.know("192.0.2.2");
    bench.v4(ipv4({ protocol: 1, payload: echo, options }));
    const [frame] = bench.take();
    const name = options.join(" ");
    if (pointer === null) {
      equal(describe(frame), "ICMP 192.0.2.1 > 192.0.2.2 type 0 code 0", name);
      continue;
    }
    equal(describe(frame), "ICMP 192.0.2.1 > 192.0.2.2 type 12 code 0", name);
    equal(frame.bytes[24], pointer, name);
  }
});

Deno.test("source routes are refused without a word (RFC 7126 section 4.3)", () => {
  equal(pings(new Bench(), { options: [131, 7, 4, 1, 2, 3, 4, 0] }), []);
});

Deno.test("record route and timestamp are filled in and echoed (RFC 1122 section 3.2.2.6)", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.v4(ipv4({ protocol: 1, payload: echo, options: [7, 7, 4, 0, 0, 0, 0, 0] }));
  const [frame] = bench.take();
  equal(frame.bytes[0], 0x47);
  equal([...frame.bytes.slice(20, 27)], [7, 7, 8, 192, 0, 2, 1]);
  ok(isSound(frame));
});
