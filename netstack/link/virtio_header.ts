// struct virtio_net_hdr in front of a frame (virtio 1.2 section 5.1.6, little-endian as on this machine): what is left to
// do of checksum and segmentation. Ten bytes, or twelve with a buffer count that we do not use.

import { Checksum, Gso, type Packet } from "../packet.ts";
import { ETHERTYPE_IPV6, IPPROTO_TCP } from "../wire/numbers.ts";

export const VIRTIO_NET_BYTES = 12;

const NEEDS_CHECKSUM = 1;
const DATA_VALID = 2;
const GSO_NONE = 0;
const GSO_TCP4 = 1;
const GSO_TCP6 = 4;
const GSO_UDP_L4 = 5;
const GSO_ECN = 0x80;

/** Writes the header at packet.at from what the packet notes; link and transport headers are in place behind it. */
export function writeVirtioHeader(packet: Packet, headerBytes: number): void {
  const { bytes, at } = packet;
  for (let i = 0; i < headerBytes; i++) bytes[at + i] = 0;
  if (packet.checksum !== Checksum.Partial) return;
  const frameAt = at + headerBytes;
  const start = packet.transportAt - frameAt;
  bytes[at] = NEEDS_CHECKSUM;
  put(bytes, at + 6, start);
  put(bytes, at + 8, packet.checksumOffset);
  if (packet.gso === Gso.None) return;
  const isUdp = packet.gso === Gso.Udp;
  bytes[at + 1] = isUdp ? GSO_UDP_L4 : packet.gso === Gso.Tcp4 ? GSO_TCP4 : GSO_TCP6;
  const transportBytes = isUdp ? 8 : (bytes[packet.transportAt + 12] >> 4) * 4;
  // A congestion window reduced flag stands on the first piece only.
  if (!isUdp && (bytes[packet.transportAt + 13] & 0x80) !== 0) bytes[at + 1] |= GSO_ECN;
  put(bytes, at + 2, start + transportBytes);
  put(bytes, at + 4, packet.gsoBytes);
}

/** Notes what the header at packet.at says, for a frame whose linkAt is set. False when it contradicts the frame. */
export function readVirtioHeader(packet: Packet): boolean {
  const { bytes, at } = packet;
  const flags = bytes[at];
  if ((flags & NEEDS_CHECKSUM) !== 0) {
    const start = get(bytes, at + 6), offset = get(bytes, at + 8);
    if (packet.linkAt + start + offset + 2 > packet.end) return false;
    packet.checksum = Checksum.Partial;
    packet.checksumOffset = offset;
    packet.transportAt = packet.linkAt + start;
  } else if ((flags & DATA_VALID) !== 0) {
    packet.checksum = Checksum.Valid;
  }
  const type = bytes[at + 1] & ~GSO_ECN;
  if (type === GSO_NONE) return true;
  const size = get(bytes, at + 4);
  if (size === 0) return false;
  if (type === GSO_TCP4 || type === GSO_TCP6) {
    packet.gso = packet.etherType === ETHERTYPE_IPV6 ? Gso.Tcp6 : Gso.Tcp4;
    packet.protocol = IPPROTO_TCP;
  } else if (type === GSO_UDP_L4) {
    packet.gso = Gso.Udp;
  } else {
    return false;
  }
  packet.gsoBytes = size;
  return true;
}

function get(bytes: Uint8Array, at: number): number {
  return bytes[at] | bytes[at + 1] << 8;
}
function put(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}
