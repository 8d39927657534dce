// Socket options of raw, ping and packet endpoints: raw(7), icmp(7), packet(7), RFC 3542 section 3.2.

import { ENDPOINT_PACKET, ENDPOINT_PING, ENDPOINT_RAW } from "../endpoint_kind.ts";
import { OptionKind, type OptionSpec } from "../option_spec.ts";

export const SOL_RAW = 255;
export const SOL_ICMPV6 = 58;
export const SOL_PACKET = 263;

export const ICMP_FILTER = 1;
export const ICMPV6_FILTER = 1;

export const PACKET_ADD_MEMBERSHIP = 1;
export const PACKET_DROP_MEMBERSHIP = 2;
export const PACKET_STATISTICS = 6;
export const PACKET_AUXDATA = 8;
export const PACKET_ORIGDEV = 9;
export const PACKET_IGNORE_OUTGOING = 23;

function row(
  level: number,
  name: number,
  label: string,
  kind: OptionKind,
  endpoints: number,
  support = "full",
  access: OptionSpec["access"] = "rw",
): OptionSpec {
  const max = kind === OptionKind.Flag ? 1 : 0x7fff_ffff;
  return { level, name, label, kind, endpoints, min: 0, max, default: 0, access, support };
}
function packet(
  name: number,
  label: string,
  kind: OptionKind,
  support = "full",
  access: OptionSpec["access"] = "rw",
): OptionSpec {
  return row(SOL_PACKET, name, label, kind, ENDPOINT_PACKET, support, access);
}

const { Flag, Int, Other } = { Flag: OptionKind.Flag, Int: OptionKind.Int, Other: OptionKind.Other };

export const RAW_OPTIONS: readonly OptionSpec[] = [
  row(SOL_RAW, ICMP_FILTER, "ICMP_FILTER", Other, ENDPOINT_RAW),
  row(SOL_ICMPV6, ICMPV6_FILTER, "ICMPV6_FILTER", Other, ENDPOINT_RAW | ENDPOINT_PING),
  packet(PACKET_ADD_MEMBERSHIP, "PACKET_ADD_MEMBERSHIP", Other, "full", "wo"),
  packet(PACKET_DROP_MEMBERSHIP, "PACKET_DROP_MEMBERSHIP", Other, "full", "wo"),
  // Rings are memory that a program shares with its kernel: the sockets' affair, which they build over read().
  packet(5, "PACKET_RX_RING", Other, "none"),
  packet(13, "PACKET_TX_RING", Other, "none"),
  packet(PACKET_STATISTICS, "PACKET_STATISTICS", Other, "full", "ro"),
  packet(7, "PACKET_COPY_THRESH", Int, "none"),
  packet(PACKET_AUXDATA, "PACKET_AUXDATA", Flag),
  packet(
    PACKET_ORIGDEV,
    "PACKET_ORIGDEV",
    Flag,
    "stored; frames carry the interface they came in by either way",
  ),
  packet(10, "PACKET_VERSION", Int, "none"),
  packet(12, "PACKET_RESERVE", Int, "none"),
  packet(14, "PACKET_LOSS", Flag, "none"),
  packet(15, "PACKET_VNET_HDR", Flag, "none"),
  packet(17, "PACKET_TIMESTAMP", Int, "none"),
  // Frames are handed over in one thread: there is nobody to spread them to.
  packet(18, "PACKET_FANOUT", Int, "none"),
  packet(20, "PACKET_QDISC_BYPASS", Flag, "none"),
  packet(PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING", Flag),
];
