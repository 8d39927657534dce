// Control messages of the internet protocols: what sendmsg(2) may say of a datagram, and what recvmsg(2) tells of one.
// Linux: ip_cmsg_send(), ip_cmsg_recv_offset(), ip6_datagram_send_ctl(), ip6_datagram_recv_ctl(), sock_recv_timestamp().

import type { Address, Endpoint, IncomingControl, OutgoingControl } from "../../../netstack/mod.ts";
import { EINVAL, EPERM } from "../../abi/errno.ts";
import {
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVORIGDSTADDR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_TOS,
  IP_TTL,
  IPV6_DONTFRAG,
  IPV6_HOPLIMIT,
  IPV6_PKTINFO,
  IPV6_RECVERR,
  IPV6_RECVHOPLIMIT,
  IPV6_RECVORIGDSTADDR,
  IPV6_RECVPKTINFO,
  IPV6_RECVTCLASS,
  IPV6_TCLASS,
  SOL_IP,
  SOL_IPV6,
  SOL_TCP,
  SOL_UDP,
  TCP_INQ,
  UDP_GRO,
  UDP_SEGMENT,
} from "../../abi/inet.ts";
import { PACKET_AUXDATA, SOL_PACKET } from "../../abi/packet.ts";
import {
  MSG_ERRQUEUE,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SO_MARK,
  SO_TIMESTAMP_OLD,
  SO_TIMESTAMPNS_OLD,
  SOL_SOCKET,
} from "../../abi/socket.ts";
import { i32, put32, put64, u16, zero } from "../../abi/struct.ts";
import { CAP_NET_ADMIN } from "../../abi/task.ts";
import { hasCapability } from "../../task/credentials.ts";
import type { Task } from "../../task/task.ts";
import { beginControl, endControl } from "../control_message.ts";
import { putSocketAddress } from "./address.ts";

/** The stack's numbers of the options that ask for control messages: Endpoint.options.value() takes them. */
export class ControlOptions {
  readonly packetInfo: number;
  readonly ttl: number;
  readonly tos: number;
  readonly originalDestination: number;
  readonly packetInfoV6: number;
  readonly hopLimitV6: number;
  readonly trafficClassV6: number;
  readonly originalDestinationV6: number;
  readonly gro: number;
  readonly unreadBytes: number;
  readonly auxiliaryData: number;

  constructor(optionNumber: (level: number, name: number) => number) {
    this.packetInfo = optionNumber(SOL_IP, IP_PKTINFO);
    this.ttl = optionNumber(SOL_IP, IP_RECVTTL);
    this.tos = optionNumber(SOL_IP, IP_RECVTOS);
    this.originalDestination = optionNumber(SOL_IP, IP_RECVORIGDSTADDR);
    this.packetInfoV6 = optionNumber(SOL_IPV6, IPV6_RECVPKTINFO);
    this.hopLimitV6 = optionNumber(SOL_IPV6, IPV6_RECVHOPLIMIT);
    this.trafficClassV6 = optionNumber(SOL_IPV6, IPV6_RECVTCLASS);
    this.originalDestinationV6 = optionNumber(SOL_IPV6, IPV6_RECVORIGDSTADDR);
    this.gro = optionNumber(SOL_UDP, UDP_GRO);
    this.unreadBytes = optionNumber(SOL_TCP, TCP_INQ);
    this.auxiliaryData = optionNumber(SOL_PACKET, PACKET_AUXDATA);
  }
}

/** SO_EE_ORIGIN_LOCAL: such an error has no offender. */
const ORIGIN_LOCAL = 1;
const EXTENDED_ERROR_BYTES = 16;

/** One control message of a send, its data at `at`, into `into`. 0 or -ERRNO. */
export function readInetControl(
  task: Task,
  endpoint: Endpoint,
  level: number,
  type: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  into: OutgoingControl,
): number {
  switch (level) {
    case SOL_SOCKET:
      return readSocketControl(task, type, bytes, at, length, into);
    case SOL_IP:
      return readV4Control(type, bytes, at, length, into);
    case SOL_IPV6:
      // An AF_INET socket hears of its own level alone.
      return endpoint.isV4 ? 0 : readV6Control(type, bytes, at, length, into);
    case SOL_UDP:
      if (type !== UDP_SEGMENT || length !== 2) return -EINVAL;
      into.segmentBytes = u16(bytes, at);
      return 0;
    default:
      return 0;
  }
}

function readSocketControl(
  task: Task,
  type: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  into: OutgoingControl,
): number {
  // __sock_cmsg_send(): what is of Unix sockets is passed over.
  if (type !== SO_MARK) return type === SCM_RIGHTS || type === SCM_CREDENTIALS ? 0 : -EINVAL;
  if (!hasCapability(task.credentials, CAP_NET_ADMIN)) return -EPERM;
  if (length !== 4) return -EINVAL;
  into.mark = i32(bytes, at);
  return 0;
}

function readV4Control(
  type: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  into: OutgoingControl,
): number {
  switch (type) {
    case IP_PKTINFO:
      // struct in_pktinfo: interface, source, and what only a receiver is told.
      if (length !== 12) return -EINVAL;
      into.nicId = i32(bytes, at);
      into.source.read4(bytes, at + 4);
      return 0;
    case IP_TTL:
      if (length !== 4) return -EINVAL;
      into.ttl = i32(bytes, at);
      return into.ttl < 1 || into.ttl > 255 ? -EINVAL : 0;
    case IP_TOS:
      if (length !== 4 && length !== 1) return -EINVAL;
      into.tos = length === 4 ? i32(bytes, at) : bytes[at];
      return into.tos < 0 || into.tos > 255 ? -EINVAL : 0;
    default:
      return -EINVAL;
  }
}

function readV6Control(
  type: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  into: OutgoingControl,
): number {
  switch (type) {
    case IPV6_PKTINFO:
      if (length < 20) return -EINVAL;
      into.source.read6(bytes, at);
      into.nicId = i32(bytes, at + 16);
      return 0;
    case IPV6_HOPLIMIT:
      if (length !== 4) return -EINVAL;
      into.ttl = i32(bytes, at);
      return into.ttl < -1 || into.ttl > 255 ? -EINVAL : 0;
    case IPV6_TCLASS:
      if (length !== 4) return -EINVAL;
      into.tos = i32(bytes, at);
      return into.tos < -1 || into.tos > 255 ? -EINVAL : 0;
    case IPV6_DONTFRAG:
      return length === 4 ? 0 : -EINVAL;
    default:
      return -EINVAL;
  }
}

/** What a receive tells besides bytes and address, by the options that ask for it; where it ends. */
export function putInetControl(
  task: Task,
  asked: ControlOptions,
  endpoint: Endpoint,
  hasTimestamp: boolean,
  hasTimestampNanos: boolean,
  from: IncomingControl,
  bytes: Uint8Array,
): number {
  let at = 0;
  if (hasTimestamp || hasTimestampNanos) {
    at = putTimestamp(task, hasTimestampNanos, from.timestamp, bytes, at);
  }
  const { options } = endpoint;
  if (from.segmentBytes > 0 && options.value(asked.gro) !== 0) {
    at = putInt(bytes, at, SOL_UDP, UDP_GRO, from.segmentBytes);
  }
  const isV4 = from.destination.address.isV4;
  if (isV4) at = putV4(asked, endpoint, from, bytes, at);
  if (!endpoint.isV4) at = putV6(asked, endpoint, isV4, from, bytes, at);
  if ((from.flags & MSG_ERRQUEUE) !== 0) at = putError(from, isV4, bytes, at);
  return at;
}

/** TCP_INQ: bytes that are left to be read; where it ends. */
export function putStreamControl(asked: ControlOptions, endpoint: Endpoint, bytes: Uint8Array): number {
  if (endpoint.options.value(asked.unreadBytes) === 0) return 0;
  return putInt(bytes, 0, SOL_TCP, TCP_INQ, endpoint.readableBytes);
}

/** A moment of the stack's clock as wall-clock time: SO_TIMESTAMP, SO_TIMESTAMPNS. */
export function putTimestamp(
  task: Task,
  isNanos: boolean,
  nanos: number,
  bytes: Uint8Array,
  at: number,
): number {
  const { clock } = task.kernel;
  const age = Math.max(0, clock.monotonic() - nanos);
  const seconds = clock.realtime();
  const rest = clock.nanoseconds - age;
  const borrowed = rest < 0 ? Math.ceil(-rest / 1e9) : 0;
  const data = beginControl(bytes, at, SOL_SOCKET, isNanos ? SO_TIMESTAMPNS_OLD : SO_TIMESTAMP_OLD, 16);
  put64(bytes, data, seconds - borrowed);
  const fraction = rest + borrowed * 1e9;
  put64(bytes, data + 8, isNanos ? fraction : Math.floor(fraction / 1000));
  return endControl(bytes, at, 16);
}

function putV4(
  asked: ControlOptions,
  endpoint: Endpoint,
  from: IncomingControl,
  bytes: Uint8Array,
  at: number,
): number {
  const { options } = endpoint;
  if (options.value(asked.packetInfo) !== 0) {
    const data = beginControl(bytes, at, SOL_IP, IP_PKTINFO, 12);
    put32(bytes, data, from.nicId);
    from.destination.address.write4(bytes, data + 4);
    from.destination.address.write4(bytes, data + 8);
    at = endControl(bytes, at, 12);
  }
  if (options.value(asked.ttl) !== 0 && from.ttl >= 0) at = putInt(bytes, at, SOL_IP, IP_TTL, from.ttl);
  if (options.value(asked.tos) !== 0 && from.tos >= 0) {
    bytes[beginControl(bytes, at, SOL_IP, IP_TOS, 1)] = from.tos;
    at = endControl(bytes, at, 1);
  }
  if (options.value(asked.originalDestination) !== 0) {
    at = putAddress(bytes, at, SOL_IP, IP_RECVORIGDSTADDR, from.destination.address, from, true);
  }
  return at;
}

function putV6(
  asked: ControlOptions,
  endpoint: Endpoint,
  isV4: boolean,
  from: IncomingControl,
  bytes: Uint8Array,
  at: number,
): number {
  const { options } = endpoint;
  if (options.value(asked.packetInfoV6) !== 0) {
    const data = beginControl(bytes, at, SOL_IPV6, IPV6_PKTINFO, 20);
    from.destination.address.write6(bytes, data);
    put32(bytes, data + 16, from.nicId);
    at = endControl(bytes, at, 20);
  }
  if (isV4) return at;
  if (options.value(asked.hopLimitV6) !== 0 && from.ttl >= 0) {
    at = putInt(bytes, at, SOL_IPV6, IPV6_HOPLIMIT, from.ttl);
  }
  if (options.value(asked.trafficClassV6) !== 0 && from.tos >= 0) {
    at = putInt(bytes, at, SOL_IPV6, IPV6_TCLASS, from.tos);
  }
  if (options.value(asked.originalDestinationV6) !== 0) {
    at = putAddress(bytes, at, SOL_IPV6, IPV6_RECVORIGDSTADDR, from.destination.address, from, false);
  }
  return at;
}

function putAddress(
  bytes: Uint8Array,
  at: number,
  level: number,
  type: number,
  address: Address,
  from: IncomingControl,
  isV4: boolean,
): number {
  const size = isV4 ? 16 : 28;
  const data = beginControl(bytes, at, level, type, size);
  putSocketAddress(bytes, data, address, from.destination.port, from.destination.scope, isV4);
  return endControl(bytes, at, size);
}

/** struct sock_extended_err and the address of who has reported it (ip(7), IP_RECVERR). */
function putError(from: IncomingControl, isV4: boolean, bytes: Uint8Array, at: number): number {
  const offenderBytes = isV4 ? 16 : 28;
  const size = EXTENDED_ERROR_BYTES + offenderBytes;
  const data = beginControl(bytes, at, isV4 ? SOL_IP : SOL_IPV6, isV4 ? IP_RECVERR : IPV6_RECVERR, size);
  put32(bytes, data, from.errorNumber);
  bytes[data + 4] = from.errorOrigin;
  bytes[data + 5] = from.errorType;
  bytes[data + 6] = from.errorCode;
  bytes[data + 7] = 0;
  put32(bytes, data + 8, from.errorInfo);
  put32(bytes, data + 12, 0);
  if (from.errorOrigin === ORIGIN_LOCAL) zero(bytes, data + EXTENDED_ERROR_BYTES, offenderBytes);
  else putSocketAddress(bytes, data + EXTENDED_ERROR_BYTES, from.offender, 0, 0, isV4);
  return endControl(bytes, at, size);
}

function putInt(bytes: Uint8Array, at: number, level: number, type: number, value: number): number {
  put32(bytes, beginControl(bytes, at, level, type, 4), value);
  return endControl(bytes, at, 4);
}
