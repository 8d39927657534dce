// One TCP connection: its hot state, in one stable shape, and the moves between states. What happens when a segment comes,
// what is sent and what is lost stand in input.ts, ack.ts, output.ts and recovery.ts. RFC 9293 section 3.3.1.

import { Address } from "../address.ts";
import { ETIMEDOUT } from "../errno.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "../readiness.ts";
import { Route } from "../route.ts";
import type { Deferred } from "../stack.ts";
import { NEVER, Timer, type TimerOwner } from "../timer.ts";
import type { CongestionControl, Window } from "./congestion/congestion.ts";
import { CONGESTION_CONTROLS, INITIAL_SEGMENTS, THRESHOLD_NONE } from "./congestion/congestion.ts";
import type { TcpEndpoint } from "./endpoint.ts";
import { onKeepAliveTimer } from "./keepalive.ts";
import { Limits } from "./limits.ts";
import { output, sendReset } from "./output.ts";
import type { Tcp } from "./protocol.ts";
import { RecoveryState } from "./recovery_state.ts";
import { onRetransmitTimer } from "./timeout.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { RoundTrip } from "./rtt.ts";
import { SendBuffer } from "./send_buffer.ts";
import { SentList } from "./sent_list.ts";
import { canReceive, canSend, mayMove, TcpState } from "./state.ts";
import { enterTimeWait } from "./time_wait.ts";
import { RetransmitMode } from "./retransmit_mode.ts";

/** Kinds of a connection's timers. */
export const TIMER_RETRANSMIT = 0;
export const TIMER_DELAYED_ACK = 1;
export const TIMER_KEEPALIVE = 2;

export class Connection implements Deferred, TimerOwner, Window {
  readonly tcp: Tcp;
  /** Null once the owner has closed: the connection ends by itself. */
  endpoint: TcpEndpoint | null = null;
  /** The endpoint it began with, for the options that its packets follow to the end (TTL, TOS, mark, owner). */
  owner: TcpEndpoint | null = null;
  state: TcpState = TcpState.Closed;
  readonly local = new Address();
  readonly remote = new Address();
  localPort = 0;
  remotePort = 0;
  readonly isV4: boolean;
  /** In the table of connections: hash of the four, next of the bucket. */
  hash = 0;
  nextInBucket: Connection | null = null;
  isInTable = false;
  readonly route = new Route();
  /** Bound to this interface, 0 = any. */
  nicId = 0;
  /** SO_REUSEADDR and SO_REUSEPORT: others may bind its port beside it. */
  reusesAddress = false;
  reusesPort = false;

  // Sending (RFC 9293: SND.*). Sequence numbers are int32.
  initialSend = 0;
  sendUna = 0;
  sendNext = 0;
  /** Highest sequence number ever sent, plus one: sendNext falls back behind it after a timeout without records. */
  sendWindow = 0;
  sendWindowMax = 0;
  sendWl1 = 0;
  sendWl2 = 0;
  sendScale = 0;
  readonly sendBuffer: SendBuffer;
  /** Bytes the send buffer may hold. */
  sendBytesMax: number;
  /** SO_SNDBUF was set: no tuning. */
  isSendFixed = false;
  /** The owner has closed its direction: FIN follows the data. */
  isFinQueued = false;
  isFinSent = false;
  /** Place in the stream that the urgent pointer names, -1 = none. */
  urgentSendEnd = -1;

  // Receiving (RCV.*).
  initialReceive = 0;
  receiveNext = 0;
  /** Right edge that was advertised. */
  receiveEdge = 0;
  receiveScale = 0;
  readonly receiveBuffer: ReceiveBuffer;
  receiveBytesMax: number;
  isReceiveFixed = false;
  /** Sequence number of the peer's FIN where it came ahead of data; meaningful while hasEarlyFin. */
  earlyFin = 0;
  hasEarlyFin = false;
  isReceiveShut = false;
  /** Place of the urgent byte, -1 = none; and whether it was read. */
  urgentPlace = -1;
  urgentByte = -1;
  isUrgentRead = false;
  /** Bytes copied to the reader since tuneAt, for auto-tuning, and the receiver's estimate of the round trip. */
  tunedBytes = 0;
  tuneAt = 0;
  receiveRtt = 0;

  // What was agreed in the handshake.
  /** Payload of a full segment without options, and what remains with timestamps. */
  mss = 536;
  segmentBytes = 536;
  /** MSS that the peer has named, and TCP_MAXSEG. */
  peerMss = 536;
  userMss = 0;
  hasTimestamps = false;
  hasSack = false;
  hasEcn = false;
  hasScaling = false;
  timestampOffset = 0;
  /** Timestamp of our first SYN. */
  initialStamp = 0;
  timestampRecent = 0;
  timestampRecentAt = 0;
  /** Highest sequence acknowledged to the peer, for which timestamps are taken (RFC 7323 section 4.3). */
  lastAckSent = 0;

  // Congestion.
  window = 0;
  threshold = THRESHOLD_NONE;
  congestion: CongestionControl;
  readonly rtt = new RoundTrip();
  readonly sent = new SentList();
  readonly recovery = new RecoveryState();
  /** ECN: a mark is to be echoed to the peer (ECE), and CWR is to be sent. */
  sendsEce = false;
  sendsCwr = false;

  // Timers and acknowledgements.
  readonly retransmitTimer = new Timer(this, TIMER_RETRANSMIT);
  retransmitMode: RetransmitMode = RetransmitMode.None;
  /** Timeouts in a row, and when the first of them was (0 = none): for the limits. */
  backoff = 0;
  stalledAt = 0;
  readonly ackTimer = new Timer(this, TIMER_DELAYED_ACK);
  readonly keepaliveTimer = new Timer(this, TIMER_KEEPALIVE);
  keepaliveProbes = 0;
  /** Bytes received since the last acknowledgement; one is to go out now. */
  unackedBytes = 0;
  mustAck = false;
  /** Acknowledgements sent at once yet, at the start and after a pause (quick acknowledgement). */
  quickAcks = 16;
  /** D-SACK to report: start and end, while hasDsack. */
  dsackStart = 0;
  dsackEnd = 0;
  hasDsack = false;
  lastReceivedAt = 0;
  lastSentAt = 0;
  /** When the retransmission timer began anew: sendUna has moved, a probe was sent (RFC 6298 section 5.3). */
  timerFrom = 0;
  lastChallengeAt = -1e9;

  // Options of the endpoint that output looks at, copied so that it need not ask.
  isNoDelay = false;
  /** TCP_WINDOW_CLAMP, and TCP_NOTSENT_LOWAT. */
  windowClamp = 0x7fff_ffff;
  notSentMax = 0x7fff_ffff;
  isCorked = false;
  /** The last write said MSG_MORE. */
  hasMore = false;
  corkedAt = 0;
  userTimeoutNanos = 0;
  synRetries = 0;
  /** How long FIN-WAIT-2 may last without an owner, from close() on; negative = not at all. */
  finWaitSeconds = 0;
  /** Errno of a soft ICMP error, returned when the connection times out. */
  softError = 0;
  /** Handshake: SYN or SYN-ACK sent so often; a SYN-ACK is answered to (simultaneous open). */
  synSends = 0;
  /** Other end in this stack: bytes go straight to it (local.ts). */
  peer: Connection | null = null;
  isDeferred = false;
  /** Totals for TCP_INFO. */
  bytesSent = 0;
  bytesAcked = 0;
  bytesReceived = 0;
  bytesRetransmitted = 0;
  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  retransmits = 0;
  dsacks = 0;
  outOfOrder = 0;
  /** What the peer's segments hold, as far as seen. */
  peerSegmentBytes = 536;
  lastDataReceivedAt = -1e9;
  /** Both sides take turns: acknowledgements wait for answers. */
  isInteractive = false;
  readonly limits = new Limits();
  /** Retransmission timeouts, those that were recovered from, and the time spent in them. */
  timeouts = 0;
  timeoutRecoveries = 0;
  timeoutNanos = 0;
  timeoutBegan = 0;

  constructor(tcp: Tcp, isV4: boolean) {
    this.tcp = tcp;
    this.isV4 = isV4;
    const { settings } = tcp;
    const { rings } = tcp.stack;
    this.sendBuffer = new SendBuffer(rings);
    this.receiveBuffer = new ReceiveBuffer(rings);
    this.sendBytesMax = settings.get("wmem_default");
    this.receiveBytesMax = settings.get("rmem_default");
    this.synRetries = settings.get("syn_retries");
    this.congestion = CONGESTION_CONTROLS[tcp.defaultCongestion]();
  }

  get smoothedRtt(): number {
    return this.rtt.smoothed;
  }
  get minRtt(): number {
    return this.rtt.min;
  }
  /** Bytes between the oldest unacknowledged one and the next to send. */
  get outstanding(): number {
    return this.sendNext - this.sendUna | 0;
  }
  /** Bytes believed to be on the network: RFC 6675's pipe. */
  get inFlight(): number {
    const { sent } = this;
    return this.outstanding - sent.sackedBytes - sent.lostBytes + sent.retransmittedBytes -
      this.recovery.renoSackedBytes;
  }
  /** Sequence number of a place in the send stream, and back. Data begins behind the SYN. */
  sequenceOf(place: number): number {
    return this.sendUna + (place - this.sendBuffer.start) | 0;
  }
  placeOf(sequence: number): number {
    return this.sendBuffer.start + (sequence - this.sendUna | 0);
  }
  /** Bytes that may be written now. */
  get sendRoom(): number {
    return Math.max(0, this.sendBytesMax - this.sendBuffer.used);
  }
  /** Bytes that wait for their first sending. */
  get unsentBytes(): number {
    const fin = this.isFinSent ? 1 : 0;
    return this.sendBuffer.used - Math.max(0, this.outstanding - fin);
  }

  /** Moves to `state`. A move that RFC 9293 does not know is a bug of ours. */
  move(state: TcpState): void {
    if (state === this.state) return;
    if (!mayMove(this.state, state)) throw new Error(`TCP state ${this.state} cannot become ${state}`);
    const { statistics } = this.tcp;
    const wasOpen = this.state === TcpState.Established || this.state === TcpState.CloseWait;
    const isOpen = state === TcpState.Established || state === TcpState.CloseWait;
    if (isOpen && !wasOpen) statistics.CurrEstab++;
    if (!isOpen && wasOpen) statistics.CurrEstab--;
    this.state = state;
  }

  /** Something is to be sent: with the end of this turn. */
  wantOutput(): void {
    this.tcp.stack.defer(this);
  }
  onTurnEnd(now: number): void {
    if (this.state !== TcpState.Closed) output(this, now);
  }
  onTimer(kind: number, now: number): void {
    if (kind === TIMER_RETRANSMIT) {
      onRetransmitTimer(this, now);
    } else if (kind === TIMER_DELAYED_ACK) {
      this.tcp.statistics.DelayedACKs++;
      this.mustAck = true;
      output(this, now);
    } else {
      onKeepAliveTimer(this, now);
    }
  }
  setRetransmit(mode: RetransmitMode, at: number): void {
    this.retransmitMode = mode;
    if (at === NEVER) this.tcp.stack.timers.stop(this.retransmitTimer);
    else this.tcp.stack.timers.set(this.retransmitTimer, at);
  }

  /** The timestamp to send: milliseconds, moved by a secret for each pair of hosts (RFC 7323 section 5.4). */
  timestamp(now: number): number {
    return Math.floor(now / 1e6) + this.timestampOffset | 0;
  }

  /** Sets the segment size from what both sides and the path allow. */
  syncSegmentBytes(): void {
    const headers = this.isV4 ? 40 : 60;
    let mss = Math.min(this.peerMss, this.route.mtu - headers);
    if (this.userMss > 0) mss = Math.min(mss, this.userMss);
    this.mss = Math.max(mss, 48);
    this.segmentBytes = this.mss - (this.hasTimestamps ? 12 : 0);
  }
  startWindow(): void {
    this.window = INITIAL_SEGMENTS * this.segmentBytes;
  }

  /** Tells the owner what has come to pass. */
  notify(events: number): void {
    if (this.endpoint !== null) this.endpoint.queue.notify(events);
  }

  /** Poll events that hold now; Linux' tcp_poll(). */
  readiness(lowWater: number): number {
    let events = 0;
    const isDown = this.isReceiveShut || !canReceive(this.state) && this.state !== TcpState.SynSent &&
        this.state !== TcpState.SynReceived;
    if (isDown) events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (this.state === TcpState.Closed || isDown && (this.isFinQueued || this.state === TcpState.TimeWait)) {
      events |= POLLHUP;
    }
    if (this.state === TcpState.SynSent || this.state === TcpState.SynReceived) return events;
    if (this.readableBytes >= Math.max(1, lowWater)) events |= POLLIN | POLLRDNORM;
    if (this.isFinQueued || !canSend(this.state) || this.isWritable) events |= POLLOUT | POLLWRNORM;
    if (this.urgentPlace >= 0 && !this.isUrgentRead) events |= 2;
    return events;
  }
  /** Linux' sk_stream_is_writeable(): a third of the buffer is free. */
  get isWritable(): boolean {
    if (this.peer !== null) return this.peer.localRoom > 0;
    return this.sendBuffer.used * 3 <= this.sendBytesMax * 2 && this.unsentBytes < this.notSentMax;
  }
  /** Bytes that may wait to be read: half of the buffer, as Linux counts half for its own use (tcp_adv_win_scale). */
  get receiveSpace(): number {
    return this.receiveBytesMax >> 1;
  }
  /** Room for bytes that come straight from the other end in this stack. */
  get localRoom(): number {
    return Math.max(0, this.receiveSpace - this.receiveBuffer.readable);
  }
  get readableBytes(): number {
    const { receiveBuffer } = this;
    const isHidden = this.urgentPlace >= receiveBuffer.start && this.urgentPlace < receiveBuffer.next &&
      this.endpoint !== null && !this.endpoint.isUrgentInline;
    return receiveBuffer.readable - (isHidden ? 1 : 0);
  }

  /** The peer has reset the connection, it timed out, or it was given up: reports `errno` and frees everything. */
  fail(errno: number): void {
    if (this.state === TcpState.Closed) return;
    const isAttempt = this.state === TcpState.SynSent || this.state === TcpState.SynReceived;
    if (isAttempt) this.tcp.statistics.AttemptFails++;
    else if (this.state === TcpState.Established || this.state === TcpState.CloseWait) {
      this.tcp.statistics.EstabResets++;
    }
    const { endpoint } = this;
    if (endpoint !== null) endpoint.error = errno;
    this.dispose();
    this.notify(POLLERR | POLLHUP | POLLIN | POLLOUT | POLLRDHUP);
  }
  /** As fail(), with a reset to the peer. */
  abort(errno: number): void {
    if (this.state !== TcpState.Closed && this.state !== TcpState.SynSent) sendReset(this);
    this.fail(errno);
  }
  /** The peer has not answered for too long. It gets no reset: Linux' tcp_write_err(). */
  timeOut(): void {
    this.tcp.statistics.TCPAbortOnTimeout++;
    this.fail(this.softError !== 0 ? this.softError : ETIMEDOUT);
  }

  /** Everything is said: TIME_WAIT is kept by a record, this object is done with. */
  enterTimeWait(): void {
    const state = this.state;
    enterTimeWait(this);
    if (state !== TcpState.Closed) this.dispose();
    this.notify(POLLIN | POLLHUP | POLLRDHUP | POLLOUT);
  }

  /** Ends: nothing is sent any more, no timer runs; what was received can still be read. */
  dispose(): void {
    const { stack } = this.tcp;
    if (this.state !== TcpState.Closed) this.move(TcpState.Closed);
    this.tcp.remove(this);
    stack.timers.remove(this.retransmitTimer);
    stack.timers.remove(this.ackTimer);
    stack.timers.remove(this.keepaliveTimer);
    this.sent.clear();
    this.sendBuffer.clear();
    if (this.peer !== null) {
      this.peer.peer = null;
      this.peer = null;
    }
    if (this.endpoint === null) this.receiveBuffer.clear();
    else this.endpoint.onConnectionEnd();
  }
}
