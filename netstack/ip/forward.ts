// Packets for others, passed on where the interface forwards: RFC 1812 section 5.2, RFC 8200; Linux: ip_forward().

import { Hook, Verdict } from "../firewall/hooks.ts";
import type { Nic } from "../nic.ts";
import { Checksum, Gso, type Packet } from "../packet.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { get16 } from "../wire/bytes.ts";
import {
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_NET_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_NO_ROUTE,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_TOO_BIG,
  ICMPV6_UNREACHABLE,
} from "../wire/icmp.ts";
import { IPV4_DONT_FRAGMENT, IPV4_FRAGMENT_AT, IPV4_TTL_AT, sealIpv4Header } from "../wire/ipv4.ts";
import { IPV6_HOPS_AT } from "../wire/ipv6.ts";
import { Fragmentation } from "./ip.ts";
import { UNSPECIFIED_V4, UNSPECIFIED_V6 } from "./output.ts";

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
  // The source is the sender's: any of ours does to find the way.
  const found = stack.routes.find(packet.destination, isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6, 0, route);
  const out = route.nic;
  if (found < 0 && out === null) {
    statistics.OutNoRoutes++;
    if (isV4) stack.icmp.sendError(packet, ICMP_UNREACHABLE, ICMP_NET_UNREACHABLE, 0);
    else stack.icmp.sendError(packet, ICMPV6_UNREACHABLE, ICMPV6_NO_ROUTE, 0);
    return;
  }
  if (out === null) return;
  const { bytes, at } = packet;
  const isFragmentable = isV4 && (get16(bytes, at + IPV4_FRAGMENT_AT) & IPV4_DONT_FRAGMENT) === 0;
  const pieceBytes = packet.gso === Gso.None ? packet.length : packet.transportAt - at + 60 + packet.gsoBytes;
  if (pieceBytes > route.mtu && !isFragmentable) {
    statistics.FragFails++;
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
