// Raw endpoints, raw(7), RFC 3542 section 3; packet endpoints, packet(7); ping endpoints, icmp(7).

import { deepEqual as equal, ok } from "node:assert/strict";
import { EndpointAddress, IncomingControl, MSG_ERRQUEUE, MSG_TRUNC, OutgoingControl } from "../endpoint.ts";
import type { Endpoint } from "../endpoint.ts";
import { PacketType } from "../packet.ts";
import {
  address,
  arp,
  Bench,
  bytesOf,
  describe,
  icmp,
  ipv4,
  ipv6,
  isSound,
  OWN_HARDWARE,
  PEER_HARDWARE,
  udp,
} from "../test_support.ts";
import { get16, put16 } from "../wire/bytes.ts";

const EAGAIN = -11;
const incoming = new IncomingControl();

function to(text: string, scope = 0): EndpointAddress {
  const at = new EndpointAddress();
  at.address.copy(address(text));
  at.scope = scope;
  return at;
}
function write(endpoint: Endpoint, bytes: Uint8Array, target?: EndpointAddress): number {
  const control = new OutgoingControl();
  control.to = target ?? null;
  return endpoint.write(bytes, 0, bytes.length, 0, control);
}
function read(endpoint: Endpoint, flags = 0): Uint8Array | number {
  const into = new Uint8Array(2000);
  incoming.clear();
  const n = endpoint.read(into, 0, into.length, flags, incoming);
  return n < 0 ? n : into.slice(0, n);
}
function set(endpoint: Endpoint, level: number, name: number, ...parts: number[]): number {
  const bytes = Uint8Array.from(parts);
  return endpoint.setOption(level, name, bytes, 0, bytes.length);
}

Deno.test("raw IPv4: packets come with their header, go without; the protocol chooses", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = bench.stack.newRawEndpoint(true, 200);
  const packet = ipv4({ protocol: 200, payload: bytesOf("hello"), ttl: 9 });
  bench.v4(packet);
  equal(read(endpoint), packet);
  equal([incoming.from.address.toString(), incoming.ttl], ["192.0.2.2", 9]);
  // Somebody was there: no protocol unreachable.
  equal(bench.take(), []);
  bench.v4(ipv4({ protocol: 201, payload: bytesOf("other") }));
  equal(read(endpoint), EAGAIN);
  bench.take();
  equal(write(endpoint, bytesOf("out"), to("192.0.2.2")), 3);
  const [frame] = bench.take();
  equal([describe(frame), frame.bytes[9], isSound(frame)], [
    "IP 192.0.2.1 > 192.0.2.2 protocol 200 23",
    200,
    true,
  ]);
  endpoint.close();
  bench.v4(packet);
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 3 code 2"]);
});

Deno.test("raw endpoints hear beside the protocol itself: echo requests are answered and seen, UDP is delivered and seen", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const raw = bench.stack.newRawEndpoint(true, 1), datagrams = bench.stack.newRawEndpoint(true, 17);
  bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1, 2]) }));
  equal((read(raw) as Uint8Array).length, 30);
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 0 code 0"]);
  bench.v4(ipv4({ protocol: 17, payload: udp(1, 2, "x") }));
  equal((read(datagrams) as Uint8Array).length, 29);
});

Deno.test("binding and connecting narrow what is heard", () => {
  const bench = new Bench();
  bench.add("192.0.2.50/24");
  const endpoint = bench.stack.newRawEndpoint(true, 200);
  equal(endpoint.bind(to("192.0.2.50")), 0);
  bench.v4(ipv4({ protocol: 200, payload: bytesOf("a") }));
  equal(read(endpoint), EAGAIN);
  bench.v4(ipv4({ destination: "192.0.2.50", protocol: 200, payload: bytesOf("b") }));
  ok(read(endpoint) instanceof Uint8Array);
  equal(endpoint.connect(to("192.0.2.2")), 0);
  bench.v4(ipv4({ source: "192.0.2.3", destination: "192.0.2.50", protocol: 200, payload: bytesOf("c") }));
  equal(read(endpoint), EAGAIN);
  equal(endpoint.bind(to("203.0.113.1")), -99);
});

Deno.test("IP_HDRINCL: what is zero is filled in, length and checksum always; nonsense is refused", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = bench.stack.newRawEndpoint(true, 255);
  const packet = ipv4({
    source: "0.0.0.0",
    destination: "192.0.2.2",
    protocol: 77,
    id: 0,
    ttl: 5,
    totalLength: 999,
    checksum: 1,
    payload: bytesOf("x"),
  });
  equal(write(endpoint, packet, to("192.0.2.2")), 21);
  const [frame] = bench.take();
  ok(isSound(frame) && get16(frame.bytes, 4) !== 0);
  equal([frame.bytes[8], frame.bytes[9], frame.bytes.slice(12, 16)], [5, 77, bytesOf(192, 0, 2, 1)]);
  for (
    const bad of [
      packet.slice(0, 19),
      bytesOf(0x44, packet.slice(1)),
      bytesOf(0x4f, packet.slice(1)),
      bytesOf(0x65, packet.slice(1)),
    ]
  ) {
    equal(write(endpoint, bad, to("192.0.2.2")), -22);
  }
  equal(
    write(
      endpoint,
      ipv4({ source: "192.0.2.1", destination: "192.0.2.2", protocol: 7, payload: new Uint8Array(2000) }),
      to("192.0.2.2"),
    ),
    -90,
  );
  // It only sends.
  bench.v4(ipv4({ protocol: 255, payload: bytesOf("x") }));
  equal(read(endpoint), EAGAIN);
  equal(bench.packetsHeld, 0);
});

Deno.test("ICMP_FILTER and ICMPV6_FILTER keep types out", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = bench.stack.newRawEndpoint(true, 1);
  // All but echo replies.
  equal(set(endpoint, 255, 1, 0xfe, 0xff, 0xff, 0xff), 0);
  bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) }));
  equal(read(endpoint), EAGAIN);
  bench.v4(ipv4({ protocol: 1, payload: icmp(0, 0, 1, [1]) }));
  ok(read(endpoint) instanceof Uint8Array);
  equal(set(bench.stack.newRawEndpoint(true, 17), 255, 1, 1, 0, 0, 0), -95);
  const six = bench.stack.newRawEndpoint(false, 58);
  const filter = new Array(32).fill(0xff);
  filter[129 >> 3] &= ~(1 << (129 & 7));
  equal(set(six, 58, 1, ...filter), 0);
  bench.v6(ipv6({ next: 58, payload: icmp(128, 0, 1, [1], "2001:db8::2", "2001:db8::1") }));
  equal(read(six), EAGAIN);
  bench.v6(ipv6({ next: 58, payload: icmp(129, 0, 1, [1], "2001:db8::2", "2001:db8::1") }));
  equal((read(six) as Uint8Array)[0], 129);
});

Deno.test("raw IPv6: without header; IPV6_CHECKSUM is made and verified, ICMPv6's always", () => {
  const bench = new Bench();
  bench.know("2001:db8::2");
  const icmp6 = bench.stack.newRawEndpoint(false, 58);
  equal(write(icmp6, bytesOf(128, 0, 0, 0, 0, 1, 0, 1), to("2001:db8::2")), 8);
  const [echo] = bench.take();
  ok(isSound(echo));
  const other = bench.stack.newRawEndpoint(false, 200);
  equal(set(other, 41, 7, 2, 0, 0, 0), 0);
  equal(write(other, bytesOf(1, 2, 0, 0, 5, 6), to("2001:db8::2")), 6);
  const [frame] = bench.take();
  ok(isSound(frame) && get16(frame.bytes, 42) !== 0);
  equal(write(other, bytesOf(1, 2, 3), to("2001:db8::2")), -22);
  bench.v6(ipv6({ next: 200, payload: bytesOf(1, 2, 3, 4, 5, 6) }));
  equal(read(other), EAGAIN);
  const good = frame.bytes.slice(40);
  bench.v6(ipv6({ source: "2001:db8::2", destination: "2001:db8::1", next: 200, payload: good }));
  equal(read(other), good);
  equal(write(other, bytesOf(1), to("192.0.2.2")), -97);
});

Deno.test("raw endpoints are told of errors by the error queue", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = bench.stack.newRawEndpoint(true, 200);
  set(endpoint, 0, 11, 1, 0, 0, 0);
  write(endpoint, bytesOf("12345678payload"), to("192.0.2.2"));
  const [frame] = bench.take();
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 2, 0, frame.bytes) }));
  equal(String.fromCharCode(...read(endpoint, MSG_ERRQUEUE) as Uint8Array), "12345678payload");
  equal([incoming.errorNumber, incoming.errorType, incoming.errorCode], [92, 3, 2]);
});

Deno.test("ping endpoints: the identifier is the port, requests go out sealed, only one's own replies come back", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.know("2001:db8::2");
  const a = bench.stack.newPingEndpoint(true), b = bench.stack.newPingEndpoint(true);
  const local = to("0.0.0.0");
  local.port = 77;
  equal(a.bind(local), 0);
  equal(b.bind(local), -98);
  equal(write(a, bytesOf(8, 0, 0, 0, 9, 9, 0, 1, "data"), to("192.0.2.2")), 12);
  const [request] = bench.take();
  ok(isSound(request));
  equal(get16(request.bytes, 24), 77);
  const reply = icmp(0, 0, 77 << 16 | 1, bytesOf("data"));
  bench.v4(ipv4({ protocol: 1, payload: reply }));
  equal(read(a), reply);
  equal(read(b), EAGAIN);
  for (const bad of [bytesOf(0, 0, 0, 0, 0, 0, 0, 0), bytesOf(8, 1, 0, 0, 0, 0, 0, 0), bytesOf(8, 0, 0)]) {
    equal(write(a, bad, to("192.0.2.2")), -22);
  }
  equal(write(a, bytesOf(8, 0, 0, 0, 0, 0, 0, 0), to("2001:db8::2")), -22);
  const six = bench.stack.newPingEndpoint(false);
  equal(six.connect(to("2001:db8::2")), 0);
  equal(write(six, bytesOf(128, 0, 0, 0, 0, 0, 0, 1)), 8);
  ok(isSound(bench.take()[0]));
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 1, 0, request.bytes) }));
  equal(read(a), EAGAIN);
  a.close();
  equal(b.bind(local), 0);
});

Deno.test("ping of 3000 bytes goes in fragments and comes back whole", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = bench.stack.newPingEndpoint(true);
  equal(write(endpoint, bytesOf(8, 0, 0, 0, 0, 0, 0, 1, new Uint8Array(2992)), to("192.0.2.2")), 3000);
  equal(bench.take().length, 3);
});

Deno.test("packet endpoints see frames in and out, with or without link header, of one protocol or all", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const all = bench.stack.newPacketEndpoint(false, 3), cooked = bench.stack.newPacketEndpoint(true, 0x806);
  const packet = ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) });
  bench.v4(packet);
  const frame = read(all) as Uint8Array;
  equal([...frame.slice(0, 14)], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
  equal(frame.slice(14), packet);
  equal([incoming.from.protocol, incoming.from.packetType, incoming.from.scope], [
    0x800,
    PacketType.Host,
    bench.nic.id,
  ]);
  equal([incoming.networkOffset, incoming.auxiliaryStatus & 1], [14, 1]);
  // The answer, on its way out.
  const out = read(all) as Uint8Array;
  equal([...out.slice(0, 12)], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
  equal(incoming.from.packetType, PacketType.Outgoing);
  equal(read(cooked), EAGAIN);
  const question = arp(1, "192.0.2.3", PEER_HARDWARE, "192.0.2.1", "00:00:00:00:00:00");
  bench.inject(0x806, question, "ff:ff:ff:ff:ff:ff");
  equal(read(cooked), question);
  equal([incoming.from.packetType, incoming.from.hardwareHigh, incoming.from.hardwareLow], [
    PacketType.Broadcast,
    0x200,
    2,
  ]);
});

Deno.test("packet endpoints hear interfaces that come later, and of those that go", () => {
  const bench = new Bench();
  const all = bench.stack.newPacketEndpoint(true, 3);
  const { nic } = bench.addNic("eth1", "02:00:00:00:01:01", []);
  while (read(all) !== EAGAIN);
  bench.v4(ipv4({ protocol: 200, payload: bytesOf("x") }), "02:00:00:00:01:01", nic);
  ok(read(all) instanceof Uint8Array);
  equal(incoming.from.scope, nic.id);
  const bound = bench.stack.newPacketEndpoint(true, 3);
  equal(bound.bind(to("0.0.0.0", nic.id)), 0);
  bench.v4(ipv4({ protocol: 200, payload: bytesOf("x") }));
  equal(read(bound), EAGAIN);
  bench.stack.removeNic(nic);
  equal(read(bound), -100);
  equal(bound.bind(to("0.0.0.0", nic.id)), -19);
});

Deno.test("promiscuous membership, PACKET_IGNORE_OUTGOING, statistics and the filter hook", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = bench.stack.newPacketEndpoint(true, 3);
  const foreign = ipv4({ destination: "192.0.2.9", protocol: 200, payload: bytesOf("x") });
  bench.v4(foreign, "02:00:00:00:00:99");
  equal(read(endpoint), EAGAIN);
  const membership = [bench.nic.id, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  equal(set(endpoint, 263, 1, ...membership), 0);
  bench.v4(foreign, "02:00:00:00:00:99");
  equal([read(endpoint), incoming.from.packetType], [foreign, PacketType.OtherHost]);
  equal(set(endpoint, 263, 2, ...membership), 0);
  equal(bench.nic.isPromiscuous, false);
  equal(set(endpoint, 263, 23, 1, 0, 0, 0), 0);
  bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) }));
  ok(read(endpoint) instanceof Uint8Array);
  equal(read(endpoint), EAGAIN);
  endpoint.filter = (bytes, at, length) => length > 20 && bytes[at + 9] === 200 ? 24 : -1;
  bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) }));
  equal(read(endpoint), EAGAIN);
  bench.v4(ipv4({ protocol: 200, payload: bytesOf("0123456789") }));
  equal((read(endpoint) as Uint8Array).length, 24);
  equal(incoming.messageBytes, 30);
  endpoint.filter = null;
  set(endpoint, 1, 8, 1, 0, 0, 0);
  const statistics = new Uint8Array(8);
  endpoint.getOption(263, 6, statistics, 0, 8);
  for (let i = 0; i < 100; i++) bench.v4(ipv4({ protocol: 201, payload: new Uint8Array(100) }));
  equal(endpoint.getOption(263, 6, statistics, 0, 8), 8);
  const [seen, lost] = new Uint32Array(statistics.buffer);
  equal(seen, 100);
  ok(lost > 80 && lost < 100, String(lost));
});

Deno.test("frames are sent as they are written, or with a header of sockaddr_ll; one's own are not heard", () => {
  const bench = new Bench();
  const raw = bench.stack.newPacketEndpoint(false, 3), cooked = bench.stack.newPacketEndpoint(true, 3);
  equal(raw.bind(to("0.0.0.0", bench.nic.id)), 0);
  const frame = bytesOf([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8], 0x12, 0x34, "payload");
  equal(write(raw, frame), frame.length);
  const [sent] = bench.take();
  equal([sent.etherType, sent.hardware, sent.bytes], [0x1234, "02:00:00:00:00:09", bytesOf("payload")]);
  equal(read(raw), EAGAIN);
  equal(read(cooked), bytesOf("payload"));
  const target = to("0.0.0.0", bench.nic.id);
  target.protocol = 0x88b5;
  target.hardwareHigh = 0x0200;
  target.hardwareLow = 7;
  equal(write(cooked, bytesOf("cooked"), target), 6);
  const [other] = bench.take();
  equal([other.etherType, other.hardware], [0x88b5, "02:00:00:00:00:07"]);
  equal(write(raw, frame.slice(0, 13)), -22);
  equal(write(raw, new Uint8Array(1515)), -90);
  equal(write(cooked, bytesOf("x")), -89);
  bench.stack.setUp(bench.nic, false);
  equal(write(raw, frame), -100);
  equal(OWN_HARDWARE.length, 17);
});

Deno.test("a message longer than the room is cut and says so", () => {
  const bench = new Bench();
  const endpoint = bench.stack.newPacketEndpoint(true, 3);
  bench.v4(ipv4({ protocol: 200, payload: new Uint8Array(100) }));
  const into = new Uint8Array(10);
  incoming.clear();
  equal(endpoint.read(into, 0, 10, MSG_TRUNC, incoming), 120);
  ok((incoming.flags & MSG_TRUNC) !== 0);
  const spare = new Uint8Array(4);
  put16(spare, 0, 1);
});
