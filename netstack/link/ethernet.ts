// Ethernet over a packet device: frames in and out in batches, with the virtio-net header where the device has one, so
// that the host does checksums and cuts and joins segments. IEEE 802.3; Linux: linux/virtio_net.h, packet(7).

import { EINVAL } from "../errno.ts";
import { Checksum, type Packet, PACKET_BYTES_MAX, type PacketPool } from "../packet.ts";
import { NEVER } from "../timer.ts";
import { get16, get32, put16, put32 } from "../wire/bytes.ts";
import { ARPHRD_ETHER } from "../wire/numbers.ts";
import { noteSource, packetTypeOf } from "./hardware_address.ts";
import {
  type Link,
  LINK_GSO,
  LINK_NEIGHBOURS,
  LINK_TX_CHECKSUM,
  type LinkReceiver,
  type PacketDevice,
} from "./link.ts";
import { readVirtioHeader, VIRTIO_NET_BYTES, writeVirtioHeader } from "./virtio_header.ts";

export const ETHERNET_BYTES = 14;
/** Frames received and sent in one call. */
const BATCH = 64;
/** Bytes taken in one poll: so much fits the caches beside what the readers do with it. */
const POLL_BYTES = 512 * 1024;
/** A frame with the largest packet and all that stands before it. */
const FRAME_BYTES_MAX = PACKET_BYTES_MAX + ETHERNET_BYTES + VIRTIO_NET_BYTES;
/** Frames that wait for a device that is full; more are lost. */
/** The same while they are trains of up to 64 KiB. */
const LARGE_BATCH = 8;
const SEND_MAX = 256;
/** How long until a device that took no more is asked again. */
const RETRY_NANOS = 500_000;

export class EthernetLink implements Link {
  readonly kind = "ethernet";
  readonly hardwareType = ARPHRD_ETHER;
  readonly address: Uint8Array;
  mtu: number;
  readonly features: number;
  readonly gsoBytesMax = PACKET_BYTES_MAX - ETHERNET_BYTES - VIRTIO_NET_BYTES;
  readonly #device: PacketDevice;
  readonly #pool: PacketPool;
  readonly #headerBytes: number;
  #receiver: LinkReceiver | null = null;
  /** Empty packets for the device to fill, and those to send, in order. */
  readonly #receiving: Packet[] = [];
  readonly #sending: Packet[] = [];
  #now = 0;
  /** Time of the turn that has taken all there was. */
  #drainedAt = -1;
  #batch = BATCH;
  /** The device has gone: -ERRNO of its last call. */
  failure = 0;
  /** Frames lost as the device took no more, and frames that were none. */
  sendDrops = 0;
  receiveErrors = 0;

  /**
   * What comes without a virtio-net header has been checked by the device (RXCSUM), or is not complete as it never left this
   * machine: its checksums are not looked at.
   */
  readonly #trustsChecksums: boolean;

  constructor(
    device: PacketDevice,
    pool: PacketPool,
    address: Uint8Array = device.address,
    { trustsChecksums = false } = {},
  ) {
    this.#trustsChecksums = trustsChecksums;
    this.address = address;
    this.mtu = device.mtu;
    this.#device = device;
    this.#pool = pool;
    this.#headerBytes = device.virtioHeaderBytes;
    this.features = LINK_NEIGHBOURS | (this.#headerBytes > 0 ? LINK_TX_CHECKSUM | LINK_GSO : 0);
  }

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }
  setMtu(mtu: number): number {
    if (mtu < 68 || mtu > this.#device.mtu) return -EINVAL;
    this.mtu = mtu;
    return 0;
  }
  get room(): number {
    return SEND_MAX - this.#sending.length;
  }

  send(packet: Packet): void {
    if (this.#sending.length >= SEND_MAX) this.flush();
    if (this.#sending.length >= SEND_MAX) {
      this.sendDrops++;
      packet.release();
      return;
    }
    noteSource(packet, this.address);
    const networkAt = packet.at;
    const at = networkAt - ETHERNET_BYTES;
    const bytes = packet.bytes;
    put16(bytes, at, packet.hardwareHigh);
    put32(bytes, at + 2, packet.hardwareLow);
    put16(bytes, at + 6, packet.sourceHardwareHigh);
    put32(bytes, at + 8, packet.sourceHardwareLow);
    put16(bytes, at + 12, packet.etherType);
    packet.linkAt = at;
    packet.at = at;
    if (this.#headerBytes > 0) {
      packet.at -= this.#headerBytes;
      writeVirtioHeader(packet, this.#headerBytes);
    }
    this.#sending.push(packet);
    if (this.#sending.length >= BATCH) this.flush();
  }

  flush(): void {
    const sending = this.#sending;
    let done = 0;
    while (done < sending.length) {
      const n = this.#device.send(sending, done, sending.length);
      if (n < 0) {
        this.failure = n;
        this.sendDrops += sending.length - done;
        done = sending.length;
        for (const packet of sending) packet.release();
        sending.length = 0;
        return;
      }
      if (n === 0) break;
      for (let i = done; i < done + n; i++) sending[i].release();
      done += n;
    }
    if (done === sending.length) sending.length = 0;
    else if (done > 0) sending.splice(0, done);
  }

  poll(now: number, budget: number): number {
    // A turn polls again what its own packets may have filled; the host's were all taken when less came than was asked for.
    if (now === this.#drainedAt) return 0;
    this.#now = now;
    let handed = 0, bytes = 0;
    while (handed < budget && bytes < POLL_BYTES && this.failure === 0) {
      const wanted = Math.min(this.#batch, budget - handed);
      const packets = this.#receiving;
      while (packets.length < wanted) {
        const packet = this.#pool.allocate(FRAME_BYTES_MAX);
        if (packet === null) break;
        packets.push(packet);
      }
      const ready = Math.min(wanted, packets.length);
      if (ready === 0) break;
      const n = this.#device.receive(packets, ready);
      if (n < 0) this.failure = n;
      if (n <= 0) {
        this.#drainedAt = now;
        break;
      }
      let got = 0;
      for (let i = 0; i < n; i++) {
        got += packets[i].length;
        this.#hand(packets[i]);
      }
      bytes += got;
      this.#batch = got > POLL_BYTES / 4 ? LARGE_BATCH : BATCH;
      this.#replace(n);
      handed += n;
      if (n < ready) {
        this.#drainedAt = now;
        break;
      }
    }
    return handed;
  }

  /** Puts fresh packets into the first `n` places; those not kept by anyone are simply used again. */
  #replace(n: number): void {
    const packets = this.#receiving;
    let kept = 0;
    for (let i = 0; i < n; i++) {
      const packet = packets[i];
      if (packet.isHeld) {
        packet.release();
        const fresh = this.#pool.allocate(FRAME_BYTES_MAX);
        if (fresh !== null) packets[kept++] = fresh;
      } else {
        packet.begin(FRAME_BYTES_MAX);
        packets[kept++] = packet;
      }
    }
    if (kept < n) packets.splice(kept, n - kept);
  }

  #hand(packet: Packet): void {
    const header = this.#headerBytes;
    if (packet.length < header + ETHERNET_BYTES) {
      this.receiveErrors++;
      return;
    }
    const bytes = packet.bytes;
    const at = packet.at + header;
    packet.linkAt = at;
    packet.hardwareHigh = get16(bytes, at);
    packet.hardwareLow = get32(bytes, at + 2);
    packet.sourceHardwareHigh = get16(bytes, at + 6);
    packet.sourceHardwareLow = get32(bytes, at + 8);
    packet.etherType = get16(bytes, at + 12);
    packet.networkAt = at + ETHERNET_BYTES;
    if (header > 0 && !readVirtioHeader(packet)) {
      this.receiveErrors++;
      return;
    }
    if (this.#trustsChecksums) packet.checksum = Checksum.Valid;
    packet.at = packet.networkAt;
    packet.packetType = packetTypeOf(packet, this.address);
    this.#receiver?.receive(packet);
  }

  pollAt(): number {
    return this.#sending.length === 0 ? NEVER : this.#now + RETRY_NANOS;
  }
  close(): void {
    for (const packet of this.#sending) packet.release();
    for (const packet of this.#receiving) packet.release();
    this.#sending.length = this.#receiving.length = 0;
    this.#device.close();
  }
}
