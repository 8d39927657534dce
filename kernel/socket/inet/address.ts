// struct sockaddr_in and sockaddr_in6 as the stack's addresses, and back: ip(7), ipv6(7).

import type { Address, EndpointAddress } from "../../../netstack/mod.ts";
import { EAFNOSUPPORT, EINVAL } from "../../abi/errno.ts";
import { SOCKADDR_IN6_BYTES, SOCKADDR_IN6_BYTES_MIN, SOCKADDR_IN_BYTES } from "../../abi/inet.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../../abi/socket.ts";
import { put16, put32, u16, u32, zero } from "../../abi/struct.ts";
import type { SocketAddress } from "../message.ts";

const PORT_AT = 2;
const V4_AT = 4;
const FLOW_AT = 4;
const V6_AT = 8;
const SCOPE_AT = 24;

/** Bytes of a socket address of the family. */
function addressBytes(isV4: boolean): number {
  return isV4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES;
}

/** An address for bind(2): Linux takes AF_UNSPEC with 0.0.0.0 for AF_INET too (__inet_bind()). 0 or -ERRNO. */
export function readBindAddress(address: SocketAddress, isV4: boolean, into: EndpointAddress): number {
  if (address.length < (isV4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES_MIN)) return -EINVAL;
  const isAny = isV4 && address.family === AF_UNSPEC && u32(address.bytes, V4_AT) === 0;
  if (!isAny && address.family !== (isV4 ? AF_INET : AF_INET6)) return -EAFNOSUPPORT;
  readFields(address.bytes, 0, address.length, isV4, into);
  return 0;
}

/**
 * Where a datagram or a connection goes. `takesV4` says that an AF_INET6 socket may be given an IPv4 address (datagrams, as
 * udpv6_sendmsg() has it). 0 or -ERRNO.
 */
export function readPeerAddress(
  address: SocketAddress,
  isV4: boolean,
  takesV4: boolean,
  into: EndpointAddress,
): number {
  const isGivenV4 = isV4 || (takesV4 && address.family === AF_INET);
  if (address.length < (isGivenV4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES_MIN)) return -EINVAL;
  if (address.family !== (isGivenV4 ? AF_INET : AF_INET6)) return -EAFNOSUPPORT;
  readFields(address.bytes, 0, address.length, isGivenV4, into);
  return 0;
}

function readFields(
  bytes: Uint8Array,
  at: number,
  length: number,
  isV4: boolean,
  into: EndpointAddress,
): void {
  into.port = bytes[at + PORT_AT] << 8 | bytes[at + PORT_AT + 1];
  into.scope = 0;
  if (isV4) {
    into.address.read4(bytes, at + V4_AT);
    return;
  }
  into.address.read6(bytes, at + V6_AT);
  if (length >= SOCKADDR_IN6_BYTES) into.scope = u32(bytes, at + SCOPE_AT);
}

/** Fills `into` with `from` as a socket of the family shows it. */
export function writeSocketAddress(from: EndpointAddress, isV4: boolean, into: SocketAddress): void {
  putSocketAddress(into.bytes, 0, from.address, from.port, from.scope, isV4);
  into.length = addressBytes(isV4);
}

/** Writes a sockaddr at `at`; its size. An IPv4 address among IPv6 ones stands there mapped. */
export function putSocketAddress(
  bytes: Uint8Array,
  at: number,
  address: Address,
  port: number,
  scope: number,
  isV4: boolean,
): number {
  const size = addressBytes(isV4);
  zero(bytes, at, size);
  put16(bytes, at, isV4 ? AF_INET : AF_INET6);
  bytes[at + PORT_AT] = port >>> 8;
  bytes[at + PORT_AT + 1] = port;
  if (isV4) {
    address.write4(bytes, at + V4_AT);
    return size;
  }
  put32(bytes, at + FLOW_AT, 0);
  // Nothing bound of a socket of both families is "::", not 0.0.0.0 mapped.
  if (!address.isUnspecified) address.write6(bytes, at + V6_AT);
  put32(bytes, at + SCOPE_AT, scope);
  return size;
}

/** The family of `address`, 0 where there is not even that. */
export function isUnspecifiedFamily(address: SocketAddress): boolean {
  return address.length >= 2 && u16(address.bytes, 0) === AF_UNSPEC;
}
