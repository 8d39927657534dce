// Packet endpoints: frames of an interface, with their link header or without, packet(7).

import { DatagramQueue } from "../datagram_queue.ts";
import {
  Endpoint,
  ENDPOINT_PACKET,
  type EndpointAddress,
  type IncomingControl,
  MSG_PEEK,
  MSG_TRUNC,
  type OutgoingControl,
} from "../endpoint.ts";
import {
  EAGAIN,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENETDOWN,
  ENOBUFS,
  ENODEV,
  ENOPROTOOPT,
  ENXIO,
  EOPNOTSUPP,
} from "../errno.ts";
import type { Nic, PacketTap } from "../nic.ts";
import { optionNumber } from "../options.ts";
import { Checksum, type Packet, PACKET_BYTES_MAX, PacketType } from "../packet.ts";
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../readiness.ts";
import { SO_ERROR, SO_RCVBUF, SO_RCVBUFFORCE, SOL_SOCKET } from "../socket_options.ts";
import type { Stack } from "../stack.ts";
import { copyBytes, get16, get32, put16, put32 } from "../wire/bytes.ts";
import {
  PACKET_ADD_MEMBERSHIP,
  PACKET_DROP_MEMBERSHIP,
  PACKET_IGNORE_OUTGOING,
  PACKET_STATISTICS,
  SOL_PACKET,
} from "./options.ts";

const ADD_MEMBERSHIP = optionNumber(SOL_PACKET, PACKET_ADD_MEMBERSHIP);
const DROP_MEMBERSHIP = optionNumber(SOL_PACKET, PACKET_DROP_MEMBERSHIP);
const STATISTICS = optionNumber(SOL_PACKET, PACKET_STATISTICS);
const IGNORE_OUTGOING = optionNumber(SOL_PACKET, PACKET_IGNORE_OUTGOING);
const RCVBUF = optionNumber(SOL_SOCKET, SO_RCVBUF);
const RCVBUFFORCE = optionNumber(SOL_SOCKET, SO_RCVBUFFORCE);
const ERROR = optionNumber(SOL_SOCKET, SO_ERROR);

/** ETH_P_ALL: frames of every protocol. */
export const ETHERTYPE_ALL = 3;
const QUEUE_BYTES = 212_992;
const ETHERNET_BYTES = 14;
const PACKET_MR_PROMISC = 1;

/** tp_status of PACKET_AUXDATA: it is ours; its checksum is not made yet, or was verified. */
const TP_STATUS_USER = 1;
const TP_STATUS_CSUMNOTREADY = 8;
const TP_STATUS_CSUM_VALID = 128;

const scratch = new Uint8Array(66 * 1024);

export class PacketEndpoint extends Endpoint implements PacketTap {
  readonly #isCooked: boolean;
  #etherType: number;
  /** Interface it is bound to, null = all. */
  #nic: Nic | null = null;
  readonly #incoming = new DatagramQueue(QUEUE_BYTES, this.stack.rings);
  #promiscuous: Nic[] = [];
  /** It hears no frame that it sends itself. */
  #isSending = false;
  /** Frames seen and lost since the last PACKET_STATISTICS. */
  #seen = 0;
  #lost = 0;

  constructor(stack: Stack, isCooked: boolean, etherType: number) {
    super(stack, ENDPOINT_PACKET, false);
    this.#isCooked = isCooked;
    this.#etherType = etherType;
    this.#listen(true);
  }

  #listen(isOn: boolean): void {
    const taps = this.#nic === null ? this.stack.taps : this.#nic.taps;
    const i = taps.indexOf(this);
    if (i >= 0) taps.splice(i, 1);
    if (isOn && this.#etherType !== 0) taps.push(this);
  }

  override bind(to: EndpointAddress): number {
    const nic = to.scope === 0 ? null : this.stack.nics[to.scope];
    if (nic === undefined) return -ENODEV;
    this.#listen(false);
    this.#nic = nic;
    if (to.protocol !== 0) this.#etherType = to.protocol;
    this.#listen(true);
    if (nic !== null && !nic.isUp) this.error = ENETDOWN;
    return 0;
  }

  /** Its interface is removed, or went down: it receives no more, and gets ENETDOWN. */
  onNicGone(nic: Nic, isRemoved: boolean): void {
    if (isRemoved) this.#promiscuous = this.#promiscuous.filter((other) => other !== nic);
    if (this.#nic !== nic) return;
    if (isRemoved) {
      this.#listen(false);
      this.#etherType = 0;
      this.#nic = null;
    }
    this.error = ENETDOWN;
    this.queue.notify(POLLERR);
  }

  onPacket(packet: Packet, nic: Nic): void {
    if (this.#etherType !== ETHERTYPE_ALL && this.#etherType !== packet.etherType) return;
    // Outgoing frames are shown to those who want all (packet(7)).
    const isOutgoing = packet.packetType === PacketType.Outgoing;
    if (isOutgoing) {
      if (this.#isSending || this.#etherType !== ETHERTYPE_ALL) return;
      if (this.options.value(IGNORE_OUTGOING) !== 0) return;
    }
    if (packet.packetType === PacketType.OtherHost && !nic.isPromiscuous) return;
    let bytes = packet.bytes, at = packet.at;
    let length = packet.length;
    const headerBytes = this.#isCooked ? 0 : ETHERNET_BYTES;
    if (headerBytes > 0) {
      putHeader(packet, nic, isOutgoing);
      copyBytes(scratch, ETHERNET_BYTES, bytes, at, length);
      bytes = scratch;
      at = 0;
      length += ETHERNET_BYTES;
    }
    const kept = this.filter === null
      ? length
      : Math.min(length, this.filter(bytes, at, length, at + headerBytes, headerBytes > 0, packet));
    if (kept < 0) return;
    this.#seen++;
    const record = this.#incoming.push(bytes, at, kept);
    if (record === null) {
      this.#lost++;
      return;
    }
    record.wholeBytes = length;
    record.nicId = nic.id;
    record.protocol = packet.etherType;
    record.packetType = packet.packetType;
    record.hardwareType = nic.link.hardwareType;
    record.hardwareHigh = packet.sourceHardwareHigh;
    record.hardwareLow = packet.sourceHardwareLow;
    record.timestamp = packet.timestamp;
    record.networkOffset = headerBytes;
    record.status = TP_STATUS_USER;
    if (packet.checksum === Checksum.Partial) record.status |= TP_STATUS_CSUMNOTREADY;
    if (packet.checksum === Checksum.Valid) record.status |= TP_STATUS_CSUM_VALID;
    this.queue.notify(POLLIN | POLLRDNORM);
  }

  /** Frames were lost since the last PACKET_STATISTICS. */
  get hasLost(): boolean {
    return this.#lost > 0;
  }

  read(into: Uint8Array, at: number, length: number, flags: number, control: IncomingControl | null): number {
    const pending = this.takeError();
    if (pending < 0) return pending;
    if (this.#incoming.isEmpty) return -EAGAIN;
    const record = this.#incoming.first;
    const whole = record.wholeBytes;
    const n = this.#incoming.peek(into, at, length);
    if (control !== null) {
      const { from } = control;
      from.scope = record.nicId;
      from.protocol = record.protocol;
      from.packetType = record.packetType;
      from.hardwareType = record.hardwareType;
      from.hardwareHigh = record.hardwareHigh;
      from.hardwareLow = record.hardwareLow;
      control.nicId = record.nicId;
      control.timestamp = record.timestamp;
      control.messageBytes = whole;
      control.keptBytes = record.length;
      control.auxiliaryStatus = record.status;
      control.networkOffset = record.networkOffset;
      control.flags = n < record.length ? MSG_TRUNC : 0;
    }
    if ((flags & MSG_PEEK) === 0) this.#incoming.shift();
    return (flags & MSG_TRUNC) !== 0 ? record.length : n;
  }

  write(
    from: Uint8Array,
    at: number,
    length: number,
    _flags: number,
    control: OutgoingControl | null,
  ): number {
    const to = control === null ? null : control.to;
    const nic = to !== null && to.scope !== 0 ? this.stack.nics[to.scope] : this.#nic;
    if (nic === null) return to === null ? -EDESTADDRREQ : -ENXIO;
    if (nic === undefined) return -ENXIO;
    if (!nic.isUp) return -ENETDOWN;
    const headerBytes = this.#isCooked ? 0 : ETHERNET_BYTES;
    if (length < headerBytes) return -EINVAL;
    if (length - headerBytes > Math.min(nic.mtu, PACKET_BYTES_MAX)) return -EMSGSIZE;
    const packet = this.stack.pool.allocate(length - headerBytes);
    if (packet === null) return -ENOBUFS;
    copyBytes(packet.bytes, packet.at, from, at + headerBytes, length - headerBytes);
    if (this.#isCooked) {
      packet.etherType = to !== null && to.protocol !== 0 ? to.protocol : this.#etherType;
      packet.hardwareHigh = to?.hardwareHigh ?? 0;
      packet.hardwareLow = to?.hardwareLow ?? 0;
    } else {
      packet.hardwareHigh = get16(from, at);
      packet.hardwareLow = get32(from, at + 2);
      packet.sourceHardwareHigh = get16(from, at + 6);
      packet.sourceHardwareLow = get32(from, at + 8);
      packet.etherType = get16(from, at + 12);
      packet.isBridged = true;
    }
    packet.networkAt = packet.at;
    this.#isSending = true;
    nic.send(packet);
    this.#isSending = false;
    return length;
  }

  override onOption(option: number, value: number): number {
    if (option === RCVBUF) this.#incoming.bytesMax = Math.max(2304, Math.min(value, QUEUE_BYTES) * 2);
    if (option === RCVBUFFORCE) this.#incoming.bytesMax = Math.max(2304, value * 2);
    return 0;
  }
  override optionValue(option: number, stored: number): number {
    if (option === RCVBUF) return this.#incoming.bytesMax;
    return option === ERROR ? -this.takeError() : stored;
  }

  /** PACKET_ADD_MEMBERSHIP of PACKET_MR_PROMISC: frames for other stations too. struct packet_mreq. */
  override setOtherOption(option: number, from: Uint8Array, at: number, length: number): number {
    if (option !== ADD_MEMBERSHIP && option !== DROP_MEMBERSHIP) return -ENOPROTOOPT;
    if (length < 16) return -EINVAL;
    const index = from[at] | from[at + 1] << 8 | from[at + 2] << 16;
    const type = from[at + 4] | from[at + 5] << 8;
    const nic = this.stack.nics[index];
    if (nic === undefined) return -ENODEV;
    // Frames to groups and to us come in anyway: PACKET_MR_MULTICAST, ALLMULTI and UNICAST ask for what is.
    if (type !== PACKET_MR_PROMISC) return type === 0 || type === 2 || type === 3 ? 0 : -EINVAL;
    if (option === ADD_MEMBERSHIP) {
      if (!this.#promiscuous.includes(nic)) this.#promiscuous.push(nic);
      nic.isPromiscuous = true;
    } else {
      this.#leave(nic);
    }
    return 0;
  }
  #leave(nic: Nic): void {
    this.#promiscuous = this.#promiscuous.filter((other) => other !== nic);
    nic.isPromiscuous = nic.taps.some((tap) =>
      tap instanceof PacketEndpoint && tap.#promiscuous.includes(nic)
    );
  }

  /** struct tpacket_stats; reading starts anew. */
  override getOtherOption(option: number, into: Uint8Array, at: number, length: number): number {
    if (option !== STATISTICS) return -ENOPROTOOPT;
    if (length < 8) return -EINVAL;
    const view = new DataView(into.buffer, into.byteOffset + at, 8);
    view.setUint32(0, this.#seen, true);
    view.setUint32(4, this.#lost, true);
    this.#seen = this.#lost = 0;
    return 8;
  }

  localAddress(into: EndpointAddress): number {
    into.scope = this.#nic === null ? 0 : this.#nic.id;
    into.protocol = this.#etherType;
    into.hardwareType = this.#nic === null ? 0 : this.#nic.link.hardwareType;
    if (this.#nic !== null && this.#nic.link.address.length === 6) {
      into.hardwareHigh = get16(this.#nic.link.address, 0);
      into.hardwareLow = get32(this.#nic.link.address, 2);
    }
    return 0;
  }
  peerAddress(_into: EndpointAddress): number {
    return -EOPNOTSUPP;
  }
  readiness(): number {
    const pending = this.error === 0 ? 0 : POLLERR;
    return POLLOUT | POLLWRNORM | pending | (this.#incoming.isEmpty ? 0 : POLLIN | POLLRDNORM);
  }
  get readableBytes(): number {
    return this.#incoming.isEmpty ? 0 : this.#incoming.first.length;
  }
  get unsentBytes(): number {
    return 0;
  }
  close(): boolean {
    this.#listen(false);
    for (const nic of this.#promiscuous) this.#leave(nic);
    this.#incoming.clear();
    return true;
  }
}

/** The link header into `scratch`, made from what the packet notes: on the way out it is not written yet. */
function putHeader(packet: Packet, nic: Nic, isOutgoing: boolean): void {
  scratch.fill(0, 0, ETHERNET_BYTES);
  put16(scratch, 12, packet.etherType);
  if (!nic.hasNeighbours) return;
  put16(scratch, 0, packet.hardwareHigh);
  put32(scratch, 2, packet.hardwareLow);
  const isOwn = isOutgoing && !packet.isBridged;
  put16(scratch, 6, isOwn ? get16(nic.link.address, 0) : packet.sourceHardwareHigh);
  put32(scratch, 8, isOwn ? get32(nic.link.address, 2) : packet.sourceHardwareLow);
}
