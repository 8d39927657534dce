// The packet that an ICMP error quotes: its addresses, its protocol, and where its transport header begins.

import type { NetworkError } from "../ip/ip.ts";
import { get16 } from "../wire/bytes.ts";
import {
  IPV4_BYTES,
  IPV4_DESTINATION_AT,
  IPV4_FRAGMENT_AT,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL_AT,
  IPV4_SOURCE_AT,
  ipv4HeaderBytes,
} from "../wire/ipv4.ts";
import {
  IPV6_BYTES,
  IPV6_DESTINATION_AT,
  IPV6_FRAGMENT_BYTES,
  IPV6_NEXT_AT,
  IPV6_SOURCE_AT,
} from "../wire/ipv6.ts";
import { IPPROTO_DSTOPTS, IPPROTO_FRAGMENT, IPPROTO_HOPOPTS, IPPROTO_ROUTING } from "../wire/numbers.ts";

const EXTENSIONS_MAX = 8;
/** What every error quotes of the transport header at least (RFC 792): ports, or type and identifier. */
const TRANSPORT_BYTES_MIN = 8;

/** Reads the packet quoted at `at` of `bytes` up to `end` into `error`; false when it is cut too short, or not a first piece. */
export function readQuote(
  error: NetworkError,
  bytes: Uint8Array,
  at: number,
  end: number,
  isV4: boolean,
): boolean {
  error.bytes = bytes;
  return isV4 ? readV4(error, at, end) : readV6(error, at, end);
}

function readV4(error: NetworkError, at: number, end: number): boolean {
  const { bytes } = error;
  if (at + IPV4_BYTES > end || bytes[at] >> 4 !== 4) return false;
  const headerBytes = ipv4HeaderBytes(bytes, at);
  if (headerBytes < IPV4_BYTES || at + headerBytes + TRANSPORT_BYTES_MIN > end) return false;
  error.source.read4(bytes, at + IPV4_SOURCE_AT);
  error.destination.read4(bytes, at + IPV4_DESTINATION_AT);
  error.protocol = bytes[at + IPV4_PROTOCOL_AT];
  error.at = at + headerBytes;
  error.length = end - error.at;
  return (get16(bytes, at + IPV4_FRAGMENT_AT) & IPV4_OFFSET_MASK) === 0;
}

function readV6(error: NetworkError, at: number, end: number): boolean {
  const { bytes } = error;
  if (at + IPV6_BYTES > end || bytes[at] >> 4 !== 6) return false;
  error.source.read6(bytes, at + IPV6_SOURCE_AT);
  error.destination.read6(bytes, at + IPV6_DESTINATION_AT);
  if (error.source.isV4 || error.destination.isV4) return false;
  let next = bytes[at + IPV6_NEXT_AT];
  let place = at + IPV6_BYTES;
  for (let n = 0; n < EXTENSIONS_MAX; n++) {
    if (place + TRANSPORT_BYTES_MIN > end) return false;
    if (next === IPPROTO_FRAGMENT) {
      if ((get16(bytes, place + 2) & 0xfff8) !== 0) return false;
      next = bytes[place];
      place += IPV6_FRAGMENT_BYTES;
    } else if (next === IPPROTO_HOPOPTS || next === IPPROTO_ROUTING || next === IPPROTO_DSTOPTS) {
      next = bytes[place];
      place += (bytes[place + 1] + 1) * 8;
    } else {
      error.protocol = next;
      error.at = place;
      error.length = end - place;
      return true;
    }
  }
  return false;
}
