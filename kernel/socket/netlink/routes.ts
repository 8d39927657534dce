// Routes, rules and neighbours over rtnetlink: ip-route(8), ip-rule(8), ip-neighbour(8). Linux: fib_dump_info(),
// rt6_fill_node(), inet_rtm_getroute(), fib_nl_fill_rule(), neigh_fill_info().

import type { Address, Nic, RouteEntry, Stack } from "../../../netstack/mod.ts";
import { RouteType, TABLE_DEFAULT, TABLE_MAIN } from "../../../netstack/numbers.ts";
import {
  EAFNOSUPPORT,
  EEXIST,
  EINVAL,
  ENETDOWN,
  ENETUNREACH,
  ENODEV,
  ENOENT,
  EOPNOTSUPP,
} from "../../abi/errno.ts";
import {
  FR_ACT_TO_TBL,
  FRA_PRIORITY,
  FRA_SUPPRESS_PREFIXLEN,
  FRA_TABLE,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_MULTI,
  NLM_F_REPLACE,
  NLMSG_HEADER_BYTES,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTAX_MTU,
  RTCF_LOCAL,
  RTM_F_CLONED,
  RTM_NEWROUTE,
  RTM_NEWRULE,
  RTN_BLACKHOLE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTPROT_BOOT,
  RTPROT_KERNEL,
} from "../../abi/netlink.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../../abi/socket.ts";
import { put32 } from "../../abi/struct.ts";
import {
  beginAnswer,
  endOfDump,
  finishAnswer,
  finishDump,
  fixedPart,
  netstackOf,
  stackOf,
  writerOf,
} from "./answer.ts";
import { attributeAddress, attributeBytes, attributeWord, findAttribute } from "./message.ts";
import type { NetlinkRequest } from "./netlink_socket.ts";

/** sizeof(struct rtmsg), struct fib_rule_hdr. */
const RTMSG_BYTES = 12;
const RULE_BYTES = 12;
/** IP6_RT_PRIO_USER: the metric of IPv6 routes that say none. */
const V6_METRIC = 1024;
/** Priorities of the rules that a namespace begins with. */
const RULE_LOCAL = 0;
const RULE_MAIN = 32_766;
const RULE_DEFAULT = 32_767;

/** Numbers of RouteType in rtnetlink. */
const TYPES: Readonly<Record<RouteType, number>> = {
  [RouteType.Unicast]: RTN_UNICAST,
  [RouteType.Unreachable]: RTN_UNREACHABLE,
  [RouteType.Prohibit]: RTN_PROHIBIT,
  [RouteType.Blackhole]: RTN_BLACKHOLE,
};

/** One route as rtnetlink shows it. */
interface ShownRoute {
  readonly isV4: boolean;
  readonly destination: Address | null;
  readonly length: number;
  readonly table: number;
  readonly type: number;
  readonly protocol: number;
  readonly scope: number;
  readonly gateway: Address | null;
  readonly nicId: number;
  readonly source: Address | null;
  readonly metric: number;
  readonly mtu: number;
  /** rtm_flags. */
  readonly flags: number;
}

export function dumpRoutes(request: NetlinkRequest): number {
  const stack = stackOf(request);
  const at = fixedPart(request, 1);
  const family = at < 0 ? AF_UNSPEC : request.bytes[at];
  const isFiltered = request.socket.isStrict && fixedPart(request, RTMSG_BYTES) >= 0;
  const { bytes, end } = request;
  const table = isFiltered ? attributeWord(bytes, at + RTMSG_BYTES, end, RTA_TABLE, bytes[at + 4]) : 0;
  const nicId = isFiltered ? attributeWord(bytes, at + RTMSG_BYTES, end, RTA_OIF, 0) : 0;
  for (const isV4 of [true, false]) {
    if (family !== AF_UNSPEC && family !== (isV4 ? AF_INET : AF_INET6)) continue;
    for (const route of shownRoutes(stack, isV4)) {
      if ((table !== 0 && route.table !== table) || (nicId !== 0 && route.nicId !== nicId)) continue;
      putRoute(request, route, NLM_F_MULTI);
      endOfDump(request);
    }
  }
  return finishDump(request);
}

/** The routes of the stack, and those of table local, which the stack finds by its addresses. */
function shownRoutes(stack: Stack, isV4: boolean): ShownRoute[] {
  const list: ShownRoute[] = [];
  for (const entry of stack.routes.entries) {
    if (entry.prefix.isV4 !== isV4 || !entry.nic.isUp) continue;
    // Linux has loopback's own net in table local alone.
    if (isV4 && entry.nic.isLoopback && entry.prefix.isLoopback) continue;
    list.push(shownEntry(entry));
  }
  for (const nic of stack.nics) {
    if (nic === undefined || !nic.isUp) continue;
    for (const { address, prefixBits: bits } of nic.addresses) {
      if (address.isV4 !== isV4) continue;
      if (!isV4 && bits === 128) list.push(localRoute(nic, address, 128, RTN_UNICAST, TABLE_MAIN, 256));
      if (isV4 && nic.isLoopback && address.isLoopback) {
        list.push(
          localRoute(nic, address.clone().mask(bits), bits - 96, RTN_LOCAL, RT_TABLE_LOCAL, 0, address),
        );
      }
      list.push(
        localRoute(nic, address, isV4 ? 32 : 128, RTN_LOCAL, RT_TABLE_LOCAL, 0, isV4 ? address : null),
      );
      if (!isV4 || bits > 126) continue;
      const broadcast = address.clone().setV4(address.d | -1 >>> bits - 96);
      list.push(localRoute(nic, broadcast, 32, RTN_BROADCAST, RT_TABLE_LOCAL, 0, address));
    }
  }
  return list;
}

function localRoute(
  nic: Nic,
  destination: Address,
  length: number,
  type: number,
  table: number,
  metric: number,
  source: Address | null = null,
): ShownRoute {
  return {
    isV4: destination.isV4,
    destination,
    length,
    table,
    type,
    protocol: RTPROT_KERNEL,
    scope: !destination.isV4 ? RT_SCOPE_UNIVERSE : type === RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
    gateway: null,
    nicId: nic.id,
    source,
    metric,
    mtu: 0,
    flags: 0,
  };
}

function shownEntry(entry: RouteEntry): ShownRoute {
  const isV4 = entry.prefix.isV4;
  const length = isV4 ? entry.prefixBits - 96 : entry.prefixBits;
  const isOfAddress = entry.gateway === null &&
    entry.nic.addresses.some((own) =>
      own.address.isV4 === isV4 && own.prefixBits === entry.prefixBits &&
      own.address.isWithin(entry.prefix, entry.prefixBits)
    );
  return {
    isV4,
    destination: length === 0 ? null : entry.prefix,
    length,
    table: entry.table ?? TABLE_MAIN,
    type: TYPES[entry.type ?? RouteType.Unicast],
    protocol: isOfAddress ? RTPROT_KERNEL : RTPROT_BOOT,
    scope: isV4 && entry.gateway === null ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
    gateway: entry.gateway,
    nicId: entry.nic.id,
    source: entry.source,
    metric: entry.metric,
    mtu: entry.mtu,
    flags: 0,
  };
}

function putRoute(request: NetlinkRequest, route: ShownRoute, flags: number): void {
  const at = beginAnswer(request, RTM_NEWROUTE, flags, RTMSG_BYTES);
  const writer = writerOf(request);
  const { bytes } = writer;
  bytes[at] = route.isV4 ? AF_INET : AF_INET6;
  bytes[at + 1] = route.length;
  bytes[at + 4] = route.table < 256 ? route.table : 0;
  bytes[at + 5] = route.protocol;
  bytes[at + 6] = route.scope;
  bytes[at + 7] = route.type;
  put32(bytes, at + 8, route.flags);
  writer.word(RTA_TABLE, route.table);
  if (route.destination !== null) writer.address(RTA_DST, route.destination);
  if (route.metric !== 0 || !route.isV4) writer.word(RTA_PRIORITY, route.metric);
  if (route.source !== null) writer.address(RTA_PREFSRC, route.source);
  if (route.gateway !== null) writer.address(RTA_GATEWAY, route.gateway);
  if (route.mtu > 0) {
    const metrics = writer.nest(RTA_METRICS);
    writer.word(RTAX_MTU, route.mtu);
    writer.endNest(metrics);
  }
  writer.word(RTA_OIF, route.nicId);
}

/** `ip route get`: the way that a packet to RTA_DST would go. */
export function getRoute(request: NetlinkRequest): number {
  const { bytes, end } = request;
  const at = fixedPart(request, RTMSG_BYTES);
  if (at < 0) return -EINVAL;
  const family = bytes[at];
  if (family !== AF_INET && family !== AF_INET6) return -EAFNOSUPPORT;
  const isV4 = family === AF_INET;
  const stack = stackOf(request);
  const attributes = at + RTMSG_BYTES;
  const { Address, Route } = netstackOf(request);
  const to = new Address().setUnspecified(isV4), from = new Address().setUnspecified(isV4);
  attributeAddress(bytes, attributes, end, RTA_DST, isV4, to);
  const route = new Route();
  const found = stack.routes.find(to, from, attributeWord(bytes, attributes, end, RTA_OIF, 0), route);
  if (found < 0) return found;
  const { nic, nextHop, destination } = route;
  if (nic === null) return -ENETUNREACH;
  putRoute(request, {
    isV4,
    destination,
    length: isV4 ? 32 : 128,
    table: route.isLocal ? RT_TABLE_LOCAL : TABLE_MAIN,
    type: route.isLocal ? RTN_LOCAL : route.isBroadcast ? RTN_BROADCAST : RTN_UNICAST,
    protocol: 0,
    scope: RT_SCOPE_UNIVERSE,
    gateway: nextHop.equals(destination) ? null : nextHop,
    nicId: nic.id,
    source: route.source,
    metric: 0,
    mtu: 0,
    flags: RTM_F_CLONED | (route.isLocal ? RTCF_LOCAL : 0),
  }, 0);
  return finishAnswer(request);
}

/** RTM_NEWROUTE and RTM_DELROUTE as an entry of the stack's table; -ERRNO. */
function readRoute(request: NetlinkRequest): RouteEntry | number {
  const { bytes, end } = request;
  const at = fixedPart(request, RTMSG_BYTES);
  if (at < 0) return -EINVAL;
  const family = bytes[at], length = bytes[at + 1], type = bytes[at + 7];
  if (family !== AF_INET && family !== AF_INET6) return -EAFNOSUPPORT;
  const isV4 = family === AF_INET;
  if (length > (isV4 ? 32 : 128)) return -EINVAL;
  const stack = stackOf(request);
  const attributes = at + RTMSG_BYTES;
  const { Address, prefixBits, Route } = netstackOf(request);
  const prefix = new Address().setUnspecified(isV4);
  attributeAddress(bytes, attributes, end, RTA_DST, isV4, prefix);
  const via = new Address(), source = new Address();
  const hasGateway = attributeAddress(bytes, attributes, end, RTA_GATEWAY, isV4, via);
  const hasSource = attributeAddress(bytes, attributes, end, RTA_PREFSRC, isV4, source);
  const nicId = attributeWord(bytes, attributes, end, RTA_OIF, 0);
  const kind = Object.entries(TYPES).find(([, number]) => number === type)?.[0];
  if (kind === undefined && type !== 0) return -EOPNOTSUPP;
  let nic = nicId === 0 ? null : stack.nics[nicId] ?? null;
  if (nicId !== 0 && nic === null) return -ENODEV;
  if (nic === null && hasGateway) {
    const route = new Route();
    const found = stack.routes.find(via, new Address().setUnspecified(isV4), 0, route);
    if (found < 0) return found;
    ({ nic } = route);
  }
  nic ??= kind === undefined || Number(kind) === RouteType.Unicast ? null : stack.loopback;
  if (nic === null) return -ENODEV;
  const metrics = findAttribute(bytes, attributes, end, RTA_METRICS);
  const mtu = metrics < 0
    ? 0
    : attributeWord(bytes, metrics, metrics + attributeBytes(bytes, metrics), RTAX_MTU, 0);
  return {
    prefix: prefix.mask(prefixBits(length, isV4)),
    prefixBits: prefixBits(length, isV4),
    gateway: hasGateway ? via : null,
    nic,
    metric: attributeWord(bytes, attributes, end, RTA_PRIORITY, isV4 ? 0 : V6_METRIC),
    mtu,
    source: hasSource ? source : null,
    table: attributeWord(bytes, attributes, end, RTA_TABLE, bytes[at + 4] || TABLE_MAIN),
    type: kind === undefined ? RouteType.Unicast : Number(kind) as RouteType,
  };
}

export function addRoute(request: NetlinkRequest): number {
  const entry = readRoute(request);
  if (typeof entry === "number") return entry;
  if (!entry.nic.isUp) return -ENETDOWN;
  const { routes } = stackOf(request);
  const isSame = (other: RouteEntry) =>
    other.prefixBits === entry.prefixBits && other.prefix.equals(entry.prefix) &&
    other.metric === entry.metric && (other.table ?? TABLE_MAIN) === entry.table;
  const isThere = routes.entries.some(isSame);
  if (isThere && (request.flags & NLM_F_EXCL) !== 0) return -EEXIST;
  if (!isThere && (request.flags & NLM_F_CREATE) === 0) return -ENOENT;
  if (isThere && (request.flags & NLM_F_REPLACE) !== 0) routes.remove(isSame);
  return routes.add(entry);
}

export function removeRoute(request: NetlinkRequest): number {
  const wanted = readRoute(request);
  if (typeof wanted === "number") return wanted;
  const { bytes, end } = request;
  const attributes = request.at + NLMSG_HEADER_BYTES + RTMSG_BYTES;
  const hasMetric = findAttribute(bytes, attributes, end, RTA_PRIORITY) >= 0;
  const hasOif = findAttribute(bytes, attributes, end, RTA_OIF) >= 0;
  const { routes } = stackOf(request);
  const found = routes.entries.find((entry) =>
    entry.prefixBits === wanted.prefixBits && entry.prefix.equals(wanted.prefix) &&
    (entry.table ?? TABLE_MAIN) === wanted.table && (!hasMetric || entry.metric === wanted.metric) &&
    (!hasOif || entry.nic === wanted.nic) &&
    (wanted.gateway === null || entry.gateway !== null && entry.gateway.equals(wanted.gateway))
  );
  return routes.remove((entry) => entry === found);
}

export function dumpRules(request: NetlinkRequest): number {
  const at = fixedPart(request, 1);
  const family = at < 0 ? AF_UNSPEC : request.bytes[at];
  for (const isV4 of [true, false]) {
    if (family !== AF_UNSPEC && family !== (isV4 ? AF_INET : AF_INET6)) continue;
    putRule(request, isV4, RULE_LOCAL, RT_TABLE_LOCAL);
    putRule(request, isV4, RULE_MAIN, TABLE_MAIN);
    if (isV4) putRule(request, isV4, RULE_DEFAULT, TABLE_DEFAULT);
  }
  return finishDump(request);
}
function putRule(request: NetlinkRequest, isV4: boolean, priority: number, table: number): void {
  const at = beginAnswer(request, RTM_NEWRULE, NLM_F_MULTI, RULE_BYTES);
  const writer = writerOf(request);
  writer.bytes[at] = isV4 ? AF_INET : AF_INET6;
  writer.bytes[at + 4] = table;
  writer.bytes[at + 7] = FR_ACT_TO_TBL;
  writer.word(FRA_TABLE, table);
  writer.word(FRA_SUPPRESS_PREFIXLEN, 0xffff_ffff);
  if (priority !== 0) writer.word(FRA_PRIORITY, priority);
  endOfDump(request);
}
