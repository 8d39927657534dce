// What an ICMP error means to a program: errno and whether it ends a connection. Linux: icmp_err_convert[] and
// icmpv6_err_convert(); RFC 1122 section 4.2.3.9, RFC 5461.

import {
  EACCES,
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETUNREACH,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTO,
} from "../errno.ts";
import type { NetworkError } from "../ip/ip.ts";
import { get16, get32 } from "../wire/bytes.ts";
import {
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_TOO_BIG,
} from "../wire/icmp.ts";

/** errno and hardness by code of "destination unreachable". */
const V4_UNREACHABLE: readonly (readonly [number, boolean])[] = [
  [ENETUNREACH, false],
  [EHOSTUNREACH, false],
  [ENOPROTOOPT, true],
  [ECONNREFUSED, true],
  [EMSGSIZE, false],
  [EOPNOTSUPP, false],
  [ENETUNREACH, true],
  [EHOSTDOWN, true],
  [ENONET, true],
  [ENETUNREACH, true],
  [EHOSTUNREACH, true],
  [ENETUNREACH, false],
  [EHOSTUNREACH, false],
  [EHOSTUNREACH, true],
  [EHOSTUNREACH, true],
  [EHOSTUNREACH, true],
];
const V6_UNREACHABLE: readonly (readonly [number, boolean])[] = [
  [ENETUNREACH, false],
  [EACCES, true],
  [EHOSTUNREACH, false],
  [EHOSTUNREACH, false],
  [ECONNREFUSED, true],
  [EACCES, true],
  [EACCES, true],
];
/** Plateaus for routers that do not say their MTU, RFC 1191 section 7.1. */
const MTU_UNSAID = 552;

/** Fills errno, isHard and, for "too big", info from the message at `at`; type, code and source are set. */
export function classifyError(error: NetworkError, bytes: Uint8Array, at: number): void {
  error.errno = EHOSTUNREACH;
  error.isHard = false;
  if (error.source.isV4) classifyV4(error, bytes, at);
  else classifyV6(error, bytes, at);
}

function classifyV4(error: NetworkError, bytes: Uint8Array, at: number): void {
  if (error.type === ICMP_TIME_EXCEEDED) return;
  if (error.type === ICMP_PARAMETER_PROBLEM) {
    error.errno = EPROTO;
    error.isHard = true;
    return;
  }
  const found = V4_UNREACHABLE[error.code];
  if (found === undefined) return;
  error.errno = found[0];
  error.isHard = found[1];
  if (error.code === ICMP_FRAGMENTATION_NEEDED) error.info = get16(bytes, at + 6) || MTU_UNSAID;
}

function classifyV6(error: NetworkError, bytes: Uint8Array, at: number): void {
  if (error.type === ICMPV6_TIME_EXCEEDED) return;
  if (error.type === ICMPV6_TOO_BIG) {
    error.errno = EMSGSIZE;
    error.info = Math.min(get32(bytes, at + 4) >>> 0, 0xffff);
    return;
  }
  error.errno = EPROTO;
  error.isHard = error.type === ICMPV6_PARAMETER_PROBLEM;
  const found = V6_UNREACHABLE[error.code];
  if (error.isHard || found === undefined) return;
  error.errno = found[0];
  error.isHard = found[1];
}
