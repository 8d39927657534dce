// IPv4 header fields by offset, RFC 791 section 3.1.

import { checksumOf, putChecksum, sumBytes } from "./checksum.ts";
import { get16, put16 } from "./bytes.ts";

export const IPV4_BYTES = 20;
export const IPV4_BYTES_MAX = 60;
/** Every link carries this much, RFC 791. */
export const IPV4_MTU_MIN = 68;
export const IPV4_TOS_AT = 1;
export const IPV4_LENGTH_AT = 2;
export const IPV4_ID_AT = 4;
export const IPV4_FRAGMENT_AT = 6;
export const IPV4_TTL_AT = 8;
export const IPV4_PROTOCOL_AT = 9;
export const IPV4_CHECKSUM_AT = 10;
export const IPV4_SOURCE_AT = 12;
export const IPV4_DESTINATION_AT = 16;
/** Flags in the fragment field. */
export const IPV4_DONT_FRAGMENT = 0x4000;
export const IPV4_MORE_FRAGMENTS = 0x2000;
export const IPV4_OFFSET_MASK = 0x1fff;

export function ipv4HeaderBytes(bytes: Uint8Array, at: number): number {
  return (bytes[at] & 15) * 4;
}
export function ipv4TotalBytes(bytes: Uint8Array, at: number): number {
  return get16(bytes, at + IPV4_LENGTH_AT);
}
/** Computes and stores the header's checksum. */
export function sealIpv4Header(bytes: Uint8Array, at: number): void {
  put16(bytes, at + IPV4_CHECKSUM_AT, 0);
  putChecksum(bytes, at + IPV4_CHECKSUM_AT, checksumOf(sumBytes(0, bytes, at, ipv4HeaderBytes(bytes, at))));
}
