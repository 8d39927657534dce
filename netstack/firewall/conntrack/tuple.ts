// The five that name one direction of a connection, and the other direction's from them. Linux: nf_conntrack_tuple.

import { Address, mix } from "../../address.ts";
import type { NetworkError } from "../../ip/ip.ts";
import { get16 } from "../../wire/bytes.ts";
import { ICMP_ECHO, ICMP_ECHO_REPLY, ICMP_TIMESTAMP, ICMP_TIMESTAMP_REPLY } from "../../wire/icmp.ts";
import { ICMPV6_ECHO, ICMPV6_ECHO_REPLY } from "../../wire/icmp.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "../../wire/numbers.ts";
import type { PacketView } from "../packet_view.ts";
import type { Connection } from "./connection.ts";

/** Where the identifier of an echo stands. */
export const ICMP_IDENTIFIER_AT = 4;
const ICMP_QUERY_BYTES = 8;

export class Tuple {
  readonly source = new Address();
  readonly destination = new Address();
  protocol = 0;
  /** ICMP queries: the identifier, in both directions. */
  sourcePort = 0;
  /** ICMP queries: type in the upper byte, code in the lower. */
  destinationPort = 0;
  /** Whose it is, and which of its two; null = a question. */
  readonly connection: Connection | null;
  readonly isReply: boolean;
  /** The table's: bucket it is entered in, -1 = none, and the next there. */
  bucket = -1;
  next: Tuple | null = null;

  constructor(connection: Connection | null, isReply: boolean) {
    this.connection = connection;
    this.isReply = isReply;
  }

  copy(from: Tuple): this {
    this.source.copy(from.source);
    this.destination.copy(from.destination);
    this.protocol = from.protocol;
    this.sourcePort = from.sourcePort;
    this.destinationPort = from.destinationPort;
    return this;
  }
  equals(other: Tuple): boolean {
    return this.sourcePort === other.sourcePort && this.destinationPort === other.destinationPort &&
      this.protocol === other.protocol && this.source.equals(other.source) &&
      this.destination.equals(other.destination);
  }
  hash(seed: number): number {
    const ends = this.destination.hash(this.source.hash(mix(seed, this.protocol)));
    return mix(ends, this.sourcePort << 16 | this.destinationPort);
  }

  /** Becomes what the other side sends for `from`; false where there is no such thing. */
  invert(from: Tuple): boolean {
    this.source.copy(from.destination);
    this.destination.copy(from.source);
    this.protocol = from.protocol;
    if (from.protocol !== IPPROTO_ICMP && from.protocol !== IPPROTO_ICMPV6) {
      this.sourcePort = from.destinationPort;
      this.destinationPort = from.sourcePort;
      return true;
    }
    const type = answerTo(from.protocol === IPPROTO_ICMP, from.destinationPort >> 8);
    this.sourcePort = from.sourcePort;
    this.destinationPort = type << 8 | from.destinationPort & 0xff;
    return type >= 0;
  }

  /** The packet's own; false where it has none: fragments, broken headers, ICMP that asks nothing. */
  read(view: PacketView): boolean {
    const { packet, protocol } = view;
    if (view.isMalformed || view.isFragment) return false;
    this.source.copy(packet.source);
    this.destination.copy(packet.destination);
    return this.#readPorts(
      packet.bytes,
      view.transportAt,
      packet.end - view.transportAt,
      protocol,
      view.isV4,
    );
  }
  /** That of a packet quoted in an ICMP error. */
  readQuote(quote: NetworkError): boolean {
    this.source.copy(quote.source);
    this.destination.copy(quote.destination);
    return this.#readPorts(quote.bytes, quote.at, quote.length, quote.protocol, quote.source.isV4);
  }
  #readPorts(bytes: Uint8Array, at: number, length: number, protocol: number, isV4: boolean): boolean {
    this.protocol = protocol;
    this.sourcePort = this.destinationPort = 0;
    if (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) {
      this.sourcePort = get16(bytes, at);
      this.destinationPort = get16(bytes, at + 2);
    } else if (protocol === (isV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
      if (length < ICMP_QUERY_BYTES || answerTo(isV4, bytes[at]) < 0) return false;
      this.sourcePort = get16(bytes, at + ICMP_IDENTIFIER_AT);
      this.destinationPort = bytes[at] << 8 | bytes[at + 1];
    }
    return true;
  }
}

/** The type that answers a query, or that it answers; -1 = it is no query. */
function answerTo(isV4: boolean, type: number): number {
  if (!isV4) return type === ICMPV6_ECHO ? ICMPV6_ECHO_REPLY : type === ICMPV6_ECHO_REPLY ? ICMPV6_ECHO : -1;
  switch (type) {
    case ICMP_ECHO:
      return ICMP_ECHO_REPLY;
    case ICMP_ECHO_REPLY:
      return ICMP_ECHO;
    case ICMP_TIMESTAMP:
      return ICMP_TIMESTAMP_REPLY;
    case ICMP_TIMESTAMP_REPLY:
      return ICMP_TIMESTAMP;
    default:
      return -1;
  }
}
/** It begins an exchange; an answer that nobody asked for does not (RFC 792). */
export function isIcmpRequest(isV4: boolean, type: number): boolean {
  return isV4 ? type === ICMP_ECHO || type === ICMP_TIMESTAMP : type === ICMPV6_ECHO;
}
