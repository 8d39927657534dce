// A listening endpoint: SYNs that come, half-open connections, the queue of those to accept. RFC 9293 section 3.10.7.2,
// RFC 4987; Linux: tcp_conn_request(), tcp_check_req().

import { ECONNRESET } from "../errno.ts";
import type { Packet } from "../packet.ts";
import { POLLIN, POLLRDNORM } from "../readiness.ts";
import { put16, put32 } from "../wire/bytes.ts";
import { IPPROTO_TCP } from "../wire/numbers.ts";
import {
  ACK,
  CWR,
  ECE,
  FIN,
  putSynOptions,
  RST,
  SYN,
  TCP_ACK_AT,
  TCP_BYTES,
  TCP_DESTINATION_AT,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_SEQUENCE_AT,
  TCP_SOURCE_AT,
  TCP_WINDOW_AT,
} from "../wire/tcp.ts";
import { Fragmentation } from "../ip/ip.ts";
import { startChecksum } from "../link/offload.ts";
import { Connection } from "./connection.ts";
import type { TcpEndpoint } from "./endpoint.ts";
import { HalfOpen } from "./half_open.ts";
import { open, receiveSegment } from "./input.ts";
import type { Tcp } from "./protocol.ts";
import type { Segment } from "./segment.ts";
import { TcpState } from "./state.ts";
import { OPTION_BITS } from "./syn_cookie.ts";

/** As long as a cookie was sent lately, acknowledgements out of nowhere are looked at. */
const COOKIE_NANOS = 128e9;
const WINDOW_MAX = 65_535;
const SCALE_NONE = 15;

export class Listener {
  readonly tcp: Tcp;
  readonly endpoint: TcpEndpoint;
  /** Connections that wait for accept(), at most `backlog` + 1. */
  readonly #accepted: Connection[] = [];
  #backlog: number;
  readonly #halfOpen = new Set<HalfOpen>();
  #cookieSentAt = -COOKIE_NANOS;
  /** TCP_DEFER_ACCEPT as a number of SYN-ACKs, 0 = off. */
  deferRetries = 0;

  constructor(endpoint: TcpEndpoint, backlog: number) {
    this.tcp = endpoint.stack.tcp;
    this.endpoint = endpoint;
    this.#backlog = backlog;
  }

  get backlog(): number {
    return this.#backlog;
  }
  set backlog(value: number) {
    this.#backlog = value;
  }
  get acceptCount(): number {
    return this.#accepted.length;
  }
  get halfOpenCount(): number {
    return this.#halfOpen.size;
  }
  get isFull(): boolean {
    return this.#accepted.length > this.#backlog;
  }
  /** The next connection, or null. */
  shift(): Connection | null {
    return this.#accepted.shift() ?? null;
  }

  /** A segment that belongs to no connection: RFC 9293 section 3.10.7.2. */
  receive(segment: Segment, packet: Packet, now: number): void {
    const { flags } = segment;
    if ((flags & RST) !== 0) return;
    if ((flags & ACK) !== 0) {
      if (!this.#takeCookie(segment, packet, now)) this.tcp.sendResetTo(packet, segment);
      return;
    }
    if ((flags & SYN) === 0) return;
    this.#takeSyn(segment, packet, now);
  }

  #takeSyn(segment: Segment, packet: Packet, now: number): void {
    const { statistics, settings } = this.tcp;
    if (packet.source.isMulticast || packet.destination.isMulticast || segment.sourcePort === 0) return;
    // A full queue of finished ones takes no more beginnings: the peer tries again.
    if (this.isFull) {
      statistics.ListenOverflows++;
      statistics.ListenDrops++;
      return;
    }
    const mode = settings.get("syncookies");
    const most = Math.min(settings.get("max_syn_backlog"), Math.max(this.#backlog, 8) * 2);
    const isCrowded = this.#halfOpen.size >= most;
    if (isCrowded && mode === 0) {
      statistics.TCPReqQFullDrop++;
      statistics.ListenDrops++;
      return;
    }
    const request = this.#request(segment, packet, now);
    if (request === null) return;
    if (isCrowded || mode === 2) {
      statistics.TCPReqQFullDoCookies++;
      this.#sendCookie(request, segment, now);
      return;
    }
    request.initialSend = this.tcp.initialSequence(request, now);
    this.#halfOpen.add(request);
    this.tcp.addHalfOpen(request);
    this.sendSynAck(request, now);
  }

  /** What a SYN asks for; null where there is no way back. */
  #request(segment: Segment, packet: Packet, _now: number): HalfOpen | null {
    const { tcp, endpoint } = this;
    const { options } = segment;
    const { settings } = tcp;
    const request = new HalfOpen(this);
    request.local.copy(packet.destination);
    request.remote.copy(packet.source);
    request.localPort = segment.destinationPort;
    request.remotePort = segment.sourcePort;
    const isLinkLocal = packet.source.isLinkLocal && !packet.source.isV4;
    request.nicId = isLinkLocal ? packet.nicId : endpoint.nicId;
    if (tcp.stack.routes.find(request.remote, request.local, request.nicId, request.route) < 0) return null;
    request.initialReceive = segment.sequence;
    request.peerMss = options.mss;
    request.hasTimestamps = options.hasTimestamps && settings.get("timestamps") !== 0;
    request.hasSack = options.isSackPermitted && settings.get("sack") !== 0;
    request.sendScale = settings.get("window_scaling") === 0 ? -1 : options.scale;
    request.receiveScale = tcp.receiveScale();
    request.timestampRecent = options.timestamp;
    request.timestampOffset = tcp.timestampOffset(request.local, request.remote);
    const asksEcn = (segment.flags & (ECE | CWR)) === (ECE | CWR) && (packet.tos & 3) === 0;
    request.hasEcn = asksEcn && settings.get("ecn") !== 0;
    return request;
  }

  sendSynAck(request: HalfOpen, now: number): void {
    request.sends++;
    request.sentAt = now;
    request.arm(now);
    const stamp = Math.floor(now / 1e6) + request.timestampOffset | 0;
    this.#send(request, request.initialSend, stamp);
  }

  #sendCookie(request: HalfOpen, segment: Segment, now: number): void {
    const { tcp } = this;
    tcp.statistics.SyncookiesSent++;
    this.#cookieSentAt = now;
    const cookie = tcp.cookies.make(
      request.local,
      request.localPort,
      request.remote,
      request.remotePort,
      segment.sequence,
      request.peerMss || 536,
      now,
    );
    const scale = request.sendScale < 0 ? SCALE_NONE : request.sendScale;
    const bits = scale | (request.hasSack ? 16 : 0) | (request.hasEcn ? 32 : 0);
    let stamp = Math.floor(now / 1e6) + request.timestampOffset | 0;
    stamp = stamp >> OPTION_BITS << OPTION_BITS | bits;
    if (!request.hasTimestamps) {
      // Nowhere to keep them.
      request.sendScale = -1;
      request.hasSack = request.hasEcn = false;
    }
    this.#send(request, cookie, stamp);
  }

  #send(request: HalfOpen, sequence: number, stamp: number): void {
    const { tcp, endpoint } = this;
    const packet = tcp.stack.pool.allocate(0);
    if (packet === null) return;
    const isV4 = request.local.isV4;
    const headerMax = TCP_BYTES + 20;
    packet.at -= headerMax;
    const { bytes, at } = packet;
    const nicMtu = request.route.nic === null ? 576 : Math.min(request.route.nic.mtu, 65_535);
    let mss = nicMtu - (isV4 ? 40 : 60);
    if (endpoint.userMss > 0) mss = Math.min(mss, endpoint.userMss);
    const optionBytes = putSynOptions(
      bytes,
      at + TCP_BYTES,
      mss,
      request.sendScale < 0 ? -1 : request.receiveScale,
      request.hasSack,
      request.hasTimestamps,
      stamp,
      request.timestampRecent,
    );
    packet.end = at + TCP_BYTES + optionBytes;
    put16(bytes, at + TCP_SOURCE_AT, request.localPort);
    put16(bytes, at + TCP_DESTINATION_AT, request.remotePort);
    put32(bytes, at + TCP_SEQUENCE_AT, sequence);
    put32(bytes, at + TCP_ACK_AT, request.initialReceive + 1);
    bytes[at + TCP_OFFSET_AT] = TCP_BYTES + optionBytes << 2;
    bytes[at + TCP_FLAGS_AT] = SYN | ACK | (request.hasEcn ? ECE : 0);
    put16(bytes, at + TCP_WINDOW_AT, Math.min(WINDOW_MAX, endpoint.receiveSpace));
    put32(bytes, at + TCP_WINDOW_AT + 2, 0);
    packet.transportAt = at;
    packet.protocol = IPPROTO_TCP;
    packet.source.copy(request.local);
    packet.destination.copy(request.remote);
    packet.ttl = endpoint.ttlOf(isV4);
    packet.tos = endpoint.tosOf(isV4) & 0xfc;
    packet.mark = endpoint.mark;
    packet.ownerUid = endpoint.uid;
    packet.ownerGid = endpoint.gid;
    startChecksum(packet);
    tcp.statistics.OutSegs++;
    tcp.stack.ip.send(packet, request.route, Fragmentation.Forbidden);
  }

  /** A segment for a half-open connection: RFC 9293 section 3.10.7.4 in SYN-RECEIVED. */
  receiveHalfOpen(request: HalfOpen, segment: Segment, packet: Packet, now: number): void {
    const { flags, options } = segment;
    const { tcp } = this;
    const expected = request.initialReceive + 1 | 0;
    if (
      request.hasTimestamps && options.hasTimestamps && (flags & RST) === 0 &&
      (options.timestamp - request.timestampRecent | 0) < 0
    ) {
      tcp.statistics.PAWSEstab++;
      return;
    }
    if ((flags & RST) !== 0) {
      // RFC 5961: at the very next number only.
      if (segment.sequence === expected) {
        tcp.statistics.AttemptFails++;
        this.drop(request);
      }
      return;
    }
    if ((flags & SYN) !== 0) {
      // Their SYN again: ours was lost.
      if (segment.sequence === request.initialReceive && (flags & ACK) === 0 && !request.isAcked) {
        tcp.statistics.RetransSegs++;
        request.sends--;
        this.sendSynAck(request, now);
      }
      return;
    }
    if ((flags & ACK) === 0) return;
    if (segment.ack !== (request.initialSend + 1 | 0)) {
      tcp.sendResetTo(packet, segment);
      return;
    }
    const offset = segment.sequence - expected | 0;
    if (offset < 0 || offset > WINDOW_MAX) {
      request.sends--;
      this.sendSynAck(request, now);
      return;
    }
    if (
      this.deferRetries > 0 && segment.payload === 0 && request.sends <= this.deferRetries &&
      (flags & FIN) === 0
    ) {
      request.isAcked = true;
      tcp.statistics.TCPDeferAcceptDrop++;
      return;
    }
    if (this.isFull) {
      tcp.statistics.ListenOverflows++;
      if (tcp.settings.get("abort_on_overflow") !== 0) {
        tcp.sendResetTo(packet, segment);
        this.drop(request);
      } else {
        // As if it was lost: the SYN-ACK comes again, and so does this.
        request.arm(now);
      }
      return;
    }
    const connection = this.#promote(request, segment, now);
    this.drop(request);
    this.#begin(connection, segment, packet, now);
  }

  /** A whole connection from a record. */
  #promote(request: HalfOpen, segment: Segment, now: number): Connection {
    const { tcp, endpoint } = this;
    const connection = new Connection(tcp, request.local.isV4);
    connection.local.copy(request.local);
    connection.remote.copy(request.remote);
    connection.localPort = request.localPort;
    connection.remotePort = request.remotePort;
    connection.nicId = request.nicId;
    connection.initialSend = request.initialSend;
    connection.sendUna = connection.sendNext = request.initialSend + 1 | 0;
    connection.initialReceive = request.initialReceive;
    connection.receiveNext = request.initialReceive + 1 | 0;
    endpoint.applyTo(connection);
    const window = Math.min(WINDOW_MAX, connection.receiveSpace);
    connection.receiveEdge = connection.receiveNext + window | 0;
    connection.hasScaling = request.sendScale >= 0;
    connection.sendScale = Math.max(0, request.sendScale);
    connection.receiveScale = connection.hasScaling ? request.receiveScale : 0;
    connection.hasSack = request.hasSack;
    connection.hasTimestamps = request.hasTimestamps;
    connection.hasEcn = request.hasEcn;
    connection.timestampOffset = request.timestampOffset;
    connection.timestampRecent = segment.options.hasTimestamps
      ? segment.options.timestamp
      : request.timestampRecent;
    connection.timestampRecentAt = now;
    connection.peerMss = request.peerMss === 0
      ? (connection.isV4 ? 536 : 1220)
      : Math.max(request.peerMss, 48);
    tcp.stack.routes.find(connection.remote, connection.local, connection.nicId, connection.route);
    connection.syncSegmentBytes();
    connection.sendWindow = connection.sendWindowMax = segment.window * 2 ** connection.sendScale;
    connection.sendWl1 = segment.sequence;
    connection.sendWl2 = segment.ack;
    if (request.sends === 1) connection.rtt.sample(Math.max(1, now - request.sentAt), now);
    return connection;
  }

  #begin(connection: Connection, segment: Segment, packet: Packet, now: number): void {
    const { tcp } = this;
    connection.move(TcpState.SynReceived);
    tcp.add(connection);
    tcp.statistics.PassiveOpens++;
    open(connection, now);
    this.#accepted.push(connection);
    this.endpoint.adopt(connection);
    // Data, or FIN, of the same segment.
    if (segment.payload > 0 || (segment.flags & FIN) !== 0) receiveSegment(connection, segment, packet, now);
    else connection.segmentsIn++;
    this.endpoint.queue.notify(POLLIN | POLLRDNORM);
  }

  /** An acknowledgement that may carry a cookie. */
  #takeCookie(segment: Segment, packet: Packet, now: number): boolean {
    const { tcp } = this;
    if (now - this.#cookieSentAt > COOKIE_NANOS) return false;
    const cookie = segment.ack - 1 | 0;
    const isn = segment.sequence - 1 | 0;
    const mss = tcp.cookies.check(
      cookie,
      packet.destination,
      segment.destinationPort,
      packet.source,
      segment.sourcePort,
      isn,
      now,
    );
    if (mss === 0) {
      tcp.statistics.SyncookiesFailed++;
      return false;
    }
    if (this.isFull) {
      tcp.statistics.ListenOverflows++;
      return true;
    }
    const request = this.#request(segment, packet, now);
    if (request === null) return true;
    tcp.statistics.SyncookiesRecv++;
    request.initialSend = cookie;
    request.initialReceive = isn;
    request.peerMss = mss;
    request.sends = 2;
    const { options } = segment;
    const bits = options.hasTimestamps ? options.timestampEcho & 63 : SCALE_NONE;
    request.sendScale = (bits & 15) === SCALE_NONE ? -1 : bits & 15;
    request.hasSack = (bits & 16) !== 0;
    request.hasEcn = (bits & 32) !== 0;
    this.#begin(this.#promote(request, segment, now), segment, packet, now);
    return true;
  }

  /** Forgets a half-open connection. */
  drop(request: HalfOpen): void {
    request.isGone = true;
    this.#halfOpen.delete(request);
    this.tcp.removeHalfOpen(request);
    this.tcp.stack.timers.remove(request.timer);
  }

  /** The endpoint closes: who waits to be accepted is reset (Linux: inet_csk_listen_stop()). */
  close(): void {
    for (const request of [...this.#halfOpen]) this.drop(request);
    for (const connection of this.#accepted.splice(0)) {
      connection.endpoint = null;
      connection.abort(ECONNRESET);
    }
  }
}
