// AF_PACKET sockets: frames of interfaces as they come and go, packet(7). Linux: net/packet/af_packet.c. The stack's packet
// endpoints have the frames; here are addresses, options and the receive ring.

import type { PacketEndpoint } from "../../../netstack/mod.ts";
import { EBUSY, EINVAL, ENODEV, EOPNOTSUPP } from "../../abi/errno.ts";
import {
  AUXDATA_BYTES,
  PACKET_AUXDATA,
  PACKET_HDRLEN,
  PACKET_RESERVE,
  PACKET_RX_RING,
  PACKET_TIMESTAMP,
  PACKET_VERSION,
  SOCKADDR_LL_BYTES,
  SOL_PACKET,
  TPACKET2_HDR_BYTES,
  TPACKET_HDR_BYTES,
  TPACKET_V1,
  TPACKET_V2,
} from "../../abi/packet.ts";
import {
  AF_PACKET,
  MSG_ERRQUEUE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SO_TIMESTAMP_OLD,
  SO_TIMESTAMPNS_OLD,
  SOCK_DGRAM,
} from "../../abi/socket.ts";
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../../abi/file.ts";
import { i32, put16, put32, zero } from "../../abi/struct.ts";
import type { Kernel } from "../../kernel.ts";
import type { Task } from "../../task/task.ts";
import type { MappableFile } from "../../vfs/file_kinds.ts";
import { beginControl, endControl } from "../control_message.ts";
import { putTimestamp } from "../inet/control.ts";
import { InetSocket } from "../inet/inet_socket.ts";
import type { Network } from "../inet/network.ts";
import type { IncomingMessage, OutgoingMessage, SocketAddress } from "../message.ts";
import { putLinkAddress, readLinkAddress, swap16 } from "./address.ts";
import { type FrameSource, ReceiveRing } from "./receive_ring.ts";

const RECEIVE_FLAGS = MSG_PEEK | MSG_TRUNC;
/** Largest room that a program may want in front of each frame (USHRT_MAX of packet_setsockopt() and more is no use). */
const RESERVE_BYTES_MAX = 0xffff;

export class PacketSocket extends InetSocket {
  readonly #kernel: Kernel;
  readonly #frames: PacketEndpoint;
  /** Header of frames in a ring that is made from now on, and room in front of them. */
  #version = TPACKET_V1;
  #reserveBytes = 0;
  #timestampSource = 0;
  #ring: ReceiveRing | null = null;
  readonly #source: FrameSource = (into, at, length, control) =>
    this.#frames.read(into, at, length, 0, control);

  constructor(task: Task, network: Network, type: number, protocol: number, flags: number) {
    const endpoint = network.stack.newPacketEndpoint(type === SOCK_DGRAM, swap16(protocol));
    super(task, network, type, protocol, flags, AF_PACKET, endpoint);
    this.#kernel = task.kernel;
    this.#frames = endpoint;
    endpoint.queue = { notify: (events) => this.#onFrames(events) };
  }

  protected override get hasPorts(): boolean {
    return false;
  }
  protected override get ownLevel(): number {
    return SOL_PACKET;
  }

  override bind(_task: Task, address: SocketAddress): number {
    const to = this.callAddress;
    const read = readLinkAddress(address, to);
    return read < 0 ? read : this.endpoint.bind(to);
  }
  override connect(_task: Task, _address: SocketAddress): number {
    return -EOPNOTSUPP;
  }
  protected override connectTo(_address: SocketAddress): number {
    return -EOPNOTSUPP;
  }
  override shutdown(_how: number): number {
    return -EOPNOTSUPP;
  }
  override localAddress(into: SocketAddress): number {
    const { callAddress } = this;
    callAddress.packetType = 0;
    const result = this.endpoint.localAddress(callAddress);
    if (result < 0) return result;
    putLinkAddress(into.bytes, 0, callAddress, callAddress.scope !== 0);
    into.length = SOCKADDR_LL_BYTES;
    return 0;
  }
  override peerAddress(_into: SocketAddress): number {
    return -EOPNOTSUPP;
  }

  protected override transmit(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number {
    if (message === null || message.address.length === 0) {
      return this.endpoint.write(from, at, length, flags, null);
    }
    const { outgoing } = this.network.shared;
    const { callAddress } = this;
    const read = readLinkAddress(message.address, callAddress);
    if (read < 0) return read;
    if (callAddress.scope < 0) return -ENODEV;
    outgoing.to = callAddress;
    const n = this.endpoint.write(from, at, length, flags, outgoing);
    outgoing.clear();
    return n;
  }

  override receive(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if ((flags & MSG_OOB) !== 0) return -EINVAL;
    const wanted = flags & RECEIVE_FLAGS;
    if (message === null) return this.endpoint.read(into, at, length, wanted, null);
    const { incoming } = this.network.shared;
    incoming.clear();
    const n = this.endpoint.read(into, at, length, wanted, incoming);
    if (n < 0) return n;
    message.hasControl = true;
    message.flags |= incoming.flags & MSG_TRUNC;
    putLinkAddress(message.address.bytes, 0, incoming.from, true);
    message.address.length = SOCKADDR_LL_BYTES;
    return n;
  }
  override receiveError(
    task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    // Time stamps of what was sent would come there; none are made.
    return super.receiveError(task, into, at, length, flags | MSG_ERRQUEUE, message);
  }

  /** Time stamps, and PACKET_AUXDATA. */
  override putControl(task: Task, bytes: Uint8Array): number {
    const { incoming, controlOptions } = this.network.shared;
    const { options } = this;
    let at = 0;
    const isNanos = options.flag(SO_TIMESTAMPNS_OLD);
    if (isNanos || options.flag(SO_TIMESTAMP_OLD)) {
      at = putTimestamp(task, isNanos, incoming.timestamp, bytes, at);
    }
    if (this.endpoint.options.value(controlOptions.auxiliaryData) === 0) return at;
    const data = beginControl(bytes, at, SOL_PACKET, PACKET_AUXDATA, AUXDATA_BYTES);
    zero(bytes, data, AUXDATA_BYTES);
    put32(bytes, data, incoming.auxiliaryStatus);
    put32(bytes, data + 4, incoming.messageBytes);
    put32(bytes, data + 8, incoming.keptBytes);
    put16(bytes, data + 14, incoming.networkOffset);
    return endControl(bytes, at, AUXDATA_BYTES);
  }

  override setOption(
    task: Task,
    level: number,
    name: number,
    from: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (level !== SOL_PACKET) return super.setOption(task, level, name, from, at, length);
    switch (name) {
      case PACKET_RX_RING:
        return this.#setRing(from, at, length);
      case PACKET_VERSION: {
        if (length !== 4) return -EINVAL;
        const version = i32(from, at);
        if (version !== TPACKET_V1 && version !== TPACKET_V2) return -EINVAL;
        if (this.#ring !== null) return -EBUSY;
        this.#version = version;
        return 0;
      }
      case PACKET_RESERVE:
        if (length !== 4 || i32(from, at) < 0 || i32(from, at) > RESERVE_BYTES_MAX) return -EINVAL;
        if (this.#ring !== null) return -EBUSY;
        this.#reserveBytes = i32(from, at);
        return 0;
      case PACKET_TIMESTAMP:
        // There is no hardware clock: frames have the time of their coming either way.
        if (length !== 4) return -EINVAL;
        this.#timestampSource = i32(from, at);
        return 0;
      default:
        return super.setOption(task, level, name, from, at, length);
    }
  }

  override getOption(
    task: Task,
    level: number,
    name: number,
    into: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (level !== SOL_PACKET) return super.getOption(task, level, name, into, at, length);
    switch (name) {
      case PACKET_HDRLEN: {
        // The value that is asked with says which version is meant.
        if (length < 4) return -EINVAL;
        const version = i32(into, at);
        if (version !== TPACKET_V1 && version !== TPACKET_V2) return -EINVAL;
        put32(into, at, version === TPACKET_V1 ? TPACKET_HDR_BYTES : TPACKET2_HDR_BYTES);
        return 4;
      }
      case PACKET_VERSION:
        put32(into, at, this.#version);
        return 4;
      case PACKET_RESERVE:
        put32(into, at, this.#reserveBytes);
        return 4;
      case PACKET_TIMESTAMP:
        put32(into, at, this.#timestampSource);
        return 4;
      default:
        return super.getOption(task, level, name, into, at, length);
    }
  }

  #setRing(from: Uint8Array, at: number, length: number): number {
    const made = ReceiveRing.of(this.#kernel, this.#version, this.#reserveBytes, from, at, length);
    if (typeof made === "number") return made;
    if (made !== null && this.#ring !== null) {
      made.release();
      return -EBUSY;
    }
    // Who has it mapped keeps the memory.
    this.#ring?.release();
    this.#ring = made;
    return 0;
  }

  #onFrames(events: number): void {
    this.#fillRing();
    this.queue.notify(events);
  }
  #fillRing(): void {
    const { incoming } = this.network.shared;
    this.#ring?.fill(this.#source, incoming, this.socketType === SOCK_DGRAM, this.#frames.hasLost);
  }

  override readiness(): number {
    const ring = this.#ring;
    if (ring === null) return super.readiness();
    this.#fillRing();
    const error = super.readiness() & POLLERR;
    return POLLOUT | POLLWRNORM | error | (ring.isReadable ? POLLIN | POLLRDNORM : 0);
  }

  /** mmap(2) shows the ring; packet_mmap() answers EINVAL without one. */
  override asMappable(): MappableFile | null {
    return this.#ring;
  }

  override release(): void {
    this.#ring?.release();
    this.#ring = null;
    super.release();
  }
}
