// What a device would do, in software, for links below that cannot: completing checksums and cutting large TCP segments
// and UDP trains to pieces. Linux: tcp_gso_segment(), __udp_gso_segment(), skb_checksum_help().

import { Checksum, Gso, type Packet, type PacketPool } from "../packet.ts";
import { copyBytes, get16, get32, put16, put32 } from "../wire/bytes.ts";
import { checksumOf, fold, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import { ETHERTYPE_IPV4, IPPROTO_TCP, IPPROTO_UDP } from "../wire/numbers.ts";
import { type Link, LINK_GSO, LINK_TX_CHECKSUM } from "./link.ts";
import { WrappedLink } from "./wrapped_link.ts";

const TCP_FIN_PSH = 0x09;
const TCP_CWR = 0x80;
const UDP_BYTES = 8;
/** Offset of the checksum in the transport header. */
const TCP_CHECKSUM_AT = 16;
const UDP_CHECKSUM_AT = 6;

/** Adds what a link lacks: above it every packet may be large and its checksum left to the device. */
export class SoftwareOffload extends WrappedLink {
  readonly #pool: PacketPool;
  /** Pieces that found no memory. */
  drops = 0;

  constructor(inner: Link, pool: PacketPool) {
    super(inner);
    this.#pool = pool;
  }

  override get features(): number {
    return this.inner.features | LINK_TX_CHECKSUM | LINK_GSO;
  }
  override get gsoBytesMax(): number {
    return (this.inner.features & LINK_GSO) !== 0 ? this.inner.gsoBytesMax : 65_535;
  }

  override send(packet: Packet): void {
    const features = this.inner.features;
    const isCut = packet.gso !== Gso.None && packet.length > this.inner.mtu;
    if (isCut && ((features & LINK_GSO) === 0 || packet.length > this.inner.gsoBytesMax)) {
      this.#cut(packet, (features & LINK_TX_CHECKSUM) === 0);
      return;
    }
    if (packet.checksum === Checksum.Partial && (features & LINK_TX_CHECKSUM) === 0) completeChecksum(packet);
    this.inner.send(packet);
  }

  #cut(packet: Packet, completes: boolean): void {
    const isUdp = packet.gso === Gso.Udp;
    const { bytes, transportAt } = packet;
    const transportBytes = isUdp ? UDP_BYTES : (bytes[transportAt + 12] >> 4) * 4;
    const headerBytes = transportAt - packet.at + transportBytes;
    const payloadBytes = packet.length - headerBytes;
    const sequence = isUdp ? 0 : get32(bytes, transportAt + 4);
    const id = packet.etherType === ETHERTYPE_IPV4 ? get16(bytes, packet.at + 4) : 0;
    for (let done = 0, piece = 0; done < payloadBytes; piece++) {
      const size = Math.min(packet.gsoBytes, payloadBytes - done);
      const isLast = done + size === payloadBytes;
      const out = this.#pool.allocate(headerBytes + size);
      if (out === null) {
        this.drops++;
        break;
      }
      copyBytes(out.bytes, out.at, bytes, packet.at, headerBytes);
      copyBytes(out.bytes, out.at + headerBytes, bytes, packet.at + headerBytes + done, size);
      out.copyNotes(packet);
      out.gso = Gso.None;
      out.gsoBytes = 0;
      out.networkAt = out.at;
      out.transportAt = out.at + (transportAt - packet.at);
      fixNetworkHeader(out, id + piece);
      if (isUdp) put16(out.bytes, out.transportAt + 4, UDP_BYTES + size);
      else fixTcpHeader(out, sequence + done, piece === 0, isLast);
      startChecksum(out);
      if (completes) completeChecksum(out);
      this.inner.send(out);
      done += size;
    }
    packet.release();
  }
}

/** Puts the pseudo header's sum into the checksum field of a TCP or UDP packet and notes the rest as left to do. */
export function startChecksum(packet: Packet): void {
  const protocol = packet.gso === Gso.Udp || packet.protocol === IPPROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
  packet.checksumOffset = protocol === IPPROTO_UDP ? UDP_CHECKSUM_AT : TCP_CHECKSUM_AT;
  packet.checksum = Checksum.Partial;
  const length = packet.end - packet.transportAt;
  const sum = fold(sumPseudoHeader(packet.source, packet.destination, protocol, length));
  putChecksum(packet.bytes, packet.transportAt + packet.checksumOffset, sum);
}

/** Finishes a Partial checksum in software. */
export function completeChecksum(packet: Packet): void {
  const { bytes, transportAt } = packet;
  const sum = sumBytes(0, bytes, transportAt, packet.end - transportAt);
  const checksum = checksumOf(sum);
  // RFC 768: a UDP checksum of zero would say that there is none.
  const isZeroUdp = checksum === 0 && packet.checksumOffset === UDP_CHECKSUM_AT;
  putChecksum(bytes, transportAt + packet.checksumOffset, isZeroUdp ? 0xffff : checksum);
  packet.checksum = Checksum.Unknown;
}

function fixNetworkHeader(packet: Packet, id: number): void {
  const { bytes, at } = packet;
  if (packet.etherType !== ETHERTYPE_IPV4) {
    put16(bytes, at + 4, packet.length - 40);
    return;
  }
  put16(bytes, at + 2, packet.length);
  put16(bytes, at + 4, id & 0xffff);
  put16(bytes, at + 10, 0);
  putChecksum(bytes, at + 10, checksumOf(sumBytes(0, bytes, at, (bytes[at] & 15) * 4)));
}

function fixTcpHeader(packet: Packet, sequence: number, isFirst: boolean, isLast: boolean): void {
  const { bytes, transportAt } = packet;
  put32(bytes, transportAt + 4, sequence);
  if (!isLast) bytes[transportAt + 13] &= ~TCP_FIN_PSH;
  if (!isFirst) bytes[transportAt + 13] &= ~TCP_CWR;
}
