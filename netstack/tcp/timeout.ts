// The retransmission timer and what it stands for: timeout (RFC 6298 section 5), tail loss probe and reordering (RFC 8985),
// window probes (RFC 9293 section 3.8.6.1), and when a connection is given up.

import type { Connection } from "./connection.ts";
import { output, retransmit, sendProbe, sendSyn } from "./output.ts";
import { detectLosses, enterRecovery, rememberForUndo } from "./recovery.ts";
import { RecoveryPhase } from "./recovery_state.ts";
import { RTO_INITIAL_NANOS, RTO_MAX_NANOS, RTO_MIN_NANOS } from "./rtt.ts";
import { LOST, RETRANSMITTED, SACKED, type SentSegment } from "./sent_list.ts";
import { TcpState } from "./state.ts";
import { RetransmitMode } from "./retransmit_mode.ts";
import { armRetransmit, timeoutNanos } from "./retransmit_timer.ts";

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
