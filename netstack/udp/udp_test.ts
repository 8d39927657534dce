// UDP endpoints: udp(7), ip(7), RFC 768, RFC 1122 section 4.1, RFC 8085.

import { address, Bench, bytesOf, describe, type Frame, ipv4, SECOND, udp } from "../test_support.ts";
import { MSG_DONTROUTE, MSG_MORE, MSG_OOB, MSG_PEEK, MSG_TRUNC, OutgoingControl } from "../endpoint.ts";
import { LINK_GSO, LINK_TX_CHECKSUM } from "../link/link.ts";
import { POLLHUP, POLLIN, POLLOUT } from "../readiness.ts";
import { prefixBits } from "../address.ts";
import type { UdpEndpoint } from "./endpoint.ts";
import { deepEqual as equal, ok } from "node:assert/strict";
import {
  at,
  come,
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  ECONNREFUSED,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  get,
  incoming,
  open,
  read,
  sent,
  set,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  SOL_UDP,
  write,
} from "./test_support.ts";

Deno.test("datagrams out and in, with addresses, ports, TTL and TOS", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = open(bench, "192.0.2.1", 5000);
  equal(write(endpoint, "hello", at("192.0.2.2", 9)), 5);
  equal(sent(bench), ["UDP 192.0.2.1:5000 > 192.0.2.2:9 5"]);
  bench.v4(ipv4({ protocol: 17, ttl: 33, tos: 0x12, payload: udp(9, 5000, "world") }));
  equal(endpoint.readableBytes, 5);
  equal(read(endpoint), "world");
  equal([incoming.from.address.toString(), incoming.from.port, incoming.ttl, incoming.tos], [
    "192.0.2.2",
    9,
    33,
    0x12,
  ]);
  equal([incoming.destination.address.toString(), incoming.destination.port, incoming.nicId], [
    "192.0.2.1",
    5000,
    bench.nic.id,
  ]);
  equal(read(endpoint), EAGAIN);
  equal(bench.packetsHeld, 0);
});

Deno.test("an endpoint of both families talks to both; IPV6_V6ONLY ends that", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.know("2001:db8::2");
  const both = open(bench, "::", 5000);
  come(bench, "four");
  come(bench, "six", "2001:db8::2", 9, "2001:db8::1");
  equal([read(both), read(both)], ["four", "six"]);
  equal(write(both, "a", at("192.0.2.2", 9)), 1);
  equal(write(both, "b", at("2001:db8::2", 9)), 1);
  equal(sent(bench), ["UDP 192.0.2.1:5000 > 192.0.2.2:9 1", "UDP 2001:db8::1:5000 > 2001:db8::2:9 1"]);
  const only = bench.stack.newUdpEndpoint(false);
  equal(set(only, SOL_IPV6, 26, 1), 0);
  equal(only.bind(at("::", 6000)), 0);
  equal(set(only, SOL_IPV6, 26, 0), EINVAL);
  equal(write(only, "c", at("192.0.2.2", 9)), ENETUNREACH);
  const four = open(bench, "0.0.0.0", 6000);
  equal(write(four, "c", at("2001:db8::2", 9)), EAFNOSUPPORT);
});

Deno.test("who fits best gets it: connected, then bound to the address, then wildcard (compute_score())", () => {
  const bench = new Bench();
  const wild = open(bench), bound = open(bench), connected = open(bench);
  for (const endpoint of [wild, bound, connected]) set(endpoint, SOL_SOCKET, 2, 1);
  equal(wild.bind(at("0.0.0.0", 5000)), 0);
  equal(bound.bind(at("192.0.2.1", 5000)), 0);
  equal(connected.bind(at("192.0.2.1", 5000)), 0);
  bench.know("192.0.2.2");
  equal(connected.connect(at("192.0.2.2", 9)), 0);
  come(bench, "one");
  come(bench, "two", "192.0.2.2", 10);
  equal([read(connected), read(bound), read(wild)], ["one", "two", EAGAIN]);
  bound.close();
  come(bench, "three", "192.0.2.3", 9);
  equal(read(wild), "three");
});

Deno.test("ports: conflicts, sharing, and one chosen of the range", () => {
  const bench = new Bench();
  open(bench, "0.0.0.0", 5000);
  const second = bench.stack.newUdpEndpoint(true);
  equal(second.bind(at("192.0.2.1", 5000)), EADDRINUSE);
  equal(second.bind(at("198.51.100.1", 5000)), EADDRNOTAVAIL);
  equal(second.bind(at("0.0.0.0", 0)), 0);
  ok(second.localPort >= 32_768 && second.localPort <= 60_999);
  equal(second.bind(at("0.0.0.0", 0)), EINVAL);
  const free = bench.stack.newUdpEndpoint(true);
  equal(set(free, SOL_IP, 15, 1), 0);
  equal(free.bind(at("198.51.100.1", 5001)), 0);
});

Deno.test("SO_REUSEPORT spreads flows over its group, each to the same member always", () => {
  const bench = new Bench();
  const members = [0, 1, 2, 3].map(() => {
    const endpoint = open(bench);
    set(endpoint, SOL_SOCKET, 15, 1);
    equal(endpoint.bind(at("0.0.0.0", 5000)), 0);
    return endpoint;
  });
  const counts = [0, 0, 0, 0];
  for (let flow = 0; flow < 200; flow++) {
    come(bench, "x", "192.0.2.2", 1000 + flow);
    come(bench, "y", "192.0.2.2", 1000 + flow);
    const hits = members.map((member) =>
      [read(member), read(member)].filter((text) => typeof text === "string").length
    );
    equal(hits.filter((n) => n === 2).length, 1);
    counts[hits.indexOf(2)]++;
  }
  ok(counts.every((n) => n > 20), counts.join(" "));
});

Deno.test("broadcasts need SO_BROADCAST, go to everybody, and reach every endpoint of the port here", () => {
  const bench = new Bench();
  const a = open(bench, "0.0.0.0", 5000);
  const b = open(bench);
  equal(write(a, "x", at("192.0.2.255", 9)), EACCES);
  equal(set(a, SOL_SOCKET, 6, 1), 0);
  equal(write(a, "x", at("192.0.2.255", 9)), 1);
  equal(write(a, "x", at("255.255.255.255", 9)), 1);
  equal(bench.take().map((frame) => frame.hardware), Array(2).fill("ff:ff:ff:ff:ff:ff"));
  a.close();
  const c = open(bench);
  for (const endpoint of [b, c]) {
    set(endpoint, SOL_SOCKET, 2, 1);
    equal(endpoint.bind(at("0.0.0.0", 5000)), 0);
  }
  bench.v4(
    ipv4({
      destination: "192.0.2.255",
      protocol: 17,
      payload: udp(9, 5000, "all", "192.0.2.2", "192.0.2.255"),
    }),
    "ff:ff:ff:ff:ff:ff",
  );
  equal([read(b), read(c)], ["all", "all"]);
});

Deno.test("an endpoint bound to a broadcast or group address hears only that, and sends from the interface's", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = open(bench, "192.0.2.255", 5000);
  come(bench, "unicast");
  equal(read(endpoint), EAGAIN);
  equal(sent(bench), ["ICMP 192.0.2.1 > 192.0.2.2 type 3 code 3"]);
  equal(write(endpoint, "x", at("192.0.2.2", 9)), 1);
  equal(sent(bench), ["UDP 192.0.2.1:5000 > 192.0.2.2:9 1"]);
});

Deno.test("multicast out: TTL 1, the chosen interface, and back to members here unless IP_MULTICAST_LOOP is off", () => {
  const bench = new Bench();
  const second = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]);
  bench.advance(5 * SECOND);
  bench.take();
  second.link.sent.length = 0;
  const endpoint = open(bench, "0.0.0.0", 5000);
  const join = (nic: number) => {
    const bytes = bytesOf(239, 1, 2, 3, 0, 0, 0, 0, nic, 0, 0, 0);
    return endpoint.setOption(SOL_IP, 35, bytes, 0, bytes.length);
  };
  equal(join(bench.nic.id), 0);
  bench.advance(5 * SECOND);
  bench.take();
  equal(write(endpoint, "m", at("239.1.2.3", 5000)), 1);
  const [frame] = bench.take();
  equal([frame.hardware, frame.bytes[8]], ["01:00:5e:01:02:03", 1]);
  equal(read(endpoint), "m");
  set(endpoint, SOL_IP, 34, 0);
  set(endpoint, SOL_IP, 33, 7);
  write(endpoint, "n", at("239.1.2.3", 5000));
  equal(bench.take()[0].bytes[8], 7);
  equal(read(endpoint), EAGAIN);
  const interfaceOf = bytesOf(198, 51, 100, 1);
  equal(endpoint.setOption(SOL_IP, 32, interfaceOf, 0, 4), 0);
  write(endpoint, "o", at("239.1.2.3", 5000));
  equal([bench.take().length, second.link.sent.map(describe)], [0, [
    "UDP 198.51.100.1:5000 > 239.1.2.3:5000 1",
  ]]);
});

Deno.test("bad datagrams are counted and dropped: short, length, checksum; one without a checksum is taken (IPv4)", () => {
  const bench = new Bench();
  const endpoint = open(bench, "0.0.0.0", 5000);
  const good = udp(9, 5000, "good");
  const give = (payload: Uint8Array) => bench.v4(ipv4({ protocol: 17, payload }));
  give(good.slice(0, 7));
  const long = good.slice();
  long[5] = 200;
  give(long);
  const tiny = good.slice();
  tiny[5] = 7;
  give(tiny);
  const broken = good.slice();
  broken[9] ^= 1;
  give(broken);
  equal(read(endpoint), EAGAIN);
  const { v4 } = bench.stack.udp.statistics;
  equal([v4.InErrors, v4.InCsumErrors], [4, 1]);
  const bare = good.slice();
  bare[6] = bare[7] = 0;
  give(bare);
  equal(read(endpoint), "good");
  // What stands behind the UDP length is not the datagram's.
  give(bytesOf(bare, "trailer"));
  equal(read(endpoint), "good");
});

Deno.test("peek, cut messages, MSG_TRUNC's true length, empty datagrams", () => {
  const bench = new Bench();
  const endpoint = open(bench, "0.0.0.0", 5000);
  come(bench, "hello");
  come(bench, "");
  equal(read(endpoint, MSG_PEEK, 3), "hel");
  ok((incoming.flags & MSG_TRUNC) !== 0);
  equal(endpoint.read(new Uint8Array(3), 0, 3, MSG_TRUNC, null), 5);
  ok((endpoint.readiness() & POLLIN) !== 0);
  equal(read(endpoint), "");
  equal(read(endpoint), EAGAIN);
});

Deno.test("a full receive buffer loses the rest, and memory is bounded; SO_RCVBUF is doubled and kept within limits", () => {
  const bench = new Bench();
  const endpoint = open(bench, "0.0.0.0", 5000);
  equal(set(endpoint, SOL_SOCKET, 8, 1), 0);
  equal(get(endpoint, SOL_SOCKET, 8), 2304);
  equal(set(endpoint, SOL_SOCKET, 8, 4000), 0);
  equal(get(endpoint, SOL_SOCKET, 8), 8000);
  set(endpoint, SOL_SOCKET, 8, 10_000_000);
  equal(get(endpoint, SOL_SOCKET, 8), 425_984);
  set(endpoint, SOL_SOCKET, 8, 4000);
  for (let i = 0; i < 100; i++) come(bench, "x".repeat(100));
  let n = 0;
  while (read(endpoint) !== EAGAIN) n++;
  ok(n > 5 && n < 40, String(n));
  equal(bench.stack.udp.statistics.v4.RcvbufErrors, 100 - n);
  equal(endpoint.drops, 100 - n);
});

Deno.test("MSG_MORE and UDP_CORK join writes to one datagram, to where the first said", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = open(bench, "0.0.0.0", 5000);
  equal(write(endpoint, "ab", at("192.0.2.2", 9), MSG_MORE), 2);
  equal(write(endpoint, "cd", at("192.0.2.3", 10)), 2);
  equal(sent(bench), ["UDP 192.0.2.1:5000 > 192.0.2.2:9 4"]);
  equal(set(endpoint, SOL_UDP, 1, 1), 0);
  write(endpoint, "ab", at("192.0.2.2", 9));
  write(endpoint, "cde", at("192.0.2.2", 9));
  equal(sent(bench), []);
  equal(set(endpoint, SOL_UDP, 1, 0), 0);
  equal(sent(bench), ["UDP 192.0.2.1:5000 > 192.0.2.2:9 5"]);
  set(endpoint, SOL_UDP, 1, 1);
  write(endpoint, new Uint8Array(60_000), at("192.0.2.2", 9));
  equal(write(endpoint, new Uint8Array(6000), at("192.0.2.2", 9)), EMSGSIZE);
});

Deno.test("UDP_SEGMENT: one packet for a link that cuts, several for one that does not", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = open(bench, "0.0.0.0", 5000);
  equal(set(endpoint, SOL_UDP, 103, 1000), 0);
  equal(write(endpoint, new Uint8Array(2500), at("192.0.2.2", 9)), 2500);
  equal(sent(bench), [1000, 1000, 500].map((n) => `UDP 192.0.2.1:5000 > 192.0.2.2:9 ${n}`));
  bench.link.features |= LINK_GSO | LINK_TX_CHECKSUM;
  equal(write(endpoint, new Uint8Array(2500), at("192.0.2.2", 9)), 2500);
  const [train] = bench.take();
  equal([train.bytes.length, train.gsoBytes], [2528, 1000]);
  set(endpoint, SOL_UDP, 103, 1473);
  equal(write(endpoint, new Uint8Array(2500), at("192.0.2.2", 9)), EINVAL);
  set(endpoint, SOL_UDP, 103, 10);
  equal(write(endpoint, new Uint8Array(1281), at("192.0.2.2", 9)), EINVAL);
});

Deno.test("UDP_GRO: a train by loopback is one message with its piece's size, and several without the option", () => {
  const bench = new Bench();
  const sender = open(bench, "127.0.0.1", 5001), receiver = open(bench, "127.0.0.1", 5000);
  set(sender, SOL_UDP, 103, 100);
  write(sender, new Uint8Array(250), at("127.0.0.1", 5000));
  bench.run();
  equal([0, 0, 0].map(() => String(read(receiver)).length), [100, 100, 50]);
  set(receiver, SOL_UDP, 104, 1);
  write(sender, new Uint8Array(250), at("127.0.0.1", 5000));
  bench.run();
  equal([String(read(receiver)).length, incoming.segmentBytes], [250, 100]);
  equal(read(receiver), EAGAIN);
});

Deno.test("the control message's TTL, TOS, source and interface win; a source that is not ours is refused", () => {
  const bench = new Bench();
  bench.add("192.0.2.50/24");
  bench.know("192.0.2.2");
  bench.take();
  const endpoint = open(bench, "0.0.0.0", 5000);
  const control = new OutgoingControl();
  control.to = at("192.0.2.2", 9);
  control.ttl = 3;
  control.tos = 0x28;
  control.source.copy(address("192.0.2.50"));
  equal(endpoint.write(bytesOf("x"), 0, 1, 0, control), 1);
  const [frame] = bench.take();
  equal([describe(frame), frame.bytes[8], frame.bytes[1]], ["UDP 192.0.2.50:5000 > 192.0.2.2:9 1", 3, 0x28]);
  control.source.copy(address("203.0.113.9"));
  equal(endpoint.write(bytesOf("x"), 0, 1, 0, control), EINVAL);
});

Deno.test("SO_BINDTODEVICE: only that interface, both ways", () => {
  const bench = new Bench();
  const second = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]);
  const endpoint = open(bench, "0.0.0.0", 5000);
  const name = bytesOf("eth1", 0);
  equal(endpoint.setOption(SOL_SOCKET, 25, name, 0, name.length), 0);
  come(bench, "by eth0");
  equal(read(endpoint), EAGAIN);
  bench.v4(
    ipv4({
      source: "198.51.100.2",
      destination: "198.51.100.1",
      protocol: 17,
      payload: udp(9, 5000, "by eth1", "198.51.100.2", "198.51.100.1"),
    }),
    "02:00:00:00:01:01",
    second.nic,
  );
  equal(read(endpoint), "by eth1");
  const none = bytesOf("eth9", 0);
  equal(endpoint.setOption(SOL_SOCKET, 25, none, 0, none.length), -19);
  const got = new Uint8Array(16);
  equal(endpoint.getOption(SOL_SOCKET, 25, got, 0, 16), 5);
});

Deno.test("shutdown: EPIPE for writes, end for reads, HUP for both; without a peer ENOTCONN all the same", () => {
  const bench = new Bench();
  const endpoint = open(bench);
  equal(endpoint.connect(at("192.0.2.2", 9)), 0);
  equal(endpoint.shutdown(2), 0);
  equal(write(endpoint, "x"), EPIPE);
  equal(endpoint.shutdown(1), 0);
  equal(read(endpoint), "");
  equal(endpoint.readiness() & (POLLIN | POLLHUP), POLLIN | POLLHUP);
  equal(open(bench).shutdown(3), ENOTCONN);
});

Deno.test("addresses and flags that cannot be", () => {
  const bench = new Bench();
  const endpoint = open(bench, "0.0.0.0", 5000);
  equal(write(endpoint, "x", at("192.0.2.2", 0)), EINVAL);
  equal(write(endpoint, "x", at("198.51.100.1", 9)), ENETUNREACH);
  equal(write(endpoint, "x", at("192.0.2.2", 9), MSG_OOB), EOPNOTSUPP);
  equal(write(endpoint, new Uint8Array(65_508), at("192.0.2.2", 9)), EMSGSIZE);
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.2"));
  equal(write(endpoint, "x", at("198.51.100.1", 9), MSG_DONTROUTE), ENETUNREACH);
  const six = open(bench, "::", 6000);
  equal(write(six, "x", at("fe80::2", 9)), EINVAL);
  equal(write(six, "x", at("fe80::2", 9, bench.nic.id)), 1);
  equal(endpoint.readiness() & POLLOUT, POLLOUT);
  // IPv6's options are none of an IPv4 endpoint's.
  equal(set(endpoint, SOL_IPV6, 16, 5), -92);
  equal(set(six, SOL_IP, 2, 5), 0);
});

Deno.test("loopback: to 127.0.0.1 and to an own address, without a wire; a closed port refuses", () => {
  const bench = new Bench();
  const server = open(bench, "0.0.0.0", 5000), client = open(bench);
  for (const text of ["127.0.0.1", "192.0.2.1", "127.5.5.5"]) {
    equal(write(client, "hi", at(text, 5000)), 2);
    bench.run();
    equal(read(server), "hi");
    equal(incoming.destination.address.toString(), text);
  }
  equal(client.connect(at("127.0.0.1", 5999)), 0);
  write(client, "x");
  bench.run();
  equal(read(client), ECONNREFUSED);
  equal(bench.take(), []);
  equal(bench.packetsHeld, 0);
});

Deno.test("a forwarder takes every flow, whatever its address, and answers in its name", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.nic.takesAll = true;
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.2"));
  const flows: UdpEndpoint[] = [];
  bench.stack.udp.forwarder = {
    onDatagram(packet, sourcePort, port, at, length) {
      const flow = bench.stack.udp.acceptFlow(packet, sourcePort, port);
      flow.receive(packet, sourcePort, port, at, length, 0);
      flows.push(flow);
      return true;
    },
  };
  come(bench, "question", "192.0.2.2", 777, "8.8.8.8", 53);
  come(bench, "again", "192.0.2.2", 777, "8.8.8.8", 53);
  equal(flows.length, 1);
  equal([read(flows[0]), read(flows[0])], ["question", "again"]);
  equal(write(flows[0], "answer"), 6);
  equal(sent(bench), ["UDP 8.8.8.8:53 > 192.0.2.2:777 6"]);
  flows[0].close();
  come(bench, "new", "192.0.2.2", 777, "8.8.8.8", 53);
  equal(flows.length, 2);
  come(bench, "other", "192.0.2.2", 778, "8.8.4.4", 53);
  equal(flows.length, 3);
});

Deno.test("ten thousand endpoints cost little and close without a trace", () => {
  const bench = new Bench();
  const endpoints: UdpEndpoint[] = [];
  for (let i = 0; i < 10_000; i++) endpoints.push(open(bench, "0.0.0.0", 20_000 + i));
  for (const endpoint of endpoints) endpoint.close();
  equal([...bench.stack.udp.endpoints].length, 0);
  open(bench, "0.0.0.0", 20_000);
});

Deno.test("SO_MARK chooses the way by a rule", () => {
  const bench = new Bench();
  const second = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]);
  bench.know("198.51.100.254", "02:00:00:00:00:02", second.nic);
  bench.stack.routes.add({
    prefix: address("0.0.0.0"),
    prefixBits: prefixBits(0, true),
    gateway: address("198.51.100.254"),
    nic: second.nic,
    metric: 0,
    mtu: 0,
    source: null,
    table: 7,
  });
  bench.stack.routes.addRule({
    priority: 1,
    isV4: true,
    source: null,
    sourceBits: 0,
    destination: null,
    destinationBits: 0,
    mark: 42,
    markMask: 0xff,
    incomingNicId: 0,
    table: 7,
    type: 0,
  });
  const endpoint = open(bench, "0.0.0.0", 5000);
  equal(write(endpoint, "x", at("203.0.113.1", 9)), ENETUNREACH);
  equal(set(endpoint, SOL_SOCKET, 36, 42), 0);
  equal(write(endpoint, "x", at("203.0.113.1", 9)), 1);
  bench.run();
  const frames: Frame[] = second.link.sent;
  equal(frames.map(describe).filter((line) => line.startsWith("UDP")), [
    "UDP 198.51.100.1:5000 > 203.0.113.1:9 1",
  ]);
});
