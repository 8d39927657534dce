// Options of the IPv4 header, RFC 791 section 3.1, checked and acted on as far as Linux does: record route and timestamp
// are filled in, source routes are refused (RFC 7126 section 4).

import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { put32 } from "../wire/bytes.ts";
import { IPV4_BYTES, ipv4HeaderBytes, sealIpv4Header } from "../wire/ipv4.ts";

const END = 0;
const NO_OPERATION = 1;
const RECORD_ROUTE = 7;
const TIMESTAMP = 68;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;

const DAY_MILLIS = 86_400_000;

/** Offset in the header of what is wrong, or -1: all is well. -2: a source route, which is not taken. */
export function checkIpv4Options(packet: Packet, nic: Nic): number {
  const { bytes, at } = packet;
  const end = at + ipv4HeaderBytes(bytes, at);
  let isChanged = false;
  for (let option = at + IPV4_BYTES; option < end;) {
    const type = bytes[option];
    if (type === END) break;
    if (type === NO_OPERATION) {
      option++;
      continue;
    }
    const length = option + 1 < end ? bytes[option + 1] : 0;
    if (length < 2 || option + length > end) return option - at;
    if (type === LOOSE_SOURCE_ROUTE || type === STRICT_SOURCE_ROUTE) return -2;
    if (type === RECORD_ROUTE) {
      const wrong = recordRoute(packet, nic, option, length);
      if (wrong >= 0) return option - at + wrong;
      isChanged = true;
    } else if (type === TIMESTAMP) {
      const wrong = recordTime(packet, nic, option, length);
      if (wrong >= 0) return option - at + wrong;
      isChanged = true;
    }
    option += length;
  }
  if (isChanged) sealIpv4Header(bytes, at);
  return -1;
}

/** Of checked options, keeps those that an answer carries back: records of route and time; the others become padding. */
export function keepRecords(bytes: Uint8Array, at: number, length: number): void {
  const end = at + length;
  while (at < end && bytes[at] !== END) {
    const type = bytes[at];
    const size = type === NO_OPERATION ? 1 : bytes[at + 1];
    if (type !== RECORD_ROUTE && type !== TIMESTAMP) bytes.fill(NO_OPERATION, at, at + size);
    at += size;
  }
  bytes.fill(END, Math.min(at, end), end);
}

/** Enters our address where the pointer says; offset in the option of what is wrong, or -1. */
function recordRoute(packet: Packet, nic: Nic, option: number, length: number): number {
  const { bytes } = packet;
  const pointer = bytes[option + 2];
  if (length < 3) return 1;
  if (pointer < 4) return 2;
  if (pointer > length) return -1;
  if (pointer + 3 > length) return 2;
  own(packet, nic).write4(bytes, option + pointer - 1);
  bytes[option + 2] = pointer + 4;
  return -1;
}

function recordTime(packet: Packet, nic: Nic, option: number, length: number): number {
  const { bytes } = packet;
  if (length < 4) return 1;
  const pointer = bytes[option + 2], flag = bytes[option + 3] & 15;
  if (pointer < 5) return 2;
  const size = flag === 0 ? 4 : 8;
  if (pointer + size - 1 > length) {
    // Full: counted in the overflow, which must not overflow itself.
    if (pointer <= length) return 2;
    if (bytes[option + 3] >> 4 === 15) return 3;
    bytes[option + 3] += 16;
    return -1;
  }
  const place = option + pointer - 1;
  if (flag === 3) {
    const address = own(packet, nic);
    if (
      (bytes[place] << 24 | bytes[place + 1] << 16 | bytes[place + 2] << 8 | bytes[place + 3]) !== address.d
    ) {
      return -1;
    }
  } else if (flag === 1) {
    own(packet, nic).write4(bytes, place);
  } else if (flag !== 0) {
    return 3;
  }
  put32(bytes, place + size - 4, Math.floor(packet.timestamp / 1e6) % DAY_MILLIS);
  bytes[option + 2] = pointer + size;
  return -1;
}

/** The address we record: the one it was sent to, or the interface's first. */
function own(packet: Packet, nic: Nic) {
  if (nic.hasAddress(packet.destination)) return packet.destination;
  return nic.addresses.find((entry) => entry.address.isV4)?.address ?? packet.destination;
}
