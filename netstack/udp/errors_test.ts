// What UDP endpoints hear of errors: ip(7), IP_RECVERR and IP_MTU_DISCOVER; RFC 1191, RFC 8201, RFC 1122 section 4.1.3.3.

import { address, Bench, icmp, ipv4, ipv6, SECOND, udp } from "../test_support.ts";
import { EndpointAddress, MSG_ERRQUEUE, MSG_TRUNC } from "../endpoint.ts";
import { POLLERR } from "../readiness.ts";
import { get16 } from "../wire/bytes.ts";
import { deepEqual as equal, ok } from "node:assert/strict";
import {
  at,
  come,
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EMSGSIZE,
  ENOTCONN,
  get,
  incoming,
  open,
  read,
  set,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  write,
} from "./test_support.ts";

Deno.test("connect: replies of others are not heard, port unreachable is ECONNREFUSED, disconnect forgets", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = open(bench);
  equal(write(endpoint, "x"), EDESTADDRREQ);
  equal(endpoint.connect(at("192.0.2.2", 9)), 0);
  const local = new EndpointAddress();
  endpoint.localAddress(local);
  equal(local.address.toString(), "192.0.2.1");
  come(bench, "stranger", "192.0.2.3", 9, "192.0.2.1", local.port);
  equal(read(endpoint), EAGAIN);
  bench.take();
  equal(write(endpoint, "x"), 1);
  const [frame] = bench.take();
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 3, 0, frame.bytes) }));
  ok((endpoint.readiness() & POLLERR) !== 0);
  equal(read(endpoint), ECONNREFUSED);
  equal(read(endpoint), EAGAIN);
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 3, 0, frame.bytes) }));
  equal(write(endpoint, "x"), ECONNREFUSED);
  // Host unreachable is soft.
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 1, 0, frame.bytes) }));
  equal(read(endpoint), EAGAIN);
  equal(endpoint.disconnect(), 0);
  equal(endpoint.peerAddress(local), ENOTCONN);
  endpoint.localAddress(local);
  equal(local.address.toString(), "0.0.0.0");
});

Deno.test("IP_RECVERR: the queue has error, offender, destination and payload; unconnected endpoints hear too", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = open(bench, "0.0.0.0", 5000);
  equal(write(endpoint, "payload", at("192.0.2.2", 77)), 7);
  const [first] = bench.take();
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 3, 0, first.bytes) }));
  equal(read(endpoint), EAGAIN);
  set(endpoint, SOL_IP, 11, 1);
  bench.v4(ipv4({ source: "192.0.2.254", protocol: 1, payload: icmp(3, 1, 0, first.bytes, "192.0.2.254") }));
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 3, 0, first.bytes) }));
  ok((endpoint.readiness() & POLLERR) !== 0);
  equal(read(endpoint, MSG_ERRQUEUE), "payload");
  equal([incoming.errorNumber, incoming.errorOrigin, incoming.errorType, incoming.errorCode], [113, 2, 3, 1]);
  equal([incoming.offender.toString(), incoming.from.address.toString(), incoming.from.port], [
    "192.0.2.254",
    "192.0.2.2",
    77,
  ]);
  ok((incoming.flags & MSG_ERRQUEUE) !== 0);
  // What is pending now is the next entry's.
  equal(get(endpoint, SOL_SOCKET, 4), 111);
  equal(read(endpoint, MSG_ERRQUEUE, 3), "pay");
  ok((incoming.flags & MSG_TRUNC) !== 0);
  equal(read(endpoint, MSG_ERRQUEUE), EAGAIN);
  equal(endpoint.readiness() & POLLERR, 0);
});

Deno.test("the error queue is bounded", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const endpoint = open(bench, "0.0.0.0", 5000);
  set(endpoint, SOL_IP, 11, 1);
  write(endpoint, new Uint8Array(1000), at("192.0.2.2", 77));
  const [first] = bench.take();
  for (let i = 0; i < 1000; i++) bench.v4(ipv4({ protocol: 1, payload: icmp(3, 3, 0, first.bytes) }));
  let n = 0;
  while (read(endpoint, MSG_ERRQUEUE) !== EAGAIN) n++;
  ok(n > 10 && n < 300, String(n));
});

Deno.test("a neighbour that does not answer is EHOSTUNREACH for a connected endpoint that wants errors", () => {
  const bench = new Bench();
  const endpoint = open(bench, "0.0.0.0", 5000);
  set(endpoint, SOL_IP, 11, 1);
  equal(endpoint.connect(at("192.0.2.99", 9)), 0);
  write(endpoint, "x");
  bench.advance(4 * SECOND);
  equal(read(endpoint), -113);
  equal(read(endpoint, MSG_ERRQUEUE), "x");
  // Linux has its own ICMP error come back by loopback.
  equal([incoming.errorOrigin, incoming.errorType, incoming.errorCode], [2, 3, 1]);
});

Deno.test("path MTU: Don't Fragment while it fits, fragments beyond, smaller after a router said so (RFC 1191)", () => {
  const bench = new Bench();
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.2"));
  bench.know("192.0.2.2");
  const endpoint = open(bench);
  equal(endpoint.connect(at("198.51.100.9", 9)), 0);
  equal(get(endpoint, SOL_IP, 14), 1500);
  write(endpoint, new Uint8Array(1472));
  const [whole] = bench.take();
  equal(get16(whole.bytes, 6), 0x4000);
  write(endpoint, new Uint8Array(1473));
  const pieces = bench.take();
  equal(pieces.length, 2);
  equal(get16(pieces[0].bytes, 6) & 0x4000, 0);
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 4, 1000, whole.bytes) }));
  // It was told, as it might have to send less (EMSGSIZE), and from now on it is cut here.
  equal(read(endpoint), EMSGSIZE);
  equal(get(endpoint, SOL_IP, 14), 1000);
  equal(write(endpoint, new Uint8Array(1400)), 1400);
  for (const frame of bench.take()) ok(frame.bytes.length <= 1000);
  // An endpoint that must not fragment is refused, and told the MTU.
  set(endpoint, SOL_IP, 10, 2);
  set(endpoint, SOL_IP, 11, 1);
  equal(write(endpoint, new Uint8Array(1400)), EMSGSIZE);
  equal(typeof read(endpoint, MSG_ERRQUEUE), "string");
  equal([incoming.errorOrigin, incoming.errorNumber, incoming.errorInfo], [1, 90, 1000]);
  set(endpoint, SOL_IP, 10, 3);
  equal(write(endpoint, new Uint8Array(1400)), 1400);
  equal(get16(bench.take()[0].bytes, 6), 0x4000);
});

Deno.test("IPv6: too big makes fragments, IPV6_DONTFRAG refuses", () => {
  const bench = new Bench();
  bench.know("2001:db8::2");
  const endpoint = open(bench, "::", 5000);
  equal(endpoint.connect(at("2001:db8::2", 9)), 0);
  write(endpoint, new Uint8Array(1452));
  const [whole] = bench.take();
  equal(whole.bytes.length, 1500);
  bench.v6(ipv6({ next: 58, payload: icmp(2, 0, 1280, whole.bytes, "2001:db8::2", "2001:db8::1") }));
  equal(read(endpoint), EMSGSIZE);
  equal(write(endpoint, new Uint8Array(1452)), 1452);
  equal(bench.take().length, 2);
  set(endpoint, SOL_IPV6, 62, 1);
  equal(write(endpoint, new Uint8Array(1452)), EMSGSIZE);
});

Deno.test("a too big from nowhere, about a flow that is not ours, changes nothing", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  const inner = ipv4({
    source: "192.0.2.1",
    destination: "192.0.2.2",
    protocol: 17,
    payload: udp(1, 2, "x"),
  });
  bench.v4(ipv4({ protocol: 1, payload: icmp(3, 4, 600, inner) }));
  equal(bench.stack.pathMtus.size, 0);
});
