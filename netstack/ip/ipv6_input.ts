// IPv6 packets that come in: the header, extension headers, fragments, whose they are. RFC 8200.

import { Hook, Verdict } from "../firewall/hooks.ts";
import type { Nic } from "../nic.ts";
import { Checksum, type Packet, PacketType } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { get16, get32 } from "../wire/bytes.ts";
import {
  ICMPV6_BAD_FIELD,
  ICMPV6_BAD_NEXT_HEADER,
  ICMPV6_BAD_OPTION,
  ICMPV6_PARAMETER_PROBLEM,
} from "../wire/icmp.ts";
import {
  IPV6_BYTES,
  IPV6_DESTINATION_AT,
  IPV6_FRAGMENT_BYTES,
  IPV6_HOPS_AT,
  IPV6_NEXT_AT,
  IPV6_PAYLOAD_AT,
  IPV6_SOURCE_AT,
  ipv6TrafficClass,
} from "../wire/ipv6.ts";
import {
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_NONE,
  IPPROTO_ROUTING,
} from "../wire/numbers.ts";
import { deliver } from "./deliver.ts";
import { forward } from "./forward.ts";

/** Extension headers of one packet, and options in one of them, at most (RFC 8504 section 5.3). */
const EXTENSIONS_MAX = 8;
const OPTIONS_MAX = 64;

export function receiveIpv6(stack: Stack, packet: Packet, nic: Nic): void {
  const statistics = stack.ipv6;
  statistics.InReceives++;
  statistics.InOctets += packet.length;
  if (!parse(stack, packet, nic)) return;
  if (stack.firewall !== null) {
    const verdict = stack.firewall.run(Hook.Prerouting, packet, nic, null);
    if (verdict === Verdict.Drop || verdict === Verdict.Rejected) return;
  }
  const { destination } = packet;
  if (destination.isMulticast) {
    statistics.InMcastPkts++;
    statistics.InMcastOctets += packet.length;
    // All nodes is everybody's group.
    const isAllNodes = destination.d === 1 && destination.c === 0 && destination.b === 0;
    if (!isAllNodes && !nic.isMember(destination)) return;
  } else if (!isOurs(stack, packet, nic) && !nic.takesAll) {
    if (packet.packetType === PacketType.Host) forward(stack, packet, nic);
    else statistics.InAddrErrors++;
    return;
  }
  walk(stack, packet, nic);
}

/** A tentative address takes nothing but neighbour discovery, which goes to its group. */
function isOurs(stack: Stack, packet: Packet, nic: Nic): boolean {
  const { destination } = packet;
  return destination.isLinkLocal
    ? nic.hasAddress(destination) || nic.isLoopback && stack.nicOf(destination) !== null
    : stack.nicOf(destination) !== null;
}

function parse(stack: Stack, packet: Packet, nic: Nic): boolean {
  const statistics = stack.ipv6;
  const { bytes, at } = packet;
  if (packet.length < IPV6_BYTES || bytes[at] >> 4 !== 6) {
    statistics.InHdrErrors++;
    return false;
  }
  const payloadBytes = get16(bytes, at + IPV6_PAYLOAD_AT);
  if (IPV6_BYTES + payloadBytes > packet.length) {
    statistics.InTruncatedPkts++;
    return false;
  }
  packet.end = at + IPV6_BYTES + payloadBytes;
  packet.networkAt = at;
  packet.source.read6(bytes, at + IPV6_SOURCE_AT);
  packet.destination.read6(bytes, at + IPV6_DESTINATION_AT);
  packet.protocol = bytes[at + IPV6_NEXT_AT];
  packet.ttl = bytes[at + IPV6_HOPS_AT];
  packet.tos = ipv6TrafficClass(bytes, at);
  packet.transportAt = at + IPV6_BYTES;
  statistics.countEcn(packet.tos);
  const { source, destination } = packet;
  // RFC 4291 sections 2.5.3 and 2.7; mapped addresses have no place on a wire, and would pass for IPv4 here.
  const isForeignLoopback = !nic.isLoopback && (source.isLoopback || destination.isLoopback);
  if (
    source.isMulticast || isForeignLoopback || destination.isUnspecified || source.isV4 || destination.isV4 ||
    !nic.isLoopback && packet.packetType !== PacketType.Outgoing && !source.isUnspecified &&
      nic.hasAddress(source)
  ) {
    statistics.InAddrErrors++;
    return false;
  }
  return true;
}

/** Goes over the extension headers to the protocol. */
function walk(stack: Stack, packet: Packet, nic: Nic): void {
  const { bytes } = packet;
  let next = packet.protocol;
  let nextAt = packet.networkAt + IPV6_NEXT_AT;
  let at = packet.transportAt;
  for (let n = 0; n < EXTENSIONS_MAX; n++) {
    switch (next) {
      case IPPROTO_HOPOPTS:
        // RFC 8200 section 4.3: nowhere but right behind the header.
        if (at !== packet.networkAt + IPV6_BYTES) {
          problem(stack, packet, ICMPV6_BAD_NEXT_HEADER, nextAt);
          return;
        }
        if (!takeOptions(stack, packet, at)) return;
        break;
      case IPPROTO_DSTOPTS:
        if (!takeOptions(stack, packet, at)) return;
        break;
      case IPPROTO_ROUTING:
        if (at + 8 > packet.end) return void stack.ipv6.InHdrErrors++;
        // RFC 8200 section 4.4: nothing left to visit, or a type we do not know. Type 0 is gone (RFC 5095).
        if (bytes[at + 3] !== 0) {
          problem(stack, packet, ICMPV6_BAD_FIELD, at + 2);
          return;
        }
        break;
      case IPPROTO_FRAGMENT:
        takeFragment(stack, packet, nic, at, nextAt);
        return;
      case IPPROTO_NONE:
        return;
      default:
        packet.protocol = next;
        packet.transportAt = at;
        packet.nextHeaderAt = nextAt;
        deliver(stack, packet, nic);
        return;
    }
    const length = at + 2 > packet.end ? 0 : (bytes[at + 1] + 1) * 8;
    if (length === 0 || at + length > packet.end) {
      stack.ipv6.InHdrErrors++;
      return;
    }
    next = bytes[at];
    nextAt = at;
    at += length;
  }
  stack.ipv6.InHdrErrors++;
}

/** Options of a hop-by-hop or destination header at `at`, RFC 8200 section 4.2; false when the packet ends here. */
function takeOptions(stack: Stack, packet: Packet, at: number): boolean {
  const { bytes } = packet;
  const end = at + 2 > packet.end ? Infinity : at + (bytes[at + 1] + 1) * 8;
  if (end > packet.end) {
    stack.ipv6.InHdrErrors++;
    return false;
  }
  let option = at + 2;
  for (let n = 0; option < end; n++) {
    const type = bytes[option];
    if (type === 0) {
      option++;
      continue;
    }
    if (n >= OPTIONS_MAX || option + 2 > end || option + 2 + bytes[option + 1] > end) {
      stack.ipv6.InHdrErrors++;
      return false;
    }
    // Padding and router alert are known; the two highest bits say what to do with the others.
    if (type !== 1 && type !== 5 && type >> 6 !== 0) {
      stack.ipv6.InHdrErrors++;
      const action = type >> 6;
      if (action === 2 || action === 3 && !packet.destination.isMulticast) {
        stack.icmp.sendError(packet, ICMPV6_PARAMETER_PROBLEM, ICMPV6_BAD_OPTION, option - packet.networkAt);
      }
      return false;
    }
    option += 2 + bytes[option + 1];
  }
  return true;
}

/** RFC 8200 section 4.5; an atomic fragment is a packet like any other (RFC 6946). */
function takeFragment(stack: Stack, packet: Packet, nic: Nic, at: number, nextAt: number): void {
  const { bytes } = packet;
  if (at + IPV6_FRAGMENT_BYTES > packet.end) {
    stack.ipv6.InHdrErrors++;
    return;
  }
  const next = bytes[at];
  const field = get16(bytes, at + 2);
  const hasMore = (field & 1) !== 0, offset = field & 0xfff8;
  const payloadAt = at + IPV6_FRAGMENT_BYTES;
  if (hasMore && (packet.end - payloadAt) % 8 !== 0) {
    problem(stack, packet, ICMPV6_BAD_FIELD, packet.networkAt + IPV6_PAYLOAD_AT);
    return;
  }
  if (offset === 0 && !hasMore) {
    packet.protocol = next;
    packet.transportAt = payloadAt;
    packet.nextHeaderAt = at;
    resume(stack, packet, nic);
    return;
  }
  const id = get32(bytes, at + 4);
  // The whole has no fragment header: what named it names what follows it.
  bytes[nextAt] = next;
  const whole = stack.reassembly.add(packet, id, IPPROTO_FRAGMENT, at, payloadAt, offset, hasMore);
  if (whole === null) return;
  whole.checksum = Checksum.Unknown;
  whole.nicId = nic.id;
  whole.timestamp = packet.timestamp;
  whole.networkAt = whole.at;
  putPayloadLength(whole);
  // The first fragment's headers count, whichever piece came last; without a fragment header they end at the payload.
  if (!findPayload(whole)) {
    stack.ipv6.InHdrErrors++;
    whole.release();
    return;
  }
  resume(stack, whole, nic);
  whole.release();
}

/** Goes over the headers before the fragment header, which were checked as its piece came in. */
function findPayload(whole: Packet): boolean {
  const { bytes } = whole;
  let nextAt = whole.at + IPV6_NEXT_AT, at = whole.at + IPV6_BYTES;
  for (let n = 0; n < EXTENSIONS_MAX; n++) {
    const next = bytes[nextAt];
    whole.protocol = next;
    whole.transportAt = at;
    whole.nextHeaderAt = nextAt;
    if (next !== IPPROTO_HOPOPTS && next !== IPPROTO_ROUTING && next !== IPPROTO_DSTOPTS) return true;
    if (at + 8 > whole.end) return false;
    // Destination options may stand before or behind the fragment header: resume() goes on from here.
    if (next === IPPROTO_DSTOPTS) return true;
    nextAt = at;
    at += (bytes[at + 1] + 1) * 8;
  }
  return false;
}

function putPayloadLength(packet: Packet): void {
  const length = packet.length - IPV6_BYTES;
  packet.bytes[packet.at + IPV6_PAYLOAD_AT] = length >>> 8;
  packet.bytes[packet.at + IPV6_PAYLOAD_AT + 1] = length;
}

/** Extension headers may follow the fragment header: destination options do. Another fragment header may not. */
function resume(stack: Stack, packet: Packet, nic: Nic): void {
  const { bytes } = packet;
  let at = packet.transportAt;
  for (let n = 0; n < EXTENSIONS_MAX && packet.protocol === IPPROTO_DSTOPTS; n++) {
    if (!takeOptions(stack, packet, at)) return;
    packet.protocol = bytes[at];
    packet.nextHeaderAt = at;
    at += (bytes[at + 1] + 1) * 8;
  }
  packet.transportAt = at;
  if (packet.protocol === IPPROTO_FRAGMENT || packet.protocol === IPPROTO_HOPOPTS) {
    stack.ipv6.InHdrErrors++;
    return;
  }
  if (packet.protocol !== IPPROTO_NONE) deliver(stack, packet, nic);
}

function problem(stack: Stack, packet: Packet, code: number, at: number): void {
  stack.ipv6.InHdrErrors++;
  stack.icmp.sendError(packet, ICMPV6_PARAMETER_PROBLEM, code, at - packet.networkAt);
}
