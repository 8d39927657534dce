// The retransmission timer and what it stands for: timeout (RFC 6298 section 5), tail loss probe and reordering (RFC 8985),
// window probes (RFC 9293 section 3.8.6.1), and when a connection is given up.

import { NEVER } from "../timer.ts";
import { type Connection, RetransmitMode } from "./connection.ts";
import { hasRoom, output, retransmit, sendProbe, sendSyn } from "./output.ts";
import { detectLosses, enterRecovery, rememberForUndo } from "./recovery.ts";
import { RecoveryPhase } from "./recovery_state.ts";
import { RTO_INITIAL_NANOS, RTO_MAX_NANOS, RTO_MIN_NANOS } from "./rtt.ts";
import { LOST, RETRANSMITTED, SACKED, type SentSegment } from "./sent_list.ts";
import { canSend, TcpState } from "./state.ts";

/** RFC 8985 section 7.2: a lone segment may meet a delayed acknowledgement. */
const MAX_ACK_DELAY_NANOS = 200e6;
/** A full link is looked at again after so long. */
const FULL_LINK_NANOS = 1e6;
const PROBE_NANOS_MIN = 10e6;
/** Backoff is a power of two: beyond this the maximum is reached anyway. */
const BACKOFF_MAX = 16;

/** Sets the timer for what is out now; called after everything that changes it. */
export function armRetransmit(connection: Connection, now: number): void {
  const { sent, retransmitTimer } = connection;
  if (connection.state === TcpState.Closed) return;
  if (sent.first === null) {
    const isStuck = connection.sendWindow < connection.segmentBytes && connection.unsentBytes > 0 &&
      connection.outstanding === 0;
    const hasMore = connection.unsentBytes > 0 || connection.isFinQueued && !connection.isFinSent;
    if (hasMore && !hasRoom(connection)) {
      connection.setRetransmit(RetransmitMode.None, now + FULL_LINK_NANOS);
    } else if (!isStuck) {
      if (connection.unsentBytes > 0 && connection.corkedAt > 0) {
        connection.setRetransmit(RetransmitMode.None, connection.corkedAt + 200e6);
      } else {
        connection.setRetransmit(RetransmitMode.None, NEVER);
      }
    } else if (connection.retransmitMode !== RetransmitMode.Persist || !retransmitTimer.isSet) {
      connection.setRetransmit(RetransmitMode.Persist, now + timeoutNanos(connection));
    }
    return;
  }
  if (connection.retransmitMode === RetransmitMode.Reorder && retransmitTimer.isSet) return;
  // RFC 6298 section 5.3: what is acknowledged starts the time anew.
  const from = Math.max(sent.first.sentAt, connection.timerFrom);
  let timeoutAt = from + timeoutNanos(connection);
  // The user's limit may come first.
  if (connection.userTimeoutNanos > 0) {
    const began = connection.stalledAt || sent.first.sentAt;
    timeoutAt = Math.min(timeoutAt, began + Math.max(connection.userTimeoutNanos, RTO_MIN_NANOS));
  }
  const probeAt = probeTime(connection, now);
  if (probeAt < timeoutAt) connection.setRetransmit(RetransmitMode.Probe, Math.max(probeAt, now));
  else connection.setRetransmit(RetransmitMode.Timeout, Math.max(timeoutAt, now));
}

function timeoutNanos(connection: Connection): number {
  const shift = Math.min(connection.backoff, BACKOFF_MAX);
  return Math.min(connection.rtt.timeout * 2 ** shift, RTO_MAX_NANOS);
}

/** When a tail loss probe is due, NEVER = none: RFC 8985 section 7.2. */
function probeTime(connection: Connection, _now: number): number {
  const { recovery, sent, rtt } = connection;
  const isApt = connection.hasSack && recovery.phase === RecoveryPhase.Open && !recovery.isProbing &&
    sent.sackedBytes === 0 && connection.backoff === 0 && rtt.smoothed > 0 &&
    canSend(connection.state) && connection.tcp.settings.get("early_retrans") !== 0;
  if (!isApt) return NEVER;
  let wait = 2 * rtt.smoothed;
  if (connection.outstanding <= connection.segmentBytes) wait += MAX_ACK_DELAY_NANOS;
  return Math.max(connection.lastSentAt, connection.timerFrom) + Math.max(wait, PROBE_NANOS_MIN);
}

export function onRetransmitTimer(connection: Connection, now: number): void {
  const mode = connection.retransmitMode;
  connection.retransmitMode = RetransmitMode.None;
  if (connection.state === TcpState.SynSent || connection.state === TcpState.SynReceived) {
    onSynTimer(connection, now);
    return;
  }
  switch (mode) {
    case RetransmitMode.Timeout:
      onTimeout(connection, now);
      break;
    case RetransmitMode.Probe:
      onProbe(connection, now);
      break;
    case RetransmitMode.Reorder:
      detectLosses(connection, now);
      if (connection.sent.lostBytes > 0 && connection.recovery.phase === RecoveryPhase.Open) {
        enterRecovery(connection, connection.inFlight + connection.sent.lostBytes, now);
        connection.window = connection.inFlight + connection.segmentBytes;
      }
      output(connection, now);
      break;
    case RetransmitMode.Persist:
      onPersist(connection, now);
      break;
    case RetransmitMode.None:
      // The time of a cork is over.
      output(connection, now);
      break;
  }
}

/** SYN or SYN-ACK again, with doubled time (RFC 6298 section 5.5). */
function onSynTimer(connection: Connection, now: number): void {
  const limit = connection.state === TcpState.SynSent
    ? connection.synRetries
    : connection.tcp.settings.get("synack_retries");
  if (connection.synSends > limit || isOverdue(connection, now)) {
    connection.timeOut();
    return;
  }
  if (connection.stalledAt === 0) connection.stalledAt = now;
  connection.tcp.statistics.TCPTimeouts++;
  connection.tcp.statistics.RetransSegs++;
  sendSyn(connection, now);
  const wait = Math.min(RTO_INITIAL_NANOS * 2 ** (connection.synSends - 1), RTO_MAX_NANOS);
  connection.setRetransmit(RetransmitMode.Timeout, now + wait);
}

/** RFC 6298 section 5.4 to 5.7; everything that was not SACKed is believed lost. */
function onTimeout(connection: Connection, now: number): void {
  const { sent, recovery } = connection;
  const { settings, statistics } = connection.tcp;
  const { first } = sent;
  if (first === null) return;
  if (connection.stalledAt === 0) connection.stalledAt = first.sentAt;
  const isOrphan = connection.endpoint === null;
  const limit = settings.get(isOrphan ? "orphan_retries" : "retries2");
  if (connection.backoff >= limit || isOverdue(connection, now)) {
    connection.timeOut();
    return;
  }
  statistics.TCPTimeouts++;
  statistics.TCPSlowStartRetrans++;
  if (connection.backoff === 0) {
    connection.timeouts++;
    connection.timeoutBegan = now;
  }
  // RFC 2018 section 8: SACKed and yet not acknowledged after all this time, it was thrown away.
  if ((first.flags & SACKED) !== 0) {
    statistics.TCPSACKReneging++;
    for (let segment: SentSegment | null = first; segment !== null; segment = segment.next) {
      sent.setFlags(segment, segment.flags & ~SACKED);
    }
  }
  if (connection.backoff === 0 && recovery.phase !== RecoveryPhase.Loss) {
    rememberForUndo(connection);
    connection.threshold = connection.congestion.onLoss(connection, connection.window, now);
  }
  connection.congestion.onTimeout(connection, now);
  recovery.phase = RecoveryPhase.Loss;
  recovery.point = connection.sendNext;
  recovery.isProbing = false;
  recovery.renoSackedBytes = 0;
  recovery.duplicateAcks = 0;
  recovery.prrOut = 1;
  for (let segment: SentSegment | null = first; segment !== null; segment = segment.next) {
    if ((segment.flags & SACKED) === 0) sent.setFlags(segment, segment.flags & ~RETRANSMITTED | LOST);
  }
  connection.window = connection.segmentBytes;
  connection.backoff++;
  // The way may be the trouble: it is looked up anew.
  connection.route.generation = -1;
  if (first.bytes > connection.segmentBytes) sent.split(first, first.sequence + connection.segmentBytes | 0);
  retransmit(connection, first, now);
  armRetransmit(connection, now);
}

/** RFC 8985 section 7.3: new data if there is any, the last segment otherwise. */
function onProbe(connection: Connection, now: number): void {
  const { sent, recovery } = connection;
  if (sent.last === null) return;
  connection.tcp.statistics.TCPLossProbes++;
  recovery.isProbing = true;
  recovery.wasProbeRetransmit = false;
  const before = connection.sendNext;
  const window = connection.window;
  // One segment beyond the window is allowed for the probe.
  connection.window = connection.inFlight + connection.segmentBytes;
  output(connection, now);
  connection.window = window;
  if (connection.sendNext === before) {
    const { last } = sent;
    if (last.bytes > connection.segmentBytes) sent.split(last, last.end - connection.segmentBytes | 0);
    retransmit(connection, sent.last, now);
    sent.setFlags(sent.last, sent.last.flags & ~RETRANSMITTED);
    recovery.wasProbeRetransmit = true;
  }
  recovery.probeEnd = connection.sendNext;
  connection.timerFrom = now;
  armRetransmit(connection, now);
}

/** The window is closed: RFC 9293 section 3.8.6.1, RFC 1122 section 4.2.2.17. Answers keep the connection alive. */
function onPersist(connection: Connection, now: number): void {
  if (connection.stalledAt === 0) connection.stalledAt = now;
  const isOrphan = connection.endpoint === null;
  const limit = connection.tcp.settings.get(isOrphan ? "orphan_retries" : "retries2");
  // Whatever is heard from the peer sets the number back.
  if (connection.keepaliveProbes >= limit || isOverdue(connection, now)) {
    connection.timeOut();
    return;
  }
  connection.tcp.statistics.TCPWinProbe++;
  connection.keepaliveProbes++;
  connection.backoff++;
  sendProbe(connection, now);
  connection.setRetransmit(RetransmitMode.Persist, now + timeoutNanos(connection));
}

/** TCP_USER_TIMEOUT, RFC 5482: nothing was acknowledged for so long. */
function isOverdue(connection: Connection, now: number): boolean {
  const limit = connection.userTimeoutNanos;
  if (limit === 0 || connection.stalledAt === 0) return false;
  return now - connection.stalledAt >= Math.max(limit, RTO_MIN_NANOS);
}
