// A packet as a line of the log (Logging.Change with LogPackets): link, direction, addresses, protocol, size.

import type { Netstack } from "../../kernel/socket/inet/room.ts";
import type { Address, Packet } from "../../netstack/mod.ts";

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const PROTOCOLS: Readonly<Record<number, string>> = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6" };

/** `packet` has its network header at packet.at. */
export function describePacket(
  { Address }: Netstack,
  link: string,
  direction: "in" | "out",
  packet: Packet,
): string {
  const { bytes, at, length, etherType } = packet;
  const prefix = `Packet ${direction} ${link}: `, suffix = `, ${length} bytes`;
  if (etherType === ETHERTYPE_IPV4 && length >= IPV4_BYTES) {
    const header = (bytes[at] & 15) * 4;
    const source = new Address().read4(bytes, at + 12), destination = new Address().read4(bytes, at + 16);
    const isFirst = ((bytes[at + 6] & 0x1f) | bytes[at + 7]) === 0;
    const ports = isFirst && length >= header + 4 ? at + header : -1;
    return prefix + flow(source, destination, bytes[at + 9], bytes, ports) + suffix;
  }
  if (etherType === ETHERTYPE_IPV6 && length >= IPV6_BYTES) {
    const source = new Address().read6(bytes, at + 8), destination = new Address().read6(bytes, at + 24);
    const ports = length >= IPV6_BYTES + 4 ? at + IPV6_BYTES : -1;
    return prefix + flow(source, destination, bytes[at + 6], bytes, ports) + suffix;
  }
  return `${prefix}type 0x${etherType.toString(16).padStart(4, "0")}${suffix}`;
}

/** `ports` is where they begin, -1 = there are none. */
function flow(
  source: Address,
  destination: Address,
  protocol: number,
  bytes: Uint8Array,
  ports: number,
): string {
  const name = PROTOCOLS[protocol] ?? `protocol ${protocol}`;
  if (ports < 0 || (protocol !== 6 && protocol !== 17)) return `${source} > ${destination} ${name}`;
  const from = bytes[ports] << 8 | bytes[ports + 1], to = bytes[ports + 2] << 8 | bytes[ports + 3];
  return `${source} port ${from} > ${destination} port ${to} ${name}`;
}
