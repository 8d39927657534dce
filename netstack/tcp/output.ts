// What is sent, and when: retransmissions, new data as the windows allow, FIN, acknowledgements. RFC 9293 sections 3.7 and
// 3.8, RFC 1122 section 4.2.3.4 (silly windows), RFC 896 (Nagle); Linux: tcp_output.c.

import { startChecksum } from "../link/offload.ts";
import { Gso, type Packet } from "../packet.ts";
import { put16, put32 } from "../wire/bytes.ts";
import { IPPROTO_TCP } from "../wire/numbers.ts";
import {
  ACK,
  CWR,
  ECE,
  FIN,
  PSH,
  putSacks,
  putSynOptions,
  putTimestamps,
  RST,
  SACK_BLOCKS_MAX,
  SYN,
  TCP_ACK_AT,
  TCP_BYTES,
  TCP_DESTINATION_AT,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_SEQUENCE_AT,
  TCP_SOURCE_AT,
  TCP_URGENT_AT,
  TCP_WINDOW_AT,
  URG,
} from "../wire/tcp.ts";
import type { Connection } from "./connection.ts";
import { Limit } from "./limits.ts";
import { RecoveryPhase } from "./recovery_state.ts";
import { LOST, RETRANSMITTED, SACKED, type SentSegment } from "./sent_list.ts";
import { canReceive, canSend, TcpState } from "./state.ts";
import { armRetransmit, hasRoom } from "./retransmit_timer.ts";

/** Segments sent in one turn: the others have their turn, then it goes on. */
const SENDS_MAX = 64;
/** A corked segment waits so long at most (tcp(7), TCP_CORK). */
const CORK_NANOS = 200e6;
const WINDOW_MAX = 65_535;
/** Delayed acknowledgement: Linux' least. */
export const DELAYED_ACK_NANOS = 40e6;

/** ECN-capable, RFC 3168 section 5. */
const ECT0 = 2;

/** What sendData() sends was sent before. */
let isAgain = false;
const sacks = new Int32Array(2 * SACK_BLOCKS_MAX);

/** Sends what may be sent now. */
export function output(connection: Connection, now: number): void {
  const { state } = connection;
  if (state === TcpState.SynSent || state === TcpState.SynReceived) {
    if (connection.mustAck) sendAck(connection, now);
    return;
  }
  if (connection.route.generation !== connection.tcp.stack.routes.generation) refreshRoute(connection);
  let sends = 0;
  if (
    connection.sent.lostBytes > connection.sent.retransmittedBytes ||
    connection.recovery.phase !== RecoveryPhase.Open
  ) {
    sends = sendLost(connection, now);
  }
  const isOpen = canSend(state) || state === TcpState.FinWait1 || state === TcpState.LastAck ||
    state === TcpState.Closing;
  if (isOpen) sends += sendNew(connection, now, SENDS_MAX - sends);
  if (sends >= SENDS_MAX) connection.wantOutput();
  noteLimit(connection, now);
  if (connection.mustAck) sendAck(connection, now);
  armRetransmit(connection, now);
}

/** What holds the connection back now, for TCP_INFO. */
function noteLimit(connection: Connection, now: number): void {
  const isWaiting = connection.unsentBytes > 0;
  let limit = Limit.Busy;
  if (!isWaiting) limit = connection.sent.first === null ? Limit.Idle : Limit.Busy;
  else if (connection.sendWindow - connection.outstanding < connection.segmentBytes) limit = Limit.Receiver;
  else if (connection.sendBuffer.used >= connection.sendBytesMax) limit = Limit.Buffer;
  connection.limits.enter(limit, now);
}

/** The route may have changed, and with it the segment size. */
function refreshRoute(connection: Connection): void {
  const { routes } = connection.tcp.stack;
  routes.find(connection.remote, connection.local, connection.nicId, connection.route);
  connection.syncSegmentBytes();
}

/** Sends again what is believed lost, as far as the window allows; number of segments. */
function sendLost(connection: Connection, now: number): number {
  const { sent, recovery } = connection;
  let sends = 0;
  for (let segment = sent.first; segment !== null && sends < SENDS_MAX; segment = segment.next) {
    if ((segment.flags & (LOST | RETRANSMITTED | SACKED)) !== LOST) continue;
    const room = connection.window - connection.inFlight;
    if (room < Math.min(connection.segmentBytes, segment.bytes) && recovery.prrOut > 0) break;
    if (room <= 0 && recovery.prrOut > 0) break;
    // Never beyond the window the peer gives now: it may have shrunk.
    if ((segment.end - connection.sendUna | 0) > Math.max(connection.sendWindow, connection.segmentBytes)) {
      break;
    }
    cutTo(connection, segment, Math.max(room, connection.segmentBytes));
    retransmit(connection, segment, now);
    sends++;
  }
  return sends;
}

/** Splits `segment` so that it holds at most `bytes`, in whole segments, and fits one train. */
function cutTo(connection: Connection, segment: SentSegment, bytes: number): void {
  const most = Math.min(trainBytes(connection), wholeSegments(connection, bytes));
  if (segment.bytes > most) connection.sent.split(segment, segment.sequence + most | 0);
}
function wholeSegments(connection: Connection, bytes: number): number {
  const size = segmentSize(connection);
  return Math.max(1, Math.floor(bytes / size)) * size;
}

/** Sends one record's bytes again. */
export function retransmit(connection: Connection, segment: SentSegment, now: number): void {
  const { recovery, sent } = connection;
  const isFin = connection.isFinSent && segment.end === connection.sendNext;
  const bytes = segment.bytes - (isFin ? 1 : 0);
  if (recovery.retransmitStamp === 0) recovery.retransmitStamp = connection.timestamp(now) || 1;
  if (recovery.isUndoPossible) recovery.undoRetransmits++;
  sent.setFlags(segment, segment.flags | RETRANSMITTED);
  segment.retransmits++;
  segment.sentAt = now;
  recovery.prrOut += segment.bytes;
  connection.bytesRetransmitted += segment.bytes;
  const pieces = Math.max(1, Math.ceil(bytes / segmentSize(connection)));
  connection.retransmits += pieces;
  connection.tcp.statistics.RetransSegs += pieces;
  isAgain = true;
  sendData(connection, segment.sequence, bytes, isFin, now);
  isAgain = false;
}

/** New data and FIN; number of trains sent. */
function sendNew(connection: Connection, now: number, sendsMax: number): number {
  const { recovery } = connection;
  let sends = 0;
  shrinkAfterIdle(connection, now);
  // An answer soon after data: the two sides take turns, and acknowledgements travel with answers (Linux: pingpong).
  if (connection.unsentBytes > 0 && now - connection.lastDataReceivedAt < DELAYED_ACK_NANOS) {
    connection.isInteractive = true;
  }
  while (sends < sendsMax && !connection.isFinSent && !connection.sent.isFull && hasRoom(connection)) {
    const unsent = connection.unsentBytes;
    const wantsFin = connection.isFinQueued;
    if (unsent === 0 && !wantsFin) break;
    const windowLeft = connection.sendWindow - connection.outstanding;
    const congestionLeft = connection.window - connection.inFlight;
    const usable = Math.min(windowLeft, congestionLeft);
    let bytes = Math.min(unsent, trainBytes(connection));
    const size = segmentSize(connection);
    if (bytes > usable) {
      // Whole segments only, unless the peer's window can never hold one (RFC 1122 section 4.2.3.4).
      recovery.isWindowLimited = congestionLeft < windowLeft;
      if (usable >= size) bytes = Math.floor(usable / size) * size;
      else if (
        windowLeft < size && windowLeft > 0 && usable > 0 && usable === windowLeft &&
        (windowLeft >= connection.sendWindowMax / 2 || connection.outstanding === 0)
      ) bytes = windowLeft;
      else break;
    }
    const isLast = bytes === unsent;
    if (bytes === 0 && windowLeft <= 0 && connection.outstanding > 0) break;
    if (isLast && bytes % size !== 0 && !wantsFin && !maySendSmall(connection, bytes % size, now)) {
      // The rest waits; what fills segments goes.
      bytes -= bytes % size;
      if (bytes === 0) break;
    }
    const isFin = isLast && wantsFin && bytes === unsent;
    const sequence = connection.sendNext;
    connection.sendNext = sequence + bytes + (isFin ? 1 : 0) | 0;
    if (isFin) connection.isFinSent = true;
    const record = connection.sent.push(sequence, connection.sendNext, now);
    record.delivered = recovery.delivered;
    record.deliveredAt = recovery.deliveredAt || now;
    if (recovery.phase === RecoveryPhase.Recovery) recovery.prrOut += bytes;
    sendData(connection, sequence, bytes, isFin, now);
    connection.corkedAt = 0;
    sends++;
  }
  return sends;
}

/** RFC 5681 section 4.1 (and RFC 7661): a window that was not used for a timeout says nothing any more. */
function shrinkAfterIdle(connection: Connection, now: number): void {
  if (connection.outstanding > 0 || connection.lastSentAt === 0) return;
  const idle = now - connection.lastSentAt;
  if (idle < connection.rtt.timeout || connection.tcp.settings.get("slow_start_after_idle") === 0) return;
  const restart = Math.min(10 * connection.segmentBytes, connection.window);
  connection.threshold = Math.max(connection.threshold, connection.window * 3 / 4);
  for (
    let left = idle;
    left > connection.rtt.timeout && connection.window > restart;
    left -= connection.rtt.timeout
  ) {
    connection.window = Math.max(connection.window / 2, restart);
  }
  connection.lastSentAt = now;
}

/** Whether a segment that is not full may go: RFC 896, RFC 1122 section 4.2.3.4; TCP_CORK, MSG_MORE. */
function maySendSmall(connection: Connection, bytes: number, now: number): boolean {
  if (connection.isCorked || connection.hasMore) {
    if (connection.corkedAt === 0) connection.corkedAt = now;
    if (now - connection.corkedAt < CORK_NANOS) return false;
  }
  if (connection.isNoDelay || connection.outstanding === 0) return true;
  // Half of the largest window the peer ever gave counts as full.
  if (connection.sendWindowMax > 0 && bytes >= connection.sendWindowMax / 2) return true;
  // Nagle, as Minshall has it and Linux does: only a small segment that is out holds the next one back.
  const { last } = connection.sent;
  return last === null || last.bytes % segmentSize(connection) === 0;
}

/** Payload of one segment with the options it will carry. */
function segmentSize(connection: Connection): number {
  const blocks = sackCount(connection);
  return blocks === 0 ? connection.segmentBytes : Math.max(8, connection.segmentBytes - 4 - 8 * blocks);
}
/** Payload of the longest train. */
function trainBytes(connection: Connection): number {
  const size = segmentSize(connection);
  const nic = connection.route.nic;
  if (nic === null) return size;
  const most = nic.link.gsoBytesMax - (connection.isV4 ? 20 : 40) - 60;
  // A train is no longer than a round trip's worth of window: losses would come in lumps.
  return Math.max(1, Math.floor(most / size)) * size;
}
function sackCount(connection: Connection): number {
  if (!connection.hasSack) return 0;
  const ranges = connection.receiveBuffer.ranges.length / 2 + (connection.hasDsack ? 1 : 0);
  return Math.min(ranges, connection.hasTimestamps ? 3 : SACK_BLOCKS_MAX);
}

function sendData(
  connection: Connection,
  sequence: number,
  bytes: number,
  isFin: boolean,
  now: number,
): void {
  const size = segmentSize(connection);
  const packet = connection.tcp.stack.pool.allocate(bytes);
  connection.lastSentAt = now;
  // No memory: it counts as sent and lost, and comes again.
  if (packet === null) return;
  if (bytes > 0) {
    connection.sendBuffer.peek(connection.placeOf(sequence), packet.bytes, packet.at, bytes);
    connection.bytesSent += bytes;
  }
  let flags = ACK;
  if (isFin) flags |= FIN;
  const end = connection.placeOf(sequence) + bytes;
  if (bytes > 0 && end === connection.sendBuffer.end) flags |= PSH;
  const urgent = connection.urgentSendEnd - connection.placeOf(sequence);
  if (urgent > 0 && urgent <= 65_535) flags |= URG;
  if (connection.sendsCwr && bytes > 0) {
    flags |= CWR;
    connection.sendsCwr = false;
  }
  // RFC 3168 section 6.1.5: what is sent again is not ECN-capable.
  if (connection.hasEcn && bytes > 0 && !isAgain) packet.tos = ECT0;
  if (bytes > size) {
    packet.gso = connection.isV4 ? Gso.Tcp4 : Gso.Tcp6;
    packet.gsoBytes = size;
  }
  const pieces = Math.max(1, Math.ceil(bytes / size));
  connection.dataSegmentsOut += pieces;
  send(connection, packet, sequence, flags, (flags & URG) !== 0 ? urgent : 0, now, pieces);
}

/** A segment that only acknowledges. */
export function sendAck(connection: Connection, now: number): void {
  const packet = connection.tcp.stack.pool.allocate(0);
  if (packet === null) return;
  const isSynReceived = connection.state === TcpState.SynReceived;
  send(
    connection,
    packet,
    isSynReceived ? connection.initialSend + 1 | 0 : connection.sendNext,
    ACK,
    0,
    now,
    1,
  );
}

/** A segment below the window, which the peer answers with an acknowledgement: RFC 9293 section 3.8.4. */
export function sendProbe(connection: Connection, now: number): void {
  const packet = connection.tcp.stack.pool.allocate(0);
  if (packet !== null) send(connection, packet, connection.sendUna - 1 | 0, ACK, 0, now, 1);
}

/** SYN, or SYN-ACK where the peer's SYN has come (simultaneous open). */
export function sendSyn(connection: Connection, now: number): void {
  const packet = connection.tcp.stack.pool.allocate(0);
  connection.synSends++;
  connection.lastSentAt = now;
  if (packet === null) return;
  const { settings } = connection.tcp;
  const isAnswer = connection.state === TcpState.SynReceived;
  const scale = !isAnswer || connection.hasScaling ? connection.receiveScale : -1;
  let optionBytes = 0;
  const headerMax = TCP_BYTES + 20;
  packet.at -= headerMax;
  optionBytes = putSynOptions(
    packet.bytes,
    packet.at + TCP_BYTES,
    advertisedMss(connection),
    settings.get("window_scaling") !== 0 ? scale : -1,
    isAnswer ? connection.hasSack : settings.get("sack") !== 0,
    isAnswer ? connection.hasTimestamps : settings.get("timestamps") !== 0,
    connection.timestamp(now),
    isAnswer ? connection.timestampRecent : 0,
  );
  packet.end = packet.at + TCP_BYTES + optionBytes;
  let flags = SYN | (isAnswer ? ACK : 0);
  if (isAnswer ? connection.hasEcn : settings.get("ecn") === 1) flags |= isAnswer ? ECE : ECE | CWR;
  const window = Math.min(WINDOW_MAX, connection.receiveSpace);
  connection.receiveEdge = connection.receiveNext + window | 0;
  finish(connection, packet, TCP_BYTES + optionBytes, connection.initialSend, flags, window, 0);
}

/** The MSS we name: what our interface carries. */
export function advertisedMss(connection: Connection): number {
  const nic = connection.route.nic;
  const mtu = Math.min(nic === null ? 576 : nic.mtu, 65_535);
  const mss = mtu - (connection.isV4 ? 40 : 60);
  return connection.userMss > 0 ? Math.min(mss, connection.userMss) : mss;
}

/** A reset that ends this connection at the peer. */
export function sendReset(connection: Connection): void {
  const packet = connection.tcp.stack.pool.allocate(0);
  if (packet === null) return;
  connection.tcp.statistics.OutRsts++;
  packet.at -= TCP_BYTES;
  finish(connection, packet, TCP_BYTES, connection.sendNext, RST | ACK, 0, 0);
}

/** Puts the header of a segment of an open connection in front of the payload and sends it. */
function send(
  connection: Connection,
  packet: Packet,
  sequence: number,
  flags: number,
  urgent: number,
  now: number,
  pieces: number,
): void {
  const { bytes } = packet;
  const blocks = sackCount(connection);
  const optionBytes = (connection.hasTimestamps ? 12 : 0) + (blocks > 0 ? 4 + 8 * blocks : 0);
  const headerBytes = TCP_BYTES + optionBytes;
  packet.at -= headerBytes;
  let option = packet.at + TCP_BYTES;
  if (connection.hasTimestamps) {
    putTimestamps(bytes, option, connection.timestamp(now), connection.timestampRecent);
    option += 12;
  }
  if (blocks > 0) putSacks(bytes, option, fillSacks(connection, blocks), blocks);
  if (connection.sendsEce) flags |= ECE;
  connection.segmentsOut += pieces;
  connection.tcp.statistics.OutSegs += pieces - 1;
  const window = advertise(connection);
  connection.mustAck = false;
  connection.unackedBytes = 0;
  if (connection.quickAcks > 0) connection.quickAcks--;
  connection.lastAckSent = connection.receiveNext;
  connection.tcp.stack.timers.stop(connection.ackTimer);
  finish(connection, packet, headerBytes, sequence, flags, window, urgent);
}

function finish(
  connection: Connection,
  packet: Packet,
  headerBytes: number,
  sequence: number,
  flags: number,
  window: number,
  urgent: number,
): void {
  const { tcp, route } = connection;
  const { bytes, at } = packet;
  put16(bytes, at + TCP_SOURCE_AT, connection.localPort);
  put16(bytes, at + TCP_DESTINATION_AT, connection.remotePort);
  put32(bytes, at + TCP_SEQUENCE_AT, sequence);
  put32(bytes, at + TCP_ACK_AT, (flags & ACK) !== 0 ? connection.receiveNext : 0);
  bytes[at + TCP_OFFSET_AT] = headerBytes << 2;
  bytes[at + TCP_FLAGS_AT] = flags;
  put16(bytes, at + TCP_WINDOW_AT, window);
  put16(bytes, at + TCP_URGENT_AT, urgent);
  packet.transportAt = at;
  packet.protocol = IPPROTO_TCP;
  packet.source.copy(connection.local);
  packet.destination.copy(connection.remote);
  noteOptions(connection, packet);
  startChecksum(packet);
  tcp.statistics.OutSegs++;
  tcp.stack.ip.send(packet, route, tcp.fragmentationOf(connection));
}

function noteOptions(connection: Connection, packet: Packet): void {
  const { owner, isV4 } = connection;
  if (owner === null) throw new Error("A connection has no endpoint whose options it follows");
  packet.ttl = owner.ttlOf(isV4);
  packet.tos |= owner.tosOf(isV4) & 0xfc;
  packet.mark = owner.mark;
  packet.ownerUid = owner.uid;
  packet.ownerGid = owner.gid;
}

/** Blocks to report, the newest first as RFC 2018 section 4 asks: a D-SACK, then the ranges from the highest down. */
function fillSacks(connection: Connection, count: number): Int32Array {
  const { ranges, next } = connection.receiveBuffer;
  let n = 0;
  if (connection.hasDsack) {
    sacks[0] = connection.dsackStart;
    sacks[1] = connection.dsackEnd;
    connection.hasDsack = false;
    n = 1;
  }
  const base = connection.receiveNext;
  const newest = connection.recovery.newestRange;
  for (let pass = 0; pass < 2; pass++) {
    for (let i = 0; i < ranges.length && n < count; i += 2) {
      // The range that the last segment went into comes first, then the others in order.
      const isNewest = newest >= ranges[i] && newest < ranges[i + 1];
      if (isNewest !== (pass === 0)) continue;
      sacks[2 * n] = base + (ranges[i] - next) | 0;
      sacks[2 * n + 1] = base + (ranges[i + 1] - next) | 0;
      n++;
    }
  }
  return sacks;
}

/** The window field: what is free, but never less than was promised, and no silly growth (RFC 9293 section 3.8.6.2.2). */
function advertise(connection: Connection): number {
  const { receiveBuffer } = connection;
  const promised = connection.receiveEdge - connection.receiveNext | 0;
  let free = Math.max(0, Math.min(connection.receiveSpace - receiveBuffer.readable, connection.windowClamp));
  const step = Math.min(connection.receiveSpace / 2, connection.mss);
  if (free < promised + step) free = Math.max(0, promised);
  const scale = connection.receiveScale;
  // Rounded up where the promise asks for it, down where it is only growth.
  let field = free === promised ? Math.ceil(free / 2 ** scale) : Math.floor(free / 2 ** scale);
  if (field > WINDOW_MAX) field = WINDOW_MAX;
  const window = field * 2 ** scale;
  if (window > promised) connection.receiveEdge = connection.receiveNext + window | 0;
  return field;
}

/** After a read: a window update where the window has at least doubled by it (Linux: __tcp_cleanup_rbuf()). */
export function afterRead(connection: Connection): void {
  if (!canReceive(connection.state)) return;
  const promised = Math.max(0, connection.receiveEdge - connection.receiveNext | 0);
  const most = WINDOW_MAX * 2 ** connection.receiveScale;
  const free = Math.min(connection.receiveSpace - connection.receiveBuffer.readable, most);
  const step = Math.min(connection.receiveSpace / 2, connection.mss);
  if (free < 2 * promised || free - promised < step) return;
  connection.mustAck = true;
  connection.wantOutput();
}

/** What the next acknowledgement waits for. */
export function scheduleAck(connection: Connection, now: number): void {
  const timer = connection.ackTimer;
  if (!timer.isSet) connection.tcp.stack.timers.set(timer, now + DELAYED_ACK_NANOS);
}
