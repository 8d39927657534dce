// Trackers: the states of TCP seen by a third party, who may begin a connection, the table, hostile packets.

import { deepEqual as equal, ok as holds } from "node:assert/strict";
import { SeededRandom } from "../../random.ts";
import {
  address,
  Bench,
  bytesOf,
  icmp,
  ipv4,
  type Ipv4Fields,
  ipv6,
  sealed,
  udp,
} from "../../test_support.ts";
import { put16, put32 } from "../../wire/bytes.ts";
import { ACK, FIN, PSH, RST, SYN, URG } from "../../wire/tcp.ts";
import { Firewall } from "../firewall.ts";
import { Hook } from "../hooks.ts";
import { MatchKind, STATE_INVALID } from "../matches.ts";
import { RejectWith, TargetKind } from "../targets.ts";
import { ChainType } from "../tables.ts";
import { add, chainOf, destinationNat, DROP, MASQUERADE, redirect, state } from "../test_support.ts";
import { connectionText } from "./text.ts";

/** A forwarder between 192.0.2.0/24 and 198.51.100.0/24: segments are injected, the state is read from the table. */
class Middle {
  readonly bench = new Bench(1, { addresses: ["192.0.2.1/24", "2001:db8::1/64"] });
  readonly firewall = new Firewall(this.bench.stack);
  readonly invalid = chainOf(this.firewall, Hook.Forward, ChainType.Filter);

  constructor() {
    const { bench } = this;
    bench.stack.firewall = this.firewall;
    const { nic } = bench.addNic("eth1", "02:00:00:00:00:09", ["198.51.100.1/24"]);
    bench.nic.isForwarding = nic.isForwarding = true;
    bench.know("192.0.2.2");
    bench.know("198.51.100.2", undefined, nic);
    this.firewall.keepsTracking = true;
    add(this.invalid, [state(STATE_INVALID)], DROP);
  }
  get table() {
    return this.firewall.conntrack.table;
  }
  segment(flags: number, isReply = false, sequence = 100, ack = 0, port = 4000): void {
    const [source, destination] = isReply ? ["198.51.100.2", "192.0.2.2"] : ["192.0.2.2", "198.51.100.2"];
    const bytes = new Uint8Array(20);
    put16(bytes, 0, isReply ? 80 : port);
    put16(bytes, 2, isReply ? port : 80);
    put32(bytes, 4, sequence);
    put32(bytes, 8, ack);
    bytes[12] = 0x50;
    bytes[13] = flags;
    this.inject(
      { source, destination, protocol: 6, payload: sealed(bytes, 16, 6, source, destination) },
      isReply,
    );
  }
  inject(fields: Ipv4Fields, isReply = false): void {
    const nic = isReply ? this.bench.stack.nics[3]! : this.bench.nic;
    this.bench.v4(ipv4(fields), isReply ? "02:00:00:00:00:09" : undefined, nic);
  }
  /** State and time left, "none" = no entry. */
  get state(): string {
    for (const connection of this.table.connections()) {
      const text = connectionText(connection, this.bench.now);
      const found = /tcp +6 (\d+) (\w+) /.exec(text);
      return `${found![2]} ${found![1]}${connection.isAssured ? " assured" : ""}`;
    }
    return "none";
  }
}

Deno.test("TCP: open, data, close; states and times as Linux'", () => {
  const middle = new Middle();
  const seen: string[] = [];
  const step = (flags: number, isReply = false) => {
    middle.segment(flags, isReply);
    seen.push(middle.state);
  };
  step(SYN);
  step(SYN | ACK, true);
  step(ACK);
  step(ACK | PSH, true);
  step(FIN | ACK);
  step(ACK, true);
  step(FIN | ACK, true);
  step(ACK);
  equal(seen, [
    "SYN_SENT 120",
    "SYN_RECV 60",
    "ESTABLISHED 432000 assured",
    "ESTABLISHED 432000 assured",
    "FIN_WAIT 120 assured",
    "CLOSE_WAIT 60 assured",
    "LAST_ACK 30 assured",
    "TIME_WAIT 120 assured",
  ]);
  equal(middle.invalid.rules[0].packets, 0);
  // A new SYN of the same ports begins anew.
  step(SYN);
  equal(middle.state, "SYN_SENT 120");
  equal(middle.table.size, 1);
});

Deno.test("TCP: simultaneous open", () => {
  const middle = new Middle();
  middle.segment(SYN);
  middle.segment(SYN, true);
  equal(middle.state, "SYN_SENT2 120");
  middle.segment(SYN | ACK);
  equal(middle.state, "SYN_RECV 60");
  middle.segment(ACK);
  equal(middle.state, "ESTABLISHED 432000 assured");
});

Deno.test("TCP: what cannot begin a connection is invalid; an ACK picks up an old one for five minutes", () => {
  const middle = new Middle();
  for (const flags of [SYN | ACK, RST, FIN | ACK, SYN | FIN, 0, FIN | PSH | URG, SYN | RST]) {
    middle.segment(flags);
  }
  equal(middle.invalid.rules[0].packets, 7);
  equal(middle.state, "none");
  middle.segment(ACK);
  equal(middle.state, "ESTABLISHED 300");
});

Deno.test("TCP: a reset behind what was acknowledged is a forgery, a fitting one closes", () => {
  const middle = new Middle();
  middle.segment(SYN, false, 100);
  middle.segment(SYN | ACK, true, 5000, 101);
  middle.segment(ACK, false, 101, 6000);
  middle.segment(RST, true, 5500);
  equal([middle.state, middle.invalid.rules[0].packets], ["ESTABLISHED 432000 assured", 1]);
  middle.segment(RST, true, 6000);
  equal(middle.state, "CLOSE 10 assured");
  middle.bench.advance(12e9);
  equal(middle.table.size, 0);
});

Deno.test("TCP: a refused SYN leaves a short entry, a bad checksum none", () => {
  const middle = new Middle();
  middle.segment(SYN);
  middle.segment(RST | ACK, true, 0, 101);
  equal(middle.state, "CLOSE 10");
  middle.table.clear();
  const bytes = new Uint8Array(20);
  put16(bytes, 2, 80);
  bytes[12] = 0x50;
  bytes[13] = SYN;
  middle.inject({ destination: "198.51.100.2", protocol: 6, payload: bytes });
  equal(middle.state, "none");
  equal(middle.invalid.rules[0].packets, 1);
});

Deno.test("UDP becomes a stream, assured, by answers over two seconds; other protocols stay ten minutes", () => {
  const middle = new Middle();
  const payload = udp(4000, 53, "x", "192.0.2.2", "198.51.100.2");
  const back = udp(53, 4000, "x", "198.51.100.2", "192.0.2.2");
  const ask = () => middle.inject({ destination: "198.51.100.2", protocol: 17, payload });
  ask();
  middle.inject({ source: "198.51.100.2", destination: "192.0.2.2", protocol: 17, payload: back }, true);
  const [connection] = [...middle.table.connections()];
  const left = () => Math.round((connection.expires - middle.bench.now) / 1e9);
  equal([left(), connection.isAssured, connection.hasReply], [30, false, true]);
  middle.bench.advance(3e9);
  ask();
  equal([left(), connection.isAssured], [120, true]);
  equal([connection.originalPackets, connection.replyPackets], [2, 1]);
  middle.table.clear();
  middle.inject({ destination: "198.51.100.2", protocol: 47, payload: bytesOf(1, 2, 3, 4) });
  const [other] = [...middle.table.connections()];
  equal(Math.round((other.expires - middle.bench.now) / 1e9), 600);
});

Deno.test("the table: many entries, swept in parts; nothing stays, and early ends come early", () => {
  const middle = new Middle();
  for (let port = 1; port <= 3000; port++) middle.segment(SYN, false, 1, 0, port);
  equal(middle.table.size, 3000);
  equal([...middle.table.connections()].length, 3000);
  equal(middle.table.removeAll((connection) => connection.original.sourcePort <= 1000), 1000);
  middle.bench.advance(119e9);
  equal(middle.table.size, 2000);
  middle.bench.advance(4e9);
  equal(middle.table.size, 0);
});

Deno.test("an ICMP error about a stranger's packet is invalid; neighbour discovery is not tracked", () => {
  const middle = new Middle();
  const quoted = ipv4({
    source: "192.0.2.2",
    destination: "198.51.100.2",
    protocol: 17,
    payload: udp(4000, 53, "x", "192.0.2.2", "198.51.100.2"),
  });
  const error = icmp(3, 3, 0, quoted, "198.51.100.2", "192.0.2.2");
  const tell = () =>
    middle.inject({ source: "198.51.100.2", destination: "192.0.2.2", protocol: 1, payload: error }, true);
  tell();
  equal(middle.invalid.rules[0].packets, 1);
  middle.inject({
    destination: "198.51.100.2",
    protocol: 17,
    payload: udp(4000, 53, "x", "192.0.2.2", "198.51.100.2"),
  });
  tell();
  equal(middle.invalid.rules[0].packets, 1);
  equal(middle.table.statistics.icmpError, 1);
});

Deno.test("hostile packets: headers cut, lengths wrong, quotations in quotations; the rules hold and nothing is lost", () => {
  const middle = new Middle();
  const { bench, firewall } = middle;
  add(
    chainOf(firewall, Hook.Postrouting, ChainType.Nat),
    [{ kind: MatchKind.Outgoing, name: "eth1" }],
    MASQUERADE,
  );
  add(chainOf(firewall, Hook.Prerouting, ChainType.Nat), [
    { kind: MatchKind.DestinationPort, first: 80, last: 80 },
  ], destinationNat("198.51.100.2", 8080));
  add(chainOf(firewall, Hook.Prerouting, ChainType.Nat), [
    { kind: MatchKind.SourcePort, first: 0, last: 30_000 },
  ], redirect(9));
  add(chainOf(firewall, Hook.Input, ChainType.Filter), [], { kind: TargetKind.Log, prefix: "in " });
  add(chainOf(firewall, Hook.Input, ChainType.Filter), [
    { kind: MatchKind.DestinationPort, first: 9, last: 9 },
  ], { kind: TargetKind.Reject, with: RejectWith.TcpReset });
  firewall.conntrack.table.connectionsMax = 500;
  const random = new SeededRandom(7);
  const segment = new Uint8Array(40);
  segment[12] = 0x50;
  segment[13] = SYN;
  for (let n = 0; n < 20_000; n++) {
    const destination = random.below(2) === 0 ? "198.51.100.2" : "192.0.2.1";
    const source = `192.0.2.${2 + random.below(200)}`;
    const four = (protocol: number, payload: Uint8Array) => ipv4({ protocol, payload, destination, source });
    const ask = () => udp(random.below(65_536), random.below(100), "abcdefgh", source, destination);
    put32(segment, 0, random.word());
    const inner = four([1, 6, 17, 58, 44][random.below(5)], ask());
    const choices = [
      () => four(6, sealed(segment.slice(), 16, 6, source, destination)),
      () => four(17, ask()),
      () => four(1, icmp([3, 5, 8, 11, 12, 0, 13][random.below(7)], random.below(16), random.word(), inner)),
      () => ipv6({ next: [6, 17, 58, 0, 43, 44, 60][random.below(7)], payload: segment, hops: 255 }),
      () => ipv6({ next: 58, payload: icmp(random.below(256), 0, 0, segment, "2001:db8::2", "2001:db8::1") }),
      () =>
        ipv4({
          protocol: 17,
          payload: segment,
          fragment: random.word() & 0x3fff,
          id: random.below(3),
          destination,
        }),
    ];
    const bytes = choices[random.below(choices.length)]();
    const headerBytes = bytes[0] >> 4 === 4 ? 20 : 40;
    // The IP header stays sound, or the packet would not come so far; what follows is bent.
    for (let k = random.below(4); k > 0; k--) {
      const at = headerBytes + random.below(bytes.length - headerBytes);
      bytes[at] = random.word();
    }
    const end = random.below(3) === 0 ? headerBytes + random.below(bytes.length - headerBytes) : bytes.length;
    if (bytes[0] >> 4 === 6) {
      put16(bytes, 4, end - headerBytes);
      bench.v6(bytes.slice(0, end));
    } else {
      const cut = ipv4({
        source: `192.0.2.${bytes[15]}`,
        destination: address(destination).toString(),
        protocol: bytes[9],
        fragment: bytes[6] << 8 | bytes[7],
        id: bytes[4] << 8 | bytes[5],
        payload: bytes.slice(headerBytes, end),
      });
      bench.v4(cut);
    }
    if (n % 100 === 0) bench.take();
    holds(firewall.conntrack.table.size <= 500);
  }
  firewall.conntrackText();
  holds(firewall.conntrack.table.statistics.insert > 500);
  holds(firewall.conntrack.table.statistics.invalid > 500);
  // All entries end, and all memory comes back.
  bench.advance(1000e9);
  bench.take();
  for (const nic of bench.stack.nics) {
    (nic?.link as { inner?: { sent?: unknown[] } } | undefined)?.inner?.sent?.splice(0);
  }
  equal(firewall.conntrack.table.size, 0);
  bench.stack.close();
  equal(bench.packetsHeld, 0);
});
