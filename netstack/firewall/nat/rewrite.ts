// Changes addresses and ports in a packet and what depends on them: header checksum, transport checksum (RFC 1624), the sum
// of the pseudo header where the rest is left to the device. Linux: nf_nat_manip_pkt(), nf_nat_csum_recalc().

import type { Address } from "../../address.ts";
import { Checksum, type Packet } from "../../packet.ts";
import { get16, put16 } from "../../wire/bytes.ts";
import {
  checksumOf,
  fold,
  putChecksum,
  sumBytes,
  sumPseudoHeader,
  updateChecksum,
} from "../../wire/checksum.ts";
import { ICMP_CHECKSUM_AT } from "../../wire/icmp.ts";
import { IPV4_CHECKSUM_AT, IPV4_DESTINATION_AT, IPV4_SOURCE_AT } from "../../wire/ipv4.ts";
import { IPV6_DESTINATION_AT, IPV6_SOURCE_AT } from "../../wire/ipv6.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "../../wire/numbers.ts";
import { TCP_CHECKSUM_AT } from "../../wire/tcp.ts";
import { UDP_CHECKSUM_AT } from "../../wire/udp.ts";
import { NAT_SOURCE } from "../conntrack/connection.ts";
import { ICMP_IDENTIFIER_AT } from "../conntrack/tuple.ts";

/** Offset of the transport checksum, -1 = none that we know. */
function checksumOffset(protocol: number): number {
  switch (protocol) {
    case IPPROTO_TCP:
      return TCP_CHECKSUM_AT;
    case IPPROTO_UDP:
      return UDP_CHECKSUM_AT;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return ICMP_CHECKSUM_AT;
    default:
      return -1;
  }
}

/**
 * Rewrites the packet at `networkAt` of `bytes`, its transport header at `transportAt`, as far as it reaches (`end`): a
 * quotation may end early. `side` = NAT_SOURCE or NAT_DESTINATION: which address, and which port, become `address`, `port`.
 */
export function rewriteAt(
  bytes: Uint8Array,
  networkAt: number,
  transportAt: number,
  end: number,
  protocol: number,
  side: number,
  address: Address,
  port: number,
  isPartial: boolean,
): void {
  const { isV4 } = address;
  const offset = checksumOffset(protocol);
  let checksumAt = offset < 0 || transportAt + offset + 2 > end ? -1 : transportAt + offset;
  // RFC 768: a datagram without a checksum stays without.
  const isUdp = protocol === IPPROTO_UDP;
  if (isUdp && checksumAt >= 0 && !isPartial && get16(bytes, checksumAt) === 0) checksumAt = -1;
  const isSource = side === NAT_SOURCE;
  // ICMP's own checksum has no pseudo header, ICMPv6's has.
  const addressChecksumAt = protocol === IPPROTO_ICMP ? -1 : checksumAt;
  if (isV4) {
    const at = networkAt + (isSource ? IPV4_SOURCE_AT : IPV4_DESTINATION_AT);
    const headerAt = networkAt + IPV4_CHECKSUM_AT;
    changeWord(bytes, at, address.d >>> 16, addressChecksumAt, isPartial, headerAt);
    changeWord(bytes, at + 2, address.d & 0xffff, addressChecksumAt, isPartial, headerAt);
  } else {
    const at = networkAt + (isSource ? IPV6_SOURCE_AT : IPV6_DESTINATION_AT);
    changePair(bytes, at, address.a, addressChecksumAt, isPartial);
    changePair(bytes, at + 4, address.b, addressChecksumAt, isPartial);
    changePair(bytes, at + 8, address.c, addressChecksumAt, isPartial);
    changePair(bytes, at + 12, address.d, addressChecksumAt, isPartial);
  }
  const portAt = portOffset(protocol, isSource);
  if (portAt >= 0 && transportAt + portAt + 2 <= end) {
    // With a Partial checksum the device sums ports as they are.
    changeWord(bytes, transportAt + portAt, port, isPartial ? -1 : checksumAt, false, -1);
  }
  if (isUdp && checksumAt >= 0 && !isPartial && get16(bytes, checksumAt) === 0) {
    put16(bytes, checksumAt, 0xffff);
  }
}

function portOffset(protocol: number, isSource: boolean): number {
  if (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) return isSource ? 0 : 2;
  return protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6 ? ICMP_IDENTIFIER_AT : -1;
}

function changePair(
  bytes: Uint8Array,
  at: number,
  word: number,
  checksumAt: number,
  isPartial: boolean,
): void {
  changeWord(bytes, at, word >>> 16, checksumAt, isPartial, -1);
  changeWord(bytes, at + 2, word & 0xffff, checksumAt, isPartial, -1);
}

/** Stores `now`; fixes the checksum at `checksumAt` and the header's at `headerAt`, -1 = none. */
function changeWord(
  bytes: Uint8Array,
  at: number,
  now: number,
  checksumAt: number,
  isPartial: boolean,
  headerAt: number,
): void {
  const old = get16(bytes, at);
  if (old === now) return;
  put16(bytes, at, now);
  if (headerAt >= 0) updateChecksum(bytes, headerAt, old, now);
  if (checksumAt < 0) return;
  if (isPartial) put16(bytes, checksumAt, fold(get16(bytes, checksumAt) + (~old & 0xffff) + now));
  else updateChecksum(bytes, checksumAt, old, now);
}

/** Rewrites the packet itself, whose IP header is at packet.at, and what is noted of it. */
export function rewritePacket(
  packet: Packet,
  transportAt: number,
  protocol: number,
  side: number,
  address: Address,
  port: number,
): void {
  const isPartial = packet.checksum === Checksum.Partial;
  rewriteAt(packet.bytes, packet.at, transportAt, packet.end, protocol, side, address, port, isPartial);
  (side === NAT_SOURCE ? packet.source : packet.destination).copy(address);
}

/** Computes the checksum of an ICMP message whose contents have changed. */
export function resealIcmp(packet: Packet, transportAt: number, isV4: boolean): void {
  const { bytes } = packet;
  const length = packet.end - transportAt;
  put16(bytes, transportAt + ICMP_CHECKSUM_AT, 0);
  const start = isV4 ? 0 : sumPseudoHeader(packet.source, packet.destination, IPPROTO_ICMPV6, length);
  putChecksum(bytes, transportAt + ICMP_CHECKSUM_AT, checksumOf(sumBytes(start, bytes, transportAt, length)));
}
