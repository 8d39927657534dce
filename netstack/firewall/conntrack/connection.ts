// A tracked connection, and what a packet's `connection` note can be. Linux: struct nf_conn, enum ip_conntrack_info.

import type { Packet } from "../../packet.ts";
import { STATE_ESTABLISHED, STATE_INVALID, STATE_NEW, STATE_RELATED, STATE_UNTRACKED } from "../matches.ts";
import { TcpState } from "./tcp_tracker.ts";
import { Tuple } from "./tuple.ts";

/** The two places where addresses are changed, as bits: nat/ has the hooks of each. */
export const NAT_SOURCE = 1;
export const NAT_DESTINATION = 2;

export class Connection {
  /** As the first packet came, and as answers to it come in: they differ by more than direction where NAT is at work. */
  readonly original = new Tuple(this, false);
  readonly reply = new Tuple(this, true);
  /** It is in the table; before, only the packet at hand refers to it. */
  isConfirmed = false;
  /** An answer was seen; and traffic enough that it is not the first to go when the table is full. */
  hasReply = false;
  isAssured = false;
  /** When it is forgotten, nanoseconds. */
  expires = 0;
  createdAt = 0;
  mark = 0;
  /** NAT_ bits: which rewriting is decided, and which is not the identity. Fixed once confirmed. */
  decided = 0;
  translated = 0;
  /** MASQUERADE: the interface whose address it uses; 0 = none. */
  masqueradeNicId = 0;
  tcpState: TcpState = TcpState.None;
  /** TCP: the highest acknowledgement sent by the originator and by the other, int32; meaningful once seen. */
  originalAck = 0;
  replyAck = 0;
  hasOriginalAck = false;
  hasReplyAck = false;
  /** What went each way. */
  originalPackets = 0;
  originalBytes = 0;
  replyPackets = 0;
  replyBytes = 0;
  /** The note of ICMP errors about it. */
  readonly related = new Related(this);

  /** Fresh again: a connection whose first packet was dropped leaves no trace. */
  begin(now: number): void {
    this.isConfirmed =
      this.hasReply =
      this.isAssured =
      this.hasOriginalAck =
      this.hasReplyAck =
        false;
    this.createdAt = this.expires = now;
    this.mark =
      this.decided =
      this.translated =
      this.masqueradeNicId =
        0;
    this.tcpState = TcpState.None;
    this.originalAck = this.replyAck = 0;
    this.originalPackets =
      this.originalBytes =
      this.replyPackets =
      this.replyBytes =
        0;
  }

  count(isReply: boolean, bytes: number): void {
    if (isReply) {
      this.replyPackets++;
      this.replyBytes += bytes;
    } else {
      this.originalPackets++;
      this.originalBytes += bytes;
    }
  }
}

/** Noted in an ICMP error: the connection that it is about. */
export class Related {
  readonly connection: Connection;
  constructor(connection: Connection) {
    this.connection = connection;
  }
}

/** Noted in packets that are not to be tracked (NOTRACK; neighbour discovery), and in those that fit no connection. */
export const UNTRACKED: unique symbol = Symbol("untracked");
export const INVALID: unique symbol = Symbol("invalid");

/** The STATE_ bit of a packet. */
export function stateOf(packet: Packet): number {
  const { connection } = packet;
  if (connection instanceof Connection) {
    return packet.isReply || connection.hasReply ? STATE_ESTABLISHED : STATE_NEW;
  }
  if (connection instanceof Related) return STATE_RELATED;
  return connection === UNTRACKED ? STATE_UNTRACKED : STATE_INVALID;
}
