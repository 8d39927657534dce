// The tables of sockets, routes and addresses as text: /proc/net/tcp, udp, raw, sockstat, route, if_inet6 and their like,
// proc_pid_net(5). Linux: get_tcp4_sock(), udp4_format_sock(), raw_sock_seq_show(), fib_route_seq_show().

import type { Address } from "./address.ts";
import type { DatagramEndpoint } from "./datagram_endpoint.ts";
import { NeighbourState } from "./neighbour.ts";
import type { Nic } from "./nic.ts";
import { RouteType, TABLE_MAIN } from "./route.ts";
import type { Stack } from "./stack.ts";
import { Connection } from "./tcp/connection.ts";
import { TcpState } from "./tcp/state.ts";
import { TimeWait } from "./tcp/time_wait.ts";

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

export function formatTcp(stack: Stack, isV4: boolean): string {
  let text = isV4 ? `  ${SOCKET_HEAD.padEnd(147)}\n` : `${SOCKET6_HEAD}\n`;
  let slot = 0;
  for (const endpoint of stack.tcp.listeners) {
    if (endpoint.isV4 !== isV4) continue;
    const accepted = endpoint.listener?.acceptCount ?? 0;
    const line =
      cells(slot++, endpoint.local, endpoint.localPort, null, 0, isV4, TcpState.Listen, 0, accepted) +
      `00:00000000 00000000 ${owner(endpoint.uid)}        0 ${endpoint.inode} 1 ${POINTER} 100 0 0 10 0`;
    text += pad(line, isV4);
  }
  for (const entry of stack.tcp.entries()) {
    // A connection by IPv4 of an AF_INET6 endpoint stands in the other table.
    const endpoint = entry instanceof Connection ? entry.endpoint : null;
    if ((endpoint === null ? entry.local.isV4 : endpoint.isV4) !== isV4) continue;
    let state = TcpState.SynReceived, unsent = 0, unread = 0, rest: string;
    if (entry instanceof Connection) {
      state = entry.state;
      unsent = entry.sendBuffer.used;
      unread = entry.receiveBuffer.readable;
      rest = connectionCells(entry);
    } else if (entry instanceof TimeWait) {
      state = TcpState.TimeWait;
      const left = hex(ticks(entry.expires - stack.now), 8);
      rest = `0${TIMER_TIME_WAIT}:${left} 00000000 ${owner(0)}        0 0 3 ${POINTER}`;
    } else {
      rest = `0${TIMER_RETRANSMIT}:00000000 ${hex(entry.sends, 8)} ${owner(0)}        0 0 1 ${POINTER}`;
    }
    const { local, localPort, remote, remotePort } = entry;
    text += pad(
      cells(slot++, local, localPort, remote, remotePort, isV4, state, unsent, unread) + rest,
      isV4,
    );
  }
  return text;
}

function connectionCells(connection: Connection): string {
  const { endpoint, retransmitTimer, tcp } = connection;
  const isSet = retransmitTimer.isSet;
  const when = isSet ? ticks(retransmitTimer.at - tcp.stack.now) : 0;
  const timer = `0${isSet ? TIMER_RETRANSMIT : TIMER_NONE}:${hex(when, 8)} ${hex(connection.backoff, 8)}`;
  const window = Math.floor(connection.window / Math.max(1, connection.segmentBytes));
  return `${timer} ${owner(endpoint?.uid ?? 0)}        0 ${endpoint?.inode ?? 0} 1 ${POINTER} ` +
    `20 4 30 ${window} -1`;
}

function pad(line: string, isV4: boolean): string {
  return `${isV4 ? line.padEnd(149) : line}\n`;
}

export function formatUdp(stack: Stack, isV4: boolean): string {
  const head = isV4
    ? `   ${SOCKET_HEAD} ref pointer drops             \n`
    : `${SOCKET6_HEAD} ref pointer drops\n`;
  return head + datagramLines(stack.udp.endpoints, isV4, (endpoint) => endpoint.localPort);
}
/** Port of a raw endpoint: its protocol. */
export function formatRaw(stack: Stack, isV4: boolean): string {
  const head = `${isV4 ? `  ${SOCKET_HEAD}` : SOCKET6_HEAD} ref pointer drops\n`;
  return head + datagramLines(stack.raw.endpoints, isV4, (endpoint) => endpoint.protocol);
}

function datagramLines<Kind extends DatagramEndpoint>(
  endpoints: Iterable<Kind>,
  isV4: boolean,
  portOf: (endpoint: Kind) => number,
): string {
  let text = "", slot = 0;
  for (const endpoint of endpoints) {
    if (endpoint.isV4 !== isV4) continue;
    const state = endpoint.isConnected ? CONNECTED : UNCONNECTED;
    const remote = endpoint.isConnected ? endpoint.remote : null;
    const line = cells(
      slot++,
      endpoint.local,
      portOf(endpoint),
      remote,
      endpoint.remotePort,
      isV4,
      state,
      0,
      endpoint.queuedBytes,
    );
    const rest = `00:00000000 00000000 ${
      owner(endpoint.uid)
    }        0 ${endpoint.inode} 2 ${POINTER} ${endpoint.drops}`;
    text += ` ${isV4 ? (line + rest).padEnd(126) : line + rest}\n`;
  }
  return text;
}

/** The columns that all tables have. `remote` null = none. */
function cells(
  slot: number,
  local: Address,
  localPort: number,
  remote: Address | null,
  remotePort: number,
  isV4: boolean,
  state: number,
  unsent: number,
  unread: number,
): string {
  const none = isV4 ? "00000000" : "0".repeat(32);
  const place = (address: Address | null, port: number) =>
    `${address === null ? none : hexAddress(address, isV4)}:${hex(port, 4)}`;
  return `${String(slot).padStart(4)}: ${place(local, localPort)} ${place(remote, remotePort)} ` +
    `${hex(state, 2)} ${hex(unsent, 8)}:${hex(unread, 8)} `;
}

function owner(uid: number): string {
  return String(Math.max(0, uid)).padStart(5);
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
  let inUse = 0, orphans = 0;
  for (const entry of stack.tcp.entries()) {
    if (!(entry instanceof Connection)) continue;
    if (entry.endpoint === null) orphans++;
    else if (entry.endpoint.isV4 === isV4) inUse++;
  }
  for (const endpoint of stack.tcp.listeners) if (endpoint.isV4 === isV4) inUse++;
  const udp = [...stack.udp.endpoints].filter((endpoint) => endpoint.isV4 === isV4).length;
  const raw = stack.raw.endpoints.filter((endpoint) => endpoint.isV4 === isV4).length;
  const head = isV4
    ? `sockets: used ${sockets}\nTCP: inuse ${inUse} orphan ${orphans} tw ${stack.tcp.timeWaitCount} ` +
      `alloc ${inUse} mem 0\nUDP: inuse ${udp} mem 0\n`
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
