// AF_NETLINK: datagrams to and from the kernel. Linux: net/netlink/af_netlink.c, netlink(7). What the protocols answer
// stands in files of their own; here are port ids, groups, the queue and the form of requests and acknowledgements.

import { EADDRINUSE, EAGAIN, ECONNREFUSED, EINVAL, ENOBUFS, ENOPROTOOPT, EPERM } from "../../abi/errno.ts";
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../../abi/file.ts";
import {
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_BROADCAST_ERROR,
  NETLINK_CAP_ACK,
  NETLINK_DROP_MEMBERSHIP,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NETLINK_LIST_MEMBERSHIPS,
  NETLINK_NO_ENOBUFS,
  NETLINK_PKTINFO,
  NLM_F_ACK,
  NLM_F_CAPPED,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  NLMSG_HEADER_BYTES,
  NLMSG_TYPE_MIN,
  SOCKADDR_NL_BYTES,
  SOL_NETLINK,
} from "../../abi/netlink.ts";
import {
  AF_NETLINK,
  AF_UNSPEC,
  MSG_PEEK,
  MSG_TRUNC,
  SCM_CREDENTIALS,
  SO_PASSCRED,
  SOL_SOCKET,
} from "../../abi/socket.ts";
import { i32, put16, put32, u16, u32, zero } from "../../abi/struct.ts";
import { CAP_NET_ADMIN } from "../../abi/task.ts";
import { hasCapability } from "../../task/credentials.ts";
import type { Task } from "../../task/task.ts";
import { copyBytes } from "../../util/bytes.ts";
import { beginControl, endControl } from "../control_message.ts";
import type { Network } from "../inet/network.ts";
import type { IncomingMessage, OutgoingMessage, SocketAddress } from "../message.ts";
import { Socket } from "../socket.ts";
import { align, type NetlinkWriter } from "./message.ts";

/** What a queued datagram counts besides its bytes (sk_buff truesize). */
const DATAGRAM_COST = 256;
/** Group numbers of one protocol. */
const GROUPS_MAX = 64;
const PORTS_TRIED_MAX = 4096;
/** Options that are a flag. */
const FLAGS = [
  NETLINK_PKTINFO,
  NETLINK_BROADCAST_ERROR,
  NETLINK_NO_ENOBUFS,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
];

interface Datagram {
  readonly bytes: Uint8Array;
  /** Group it was sent to, 0 = to this socket. */
  readonly group: number;
}

/** A request for the kernel: a message of type `type` at `at`, `end` bytes. */
export interface NetlinkRequest {
  readonly task: Task;
  readonly socket: NetlinkSocket;
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
}

/** The kernel's end of a protocol: 0 (an acknowledgement where one is asked for), ANSWERED, or -ERRNO. */
export type NetlinkHandler = (request: NetlinkRequest) => number;

/** The handler has queued its answer; no acknowledgement follows, as behind a dump. */
export const ANSWERED = 1;

export class NetlinkSocket extends Socket {
  readonly network: Network;
  readonly #handler: NetlinkHandler;
  /** Its address; 0 = none yet. */
  #port = 0;
  readonly #groups = new Set<number>();
  readonly #queue: Datagram[] = [];
  #queuedBytes = 0;
  /** Group of the datagram received last, and bits of FLAGS. */
  #lastGroup = 0;
  #flags = 0;

  constructor(
    task: Task,
    network: Network,
    type: number,
    protocol: number,
    flags: number,
    handler: NetlinkHandler,
  ) {
    super(task, AF_NETLINK, type, protocol, flags);
    this.network = network;
    this.#handler = handler;
    network.namespace.hold();
    network.netlink.sockets.add(this);
  }

  get port(): number {
    return this.#port;
  }
  get groups(): ReadonlySet<number> {
    return this.#groups;
  }
  get queuedBytes(): number {
    return this.#queuedBytes;
  }
  hasFlag(name: number): boolean {
    return (this.#flags >>> FLAGS.indexOf(name) & 1) !== 0;
  }
  /** NETLINK_GET_STRICT_CHK: what a dump's header says is a filter. */
  get isStrict(): boolean {
    return this.hasFlag(NETLINK_GET_STRICT_CHK);
  }
  override get isMessageBased(): boolean {
    return true;
  }

  override bind(task: Task, address: SocketAddress): number {
    if (address.length < SOCKADDR_NL_BYTES || address.family !== AF_NETLINK) return -EINVAL;
    const port = u32(address.bytes, 4), groups = u32(address.bytes, 8);
    if (this.#port !== 0 && port !== this.#port) return -EINVAL;
    const named = this.#port !== 0 ? 0 : this.#takePort(task, port);
    if (named < 0) return named;
    // Joins and leaves: the mask says all of the first 32.
    for (let group = 1; group <= 32; group++) {
      if ((groups >>> group - 1 & 1) !== 0) this.#groups.add(group);
      else this.#groups.delete(group);
    }
    return 0;
  }

  /** Port `wanted`, or for 0 the process id or a number beyond all of them (netlink_autobind()). */
  #takePort(task: Task, wanted: number): number {
    const { netlink } = this.network;
    if (wanted !== 0) return this.#enter(wanted);
    let port = task.threadGroup.pid.in(task.pid.namespace);
    for (let tries = 0; tries < PORTS_TRIED_MAX; tries++) {
      if (this.#enter(port) === 0) return 0;
      port = netlink.nextPort = netlink.nextPort - 1 >>> 0;
    }
    return -EADDRINUSE;
  }
  #enter(port: number): number {
    for (const other of this.network.netlink.sockets) {
      if (other.protocol === this.protocol && other.#port === port) return -EADDRINUSE;
    }
    this.#port = port;
    return 0;
  }

  override connect(task: Task, address: SocketAddress): number {
    if (address.length < 2) return -EINVAL;
    if (address.family === AF_UNSPEC) return 0;
    if (address.family !== AF_NETLINK || address.length < SOCKADDR_NL_BYTES) return -EINVAL;
    // Another process, or a group, is for the privileged; the kernel is whom all sends go to anyway.
    if (u32(address.bytes, 4) !== 0 || u32(address.bytes, 8) !== 0) {
      return hasCapability(task.credentials, CAP_NET_ADMIN) ? -ECONNREFUSED : -EPERM;
    }
    return this.#port === 0 ? this.#takePort(task, 0) : 0;
  }
  override localAddress(into: SocketAddress): number {
    let groups = 0;
    for (const group of this.#groups) if (group <= 32) groups |= 1 << group - 1;
    putNetlinkAddress(into, this.#port, groups);
    return 0;
  }
  override peerAddress(into: SocketAddress): number {
    putNetlinkAddress(into, 0, 0);
    return 0;
  }

  override send(
    task: Task,
    from: Uint8Array,
    at: number,
    length: number,
    _flags: number,
    message: OutgoingMessage | null,
  ): number {
    if (message !== null && message.address.length > 0) {
      const { address } = message;
      if (address.family !== AF_NETLINK || address.length < SOCKADDR_NL_BYTES) return -EINVAL;
      if (u32(address.bytes, 4) !== 0 || u32(address.bytes, 8) !== 0) {
        return hasCapability(task.credentials, CAP_NET_ADMIN) ? -ECONNREFUSED : -EPERM;
      }
    }
    if (this.#port === 0) {
      const named = this.#takePort(task, 0);
      if (named < 0) return named;
    }
    if (this.#queuedBytes > this.options.receiveBytes) return -ENOBUFS;
    this.network.touch();
    this.#serve(task, from.slice(at, at + length));
    this.network.settle();
    return length;
  }

  /** netlink_rcv_skb(): each request of a datagram. */
  #serve(task: Task, bytes: Uint8Array): void {
    let at = 0;
    while (at + NLMSG_HEADER_BYTES <= bytes.length) {
      const size = u32(bytes, at);
      if (size < NLMSG_HEADER_BYTES || size > bytes.length - at) return;
      const type = u16(bytes, at + 4), flags = u16(bytes, at + 6), sequence = u32(bytes, at + 8);
      let result = 0;
      if ((flags & NLM_F_REQUEST) !== 0 && type >= NLMSG_TYPE_MIN) {
        const request = { task, socket: this, bytes, at, end: at + size, type, flags, sequence };
        result = this.#handler(request);
      }
      if (result < 0 || (result === 0 && (flags & NLM_F_ACK) !== 0)) {
        this.#acknowledge(bytes, at, size, result);
      }
      at += align(size);
    }
  }

  /** NLMSG_ERROR: the errno, and the request's header, with all of the request where it failed. */
  #acknowledge(request: Uint8Array, at: number, size: number, result: number): void {
    const isCapped = result === 0 || this.hasFlag(NETLINK_CAP_ACK);
    const quoted = isCapped ? NLMSG_HEADER_BYTES : size;
    const bytes = new Uint8Array(align(NLMSG_HEADER_BYTES + 4 + quoted));
    put32(bytes, 0, NLMSG_HEADER_BYTES + 4 + quoted);
    put16(bytes, 4, NLMSG_ERROR);
    put16(bytes, 6, isCapped ? NLM_F_CAPPED : 0);
    put32(bytes, 8, u32(request, at + 8));
    put32(bytes, 12, this.#port);
    put32(bytes, 16, result);
    copyBytes(bytes, NLMSG_HEADER_BYTES + 4, request, at, quoted);
    this.deliver(bytes, 0);
  }

  /** Queues what `writer` holds and empties it. */
  deliverAll(writer: NetlinkWriter): void {
    if (writer.length > 0) this.deliver(writer.bytes.slice(0, writer.length), 0);
    writer.clear();
  }

  /** A datagram from the kernel. Where it has no room it is lost, and the next receive is told ENOBUFS. */
  deliver(bytes: Uint8Array, group: number): void {
    if (this.filter !== null) {
      const kept = this.filter.run(bytes, 0, bytes.length);
      if (kept < 0) return;
      bytes = bytes.subarray(0, kept);
    }
    const cost = bytes.length + DATAGRAM_COST;
    const { heap } = this.inode.fs.vfs.memory;
    // One that was asked for always fits: dumps are written as they were found.
    const isLost = group !== 0 && this.#queuedBytes + cost > this.options.receiveBytes;
    if (isLost || !heap.take(cost)) {
      if (!this.hasFlag(NETLINK_NO_ENOBUFS)) this.error = ENOBUFS;
      this.queue.notify(POLLERR);
      return;
    }
    this.#queue.push({ bytes, group });
    this.#queuedBytes += cost;
    this.queue.notify(POLLIN | POLLRDNORM);
  }

  override receive(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if (this.error !== 0) return this.takeError();
    const first = this.#queue[0];
    if (first === undefined) return -EAGAIN;
    const { bytes } = first;
    const n = Math.min(length, bytes.length);
    copyBytes(into, at, bytes, 0, n);
    if (message !== null) {
      putNetlinkAddress(message.address, 0, first.group === 0 ? 0 : 1 << first.group - 1);
      message.hasControl = true;
      if (n < bytes.length) message.flags |= MSG_TRUNC;
    }
    this.#lastGroup = first.group;
    if ((flags & MSG_PEEK) === 0) this.#shift();
    return (flags & MSG_TRUNC) !== 0 ? bytes.length : n;
  }
  #shift(): void {
    const cost = this.#queue.shift()!.bytes.length + DATAGRAM_COST;
    this.#queuedBytes -= cost;
    this.inode.fs.vfs.memory.heap.give(cost);
  }

  override get hasOwnControl(): boolean {
    return true;
  }
  override putControl(_task: Task, bytes: Uint8Array): number {
    let at = 0;
    if (this.hasFlag(NETLINK_PKTINFO)) {
      put32(bytes, beginControl(bytes, at, SOL_NETLINK, NETLINK_PKTINFO, 4), this.#lastGroup);
      at = endControl(bytes, at, 4);
    }
    if (this.options.flag(SO_PASSCRED)) {
      // From the kernel: process 0, root.
      zero(bytes, beginControl(bytes, at, SOL_SOCKET, SCM_CREDENTIALS, 12), 12);
      at = endControl(bytes, at, 12);
    }
    return at;
  }

  override readiness(): number {
    let events = POLLOUT | POLLWRNORM;
    if (this.#queue.length > 0) events |= POLLIN | POLLRDNORM;
    if (this.error !== 0) events |= POLLERR;
    return events;
  }

  override setOption(
    _task: Task,
    level: number,
    name: number,
    from: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (level !== SOL_NETLINK) return -ENOPROTOOPT;
    if (length < 4) return -EINVAL;
    const value = i32(from, at);
    if (name === NETLINK_ADD_MEMBERSHIP || name === NETLINK_DROP_MEMBERSHIP) {
      if (value < 1 || value > GROUPS_MAX) return -EINVAL;
      if (name === NETLINK_ADD_MEMBERSHIP) this.#groups.add(value);
      else this.#groups.delete(value);
      return 0;
    }
    const bit = FLAGS.indexOf(name);
    if (bit < 0) return -ENOPROTOOPT;
    if (value !== 0) this.#flags |= 1 << bit;
    else this.#flags &= ~(1 << bit);
    return 0;
  }
  override getOption(
    _task: Task,
    level: number,
    name: number,
    into: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (level !== SOL_NETLINK) return -ENOPROTOOPT;
    if (name === NETLINK_LIST_MEMBERSHIPS) {
      const words = [0, 0];
      for (const group of this.#groups) words[group - 1 >> 5] |= 1 << (group - 1 & 31);
      words.forEach((word, i) => put32(into, at + 4 * i, word));
      return 8;
    }
    if (!FLAGS.includes(name)) return -ENOPROTOOPT;
    if (length < 4) return -EINVAL;
    put32(into, at, this.hasFlag(name) ? 1 : 0);
    return 4;
  }

  override release(): void {
    const { network } = this;
    network.netlink.sockets.delete(this);
    while (this.#queue.length > 0) this.#shift();
    super.release();
    network.namespace.drop();
  }
}

function putNetlinkAddress(into: SocketAddress, port: number, groups: number): void {
  zero(into.bytes, 0, SOCKADDR_NL_BYTES);
  put16(into.bytes, 0, AF_NETLINK);
  put32(into.bytes, 4, port);
  put32(into.bytes, 8, groups);
  into.length = SOCKADDR_NL_BYTES;
}
