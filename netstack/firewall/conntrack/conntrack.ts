// From a packet to its connection: found, begun, or refused. Linux: nf_conntrack_in(), and the trackers of UDP, ICMP and
// other protocols; TCP's is in tcp_tracker.ts.

import { readQuote } from "../../icmp/quote.ts";
import { NetworkError } from "../../ip/ip.ts";
import { Checksum, Gso } from "../../packet.ts";
import type { Stack } from "../../stack.ts";
import { get16 } from "../../wire/bytes.ts";
import { fold, sumBytes, sumPseudoHeader } from "../../wire/checksum.ts";
import {
  ICMP_BYTES,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_ECHO_REPLY,
} from "../../wire/icmp.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "../../wire/numbers.ts";
import { UDP_CHECKSUM_AT } from "../../wire/udp.ts";
import { Hook } from "../hooks.ts";
import type { PacketView } from "../packet_view.ts";
import { TokenBucket } from "../token_bucket.ts";
import { Connection, INVALID, UNTRACKED } from "./connection.ts";
import { ConnectionTable } from "./connection_table.ts";
import { beginTcp, TcpVerdict, trackTcp } from "./tcp_tracker.ts";
import { isIcmpRequest, Tuple } from "./tuple.ts";

const SECOND = 1e9;
/** nf_conntrack_udp_timeout, _udp_timeout_stream, _icmp_timeout, _generic_timeout. */
const UDP_NANOS = 30 * SECOND;
const UDP_STREAM_NANOS = 120 * SECOND;
const ICMP_NANOS = 30 * SECOND;
const GENERIC_NANOS = 600 * SECOND;
/** A UDP exchange that goes on so long is a stream. */
const UDP_STREAM_AFTER_NANOS = 2 * SECOND;
/** ICMPv6 from here on is information; MLDv1, neighbour discovery and MLDv2 are never tracked. */
const ICMPV6_INFORMATION = 128;

export class Conntrack {
  readonly #stack: Stack;
  readonly table: ConnectionTable;
  readonly #asked = new Tuple(null, false);
  readonly #inverse = new Tuple(null, false);
  readonly #quote = new NetworkError();
  readonly #fullLog = new TokenBucket(0.2, 10);

  constructor(stack: Stack, connectionsMax?: number) {
    this.#stack = stack;
    this.table = new ConnectionTable(stack, connectionsMax);
  }

  /** Notes in the packet what it belongs to. False: it is lost, as the table is full. */
  track(view: PacketView): boolean {
    const { packet } = view;
    const { statistics } = this.table;
    // Seen before: what comes back by loopback, answers that were given theirs, and NOTRACK.
    if (packet.connection !== null) return true;
    const isIcmp = view.icmpType >= 0;
    if (!view.isMalformed && !view.isFragment && isIcmp && this.#isUntracked(view)) {
      packet.connection = UNTRACKED;
      statistics.ignore++;
      return true;
    }
    packet.connection = INVALID;
    if (view.isMalformed || view.isFragment || !hasSoundChecksum(view)) {
      statistics.invalid++;
      return true;
    }
    if (isIcmp && isIcmpError(view)) {
      this.#trackError(view);
      return true;
    }
    const asked = this.#asked;
    if (!asked.read(view)) {
      statistics.invalid++;
      return true;
    }
    return this.#follow(view, asked, 0);
  }

  /** `again`: a connection that was over has just made room for the one that the packet begins. */
  #follow(view: PacketView, asked: Tuple, again: number): boolean {
    const { packet } = view;
    const { table } = this;
    const { now } = this.#stack;
    let found = table.find(asked);
    if (found === null) {
      if (!this.#mayBegin(view)) {
        table.statistics.invalid++;
        return true;
      }
      const connection = table.allocate();
      if (connection === null) {
        this.#tellFull();
        return false;
      }
      connection.original.copy(asked);
      if (!connection.reply.invert(asked)) return true;
      if (view.protocol === IPPROTO_TCP) beginTcp(connection, view.tcpFlags);
      found = connection.original;
    } else {
      table.statistics.found++;
    }
    const connection = found.connection!;
    const { isReply } = found;
    if (view.protocol === IPPROTO_TCP) {
      switch (trackTcp(connection, packet, view.transportAt, isReply, now)) {
        case TcpVerdict.Invalid:
          table.statistics.invalid++;
          return true;
        case TcpVerdict.Reopen:
          table.remove(connection);
          return again > 0 || this.#follow(view, asked, again + 1);
        case TcpVerdict.Forget:
          table.remove(connection);
          break;
        default:
          table.noteExpiry(connection);
      }
    } else {
      this.#prolong(connection, view.protocol, isReply, now);
    }
    if (isReply) connection.hasReply = true;
    connection.count(isReply, packet.length);
    packet.connection = connection;
    packet.isReply = isReply;
    return true;
  }

  /** Whether the packet can be the first of a connection. */
  #mayBegin(view: PacketView): boolean {
    if (view.protocol === IPPROTO_TCP) return beginTcp(NOBODY, view.tcpFlags);
    return view.icmpType < 0 || isIcmpRequest(view.isV4, view.icmpType);
  }

  #prolong(connection: Connection, protocol: number, isReply: boolean, now: number): void {
    if (protocol === IPPROTO_UDP) {
      const isStream = connection.hasReply && now > connection.createdAt + UDP_STREAM_AFTER_NANOS;
      connection.expires = now + (isStream ? UDP_STREAM_NANOS : UDP_NANOS);
      if (isStream && !isReply) connection.isAssured = true;
    } else if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) {
      connection.expires = now + ICMP_NANOS;
    } else {
      connection.expires = now + GENERIC_NANOS;
    }
  }

  #isUntracked(view: PacketView): boolean {
    return !view.isV4 && view.icmpType > ICMPV6_ECHO_REPLY;
  }

  /** An ICMP error belongs to the connection of the packet that it quotes, and goes against that packet's direction. */
  #trackError(view: PacketView): void {
    const { packet } = view;
    const { statistics } = this.table;
    const quoteAt = view.transportAt + ICMP_BYTES;
    const quote = this.#quote;
    const asked = this.#asked, inverse = this.#inverse;
    const isReadable = readQuote(quote, packet.bytes, quoteAt, packet.end, view.isV4) &&
      asked.readQuote(quote) && inverse.invert(asked);
    // The quoted packet is as it was after translation: its answers are what the table has.
    const found = isReadable ? this.table.find(inverse) : null;
    if (found === null) {
      statistics.invalid++;
      statistics.icmpError++;
      return;
    }
    packet.connection = found.connection!.related;
    packet.isReply = found.isReply;
  }

  /** The last hook lets the packet pass: its connection is entered. False: somebody else has got in between. */
  confirm(view: PacketView): boolean {
    const { connection } = view.packet;
    if (!(connection instanceof Connection) || connection.isConfirmed || connection.hasReply) return true;
    if (view.packet.isReply || connection.expires <= this.#stack.now) return true;
    return this.table.confirm(connection);
  }

  #tellFull(): void {
    if (this.#fullLog.take(this.#stack.now)) this.#stack.log("nf_conntrack: table full, dropping packet");
  }
}

/** Asked for its answer alone. */
const NOBODY = new Connection();

function isIcmpError(view: PacketView): boolean {
  const type = view.icmpType;
  if (!view.isV4) return type < ICMPV6_INFORMATION;
  return type === ICMP_UNREACHABLE || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM ||
    type === ICMP_REDIRECT;
}

/** nf_conntrack_checksum: what comes in broken must not move a state, nor be made whole by translation. */
function hasSoundChecksum(view: PacketView): boolean {
  const { packet, protocol, transportAt, hook } = view;
  if (hook !== Hook.Prerouting || packet.checksum !== Checksum.Unknown || packet.gso !== Gso.None) {
    return true;
  }
  const length = packet.end - transportAt;
  const { bytes } = packet;
  let sum = 0;
  switch (protocol) {
    case IPPROTO_UDP:
      if (view.isV4 && get16(bytes, transportAt + UDP_CHECKSUM_AT) === 0) return true;
      sum = sumPseudoHeader(packet.source, packet.destination, protocol, length);
      break;
    case IPPROTO_TCP:
    case IPPROTO_ICMPV6:
      sum = sumPseudoHeader(packet.source, packet.destination, protocol, length);
      break;
    case IPPROTO_ICMP:
      break;
    default:
      return true;
  }
  if (fold(sumBytes(sum, bytes, transportAt, length)) !== 0xffff) return false;
  // Nobody need sum it again.
  packet.checksum = Checksum.Valid;
  return true;
}
