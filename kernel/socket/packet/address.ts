// struct sockaddr_ll of packet(7) as the stack's addresses, and back.

import type { EndpointAddress } from "../../../netstack/mod.ts";
import { EAFNOSUPPORT, EINVAL } from "../../abi/errno.ts";
import { SOCKADDR_LL_BYTES } from "../../abi/packet.ts";
import { AF_PACKET } from "../../abi/socket.ts";
import { i32, put16, put32, u16, zero } from "../../abi/struct.ts";
import type { SocketAddress } from "../message.ts";

const PROTOCOL_AT = 2;
const INDEX_AT = 4;
const HARDWARE_TYPE_AT = 8;
const PACKET_TYPE_AT = 10;
const LENGTH_AT = 11;
const ADDRESS_AT = 12;
const HARDWARE_BYTES = 6;

/** EtherTypes travel in network order. */
export function swap16(value: number): number {
  return (value & 0xff) << 8 | value >>> 8 & 0xff;
}

/** 0 or -ERRNO. */
export function readLinkAddress(address: SocketAddress, into: EndpointAddress): number {
  const { bytes } = address;
  if (address.length < SOCKADDR_LL_BYTES) return -EINVAL;
  if (address.family !== AF_PACKET) return -EAFNOSUPPORT;
  into.protocol = swap16(u16(bytes, PROTOCOL_AT));
  into.scope = i32(bytes, INDEX_AT);
  into.hardwareHigh = bytes[ADDRESS_AT] << 8 | bytes[ADDRESS_AT + 1];
  into.hardwareLow = bytes[ADDRESS_AT + 2] << 24 | bytes[ADDRESS_AT + 3] << 16 | bytes[ADDRESS_AT + 4] << 8 |
    bytes[ADDRESS_AT + 5];
  return 0;
}

/** Writes a whole struct sockaddr_ll at `at`; `hasHardware` says whether the link has addresses. */
export function putLinkAddress(
  bytes: Uint8Array,
  at: number,
  from: EndpointAddress,
  hasHardware: boolean,
): void {
  zero(bytes, at, SOCKADDR_LL_BYTES);
  put16(bytes, at, AF_PACKET);
  put16(bytes, at + PROTOCOL_AT, swap16(from.protocol));
  put32(bytes, at + INDEX_AT, from.scope);
  put16(bytes, at + HARDWARE_TYPE_AT, from.hardwareType);
  bytes[at + PACKET_TYPE_AT] = from.packetType;
  if (!hasHardware) return;
  bytes[at + LENGTH_AT] = HARDWARE_BYTES;
  bytes[at + ADDRESS_AT] = from.hardwareHigh >>> 8;
  bytes[at + ADDRESS_AT + 1] = from.hardwareHigh;
  for (let i = 0; i < 4; i++) bytes[at + ADDRESS_AT + 2 + i] = from.hardwareLow >>> 24 - 8 * i;
}
