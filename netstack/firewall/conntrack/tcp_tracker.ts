// TCP as a third party sees it: which state both ends must be in after what has passed by. The states, the moves and the
// times are those of nf_conntrack_tcp (its table is described in nf_conntrack_proto_tcp.c); sequence numbers are looked at
// only for resets, as with nf_conntrack_tcp_be_liberal, so that an off-path reset cannot end the entry.

import type { Packet } from "../../packet.ts";
import { get32 } from "../../wire/bytes.ts";
import { ACK, FIN, RST, SYN, TCP_ACK_AT, TCP_FLAGS_AT, TCP_SEQUENCE_AT, URG } from "../../wire/tcp.ts";
import type { Connection } from "./connection.ts";

export const enum TcpState {
  None,
  SynSent,
  SynReceived,
  Established,
  FinWait,
  CloseWait,
  LastAck,
  TimeWait,
  Close,
  /** Both have sent a SYN. */
  SynSent2,
}
export const TCP_STATE_NAMES: readonly string[] = [
  "NONE",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
  "SYN_SENT2",
];

const SECOND = 1e9;
/** Nanoseconds by state: nf_conntrack_tcp_timeout_*. */
const TIMEOUTS: readonly number[] = [120, 120, 60, 432_000, 120, 60, 30, 120, 10, 120].map((seconds) =>
  seconds * SECOND
);
/** Established by the word of one side alone (nf_conntrack_tcp_timeout_unacknowledged). */
const UNACKNOWLEDGED_NANOS = 300 * SECOND;

const enum Event {
  Syn,
  SynAck,
  Fin,
  Ack,
  Rst,
}

export const enum TcpVerdict {
  Accept,
  Invalid,
  /** The old connection is over and this SYN begins a new one. */
  Reopen,
  /** It passes, and the entry goes. */
  Forget,
}

/** Answers of next() besides states: the packet is no part of it; it passes and changes nothing; see Reopen. */
const NO = -1;
const SAME = -2;
const AGAIN = -3;

/** The first packet of a connection; false = it cannot be one. */
export function beginTcp(connection: Connection, flags: number): boolean {
  const event = eventOf(flags);
  if (event !== Event.Syn && event !== Event.Ack) return false;
  // A stray ACK takes up a connection that is older than we (nf_conntrack_tcp_loose).
  connection.tcpState = TcpState.None;
  return true;
}

/** A segment of `connection`, header at `at`; moves the state and the time. */
export function trackTcp(
  connection: Connection,
  packet: Packet,
  at: number,
  isReply: boolean,
  now: number,
): TcpVerdict {
  const { bytes } = packet;
  const flags = bytes[at + TCP_FLAGS_AT];
  const event = eventOf(flags);
  if (event === -1) return TcpVerdict.Invalid;
  const old = connection.tcpState;
  const moved = isReply ? nextOfReply(old, event) : nextOfOriginal(old, event);
  if (moved === NO) return TcpVerdict.Invalid;
  if (moved === AGAIN) return TcpVerdict.Reopen;
  if (moved === SAME) return TcpVerdict.Accept;
  if (event === Event.Rst) {
    if (!isPlausibleReset(connection, get32(bytes, at + TCP_SEQUENCE_AT), isReply)) return TcpVerdict.Invalid;
    // Refused before anything was said: nothing to remember.
    if (!connection.hasReply && !isReply) return TcpVerdict.Forget;
  } else if ((flags & ACK) !== 0) {
    noteAck(connection, get32(bytes, at + TCP_ACK_AT), isReply);
  }
  connection.tcpState = moved;
  const isSettled = old === TcpState.SynReceived || old === TcpState.Established;
  if (moved === TcpState.Established && isSettled && (connection.hasReply || isReply)) {
    connection.isAssured = true;
  }
  const isOneSided = moved === TcpState.Established && !connection.isAssured;
  connection.expires = now + (isOneSided ? UNACKNOWLEDGED_NANOS : TIMEOUTS[moved]);
  return TcpVerdict.Accept;
}

function nextOfOriginal(state: TcpState, event: Event): number {
  switch (event) {
    case Event.Syn:
      if (state === TcpState.None || state === TcpState.SynSent) return TcpState.SynSent;
      if (state === TcpState.SynSent2) return TcpState.SynSent2;
      return state === TcpState.TimeWait || state === TcpState.Close ? AGAIN : SAME;
    case Event.SynAck:
      // The other half of a simultaneous open, RFC 9293 section 3.5.
      return state === TcpState.SynSent2 || state === TcpState.SynReceived ? TcpState.SynReceived : NO;
    case Event.Fin:
      return state === TcpState.None || state === TcpState.SynSent || state === TcpState.SynSent2
        ? NO
        : afterFin(state);
    case Event.Ack:
      if (state === TcpState.None || state === TcpState.SynReceived) return TcpState.Established;
      return state === TcpState.SynSent || state === TcpState.SynSent2 ? NO : afterAck(state);
    case Event.Rst:
      return state === TcpState.None ? NO : TcpState.Close;
    default:
      event satisfies never;
      return NO;
  }
}

function nextOfReply(state: TcpState, event: Event): number {
  switch (event) {
    case Event.Syn:
      if (state === TcpState.SynSent || state === TcpState.SynSent2) return TcpState.SynSent2;
      return state === TcpState.TimeWait ? AGAIN : NO;
    case Event.SynAck:
      if (state === TcpState.None) return NO;
      return state === TcpState.SynSent || state === TcpState.SynSent2 ? TcpState.SynReceived : SAME;
    case Event.Fin:
      return state === TcpState.None || state === TcpState.SynSent || state === TcpState.SynSent2
        ? NO
        : afterFin(state);
    case Event.Ack:
      if (state === TcpState.None) return NO;
      // Of a connection that the answering side remembers still: its ACK makes the other side reset it.
      if (state === TcpState.SynSent || state === TcpState.SynSent2) return SAME;
      return state === TcpState.SynReceived ? TcpState.SynReceived : afterAck(state);
    case Event.Rst:
      return state === TcpState.None ? NO : TcpState.Close;
    default:
      event satisfies never;
      return NO;
  }
}

function afterFin(state: TcpState): TcpState {
  if (state === TcpState.SynReceived || state === TcpState.Established) return TcpState.FinWait;
  if (state === TcpState.TimeWait || state === TcpState.Close) return state;
  return TcpState.LastAck;
}
function afterAck(state: TcpState): TcpState {
  if (state === TcpState.FinWait) return TcpState.CloseWait;
  return state === TcpState.LastAck ? TcpState.TimeWait : state;
}

/** What the flags say, -1 = what no stack sends (RFC 9293; Linux: tcp_valid_flags). PSH, ECE and CWR go with all. */
function eventOf(flags: number): Event | -1 {
  switch (flags & (SYN | FIN | RST | ACK | URG)) {
    case SYN:
    case SYN | URG:
      return Event.Syn;
    case SYN | ACK:
      return Event.SynAck;
    case RST:
    case RST | ACK:
      return Event.Rst;
    case FIN | ACK:
    case FIN | ACK | URG:
      return Event.Fin;
    case ACK:
    case ACK | URG:
      return Event.Ack;
    default:
      return -1;
  }
}

function noteAck(connection: Connection, ack: number, isReply: boolean): void {
  if (isReply) {
    if (!connection.hasReplyAck || (ack - connection.replyAck | 0) > 0) connection.replyAck = ack;
    connection.hasReplyAck = true;
  } else {
    if (!connection.hasOriginalAck || (ack - connection.originalAck | 0) > 0) connection.originalAck = ack;
    connection.hasOriginalAck = true;
  }
}

/** RFC 5961 section 3.2 from outside: a reset stands at or after what its receiver has acknowledged. */
function isPlausibleReset(connection: Connection, sequence: number, isReply: boolean): boolean {
  if (connection.tcpState < TcpState.Established || connection.tcpState === TcpState.SynSent2) return true;
  if (isReply) return !connection.hasOriginalAck || (sequence - connection.originalAck | 0) >= 0;
  return !connection.hasReplyAck || (sequence - connection.replyAck | 0) >= 0;
}
