// SOCK_DGRAM and SOCK_RAW of AF_INET and AF_INET6: UDP, ping and raw sockets. Linux: inet_dgram_ops, inet_sockraw_ops,
// udp_sendmsg(), ping_v4_sendmsg(), raw_sendmsg(); udp(7), icmp(7), raw(7).

import type { Endpoint } from "../../../netstack/mod.ts";
import { EAFNOSUPPORT, EDESTADDRREQ, EINVAL, EOPNOTSUPP } from "../../abi/errno.ts";
import { IPPROTO_UDP, SOL_RAW, SOL_UDP } from "../../abi/inet.ts";
import {
  AF_INET,
  AF_UNSPEC,
  MSG_CONFIRM,
  MSG_DONTROUTE,
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SO_TIMESTAMP_OLD,
  SO_TIMESTAMPNS_OLD,
  SOCK_DGRAM,
  SOCK_RAW,
} from "../../abi/socket.ts";
import type { Task } from "../../task/task.ts";
import type { IncomingMessage, OutgoingMessage, SocketAddress } from "../message.ts";
import { readPeerAddress, writeSocketAddress } from "./address.ts";
import { putInetControl, readInetControl } from "./control.ts";
import { InetSocket } from "./inet_socket.ts";
import type { Network } from "./network.ts";

const SEND_FLAGS = MSG_MORE | MSG_DONTROUTE | MSG_CONFIRM;
const RECEIVE_FLAGS = MSG_PEEK | MSG_TRUNC;

export class InetDatagram extends InetSocket {
  constructor(
    task: Task,
    network: Network,
    domain: number,
    type: number,
    protocol: number,
    flags: number,
    endpoint: Endpoint,
  ) {
    super(task, network, type, protocol, flags, domain, endpoint);
  }

  protected override get hasPorts(): boolean {
    return this.protocol === IPPROTO_UDP && this.socketType === SOCK_DGRAM;
  }

  override get hasPeekOffset(): boolean {
    return this.hasPorts;
  }

  protected override get ownLevel(): number {
    return this.socketType === SOCK_RAW ? SOL_RAW : this.hasPorts ? SOL_UDP : -1;
  }

  protected override connectTo(address: SocketAddress): number {
    const { callAddress } = this;
    const read = readPeerAddress(address, this.isV4, true, callAddress);
    return read < 0 ? read : this.endpoint.connect(callAddress);
  }

  override takeControl(
    task: Task,
    level: number,
    type: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): number {
    return readInetControl(task, this.endpoint, level, type, bytes, at, length, this.network.shared.outgoing);
  }
  override putControl(task: Task, bytes: Uint8Array): number {
    const { options } = this;
    const { controlOptions, incoming } = this.network.shared;
    return putInetControl(
      task,
      controlOptions,
      this.endpoint,
      options.flag(SO_TIMESTAMP_OLD),
      options.flag(SO_TIMESTAMPNS_OLD),
      incoming,
      bytes,
    );
  }

  protected override transmit(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number {
    const n = this.#transmit(from, at, length, flags, message);
    this.network.shared.outgoing.clear();
    return n;
  }

  #transmit(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number {
    // udpv6_sendmsg() takes no notice of it.
    if ((flags & MSG_OOB) !== 0 && this.isV4) return -EOPNOTSUPP;
    if (message === null) return this.endpoint.write(from, at, length, flags & SEND_FLAGS, null);
    const { outgoing } = this.network.shared;
    outgoing.to = null;
    if (message.address.length > 0) {
      const read = this.#readTarget(message.address);
      if (read < 0) return read;
      if (read > 0) outgoing.to = this.callAddress;
    }
    const control = outgoing.to === null && !message.hasControl ? null : outgoing;
    return this.endpoint.write(from, at, length, flags & SEND_FLAGS, control);
  }

  /** Where a send goes: 1 with callAddress filled, 0 = to the peer, -ERRNO. */
  #readTarget(address: SocketAddress): number {
    const to = this.callAddress;
    if (this.isV4 && address.family === AF_UNSPEC && address.length >= 16) {
      // udp_sendmsg(): AF_UNSPEC is taken for AF_INET.
      address.bytes[0] = AF_INET;
    }
    if (!this.isV4 && address.length >= 2 && address.family === AF_UNSPEC) {
      // udpv6_sendmsg(): as if there was no address.
      return this.endpoint.peerAddress(to) < 0 ? -EDESTADDRREQ : 0;
    }
    const takesBoth = this.hasPorts && !this.isV4;
    const read = readPeerAddress(address, this.isV4, takesBoth, to);
    // udpv6_sendmsg() has an errno of its own for families that it does not know.
    if (read === -EAFNOSUPPORT && takesBoth) return -EINVAL;
    return read < 0 ? read : 1;
  }

  override receive(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    return this.#read(into, at, length, flags & RECEIVE_FLAGS, message);
  }
  override receiveError(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    return this.#read(into, at, length, (flags & RECEIVE_FLAGS) | MSG_ERRQUEUE, message);
  }

  #read(
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if (message === null) return this.endpoint.read(into, at, length, flags, null);
    const { incoming } = this.network.shared;
    incoming.clear();
    const n = this.endpoint.read(into, at, length, flags, incoming);
    if (n < 0) return n;
    message.hasControl = true;
    message.flags |= incoming.flags & (MSG_TRUNC | MSG_ERRQUEUE);
    writeSocketAddress(incoming.from, this.isV4, message.address);
    return n;
  }
}
