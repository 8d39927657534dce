// ICMP of both families: echoes answered, errors sent and heard. RFC 792, RFC 1122 section 3.2.2, RFC 4443.

import { Address } from "../address.ts";
import { Fragmentation, NetworkError, type Transport } from "../ip/ip.ts";
import { receiveNdp } from "../ip/ndp.ts";
import { receiveRedirect, receiveRedirectV6 } from "../ip/redirect.ts";
import type { Nic } from "../nic.ts";
import { Checksum, type Packet, PacketType } from "../packet.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { copyBytes, get16, put32 } from "../wire/bytes.ts";
import { checksumOf, fold, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import {
  ICMP_BYTES,
  ICMP_CHECKSUM_AT,
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  ICMP_TIMESTAMP,
  ICMP_TIMESTAMP_REPLY,
  ICMP_UNREACHABLE,
  ICMPV6_ECHO,
  ICMPV6_ECHO_REPLY,
  ICMPV6_MLD_QUERY,
  ICMPV6_MLD_REPORT,
  ICMPV6_NEIGHBOUR_ADVERTISEMENT,
  ICMPV6_NEIGHBOUR_SOLICITATION,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_REDIRECT,
  ICMPV6_ROUTER_ADVERTISEMENT,
  ICMPV6_ROUTER_SOLICITATION,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_TOO_BIG,
  ICMPV6_UNREACHABLE,
} from "../wire/icmp.ts";
import {
  IPV4_BYTES,
  IPV4_FRAGMENT_AT,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL_AT,
  ipv4HeaderBytes,
} from "../wire/ipv4.ts";
import { IPV6_BYTES, IPV6_MTU_MIN } from "../wire/ipv6.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from "../wire/numbers.ts";
import { classifyError } from "./errors.ts";
import { readQuote } from "./quote.ts";
import { IcmpRateLimit } from "./rate_limit.ts";
import { type Unreachable, unreachableCode } from "./unreachable.ts";
import { type IcmpFamilyStatistics, IcmpStatistics } from "./statistics.ts";

/** An IPv4 error quotes so much of the packet at most (RFC 1812 section 4.3.2.3: 576 bytes in all). */
const IPV4_QUOTE_MAX = 576 - IPV4_BYTES - ICMP_BYTES;
const IPV6_QUOTE_MAX = IPV6_MTU_MIN - IPV6_BYTES - ICMP_BYTES;
const TTL = 64;
const DAY_MILLIS = 86_400_000;
const TIMESTAMP_BYTES = 20;
/** Where the identifier of an echo is. */
const ECHO_INFO_AT = 4;
/** SO_EE_ORIGIN_ of ip(7). */
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;

/** Takes echo requests whatever their address, as an embedder's proxy does (Nic.takesAll). */
export interface EchoForwarder {
  /** A request at packet.at. True = it has dealt with it, and answers by Icmp.answerEcho() if at all. */
  onEcho(packet: Packet, nic: Nic): boolean;
}

export class Icmp {
  readonly #stack: Stack;
  /** Asked before a request is answered; null = none. */
  forwarder: EchoForwarder | null = null;
  readonly statistics = new IcmpStatistics();
  readonly v4: Transport;
  readonly v6: Transport;
  readonly #limit: IcmpRateLimit;
  readonly #route = new Route();
  readonly #source = new Address();
  readonly #error = new NetworkError();

  constructor(stack: Stack) {
    this.#stack = stack;
    this.#limit = new IcmpRateLimit(stack.random.word(), stack.ipSettings);
    this.v4 = {
      protocol: IPPROTO_ICMP,
      receive: (packet, nic) => this.#receiveV4(packet, nic),
      receiveError: (error) => stack.ping.receiveError(error),
    };
    this.v6 = {
      protocol: IPPROTO_ICMPV6,
      receive: (packet, nic) => this.#receiveV6(packet, nic),
      receiveError: (error) => stack.ping.receiveError(error),
    };
  }

  #receiveV4(packet: Packet, nic: Nic): void {
    const { bytes, at } = packet;
    if (!this.#isSound(packet, this.statistics.v4, 0)) return;
    switch (bytes[at]) {
      case ICMP_ECHO:
        if (this.forwarder !== null && this.forwarder.onEcho(packet, nic)) break;
        if (this.#answersEcho(packet)) this.#reply(packet, nic, ICMP_ECHO_REPLY);
        break;
      case ICMP_REDIRECT:
        receiveRedirect(packet, nic);
        break;
      case ICMP_TIMESTAMP:
        if (packet.packetType === PacketType.Host && packet.length >= TIMESTAMP_BYTES) {
          this.#reply(packet, nic, ICMP_TIMESTAMP_REPLY);
        }
        break;
      case ICMP_ECHO_REPLY:
        this.#stack.ping.receiveReply(packet, nic);
        break;
      case ICMP_UNREACHABLE:
      case ICMP_TIME_EXCEEDED:
      case ICMP_PARAMETER_PROBLEM:
        this.#hearError(packet, nic);
        break;
      default:
        break;
    }
  }

  /** RFC 1122 section 3.2.2.6 leaves echoes to many open; Linux ignores them by default. */
  #answersEcho(packet: Packet): boolean {
    const { ipSettings } = this.#stack;
    if (ipSettings.get("icmp_echo_ignore_all") !== 0) return false;
    return packet.packetType === PacketType.Host || ipSettings.get("icmp_echo_ignore_broadcasts") === 0;
  }

  #receiveV6(packet: Packet, nic: Nic): void {
    const { bytes, at } = packet;
    const sum = sumPseudoHeader(packet.source, packet.destination, IPPROTO_ICMPV6, packet.length);
    if (!this.#isSound(packet, this.statistics.v6, sum)) return;
    const type = bytes[at];
    switch (type) {
      case ICMPV6_ECHO:
        if (this.forwarder !== null && this.forwarder.onEcho(packet, nic)) break;
        if (this.#stack.ipSettings.get("icmp6_echo_ignore_all") !== 0) break;
        this.#reply(packet, nic, ICMPV6_ECHO_REPLY);
        break;
      case ICMPV6_ECHO_REPLY:
        this.#stack.ping.receiveReply(packet, nic);
        break;
      case ICMPV6_NEIGHBOUR_SOLICITATION:
      case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
      case ICMPV6_ROUTER_SOLICITATION:
      case ICMPV6_ROUTER_ADVERTISEMENT:
        receiveNdp(packet, nic);
        break;
      case ICMPV6_REDIRECT:
        receiveRedirectV6(packet, nic);
        break;
      case ICMPV6_MLD_QUERY:
        nic.membership.receiveQueryV6(packet);
        break;
      case ICMPV6_MLD_REPORT:
        nic.membership.receiveReportV6(packet);
        break;
      default:
        // RFC 4443 section 2.4: below 128 they are errors, known or not.
        if (type > 0 && type < 128) this.#hearError(packet, nic);
        break;
    }
  }

  /** Length and checksum; counts the message. `sum` = of the pseudo header. */
  #isSound(packet: Packet, statistics: IcmpFamilyStatistics, sum: number): boolean {
    const { bytes, at, length } = packet;
    if (length < ICMP_BYTES) {
      statistics.inErrors++;
      return false;
    }
    if (packet.checksum === Checksum.Unknown && fold(sumBytes(sum, bytes, at, length)) !== 0xffff) {
      statistics.inChecksumErrors++;
      statistics.inErrors++;
      return false;
    }
    statistics.count(true, bytes[at]);
    return true;
  }

  /** Sends a request back as an answer. */
  #reply(packet: Packet, nic: Nic, type: number): void {
    const stack = this.#stack;
    const isV4 = packet.source.isV4;
    // To a group or to all: from an address of ours.
    const isUnicast = packet.packetType === PacketType.Host && !packet.destination.isMulticast &&
      !nic.isBroadcast(packet.destination);
    if (isUnicast) this.#source.copy(packet.destination);
    else this.#source.setUnspecified(isV4);
    const bound = packet.source.isLinkLocal && !isV4 ? nic.id : 0;
    if (stack.routes.find(packet.source, this.#source, bound, this.#route) < 0) return;
    const length = packet.length;
    const answer = stack.pool.allocate(length);
    if (answer === null) return;
    copyBytes(answer.bytes, answer.at, packet.bytes, packet.at, length);
    answer.bytes[answer.at] = type;
    if (type === ICMP_TIMESTAMP_REPLY) {
      const millis = Math.floor(stack.now / 1e6) % DAY_MILLIS;
      put32(answer.bytes, answer.at + 12, millis);
      put32(answer.bytes, answer.at + 16, millis);
    }
    this.#send(answer, isV4, packet.tos, packet);
  }

  /**
   * Sends an answer to an echo request that a forwarder has taken: `length` bytes from the identifier on, from `source` to
   * `destination`.
   */
  answerEcho(source: Address, destination: Address, bytes: Uint8Array, at: number, length: number): void {
    const stack = this.#stack;
    const isV4 = destination.isV4;
    this.#source.copy(source);
    if (stack.routes.find(destination, this.#source, 0, this.#route) < 0) return;
    const answer = stack.pool.allocate(ECHO_INFO_AT + length);
    if (answer === null) return;
    answer.bytes[answer.at] = isV4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY;
    answer.bytes[answer.at + 1] = 0;
    copyBytes(answer.bytes, answer.at + ECHO_INFO_AT, bytes, at, length);
    this.#send(answer, isV4, 0);
  }

  /** Tells the sender of `packet` that its destination cannot be reached, as sendError() does. */
  sendUnreachable(packet: Packet, reason: Unreachable): void {
    const isV4 = packet.source.isV4;
    const type = isV4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE;
    this.sendError(packet, type, unreachableCode(reason, isV4), 0);
  }

  /** Completes the ICMP message at packet.at and sends it along #route; `asked` = what it answers. */
  #send(packet: Packet, isV4: boolean, tos: number, asked: Packet | null = null): void {
    const route = this.#route;
    packet.source.copy(route.source);
    packet.destination.copy(route.destination);
    packet.protocol = isV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    packet.transportAt = packet.at;
    packet.ttl = TTL;
    packet.tos = tos;
    sealIcmp(packet, isV4);
    (isV4 ? this.statistics.v4 : this.statistics.v6).count(false, packet.bytes[packet.at]);
    if (asked === null) this.#stack.ip.send(packet, route, Fragmentation.Allowed);
    else this.#stack.ip.sendAnswer(packet, route, Fragmentation.Allowed, asked);
  }

  /**
   * Tells the sender of `packet` (network header at networkAt) of an error, unless one must not: RFC 1122 section 3.2.2,
   * RFC 4443 section 2.4 (e). `info` is the second word: MTU, pointer.
   */
  sendError(packet: Packet, type: number, code: number, info: number): void {
    const stack = this.#stack;
    const isV4 = packet.source.isV4;
    if (!this.#mayAnswer(packet, isV4, type, code)) return;
    // Path MTU discovery needs "too big": as on Linux, it is not limited.
    const isLimited = isV4 || type !== ICMPV6_TOO_BIG;
    if (isLimited && !this.#limit.take(packet.source, stack.now)) {
      (isV4 ? this.statistics.v4 : this.statistics.v6).outRateLimited++;
      return;
    }
    const isOwn = !packet.destination.isMulticast && stack.nicOf(packet.destination) !== null;
    if (isOwn) this.#source.copy(packet.destination);
    else this.#source.setUnspecified(isV4);
    const bound = packet.source.isLinkLocal && !isV4 ? packet.nicId : 0;
    if (stack.routes.find(packet.source, this.#source, bound, this.#route) < 0) return;
    const quoted = Math.min(packet.end - packet.networkAt, isV4 ? IPV4_QUOTE_MAX : IPV6_QUOTE_MAX);
    const error = stack.pool.allocate(ICMP_BYTES + quoted);
    if (error === null) return;
    const { bytes, at } = error;
    bytes[at] = type;
    bytes[at + 1] = code;
    put32(bytes, at + 4, info);
    copyBytes(bytes, at + ICMP_BYTES, packet.bytes, packet.networkAt, quoted);
    this.#send(error, isV4, isV4 ? packet.tos & 0xfc : 0);
  }

  #mayAnswer(packet: Packet, isV4: boolean, type: number, code: number): boolean {
    if (packet.source.isUnspecified || packet.source.isMulticast) return false;
    const isToMany = packet.destination.isMulticast || packet.packetType === PacketType.Broadcast ||
      packet.packetType === PacketType.Multicast;
    // RFC 4443: errors "too big" and "bad option" are sent to senders to groups too.
    const mayTellMany = !isV4 && (type === ICMPV6_TOO_BIG || type === ICMPV6_PARAMETER_PROBLEM && code === 2);
    if (isToMany && !mayTellMany) return false;
    const { bytes, networkAt } = packet;
    if (!isV4) {
      if (packet.protocol !== IPPROTO_ICMPV6) return true;
      return packet.transportAt < packet.end && bytes[packet.transportAt] >= 128 &&
        bytes[packet.transportAt] !== ICMPV6_REDIRECT;
    }
    const nic = this.#stack.nics[packet.nicId];
    if (nic !== undefined && nic.isBroadcast(packet.destination)) return false;
    if ((get16(bytes, networkAt + IPV4_FRAGMENT_AT) & IPV4_OFFSET_MASK) !== 0) return false;
    if (bytes[networkAt + IPV4_PROTOCOL_AT] !== IPPROTO_ICMP) return true;
    // Never about an error; what is unknown counts as one.
    const answered = bytes[networkAt + ipv4HeaderBytes(bytes, networkAt)];
    return answered === ICMP_ECHO || answered === ICMP_ECHO_REPLY || answered === ICMP_TIMESTAMP;
  }

  /** The time for the other fragments of `packet` is over. */
  sendReassemblyTimeout(packet: Packet): void {
    this.sendError(packet, packet.source.isV4 ? ICMP_TIME_EXCEEDED : ICMPV6_TIME_EXCEEDED, 1, 0);
  }

  /** An error about a packet that we have sent: goes to the protocol that sent it, if the quotation shows which. */
  #hearError(packet: Packet, nic: Nic): void {
    const stack = this.#stack;
    const { bytes, at } = packet;
    const isV4 = packet.source.isV4;
    const error = this.#error;
    if (!readQuote(error, bytes, at + ICMP_BYTES, packet.end, isV4)) {
      (isV4 ? this.statistics.v4 : this.statistics.v6).inErrors++;
      return;
    }
    // Only about what could be ours.
    if (stack.nicOf(error.source) === null) return;
    error.origin = isV4 ? ORIGIN_ICMP : ORIGIN_ICMP6;
    error.type = bytes[at];
    error.code = bytes[at + 1];
    error.info = 0;
    error.offender.copy(packet.source);
    error.nicId = nic.id;
    classifyError(error, bytes, at);
    stack.transports[error.protocol]?.receiveError(error);
    stack.raw.receiveError(error);
  }
}

/** Puts the checksum of an ICMP message from transportAt to the end, addresses noted. */
export function sealIcmp(packet: Packet, isV4: boolean): void {
  const { bytes, transportAt } = packet;
  const length = packet.end - transportAt;
  bytes[transportAt + ICMP_CHECKSUM_AT] = bytes[transportAt + ICMP_CHECKSUM_AT + 1] = 0;
  const start = isV4 ? 0 : sumPseudoHeader(packet.source, packet.destination, IPPROTO_ICMPV6, length);
  putChecksum(bytes, transportAt + ICMP_CHECKSUM_AT, checksumOf(sumBytes(start, bytes, transportAt, length)));
  packet.checksum = Checksum.Unknown;
}
