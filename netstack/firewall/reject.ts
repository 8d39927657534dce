// Refusals with an answer: ICMP errors by the stack's own hand, and the reset of RFC 9293 section 3.10.7.1 as if the
// destination had sent it. Linux: nf_reject_ipv4.c, nf_reject_ipv6.c.

import { Fragmentation } from "../ip/ip.ts";
import { startChecksum } from "../link/offload.ts";
import { PacketType } from "../packet.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { get32, put16, put32 } from "../wire/bytes.ts";
import { ICMP_UNREACHABLE, ICMPV6_UNREACHABLE } from "../wire/icmp.ts";
import { IPPROTO_TCP } from "../wire/numbers.ts";
import {
  ACK,
  FIN,
  RST,
  SYN,
  TCP_ACK_AT,
  TCP_BYTES,
  TCP_DESTINATION_AT,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_SEQUENCE_AT,
  TCP_SOURCE_AT,
  TCP_WINDOW_AT,
} from "../wire/tcp.ts";
import type { PacketView } from "./packet_view.ts";
import { RejectWith } from "./targets.ts";

/** Codes of ICMP and ICMPv6 unreachable, by RejectWith (RFC 792, RFC 1122, RFC 1812; RFC 4443 section 3.1). */
const ICMP_CODES: readonly number[] = [0, 1, 2, 3, 9, 10, 13];
const ICMPV6_CODES: readonly number[] = [0, 3, 4, 4, 1, 1, 1];
const TTL = 64;
const route = new Route();

/** Tells the sender, unless one must not. */
export function reject(stack: Stack, view: PacketView, how: RejectWith): void {
  if (view.isLaterFragment) return;
  if (how === RejectWith.TcpReset) {
    if (view.protocol === IPPROTO_TCP && view.tcpFlags >= 0) sendReset(stack, view);
    return;
  }
  const { packet, isV4 } = view;
  const code = (isV4 ? ICMP_CODES : ICMPV6_CODES)[how];
  stack.icmp.sendError(packet, isV4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE, code, 0);
}

function sendReset(stack: Stack, view: PacketView): void {
  const { packet, tcpFlags, transportAt } = view;
  const { source, destination, packetType } = packet;
  if ((tcpFlags & RST) !== 0 || destination.isMulticast || source.isMulticast || source.isUnspecified) return;
  if (packetType === PacketType.Broadcast || packetType === PacketType.Multicast) return;
  const bound = source.isLinkLocal && !source.isV4 ? packet.nicId : 0;
  if (stack.routes.find(source, destination, bound, route) < 0) return;
  const answer = stack.pool.allocate(TCP_BYTES);
  if (answer === null) return;
  const from = packet.bytes;
  const headerBytes = (from[transportAt + TCP_OFFSET_AT] >> 4) * 4;
  const hasAck = (tcpFlags & ACK) !== 0;
  const length = packet.end - transportAt - headerBytes + ((tcpFlags & SYN) !== 0 ? 1 : 0) +
    ((tcpFlags & FIN) !== 0 ? 1 : 0);
  const { bytes, at } = answer;
  put16(bytes, at + TCP_SOURCE_AT, view.destinationPort);
  put16(bytes, at + TCP_DESTINATION_AT, view.sourcePort);
  put32(bytes, at + TCP_SEQUENCE_AT, hasAck ? get32(from, transportAt + TCP_ACK_AT) : 0);
  put32(bytes, at + TCP_ACK_AT, hasAck ? 0 : get32(from, transportAt + TCP_SEQUENCE_AT) + length | 0);
  bytes[at + TCP_OFFSET_AT] = TCP_BYTES << 2;
  bytes[at + TCP_FLAGS_AT] = hasAck ? RST : RST | ACK;
  put16(bytes, at + TCP_WINDOW_AT, 0);
  put32(bytes, at + TCP_WINDOW_AT + 2, 0);
  answer.transportAt = at;
  answer.protocol = IPPROTO_TCP;
  answer.source.copy(destination);
  answer.destination.copy(source);
  answer.ttl = TTL;
  // It belongs to the connection that it ends, so that translation is undone on its way (nf_ct_attach).
  answer.connection = packet.connection;
  answer.isReply = !packet.isReply;
  startChecksum(answer);
  stack.ip.send(answer, route, Fragmentation.Forbidden);
}
