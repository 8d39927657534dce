// Detection of losses by time (RACK, RFC 8985), recovery with proportional rate reduction (RFC 6937), and taking it back
// when nothing was lost (Eifel, RFC 3522; D-SACK, RFC 3708).

import type { TcpOptions } from "../wire/tcp.ts";
import type { Connection } from "./connection.ts";
import { RecoveryPhase } from "./recovery_state.ts";
import { LOST, RETRANSMITTED, SACKED, type SentSegment } from "./sent_list.ts";
import { RetransmitMode } from "./retransmit_mode.ts";

/** RFC 8985 section 6.2: duplicates that stand for a loss before reordering was seen. */
const DUPLICATE_SEGMENTS = 3;
/** Bits of the setting "recovery". */
const RACK = 1;
const FIXED_WINDOW = 2;
const NO_THRESHOLD = 4;
/** tcp_max_reordering. */
const REORDERING_MAX = 300;

/** A segment has arrived: RACK remembers the one sent last (RFC 8985 section 6.2, steps 1 to 3). */
export function noteDelivered(connection: Connection, segment: SentSegment, now: number): void {
  const { recovery } = connection;
  const rtt = now - segment.sentAt;
  // The answer to a segment sent twice may be to the first: too soon for the second.
  if (segment.retransmits > 0 && rtt < connection.rtt.min) return;
  const isLater = segment.sentAt > recovery.rackSentAt ||
    segment.sentAt === recovery.rackSentAt && (segment.end - recovery.rackEnd | 0) > 0;
  if (isLater) {
    recovery.rackSentAt = segment.sentAt;
    recovery.rackEnd = segment.end;
    recovery.rackRtt = rtt;
  }
  // Delivered below what had already arrived, and sent once: it was reordered.
  const isBehind = (segment.end - recovery.forwardBefore | 0) < 0;
  if (!isBehind || segment.retransmits > 0 || !connection.hasSack) return;
  recovery.hasReordering = true;
  recovery.reorderSeen++;
  const extent = Math.ceil((recovery.forwardBefore - segment.sequence | 0) / connection.segmentBytes);
  recovery.reordering = Math.min(Math.max(recovery.reordering, extent), REORDERING_MAX);
}

/** Marks what must be lost by now, and sets the timer for what may be (RFC 8985 section 6.2, step 5). */
export function detectLosses(connection: Connection, now: number): void {
  const { sent, recovery } = connection;
  if (!connection.hasSack || recovery.rackSentAt === 0) return;
  if (sent.sackedBytes === 0 && recovery.phase === RecoveryPhase.Open) return;
  const bits = connection.tcp.settings.get("recovery");
  if ((bits & RACK) === 0) {
    detectByCount(connection);
    return;
  }
  const wait = recovery.rackRtt + reorderNanos(connection);
  let next = 0;
  for (let segment = sent.first; segment !== null; segment = segment.next) {
    if ((segment.flags & SACKED) !== 0) continue;
    if ((segment.flags & (LOST | RETRANSMITTED)) === LOST) continue;
    const isBefore = segment.sentAt < recovery.rackSentAt ||
      segment.sentAt === recovery.rackSentAt && (segment.end - recovery.rackEnd | 0) < 0;
    // In the order they were sent, but for those sent again.
    if (!isBefore && segment.retransmits === 0) break;
    if (!isBefore) continue;
    const remaining = segment.sentAt + wait - now;
    // Less than a nanosecond is no time: in a world of exact clocks the timer would come up again at once.
    if (remaining < 1) {
      if ((segment.flags & RETRANSMITTED) !== 0) connection.tcp.statistics.TCPLostRetransmit++;
      sent.setFlags(segment, segment.flags & ~RETRANSMITTED | LOST);
    } else if (remaining > next) {
      next = remaining;
    }
  }
  if (next > 0) connection.setRetransmit(RetransmitMode.Reorder, now + next);
}

/** RFC 6675 section 4, IsLost(): as much as three segments above it has arrived. */
function detectByCount(connection: Connection): void {
  const { sent } = connection;
  const enough = DUPLICATE_SEGMENTS * connection.segmentBytes;
  let above = sent.sackedBytes;
  for (let segment = sent.first; segment !== null && above >= enough; segment = segment.next) {
    if ((segment.flags & SACKED) !== 0) above -= segment.bytes;
    else if (segment.flags === 0) sent.setFlags(segment, LOST);
  }
}

/** How long a segment may be overtaken before it counts as lost. */
function reorderNanos(connection: Connection): number {
  const { recovery, sent } = connection;
  const bits = connection.tcp.settings.get("recovery");
  if (!recovery.hasReordering && (bits & NO_THRESHOLD) === 0) {
    if (recovery.phase !== RecoveryPhase.Open) return 0;
    if (sent.sackedBytes >= DUPLICATE_SEGMENTS * connection.segmentBytes) return 0;
  }
  const steps = (bits & FIXED_WINDOW) === 0 ? recovery.reorderSteps : 1;
  return Math.min(steps * connection.rtt.min / 4, connection.rtt.smoothed);
}

/** Something is lost: RFC 6675 section 5, RFC 6937 section 3. */
export function enterRecovery(connection: Connection, inFlight: number, now: number): void {
  const { recovery } = connection;
  const { statistics } = connection.tcp;
  if (connection.hasSack) statistics.TCPSackRecovery++;
  else statistics.TCPRenoRecovery++;
  statistics.TCPFastRetrans++;
  recovery.phase = RecoveryPhase.Recovery;
  recovery.point = connection.sendNext;
  rememberForUndo(connection);
  connection.threshold = connection.congestion.onLoss(connection, connection.window, now);
  recovery.prrDelivered = recovery.prrOut = 0;
  recovery.flightAtLoss = Math.max(inFlight, connection.segmentBytes);
  recovery.isProbing = false;
  connection.sendsCwr = connection.hasEcn;
}

export function rememberForUndo(connection: Connection): void {
  const { recovery } = connection;
  recovery.isUndoPossible = true;
  recovery.priorWindow = connection.window;
  recovery.priorThreshold = connection.threshold;
  recovery.retransmitStamp = 0;
  recovery.undoRetransmits = 0;
}

/** RFC 6937 section 3.1 with slow-start reduction bound. */
export function reduceProportionally(connection: Connection, delivered: number, isProgress: boolean): void {
  const { recovery } = connection;
  const pipe = connection.inFlight;
  recovery.prrDelivered += delivered;
  let allowed: number;
  if (pipe > connection.threshold) {
    allowed = Math.ceil(recovery.prrDelivered * connection.threshold / recovery.flightAtLoss) -
      recovery.prrOut;
  } else {
    const bound = Math.max(recovery.prrDelivered - recovery.prrOut, delivered) +
      (isProgress ? connection.segmentBytes : 0);
    allowed = Math.min(connection.threshold - pipe, bound);
  }
  // The first retransmission always goes.
  if (recovery.prrOut === 0) allowed = Math.max(allowed, connection.segmentBytes);
  connection.window = pipe + Math.max(0, allowed);
}

/** Everything that was out when it began has been acknowledged. */
export function endOfRecovery(connection: Connection, _now: number): void {
  const { recovery } = connection;
  // After a timeout the window has grown again by itself.
  if (recovery.phase === RecoveryPhase.Recovery) {
    connection.window = Math.max(Math.min(connection.window, connection.threshold), connection.threshold);
  }
  recovery.phase = RecoveryPhase.Open;
  recovery.isUndoPossible = false;
  recovery.renoSackedBytes = 0;
  recovery.duplicateAcks = 0;
  recovery.retransmitStamp = 0;
  if (recovery.reorderPersist > 0 && --recovery.reorderPersist === 0) recovery.reorderSteps = 1;
}

/** Takes a false alarm back: the originals have arrived, or every retransmission was a duplicate. */
export function undoIfSpurious(
  connection: Connection,
  options: TcpOptions,
  isProgress: boolean,
  isDsack: boolean,
  _now: number,
): void {
  const { recovery } = connection;
  if (recovery.phase === RecoveryPhase.Open) return;
  // Eifel: the acknowledgement echoes a time before the first retransmission.
  const isEarlier = isProgress && options.hasTimestamps && recovery.retransmitStamp !== 0 &&
    (options.timestampEcho - recovery.retransmitStamp | 0) < 0 && options.timestampEcho !== 0;
  const isAllDuplicate = isDsack && recovery.undoRetransmits === 0 && recovery.retransmitStamp !== 0;
  if (!isEarlier && !isAllDuplicate) return;
  if (recovery.phase === RecoveryPhase.Loss) connection.tcp.statistics.TCPSpuriousRTOs++;
  else connection.tcp.statistics.TCPFullUndo++;
  connection.window = Math.max(connection.window, recovery.priorWindow);
  connection.threshold = Math.max(connection.threshold, recovery.priorThreshold);
  connection.congestion.onUndo();
  recovery.phase = RecoveryPhase.Open;
  recovery.isUndoPossible = false;
  recovery.retransmitStamp = 0;
  for (let segment = connection.sent.first; segment !== null; segment = segment.next) {
    if ((segment.flags & RETRANSMITTED) === 0) connection.sent.setFlags(segment, segment.flags & ~LOST);
  }
}
