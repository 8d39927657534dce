// The neighbour cache: RFC 4861 section 7.3, and RFC 826 for IPv4. What an attacker on the link can and cannot do.

import { deepEqual as equal, ok } from "node:assert/strict";
import { Fragmentation } from "./ip/ip.ts";
import { NEIGHBOURS_MAX } from "./neighbour.ts";
import { Route } from "./route.ts";
import { Address } from "./address.ts";
import { address, arp, Bench, bytesOf, describe, icmp, ipv6, PEER_HARDWARE, SECOND } from "./test_support.ts";
import { ETHERTYPE_ARP, IPPROTO_UDP } from "./wire/numbers.ts";
import { NeighbourState } from "./numbers.ts";

const EVIL = "02:00:00:00:00:66";
const BROADCAST = "ff:ff:ff:ff:ff:ff";

/** Sends `count` UDP packets to `to` as a transport would. */
function send(bench: Bench, to: string, count = 1): void {
  for (let i = 0; i < count; i++) {
    const route = new Route();
    const unspecified = new Address().setUnspecified(address(to).isV4);
    equal(bench.stack.routes.find(address(to), unspecified, 0, route), 0);
    const packet = bench.pool.allocate(20)!;
    packet.bytes.fill(0, packet.at, packet.end);
    packet.source.copy(route.source);
    packet.destination.copy(route.destination);
    packet.protocol = IPPROTO_UDP;
    packet.ttl = 64;
    packet.transportAt = packet.at;
    equal(bench.stack.ip.send(packet, route, Fragmentation.Allowed), 0);
  }
}
function stateOf(bench: Bench, text: string): NeighbourState | undefined {
  return bench.nic.neighbours.find(address(text))?.state;
}
function reply(bench: Bench, from = "192.0.2.2", hardware = PEER_HARDWARE): void {
  bench.inject(
    ETHERTYPE_ARP,
    arp(2, from, hardware, "192.0.2.1", "02:00:00:00:00:01"),
    "02:00:00:00:00:01",
    hardware,
  );
}
function advertise(bench: Bench, target: string, flags: number, hardware: readonly number[]): void {
  const body = icmp(136, 0, flags << 24, bytesOf(bytes16(target), 2, 1, hardware), target, "2001:db8::1");
  bench.v6(ipv6({ source: target, next: 58, hops: 255, payload: body }));
}
function bytes16(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  address(text).write6(bytes, 0);
  return bytes;
}

Deno.test("a packet waits for the answer and goes out with it; an ARP question is broadcast", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2", 3);
  const asked = bench.take();
  equal(asked.map(describe), ["ARP who-has 192.0.2.1 > 192.0.2.2"]);
  equal(asked[0].hardware, BROADCAST);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Incomplete);
  reply(bench);
  const sent = bench.take();
  equal(sent.map((frame) => frame.hardware), [PEER_HARDWARE, PEER_HARDWARE, PEER_HARDWARE]);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Reachable);
  equal(bench.packetsHeld, 0);
});

Deno.test("no answer: three questions a second apart, then the senders' packets are given up", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2", 2);
  const errors: number[] = [];
  bench.stack.transports[IPPROTO_UDP] = {
    protocol: IPPROTO_UDP,
    receive() {},
    receiveError: (error) => errors.push(error.errno),
  };
  bench.advance(2.5 * SECOND);
  equal(bench.take().length, 3);
  bench.advance(SECOND);
  equal(errors, [113, 113]);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Failed);
  equal(bench.packetsHeld, 0);
  // While it is known to be dead nobody is asked again; afterwards it is.
  send(bench, "192.0.2.2");
  equal(bench.take().length, 0);
  bench.advance(4 * SECOND);
  send(bench, "192.0.2.2");
  equal(bench.take().length, 1);
});

Deno.test("waiting packets are bounded: the oldest go", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2", 100);
  ok(bench.packetsHeld <= 64);
  bench.take();
  reply(bench);
  equal(bench.take().length, 64);
});

Deno.test("reachable becomes stale, use makes it delay and probe, an answer reachable (RFC 4861 section 7.3.3)", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2");
  reply(bench);
  bench.take();
  bench.advance(46 * SECOND);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Stale);
  send(bench, "192.0.2.2");
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Delay);
  equal(bench.take().length, 1);
  bench.advance(5.1 * SECOND);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Probe);
  const [probe] = bench.take();
  // Probes are unicast.
  equal([describe(probe), probe.hardware], ["ARP who-has 192.0.2.1 > 192.0.2.2", PEER_HARDWARE]);
  reply(bench);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Reachable);
});

Deno.test("probes without an answer end it (RFC 4861 section 7.3.3)", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2");
  reply(bench);
  bench.advance(46 * SECOND);
  bench.take();
  send(bench, "192.0.2.2");
  bench.advance(5.1 * SECOND + 3.1 * SECOND);
  equal(bench.take().length, 1 + 3);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Failed);
});

Deno.test("progress of a protocol above confirms, and no probe is sent (RFC 4861 section 7.3.1)", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2");
  reply(bench);
  bench.advance(46 * SECOND);
  send(bench, "192.0.2.2");
  bench.take();
  bench.nic.neighbours.find(address("192.0.2.2"))!.confirm();
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Reachable);
  bench.advance(10 * SECOND);
  equal(bench.take(), []);
});

Deno.test("ARP: an answer that nobody asked for enters nothing, a question for us enters its sender", () => {
  const bench = new Bench();
  reply(bench, "192.0.2.9", EVIL);
  equal(stateOf(bench, "192.0.2.9"), undefined);
  bench.inject(
    ETHERTYPE_ARP,
    arp(1, "192.0.2.2", PEER_HARDWARE, "192.0.2.1", "00:00:00:00:00:00"),
    BROADCAST,
  );
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Stale);
  equal(bench.take().map(describe), ["ARP reply 192.0.2.1 > 192.0.2.2"]);
  // A question for somebody else enters nobody.
  bench.inject(ETHERTYPE_ARP, arp(1, "192.0.2.3", EVIL, "192.0.2.77", "00:00:00:00:00:00"), BROADCAST);
  equal(stateOf(bench, "192.0.2.3"), undefined);
  equal(bench.take(), []);
});

Deno.test("ARP: spoofed senders are believed nothing: our own address, group addresses, other formats", () => {
  const bench = new Bench();
  const before = bench.nic.neighbours.size;
  for (const from of ["192.0.2.1", "224.0.0.1", "0.0.0.0", "255.255.255.255"]) {
    bench.inject(ETHERTYPE_ARP, arp(1, from, EVIL, "192.0.2.1", "00:00:00:00:00:00"), BROADCAST);
  }
  bench.inject(
    ETHERTYPE_ARP,
    arp(1, "192.0.2.5", "03:00:00:00:00:05", "192.0.2.1", "00:00:00:00:00:00"),
    BROADCAST,
  );
  const good = arp(1, "192.0.2.5", EVIL, "192.0.2.1", "00:00:00:00:00:00");
  for (const [at, value] of [[0, 9], [2, 9], [4, 8], [5, 16], [7, 9]]) {
    const bad = good.slice();
    bad[at] = value;
    bench.inject(ETHERTYPE_ARP, bad, BROADCAST);
  }
  bench.inject(ETHERTYPE_ARP, good.slice(0, 27), BROADCAST);
  equal(bench.nic.neighbours.size, before);
});

Deno.test("a known neighbour that moves is believed as stale, until it answers", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2");
  reply(bench);
  bench.take();
  bench.inject(ETHERTYPE_ARP, arp(1, "192.0.2.2", EVIL, "192.0.2.2", "00:00:00:00:00:00"), BROADCAST, EVIL);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Stale);
  equal(bench.packetsHeld, 0);
});

Deno.test("permanent entries do not move", () => {
  const bench = new Bench();
  bench.know("192.0.2.2");
  reply(bench, "192.0.2.2", EVIL);
  send(bench, "192.0.2.2");
  equal(bench.take().map((frame) => frame.hardware), [PEER_HARDWARE]);
  bench.advance(1000 * SECOND);
  equal(stateOf(bench, "192.0.2.2"), NeighbourState.Permanent);
});

Deno.test("the table is bounded: the entry longest unused goes, permanent ones stay", () => {
  const bench = new Bench(1, { addresses: ["10.0.0.1/8", "2001:db8::1/64"] });
  bench.know("10.9.9.9");
  for (let i = 0; i < NEIGHBOURS_MAX + 50; i++) {
    bench.inject(
      ETHERTYPE_ARP,
      arp(1, `10.1.${i >> 8}.${i & 255}`, PEER_HARDWARE, "10.0.0.1", "00:00:00:00:00:00"),
      BROADCAST,
    );
  }
  ok(bench.nic.neighbours.size <= NEIGHBOURS_MAX);
  equal(stateOf(bench, "10.9.9.9"), NeighbourState.Permanent);
  equal(stateOf(bench, "10.1.0.0"), undefined);
  equal(stateOf(bench, `10.1.4.${1073 & 255}`), NeighbourState.Stale);
});

Deno.test("NDP: a solicitation goes to the solicited-node group, the advertisement resolves", () => {
  const bench = new Bench();
  send(bench, "2001:db8::2");
  const [asked] = bench.take();
  equal(describe(asked), "ICMP6 2001:db8::1 > ff02::1:ff00:2 type 135 code 0");
  equal([asked.hardware, asked.bytes[7]], ["33:33:ff:00:00:02", 255]);
  advertise(bench, "2001:db8::2", 0x60, [2, 0, 0, 0, 0, 2]);
  equal(bench.take().map((frame) => frame.hardware), [PEER_HARDWARE]);
  equal(stateOf(bench, "2001:db8::2"), NeighbourState.Reachable);
});

Deno.test("NDP: without the override flag a known address is doubted, not replaced (RFC 4861 section 7.2.5)", () => {
  const bench = new Bench();
  send(bench, "2001:db8::2");
  advertise(bench, "2001:db8::2", 0x60, [2, 0, 0, 0, 0, 2]);
  bench.take();
  advertise(bench, "2001:db8::2", 0x00, [2, 0, 0, 0, 0, 0x66]);
  equal(stateOf(bench, "2001:db8::2"), NeighbourState.Stale);
  send(bench, "2001:db8::2");
  equal(bench.take()[0].hardware, PEER_HARDWARE);
});

Deno.test("NDP: nothing from beyond the link, and nothing malformed, is believed (RFC 4861 section 7.1)", () => {
  const bench = new Bench();
  send(bench, "2001:db8::2");
  bench.take();
  const good = icmp(
    136,
    0,
    0x60000000,
    bytesOf(bytes16("2001:db8::2"), 2, 1, [2, 0, 0, 0, 0, 2]),
    "2001:db8::2",
    "2001:db8::1",
  );
  const cases: [Uint8Array, number][] = [
    [good, 254],
    [icmp(136, 1, 0x60000000, bytesOf(bytes16("2001:db8::2")), "2001:db8::2", "2001:db8::1"), 255],
    [icmp(136, 0, 0x60000000, bytesOf(bytes16("2001:db8::2").slice(1)), "2001:db8::2", "2001:db8::1"), 255],
    // An option of length 0, one that is longer than the message, a group as target, a group as hardware address.
    [
      icmp(
        136,
        0,
        0x60000000,
        bytesOf(bytes16("2001:db8::2"), 2, 0, [2, 0, 0, 0, 0, 2]),
        "2001:db8::2",
        "2001:db8::1",
      ),
      255,
    ],
    [
      icmp(
        136,
        0,
        0x60000000,
        bytesOf(bytes16("2001:db8::2"), 2, 2, [2, 0, 0, 0, 0, 2]),
        "2001:db8::2",
        "2001:db8::1",
      ),
      255,
    ],
    [
      icmp(
        136,
        0,
        0x60000000,
        bytesOf(bytes16("ff02::2"), 2, 1, [2, 0, 0, 0, 0, 2]),
        "2001:db8::2",
        "2001:db8::1",
      ),
      255,
    ],
    [
      icmp(
        136,
        0,
        0x60000000,
        bytesOf(bytes16("2001:db8::2"), 2, 1, [3, 0, 0, 0, 0, 2]),
        "2001:db8::2",
        "2001:db8::1",
      ),
      255,
    ],
  ];
  for (const [payload, hops] of cases) {
    bench.v6(ipv6({ source: "2001:db8::2", next: 58, hops, payload }));
    equal(stateOf(bench, "2001:db8::2"), NeighbourState.Incomplete);
  }
  bench.v6(ipv6({ source: "2001:db8::2", next: 58, hops: 255, payload: good }));
  equal(stateOf(bench, "2001:db8::2"), NeighbourState.Reachable);
});

Deno.test("NDP: a solicitation for us is answered and its sender entered as stale", () => {
  const bench = new Bench();
  const payload = icmp(
    135,
    0,
    0,
    bytesOf(bytes16("2001:db8::1"), 1, 1, [2, 0, 0, 0, 0, 2]),
    "2001:db8::2",
    "ff02::1:ff00:1",
  );
  bench.v6(
    ipv6({ source: "2001:db8::2", destination: "ff02::1:ff00:1", next: 58, hops: 255, payload }),
    "33:33:ff:00:00:01",
  );
  const [answer] = bench.take();
  equal(describe(answer), "ICMP6 2001:db8::1 > 2001:db8::2 type 136 code 0");
  // Solicited and override; not a router.
  equal(answer.bytes[44], 0x60);
  equal(stateOf(bench, "2001:db8::2"), NeighbourState.Stale);
});

Deno.test("the interface goes down: what was learned is forgotten, waiting packets are given back", () => {
  const bench = new Bench();
  send(bench, "192.0.2.2", 5);
  bench.stack.setUp(bench.nic, false);
  equal(bench.nic.neighbours.size, 0);
  equal(bench.packetsHeld, 0);
});
