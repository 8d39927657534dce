// IPv4 packets that come in: checks of the header, the filter, whose they are, fragments. RFC 791, RFC 1122 section 3.2,
// RFC 1812 section 5.

import { Hook, Verdict } from "../firewall/hooks.ts";
import type { Nic } from "../nic.ts";
import { Checksum, type Packet, PacketType } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { get16, put16 } from "../wire/bytes.ts";
import { fold, sumBytes } from "../wire/checksum.ts";
import { ICMP_PARAMETER_PROBLEM } from "../wire/icmp.ts";
import {
  IPV4_BYTES,
  IPV4_DESTINATION_AT,
  IPV4_FRAGMENT_AT,
  IPV4_ID_AT,
  IPV4_LENGTH_AT,
  IPV4_MORE_FRAGMENTS,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL_AT,
  IPV4_SOURCE_AT,
  IPV4_TOS_AT,
  IPV4_TTL_AT,
  ipv4HeaderBytes,
  ipv4TotalBytes,
  sealIpv4Header,
} from "../wire/ipv4.ts";
import { deliver } from "./deliver.ts";
import { forward } from "./forward.ts";
import { checkIpv4Options } from "./options_v4.ts";

export function receiveIpv4(stack: Stack, packet: Packet, nic: Nic): void {
  const statistics = stack.ipv4;
  statistics.InReceives++;
  statistics.InOctets += packet.length;
  if (!parse(stack, packet, nic)) return;
  if (stack.firewall !== null) {
    const verdict = stack.firewall.run(Hook.Prerouting, packet, nic, null);
    if (verdict === Verdict.Drop || verdict === Verdict.Rejected) return;
  }
  const { destination } = packet;
  const isBroadcast = nic.isBroadcast(destination);
  if (isBroadcast) {
    statistics.InBcastPkts++;
    statistics.InBcastOctets += packet.length;
  } else if (destination.isMulticast) {
    statistics.InMcastPkts++;
    statistics.InMcastOctets += packet.length;
    if (!nic.isMember(destination)) return;
  } else if (stack.nicOf(destination) === null && !nic.takesAll) {
    // Only frames for this station are passed on (RFC 1812 section 5.3.4).
    if (packet.packetType === PacketType.Host) forward(stack, packet, nic);
    else statistics.InAddrErrors++;
    return;
  } else if (packet.packetType === PacketType.Broadcast || packet.packetType === PacketType.Multicast) {
    // A frame for all with a packet for one: RFC 1122 section 3.3.6.
    statistics.InDiscards++;
    return;
  }
  receiveOwn(stack, packet, nic);
}

/** It is for us: fragments first, then the filter and the protocols. */
function receiveOwn(stack: Stack, packet: Packet, nic: Nic): void {
  const { bytes, at } = packet;
  const field = get16(bytes, at + IPV4_FRAGMENT_AT);
  if ((field & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) === 0) {
    deliver(stack, packet, nic);
    return;
  }
  const headerEnd = at + ipv4HeaderBytes(bytes, at);
  const offset = (field & IPV4_OFFSET_MASK) * 8;
  const hasMore = (field & IPV4_MORE_FRAGMENTS) !== 0;
  const id = get16(bytes, at + IPV4_ID_AT);
  const whole = stack.reassembly.add(packet, id, packet.protocol, headerEnd, headerEnd, offset, hasMore);
  if (whole === null) return;
  // Its header is that of the first piece: made to be the whole's, as raw endpoints and errors show it.
  put16(whole.bytes, whole.at + IPV4_LENGTH_AT, whole.length);
  put16(whole.bytes, whole.at + IPV4_FRAGMENT_AT, 0);
  sealIpv4Header(whole.bytes, whole.at);
  // The device has looked at pieces only.
  whole.checksum = Checksum.Unknown;
  whole.nicId = nic.id;
  whole.timestamp = packet.timestamp;
  deliver(stack, whole, nic);
  whole.release();
}

/** Checks the header and notes what it says; false when the packet is not to be looked at any further. */
function parse(stack: Stack, packet: Packet, nic: Nic): boolean {
  const statistics = stack.ipv4;
  const { bytes, at } = packet;
  if (packet.length < IPV4_BYTES || bytes[at] >> 4 !== 4) return refuse(stack);
  const headerBytes = ipv4HeaderBytes(bytes, at);
  const totalBytes = ipv4TotalBytes(bytes, at);
  if (headerBytes < IPV4_BYTES || headerBytes > totalBytes) return refuse(stack);
  if (totalBytes > packet.length) {
    statistics.InTruncatedPkts++;
    return false;
  }
  if (fold(sumBytes(0, bytes, at, headerBytes)) !== 0xffff) {
    statistics.InCsumErrors++;
    return refuse(stack);
  }
  // Short frames are padded.
  packet.end = at + totalBytes;
  packet.networkAt = at;
  packet.transportAt = at + headerBytes;
  packet.source.read4(bytes, at + IPV4_SOURCE_AT);
  packet.destination.read4(bytes, at + IPV4_DESTINATION_AT);
  packet.protocol = bytes[at + IPV4_PROTOCOL_AT];
  packet.ttl = bytes[at + IPV4_TTL_AT];
  packet.tos = bytes[at + IPV4_TOS_AT];
  statistics.countEcn(packet.tos);
  const { source, destination } = packet;
  // Martians, RFC 1122 section 3.2.1.3: what can be nobody's source, and loopback addresses on a wire.
  const isForeignLoopback = !nic.isLoopback && (source.isLoopback || destination.isLoopback);
  if (source.isMulticast || source.isLimitedBroadcast || isForeignLoopback || destination.isUnspecified) {
    statistics.InAddrErrors++;
    return false;
  }
  if (source.isUnspecified && !destination.isLimitedBroadcast && !destination.isMulticast) {
    statistics.InAddrErrors++;
    return false;
  }
  // Our own address as somebody else's source is a spoof, or a loop.
  if (!nic.isLoopback && packet.packetType !== PacketType.Outgoing && stack.nicOf(source) !== null) {
    statistics.InAddrErrors++;
    return false;
  }
  if (headerBytes === IPV4_BYTES) return true;
  const wrong = checkIpv4Options(packet, nic);
  if (wrong === -1) return true;
  if (wrong >= 0) stack.icmp.sendError(packet, ICMP_PARAMETER_PROBLEM, 0, wrong << 24);
  return refuse(stack);
}

function refuse(stack: Stack): boolean {
  stack.ipv4.InHdrErrors++;
  return false;
}
