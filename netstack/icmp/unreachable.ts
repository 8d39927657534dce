// Errors to the sender about a destination that cannot be reached, for either family: RFC 792, RFC 1812 section
// 5.2.7.1, RFC 4443 section 3.1. For callers that answer in a destination's place (forwarders).

import {
  ICMP_ADMINISTRATIVELY_PROHIBITED,
  ICMP_HOST_UNREACHABLE,
  ICMP_NET_UNREACHABLE,
  ICMP_PORT_UNREACHABLE,
  ICMPV6_ADDRESS_UNREACHABLE,
  ICMPV6_NO_ROUTE,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_PROHIBITED,
} from "../wire/icmp.ts";

/** What Linux makes of it for the socket: ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, EHOSTUNREACH (of IPv6 EACCES). */
export const enum Unreachable {
  Network,
  Host,
  Port,
  Prohibited,
}

const CODES_V4 = [
  ICMP_NET_UNREACHABLE,
  ICMP_HOST_UNREACHABLE,
  ICMP_PORT_UNREACHABLE,
  ICMP_ADMINISTRATIVELY_PROHIBITED,
];
const CODES_V6 = [ICMPV6_NO_ROUTE, ICMPV6_ADDRESS_UNREACHABLE, ICMPV6_PORT_UNREACHABLE, ICMPV6_PROHIBITED];

/** Code of the message ICMP_UNREACHABLE, or ICMPV6_UNREACHABLE. */
export function unreachableCode(reason: Unreachable, isV4: boolean): number {
  return (isV4 ? CODES_V4 : CODES_V6)[reason];
}
