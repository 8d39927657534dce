// TCP of a stack: which connection a segment is for, the tables, resets for what is for none, settings. RFC 9293.

import { type Address, mix } from "../address.ts";
import { ENOENT } from "../errno.ts";
import { HalfSipHash } from "../half_siphash.ts";
import { Fragmentation, type NetworkError, type Transport } from "../ip/ip.ts";
import { startChecksum } from "../link/offload.ts";
import type { Nic } from "../nic.ts";
import { Checksum, type Packet, PacketType } from "../packet.ts";
import { PortTable } from "../ports.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer.ts";
import { get16, get32, put16, put32 } from "../wire/bytes.ts";
import { fold, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import { IPPROTO_TCP } from "../wire/numbers.ts";
import {
  ACK,
  putTimestamps,
  RST,
  SCALE_MAX,
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
import { CONGESTION_CONTROLS } from "./congestion/congestion.ts";
import { Connection } from "./connection.ts";
import type { TcpEndpoint } from "./endpoint.ts";
import { receiveErrorFor } from "./errors.ts";
import { PENDING_MAX, PENDING_NANOS, PendingSyn, type TcpForwarder } from "./forwarder.ts";
import { HalfOpen } from "./half_open.ts";
import { receiveSegment } from "./input.ts";
import type { Listener } from "./listener.ts";
import { Segment } from "./segment.ts";
import { TcpSettings } from "./settings.ts";
import { TcpStatistics } from "./statistics.ts";
import { SynCookies } from "./syn_cookie.ts";
import { receiveInTimeWait, TIME_WAIT_NANOS, TimeWait, TimeWaitVerdict } from "./time_wait.ts";

/** The option with its padding. */
const TIMESTAMP_BYTES = 12;

type Entry = Connection | HalfOpen | TimeWait;

/** Buckets of the table of connections; a power of two, grown with their number. */
const BUCKETS_MIN = 256;
/** RFC 5961 section 7: challenge acknowledgements a second (Linux: tcp_challenge_ack_limit). */
const CHALLENGES_PER_SECOND = 1000;

export class Tcp implements Transport, TimerOwner {
  readonly protocol = IPPROTO_TCP;
  readonly stack: Stack;
  readonly ports: PortTable;
  readonly settings = new TcpSettings();
  readonly statistics = new TcpStatistics();
  readonly cookies: SynCookies;
  forwarder: TcpForwarder | null = null;
  defaultCongestion = "cubic";
  #buckets: (Entry | null)[] = new Array<Entry | null>(BUCKETS_MIN).fill(null);
  #count = 0;
  readonly #listeners = new Map<number, TcpEndpoint[]>();
  readonly #seed: number;
  readonly #hash: HalfSipHash;
  readonly #words = new Int32Array(9);
  readonly #segment = new Segment();
  /** A segment that is looked at once more, while another may be at hand. */
  readonly #late = new Segment();
  readonly #pending = new Map<string, PendingSyn>();
  readonly #route = new Route();
  #timeWaitFirst: TimeWait | null = null;
  #timeWaitLast: TimeWait | null = null;
  #timeWaitCount = 0;
  readonly #timeWaitTimer = new Timer(this, 0);
  #challenges = CHALLENGES_PER_SECOND;
  #challengesAt = 0;

  constructor(stack: Stack) {
    this.stack = stack;
    this.ports = new PortTable(stack.random);
    this.#seed = stack.random.word();
    this.#hash = new HalfSipHash(stack.random);
    this.cookies = new SynCookies(stack.random);
  }

  /** Number of connections, half-open ones and those in TIME_WAIT. */
  get count(): number {
    return this.#count;
  }
  get timeWaitCount(): number {
    return this.#timeWaitCount;
  }
  /** All of them, for /proc/net/tcp. */
  *entries(): Iterable<Entry> {
    for (const bucket of this.#buckets) {
      for (let entry = bucket; entry !== null; entry = entry.nextInBucket) yield entry;
    }
  }
  get listeners(): Iterable<TcpEndpoint> {
    return [...this.#listeners.values()].flat();
  }

  /** -ENOENT where there is no such algorithm. */
  setDefaultCongestion(name: string): number {
    if (CONGESTION_CONTROLS[name] === undefined) return -ENOENT;
    this.defaultCongestion = name;
    return 0;
  }

  // The table of connections.

  #hashOf(local: Address, localPort: number, remote: Address, remotePort: number): number {
    return mix(remote.hash(local.hash(this.#seed)), localPort << 16 | remotePort);
  }
  #insert(entry: Entry): void {
    if (this.#count >= this.#buckets.length * 2) this.#grow();
    entry.hash = this.#hashOf(entry.local, entry.localPort, entry.remote, entry.remotePort);
    const i = entry.hash & (this.#buckets.length - 1);
    // The kinds share a chain; each holds the next as its own kind says, which is one field of one shape.
    (entry as { nextInBucket: Entry | null }).nextInBucket = this.#buckets[i];
    this.#buckets[i] = entry;
    this.#count++;
    if (!(entry instanceof HalfOpen)) this.ports.hold(entry.localPort, entry.reusesAddress, entry.reusesPort);
  }
  #delete(entry: Entry): void {
    const i = entry.hash & (this.#buckets.length - 1);
    let at: Entry | null = this.#buckets[i], before: Entry | null = null;
    while (at !== null && at !== entry) {
      before = at;
      at = at.nextInBucket;
    }
    if (at === null) return;
    if (before === null) this.#buckets[i] = entry.nextInBucket;
    else (before as { nextInBucket: Entry | null }).nextInBucket = entry.nextInBucket;
    this.#count--;
    if (!(entry instanceof HalfOpen)) {
      this.ports.unhold(entry.localPort, entry.reusesAddress, entry.reusesPort);
    }
  }
  #grow(): void {
    const entries = [...this.entries()];
    for (const entry of entries) {
      if (!(entry instanceof HalfOpen)) {
        this.ports.unhold(entry.localPort, entry.reusesAddress, entry.reusesPort);
      }
    }
    this.#buckets = new Array<Entry | null>(this.#buckets.length * 4).fill(null);
    this.#count = 0;
    for (const entry of entries) this.#insert(entry);
  }
  #lookup(local: Address, localPort: number, remote: Address, remotePort: number): Entry | null {
    const hash = this.#hashOf(local, localPort, remote, remotePort);
    for (
      let entry = this.#buckets[hash & (this.#buckets.length - 1)];
      entry !== null;
      entry = entry.nextInBucket
    ) {
      if (
        entry.hash === hash && entry.localPort === localPort && entry.remotePort === remotePort &&
        entry.remote.equals(remote) && entry.local.equals(local)
      ) return entry;
    }
    return null;
  }
  add(connection: Connection): void {
    this.#insert(connection);
    connection.isInTable = true;
  }
  remove(connection: Connection): void {
    if (!connection.isInTable) return;
    connection.isInTable = false;
    this.#delete(connection);
  }
  addHalfOpen(request: HalfOpen): void {
    this.#insert(request);
  }
  removeHalfOpen(request: HalfOpen): void {
    this.#delete(request);
  }
  /** The connection between these, null = none. */
  find(local: Address, localPort: number, remote: Address, remotePort: number): Connection | null {
    const entry = this.#lookup(local, localPort, remote, remotePort);
    return entry instanceof Connection ? entry : null;
  }
  /** No connection has these four; a TIME_WAIT that may be reused makes way (RFC 6191; tcp_tw_reuse). */
  isFree(local: Address, localPort: number, remote: Address, remotePort: number): boolean {
    const entry = this.#lookup(local, localPort, remote, remotePort);
    if (entry === null) return true;
    if (!(entry instanceof TimeWait)) return false;
    const mode = this.settings.get("tw_reuse");
    const mayReuse = mode === 1 || mode === 2 && remote.isLoopback;
    if (!mayReuse || !entry.hasTimestamps || this.stack.now - entry.startedAt < 1e9) return false;
    this.removeTimeWait(entry);
    return true;
  }

  // TIME_WAIT.

  addTimeWait(record: TimeWait): void {
    if (this.#timeWaitCount >= this.settings.get("max_tw_buckets")) {
      this.statistics.TCPTimeWaitOverflow++;
      return;
    }
    this.statistics.TW++;
    const old = this.#lookup(record.local, record.localPort, record.remote, record.remotePort);
    if (old instanceof Connection) this.remove(old);
    this.#insert(record);
    this.#timeWaitCount++;
    record.startedAt = this.stack.now;
    this.restartTimeWait(record);
  }
  /** Sixty seconds from now. The list is in the order of expiry; a record that is restarted stands in it twice. */
  restartTimeWait(record: TimeWait): void {
    const isFirst = record.expires === 0;
    record.expires = this.stack.now + TIME_WAIT_NANOS;
    if (!isFirst) return;
    if (this.#timeWaitLast === null) this.#timeWaitFirst = record;
    else this.#timeWaitLast.nextToExpire = record;
    this.#timeWaitLast = record;
    if (!this.#timeWaitTimer.isSet) this.stack.timers.set(this.#timeWaitTimer, record.expires);
  }
  removeTimeWait(record: TimeWait): void {
    if (record.isGone) return;
    record.isGone = true;
    this.#timeWaitCount--;
    this.#delete(record);
  }
  onTimer(_kind: number, now: number): void {
    for (let first = this.#timeWaitFirst; first !== null; first = this.#timeWaitFirst) {
      if (!first.isGone && first.expires > now && first.startedAt + TIME_WAIT_NANOS > now) break;
      this.#timeWaitFirst = first.nextToExpire;
      if (this.#timeWaitFirst === null) this.#timeWaitLast = null;
      first.nextToExpire = null;
      if (first.isGone) continue;
      if (first.expires <= now) {
        this.removeTimeWait(first);
        continue;
      }
      // Restarted meanwhile: to the end of the list.
      first.startedAt = first.expires - TIME_WAIT_NANOS;
      if (this.#timeWaitLast === null) this.#timeWaitFirst = first;
      else this.#timeWaitLast.nextToExpire = first;
      this.#timeWaitLast = first;
    }
    const next = this.#timeWaitFirst;
    if (next !== null) {
      this.stack.timers.set(this.#timeWaitTimer, Math.max(now + 1, next.startedAt + TIME_WAIT_NANOS));
    }
  }
  /** Acknowledges what came for `record`. */
  acknowledgeTimeWait(record: TimeWait, packet: Packet): void {
    const { stack } = this;
    const route = this.#route;
    if (stack.routes.find(packet.source, packet.destination, record.nicId, route) < 0) return;
    const answer = stack.pool.allocate(0);
    if (answer === null) return;
    const optionBytes = record.hasTimestamps ? TIMESTAMP_BYTES : 0;
    answer.at -= TCP_BYTES + optionBytes;
    if (record.hasTimestamps) {
      const stamp = Math.floor(stack.now / 1e6) + record.timestampOffset | 0;
      putTimestamps(answer.bytes, answer.at + TCP_BYTES, stamp, record.timestampRecent);
    }
    answer.source.copy(record.local);
    answer.destination.copy(record.remote);
    const { localPort, remotePort, sendNext, receiveNext, window } = record;
    this.#sendHeader(answer, optionBytes, localPort, remotePort, sendNext, receiveNext, ACK, window);
  }

  // Listeners.

  listen(endpoint: TcpEndpoint): void {
    const list = this.#listeners.get(endpoint.localPort);
    if (list === undefined) this.#listeners.set(endpoint.localPort, [endpoint]);
    else if (!list.includes(endpoint)) list.push(endpoint);
  }
  unlisten(endpoint: TcpEndpoint): void {
    const list = this.#listeners.get(endpoint.localPort);
    const i = list === undefined ? -1 : list.indexOf(endpoint);
    if (list === undefined || i < 0) return;
    list.splice(i, 1);
    if (list.length === 0) this.#listeners.delete(endpoint.localPort);
  }
  /** The listener for a SYN; of a SO_REUSEPORT group a hash of the flow chooses. */
  #listenerFor(packet: Packet, segment: Segment): TcpEndpoint | null {
    const list = this.#listeners.get(segment.destinationPort);
    if (list === undefined) return null;
    let best: TcpEndpoint | null = null, bestScore = -1, equals = 0;
    for (const endpoint of list) {
      const score = scoreOf(endpoint, packet);
      if (score > bestScore) {
        best = endpoint;
        bestScore = score;
        equals = 1;
      } else if (score === bestScore && score >= 0) {
        equals++;
      }
    }
    if (equals <= 1) return best;
    const hash = this.#hashOf(packet.destination, segment.destinationPort, packet.source, segment.sourcePort);
    let n = (hash >>> 1) % equals;
    for (const endpoint of list) if (scoreOf(endpoint, packet) === bestScore && n-- === 0) return endpoint;
    return best;
  }

  // Segments.

  receive(packet: Packet, _nic: Nic): void {
    const { statistics } = this;
    const segment = this.#segment;
    statistics.InSegs++;
    // RFC 1122 section 4.2.3.10: never to or from many.
    if (
      packet.packetType === PacketType.Broadcast || packet.packetType === PacketType.Multicast ||
      packet.destination.isMulticast || packet.destination.isLimitedBroadcast
    ) return;
    if (!segment.parse(packet)) return void statistics.InErrs++;
    if (packet.checksum === Checksum.Unknown && !hasGoodChecksum(packet)) {
      statistics.InCsumErrors++;
      return void statistics.InErrs++;
    }
    statistics.InSegs += segment.pieces - 1;
    const { now } = this.stack;
    const entry = this.#lookup(
      packet.destination,
      segment.destinationPort,
      packet.source,
      segment.sourcePort,
    );
    if (entry instanceof Connection) {
      if (entry.endpoint !== null && !passes(entry.endpoint, packet)) return;
      receiveSegment(entry, segment, packet, now);
      return;
    }
    if (entry instanceof TimeWait) {
      const { sequence, flags, payload, options } = segment;
      const verdict = receiveInTimeWait(this, entry, packet, sequence, flags, payload, options);
      if (verdict === TimeWaitVerdict.Done) return;
    } else if (entry !== null) {
      if (!passes(entry.listener.endpoint, packet)) return;
      entry.listener.receiveHalfOpen(entry, segment, packet, now);
      return;
    }
    this.#receiveForListener(packet, segment, now);
  }

  #receiveForListener(packet: Packet, segment: Segment, now: number): void {
    const { forwarder } = this;
    const endpoint = forwarder !== null && forwarder.takesAll ? null : this.#listenerFor(packet, segment);
    const listener = endpoint === null ? null : endpoint.listener;
    if (endpoint !== null && !passes(endpoint, packet)) return;
    if (listener !== null) listener.receive(segment, packet, now);
    else if (forwarder !== null && (segment.flags & (SYN | ACK | RST)) === SYN) {
      this.#ask(forwarder, packet, segment, now);
    } else this.sendResetTo(packet, segment);
  }

  /** Shows a SYN to the embedding program. */
  #ask(forwarder: TcpForwarder, packet: Packet, segment: Segment, now: number): void {
    const key = `${packet.source}/${segment.sourcePort}/${packet.destination}/${segment.destinationPort}`;
    const known = this.#pending.get(key);
    if (known !== undefined && now - known.at < PENDING_NANOS) return;
    known?.drop();
    if (this.#pending.size >= PENDING_MAX) {
      // The oldest first; one that has run out makes room.
      for (const oldest of this.#pending.values()) {
        if (now - oldest.at >= PENDING_NANOS) oldest.drop();
        break;
      }
      if (this.#pending.size >= PENDING_MAX) return void this.statistics.ListenDrops++;
    }
    // With the network header, which an answer by ICMP quotes.
    packet.at = packet.networkAt;
    const copy = this.stack.pool.clone(packet);
    packet.at = packet.transportAt;
    if (copy === null) return;
    copy.at = copy.transportAt;
    const syn = new PendingSyn(this, copy, segment.sourcePort, segment.destinationPort, key, now);
    this.#pending.set(key, syn);
    forwarder.onSyn(syn);
  }
  /** For PendingSyn alone: the decision has fallen. */
  forgetPending(syn: PendingSyn): void {
    this.#pending.delete(syn.key);
  }
  admit(packet: Packet, listener: Listener): void {
    if (this.#late.parse(packet)) listener.receive(this.#late, packet, this.stack.now);
  }
  refuse(packet: Packet): void {
    if (this.#late.parse(packet)) this.sendResetTo(packet, this.#late);
  }
  /** SYNs that no decision has fallen about are forgotten; connections stay as they are. */
  close(): void {
    for (const syn of [...this.#pending.values()]) syn.drop();
  }

  receiveError(error: NetworkError): void {
    if (error.length < 8) return;
    const localPort = get16(error.bytes, error.at + TCP_SOURCE_AT);
    const remotePort = get16(error.bytes, error.at + TCP_DESTINATION_AT);
    const connection = this.find(error.source, localPort, error.destination, remotePort);
    if (connection !== null) {
      receiveErrorFor(connection, error, get32(error.bytes, error.at + TCP_SEQUENCE_AT));
    }
  }

  /** The reset that RFC 9293 section 3.10.7.1 says for a segment that is for nobody. */
  sendResetTo(packet: Packet, segment: Segment): void {
    if ((segment.flags & RST) !== 0) return;
    if (packet.source.isMulticast || packet.source.isUnspecified) return;
    this.statistics.OutRsts++;
    const hasAck = (segment.flags & ACK) !== 0;
    const sequence = hasAck ? segment.ack : 0;
    const ack = hasAck ? 0 : segment.sequence + segment.length | 0;
    const flags = hasAck ? RST : RST | ACK;
    this.#sendBare(packet, segment.destinationPort, segment.sourcePort, sequence, ack, flags, 0);
  }

  /** A segment without options back to where `packet` came from. */
  #sendBare(
    packet: Packet,
    from: number,
    to: number,
    sequence: number,
    ack: number,
    flags: number,
    window: number,
  ): void {
    const { stack } = this;
    const route = this.#route;
    const isLinkLocal = packet.source.isLinkLocal && !packet.source.isV4;
    if (stack.routes.find(packet.source, packet.destination, isLinkLocal ? packet.nicId : 0, route) < 0) {
      return;
    }
    const answer = stack.pool.allocate(0);
    if (answer === null) return;
    answer.at -= TCP_BYTES;
    answer.source.copy(packet.destination);
    answer.destination.copy(packet.source);
    this.#sendHeader(answer, 0, from, to, sequence, ack, flags, window);
  }

  /** Fills the header at answer.at, behind which options stand already, and sends it along the route found last. */
  #sendHeader(
    answer: Packet,
    optionBytes: number,
    from: number,
    to: number,
    sequence: number,
    ack: number,
    flags: number,
    window: number,
  ): void {
    const { bytes, at } = answer;
    put16(bytes, at + TCP_SOURCE_AT, from);
    put16(bytes, at + TCP_DESTINATION_AT, to);
    put32(bytes, at + TCP_SEQUENCE_AT, sequence);
    put32(bytes, at + TCP_ACK_AT, ack);
    bytes[at + TCP_OFFSET_AT] = TCP_BYTES + optionBytes << 2;
    bytes[at + TCP_FLAGS_AT] = flags;
    put16(bytes, at + TCP_WINDOW_AT, window);
    put32(bytes, at + TCP_WINDOW_AT + 2, 0);
    answer.transportAt = at;
    answer.protocol = IPPROTO_TCP;
    answer.ttl = 64;
    startChecksum(answer);
    this.statistics.OutSegs++;
    this.stack.ip.send(answer, this.#route, Fragmentation.Forbidden);
  }

  /** RFC 5961 section 7: one of the challenges of this second; false when they are used up. */
  takeChallenge(now: number): boolean {
    if (now - this.#challengesAt >= 1e9) {
      this.#challengesAt = now;
      // Half of them at random, so that their number tells an attacker nothing (CVE-2016-5696).
      this.#challenges = CHALLENGES_PER_SECOND / 2 + this.stack.random.below(CHALLENGES_PER_SECOND);
    }
    return this.#challenges-- > 0;
  }

  // Numbers that nobody may guess.

  /** RFC 6528: a clock of 64 ns steps, and a keyed hash of the four. */
  initialSequence(
    of: { local: Address; localPort: number; remote: Address; remotePort: number },
    now: number,
  ): number {
    return this.#keyed(of.local, of.remote, of.localPort << 16 | of.remotePort) +
        Math.floor(now / 64) % 4294967296 | 0;
  }
  /** RFC 7323 section 5.4: the same for all connections of a pair of hosts. */
  timestampOffset(local: Address, remote: Address): number {
    return this.#keyed(local, remote, 0x7173);
  }
  #keyed(local: Address, remote: Address, word: number): number {
    const words = this.#words;
    words[0] = local.a;
    words[1] = local.b;
    words[2] = local.c;
    words[3] = local.d;
    words[4] = remote.a;
    words[5] = remote.b;
    words[6] = remote.c;
    words[7] = remote.d;
    words[8] = word;
    return this.#hash.hash(words, 9);
  }

  /** The scale that lets the largest buffer be advertised (RFC 7323 section 2.3). */
  receiveScale(): number {
    const most = this.settings.get("rmem_max");
    let scale = 0;
    while (scale < SCALE_MAX && 65_535 * 2 ** scale < most) scale++;
    return scale;
  }

  fragmentationOf(connection: Connection): Fragmentation {
    const { owner } = connection;
    return owner === null || owner.wantsPathMtu ? Fragmentation.Forbidden : Fragmentation.Allowed;
  }
}

function hasGoodChecksum(packet: Packet): boolean {
  const sum = sumPseudoHeader(packet.source, packet.destination, IPPROTO_TCP, packet.length);
  return fold(sumBytes(sum, packet.bytes, packet.at, packet.length)) === 0xffff;
}

/** How well a listener fits, -1 = not at all. */
function scoreOf(endpoint: TcpEndpoint, packet: Packet): number {
  const { destination } = packet;
  if (endpoint.isV4 && !destination.isV4) return -1;
  let score = endpoint.isV4 === destination.isV4 ? 1 : 0;
  const { local } = endpoint;
  if (local.isUnspecified) {
    if (destination.isV4 && !local.isV4 && endpoint.isV6Only) return -1;
    if (!destination.isV4 && local.isV4) return -1;
  } else {
    if (!local.equals(destination)) return -1;
    score += 4;
  }
  if (endpoint.nicId !== 0) {
    if (endpoint.nicId !== packet.nicId) return -1;
    score += 2;
  }
  return score;
}

/** Linux: tcp_filter(), which may also cut a segment; here a filter keeps it or not. */
function passes(endpoint: TcpEndpoint, packet: Packet): boolean {
  const { filter } = endpoint;
  return filter === null ||
    filter(packet.bytes, packet.at, packet.length, packet.networkAt, false, packet) >= 0;
}
