// TIME_WAIT: a small record keeps the four numbers of a connection that is over, answers stray segments, and lets a new
// connection in early where that is safe. RFC 9293 sections 3.6.1 and 3.10.7.4, RFC 1337, RFC 6191.

import { Address } from "../address.ts";
import type { Packet } from "../packet.ts";
import type { TcpOptions } from "../wire/tcp.ts";
import { ACK, FIN, RST, SYN } from "../wire/tcp.ts";
import type { Connection } from "./connection.ts";
import type { Tcp } from "./protocol.ts";

/** 60 s, as Linux (TCP_TIMEWAIT_LEN). */
export const TIME_WAIT_NANOS = 60e9;

export class TimeWait {
  readonly local = new Address();
  readonly remote = new Address();
  localPort = 0;
  remotePort = 0;
  hash = 0;
  nextInBucket: TimeWait | null = null;
  sendNext = 0;
  receiveNext = 0;
  window = 0;
  nicId = 0;
  /** As the connection's: others may bind the port beside it. */
  reusesAddress = false;
  reusesPort = false;
  hasTimestamps = false;
  timestampRecent = 0;
  timestampOffset = 0;
  expires = 0;
  startedAt = 0;
  /** The next to expire. */
  nextToExpire: TimeWait | null = null;
  isGone = false;
}

/** Leaves a record for `connection` in the table. */
export function enterTimeWait(connection: Connection): void {
  const { tcp } = connection;
  const record = new TimeWait();
  record.local.copy(connection.local);
  record.remote.copy(connection.remote);
  record.localPort = connection.localPort;
  record.remotePort = connection.remotePort;
  record.hash = connection.hash;
  record.sendNext = connection.sendNext;
  record.receiveNext = connection.receiveNext;
  // Rounded up: the promise is not taken back.
  const promised = Math.max(0, connection.receiveEdge - connection.receiveNext | 0);
  record.window = Math.min(65_535, Math.ceil(promised / 2 ** connection.receiveScale));
  record.nicId = connection.nicId;
  record.reusesAddress = connection.reusesAddress;
  record.reusesPort = connection.reusesPort;
  record.hasTimestamps = connection.hasTimestamps;
  record.timestampRecent = connection.timestampRecent;
  record.timestampOffset = connection.timestampOffset;
  tcp.addTimeWait(record);
}

/** What is to be done about a segment for a connection in TIME_WAIT. */
export const enum TimeWaitVerdict {
  /** Nothing more. */
  Done,
  /** A SYN that may begin a new connection: the listener has it. */
  NewConnection,
}

/** RFC 9293 section 3.10.7.4 for this state. */
export function receiveInTimeWait(
  tcp: Tcp,
  record: TimeWait,
  packet: Packet,
  sequence: number,
  flags: number,
  payload: number,
  options: TcpOptions,
): TimeWaitVerdict {
  // RFC 1337: a stray reset does not end it.
  if ((flags & RST) !== 0) return TimeWaitVerdict.Done;
  if ((flags & (SYN | ACK)) === SYN) {
    // RFC 6191 section 2, RFC 1122 section 4.2.2.13: newer by time or by number.
    const isNewer = record.hasTimestamps && options.hasTimestamps
      ? (options.timestamp - record.timestampRecent | 0) > 0
      : (sequence - record.receiveNext | 0) > 0;
    if (isNewer) {
      tcp.removeTimeWait(record);
      return TimeWaitVerdict.NewConnection;
    }
  }
  if (options.hasTimestamps && record.hasTimestamps && (options.timestamp - record.timestampRecent | 0) < 0) {
    tcp.statistics.PAWSEstab++;
  }
  // Their FIN again: our last acknowledgement was lost, and the time begins anew.
  if ((flags & FIN) !== 0 && (sequence + payload + 1 - record.receiveNext | 0) === 0) {
    tcp.restartTimeWait(record);
  }
  if (payload > 0 || (flags & (FIN | SYN)) !== 0 || sequence !== record.receiveNext) {
    tcp.acknowledgeTimeWait(record, packet);
  }
  return TimeWaitVerdict.Done;
}
