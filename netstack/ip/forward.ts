// Packets for others, passed on where the interface forwards: RFC 1812 section 5.2, RFC 8200; Linux: ip_forward().

import { Hook, Verdict } from "../firewall/hooks.ts";
import type { Nic } from "../nic.ts";
import { Checksum, Gso, type Packet } from "../packet.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { get16 } from "../wire/bytes.ts";
import {
  ICMP_ADMINISTRATIVELY_PROHIBITED,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HOST_UNREACHABLE,
  ICMP_NET_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_ADDRESS_UNREACHABLE,
  ICMPV6_NO_ROUTE,
  ICMPV6_PROHIBITED,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_TOO_BIG,
  ICMPV6_UNREACHABLE,
} from "../wire/icmp.ts";
import { EACCES, EHOSTUNREACH, EINVAL } from "../errno.ts";
import { IPV4_DONT_FRAGMENT, IPV4_FRAGMENT_AT, IPV4_TTL_AT, sealIpv4Header } from "../wire/ipv4.ts";
import { IPV6_HOPS_AT } from "../wire/ipv6.ts";
import { TCP_OFFSET_AT } from "../wire/tcp.ts";
import { UDP_BYTES } from "../wire/udp.ts";
import { Fragmentation } from "./ip.ts";

const route = new Route();

/** The packet stays the caller's: what is sent on is a copy, as its memory belongs to the link it came from. */
export function forward(stack: Stack, packet: Packet, nic: Nic): void {
  const isV4 = packet.destination.isV4;
  const statistics = isV4 ? stack.ipv4 : stack.ipv6;
  if (!nic.isForwarding || packet.source.isUnspecified || packet.source.isLoopback) {
    statistics.InAddrErrors++;
    return;
  }
  // Neither end may be of this link alone (RFC 3927 section 2.7, RFC 4291 section 2.5.6).
  if (packet.source.isLinkLocal || packet.destination.isLinkLocal) {
    statistics.InAddrErrors++;
    return;
  }
  if (packet.ttl <= 1) {
    statistics.InHdrErrors++;
    stack.icmp.sendError(packet, isV4 ? ICMP_TIME_EXCEEDED : ICMPV6_TIME_EXCEEDED, 0, 0);
    return;
  }
  const found = stack.routes.find(packet.destination, packet.source, 0, route, packet.mark, nic);
  const out = route.nic;
  if (found < 0 || out === null) {
    statistics.OutNoRoutes++;
    statistics.InNoRoutes++;
    tellNoRoute(stack, packet, isV4, found);
    return;
  }
  // RFC 2644: a broadcast of another network is not passed on.
  if (route.isBroadcast) {
    statistics.InAddrErrors++;
    return;
  }
  const { bytes, at } = packet;
  const isFragmentable = isV4 && (get16(bytes, at + IPV4_FRAGMENT_AT) & IPV4_DONT_FRAGMENT) === 0;
  const pieceBytes = packet.gso === Gso.None ? packet.length : headerBytesOf(packet) + packet.gsoBytes;
  // A train is not cut to fragments of its pieces: who may not pass with them may not pass.
  if (pieceBytes > route.mtu && (!isFragmentable || packet.gso !== Gso.None)) {
    statistics.FragFails++;
    statistics.InTooBigErrors++;
    if (isV4) stack.icmp.sendError(packet, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, route.mtu);
    else stack.icmp.sendError(packet, ICMPV6_TOO_BIG, 0, route.mtu);
    return;
  }
  if (stack.firewall !== null) {
    const verdict = stack.firewall.run(Hook.Forward, packet, nic, out);
    if (verdict === Verdict.Drop || verdict === Verdict.Rejected) return;
  }
  const copy = stack.pool.clone(packet);
  if (copy === null) {
    statistics.InDiscards++;
    return;
  }
  if (isV4) {
    copy.bytes[copy.at + IPV4_TTL_AT]--;
    sealIpv4Header(copy.bytes, copy.at);
  } else {
    copy.bytes[copy.at + IPV6_HOPS_AT]--;
  }
  copy.ttl--;
  copy.isBridged = false;
  // Valid was said of what came in; the link that takes it is to leave it alone, not to compute it anew.
  if (copy.checksum === Checksum.Valid) copy.checksum = Checksum.Unknown;
  statistics.ForwDatagrams++;
  stack.ip.transmit(copy, route, isFragmentable ? Fragmentation.Allowed : Fragmentation.Forbidden);
}

/** Headers of each piece of a train. */
function headerBytesOf(packet: Packet): number {
  const { bytes, at, transportAt } = packet;
  const transportBytes = packet.gso === Gso.Udp ? UDP_BYTES : (bytes[transportAt + TCP_OFFSET_AT] >> 4) * 4;
  return transportAt - at + transportBytes;
}

/** What the routing table answered, as an ICMP error: RFC 1812 section 5.2.7.1, RFC 4443 section 3.1. */
function tellNoRoute(stack: Stack, packet: Packet, isV4: boolean, found: number): void {
  if (found === -EINVAL) return;
  let code = isV4 ? ICMP_NET_UNREACHABLE : ICMPV6_NO_ROUTE;
  if (found === -EHOSTUNREACH) code = isV4 ? ICMP_HOST_UNREACHABLE : ICMPV6_ADDRESS_UNREACHABLE;
  if (found === -EACCES) code = isV4 ? ICMP_ADMINISTRATIVELY_PROHIBITED : ICMPV6_PROHIBITED;
  stack.icmp.sendError(packet, isV4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE, code, 0);
}
