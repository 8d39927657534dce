// What sockets, a control server and library users stand on: endpoints of TCP, UDP, ping, raw and packet. Methods never
// wait: they answer -EAGAIN (or -EINPROGRESS) and tell `readiness` later. Reads and writes move bytes; what has to go out
// because of them leaves with the next Stack.poll(). Linux: struct sock, struct proto_ops.

import { Address } from "./address.ts";
import { EOPNOTSUPP } from "./errno.ts";
import { OptionValues } from "./options.ts";
import { NO_LISTENER, type ReadinessQueue } from "./readiness.ts";
import type { Packet } from "./packet.ts";
import type { Stack } from "./stack.ts";

export * from "./endpoint_kind.ts";

/** Flags of read() and write(): the MSG_ numbers of recv(2) and send(2) that the stack acts on. */
export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_DONTROUTE = 0x4;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_EOR = 0x80;
export const MSG_CONFIRM = 0x800;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_MORE = 0x8000;

/** Where an endpoint is, or sends to. The fields below `scope` are of packet endpoints (packet(7), sockaddr_ll). */
export class EndpointAddress {
  readonly address = new Address();
  port = 0;
  /** NIC that a link-local address belongs to, or the NIC of a packet endpoint; 0 = any. */
  scope = 0;
  /** EtherType of a packet endpoint. */
  protocol = 0;
  hardwareType = 0;
  packetType = 0;
  /** Six bytes: the first two, the last four. */
  hardwareHigh = 0;
  hardwareLow = 0;

  copy(from: EndpointAddress): this {
    this.address.copy(from.address);
    this.port = from.port;
    this.scope = from.scope;
    this.protocol = from.protocol;
    this.hardwareType = from.hardwareType;
    this.packetType = from.packetType;
    this.hardwareHigh = from.hardwareHigh;
    this.hardwareLow = from.hardwareLow;
    return this;
  }
}

/** What goes with the bytes of write(): ancillary data of sendmsg(2). One object is reused by the caller. */
export class OutgoingControl {
  /** Where to; null = the peer. */
  to: EndpointAddress | null = null;
  /** IP_TTL or IPV6_HOPLIMIT, IP_TOS or IPV6_TCLASS; -1 = the endpoint's. */
  ttl = -1;
  tos = -1;
  /** IP_PKTINFO, IPV6_PKTINFO: source address (unspecified = choose) and NIC (0 = choose). */
  readonly source = new Address();
  nicId = 0;
  /** UDP_SEGMENT: bytes of each datagram; 0 = the endpoint's. */
  segmentBytes = 0;
  /** SO_MARK; -1 = the endpoint's. */
  mark = -1;
  /** Whose socket it is, for the owner match of the packet filter; -1 = nobody's. */
  uid = -1;
  gid = -1;

  clear(): void {
    this.to = null;
    this.ttl = this.tos = -1;
    this.source.setWords(0, 0, 0, 0);
    this.nicId = 0;
    this.segmentBytes = 0;
    this.mark = -1;
    this.uid = this.gid = -1;
  }
}

/** What goes with the bytes of read(): ancillary data of recvmsg(2). One object is reused by the caller. */
export class IncomingControl {
  /** Where it came from. */
  readonly from = new EndpointAddress();
  /** Where it was sent to (IP_PKTINFO, IP_RECVORIGDSTADDR) and the NIC it came in by. */
  readonly destination = new EndpointAddress();
  nicId = 0;
  /** MSG_TRUNC, MSG_CTRUNC, MSG_OOB, MSG_ERRQUEUE. */
  flags = 0;
  ttl = -1;
  tos = -1;
  /** Nanoseconds of the stack's clock. */
  timestamp = 0;
  /** UDP_GRO: bytes of each datagram in what was read; 0 = one datagram. */
  segmentBytes = 0;
  /** Full length of the message, when it was cut. */
  messageBytes = 0;
  /** Of that, what a packet endpoint's filter has left. */
  keptBytes = 0;
  /** PACKET_AUXDATA of packet(7): tp_status, tp_net (tp_len is messageBytes, tp_mac is 0). */
  auxiliaryStatus = 0;
  networkOffset = 0;
  /** An entry of the error queue, struct sock_extended_err of ip(7): all 0 unless MSG_ERRQUEUE is in `flags`. */
  errorNumber = 0;
  errorOrigin = 0;
  errorType = 0;
  errorCode = 0;
  errorInfo = 0;
  readonly offender = new Address();

  clear(): void {
    this.from.port = this.from.scope = 0;
    this.nicId = this.flags = 0;
    this.ttl = this.tos = -1;
    this.timestamp =
      this.segmentBytes =
      this.messageBytes =
      this.keptBytes =
        0;
    this.auxiliaryStatus = this.networkOffset = 0;
    this.errorNumber =
      this.errorOrigin =
      this.errorType =
      this.errorCode =
      this.errorInfo =
        0;
  }
}

/**
 * Says how much of what is to be received an endpoint keeps, -1 = it is lost: in place of a BPF program. `length` bytes at `at` are
 * the message; its network header begins at `networkAt`; `hasLink`: it begins with a link header. `packet` has the notes that a
 * program asks for (EtherType, packet type, interface, mark).
 */
export type ReceiveFilter = (
  bytes: Uint8Array,
  at: number,
  length: number,
  networkAt: number,
  hasLink: boolean,
  packet: Packet,
) => number;

export abstract class Endpoint {
  readonly stack: Stack;
  /** ENDPOINT_*. */
  readonly kind: number;
  /** It was made for AF_INET; an AF_INET6 one takes both families unless IPV6_V6ONLY is set. */
  readonly isV4: boolean;
  /** The listener for changes of readiness. */
  queue: ReadinessQueue = NO_LISTENER;
  readonly options: OptionValues;
  /** errno of an error that was not returned yet: SO_ERROR. */
  error = 0;
  /** Inode number or another name for /proc/net; 0 = none. Set by the embedder. */
  inode = 0;
  /** Owner, for the packet filter and /proc/net; -1 = nobody's. Set by the embedder. */
  uid = -1;
  gid = -1;
  filter: ReceiveFilter | null = null;
  /** SO_PEEK_OFF, of TCP and UDP: where MSG_PEEK looks, counted from what is received next; -1 = there. */
  peekOffset = -1;

  constructor(stack: Stack, kind: number, isV4: boolean) {
    this.stack = stack;
    this.kind = kind;
    this.isV4 = isV4;
    this.options = new OptionValues(this);
  }

  bind(_to: EndpointAddress): number {
    return -EOPNOTSUPP;
  }
  /** 0, or -EINPROGRESS: writable or an error later. */
  connect(_to: EndpointAddress): number {
    return -EOPNOTSUPP;
  }
  /** connect(2) with AF_UNSPEC: forgets the peer. */
  disconnect(): number {
    return -EOPNOTSUPP;
  }
  listen(_backlog: number): number {
    return -EOPNOTSUPP;
  }
  /** The next connection, owned by the caller; -EAGAIN. */
  accept(): Endpoint | number {
    return -EOPNOTSUPP;
  }
  /** Bytes, 0 at the end of a stream, -EAGAIN, -ERRNO. With MSG_TRUNC a datagram's full length. */
  abstract read(
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: IncomingControl | null,
  ): number;
  /** Bytes taken (a stream may take some), -EAGAIN, -ERRNO. -EPIPE without SIGPIPE: that is the caller's. */
  abstract write(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: OutgoingControl | null,
  ): number;
  /** SHUTDOWN_READ | SHUTDOWN_WRITE. */
  shutdown(_how: number): number {
    return -EOPNOTSUPP;
  }
  /**
   * The caller lets go; no method may be called after. TCP sends what is left, as SO_LINGER says; `false` when lingering
   * is to be waited for: then `queue` gets POLLHUP once it is over.
   */
  abstract close(): boolean;
  /** Fills `into`; 0 or -ERRNO. */
  abstract localAddress(into: EndpointAddress): number;
  abstract peerAddress(into: EndpointAddress): number;
  /** Poll events that hold now. */
  abstract readiness(): number;
  /** Bytes that a read would give now (FIONREAD), and that are written and not yet sent or acknowledged (SIOCOUTQ). */
  abstract get readableBytes(): number;
  abstract get unsentBytes(): number;

  /** setsockopt(2): 0 or -ERRNO. */
  setOption(level: number, name: number, from: Uint8Array, at: number, length: number): number {
    return this.options.set(level, name, from, at, length);
  }
  /** getsockopt(2): bytes written to `into`, at most `length`, or -ERRNO. */
  getOption(level: number, name: number, into: Uint8Array, at: number, length: number): number {
    return this.options.get(level, name, into, at, length);
  }
  /** A numeric option is about to change to `value`, which is in range: 0 to take it over, or -ERRNO. */
  onOption(_option: number, _value: number): number {
    return 0;
  }
  /** Current value of a numeric option whose truth is not what was set (TCP_MAXSEG, SO_ERROR); the stored one else. */
  optionValue(_option: number, stored: number): number {
    return stored;
  }
  /** Options with a struct or text: OptionKind.Other. */
  setOtherOption(_option: number, _from: Uint8Array, _at: number, _length: number): number {
    return -EOPNOTSUPP;
  }
  getOtherOption(_option: number, _into: Uint8Array, _at: number, _length: number): number {
    return -EOPNOTSUPP;
  }

  /** -errno of what has come to pass, once; 0 = nothing. */
  takeError(): number {
    const error = this.error;
    this.error = 0;
    return -error;
  }
}
