// The counters of a stack as text: /proc/net/snmp, snmp6, netstat and dev as Linux prints them (proc_pid_net(5)), and all
// that is not zero, a line each, for an operator.

import type { IcmpFamilyStatistics } from "./icmp/statistics.ts";
import type { IpStatistics } from "./ip/statistics.ts";
import type { Stack } from "./stack.ts";
import type { UdpStatistics } from "./udp/statistics.ts";

/** A group's name and its counters in order. */
export type StatisticsGroup = readonly [
  name: string,
  counters: readonly (readonly [name: string, value: number])[],
];

/** Names by type, in the order of Linux' icmpmibmap[]. */
const ICMP_TYPES: readonly (readonly [string, number])[] = [
  ["DestUnreachs", 3],
  ["TimeExcds", 11],
  ["ParmProbs", 12],
  ["SrcQuenchs", 4],
  ["Redirects", 5],
  ["Echos", 8],
  ["EchoReps", 0],
  ["Timestamps", 13],
  ["TimestampReps", 14],
  ["AddrMasks", 17],
  ["AddrMaskReps", 18],
];
/** icmp6type2name[]. */
const ICMP6_TYPES: readonly (readonly [string, number])[] = [
  ["DestUnreachs", 1],
  ["PktTooBigs", 2],
  ["TimeExcds", 3],
  ["ParmProblems", 4],
  ["Echos", 128],
  ["EchoReplies", 129],
  ["GroupMembQueries", 130],
  ["GroupMembResponses", 131],
  ["GroupMembReductions", 132],
  ["RouterSolicits", 133],
  ["RouterAdvertisements", 134],
  ["NeighborSolicits", 135],
  ["NeighborAdvertisements", 136],
  ["Redirects", 137],
  ["MLDv2Reports", 143],
];
const UDP_NAMES = [
  "InDatagrams",
  "NoPorts",
  "InErrors",
  "OutDatagrams",
  "RcvbufErrors",
  "SndbufErrors",
  "InCsumErrors",
  "IgnoredMulti",
  "MemErrors",
] as const;
const IP_NAMES = [
  "InReceives",
  "InHdrErrors",
  "InAddrErrors",
  "ForwDatagrams",
  "InUnknownProtos",
  "InDiscards",
  "InDelivers",
  "OutRequests",
  "OutDiscards",
  "OutNoRoutes",
  "ReasmTimeout",
  "ReasmReqds",
  "ReasmOKs",
  "ReasmFails",
  "FragOKs",
  "FragFails",
  "FragCreates",
  "OutTransmits",
] as const;
const IP6_NAMES: readonly (readonly [string, keyof IpCounters])[] = [
  ["InReceives", "InReceives"],
  ["InHdrErrors", "InHdrErrors"],
  ["InTooBigErrors", "InTooBigErrors"],
  ["InNoRoutes", "InNoRoutes"],
  ["InAddrErrors", "InAddrErrors"],
  ["InUnknownProtos", "InUnknownProtos"],
  ["InTruncatedPkts", "InTruncatedPkts"],
  ["InDiscards", "InDiscards"],
  ["InDelivers", "InDelivers"],
  ["OutForwDatagrams", "ForwDatagrams"],
  ["OutRequests", "OutRequests"],
  ["OutDiscards", "OutDiscards"],
  ["OutNoRoutes", "OutNoRoutes"],
  ["ReasmTimeout", "ReasmTimeout"],
  ["ReasmReqds", "ReasmReqds"],
  ["ReasmOKs", "ReasmOKs"],
  ["ReasmFails", "ReasmFails"],
  ["FragOKs", "FragOKs"],
  ["FragFails", "FragFails"],
  ["FragCreates", "FragCreates"],
  ["InMcastPkts", "InMcastPkts"],
  ["OutMcastPkts", "OutMcastPkts"],
  ["InOctets", "InOctets"],
  ["OutOctets", "OutOctets"],
  ["InMcastOctets", "InMcastOctets"],
  ["OutMcastOctets", "OutMcastOctets"],
  ["InBcastOctets", "InBcastOctets"],
  ["OutBcastOctets", "OutBcastOctets"],
  ["InNoECTPkts", "InNoECTPkts"],
  ["InECT1Pkts", "InECT1Pkts"],
  ["InECT0Pkts", "InECT0Pkts"],
  ["InCEPkts", "InCEPkts"],
  ["OutTransmits", "OutTransmits"],
];
const IP_EXT_NAMES = [
  "InNoRoutes",
  "InTruncatedPkts",
  "InMcastPkts",
  "OutMcastPkts",
  "InBcastPkts",
  "OutBcastPkts",
  "InOctets",
  "OutOctets",
  "InMcastOctets",
  "OutMcastOctets",
  "InBcastOctets",
  "OutBcastOctets",
  "InCsumErrors",
  "InNoECTPkts",
  "InECT1Pkts",
  "InECT0Pkts",
  "InCEPkts",
  "ReasmOverlaps",
] as const;

type IpCounters = Omit<IpStatistics, "countEcn">;

/** The groups of /proc/net/snmp that this room writes: Ip, Icmp, IcmpMsg, Udp, UdpLite. TCP's stands between them. */
export function snmpGroups(stack: Stack): StatisticsGroup[] {
  const isForwarding = stack.nics.some((nic) => nic !== undefined && nic.isForwarding);
  const ip = IP_NAMES.map((name) => [name, stack.ipv4[name]] as const);
  return [
    ["Ip", [
      ["Forwarding", isForwarding ? 1 : 2],
      ["DefaultTTL", stack.ipSettings.get("default_ttl")],
      ...ip,
    ]],
    ["Icmp", icmpCounters(stack.icmp.statistics.v4)],
    ["IcmpMsg", messageCounters(stack.icmp.statistics.v4, "Type")],
    ["Udp", udpCounters(stack.udp.statistics.v4)],
    ["UdpLite", UDP_NAMES.map((name) => [name, 0] as const)],
  ];
}

function icmpCounters(statistics: IcmpFamilyStatistics): [string, number][] {
  const counters: [string, number][] = [
    ["InMsgs", statistics.inMessages],
    ["InErrors", statistics.inErrors],
    ["InCsumErrors", statistics.inChecksumErrors],
  ];
  for (const [name, type] of ICMP_TYPES) counters.push([`In${name}`, statistics.inTypes[type]]);
  counters.push(["OutMsgs", statistics.outMessages], ["OutErrors", statistics.outErrors]);
  counters.push(["OutRateLimitGlobal", statistics.outRateLimited], ["OutRateLimitHost", 0]);
  for (const [name, type] of ICMP_TYPES) counters.push([`Out${name}`, statistics.outTypes[type]]);
  return counters;
}

function messageCounters(statistics: IcmpFamilyStatistics, word: string): [string, number][] {
  const counters: [string, number][] = [];
  statistics.inTypes.forEach((n, type) => n > 0 && counters.push([`In${word}${type}`, n]));
  statistics.outTypes.forEach((n, type) => n > 0 && counters.push([`Out${word}${type}`, n]));
  return counters;
}

function udpCounters(statistics: UdpStatistics): [string, number][] {
  return UDP_NAMES.map((name) => [name, statistics[name]]);
}

/** The text of /proc/net/snmp or netstat: names, then values, of each group. IcmpMsg stands only where it has any. */
export function formatGroups(groups: readonly StatisticsGroup[]): string {
  let text = "";
  for (const [name, counters] of groups) {
    if (counters.length === 0) continue;
    text += `${name}: ${counters.map(([counter]) => counter).join(" ")}\n`;
    text += `${name}: ${counters.map(([, value]) => value).join(" ")}\n`;
  }
  return text;
}

/** The IpExt group of /proc/net/netstat. */
export function ipExtGroup(stack: Stack): StatisticsGroup {
  return ["IpExt", IP_EXT_NAMES.map((name) => [name, stack.ipv4[name]] as const)];
}

/** The text of /proc/net/snmp6. */
export function formatSnmp6(stack: Stack): string {
  const { v6 } = stack.icmp.statistics;
  const lines: [string, number][] = IP6_NAMES.map(([name, field]) => [`Ip6${name}`, stack.ipv6[field]]);
  lines.push(["Icmp6InMsgs", v6.inMessages], ["Icmp6InErrors", v6.inErrors], [
    "Icmp6OutMsgs",
    v6.outMessages,
  ]);
  lines.push(["Icmp6OutErrors", v6.outErrors], ["Icmp6InCsumErrors", v6.inChecksumErrors]);
  lines.push(["Icmp6OutRateLimitHost", v6.outRateLimited]);
  for (const [name, type] of ICMP6_TYPES) lines.push([`Icmp6In${name}`, v6.inTypes[type]]);
  for (const [name, type] of ICMP6_TYPES) lines.push([`Icmp6Out${name}`, v6.outTypes[type]]);
  for (const [name, value] of messageCounters(v6, "Type")) lines.push([`Icmp6${name}`, value]);
  for (const [name, value] of udpCounters(stack.udp.statistics.v6)) lines.push([`Udp6${name}`, value]);
  return lines.map(([name, value]) => `${name.padEnd(32)}\t${value}\n`).join("");
}

/** The text of /proc/net/dev. */
export function formatDev(stack: Stack): string {
  let text = "Inter-|   Receive                                                |  Transmit\n" +
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
  for (const nic of stack.nics) {
    if (nic === undefined) continue;
    const s = nic.statistics;
    const received = [
      s.receiveBytes,
      s.receivePackets,
      s.receiveErrors,
      s.receiveDropped,
      0,
      0,
      0,
      s.receiveMulticast,
    ];
    const sent = [s.sendBytes, s.sendPackets, s.sendErrors, s.sendDropped, 0, 0, 0, 0];
    const widths = [8, 7, 4, 4, 4, 5, 10, 9], sentWidths = [8, 7, 4, 4, 4, 5, 7, 10];
    const cells = (values: number[], columns: number[]) =>
      values.map((value, i) => String(value).padStart(columns[i])).join(" ");
    text += `${nic.name.padStart(6)}: ${cells(received, widths)} ${cells(sent, sentWidths)}\n`;
  }
  return text;
}

/** Every counter that is not zero, a line each, for an operator. `more` = groups of other rooms. */
export function statisticsText(stack: Stack, more: readonly StatisticsGroup[] = []): string {
  const lines: string[] = [];
  const groups = [...snmpGroups(stack), ipExtGroup(stack), ...more];
  for (const [name, counters] of groups) {
    for (const [counter, value] of counters) if (value !== 0) lines.push(`${name}.${counter} ${value}`);
  }
  for (const line of formatSnmp6(stack).split("\n")) {
    const [name, value] = line.split(/\s+/);
    if (value !== undefined && value !== "0") lines.push(`${name} ${value}`);
  }
  for (const nic of stack.nics) {
    if (nic === undefined) continue;
    for (const [name, value] of Object.entries(nic.statistics)) {
      if (value !== 0) lines.push(`nic.${nic.name}.${name} ${value}`);
    }
    lines.push(`nic.${nic.name}.neighbours ${nic.neighbours.size}`);
  }
  lines.push(`pool.used ${stack.pool.used}`, `pool.failures ${stack.pool.failures}`);
  return lines.join("\n") + "\n";
}
