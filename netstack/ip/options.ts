// Socket options of the IP levels, ip(7) and ipv6(7). What sending and receiving does with them stands in
// datagram_endpoint.ts and tcp/; multicast ones in ip/socket_groups.ts.

import { ENDPOINT_PING, ENDPOINT_RAW, ENDPOINT_TCP, ENDPOINT_UDP } from "../endpoint_kind.ts";
import { OptionKind, type OptionSpec } from "../option_spec.ts";

export const SOL_IP = 0;
export const SOL_IPV6 = 41;

export const IP_TOS = 1;
export const IP_TTL = 2;
export const IP_HDRINCL = 3;
export const IP_OPTIONS_OPTION = 4;
export const IP_ROUTER_ALERT = 5;
export const IP_RECVOPTS = 6;
export const IP_RETOPTS = 7;
export const IP_PKTINFO = 8;
export const IP_PKTOPTIONS = 9;
export const IP_MTU_DISCOVER = 10;
export const IP_RECVERR = 11;
export const IP_RECVTTL = 12;
export const IP_RECVTOS = 13;
export const IP_MTU = 14;
export const IP_FREEBIND = 15;
export const IP_TRANSPARENT = 19;
export const IP_RECVORIGDSTADDR = 20;
export const IP_MINTTL = 21;
export const IP_NODEFRAG = 22;
export const IP_CHECKSUM = 23;
export const IP_BIND_ADDRESS_NO_PORT = 24;
export const IP_RECVFRAGSIZE = 25;
export const IP_RECVERR_RFC4884 = 26;
export const IP_MULTICAST_IF = 32;
export const IP_MULTICAST_TTL = 33;
export const IP_MULTICAST_LOOP = 34;
export const IP_ADD_MEMBERSHIP = 35;
export const IP_DROP_MEMBERSHIP = 36;
export const IP_UNBLOCK_SOURCE = 37;
export const IP_BLOCK_SOURCE = 38;
export const IP_ADD_SOURCE_MEMBERSHIP = 39;
export const IP_DROP_SOURCE_MEMBERSHIP = 40;
export const IP_MSFILTER = 41;
/** MCAST_* have the same numbers in both families. */
export const MCAST_JOIN_GROUP = 42;
export const MCAST_BLOCK_SOURCE = 43;
export const MCAST_UNBLOCK_SOURCE = 44;
export const MCAST_LEAVE_GROUP = 45;
export const MCAST_JOIN_SOURCE_GROUP = 46;
export const MCAST_LEAVE_SOURCE_GROUP = 47;
export const MCAST_MSFILTER = 48;
export const IP_MULTICAST_ALL = 49;
export const IP_UNICAST_IF = 50;
export const IP_LOCAL_PORT_RANGE = 51;

/** Values of IP_MTU_DISCOVER and IPV6_MTU_DISCOVER. */
export const IP_PMTUDISC_DONT = 0;
export const IP_PMTUDISC_WANT = 1;
export const IP_PMTUDISC_DO = 2;
export const IP_PMTUDISC_PROBE = 3;
export const IP_PMTUDISC_INTERFACE = 4;
export const IP_PMTUDISC_OMIT = 5;

export const IPV6_CHECKSUM = 7;
export const IPV6_UNICAST_HOPS = 16;
export const IPV6_MULTICAST_IF = 17;
export const IPV6_MULTICAST_HOPS = 18;
export const IPV6_MULTICAST_LOOP = 19;
export const IPV6_ADD_MEMBERSHIP = 20;
export const IPV6_DROP_MEMBERSHIP = 21;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_MTU = 24;
export const IPV6_RECVERR = 25;
export const IPV6_V6ONLY = 26;
export const IPV6_MULTICAST_ALL = 29;
export const IPV6_FLOWINFO_SEND = 33;
export const IPV6_HDRINCL = 36;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
export const IPV6_RECVHOPLIMIT = 51;
export const IPV6_PATHMTU = 61;
export const IPV6_DONTFRAG = 62;
export const IPV6_RECVTCLASS = 66;
export const IPV6_TCLASS = 67;
export const IPV6_ADDR_PREFERENCES = 72;
export const IPV6_MINHOPCOUNT = 73;
export const IPV6_RECVORIGDSTADDR = 74;
export const IPV6_TRANSPARENT = 75;
export const IPV6_UNICAST_IF = 76;
export const IPV6_FREEBIND = 78;

const DATAGRAM = ENDPOINT_UDP | ENDPOINT_PING | ENDPOINT_RAW;
const ALL = DATAGRAM | ENDPOINT_TCP;
const INT_MAX = 0x7fff_ffff;
const { Int, Flag, Byte, Other } = {
  Int: OptionKind.Int,
  Flag: OptionKind.Flag,
  Byte: OptionKind.Byte,
  Other: OptionKind.Other,
};

type Range = readonly [min: number, max: number];
const FLAG: Range = [0, 1];
const NONE: Range = [0, 0];

function rowOf(level: number) {
  return (
    name: number,
    label: string,
    kind: OptionKind,
    endpoints: number,
    range: Range,
    preset: number,
    support = "full",
    access: OptionSpec["access"] = "rw",
  ): OptionSpec => {
    const [min, max] = range;
    return { level, name, label, kind, endpoints, min, max, default: preset, access, support };
  };
}

const ip = rowOf(SOL_IP);
const ipv6 = rowOf(SOL_IPV6);

/** What is known and refused. The reason is for the table in docs; "none" is what answers ENOPROTOOPT. */
function none(row: ReturnType<typeof rowOf>, name: number, label: string): OptionSpec {
  return row(name, label, Other, ALL, NONE, 0, "none");
}

export const IP_OPTIONS: readonly OptionSpec[] = [
  ip(IP_TOS, "IP_TOS", Byte, ALL, [0, 255], 0),
  // -1 asks for the default again.
  { ...ip(IP_TTL, "IP_TTL", Byte, ALL, [-1, 255], -1), gap: 0 },
  ip(IP_HDRINCL, "IP_HDRINCL", Flag, ENDPOINT_RAW, FLAG, 0),
  // Options in packets that we send: routers drop such packets (RFC 7126), programs set none.
  none(ip, IP_OPTIONS_OPTION, "IP_OPTIONS"),
  none(ip, IP_ROUTER_ALERT, "IP_ROUTER_ALERT"),
  // ping(8) asks for them; packets with options that matter to a program do not come.
  ip(IP_RECVOPTS, "IP_RECVOPTS", Flag, DATAGRAM, FLAG, 0, "stored; options of packets are not told"),
  ip(IP_RETOPTS, "IP_RETOPTS", Flag, DATAGRAM, FLAG, 0, "stored; options of packets are not told"),
  ip(IP_PKTINFO, "IP_PKTINFO", Flag, DATAGRAM, FLAG, 0),
  none(ip, IP_PKTOPTIONS, "IP_PKTOPTIONS"),
  ip(IP_MTU_DISCOVER, "IP_MTU_DISCOVER", Int, ALL, [0, IP_PMTUDISC_OMIT], IP_PMTUDISC_WANT),
  ip(IP_RECVERR, "IP_RECVERR", Flag, ALL, FLAG, 0),
  ip(IP_RECVTTL, "IP_RECVTTL", Flag, DATAGRAM, FLAG, 0),
  ip(IP_RECVTOS, "IP_RECVTOS", Flag, DATAGRAM, FLAG, 0),
  ip(IP_MTU, "IP_MTU", Int, ALL, NONE, 0, "full", "ro"),
  ip(IP_FREEBIND, "IP_FREEBIND", Flag, ALL, FLAG, 0),
  ip(
    IP_TRANSPARENT,
    "IP_TRANSPARENT",
    Flag,
    ALL,
    FLAG,
    0,
    "binds foreign addresses; packets for them come by the forwarder hook",
  ),
  ip(IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", Flag, DATAGRAM, FLAG, 0),
  ip(IP_MINTTL, "IP_MINTTL", Int, ALL, [0, 255], 0),
  ip(
    IP_NODEFRAG,
    "IP_NODEFRAG",
    Flag,
    ENDPOINT_RAW,
    FLAG,
    0,
    "stored; fragments are always joined before raw endpoints see them",
  ),
  none(ip, IP_CHECKSUM, "IP_CHECKSUM"),
  ip(IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", Flag, ALL, FLAG, 0),
  none(ip, IP_RECVFRAGSIZE, "IP_RECVFRAGSIZE"),
  none(ip, IP_RECVERR_RFC4884, "IP_RECVERR_RFC4884"),
  ip(IP_MULTICAST_IF, "IP_MULTICAST_IF", Other, DATAGRAM, NONE, 0),
  ip(IP_MULTICAST_TTL, "IP_MULTICAST_TTL", Byte, DATAGRAM, [-1, 255], 1),
  ip(IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", Byte, DATAGRAM, [0, 255], 1),
  ip(IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(IP_UNBLOCK_SOURCE, "IP_UNBLOCK_SOURCE", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(IP_BLOCK_SOURCE, "IP_BLOCK_SOURCE", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(IP_ADD_SOURCE_MEMBERSHIP, "IP_ADD_SOURCE_MEMBERSHIP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(IP_DROP_SOURCE_MEMBERSHIP, "IP_DROP_SOURCE_MEMBERSHIP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(IP_MSFILTER, "IP_MSFILTER", Other, DATAGRAM, NONE, 0),
  ip(MCAST_JOIN_GROUP, "MCAST_JOIN_GROUP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(MCAST_BLOCK_SOURCE, "MCAST_BLOCK_SOURCE", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(MCAST_UNBLOCK_SOURCE, "MCAST_UNBLOCK_SOURCE", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(MCAST_LEAVE_GROUP, "MCAST_LEAVE_GROUP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(MCAST_JOIN_SOURCE_GROUP, "MCAST_JOIN_SOURCE_GROUP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(MCAST_LEAVE_SOURCE_GROUP, "MCAST_LEAVE_SOURCE_GROUP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ip(MCAST_MSFILTER, "MCAST_MSFILTER", Other, DATAGRAM, NONE, 0),
  ip(IP_MULTICAST_ALL, "IP_MULTICAST_ALL", Flag, DATAGRAM, FLAG, 1),
  ip(IP_UNICAST_IF, "IP_UNICAST_IF", Int, DATAGRAM, [-INT_MAX - 1, INT_MAX], 0),
  ip(IP_LOCAL_PORT_RANGE, "IP_LOCAL_PORT_RANGE", Int, ALL, [-INT_MAX - 1, INT_MAX], 0),

  ipv6(IPV6_CHECKSUM, "IPV6_CHECKSUM", Int, ENDPOINT_RAW, [-1, 65_535], -1),
  ipv6(IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", Int, ALL, [-1, 255], -1),
  ipv6(IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF", Int, DATAGRAM, [0, INT_MAX], 0),
  ipv6(IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", Int, DATAGRAM, [-1, 255], -1),
  ipv6(IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", Int, DATAGRAM, FLAG, 1),
  ipv6(IPV6_ADD_MEMBERSHIP, "IPV6_ADD_MEMBERSHIP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ipv6(IPV6_DROP_MEMBERSHIP, "IPV6_DROP_MEMBERSHIP", Other, DATAGRAM, NONE, 0, "full", "wo"),
  none(ipv6, 22, "IPV6_ROUTER_ALERT"),
  ipv6(IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", Int, ALL, [0, IP_PMTUDISC_OMIT], IP_PMTUDISC_WANT),
  ipv6(IPV6_MTU, "IPV6_MTU", Int, ALL, NONE, 0, "full", "ro"),
  ipv6(IPV6_RECVERR, "IPV6_RECVERR", Flag, ALL, FLAG, 0),
  ipv6(IPV6_V6ONLY, "IPV6_V6ONLY", Flag, ALL, FLAG, 0),
  none(ipv6, 27, "IPV6_JOIN_ANYCAST"),
  none(ipv6, 28, "IPV6_LEAVE_ANYCAST"),
  ipv6(IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL", Flag, DATAGRAM, FLAG, 1),
  none(ipv6, 31, "IPV6_RECVERR_RFC4884"),
  none(ipv6, 32, "IPV6_FLOWLABEL_MGR"),
  none(ipv6, IPV6_FLOWINFO_SEND, "IPV6_FLOWINFO_SEND"),
  ipv6(IPV6_HDRINCL, "IPV6_HDRINCL", Flag, ENDPOINT_RAW, FLAG, 0),
  ipv6(MCAST_JOIN_GROUP, "MCAST_JOIN_GROUP (IPv6)", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ipv6(MCAST_BLOCK_SOURCE, "MCAST_BLOCK_SOURCE (IPv6)", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ipv6(MCAST_UNBLOCK_SOURCE, "MCAST_UNBLOCK_SOURCE (IPv6)", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ipv6(MCAST_LEAVE_GROUP, "MCAST_LEAVE_GROUP (IPv6)", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ipv6(MCAST_JOIN_SOURCE_GROUP, "MCAST_JOIN_SOURCE_GROUP (IPv6)", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ipv6(MCAST_LEAVE_SOURCE_GROUP, "MCAST_LEAVE_SOURCE_GROUP (IPv6)", Other, DATAGRAM, NONE, 0, "full", "wo"),
  ipv6(MCAST_MSFILTER, "MCAST_MSFILTER (IPv6)", Other, DATAGRAM, NONE, 0),
  ipv6(IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", Flag, DATAGRAM, FLAG, 0),
  none(ipv6, IPV6_PKTINFO, "IPV6_PKTINFO"),
  ipv6(IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", Flag, DATAGRAM, FLAG, 0),
  none(ipv6, 53, "IPV6_RECVHOPOPTS"),
  none(ipv6, 54, "IPV6_HOPOPTS"),
  none(ipv6, 55, "IPV6_RTHDRDSTOPTS"),
  none(ipv6, 56, "IPV6_RECVRTHDR"),
  none(ipv6, 57, "IPV6_RTHDR"),
  none(ipv6, 58, "IPV6_RECVDSTOPTS"),
  none(ipv6, 59, "IPV6_DSTOPTS"),
  none(ipv6, 60, "IPV6_RECVPATHMTU"),
  ipv6(IPV6_PATHMTU, "IPV6_PATHMTU", Other, ALL, NONE, 0, "full", "ro"),
  ipv6(IPV6_DONTFRAG, "IPV6_DONTFRAG", Flag, DATAGRAM, FLAG, 0),
  ipv6(IPV6_RECVTCLASS, "IPV6_RECVTCLASS", Flag, DATAGRAM, FLAG, 0),
  ipv6(IPV6_TCLASS, "IPV6_TCLASS", Int, ALL, [-1, 255], 0),
  none(ipv6, 70, "IPV6_AUTOFLOWLABEL"),
  ipv6(
    IPV6_ADDR_PREFERENCES,
    "IPV6_ADDR_PREFERENCES",
    Int,
    ALL,
    [0, 0xffff],
    0,
    "stored; temporary addresses are preferred by the interface's setting",
  ),
  ipv6(IPV6_MINHOPCOUNT, "IPV6_MINHOPCOUNT", Int, ALL, [0, 255], 0),
  ipv6(IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR", Flag, DATAGRAM, FLAG, 0),
  ipv6(
    IPV6_TRANSPARENT,
    "IPV6_TRANSPARENT",
    Flag,
    ALL,
    FLAG,
    0,
    "binds foreign addresses; packets for them come by the forwarder hook",
  ),
  ipv6(IPV6_UNICAST_IF, "IPV6_UNICAST_IF", Int, DATAGRAM, [-INT_MAX - 1, INT_MAX], 0),
  none(ipv6, 77, "IPV6_RECVFRAGSIZE"),
  ipv6(IPV6_FREEBIND, "IPV6_FREEBIND", Flag, ALL, FLAG, 0),
];
