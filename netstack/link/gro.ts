// Joins TCP segments of one flow that came in one after the other to one long packet, for devices whose host does not: the
// layers above then do their work once. Linux: net/core/gro.c, tcp_gro_receive().

import { Checksum, Gso, type Packet, PACKET_BYTES_MAX, PacketType } from "../packet.ts";
import { copyBytes, get16, get32, put16 } from "../wire/bytes.ts";
import { fold, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import {
  IPV4_BYTES,
  IPV4_DESTINATION_AT,
  IPV4_DONT_FRAGMENT,
  IPV4_FRAGMENT_AT,
  IPV4_LENGTH_AT,
  IPV4_PROTOCOL_AT,
  IPV4_SOURCE_AT,
  sealIpv4Header,
} from "../wire/ipv4.ts";
import {
  IPV6_BYTES,
  IPV6_DESTINATION_AT,
  IPV6_NEXT_AT,
  IPV6_PAYLOAD_AT,
  IPV6_SOURCE_AT,
} from "../wire/ipv6.ts";
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPPROTO_TCP } from "../wire/numbers.ts";
import {
  ACK,
  PSH,
  TCP_ACK_AT,
  TCP_BYTES,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_SEQUENCE_AT,
  TCP_WINDOW_AT,
} from "../wire/tcp.ts";
import { WrappedLink } from "./wrapped_link.ts";

/** Flows that are joined at a time (MAX_GRO_SKBS); where there are more, the oldest goes up as it is. */
const FLOWS_MAX = 8;

/** What the packet at hand is, filled by look(): only its kind is ever joined. */
class Shape {
  headerBytes = 0;
  transportAt = 0;
  payload = 0;
  sequence = 0;
}
const shape = new Shape();

export class GroLink extends WrappedLink {
  /** Packets that wait for more of their flow, oldest first; gsoBytes holds the size of their pieces. */
  readonly #held: Packet[] = [];
  /** Segments that were put behind another. */
  joined = 0;

  override receive(packet: Packet): void {
    if (!look(packet)) {
      // Whatever else a flow sends goes up behind what waits, so that nothing is overtaken.
      this.#release();
      this.receiver?.receive(packet);
      return;
    }
    for (const [i, first] of this.#held.entries()) {
      if (!isSameFlow(first, packet)) continue;
      if (this.#join(first, packet, i)) return;
      this.#pass(i);
      break;
    }
    this.#keep(packet);
  }

  #keep(packet: Packet): void {
    if (this.#held.length >= FLOWS_MAX) this.#pass(0);
    packet.gsoBytes = shape.payload;
    this.#held.push(packet.hold());
  }

  /** Puts `packet` behind `first` where it follows on it; false where it does not. */
  #join(first: Packet, packet: Packet, index: number): boolean {
    const firstTcp = first.at + shape.headerBytes - tcpBytes(packet);
    const length = first.end - first.at - shape.headerBytes;
    const isNext = (get32(first.bytes, firstTcp + TCP_SEQUENCE_AT) + length | 0) === shape.sequence;
    // A piece that is longer than the first cannot follow, a shorter one is the last; behind it nothing can.
    const fits = shape.payload <= first.gsoBytes && length % first.gsoBytes === 0 &&
      first.length + shape.payload <= PACKET_BYTES_MAX &&
      first.end + shape.payload <= first.slotAt + first.slotBytes;
    if (!isNext || !fits || !hasSameHeaders(first, firstTcp, packet)) return false;
    copyBytes(first.bytes, first.end, packet.bytes, packet.at + shape.headerBytes, shape.payload);
    first.end += shape.payload;
    first.gso = first.etherType === ETHERTYPE_IPV4 ? Gso.Tcp4 : Gso.Tcp6;
    first.bytes[firstTcp + TCP_FLAGS_AT] |= packet.bytes[shape.transportAt + TCP_FLAGS_AT] & PSH;
    this.joined++;
    if (shape.payload < first.gsoBytes || (first.bytes[firstTcp + TCP_FLAGS_AT] & PSH) !== 0) {
      this.#pass(index);
    }
    return true;
  }

  /** Hands a packet that has waited on. */
  #pass(index: number): void {
    const [packet] = this.#held.splice(index, 1);
    if (packet.gso === Gso.None) packet.gsoBytes = 0;
    else finish(packet);
    this.receiver?.receive(packet);
    packet.release();
  }
  #release(): void {
    while (this.#held.length > 0) this.#pass(0);
  }

  override poll(now: number, budget: number): number {
    const handed = this.inner.poll(now, budget);
    this.#release();
    return handed;
  }
  override close(): void {
    for (const packet of this.#held.splice(0)) packet.release();
    super.close();
  }
}

/** Whether `packet` is a plain data segment with a good checksum, as joining needs; fills `shape`. */
function look(packet: Packet): boolean {
  const { bytes, at } = packet;
  if (packet.gso !== Gso.None || packet.packetType !== PacketType.Host) return false;
  let networkBytes: number, total: number;
  if (packet.etherType === ETHERTYPE_IPV4) {
    networkBytes = IPV4_BYTES;
    if (
      packet.length < IPV4_BYTES + TCP_BYTES || bytes[at] !== 0x45 ||
      bytes[at + IPV4_PROTOCOL_AT] !== IPPROTO_TCP
    ) {
      return false;
    }
    total = get16(bytes, at + IPV4_LENGTH_AT);
    if ((get16(bytes, at + IPV4_FRAGMENT_AT) & ~IPV4_DONT_FRAGMENT) !== 0) return false;
    if (fold(sumBytes(0, bytes, at, IPV4_BYTES)) !== 0xffff) return false;
  } else if (packet.etherType === ETHERTYPE_IPV6) {
    networkBytes = IPV6_BYTES;
    if (
      packet.length < IPV6_BYTES + TCP_BYTES || bytes[at] >> 4 !== 6 ||
      bytes[at + IPV6_NEXT_AT] !== IPPROTO_TCP
    ) {
      return false;
    }
    total = IPV6_BYTES + get16(bytes, at + IPV6_PAYLOAD_AT);
  } else {
    return false;
  }
  if (total > packet.length) return false;
  shape.transportAt = at + networkBytes;
  const header = tcpBytesAt(bytes, shape.transportAt);
  shape.headerBytes = networkBytes + header;
  shape.payload = total - shape.headerBytes;
  if (header < TCP_BYTES || shape.payload <= 0) return false;
  if ((bytes[shape.transportAt + TCP_FLAGS_AT] & ~PSH) !== ACK) return false;
  packet.end = at + total;
  if (packet.checksum === Checksum.Unknown && !verify(packet, networkBytes)) return false;
  shape.sequence = get32(bytes, shape.transportAt + TCP_SEQUENCE_AT);
  return true;
}

/** The checksum goes with the segment: the joined one has none of its own. */
function verify(packet: Packet, networkBytes: number): boolean {
  const { bytes, at } = packet;
  if (networkBytes === IPV4_BYTES) {
    packet.source.read4(bytes, at + IPV4_SOURCE_AT);
    packet.destination.read4(bytes, at + IPV4_DESTINATION_AT);
  } else {
    packet.source.read6(bytes, at + IPV6_SOURCE_AT);
    packet.destination.read6(bytes, at + IPV6_DESTINATION_AT);
  }
  const length = packet.end - at - networkBytes;
  const sum = sumPseudoHeader(packet.source, packet.destination, IPPROTO_TCP, length);
  if (fold(sumBytes(sum, bytes, at + networkBytes, length)) !== 0xffff) return false;
  packet.checksum = Checksum.Valid;
  return true;
}

function tcpBytes(packet: Packet): number {
  return tcpBytesAt(packet.bytes, shape.transportAt);
}
function tcpBytesAt(bytes: Uint8Array, at: number): number {
  return (bytes[at + TCP_OFFSET_AT] >> 4) * 4;
}

/** Addresses and ports are the same. */
function isSameFlow(first: Packet, packet: Packet): boolean {
  if (first.etherType !== packet.etherType) return false;
  const isV4 = packet.etherType === ETHERTYPE_IPV4;
  const from = isV4 ? IPV4_SOURCE_AT : IPV6_SOURCE_AT;
  const to = (isV4 ? IPV4_BYTES : IPV6_BYTES) + 4;
  return isEqual(first, packet, from, to);
}

/** All that a joined packet can say but once: type of service, hop limit, acknowledgement, window, options. */
function hasSameHeaders(first: Packet, firstTcp: number, packet: Packet): boolean {
  const isV4 = packet.etherType === ETHERTYPE_IPV4;
  const isSameNetwork = isV4
    ? first.bytes[first.at + 1] === packet.bytes[packet.at + 1] &&
      first.bytes[first.at + 8] === packet.bytes[packet.at + 8]
    : isEqual(first, packet, 0, 4) && first.bytes[first.at + 7] === packet.bytes[packet.at + 7];
  if (!isSameNetwork || firstTcp - first.at !== shape.transportAt - packet.at) return false;
  const tcp = firstTcp - first.at;
  return isEqual(first, packet, tcp + TCP_ACK_AT, tcp + TCP_OFFSET_AT + 1) &&
    isEqual(first, packet, tcp + TCP_WINDOW_AT, tcp + TCP_WINDOW_AT + 2) &&
    isEqual(first, packet, tcp + TCP_BYTES, tcp + tcpBytes(packet));
}

function isEqual(first: Packet, packet: Packet, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (first.bytes[first.at + i] !== packet.bytes[packet.at + i]) return false;
  return true;
}

/** The length of the whole stands in the network header. */
function finish(packet: Packet): void {
  const { bytes, at } = packet;
  if (packet.etherType === ETHERTYPE_IPV4) {
    put16(bytes, at + IPV4_LENGTH_AT, packet.length);
    sealIpv4Header(bytes, at);
  } else {
    put16(bytes, at + IPV6_PAYLOAD_AT, packet.length - IPV6_BYTES);
  }
}
