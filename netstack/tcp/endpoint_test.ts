// TCP endpoints within one stack: over loopback, in groups, taken by a forwarder, many at once.

import { deepEqual as equal, ok } from "node:assert/strict";
import { type Address, prefixBits } from "../address.ts";
import { EndpointAddress } from "../endpoint.ts";
import {
  EADDRINUSE,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENETUNREACH,
  ENOTCONN,
} from "../errno.ts";
import { Unreachable } from "../icmp/unreachable.ts";
import { LoopbackLink } from "../link/loopback.ts";
import { PacketPool } from "../packet.ts";
import { POLLHUP, POLLIN, POLLOUT } from "../readiness.ts";
import { SeededRandom } from "../random.ts";
import { Stack } from "../stack.ts";
import { address } from "../test_support.ts";
import type { TcpEndpoint } from "./endpoint.ts";
import type { PendingSyn } from "./forwarder.ts";
import { readInfo } from "./info.ts";
import { STATE_NAMES } from "./state.ts";
import { addressOf } from "./two_stacks.ts";

const LOCAL = address("127.0.0.1");
const PORT = 5000;

class Host {
  readonly stack: Stack;
  now = 1e9;

  constructor(seed = 1) {
    this.stack = new Stack({ pool: PacketPool.inHeap(4096, 64), random: new SeededRandom(seed), log() {} });
    this.stack.now = this.now;
    const lo = this.stack.addNic("lo", new LoopbackLink());
    this.stack.setUp(lo, true);
    this.stack.addAddress(lo, LOCAL, prefixBits(8, true));
    this.stack.addAddress(lo, address("::1"), 128);
  }
  run(nanos = 0): void {
    const until = this.now + nanos;
    for (let i = 0; i < 100_000; i++) {
      if (this.stack.poll(this.now)) continue;
      const at = Math.max(this.stack.pollAt(), this.now);
      if (at > until) break;
      this.now = at;
    }
    this.now = until;
  }
  listen(host: Address = LOCAL, port = PORT, backlog = 100): TcpEndpoint {
    const endpoint = this.stack.newTcpEndpoint(host.isV4);
    equal(endpoint.bind(addressOf(host, port)), 0);
    equal(endpoint.listen(backlog), 0);
    return endpoint;
  }
  connect(host: Address = LOCAL, port = PORT): TcpEndpoint {
    const endpoint = this.stack.newTcpEndpoint(host.isV4);
    equal(endpoint.connect(addressOf(host, port)), -EINPROGRESS);
    return endpoint;
  }
  pair(): [TcpEndpoint, TcpEndpoint, TcpEndpoint] {
    const listener = this.listen();
    const caller = this.connect();
    this.run();
    return [caller, accepted(listener), listener];
  }
}

function accepted(listener: TcpEndpoint): TcpEndpoint {
  const endpoint = listener.accept();
  if (typeof endpoint === "number") throw new Error(`accept answers ${endpoint}`);
  return endpoint;
}
function setInt(endpoint: TcpEndpoint, level: number, name: number, ...values: number[]): number {
  return endpoint.setOption(
    level,
    name,
    new Uint8Array(Int32Array.from(values).buffer),
    0,
    4 * values.length,
  );
}
const bytes = new Uint8Array(300_000).map((_, i) => i * 7 + (i >> 8));

Deno.test("loopback: bytes go straight to the reader, states and counters as with segments", () => {
  const host = new Host();
  const [caller, server] = host.pair();
  const before = host.stack.tcp.statistics.OutSegs;
  const into = new Uint8Array(bytes.length);
  let sent = 0, got = 0;
  while (got < bytes.length) {
    const n = caller.write(bytes, sent, bytes.length - sent, 0, null);
    if (n > 0) sent += n;
    const m = server.read(into, got, bytes.length, 0, null);
    if (m > 0) got += m;
  }
  equal(into, bytes);
  equal(host.stack.tcp.statistics.OutSegs, before);
  equal(host.stack.tcp.statistics.TCPLoopbackBytes, bytes.length);
  equal(STATE_NAMES[readInfo(caller).state], "ESTABLISHED");
  equal(readInfo(caller).bytesAcked, bytes.length);
  equal(readInfo(server).bytesReceived, bytes.length);
  host.run(1e9);
  equal(readInfo(caller).totalRetransmits, 0);
  equal(caller.shutdown(2), 0);
  host.run();
  equal(server.read(into, 0, 10, 0, null), 0);
  equal(STATE_NAMES[readInfo(server).state], "CLOSE-WAIT");
  equal(STATE_NAMES[readInfo(caller).state], "FIN-WAIT-2");
  server.close();
  host.run();
  equal(caller.read(into, 0, 10, 0, null), 0);
  caller.close();
  host.run(100e9);
  equal(host.stack.tcp.timeWaitCount, 0);
});

Deno.test("loopback: a writer waits for the reader, and is told when there is room", () => {
  const host = new Host();
  const [caller, server] = host.pair();
  let n = 0, written = 0;
  while ((n = caller.write(bytes, 0, bytes.length, 0, null)) > 0) written += n;
  equal(n, -EAGAIN);
  let events = 0;
  caller.queue = { notify: (some) => void (events |= some) };
  equal(caller.readiness() & POLLOUT, 0);
  const into = new Uint8Array(written);
  equal(server.read(into, 0, written, 0, null), written);
  ok((events & POLLOUT) !== 0);
  ok((caller.readiness() & POLLOUT) !== 0);
});

Deno.test("loopback: a tap on the interface sees segments again", () => {
  const host = new Host();
  const [caller, server] = host.pair();
  let seen = 0;
  host.stack.loopback!.taps.push({ onPacket: () => void seen++ });
  equal(caller.write(bytes, 0, 1000, 0, null), 1000);
  host.run();
  ok(seen > 0);
  equal(server.read(new Uint8Array(1000), 0, 1000, 0, null), 1000);
});

Deno.test("connect() answers as connect(2): EINPROGRESS, EALREADY, then 0 once, then EISCONN", () => {
  const host = new Host();
  host.listen();
  const caller = host.connect();
  equal(caller.connect(addressOf(LOCAL, PORT)), -114);
  host.run();
  equal(caller.connect(addressOf(LOCAL, PORT)), 0);
  equal(caller.connect(addressOf(LOCAL, PORT)), -EISCONN);
  const refused = host.connect(LOCAL, 6000);
  host.run();
  equal(refused.readiness() & POLLHUP, POLLHUP);
  equal(refused.connect(addressOf(LOCAL, 6000)), -ECONNREFUSED);
});

Deno.test("an endpoint connects to itself (RFC 9293 section 3.5)", () => {
  const host = new Host();
  const endpoint = host.stack.newTcpEndpoint(true);
  equal(endpoint.bind(addressOf(LOCAL, 7777)), 0);
  equal(endpoint.connect(addressOf(LOCAL, 7777)), -EINPROGRESS);
  host.run();
  equal(STATE_NAMES[readInfo(endpoint).state], "ESTABLISHED");
  equal(endpoint.write(bytes, 0, 100, 0, null), 100);
  host.run();
  equal(endpoint.read(new Uint8Array(200), 0, 200, 0, null), 100);
  equal(endpoint.shutdown(2), 0);
  host.run();
  equal(endpoint.read(new Uint8Array(200), 0, 200, 0, null), 0);
});

Deno.test("an IPv6 listener takes both families, and with IPV6_V6ONLY one", () => {
  const host = new Host();
  const listener = host.stack.newTcpEndpoint(false);
  const any = new EndpointAddress();
  any.port = PORT;
  equal(listener.bind(any), 0);
  equal(listener.listen(5), 0);
  host.connect(LOCAL);
  host.connect(address("::1"));
  host.run();
  const first = new EndpointAddress();
  accepted(listener).peerAddress(first);
  equal(first.address.toString(), "127.0.0.1");
  accepted(listener);
  listener.close();
  host.run(1e9);
  const six = host.stack.newTcpEndpoint(false);
  equal(setInt(six, 41, 26, 1), 0);
  any.port = 5001;
  equal(six.bind(any), 0);
  equal(six.listen(5), 0);
  const four = host.connect(LOCAL, 5001);
  host.run();
  equal(four.takeError(), -ECONNREFUSED);
});

Deno.test("SO_REUSEPORT: listeners share a port, connections are spread over them", () => {
  const host = new Host();
  const listeners = Array.from({ length: 4 }, () => {
    const endpoint = host.stack.newTcpEndpoint(true);
    equal(setInt(endpoint, 1, 15, 1), 0);
    equal(endpoint.bind(addressOf(LOCAL, PORT)), 0);
    equal(endpoint.listen(200), 0);
    return endpoint;
  });
  for (let i = 0; i < 200; i++) host.connect();
  host.run();
  const counts = listeners.map((listener) => listener.listener!.acceptCount);
  equal(counts.reduce((sum, n) => sum + n), 200);
  for (const count of counts) ok(count > 20, `uneven: ${counts}`);
  const other = host.stack.newTcpEndpoint(true);
  equal(other.bind(addressOf(LOCAL, PORT)), -EADDRINUSE);
});

Deno.test("a port whose connections live is taken, but with SO_REUSEADDR", () => {
  const host = new Host();
  const [caller, server, listener] = host.pair();
  listener.close();
  const plain = host.stack.newTcpEndpoint(true);
  equal(plain.bind(addressOf(LOCAL, PORT)), -EADDRINUSE);
  server.close();
  caller.close();
  host.run();
  equal(plain.bind(addressOf(LOCAL, PORT)), -EADDRINUSE, "TIME-WAIT holds it");
  host.run(61e9);
  equal(plain.bind(addressOf(LOCAL, PORT)), 0);
  equal(plain.listen(1), 0);
  plain.close();
  // With the option on both sides a server starts again at once.
  const first = host.stack.newTcpEndpoint(true);
  equal(setInt(first, 1, 2, 1), 0);
  equal(first.bind(addressOf(LOCAL, PORT)), 0);
  equal(first.listen(1), 0);
  host.connect();
  host.run();
  accepted(first).close();
  first.close();
  host.run();
  const second = host.stack.newTcpEndpoint(true);
  equal(setInt(second, 1, 2, 1), 0);
  equal(second.bind(addressOf(LOCAL, PORT)), 0);
  equal(second.listen(1), 0);
});

Deno.test("SO_LINGER: close() waits for the FIN to be acknowledged", () => {
  const host = new Host();
  const [caller, server] = host.pair();
  host.stack.loopback!.taps.push({ onPacket() {} });
  equal(setInt(caller, 1, 13, 1, 5), 0);
  let events = 0;
  caller.queue = { notify: (some) => void (events |= some) };
  caller.write(bytes, 0, 1000, 0, null);
  events = 0;
  equal(caller.close(), false);
  host.run();
  ok((events & POLLHUP) !== 0);
  ok((server.readiness() & POLLIN) !== 0);
});

Deno.test("a forwarder decides about connections to any address and port, at once or later", () => {
  const host = new Host();
  const taker = host.stack.newTcpEndpoint(true);
  equal(taker.listenDetached(10), 0);
  const pending: PendingSyn[] = [];
  host.stack.tcp.forwarder = {
    takesAll: false,
    onSyn(syn) {
      if (syn.destinationPort === 443) pending.push(syn);
      else syn.refuse();
    },
  };
  const good = host.connect(address("127.9.9.9"), 443), bad = host.connect(address("127.9.9.9"), 25);
  host.run();
  equal(bad.takeError(), -ECONNREFUSED);
  equal(pending.map((syn) => `${syn.destination}:${syn.destinationPort}`), ["127.9.9.9:443"]);
  host.run(3.5e9);
  equal(pending.length, 1, "a repeated SYN is not asked about again");
  pending[0].accept(taker);
  host.run();
  const taken = accepted(taker), where = new EndpointAddress();
  taken.localAddress(where);
  equal(`${where.address}:${where.port}`, "127.9.9.9:443");
  equal(good.write(bytes, 0, 10, 0, null), 10);
  host.run();
  equal(taken.read(new Uint8Array(10), 0, 10, 0, null), 10);
  pending[0].refuse();
  host.run();
  equal(good.error, 0, "a decision falls once");
});

Deno.test("what a forwarder says of a destination ends the attempt at once, as ICMP does on Linux", () => {
  const host = new Host();
  const reasons = new Map([[1, Unreachable.Host], [2, Unreachable.Network], [3, Unreachable.Prohibited]]);
  host.stack.tcp.forwarder = {
    takesAll: true,
    onSyn: (syn) => syn.tellUnreachable(reasons.get(syn.destinationPort)!),
  };
  const callers = [1, 2, 3].map((port) => host.connect(address("127.9.9.9"), port));
  host.run();
  equal(callers.map((caller) => caller.takeError()), [-EHOSTUNREACH, -ENETUNREACH, -EHOSTUNREACH]);
  equal(host.stack.pool.used, 0);
});

Deno.test("a forwarder that takes all comes before listeners; what it never decides is given back", () => {
  const host = new Host();
  const listener = host.listen();
  let asked = 0;
  host.stack.tcp.forwarder = { takesAll: true, onSyn: () => void asked++ };
  for (let i = 0; i < 1100; i++) host.connect();
  host.run();
  equal(asked, 1024);
  equal(listener.accept(), -EAGAIN);
  host.stack.tcp.close();
  equal(host.stack.pool.used, 0);
});

Deno.test("what a connection sends after close() still has the endpoint's TTL and mark", () => {
  const host = new Host();
  const [caller] = host.pair();
  const seen: string[] = [];
  host.stack.loopback!.taps.push({
    onPacket(packet) {
      const isFin = (packet.bytes[packet.at + 20 + 13] & 1) !== 0;
      if (isFin && seen.length === 0) seen.push(`${packet.bytes[packet.at + 8]} ${packet.mark}`);
    },
  });
  equal(setInt(caller, 0, 2, 9), 0);
  equal(setInt(caller, 1, 36, 7), 0);
  caller.close();
  host.run();
  equal(seen, ["9 7"]);
});

Deno.test("calls on endpoints that are not connected", () => {
  const host = new Host();
  const endpoint = host.stack.newTcpEndpoint(true);
  equal(endpoint.shutdown(2), -ENOTCONN);
  equal(endpoint.read(bytes, 0, 1, 0, null), -ENOTCONN);
  equal(endpoint.accept(), -EINVAL);
  equal(endpoint.peerAddress(new EndpointAddress()), -ENOTCONN);
  equal(endpoint.readiness() & POLLHUP, POLLHUP);
  endpoint.close();
});

Deno.test("disconnect() resets, and the endpoint may connect anew", () => {
  const host = new Host();
  const [caller, server, listener] = host.pair();
  equal(caller.disconnect(), 0);
  host.run();
  equal(server.read(bytes, 0, 1, 0, null), -ECONNRESET);
  equal(caller.connect(addressOf(LOCAL, PORT)), -EINPROGRESS);
  host.run();
  accepted(listener);
});

Deno.test("10,000 idle connections cost at most 16 KiB each, and all memory comes back", () => {
  const host = new Host();
  const listener = host.listen(LOCAL, PORT, 4096);
  const all: TcpEndpoint[] = [];
  const collect = (globalThis as { gc?: () => void }).gc;
  collect?.();
  const before = Deno.memoryUsage();
  for (let i = 0; i < 5000; i++) {
    const caller = host.connect();
    host.run();
    const server = accepted(listener);
    caller.write(bytes, 0, 100, 0, null);
    server.read(new Uint8Array(100), 0, 100, 0, null);
    all.push(caller, server);
  }
  collect?.();
  const after = Deno.memoryUsage();
  const each = (after.heapUsed + after.external - before.heapUsed - before.external) / all.length;
  ok(each < 16 * 1024, `${Math.round(each)} bytes each`);
  for (const endpoint of all) endpoint.close();
  host.run(200e9);
  equal(host.stack.tcp.count, 0);
  equal(host.stack.pool.used, 0);
  ok(host.stack.timers.size < 10, `${host.stack.timers.size} timers are left`);
});
