// Every match, against packets made for it; and what is refused when a rule is added.

import { deepEqual as equal } from "node:assert/strict";
import type { Nic } from "../nic.ts";
import { EDOM, EINVAL } from "../errno.ts";
import { address, Bench, icmp, ipv4, ipv6, udp } from "../test_support.ts";
import { parsePrefix, prefixBits } from "../address.ts";
import { ACK, SYN } from "../wire/tcp.ts";
import { put16 } from "../wire/bytes.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../wire/numbers.ts";
import { INVALID, UNTRACKED } from "./conntrack/connection.ts";
import { Hook } from "./hooks.ts";
import { matchesAll } from "./match_packet.ts";
import {
  checkMatch,
  type Match,
  MatchKind,
  STATE_INVALID,
  STATE_UNTRACKED,
  TYPE_BROADCAST,
  TYPE_LOCAL,
  TYPE_MULTICAST,
  TYPE_UNICAST,
} from "./matches.ts";
import { PacketView } from "./packet_view.ts";
import { TokenBucket } from "./token_bucket.ts";

const bench = new Bench();

/** Whether `match` holds for a packet of these bytes that comes in by eth0. */
function holds(match: Match, bytes: Uint8Array, note?: (view: PacketView) => void): boolean {
  const checked = checkMatch(match);
  if (typeof checked === "number") throw new Error(`checkMatch answers ${checked}`);
  const view = new PacketView();
  const packet = bench.pool.allocate(bytes.length)!;
  packet.bytes.set(bytes, packet.at);
  const isV4 = bytes[0] >> 4 === 4;
  if (isV4) {
    packet.source.read4(bytes, 12);
    packet.destination.read4(bytes, 16);
  } else {
    packet.source.read6(bytes, 8);
    packet.destination.read6(bytes, 24);
  }
  view.read(Hook.Input, packet, bench.nic, null);
  note?.(view);
  const result = matchesAll(bench.stack, [checked], view);
  packet.release();
  return result;
}
function within(kind: MatchKind.Source | MatchKind.Destination, text: string, isInverted = false): Match {
  const { address, length } = parsePrefix(text)!;
  return { kind, address, bits: prefixBits(length, address.isV4), isInverted };
}
function tcp(flags: number): Uint8Array {
  const bytes = new Uint8Array(20);
  put16(bytes, 0, 40000);
  put16(bytes, 2, 80);
  bytes[12] = 0x50;
  bytes[13] = flags;
  return bytes;
}
const datagram = ipv4({ protocol: 17, payload: udp(1000, 53, "x") });
const segment = ipv4({ protocol: 6, payload: tcp(SYN) });

Deno.test("protocol, source and destination, inverted too", () => {
  equal(holds({ kind: MatchKind.Protocol, protocol: IPPROTO_UDP }, datagram), true);
  equal(holds({ kind: MatchKind.Protocol, protocol: IPPROTO_TCP }, datagram), false);
  equal(holds({ kind: MatchKind.Protocol, protocol: IPPROTO_TCP, isInverted: true }, datagram), true);
  equal(holds(within(MatchKind.Source, "192.0.2.0/24"), datagram), true);
  equal(holds(within(MatchKind.Source, "192.0.2.2/32"), datagram), true);
  equal(holds(within(MatchKind.Source, "192.0.2.128/25"), datagram), false);
  equal(holds(within(MatchKind.Source, "192.0.2.0/24", true), datagram), false);
  equal(holds(within(MatchKind.Destination, "0.0.0.0/0"), datagram), true);
  equal(holds(within(MatchKind.Destination, "2001:db8::/32"), datagram), false);
  const six = ipv6({ next: 17, payload: udp(1, 2, "x", "2001:db8::2", "2001:db8::1") });
  equal(holds(within(MatchKind.Destination, "2001:db8::/32"), six), true);
  equal(holds(within(MatchKind.Destination, "0.0.0.0/0"), six), false);
});

Deno.test("ports: ranges, lists, and none in a later fragment or behind a broken header", () => {
  const to = (first: number, last: number): Match => ({ kind: MatchKind.DestinationPort, first, last });
  equal(holds(to(53, 53), datagram), true);
  equal(holds(to(54, 60), datagram), false);
  equal(holds({ kind: MatchKind.SourcePort, first: 0, last: 1000 }, datagram), true);
  const list = (where: "source" | "destination" | "either"): Match => ({
    kind: MatchKind.Multiport,
    where,
    ranges: [{ first: 20, last: 25 }, { first: 53, last: 53 }],
  });
  equal(holds(list("destination"), datagram), true);
  equal(holds(list("source"), datagram), false);
  equal(holds(list("either"), datagram), true);
  equal(holds(to(0, 65_535), ipv4({ protocol: 17, payload: udp(1, 53, "x"), fragment: 100 })), false);
  equal(holds(to(0, 65_535), ipv4({ protocol: 17, payload: udp(1, 53, "x").slice(0, 7) })), false);
  const not80: Match = { kind: MatchKind.DestinationPort, first: 80, last: 80, isInverted: true };
  equal(holds(not80, datagram), true);
  equal(holds(not80, ipv4({ protocol: 17, payload: udp(1, 53, "x"), fragment: 100 })), false);
  equal(holds(not80, ipv4({ protocol: 47, payload: udp(1, 53, "x") })), false);
  const wrong = udp(1, 53, "x");
  put16(wrong, 4, 500);
  equal(holds(to(0, 65_535), ipv4({ protocol: 17, payload: wrong })), false);
  const doff = tcp(SYN);
  doff[12] = 0xf0;
  equal(holds(to(0, 65_535), ipv4({ protocol: 6, payload: doff })), false);
});

Deno.test("ports behind IPv6 extension headers", () => {
  const payload = new Uint8Array(8 + 9);
  payload[0] = 17;
  payload.set(udp(1, 53, "x", "2001:db8::2", "2001:db8::1"), 8);
  const bytes = ipv6({ next: 60, payload });
  equal(holds({ kind: MatchKind.Protocol, protocol: IPPROTO_UDP }, bytes), true);
  equal(holds({ kind: MatchKind.DestinationPort, first: 53, last: 53 }, bytes), true);
});

Deno.test("interfaces by name and by its beginning", () => {
  const by = (name: string): Match => ({ kind: MatchKind.Incoming, name });
  equal([by("eth0"), by("eth+"), by("+"), by("eth"), by("eth00+")].map((match) => holds(match, datagram)), [
    true,
    true,
    true,
    false,
    false,
  ]);
  equal(holds({ kind: MatchKind.Outgoing, name: "+" }, datagram), false);
  const named: Nic = bench.lo;
  equal(holds(by("lo"), datagram, (view) => view.incoming = named), true);
});

Deno.test("mark, owner and state are read from the packet's notes", () => {
  const mark: Match = { kind: MatchKind.Mark, value: 0x10, mask: 0xf0 };
  equal(holds(mark, datagram, (view) => view.packet.mark = 0x1f), true);
  equal(holds(mark, datagram, (view) => view.packet.mark = 0x2f), false);
  const owner: Match = {
    kind: MatchKind.Owner,
    uids: { first: 5, last: 9 },
    gids: { first: 1, last: 1 },
    wantsSocket: true,
  };
  const owned = (uid: number, gid: number) => (view: PacketView) => {
    view.packet.ownerUid = uid;
    view.packet.ownerGid = gid;
  };
  equal(holds(owner, datagram, owned(9, 1)), true);
  equal(holds(owner, datagram, owned(10, 1)), false);
  equal(holds(owner, datagram, owned(9, 2)), false);
  equal(holds(owner, datagram), false);
  const state = (states: number): Match => ({ kind: MatchKind.State, states });
  equal(holds(state(STATE_INVALID), datagram, (view) => view.packet.connection = INVALID), true);
  equal(holds(state(STATE_INVALID), datagram, (view) => view.packet.connection = UNTRACKED), false);
  equal(holds(state(STATE_UNTRACKED), datagram, (view) => view.packet.connection = UNTRACKED), true);
});

Deno.test("address types, ICMP types and TCP flags", () => {
  const type = (types: number): Match => ({ kind: MatchKind.AddressType, of: "destination", types });
  const to = (destination: string) => ipv4({ protocol: 17, payload: udp(1, 2, "x"), destination });
  equal(holds(type(TYPE_LOCAL), to("192.0.2.1")), true);
  equal(holds(type(TYPE_LOCAL), to("192.0.2.7")), false);
  equal(holds(type(TYPE_UNICAST), to("192.0.2.7")), true);
  equal(holds(type(TYPE_BROADCAST), to("192.0.2.255")), true);
  equal(holds(type(TYPE_MULTICAST), to("224.0.0.9")), true);
  const echo: Match = { kind: MatchKind.Icmp, type: 3, codeFirst: 1, codeLast: 3 };
  equal(holds(echo, ipv4({ protocol: 1, payload: icmp(3, 3, 0, []) })), true);
  equal(holds(echo, ipv4({ protocol: 1, payload: icmp(3, 4, 0, []) })), false);
  equal(holds({ ...echo, type: 255 } as Match, ipv4({ protocol: 1, payload: icmp(8, 2, 0, []) })), true);
  equal(holds(echo, datagram), false);
  const syn: Match = { kind: MatchKind.TcpFlags, mask: SYN | ACK, flags: SYN };
  equal(holds(syn, segment), true);
  equal(holds(syn, ipv4({ protocol: 6, payload: tcp(SYN | ACK) })), false);
});

Deno.test("limit: a burst, then the rate", () => {
  const bucket = new TokenBucket(2, 3);
  const takes = (now: number) => bucket.take(now);
  equal([0, 0, 0, 0].map(takes), [true, true, true, false]);
  equal([0.25e9, 0.5e9, 0.75e9, 1e9].map(takes), [false, true, false, true]);
  equal([100e9, 100e9, 100e9, 100e9].map(takes), [true, true, true, false]);
});

Deno.test("what cannot be is refused when it is entered", () => {
  const refused = (match: Match) => checkMatch(match);
  equal(refused({ kind: MatchKind.Protocol, protocol: 256 }), -EDOM);
  equal(refused({ kind: MatchKind.SourcePort, first: 9, last: 8 }), -EDOM);
  equal(refused({ kind: MatchKind.DestinationPort, first: 0, last: 65_536 }), -EDOM);
  equal(refused({ kind: MatchKind.Source, address: address("10.0.0.0"), bits: 8 }), -EDOM);
  equal(refused({ kind: MatchKind.Multiport, where: "either", ranges: [] }), -EINVAL);
  equal(refused({ kind: MatchKind.Incoming, name: "" }), -EINVAL);
  equal(refused({ kind: MatchKind.Outgoing, name: "sixteen_letters_" }), -EINVAL);
  equal(refused({ kind: MatchKind.State, states: 0 }), -EINVAL);
  equal(refused({ kind: MatchKind.Limit, perSecond: 0, burst: 5 }), -EDOM);
  equal(refused({ kind: MatchKind.Limit, perSecond: NaN, burst: 5 }), -EDOM);
  equal(refused({ kind: MatchKind.Owner, uids: null, gids: null, wantsSocket: false }), -EINVAL);
});
