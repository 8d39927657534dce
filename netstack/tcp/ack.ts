// An acknowledgement has come: what is delivered leaves the records, round trips are measured, the windows move. RFC 9293
// section 3.10.7.4 (fifth), RFC 5681, RFC 6675, RFC 7323 section 4; Linux: tcp_ack().

import { POLLOUT, POLLWRNORM } from "../readiness.ts";
import type { TcpOptions } from "../wire/tcp.ts";
import { ECE } from "../wire/tcp.ts";
import type { Connection } from "./connection.ts";
import {
  detectLosses,
  endOfRecovery,
  enterRecovery,
  noteDelivered,
  reduceProportionally,
  undoIfSpurious,
} from "./recovery.ts";
import { RecoveryPhase } from "./recovery_state.ts";
import { Limit } from "./limits.ts";
import { LOST, RETRANSMITTED, SACKED, type SentSegment } from "./sent_list.ts";
import { RetransmitMode } from "./retransmit_mode.ts";

const DUPLICATE_ACKS = 3;
/** What an acknowledgement has brought; one object, for the call. */
class Delivery {
  /** Bytes acknowledged, bytes newly SACKed, and of both together those not known to have arrived before. */
  acked = 0;
  sacked = 0;
  arrived = 0;
  /** When the first and the last of the delivered segments that were sent once had been sent; 0 = none. */
  firstSentAt = 0;
  lastSentAt = 0;
  /** What had been delivered when that last one was sent, and when that was known. */
  prior = 0;
  priorAt = 0;
  isDsack = false;
  /** Something of it was sent more than once. */
  hasRetransmit = false;
}
const delivery = new Delivery();

/** Takes an acceptable ACK (sendUna <= ack <= sendNext) of a segment with `payload` bytes and `flags`. */
export function takeAck(
  connection: Connection,
  ack: number,
  windowField: number,
  sequence: number,
  payload: number,
  flags: number,
  options: TcpOptions,
  now: number,
): void {
  const { recovery } = connection;
  const window = windowField * 2 ** connection.sendScale;
  const previousWindow = connection.sendWindow;
  const inFlightBefore = connection.inFlight;
  delivery.acked =
    delivery.sacked =
    delivery.arrived =
    delivery.firstSentAt =
    delivery.lastSentAt =
    delivery.prior =
    delivery.priorAt =
      0;
  delivery.isDsack = delivery.hasRetransmit = false;
  recovery.forwardBefore = recovery.forwardMost;
  updateWindow(connection, ack, window, sequence);
  if (connection.hasSack && options.sackCount > 0) takeSacks(connection, ack, options, now);
  const advanced = ack - connection.sendUna | 0;
  if (advanced > 0) takeAdvance(connection, ack, advanced, now);
  else if (isDuplicate(connection, ack, payload, window, previousWindow)) takeDuplicate(connection);
  measure(connection, advanced, options, now);
  if (delivery.arrived > 0) countDelivery(connection, flags, now);
  if (recovery.isUndoPossible) undoIfSpurious(connection, options, advanced > 0, delivery.isDsack, now);
  if (recovery.phase !== RecoveryPhase.Open && (ack - recovery.point | 0) >= 0) {
    endOfRecovery(connection, now);
  }
  detectLosses(connection, now);
  if ((flags & ECE) !== 0 && connection.hasEcn && advanced > 0) takeCongestionMark(connection, now);
  adjust(connection, inFlightBefore, now);
  if (advanced > 0 || delivery.sacked > 0) connection.route.neighbour?.confirm();
  if (connection.unsentBytes > 0 || connection.isFinQueued || connection.sent.lostBytes > 0) {
    connection.wantOutput();
  }
}

/** RFC 9293 section 3.10.7.4: the window of the newest segment counts. */
function updateWindow(connection: Connection, ack: number, window: number, sequence: number): void {
  const isNewer = (sequence - connection.sendWl1 | 0) > 0 ||
    sequence === connection.sendWl1 && (ack - connection.sendWl2 | 0) >= 0;
  if (!isNewer) return;
  if (connection.retransmitMode === RetransmitMode.Persist && window > 0) {
    connection.stalledAt = 0;
    connection.backoff = 0;
  }
  connection.sendWl1 = sequence;
  connection.sendWl2 = ack;
  connection.sendWindow = window;
  if (window > connection.sendWindowMax) connection.sendWindowMax = window;
}

/** New data was acknowledged up to `ack`. */
function takeAdvance(connection: Connection, ack: number, advanced: number, now: number): void {
  const { sent, sendBuffer, recovery } = connection;
  while (sent.first !== null && (ack - sent.first.end | 0) >= 0) {
    deliver(connection, sent.first, sent.first.bytes, now);
    sent.shift();
  }
  const first = sent.first;
  if (first !== null && (ack - first.sequence | 0) > 0) {
    deliver(connection, first, ack - first.sequence | 0, now);
    sent.trim(first, ack);
  }
  const isFinAcked = connection.isFinSent && ack === connection.sendNext;
  const bytes = advanced - (isFinAcked ? 1 : 0);
  connection.sendUna = ack;
  connection.timerFrom = now;
  delivery.acked = bytes;
  connection.bytesAcked += bytes;
  if ((ack - recovery.forwardMost | 0) > 0) recovery.forwardMost = ack;
  // Without SACK: so much of what duplicates stood for is explained now.
  recovery.renoSackedBytes = Math.max(
    0,
    recovery.renoSackedBytes - Math.max(0, bytes - connection.segmentBytes),
  );
  recovery.duplicateAcks = 0;
  if (recovery.phase !== RecoveryPhase.Recovery) recovery.renoSackedBytes = 0;
  if (connection.backoff > 0) {
    connection.timeoutRecoveries++;
    connection.timeoutNanos += now - connection.timeoutBegan;
  }
  connection.backoff = 0;
  connection.stalledAt = 0;
  if (bytes > 0) {
    const wasFull = !connection.isWritable;
    sendBuffer.drop(sendBuffer.start + bytes);
    tuneSendBuffer(connection);
    if (wasFull && connection.isWritable) connection.notify(POLLOUT | POLLWRNORM);
  }
  if (recovery.isProbing && (ack - recovery.probeEnd | 0) >= 0) endProbe(connection);
  if (connection.sent.first === null && connection.unsentBytes === 0) {
    connection.limits.enter(Limit.Idle, now);
  }
}

/** RFC 8985 section 7.4.2: an acknowledgement beyond the probe without a D-SACK says that the probe repaired a loss. */
function endProbe(connection: Connection): void {
  const { recovery } = connection;
  recovery.isProbing = false;
  if (!recovery.wasProbeRetransmit || delivery.isDsack || recovery.phase !== RecoveryPhase.Open) return;
  connection.tcp.statistics.TCPLossProbeRecovery++;
  connection.threshold = connection.congestion.onLoss(connection, connection.window, 0);
  connection.window = Math.max(connection.threshold, 2 * connection.segmentBytes);
}

function deliver(connection: Connection, segment: SentSegment, bytes: number, now: number): void {
  if ((segment.flags & SACKED) !== 0) return;
  delivery.arrived += bytes;
  noteSentOnce(segment);
  noteDelivered(connection, segment, now);
}

/** Karn: only what was sent once can be measured. */
function noteSentOnce(segment: SentSegment): void {
  if (segment.retransmits > 0) {
    delivery.hasRetransmit = true;
    return;
  }
  if (delivery.firstSentAt === 0 || segment.sentAt < delivery.firstSentAt) {
    delivery.firstSentAt = segment.sentAt;
  }
  if (segment.sentAt <= delivery.lastSentAt) return;
  delivery.lastSentAt = segment.sentAt;
  delivery.prior = segment.delivered;
  delivery.priorAt = segment.deliveredAt;
}

/** RFC 2018 and RFC 2883. */
function takeSacks(connection: Connection, ack: number, options: TcpOptions, now: number): void {
  const { sent, recovery } = connection;
  for (let i = 0; i < options.sackCount; i++) {
    const start = options.sacks[2 * i], end = options.sacks[2 * i + 1];
    if ((end - start | 0) <= 0) continue;
    if (i === 0 && isDsack(start, end, ack, options)) {
      delivery.isDsack = true;
      connection.dsacks++;
      connection.tcp.statistics.TCPDSACKRecv++;
      if (recovery.undoRetransmits > 0) recovery.undoRetransmits--;
      widenReordering(connection);
      continue;
    }
    // Nothing outside of what is outstanding is believed.
    if ((start - connection.sendUna | 0) < 0 || (end - connection.sendNext | 0) > 0) continue;
    if ((end - ack | 0) <= 0) continue;
    for (let segment = sent.first; segment !== null; segment = segment.next) {
      if ((segment.sequence - end | 0) >= 0) break;
      if ((segment.flags & SACKED) !== 0 || (segment.end - start | 0) <= 0) continue;
      if ((segment.sequence - start | 0) < 0) {
        if (!sent.split(segment, start)) break;
        continue;
      }
      if ((segment.end - end | 0) > 0 && !sent.split(segment, end)) break;
      delivery.sacked += segment.bytes;
      delivery.arrived += segment.bytes;
      noteSentOnce(segment);
      noteDelivered(connection, segment, now);
      sent.setFlags(segment, SACKED);
      if ((segment.end - recovery.forwardMost | 0) > 0) recovery.forwardMost = segment.end;
      segment = sent.joinSacked(segment);
    }
  }
}

/** RFC 2883 section 4: below the acknowledgement, or inside the second block. */
function isDsack(start: number, end: number, ack: number, options: TcpOptions): boolean {
  if ((end - ack | 0) <= 0 || (start - ack | 0) < 0) return true;
  if (options.sackCount < 2) return false;
  return (start - options.sacks[2] | 0) >= 0 && (end - options.sacks[3] | 0) <= 0;
}

/** RFC 8985 section 6.2, step 4: each D-SACK gives reordering more time. */
function widenReordering(connection: Connection): void {
  const { recovery } = connection;
  recovery.hasReordering = true;
  recovery.reorderSteps = Math.min(recovery.reorderSteps + 1, 255);
  recovery.reorderPersist = 16;
}

/** RFC 5681 section 2: no data, no new window, something outstanding. */
function isDuplicate(
  connection: Connection,
  ack: number,
  payload: number,
  window: number,
  previous: number,
): boolean {
  return ack === connection.sendUna && payload === 0 && connection.outstanding > 0 && window === previous &&
    !connection.hasSack;
}
function takeDuplicate(connection: Connection): void {
  const { recovery } = connection;
  recovery.duplicateAcks++;
  recovery.renoSackedBytes = Math.min(
    recovery.renoSackedBytes + connection.segmentBytes,
    Math.max(0, connection.outstanding - connection.segmentBytes),
  );
  delivery.sacked = delivery.arrived = connection.segmentBytes;
  if (recovery.duplicateAcks === DUPLICATE_ACKS && recovery.phase === RecoveryPhase.Open) {
    markFirstLost(connection);
  }
}
/** Without SACK only the first segment is known to be missing. */
export function markFirstLost(connection: Connection): void {
  const { sent } = connection;
  const { first } = sent;
  if (first === null) return;
  if (first.bytes > connection.segmentBytes) sent.split(first, first.sequence + connection.segmentBytes | 0);
  sent.setFlags(first, first.flags & ~RETRANSMITTED | LOST);
}

/** RFC 6298, with RFC 7323's timestamps where records say nothing (everything was sent again). */
function measure(connection: Connection, advanced: number, options: TcpOptions, now: number): void {
  // The oldest counts, as the timeout has to cover what the peer's delays add (Linux: seq_rtt_us).
  // What waited behind a hole has waited for the retransmission that filled it: that is no round trip. With SACK it was
  // measured when it arrived.
  const isBehindHole = delivery.hasRetransmit && !connection.hasSack;
  if (delivery.firstSentAt > 0 && !isBehindHole) {
    connection.rtt.sample(now - delivery.firstSentAt, now);
    return;
  }
  if (advanced <= 0 || !options.hasTimestamps || options.timestampEcho === 0) return;
  const millis = connection.timestamp(now) - options.timestampEcho | 0;
  if (millis >= 0 && millis < 0x7fff_ffff / 2) connection.rtt.sample(Math.max(millis, 1) * 1e6, now);
}

/** How much has arrived, and how fast: the rate between the moments that the newest segment was sent and now. */
function countDelivery(connection: Connection, flags: number, now: number): void {
  const { recovery } = connection;
  recovery.delivered += delivery.arrived;
  recovery.deliveredAt = now;
  if ((flags & ECE) !== 0 && connection.hasEcn) recovery.deliveredMarked += delivery.arrived;
  const nanos = Math.max(now - delivery.priorAt, connection.rtt.min);
  if (delivery.priorAt > 0 && nanos > 0) {
    recovery.deliveryRate = (recovery.delivered - delivery.prior) * 1e9 / nanos;
  }
}

/** Loss and growth of the window. */
function adjust(connection: Connection, inFlightBefore: number, now: number): void {
  const { recovery, sent } = connection;
  if (sent.lostBytes > 0 && recovery.phase === RecoveryPhase.Open) {
    enterRecovery(connection, inFlightBefore, now);
  }
  if (recovery.phase === RecoveryPhase.Recovery) {
    // A partial acknowledgement without SACK: the next segment is missing too (RFC 6582).
    if (!connection.hasSack && delivery.acked > 0) markFirstLost(connection);
    reduceProportionally(connection, delivery.arrived, delivery.acked > 0);
    return;
  }
  if (delivery.acked <= 0) return;
  if ((connection.sendUna - recovery.roundEnd | 0) >= 0) {
    recovery.roundEnd = connection.sendNext;
    connection.congestion.onRound(now);
  }
  // Only a window that was used grows (RFC 7661); in slow start half of it used is enough, as on Linux.
  const isSlowStart = connection.window < connection.threshold;
  const isUsed = recovery.isWindowLimited || isSlowStart && connection.window < 2 * inFlightBefore;
  const rtt = delivery.lastSentAt > 0 ? now - delivery.lastSentAt : 0;
  if (isUsed) connection.congestion.onAck(connection, delivery.arrived, rtt, now);
  if (connection.outstanding === 0) recovery.isWindowLimited = false;
}

/** RFC 3168 section 6.1.2: once a round trip, as for a loss. */
function takeCongestionMark(connection: Connection, now: number): void {
  const { recovery } = connection;
  if (recovery.phase !== RecoveryPhase.Open || (connection.sendUna - recovery.point | 0) <= 0) return;
  recovery.point = connection.sendNext;
  connection.threshold = connection.congestion.onLoss(connection, connection.window, now);
  connection.window = Math.max(connection.threshold, connection.segmentBytes);
  connection.sendsCwr = true;
}

/** The send buffer follows the window: twice what may be in flight, so that the next round is written meanwhile. */
function tuneSendBuffer(connection: Connection): void {
  if (connection.isSendFixed) return;
  const wanted = Math.floor(2 * connection.window);
  if (wanted <= connection.sendBytesMax) return;
  connection.sendBytesMax = Math.min(
    Math.max(wanted, connection.tcp.settings.get("wmem_min")),
    connection.tcp.settings.get("wmem_max"),
  );
}
