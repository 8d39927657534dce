// A segment arrives for a connection: RFC 9293 section 3.10.7, in its order, with the checks of RFC 5961 (blind attacks) and
// RFC 7323 (PAWS). Listeners, SYN queue and TIME_WAIT have files of their own.

import { ECONNREFUSED, ECONNRESET, EPIPE } from "../errno.ts";
import type { Packet } from "../packet.ts";
import { POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "../readiness.ts";
import { ACK, CWR, ECE, FIN, RST, SYN, URG } from "../wire/tcp.ts";
import { takeAck } from "./ack.ts";
import { tuneReceiveBuffer } from "./auto_tuning.ts";
import type { Connection } from "./connection.ts";
import { armFinWait, armKeepAlive } from "./keepalive.ts";
import { joinLocalPeer } from "./local.ts";
import { scheduleAck, sendAck, sendSyn } from "./output.ts";
import { RTO_INITIAL_NANOS } from "./rtt.ts";
import { RING_BYTES_MAX } from "./ring.ts";
import type { Segment } from "./segment.ts";
import { canReceive, TcpState } from "./state.ts";
import { RetransmitMode } from "./retransmit_mode.ts";

/** Two challenge acknowledgements of one connection are so far apart at least (tcp_invalid_ratelimit). */
const CHALLENGE_NANOS = 500e6;
/** RFC 7323 section 5.5: a timestamp this old says nothing any more (24 days). */
const PAWS_NANOS = 24 * 86_400e9;
/** Acknowledgements at once at the start and after a pause, while the peer's window is small (Linux: quickack). */
const QUICK_ACKS = 16;

/** The segment's packet has its transport header at packet.at. */
export function receiveSegment(connection: Connection, segment: Segment, packet: Packet, now: number): void {
  connection.segmentsIn += segment.pieces;
  if (connection.state === TcpState.SynSent) {
    receiveInSynSent(connection, segment, packet, now);
    return;
  }
  // First: sequence number and timestamp.
  if (!isAcceptable(connection, segment, now)) return;
  connection.lastReceivedAt = now;
  connection.keepaliveProbes = 0;
  const { flags } = segment;
  // Second: reset, RFC 5961 section 3.2: only at the very next number, else a challenge.
  if ((flags & RST) !== 0) {
    takeReset(connection, segment, now);
    return;
  }
  // Fourth: SYN in the window, RFC 5961 section 4.2.
  if ((flags & SYN) !== 0) {
    // The peer's SYN-ACK of a simultaneous open comes again, or is answered at last.
    if (connection.state === TcpState.SynReceived && (flags & ACK) !== 0) {
      if (segment.ack === connection.sendNext) establish(connection, segment, now);
      return;
    }
    connection.tcp.statistics.TCPSYNChallenge++;
    challenge(connection, now);
    return;
  }
  // Fifth: acknowledgement.
  if ((flags & ACK) === 0) return;
  if (connection.state === TcpState.SynReceived) {
    if (!isAckInFlight(connection, segment.ack)) {
      connection.tcp.sendResetTo(packet, segment);
      return;
    }
    establish(connection, segment, now);
  }
  if (segment.payload === 0) connection.tcp.statistics.TCPPureAcks += segment.pieces;
  if (!takeAcknowledgement(connection, segment, now)) return;
  if (connection.state === TcpState.Closed) return;
  // Sixth to eighth: urgent pointer, text, FIN.
  if ((flags & URG) !== 0 && segment.urgent > 0) takeUrgent(connection, segment);
  if (segment.payload > 0 || (flags & FIN) !== 0) takeText(connection, segment, packet, now);
}

/** RFC 9293 section 3.10.7.3. */
function receiveInSynSent(connection: Connection, segment: Segment, packet: Packet, now: number): void {
  const { flags } = segment;
  const hasAck = (flags & ACK) !== 0;
  if (hasAck && (segment.ack !== connection.sendNext || !isEchoOfOurs(connection, segment, now))) {
    if ((flags & RST) === 0) connection.tcp.sendResetTo(packet, segment);
    return;
  }
  if ((flags & RST) !== 0) {
    // Without an acknowledgement of our SYN anybody could have sent it.
    if (hasAck) connection.fail(ECONNREFUSED);
    return;
  }
  if ((flags & SYN) === 0) return;
  connection.lastReceivedAt = now;
  connection.initialReceive = segment.sequence;
  connection.receiveNext = segment.sequence + 1 | 0;
  const window = connection.receiveEdge;
  connection.receiveEdge = connection.receiveNext + window | 0;
  connection.sendWl1 = segment.sequence;
  connection.sendWl2 = segment.ack;
  connection.sendWindow = connection.sendWindowMax = segment.window;
  takeSynOptions(connection, segment, now);
  if (hasAck) {
    connection.hasEcn = (flags & (ECE | CWR)) === ECE && connection.tcp.settings.get("ecn") === 1;
    connection.sendUna = segment.ack;
    connection.rtt.timeout = RTO_INITIAL_NANOS;
    if (connection.synSends === 1) connection.rtt.sample(Math.max(1, now - connection.lastSentAt), now);
    open(connection, now);
    connection.mustAck = true;
    connection.wantOutput();
    connection.notify(POLLOUT | POLLWRNORM);
    return;
  }
  // Both have called each other at once: RFC 9293 section 3.5.
  connection.hasEcn = false;
  connection.move(TcpState.SynReceived);
  connection.synSends = 0;
  sendSyn(connection, now);
  connection.setRetransmit(RetransmitMode.Timeout, now + RTO_INITIAL_NANOS);
}

/** RFC 7323 section 5: what is echoed must be a time at which we have sent our SYN. */
function isEchoOfOurs(connection: Connection, segment: Segment, now: number): boolean {
  const { options } = segment;
  if (!options.hasTimestamps || options.timestampEcho === 0 || (segment.flags & RST) !== 0) return true;
  const isPossible = (options.timestampEcho - connection.initialStamp | 0) >= 0 &&
    (options.timestampEcho - connection.timestamp(now) | 0) <= 0;
  if (!isPossible) connection.tcp.statistics.PAWSActive++;
  return isPossible;
}

function takeSynOptions(connection: Connection, segment: Segment, now: number): void {
  const { options } = segment;
  const { settings } = connection.tcp;
  connection.peerMss = options.mss === 0 ? (connection.isV4 ? 536 : 1220) : Math.max(options.mss, 48);
  connection.hasSack = options.isSackPermitted && settings.get("sack") !== 0;
  connection.hasTimestamps = options.hasTimestamps && settings.get("timestamps") !== 0;
  connection.hasScaling = options.scale >= 0 && settings.get("window_scaling") !== 0;
  connection.sendScale = connection.hasScaling ? options.scale : 0;
  if (!connection.hasScaling) connection.receiveScale = 0;
  if (connection.hasTimestamps) {
    connection.timestampRecent = options.timestamp;
    connection.timestampRecentAt = now;
  }
  connection.syncSegmentBytes();
}

/** The handshake is over on our side. */
export function open(connection: Connection, now: number): void {
  connection.move(TcpState.Established);
  connection.startWindow();
  connection.lastReceivedAt = now;
  connection.lastAckSent = connection.receiveNext;
  connection.stalledAt = 0;
  connection.backoff = 0;
  connection.recovery.point = connection.recovery.roundEnd = connection.sendNext;
  connection.recovery.forwardMost = connection.sendUna;
  connection.tuneAt = now;
  connection.setRetransmit(RetransmitMode.None, Infinity);
  armKeepAlive(connection, now);
  joinLocalPeer(connection);
}

/** SYN-RECEIVED of a simultaneous open: the acknowledgement of our SYN has come. */
function establish(connection: Connection, segment: Segment, now: number): void {
  connection.sendUna = connection.sendNext;
  connection.sendWl1 = segment.sequence;
  connection.sendWl2 = segment.ack;
  connection.sendWindow = connection.sendWindowMax = (segment.flags & SYN) !== 0
    ? segment.window
    : segment.window * 2 ** connection.sendScale;
  open(connection, now);
  connection.notify(POLLOUT | POLLWRNORM);
}

function isAckInFlight(connection: Connection, ack: number): boolean {
  return (ack - connection.sendUna | 0) > 0 && (ack - connection.sendNext | 0) <= 0;
}

/** RFC 9293 section 3.10.7.4, first check, and RFC 7323 section 5.3. */
function isAcceptable(connection: Connection, segment: Segment, now: number): boolean {
  const { options, sequence } = segment;
  if (connection.hasTimestamps && options.hasTimestamps) {
    const isOld = (options.timestamp - connection.timestampRecent | 0) < 0;
    const isForgotten = now - connection.timestampRecentAt > PAWS_NANOS;
    if (isOld && !isForgotten && (segment.flags & RST) === 0) {
      connection.tcp.statistics.PAWSEstab++;
      challengeData(connection, segment, now);
      return false;
    }
  }
  const windowEnd = connection.receiveEdge;
  const length = segment.length;
  const end = sequence + length | 0;
  // Some part of it lies in the window, or it is empty and at its edge (Linux: tcp_sequence()).
  const isInside = (end - connection.receiveNext | 0) >= 0 && (sequence - windowEnd | 0) <= 0;
  if (isInside) {
    const isRecent = connection.hasTimestamps && options.hasTimestamps &&
      (sequence - connection.lastAckSent | 0) <= 0 &&
      (options.timestamp - connection.timestampRecent | 0) >= 0;
    if (isRecent) {
      connection.timestampRecent = options.timestamp;
      connection.timestampRecentAt = now;
    }
    return true;
  }
  if ((segment.flags & RST) !== 0) return false;
  challengeData(connection, segment, now);
  return false;
}

/** What is outside the window is answered, so that the peer learns where we are; old data is reported by D-SACK. */
function challengeData(connection: Connection, segment: Segment, now: number): void {
  if (segment.payload > 0) {
    noteDsack(connection, segment.sequence, segment.sequence + segment.payload | 0, true);
    connection.mustAck = true;
    connection.wantOutput();
    return;
  }
  // An empty segment just below the window is a keepalive or window probe: it is owed an answer, at a bounded rate.
  challenge(connection, now);
}

/** RFC 5961 section 7: acknowledgements of this kind are rationed. */
function challenge(connection: Connection, now: number): void {
  if (now - connection.lastChallengeAt < CHALLENGE_NANOS || !connection.tcp.takeChallenge(now)) return;
  connection.lastChallengeAt = now;
  connection.tcp.statistics.TCPChallengeACK++;
  sendAck(connection, now);
}

function takeReset(connection: Connection, segment: Segment, now: number): void {
  if (segment.sequence !== connection.receiveNext) {
    challenge(connection, now);
    return;
  }
  switch (connection.state) {
    case TcpState.CloseWait:
      connection.fail(EPIPE);
      break;
    case TcpState.SynReceived:
      connection.fail(ECONNREFUSED);
      break;
    default:
      connection.fail(ECONNRESET);
  }
}

/** The ACK field, and the moves of our closing. False when the segment ends here. */
function takeAcknowledgement(connection: Connection, segment: Segment, now: number): boolean {
  const { ack } = segment;
  // RFC 5961 section 5.2: an ACK of what was never sent, or of what is long past, is challenged.
  if ((ack - connection.sendNext | 0) > 0) {
    challenge(connection, now);
    return false;
  }
  if ((ack - connection.sendUna | 0) < 0) {
    const isAncient = (connection.sendUna - ack | 0) > Math.max(connection.sendWindowMax, 65_535);
    if (isAncient) {
      challenge(connection, now);
      return false;
    }
  } else {
    takeAck(
      connection,
      ack,
      segment.window,
      segment.sequence,
      segment.payload,
      segment.flags,
      segment.options,
      now,
    );
    connection.wantOutput();
  }
  if (!connection.isFinSent || connection.sendUna !== connection.sendNext) return true;
  // Our FIN is acknowledged.
  switch (connection.state) {
    case TcpState.FinWait1:
      connection.move(TcpState.FinWait2);
      connection.notify(POLLOUT);
      connection.endpoint?.onFinAcknowledged();
      if (connection.endpoint === null) armFinWait(connection, now);
      return connection.state as TcpState !== TcpState.Closed;
    case TcpState.Closing:
      connection.enterTimeWait();
      return false;
    case TcpState.LastAck:
      connection.dispose();
      connection.notify(POLLIN | POLLOUT);
      return false;
    default:
      return true;
  }
}

/** RFC 9293 section 3.8.5, with the pointer as Linux reads it: to the byte behind the urgent one. */
function takeUrgent(connection: Connection, segment: Segment): void {
  if (!canReceive(connection.state) || connection.isReceiveShut) return;
  const { receiveBuffer } = connection;
  const sequence = segment.sequence + segment.urgent - 1 | 0;
  const place = receiveBuffer.next + (sequence - connection.receiveNext | 0);
  if (place < receiveBuffer.next || place <= connection.urgentPlace) return;
  connection.urgentPlace = place;
  connection.urgentByte = -1;
  connection.isUrgentRead = false;
  connection.notify(POLLPRI);
}

/** Data and FIN: RFC 9293 section 3.10.7.4, seventh and eighth. */
function takeText(connection: Connection, segment: Segment, packet: Packet, now: number): void {
  if (!canReceive(connection.state)) {
    // RFC 9293: nothing can come after their FIN. Repeated ones are acknowledged.
    connection.mustAck = true;
    connection.wantOutput();
    return;
  }
  const isUnread = connection.endpoint === null ||
    connection.isReceiveShut && connection.state !== TcpState.Established;
  const isNew = (segment.sequence + segment.payload - connection.receiveNext | 0) > 0;
  if (segment.payload > 0 && isUnread && isNew) {
    // Nobody will ever read it: RFC 1122 section 4.2.2.13.
    connection.tcp.statistics.TCPAbortOnData++;
    connection.tcp.sendResetTo(packet, segment);
    connection.fail(ECONNRESET);
    return;
  }
  const before = connection.receiveBuffer.next;
  if (segment.payload > 0) takeData(connection, segment, packet, now);
  if ((segment.flags & FIN) !== 0) {
    connection.earlyFin = segment.sequence + segment.payload | 0;
    connection.hasEarlyFin = true;
  }
  const isFin = connection.hasEarlyFin && connection.earlyFin === connection.receiveNext;
  if (connection.receiveBuffer.next > before) connection.notify(POLLIN | POLLRDNORM);
  if (isFin) takeFin(connection, now);
}

function takeData(connection: Connection, segment: Segment, packet: Packet, now: number): void {
  const { receiveBuffer } = connection;
  const { statistics } = connection.tcp;
  let { sequence, payload: length, payloadAt: at } = segment;
  connection.dataSegmentsIn += segment.pieces;
  const isAfterPause = now - connection.lastDataReceivedAt > connection.rtt.timeout;
  if (isAfterPause && connection.bytesReceived > 0) connection.quickAcks = QUICK_ACKS;
  connection.lastDataReceivedAt = now;
  const size = segment.pieces > 1 ? packet.gsoBytes : segment.payload;
  if (size > connection.peerSegmentBytes || segment.pieces > 1) connection.peerSegmentBytes = size;
  if ((packet.tos & 3) === 3 && connection.hasEcn) connection.sendsEce = true;
  if ((segment.flags & CWR) !== 0) connection.sendsEce = (packet.tos & 3) === 3 && connection.hasEcn;
  // What was received already is cut off in front, what is beyond the window behind.
  const old = connection.receiveNext - sequence | 0;
  if (old > 0) {
    noteDsack(connection, sequence, sequence + Math.min(old, length) | 0, true);
    connection.mustAck = true;
    connection.wantOutput();
    if (old >= length) return;
    sequence = connection.receiveNext;
    at += old;
    length -= old;
  }
  const beyond = sequence + length - connection.receiveEdge | 0;
  if (beyond > 0) {
    statistics.TCPRcvQDrop++;
    length -= beyond;
    connection.mustAck = true;
    connection.wantOutput();
    if (length <= 0) return;
  }
  const distance = sequence - connection.receiveNext | 0;
  const place = receiveBuffer.next + distance;
  if (distance > 0) noteOverlap(connection, place, sequence, length);
  const moved = distance > 0 && isMemoryShort(connection, place + length)
    ? -1
    : receiveBuffer.write(place, packet.bytes, at, length);
  if (moved < 0) {
    statistics.TCPOFODrop++;
    connection.mustAck = true;
    connection.wantOutput();
    return;
  }
  if (connection.urgentPlace >= place && connection.urgentPlace < place + length) {
    connection.urgentByte = packet.bytes[at + connection.urgentPlace - place];
  }
  if (distance > 0) {
    statistics.TCPOFOQueue++;
    connection.outOfOrder++;
    connection.recovery.newestRange = place;
    // RFC 5681 section 4.2: a segment out of order is acknowledged at once.
    connection.mustAck = true;
    connection.wantOutput();
    return;
  }
  connection.receiveNext = connection.receiveNext + moved | 0;
  connection.bytesReceived += moved;
  connection.unackedBytes += length;
  tuneReceiveBuffer(connection, segment, now);
  // A segment that fills a gap is acknowledged at once too, and so is more than one full segment (RFC 5681 section 4.2).
  const isGap = moved > length || receiveBuffer.hasGap;
  const isDue = connection.unackedBytes > connection.peerSegmentBytes ||
    connection.quickAcks > 0 && !connection.isInteractive;
  if (isGap || isDue || segment.pieces > 1 || connection.sendsEce) {
    connection.mustAck = true;
    connection.wantOutput();
  } else {
    scheduleAck(connection, now);
  }
}

/** What came out of order may not grow the ring when all rings together hold too much: it comes again. */
function isMemoryShort(connection: Connection, to: number): boolean {
  const buffer = connection.receiveBuffer;
  return connection.tcp.stack.rings.held > RING_BYTES_MAX && to - buffer.start > buffer.ringBytes;
}

/** RFC 2883: a report of data that came twice. */
function noteDsack(connection: Connection, start: number, end: number, isOld: boolean): void {
  if (!connection.hasSack) return;
  connection.dsackStart = start;
  connection.dsackEnd = end;
  connection.hasDsack = true;
  const { statistics } = connection.tcp;
  if (isOld) statistics.TCPDSACKOldSent++;
  else statistics.TCPDSACKOfoSent++;
}
function noteOverlap(connection: Connection, place: number, sequence: number, length: number): void {
  const { ranges } = connection.receiveBuffer;
  for (let i = 0; i < ranges.length; i += 2) {
    if (place >= ranges[i] && place + length <= ranges[i + 1]) {
      noteDsack(connection, sequence, sequence + length | 0, false);
      return;
    }
  }
}

/** Their direction is closed. */
function takeFin(connection: Connection, now: number): void {
  connection.receiveNext = connection.receiveNext + 1 | 0;
  connection.hasEarlyFin = false;
  connection.mustAck = true;
  connection.wantOutput();
  switch (connection.state) {
    case TcpState.Established:
      connection.move(TcpState.CloseWait);
      break;
    case TcpState.FinWait1:
      connection.move(TcpState.Closing);
      break;
    case TcpState.FinWait2:
      // The acknowledgement leaves before the record takes over.
      sendAck(connection, now);
      connection.enterTimeWait();
      return;
    default:
      break;
  }
  connection.notify(POLLIN | POLLRDNORM | POLLRDHUP);
}
