// SOCK_STREAM of AF_INET and AF_INET6: TCP. Linux: inet_stream_ops, tcp_sendmsg(), tcp_recvmsg(); tcp(7).

import type { TcpEndpoint } from "../../../netstack/mod.ts";
import { TcpState } from "../../../netstack/numbers.ts";
import { EAGAIN, EINVAL } from "../../abi/errno.ts";
import { O_NONBLOCK, O_RDWR } from "../../abi/file.ts";
import { IPPROTO_TCP, SIOCOUTQNSD, SOL_TCP } from "../../abi/inet.ts";
import {
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SIOCATMARK,
  SOCK_STREAM,
  SOL_SOCKET,
  SOMAXCONN,
} from "../../abi/socket.ts";
import { putIntResult } from "../../fs/anonymous/filesystem.ts";
import type { Task } from "../../task/task.ts";
import type { IncomingMessage, SocketAddress } from "../message.ts";
import { readPeerAddress } from "./address.ts";
import { putStreamControl, readInetControl } from "./control.ts";
import { InetSocket } from "./inet_socket.ts";
import type { Network } from "./network.ts";

/** Flags that the stack knows. */
const SEND_FLAGS = MSG_OOB | MSG_MORE;
const RECEIVE_FLAGS = MSG_OOB | MSG_PEEK | MSG_TRUNC;

export class InetStream extends InetSocket {
  declare readonly endpoint: TcpEndpoint;

  constructor(task: Task, network: Network, domain: number, flags: number, endpoint: TcpEndpoint) {
    super(task, network, SOCK_STREAM, IPPROTO_TCP, flags, domain, endpoint);
  }

  override get hasPeekOffset(): boolean {
    return true;
  }

  protected override get ownLevel(): number {
    return SOL_TCP;
  }

  override listen(_task: Task, backlog: number): number {
    // __sys_listen(): an unsigned number, at most net.core.somaxconn.
    return this.endpoint.listen(backlog < 0 ? SOMAXCONN : backlog);
  }
  override get isListening(): boolean {
    return this.endpoint.state === TcpState.Listen;
  }

  override accept(task: Task, flags: number): InetStream | number {
    const accepted = this.endpoint.accept();
    if (typeof accepted === "number") return accepted;
    const socket = new InetStream(task, this.network, this.domain, O_RDWR | flags, accepted);
    socket.options.inheritAll(this.options);
    if (this.filter !== null) socket.setFilter(this.filter.hold());
    socket.isFilterLocked = this.isFilterLocked;
    socket.readTimeoutNanos = this.readTimeoutNanos;
    socket.writeTimeoutNanos = this.writeTimeoutNanos;
    return socket;
  }

  protected override connectTo(address: SocketAddress): number {
    const { callAddress, endpoint } = this;
    const read = readPeerAddress(address, this.isV4, false, callAddress);
    // Only a socket that is to begin looks at the address.
    if (read < 0 && endpoint.state === TcpState.Closed && endpoint.connection === null) return read;
    return endpoint.connect(callAddress);
  }
  override connectResult(): number {
    // Asked once more, the stack says how it went and knows that this was told.
    return this.endpoint.connect(this.callAddress);
  }

  override takeControl(
    task: Task,
    level: number,
    type: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): number {
    // Of the others a stream takes no notice (tcp_sendmsg_locked()).
    if (level !== SOL_SOCKET) return 0;
    const { outgoing } = this.network.shared;
    const result = readInetControl(task, this.endpoint, level, type, bytes, at, length, outgoing);
    // They are checked and have no effect.
    outgoing.clear();
    return result;
  }
  override putControl(_task: Task, bytes: Uint8Array): number {
    return putStreamControl(this.network.shared.controlOptions, this.endpoint, bytes);
  }

  protected override transmit(from: Uint8Array, at: number, length: number, flags: number): number {
    return this.endpoint.write(from, at, length, flags & SEND_FLAGS, null);
  }

  override bytesAtStake(length: number): number {
    return Math.min(length, this.endpoint.readableBytes);
  }

  override receive(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if (this.#waitsForMore(length, flags)) return -EAGAIN;
    const { network } = this;
    network.touch();
    const n = this.endpoint.read(into, at, length, flags & RECEIVE_FLAGS, null);
    network.settle();
    // What was received in between may be urgent: MSG_OOB answers with its flag (tcp_recv_urg()).
    if (message !== null) {
      message.hasControl = true;
      if ((flags & MSG_OOB) !== 0 && n >= 0) message.flags |= MSG_OOB;
    }
    return n;
  }

  /** SO_RCVLOWAT: a call that may wait does so for that many bytes (sock_rcvlowat()). */
  #waitsForMore(length: number, flags: number): boolean {
    const { receiveLow } = this.options;
    if (receiveLow <= 1 || (flags & (MSG_DONTWAIT | MSG_OOB)) !== 0) return false;
    if ((this.flags & O_NONBLOCK) !== 0) return false;
    const available = this.endpoint.readableBytes;
    const { state } = this.endpoint;
    return available > 0 && available < Math.min(receiveLow, length) && state === TcpState.Established;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    switch (request) {
      case SIOCATMARK:
        return putIntResult(task, argument, this.endpoint.isAtMark ? 1 : 0);
      case SIOCOUTQNSD:
        return this.isListening ? -EINVAL : putIntResult(task, argument, this.endpoint.notSentBytes);
      default:
        return super.ioctl(task, request, argument);
    }
  }
}
