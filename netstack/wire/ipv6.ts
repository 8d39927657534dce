// IPv6 header fields by offset, RFC 8200 section 3.

export const IPV6_BYTES = 40;
/** Every link carries this much, RFC 8200 section 5. */
export const IPV6_MTU_MIN = 1280;
export const IPV6_PAYLOAD_AT = 4;
export const IPV6_NEXT_AT = 6;
export const IPV6_HOPS_AT = 7;
export const IPV6_SOURCE_AT = 8;
export const IPV6_DESTINATION_AT = 24;
/** The fragment header, RFC 8200 section 4.5. */
export const IPV6_FRAGMENT_BYTES = 8;

export function ipv6TrafficClass(bytes: Uint8Array, at: number): number {
  return (bytes[at] & 15) << 4 | bytes[at + 1] >> 4;
}
/** Version, traffic class and flow label. */
export function putIpv6Start(bytes: Uint8Array, at: number, trafficClass: number, flowLabel: number): void {
  bytes[at] = 0x60 | trafficClass >> 4;
  bytes[at + 1] = (trafficClass & 15) << 4 | flowLabel >> 16 & 15;
  bytes[at + 2] = flowLabel >>> 8;
  bytes[at + 3] = flowLabel;
}
