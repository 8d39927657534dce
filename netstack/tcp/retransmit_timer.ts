// When the retransmission timer of a connection is due, and what for: RFC 6298 section 5, RFC 8985 section 7.2, RFC 9293
// section 3.8.6.1.

import { NEVER } from "../timer.ts";
import type { Connection } from "./connection.ts";
import { RecoveryPhase } from "./recovery_state.ts";
import { RetransmitMode } from "./retransmit_mode.ts";
import { RTO_MAX_NANOS, RTO_MIN_NANOS } from "./rtt.ts";
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

/** The timeout of now, doubled for each that has passed without an answer (RFC 6298 section 5.5). */
export function timeoutNanos(connection: Connection): number {
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

/** The link takes more. When it does not an acknowledgement of what is out brings us back, or a timer. */
export function hasRoom(connection: Connection): boolean {
  const { nic } = connection.route;
  return nic === null || nic.link.room > 0;
}
