// The text of /proc/net/nf_conntrack and /proc/net/stat/nf_conntrack. Linux: nf_conntrack_standalone.c.

import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "../../wire/numbers.ts";
import type { Address } from "../../address.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionTable } from "./connection_table.ts";
import { TCP_STATE_NAMES } from "./tcp_tracker.ts";
import type { Tuple } from "./tuple.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  [IPPROTO_ICMP]: "icmp",
  [IPPROTO_TCP]: "tcp",
  [IPPROTO_UDP]: "udp",
  [IPPROTO_ICMPV6]: "icmpv6",
};

/** A line for each connection. */
export function conntrackText(table: ConnectionTable, now: number): string {
  let text = "";
  for (const connection of table.connections()) text += `${connectionText(connection, now)}\n`;
  return text;
}

export function connectionText(connection: Connection, now: number): string {
  const { original, reply } = connection;
  const { isV4 } = original.source;
  const family = isV4 ? `ipv4     ${AF_INET}` : `ipv6     ${AF_INET6}`;
  const protocol = (PROTOCOL_NAMES[original.protocol] ?? "unknown").padEnd(8);
  const seconds = Math.max(0, Math.floor((connection.expires - now) / 1e9));
  const state = original.protocol === IPPROTO_TCP ? `${TCP_STATE_NAMES[connection.tcpState]} ` : "";
  const first = counted(original, connection.originalPackets, connection.originalBytes);
  const second = counted(reply, connection.replyPackets, connection.replyBytes);
  const unreplied = connection.hasReply ? "" : "[UNREPLIED] ";
  const assured = connection.isAssured ? "[ASSURED] " : "";
  return `${family} ${protocol} ${original.protocol} ${seconds} ${state}${first}${unreplied}${second}${assured}` +
    `mark=${connection.mark >>> 0} zone=0 use=2`;
}

function counted(tuple: Tuple, packets: number, bytes: number): string {
  return `src=${wide(tuple.source)} dst=${wide(tuple.destination)} ${
    portsText(tuple)
  }packets=${packets} bytes=${bytes} `;
}
function portsText(tuple: Tuple): string {
  const { sourcePort, destinationPort } = tuple;
  switch (tuple.protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      return `sport=${sourcePort} dport=${destinationPort} `;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      return `type=${destinationPort >> 8} code=${destinationPort & 0xff} id=${sourcePort} `;
    default:
      return "";
  }
}
/** The kernel writes IPv6 addresses here without "::". */
function wide(address: Address): string {
  if (address.isV4) return address.toString();
  return [address.a, address.b, address.c, address.d]
    .map((word) => (word >>> 0).toString(16).padStart(8, "0").replace(/(.{4})(.{4})/, "$1:$2")).join(":");
}

/** /proc/net/stat/nf_conntrack: one row, as there is one thread. */
export function conntrackStatisticsText(table: ConnectionTable): string {
  const { statistics } = table;
  const columns: readonly (readonly [string, number])[] = [
    ["entries", table.size],
    ["clashres", 0],
    ["found", statistics.found],
    ["new", 0],
    ["invalid", statistics.invalid],
    ["ignore", statistics.ignore],
    ["delete", statistics.deleted],
    ["chainlength", 0],
    ["insert", statistics.insert],
    ["insert_failed", statistics.insertFailed],
    ["drop", statistics.drop],
    ["early_drop", statistics.earlyDrop],
    ["icmp_error", statistics.icmpError],
    ["expect_new", 0],
    ["expect_create", 0],
    ["expect_delete", 0],
    ["search_restart", 0],
  ];
  const heads = columns.map(([name]) => name).join(" ");
  const values = columns.map(([, value]) => value.toString(16).padStart(8, "0")).join(" ");
  return `${heads}\n${values}\n`;
}
