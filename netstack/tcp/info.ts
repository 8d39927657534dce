// TCP_INFO: what a connection can say of itself, as an object for tests and /proc and as struct tcp_info (linux/tcp.h),
// filled whole.

import { THRESHOLD_NONE } from "./congestion/congestion.ts";
import type { Connection } from "./connection.ts";
import type { ConfiguredEndpoint } from "./endpoint_options.ts";
import { advertisedMss, DELAYED_ACK_NANOS } from "./output.ts";
import { RecoveryPhase } from "./recovery_state.ts";
import { TcpState } from "./state.ts";
import { RetransmitMode } from "./retransmit_mode.ts";

/** sizeof(struct tcp_info) as of Linux 6.7. */
export const TCP_INFO_BYTES = 248;

/** Bits of `options`. */
const HAS_TIMESTAMPS = 1;
const HAS_SACK = 2;
const HAS_SCALE = 4;
const HAS_ECN = 8;
/** Congestion states, enum tcp_ca_state. */
const CA_OPEN = 0;
const CA_DISORDER = 1;
const CA_RECOVERY = 3;
const CA_LOSS = 4;
const NANOS_PER_MICRO = 1000;
const NANOS_PER_MILLI = 1e6;
/** What Linux shows for a threshold that was never set. */
const THRESHOLD_SHOWN = 0x7fff_ffff;

/** The fields of struct tcp_info, in its order, in its units (segments, microseconds, milliseconds, bytes). */
export class TcpInfo {
  state = 0;
  caState = 0;
  retransmits = 0;
  probes = 0;
  backoff = 0;
  options = 0;
  sndScale = 0;
  rcvScale = 0;
  rto = 0;
  ato = 0;
  sndMss = 0;
  rcvMss = 0;
  unacked = 0;
  sacked = 0;
  lost = 0;
  retrans = 0;
  lastDataSent = 0;
  lastDataReceived = 0;
  lastAckReceived = 0;
  pathMtu = 0;
  rcvThreshold = 0;
  rtt = 0;
  rttVariation = 0;
  sndThreshold = 0;
  sndWindow = 0;
  advertisedMss = 0;
  reordering = 3;
  rcvRtt = 0;
  rcvSpace = 0;
  totalRetransmits = 0;
  pacingRate = 0;
  maxPacingRate = 0;
  bytesAcked = 0;
  bytesReceived = 0;
  segmentsOut = 0;
  segmentsIn = 0;
  notSentBytes = 0;
  minRtt = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  deliveryRate = 0;
  busyTime = 0;
  receiverLimited = 0;
  bufferLimited = 0;
  delivered = 0;
  deliveredCe = 0;
  bytesSent = 0;
  bytesRetransmitted = 0;
  duplicateSacks = 0;
  reorderSeen = 0;
  outOfOrder = 0;
  peerWindow = 0;
  ownWindow = 0;
  rehash = 0;
  timeouts = 0;
  timeoutRecoveries = 0;
  timeoutMillis = 0;
}

/** What `endpoint` can say of itself now, in an object that the next call overwrites. */
export function readInfo(endpoint: ConfiguredEndpoint): TcpInfo {
  const info = scratch;
  Object.assign(info, EMPTY);
  info.state = endpoint.listener !== null ? TcpState.Listen : TcpState.Closed;
  if (endpoint.listener !== null) {
    // tcp(7): for a listener "unacked" is its queue and "sacked" the most it takes.
    info.unacked = endpoint.listener.acceptCount;
    info.sacked = endpoint.listener.backlog;
  }
  if (endpoint.connection !== null) fill(info, endpoint.connection, endpoint.stack.now);
  return info;
}

function fill(info: TcpInfo, c: Connection, now: number): void {
  const mss = c.segmentBytes;
  const { recovery, sent, rtt } = c;
  info.state = c.state;
  info.caState = recovery.phase === RecoveryPhase.Recovery
    ? CA_RECOVERY
    : recovery.phase === RecoveryPhase.Loss
    ? CA_LOSS
    : sent.sackedBytes > 0 || recovery.duplicateAcks > 0
    ? CA_DISORDER
    : CA_OPEN;
  const isProbing = c.retransmitMode === RetransmitMode.Persist;
  info.retransmits = isProbing ? 0 : c.backoff;
  info.probes = isProbing ? c.backoff : c.keepaliveProbes;
  info.backoff = c.backoff;
  info.options = (c.hasTimestamps ? HAS_TIMESTAMPS : 0) | (c.hasSack ? HAS_SACK : 0) |
    (c.hasScaling ? HAS_SCALE : 0) | (c.hasEcn ? HAS_ECN : 0);
  info.sndScale = c.sendScale;
  info.rcvScale = c.receiveScale;
  info.rto = micros(rtt.backedOff(c.backoff));
  info.ato = micros(DELAYED_ACK_NANOS);
  info.sndMss = mss;
  info.rcvMss = c.peerSegmentBytes;
  info.unacked = segments(c.outstanding, mss);
  info.sacked = segments(sent.sackedBytes + recovery.renoSackedBytes, mss);
  info.lost = segments(sent.lostBytes, mss);
  info.retrans = segments(sent.retransmittedBytes, mss);
  info.lastDataSent = since(now, c.lastSentAt);
  info.lastDataReceived = since(now, c.lastDataReceivedAt);
  info.lastAckReceived = since(now, c.lastReceivedAt);
  info.pathMtu = c.route.mtu;
  info.rcvThreshold = c.receiveSpace;
  info.rtt = micros(rtt.smoothed);
  info.rttVariation = micros(rtt.variation);
  info.sndThreshold = c.threshold >= THRESHOLD_NONE ? THRESHOLD_SHOWN : segments(c.threshold, mss);
  info.sndWindow = segments(c.window, mss);
  info.advertisedMss = advertisedMss(c);
  info.reordering = recovery.reordering;
  info.rcvRtt = micros(c.receiveRtt);
  info.rcvSpace = c.receiveSpace;
  info.totalRetransmits = c.retransmits;
  // Linux: sk_pacing_rate is kept whether or not somebody paces by it: 200 % of the rate in slow start, else 120 %.
  const factor = c.window < c.threshold / 2 ? 2 : 1.2;
  info.pacingRate = rtt.smoothed === 0 ? 0 : Math.floor(c.window * factor * 1e9 / rtt.smoothed);
  info.maxPacingRate = Number.MAX_SAFE_INTEGER;
  info.bytesAcked = c.bytesAcked;
  info.bytesReceived = c.bytesReceived;
  info.segmentsOut = c.segmentsOut;
  info.segmentsIn = c.segmentsIn;
  info.notSentBytes = Math.max(0, c.unsentBytes);
  info.minRtt = rtt.min === 0 ? 0xffff_ffff : micros(rtt.min);
  info.dataSegmentsIn = c.dataSegmentsIn;
  info.dataSegmentsOut = c.dataSegmentsOut;
  info.deliveryRate = Math.floor(recovery.deliveryRate);
  info.busyTime = micros(c.limits.busyNanos(now));
  info.receiverLimited = micros(c.limits.receiverNanos(now));
  info.bufferLimited = micros(c.limits.bufferNanos(now));
  info.delivered = segments(recovery.delivered, mss);
  info.deliveredCe = segments(recovery.deliveredMarked, mss);
  info.bytesSent = c.bytesSent;
  info.bytesRetransmitted = c.bytesRetransmitted;
  info.duplicateSacks = c.dsacks;
  info.reorderSeen = recovery.reorderSeen;
  info.outOfOrder = c.outOfOrder;
  info.peerWindow = c.sendWindow;
  info.ownWindow = Math.max(0, c.receiveEdge - c.receiveNext | 0);
  info.timeouts = c.timeouts;
  info.timeoutRecoveries = c.timeoutRecoveries;
  info.timeoutMillis = Math.floor(c.timeoutNanos / NANOS_PER_MILLI);
}

/** struct tcp_info of `endpoint` at `into`; bytes written, at most `length`. */
export function writeInfo(
  endpoint: ConfiguredEndpoint,
  into: Uint8Array,
  at: number,
  length: number,
): number {
  const info = readInfo(endpoint);
  bytes.fill(0);
  bytes[0] = info.state;
  bytes[1] = info.caState;
  bytes[2] = info.retransmits;
  bytes[3] = info.probes;
  bytes[4] = info.backoff;
  bytes[5] = info.options;
  bytes[6] = info.sndScale | info.rcvScale << 4;
  let place = 8;
  // rto to total_retrans, then the 64-bit rates and sums, in the order of linux/tcp.h. tcpi_fackets and
  // tcpi_last_ack_sent are always 0 on Linux too.
  for (
    const value of [
      ...[
        info.rto,
        info.ato,
        info.sndMss,
        info.rcvMss,
        info.unacked,
        info.sacked,
        info.lost,
        info.retrans,
        0,
      ],
      ...[info.lastDataSent, 0, info.lastDataReceived, info.lastAckReceived, info.pathMtu, info.rcvThreshold],
      ...[
        info.rtt,
        info.rttVariation,
        info.sndThreshold,
        info.sndWindow,
        info.advertisedMss,
        info.reordering,
      ],
      ...[info.rcvRtt, info.rcvSpace, info.totalRetransmits],
    ]
  ) place = put4(place, value);
  for (const value of [info.pacingRate, info.maxPacingRate, info.bytesAcked, info.bytesReceived]) {
    place = put8(place, value);
  }
  for (
    const value of [
      ...[info.segmentsOut, info.segmentsIn, info.notSentBytes, info.minRtt, info.dataSegmentsIn],
      info.dataSegmentsOut,
    ]
  ) place = put4(place, value);
  for (const value of [info.deliveryRate, info.busyTime, info.receiverLimited, info.bufferLimited]) {
    place = put8(place, value);
  }
  place = put4(place, info.delivered);
  place = put4(place, info.deliveredCe);
  place = put8(place, info.bytesSent);
  place = put8(place, info.bytesRetransmitted);
  for (
    const value of [
      ...[
        info.duplicateSacks,
        info.reorderSeen,
        info.outOfOrder,
        info.peerWindow,
        info.ownWindow,
        info.rehash,
      ],
      info.timeouts | info.timeoutRecoveries << 16,
      info.timeoutMillis,
    ]
  ) place = put4(place, value);
  const n = Math.min(length, TCP_INFO_BYTES);
  for (let i = 0; i < n; i++) into[at + i] = bytes[i];
  return n;
}

const scratch = new TcpInfo();
const EMPTY: Readonly<TcpInfo> = new TcpInfo();
const bytes = new Uint8Array(TCP_INFO_BYTES);

function put4(at: number, value: number): number {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >>> 8 * i;
  return at + 4;
}
function put8(at: number, value: number): number {
  put4(at, value % 2 ** 32);
  return put4(at + 4, Math.floor(value / 2 ** 32));
}
function segments(count: number, mss: number): number {
  return Math.ceil(count / mss);
}
function micros(nanos: number): number {
  return Math.floor(nanos / NANOS_PER_MICRO);
}
function since(now: number, then: number): number {
  return Math.floor((now - then) / NANOS_PER_MILLI);
}
