// Putting fragments together again: RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5. Overlapping fragments end the
// datagram (RFC 5722), which no honest sender makes. Each datagram is gathered in a buffer of its own, not in the pool that
// links receive into; their number, in all and from one source, their pieces and their time are bounded.

import { Address } from "../address.ts";
import { type Packet, PACKET_BYTES_MAX } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer.ts";
import { copyBytes } from "../wire/bytes.ts";
import { IPV4_BYTES_MAX } from "../wire/ipv4.ts";
import type { IpStatistics } from "./statistics.ts";

/** Datagrams under way at most (4 MiB of buffers); when so many are, the oldest go until a quarter is free. */
export const DATAGRAMS_MAX = 64;
const DATAGRAMS_LOW = 48;
/** Of one source; its oldest goes. */
export const DATAGRAMS_PER_SOURCE_MAX = 16;
/** Pieces that lie apart in one datagram. */
const RANGES_MAX = 128;
/** RFC 1122 section 3.3.2 and RFC 8200 section 4.5. */
const IPV4_NANOS = 30e9;
const IPV6_NANOS = 60e9;
/** Headers in front of the payload: IPv4 with options; IPv6 with the extensions before the fragment header. */
const HEADERS_MAX = 640;
const BUFFER_BYTES = 65_536;
/** Buffers kept for the next datagrams. */
const SPARE_MAX = 8;

class Datagram {
  readonly source = new Address();
  readonly destination = new Address();
  id = 0;
  protocol = 0;
  /** The interface counts where the addresses are of one link alone; 0 = any. */
  scope = 0;
  readonly payload: Uint8Array;
  /** Headers of the first fragment; and, from then on, whether it has come. */
  readonly headers = new Uint8Array(HEADERS_MAX);
  headerBytes = 0;
  /** Payload bytes in all, -1 until the last fragment came. */
  total = -1;
  /** Disjoint ranges [start, end) received, sorted, as pairs. */
  readonly ranges: number[] = [];
  expires = 0;
  tos = 0;
  /** Notes of the first fragment: type of frame, mark, and interface. */
  packetType = 0;
  nicId = 0;

  constructor(payload: Uint8Array) {
    this.payload = payload;
  }
}

export class Reassembly implements TimerOwner {
  readonly #stack: Stack;
  /** Oldest first. */
  readonly #datagrams: Datagram[] = [];
  readonly #spare: Uint8Array[] = [];
  readonly #timer = new Timer(this, 0);

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** Datagrams under way. */
  get size(): number {
    return this.#datagrams.length;
  }

  /**
   * Takes a fragment in: payload at payloadAt, to stand at `offset` of the datagram, headers packet.at..headersEnd (what
   * comes before the payload in the whole datagram). The whole datagram when this completes it (its `at` at the headers,
   * owned by the caller), null otherwise. The fragment stays the caller's.
   */
  add(
    packet: Packet,
    id: number,
    protocol: number,
    headersEnd: number,
    payloadAt: number,
    offset: number,
    hasMore: boolean,
  ): Packet | null {
    const statistics = packet.source.isV4 ? this.#stack.ipv4 : this.#stack.ipv6;
    statistics.ReasmReqds++;
    const length = packet.end - payloadAt;
    const headerBytes = headersEnd - packet.at;
    // All but the last must be of eight bytes' length, and nothing may go past the largest packet.
    if (length <= 0 || (hasMore && length % 8 !== 0)) return this.#fail(statistics, null);
    if (offset + length > PACKET_BYTES_MAX - IPV4_BYTES_MAX || headerBytes > HEADERS_MAX) {
      return this.#fail(statistics, null);
    }
    const datagram = this.#find(packet, id, protocol) ?? this.#begin(packet, id, protocol);
    const end = offset + length;
    if (!hasMore) {
      if (datagram.total >= 0 && datagram.total !== end) return this.#fail(statistics, datagram);
      datagram.total = end;
    }
    if (datagram.total >= 0 && (end > datagram.total || lastEnd(datagram) > datagram.total)) {
      return this.#fail(statistics, datagram);
    }
    const verdict = enter(datagram.ranges, offset, end);
    if (verdict < 0) {
      statistics.ReasmOverlaps++;
      return this.#fail(statistics, datagram);
    }
    if (verdict === 0) return null;
    copyBytes(datagram.payload, offset, packet.bytes, payloadAt, length);
    // Congestion met by any piece is congestion met by the whole, RFC 3168 section 5.3.
    if ((packet.tos & 3) === 3) datagram.tos |= 3;
    if (offset === 0) this.#noteFirst(datagram, packet, headerBytes);
    const { ranges, total } = datagram;
    if (total < 0 || ranges.length !== 2 || ranges[0] !== 0 || ranges[1] !== total) return null;
    return this.#complete(statistics, datagram, packet);
  }

  #noteFirst(datagram: Datagram, packet: Packet, headerBytes: number): void {
    datagram.headerBytes = headerBytes;
    copyBytes(datagram.headers, 0, packet.bytes, packet.at, headerBytes);
    datagram.tos |= packet.tos;
    datagram.packetType = packet.packetType;
    datagram.nicId = packet.nicId;
  }

  #complete(statistics: IpStatistics, datagram: Datagram, last: Packet): Packet | null {
    const { headerBytes, total } = datagram;
    const whole = this.#stack.pool.allocate(headerBytes + total);
    if (whole === null) return this.#fail(statistics, datagram);
    // The notes of the piece that came last, but for what the first one says.
    whole.copyNotes(last);
    whole.tos = datagram.tos;
    whole.packetType = datagram.packetType;
    this.#fill(whole, datagram, total);
    this.#drop(datagram);
    statistics.ReasmOKs++;
    return whole;
  }

  #fill(whole: Packet, datagram: Datagram, payloadBytes: number): void {
    whole.networkAt = whole.at;
    whole.transportAt = whole.at + datagram.headerBytes;
    copyBytes(whole.bytes, whole.at, datagram.headers, 0, datagram.headerBytes);
    copyBytes(whole.bytes, whole.transportAt, datagram.payload, 0, payloadBytes);
  }

  #find(packet: Packet, id: number, protocol: number): Datagram | null {
    for (const datagram of this.#datagrams) {
      if (
        datagram.id === id && datagram.protocol === protocol && datagram.source.equals(packet.source) &&
        datagram.destination.equals(packet.destination) && datagram.scope === scopeOf(packet)
      ) return datagram;
    }
    return null;
  }

  #begin(packet: Packet, id: number, protocol: number): Datagram {
    let fromSource = 0, oldest: Datagram | null = null;
    for (const datagram of this.#datagrams) {
      if (!datagram.source.equals(packet.source)) continue;
      oldest ??= datagram;
      fromSource++;
    }
    const statistics = packet.source.isV4 ? this.#stack.ipv4 : this.#stack.ipv6;
    if (fromSource >= DATAGRAMS_PER_SOURCE_MAX) this.#fail(statistics, oldest);
    if (this.#datagrams.length >= DATAGRAMS_MAX) {
      while (this.#datagrams.length > DATAGRAMS_LOW) this.#fail(statistics, this.#datagrams[0]);
    }
    const datagram = new Datagram(this.#spare.pop() ?? new Uint8Array(BUFFER_BYTES));
    datagram.source.copy(packet.source);
    datagram.destination.copy(packet.destination);
    datagram.id = id;
    datagram.protocol = protocol;
    datagram.scope = scopeOf(packet);
    datagram.expires = this.#stack.now + (packet.source.isV4 ? IPV4_NANOS : IPV6_NANOS);
    this.#datagrams.push(datagram);
    this.#schedule();
    return datagram;
  }

  #fail(statistics: IpStatistics, datagram: Datagram | null): null {
    statistics.ReasmFails++;
    if (datagram !== null) this.#drop(datagram);
    return null;
  }

  #drop(datagram: Datagram): void {
    this.#datagrams.splice(this.#datagrams.indexOf(datagram), 1);
    if (this.#spare.length < SPARE_MAX) this.#spare.push(datagram.payload);
    if (this.#datagrams.length === 0) this.#stack.timers.stop(this.#timer);
  }

  #schedule(): void {
    let next = Infinity;
    for (const datagram of this.#datagrams) next = Math.min(next, datagram.expires);
    if (next !== Infinity) this.#stack.timers.set(this.#timer, next);
  }

  onTimer(_kind: number, now: number): void {
    for (let i = this.#datagrams.length - 1; i >= 0; i--) {
      const datagram = this.#datagrams[i];
      if (datagram.expires > now) continue;
      const statistics = datagram.source.isV4 ? this.#stack.ipv4 : this.#stack.ipv6;
      statistics.ReasmTimeout++;
      // The sender gets an error only when the first fragment is there to be quoted (RFC 792, RFC 4443 section 3.3).
      if (datagram.ranges[0] === 0 && datagram.headerBytes > 0) this.#tell(datagram);
      this.#fail(statistics, datagram);
    }
    this.#schedule();
  }

  #tell(datagram: Datagram): void {
    const payloadBytes = datagram.ranges[1];
    const packet = this.#stack.pool.allocate(datagram.headerBytes + payloadBytes);
    if (packet === null) return;
    this.#fill(packet, datagram, payloadBytes);
    packet.source.copy(datagram.source);
    packet.destination.copy(datagram.destination);
    packet.nicId = datagram.nicId;
    packet.packetType = datagram.packetType;
    packet.protocol = datagram.source.isV4 ? datagram.protocol : datagram.headers[6];
    this.#stack.icmp.sendReassemblyTimeout(packet);
    packet.release();
  }

  clear(): void {
    this.#datagrams.length = 0;
    this.#spare.length = 0;
    this.#stack.timers.remove(this.#timer);
  }
}

/** Link-local addresses mean the same only on one link. */
function scopeOf(packet: Packet): number {
  return packet.source.isLinkLocal || packet.destination.isLinkLocal ? packet.nicId : 0;
}

function lastEnd(datagram: Datagram): number {
  const { ranges } = datagram;
  return ranges.length === 0 ? 0 : ranges[ranges.length - 1];
}

/** Enters [start, end): 1 = new, 0 = an exact copy of what is there, -1 = it overlaps, or there are too many ranges. */
function enter(ranges: number[], start: number, end: number): number {
  let i = 0;
  while (i < ranges.length && ranges[i + 1] < start) i += 2;
  // ranges[i] is the first that ends at or after our start.
  if (i < ranges.length) {
    const from = ranges[i], to = ranges[i + 1];
    if (start >= from && end <= to) return 0;
    const touchesEnd = to === start;
    if (!touchesEnd && from < end) return -1;
    if (touchesEnd) {
      const next = i + 2 < ranges.length ? ranges[i + 2] : Infinity;
      if (next < end) return -1;
      if (next === end) ranges.splice(i + 1, 2);
      else ranges[i + 1] = end;
      return 1;
    }
    if (from === end) {
      ranges[i] = start;
      return 1;
    }
  }
  if (ranges.length >= 2 * RANGES_MAX) return -1;
  ranges.splice(i, 0, start, end);
  return 1;
}
