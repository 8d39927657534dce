// The tables of sockets, routes and addresses as text: /proc/net/tcp, udp, raw, sockstat, route, if_inet6 and their like,
// proc_pid_net(5). Linux: get_tcp4_sock(), udp4_format_sock(), raw_sock_seq_show(), fib_route_seq_show().

import type { Address } from "./address.ts";
import type { DatagramEndpoint } from "./datagram_endpoint.ts";
import type { Nic } from "./nic.ts";
import type { Stack } from "./stack.ts";
import { Connection } from "./tcp/connection.ts";
import { TcpState } from "./tcp/state.ts";
import { TimeWait } from "./tcp/time_wait.ts";
import { NeighbourState, RouteType, TABLE_MAIN } from "./numbers.ts";

const SOCKET_HEAD =
  "sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const SOCKET6_HEAD = "  sl  local_address                         remote_address                        " +
  "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const POINTER = "0000000000000000";
/** Timers of get_tcp4_sock(): none, retransmission, TIME_WAIT. */
const TIMER_NONE = 0;
const TIMER_RETRANSMIT = 1;
const TIMER_TIME_WAIT = 3;
/** USER_HZ. */
const NANOS_PER_TICK = 1e7;
/** State of a datagram endpoint without a peer (TCP_CLOSE). */
const UNCONNECTED = 7;
const CONNECTED = 1;
/** Scopes of if_inet6. */
const SCOPE_HOST = 0x10;
const SCOPE_LINK = 0x20;
const FLAG_PERMANENT = 0x80;
const FLAG_TENTATIVE = 0x40;
const FLAG_DEPRECATED = 0x20;
/** RTF_UP, RTF_GATEWAY, RTF_HOST, RTF_REJECT. */
const ROUTE_UP = 1;
const ROUTE_GATEWAY = 2;
const ROUTE_HOST = 4;
const ROUTE_REJECT = 0x200;
/** ATF_COM, ATF_PERM. */
const NEIGHBOUR_COMPLETE = 2;
const NEIGHBOUR_PERMANENT = 4;

/** One endpoint, connection or rest of one, as tables and sock_diag(7) show it. */
export interface SocketRow {
  /** Of an AF_INET socket. */
  readonly isV4: boolean;
  readonly state: number;
  readonly local: Address;
  readonly localPort: number;
  /** null = none. */
  readonly remote: Address | null;
  readonly remotePort: number;
  readonly unsentBytes: number;
  /** Of a listener: connections that wait. */
  readonly unreadBytes: number;
  /** Of a listener, where its own queue is shown: the most that may wait. */
  readonly backlog: number;
  /** None, retransmission, TIME_WAIT; and when it comes up. */
  readonly timer: number;
  readonly timerNanos: number;
  readonly retransmits: number;
  readonly nicId: number;
  readonly uid: number;
  readonly inode: number;
  /** IPv4 does not reach it: IPV6_V6ONLY, or an IPv6 address it is bound to. */
  readonly isV6Only: boolean;
  readonly connection: Connection | null;
}

/** Listeners first. */
export function* tcpRows(stack: Stack): Iterable<SocketRow> {
  for (const endpoint of stack.tcp.listeners) {
    yield {
      ...NO_ROW,
      isV4: endpoint.isV4,
      state: TcpState.Listen,
      local: endpoint.local,
      localPort: endpoint.localPort,
      unreadBytes: endpoint.listener?.acceptCount ?? 0,
      backlog: endpoint.listener?.backlog ?? 0,
      nicId: endpoint.nicId,
      uid: Math.max(0, endpoint.uid),
      inode: endpoint.inode,
      isV6Only: endpoint.isV6Only || isOfIpv6(endpoint.local),
    };
  }
  for (const entry of stack.tcp.entries()) {
    const { local, localPort, remote, remotePort } = entry;
    const place = { local, localPort, remote, remotePort };
    if (entry instanceof Connection) {
      const { endpoint, retransmitTimer } = entry;
      yield {
        ...NO_ROW,
        ...place,
        // A connection by IPv4 of an AF_INET6 endpoint is that family's.
        isV4: endpoint?.isV4 ?? local.isV4,
        state: entry.state,
        unsentBytes: entry.sendBuffer.used,
        unreadBytes: entry.receiveBuffer.readable,
        timer: retransmitTimer.isSet ? TIMER_RETRANSMIT : TIMER_NONE,
        timerNanos: retransmitTimer.isSet ? Math.max(0, retransmitTimer.at - stack.now) : 0,
        retransmits: entry.backoff,
        nicId: entry.nicId,
        uid: Math.max(0, endpoint?.uid ?? 0),
        inode: endpoint?.inode ?? 0,
        connection: entry,
      };
    } else if (entry instanceof TimeWait) {
      const timerNanos = Math.max(0, entry.expires - stack.now);
      yield {
        ...NO_ROW,
        ...place,
        isV4: local.isV4,
        state: TcpState.TimeWait,
        timer: TIMER_TIME_WAIT,
        timerNanos,
      };
    } else {
      yield {
        ...NO_ROW,
        ...place,
        isV4: local.isV4,
        state: TcpState.SynReceived,
        timer: TIMER_RETRANSMIT,
        retransmits: entry.sends,
      };
    }
  }
}

const NO_ROW = {
  remote: null,
  remotePort: 0,
  unsentBytes: 0,
  unreadBytes: 0,
  backlog: 0,
  timer: TIMER_NONE,
  timerNanos: 0,
  retransmits: 0,
  nicId: 0,
  uid: 0,
  inode: 0,
  isV6Only: false,
  connection: null,
} as const;

function* datagramRows<Kind extends DatagramEndpoint>(
  endpoints: Iterable<Kind>,
  portOf: (endpoint: Kind) => number,
): Iterable<SocketRow> {
  for (const endpoint of endpoints) {
    const { isConnected } = endpoint;
    yield {
      ...NO_ROW,
      isV4: endpoint.isV4,
      state: isConnected ? CONNECTED : UNCONNECTED,
      local: endpoint.local,
      localPort: portOf(endpoint),
      remote: isConnected ? endpoint.remote : null,
      remotePort: endpoint.remotePort,
      unreadBytes: endpoint.queuedBytes,
      nicId: endpoint.nicId,
      uid: Math.max(0, endpoint.uid),
      inode: endpoint.inode,
      isV6Only: endpoint.isV6Only || isOfIpv6(endpoint.local),
    };
  }
}

function isOfIpv6(address: Address): boolean {
  return !address.isV4 && !address.isUnspecified;
}

export function formatTcp(stack: Stack, isV4: boolean): string {
  let text = isV4 ? `  ${SOCKET_HEAD.padEnd(147)}\n` : `${SOCKET6_HEAD}\n`;
  let slot = 0;
  for (const row of tcpRows(stack)) {
    if (row.isV4 !== isV4) continue;
    const timer = `0${row.timer}:${hex(ticks(row.timerNanos), 8)} ${hex(row.retransmits, 8)}`;
    const references = row.state === TcpState.TimeWait ? 3 : 1;
    const { connection } = row;
    const window = connection === null
      ? 10
      : Math.floor(connection.window / Math.max(1, connection.segmentBytes));
    const more = row.inode === 0
      ? ""
      : row.state === TcpState.Listen
      ? " 100 0 0 10 0"
      : ` 20 4 30 ${window} -1`;
    const rest = `${timer} ${
      String(row.uid).padStart(5)
    }        0 ${row.inode} ${references} ${POINTER}${more}`;
    const line = cells(slot++, row) + rest;
    text += `${isV4 ? line.padEnd(149) : line}\n`;
  }
  return text;
}

export function udpRows(stack: Stack): Iterable<SocketRow> {
  return datagramRows(stack.udp.endpoints, (endpoint) => endpoint.localPort);
}
/** Their port is their protocol. */
export function rawRows(stack: Stack): Iterable<SocketRow> {
  return datagramRows(stack.raw.endpoints, (endpoint) => endpoint.protocol);
}

export function formatUdp(stack: Stack, isV4: boolean): string {
  const head = isV4
    ? `   ${SOCKET_HEAD} ref pointer drops             \n`
    : `${SOCKET6_HEAD} ref pointer drops\n`;
  return head + datagramLines(udpRows(stack), isV4, dropsOf(stack.udp.endpoints));
}
export function formatRaw(stack: Stack, isV4: boolean): string {
  const head = `${isV4 ? `  ${SOCKET_HEAD}` : SOCKET6_HEAD} ref pointer drops\n`;
  return head + datagramLines(rawRows(stack), isV4, dropsOf(stack.raw.endpoints));
}

function dropsOf(endpoints: Iterable<DatagramEndpoint>): (inode: number) => number {
  const drops = new Map<number, number>();
  for (const endpoint of endpoints) drops.set(endpoint.inode, endpoint.drops);
  return (inode) => drops.get(inode) ?? 0;
}

function datagramLines(rows: Iterable<SocketRow>, isV4: boolean, drops: (inode: number) => number): string {
  let text = "", slot = 0;
  for (const row of rows) {
    if (row.isV4 !== isV4) continue;
    const rest = `00:00000000 00000000 ${String(row.uid).padStart(5)}        0 ${row.inode} 2 ${POINTER} ` +
      drops(row.inode);
    const line = cells(slot++, row) + rest;
    text += ` ${isV4 ? line.padEnd(126) : line}\n`;
  }
  return text;
}

/** The columns that all tables have. */
function cells(slot: number, row: SocketRow): string {
  const { isV4, local, localPort, remote, remotePort } = row;
  const none = isV4 ? "00000000" : "0".repeat(32);
  const place = (address: Address | null, port: number) =>
    `${address === null ? none : hexAddress(address, isV4)}:${hex(port, 4)}`;
  return `${String(slot).padStart(4)}: ${place(local, localPort)} ${place(remote, remotePort)} ` +
    `${hex(row.state, 2)} ${hex(row.unsentBytes, 8)}:${hex(row.unreadBytes, 8)} `;
}

function ticks(nanos: number): number {
  return Math.max(0, Math.round(nanos / NANOS_PER_TICK));
}
function hex(value: number, digits: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(digits, "0");
}
/** Words as a little-endian machine reads them from memory. */
function hexAddress(address: Address, isV4: boolean): string {
  if (isV4) return hex(swap(address.d), 8);
  if (address.isUnspecified) return "0".repeat(32);
  return [address.a, address.b, address.c, address.d].map((word) => hex(swap(word), 8)).join("");
}
function swap(word: number): number {
  return word << 24 | word << 8 & 0xff0000 | word >>> 8 & 0xff00 | word >>> 24;
}
/** Thirty-two digits in network order. */
function plainAddress(address: Address): string {
  return [address.a, address.b, address.c, address.d].map((word) => hex(word, 8)).join("").toLowerCase();
}

/** /proc/net/sockstat and sockstat6; `sockets` = all that there are of any family. */
export function formatSockstat(stack: Stack, isV4: boolean, sockets: number): string {
  const suffix = isV4 ? "" : "6";
  let inUse = 0, all = 0, orphans = 0;
  for (const row of tcpRows(stack)) {
    if (row.state === TcpState.TimeWait || row.state === TcpState.SynReceived) continue;
    all++;
    if (row.connection !== null && row.connection.endpoint === null) orphans++;
    else if (row.isV4 === isV4) inUse++;
  }
  const count = (rows: Iterable<SocketRow>) => {
    let n = 0;
    for (const row of rows) if (row.isV4 === isV4) n++;
    return n;
  };
  const udp = count(udpRows(stack)), raw = count(rawRows(stack));
  const head = isV4
    ? `sockets: used ${sockets}\nTCP: inuse ${inUse} orphan ${orphans} tw ${stack.tcp.timeWaitCount} ` +
      `alloc ${all} mem 0\nUDP: inuse ${udp} mem 0\n`
    : `TCP6: inuse ${inUse}\nUDP6: inuse ${udp}\n`;
  return `${head}UDPLITE${suffix}: inuse 0\nRAW${suffix}: inuse ${raw}\nFRAG${suffix}: inuse 0 memory 0\n`;
}

/** /proc/net/route: IPv4's main table. */
export function formatRoutes(stack: Stack): string {
  const line = (text: string) => `${text.padEnd(127)}\n`;
  let text = line("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
  for (const entry of stack.routes.entries) {
    const { prefix, prefixBits, gateway, nic, metric, mtu } = entry;
    const isShown = prefix.isV4 && nic.isUp && !prefix.isLoopback &&
      (entry.table ?? TABLE_MAIN) === TABLE_MAIN;
    if (!isShown) continue;
    const mask = prefixBits <= 96 ? 0 : -1 << 128 - prefixBits;
    const isRefused = (entry.type ?? RouteType.Unicast) !== RouteType.Unicast;
    const flags = ROUTE_UP | (gateway === null ? 0 : ROUTE_GATEWAY) | (prefixBits === 128 ? ROUTE_HOST : 0) |
      (isRefused ? ROUTE_REJECT : 0);
    const via = gateway === null ? "00000000" : hexAddress(gateway, true);
    text += line(
      `${isRefused ? "*" : nic.name}\t${hexAddress(prefix, true)}\t${via}\t${
        hex(flags, 4)
      }\t0\t0\t${metric}\t` +
        `${hex(swap(mask), 8)}\t${mtu}\t0\t0`,
    );
  }
  return text;
}

/** /proc/net/ipv6_route. */
export function formatIpv6Routes(stack: Stack): string {
  let text = "";
  for (const { prefix, prefixBits, gateway, nic, metric } of stack.routes.entries) {
    if (prefix.isV4 || !nic.isUp) continue;
    const none = "0".repeat(32);
    const via = gateway === null ? none : plainAddress(gateway);
    const flags = ROUTE_UP | (gateway === null ? 0 : ROUTE_GATEWAY);
    const digits = (value: number, count: number) => hex(value, count).toLowerCase();
    text +=
      `${plainAddress(prefix)} ${digits(prefixBits, 2)} ${none} 00 ${via} ${digits(metric, 8)} 00000001 ` +
      `00000000 ${digits(flags, 8)} ${nic.name.padStart(8)}\n`;
  }
  return text;
}

/** /proc/net/if_inet6. */
export function formatIpv6Addresses(stack: Stack): string {
  let text = "";
  for (const nic of stack.nics) {
    if (nic === undefined) continue;
    for (const entry of nic.addresses) {
      const { address } = entry;
      if (address.isV4) continue;
      const scope = address.isLoopback ? SCOPE_HOST : address.isLinkLocal ? SCOPE_LINK : 0;
      const flags = FLAG_PERMANENT | (entry.isTentative ? FLAG_TENTATIVE : 0) |
        (entry.isDeprecated ? FLAG_DEPRECATED : 0);
      const digits = [nic.id, entry.prefixBits, scope, flags].map((value) => hex(value, 2).toLowerCase());
      text += `${plainAddress(address)} ${digits.join(" ")} ${nic.name.padStart(8)}\n`;
    }
  }
  return text;
}

/** /proc/net/arp. */
export function formatArp(stack: Stack): string {
  let text = "IP address       HW type     Flags       HW address            Mask     Device\n";
  for (const nic of stack.nics) if (nic !== undefined) text += arpLines(nic);
  return text;
}
function arpLines(nic: Nic): string {
  let text = "";
  for (const entry of nic.neighbours.entries) {
    if (!entry.address.isV4) continue;
    const isKnown = entry.state !== NeighbourState.None && entry.state !== NeighbourState.Incomplete &&
      entry.state !== NeighbourState.Failed;
    const flags = (isKnown ? NEIGHBOUR_COMPLETE : 0) |
      (entry.state === NeighbourState.Permanent ? NEIGHBOUR_PERMANENT : 0);
    const digits = hex(entry.hardwareHigh, 4) + hex(entry.hardwareLow, 8);
    const hardware = isKnown ? digits.toLowerCase().match(/../g)!.join(":") : "00:00:00:00:00:00";
    text += `${String(entry.address).padEnd(16)} 0x${nic.link.hardwareType.toString(16).padEnd(10)}0x${
      flags.toString(16).padEnd(10)
    }${hardware}     *        ${nic.name}\n`;
  }
  return text;
}
