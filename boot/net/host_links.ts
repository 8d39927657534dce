// The interfaces of a container's network namespace, as the host has them, for the sandbox's stack to take over: links,
// addresses, routes, permanent neighbours, and a packet socket for each channel of a link. Afterwards the host's stack has
// no address there and answers nobody; the interface stays up, as its frames come through it. Linux peers: ip-link(8),
// ip-address(8), packet(7).

import { EADDRNOTAVAIL, errnoName } from "../../kernel/abi/errno.ts";
import { ARPHRD_ETHER, ARPHRD_LOOPBACK, IFF_UP } from "../../kernel/abi/inet.ts";
import {
  IFA_ADDRESS,
  IFA_LOCAL,
  IFLA_ADDRESS,
  IFLA_AF_SPEC,
  IFLA_IFNAME,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_MASTER,
  IFLA_MTU,
  IN6_ADDR_GEN_MODE_NONE,
  NDA_DST,
  NDA_LLADDR,
  NUD_PERMANENT,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PRIORITY,
  RTA_TABLE,
  RTAX_MTU,
  RTM_DELADDR,
  RTM_F_CLONED,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_SETLINK,
  RTN_UNICAST,
} from "../../kernel/abi/netlink.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../../kernel/abi/socket.ts";
import { i32, u16, u32 } from "../../kernel/abi/struct.ts";
import { attributeBytes, attributeWord, findAttribute } from "../../kernel/socket/netlink/message.ts";
import { bytesToLatin1 } from "../../kernel/util/bytes.ts";
import type { NativeHost } from "../../native/host.ts";
import { netlinkOf } from "../../native/network_namespace.ts";
import { HostPacketDevice } from "../../native/packet_device.ts";
import { encodeBase64 } from "../api/base64.ts";
import {
  type CreateLinksAndRoutesArgs,
  type DefaultRoute,
  type FDBasedLink,
  ipNet,
  IPWithPrefix,
  type LoopbackLink,
  type Neighbor,
  type QueueingDiscipline,
  Route,
} from "../api/network.ts";
import { RouteSocket } from "./rtnetlink.ts";

/** Sizes of struct ifinfomsg, ifaddrmsg, rtmsg, ndmsg. */
const IFINFO_BYTES = 16;
const IFADDR_BYTES = 8;
const RTMSG_BYTES = 12;
const NDMSG_BYTES = 12;
/** What GSO of a veth pair or a bridge takes at a time: GSO_LEGACY_MAX_SIZE. */
const GSO_BYTES = 65_536;
const FANOUT_MAX = 0xffff;

/** How links are taken over. */
export interface LinkOptions {
  /** Packet sockets for each link. */
  readonly channels: number;
  readonly queueing: QueueingDiscipline;
}

/** What Network.CreateLinksAndRoutes wants of a namespace. */
export interface HostLinks {
  readonly args: CreateLinksAndRoutesArgs;
  /** A packet socket for each channel, in the order of the links; the caller's to close. */
  readonly fds: readonly number[];
  /** Names of interfaces that are up and carry no ethernet frames: they stay the host's. */
  readonly ignored: readonly string[];
}

interface HostLink {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly isLoopback: boolean;
  readonly address: Uint8Array;
  readonly addresses: HostAddress[];
  readonly routes: Route[];
  readonly neighbours: Neighbor[];
}

interface HostAddress {
  readonly family: number;
  readonly bytes: Uint8Array;
  readonly length: number;
}

interface HostDefaultRoute extends DefaultRoute {
  readonly metric: number;
}

/**
 * Takes over what network namespace `namespace` (a descriptor) has. null where it has nothing but its loopback: then nothing
 * is changed. Throws one line where something cannot be taken; nothing is left open then.
 */
export function takeHostLinks(host: NativeHost, namespace: number, options: LinkOptions): HostLinks | null {
  const fd = netlinkOf(namespace);
  if (fd < 0) throw new Error(`Cannot enter the container's network namespace: ${errnoName(-fd)}`);
  const socket = new RouteSocket(host, fd);
  const fds: number[] = [];
  try {
    const { links, ignored } = listLinks(socket);
    listAddresses(socket, links);
    if (links.every(({ isLoopback, addresses }) => isLoopback && addresses.length === 0)) {
      return ignored.length === 0 ? null : { args: argumentsOf([], [], null, null), fds, ignored };
    }
    const gateways = listRoutes(socket, links);
    listNeighbours(socket, links);
    const taken = links.filter(({ isLoopback }) => !isLoopback)
      .map((link) => openLink(link, namespace, options, fds));
    for (const link of links) silence(socket, link);
    return { args: argumentsOf(links, taken, gateways.v4, gateways.v6), fds, ignored };
  } catch (error) {
    for (const opened of fds) host.close(opened);
    throw error;
  } finally {
    socket.close();
  }
}

function argumentsOf(
  links: readonly HostLink[],
  taken: readonly FDBasedLink[],
  v4: HostDefaultRoute | null,
  v6: HostDefaultRoute | null,
): CreateLinksAndRoutesArgs {
  const loopbacks = links.filter(({ isLoopback }) => isLoopback);
  return {
    LoopbackLinks: loopbacks.map((link): LoopbackLink => ({
      Name: link.name,
      Addresses: link.addresses.map(withPrefix),
      Routes: link.routes,
      GvisorGROTimeout: 0,
    })),
    FDBasedLinks: taken,
    XDPLinks: [],
    Defaultv4Gateway: defaultRoute(v4),
    Defaultv6Gateway: defaultRoute(v6),
    PCAP: false,
  };
}

function defaultRoute(route: HostDefaultRoute | null): DefaultRoute {
  return route === null ? { Route: new Route(), Name: "" } : { Route: route.Route, Name: route.Name };
}

/** Those that are up. Ports of a bridge or a bond are left to it, as the host's stack takes their frames to it. */
function listLinks(socket: RouteSocket): { links: HostLink[]; ignored: string[] } {
  const links: HostLink[] = [], ignored: string[] = [];
  for (const { bytes, at, end } of socket.dump(RTM_GETLINK, AF_UNSPEC, IFINFO_BYTES)) {
    const attributes = at + IFINFO_BYTES;
    const type = u16(bytes, at + 2), flags = u32(bytes, at + 8);
    const hasMaster = findAttribute(bytes, attributes, end, IFLA_MASTER) >= 0;
    if ((flags & IFF_UP) === 0 || hasMaster) continue;
    const name = textOf(bytes, findAttribute(bytes, attributes, end, IFLA_IFNAME));
    if (type !== ARPHRD_ETHER && type !== ARPHRD_LOOPBACK) {
      ignored.push(name);
      continue;
    }
    links.push({
      index: i32(bytes, at + 4),
      name,
      mtu: attributeWord(bytes, attributes, end, IFLA_MTU, 1500),
      isLoopback: type === ARPHRD_LOOPBACK,
      address: bytesOf(bytes, findAttribute(bytes, attributes, end, IFLA_ADDRESS)),
      addresses: [],
      routes: [],
      neighbours: [],
    });
  }
  return { links, ignored };
}

/** Of loopback only those that a loopback does not have by itself. */
function listAddresses(socket: RouteSocket, links: readonly HostLink[]): void {
  for (const { bytes, at, end } of socket.dump(RTM_GETADDR, AF_UNSPEC, IFADDR_BYTES)) {
    const family = bytes[at];
    const link = links.find(({ index }) => index === i32(bytes, at + 4));
    if (link === undefined || (family !== AF_INET && family !== AF_INET6)) continue;
    const attributes = at + IFADDR_BYTES;
    // Of a point-to-point address the own end is IFA_LOCAL.
    const local = findAttribute(bytes, attributes, end, IFA_LOCAL);
    const data = local >= 0 ? local : findAttribute(bytes, attributes, end, IFA_ADDRESS);
    const address = { family, bytes: bytesOf(bytes, data), length: bytes[at + 1] };
    if (address.bytes.length !== (family === AF_INET ? 4 : 16)) continue;
    if (link.isLoopback && isOwnOfLoopback(address)) continue;
    link.addresses.push(address);
  }
}

function isOwnOfLoopback({ family, bytes }: HostAddress): boolean {
  return family === AF_INET
    ? bytes[0] === 127
    : bytes[15] === 1 && bytes.every((byte, i) => i === 15 || byte === 0);
}

/** Enters routes of the main table at their links; of the default routes of a family the one with the least metric. */
function listRoutes(
  socket: RouteSocket,
  links: readonly HostLink[],
): { v4: HostDefaultRoute | null; v6: HostDefaultRoute | null } {
  const best: Record<"v4" | "v6", HostDefaultRoute | null> = { v4: null, v6: null };
  for (const { bytes, at, end } of socket.dump(RTM_GETROUTE, AF_UNSPEC, RTMSG_BYTES)) {
    const family = bytes[at], length = bytes[at + 1];
    if (family !== AF_INET && family !== AF_INET6) continue;
    const attributes = at + RTMSG_BYTES;
    const table = attributeWord(bytes, attributes, end, RTA_TABLE, bytes[at + 4]);
    const isCached = (u32(bytes, at + 8) & RTM_F_CLONED) !== 0;
    if (table !== RT_TABLE_MAIN || bytes[at + 7] !== RTN_UNICAST || isCached) continue;
    const { linkIndex, gateway } = nextHopOf(bytes, attributes, end);
    const link = links.find(({ index }) => index === linkIndex);
    if (link === undefined) continue;
    const destination = bytesOf(bytes, findAttribute(bytes, attributes, end, RTA_DST));
    const bytesInAddress = family === AF_INET ? 4 : 16;
    const address = destination.length === bytesInAddress ? destination : new Uint8Array(bytesInAddress);
    const plain = new Route(ipNet(addressText(address), length), gateway);
    // Newer gVisor's routes have an MTU.
    const route = Object.assign(plain, { MTU: mtuOf(bytes, attributes, end) });
    if (length > 0) {
      link.routes.push(route);
      continue;
    }
    const which = family === AF_INET ? "v4" : "v6";
    const metric = attributeWord(bytes, attributes, end, RTA_PRIORITY, 0);
    const known = best[which];
    if (known === null || metric < known.metric) best[which] = { Route: route, Name: link.name, metric };
  }
  return best;
}

/** Of a route with several ways (struct rtnexthop) the first. */
function nextHopOf(bytes: Uint8Array, at: number, end: number): { linkIndex: number; gateway: string } {
  const several = findAttribute(bytes, at, end, RTA_MULTIPATH);
  if (several < 0) {
    return { linkIndex: attributeWord(bytes, at, end, RTA_OIF, 0), gateway: gatewayOf(bytes, at, end) };
  }
  const size = Math.min(u16(bytes, several), attributeBytes(bytes, several));
  return { linkIndex: i32(bytes, several + 4), gateway: gatewayOf(bytes, several + 8, several + size) };
}

function gatewayOf(bytes: Uint8Array, at: number, end: number): string {
  const data = findAttribute(bytes, at, end, RTA_GATEWAY);
  return data < 0 ? "" : addressText(bytesOf(bytes, data));
}

function mtuOf(bytes: Uint8Array, at: number, end: number): number {
  const metrics = findAttribute(bytes, at, end, RTA_METRICS);
  return metrics < 0
    ? 0
    : attributeWord(bytes, metrics, metrics + attributeBytes(bytes, metrics), RTAX_MTU, 0);
}

function listNeighbours(socket: RouteSocket, links: readonly HostLink[]): void {
  for (const { bytes, at, end } of socket.dump(RTM_GETNEIGH, AF_UNSPEC, NDMSG_BYTES)) {
    const link = links.find(({ index }) => index === i32(bytes, at + 4));
    const attributes = at + NDMSG_BYTES;
    const address = bytesOf(bytes, findAttribute(bytes, attributes, end, NDA_DST));
    const hardware = bytesOf(bytes, findAttribute(bytes, attributes, end, NDA_LLADDR));
    const isPermanent = (u16(bytes, at + 8) & NUD_PERMANENT) !== 0;
    if (link === undefined || !isPermanent || address.length < 4 || hardware.length !== 6) continue;
    link.neighbours.push({ IP: addressText(address), HardwareAddr: encodeBase64(hardware) });
  }
}

/** Opens the channels of `link`; their descriptors go to `fds`. */
function openLink(link: HostLink, namespace: number, options: LinkOptions, fds: number[]): FDBasedLink {
  const { channels } = options;
  // The number need only be free among the namespace's; a link's index is in there once.
  const fanout = channels > 1 ? link.index % FANOUT_MAX + 1 : 0;
  for (let i = 0; i < channels; i++) {
    const device = HostPacketDevice.openInterface(link.name, { hasOffload: true, namespace, fanout });
    if (typeof device === "number") throw new Error(`Cannot open ${link.name}: ${errnoName(-device)}`);
    fds.push(device.fd);
  }
  return {
    Name: link.name,
    InterfaceIndex: link.index,
    MTU: link.mtu,
    Addresses: link.addresses.map(withPrefix),
    Routes: link.routes,
    GvisorGROTimeout: 0,
    TXChecksumOffload: true,
    RXChecksumOffload: true,
    LinkAddress: encodeBase64(link.address),
    QDisc: options.queueing,
    Neighbors: link.neighbours,
    NumChannels: channels,
    GSOMaxSize: GSO_BYTES,
    GvisorGSOEnabled: false,
  };
}

/** Takes the addresses of `link` away from the host's stack, and lets it make no new one when the link comes up again. */
function silence(socket: RouteSocket, link: HostLink): void {
  const { writer } = socket;
  if (!link.isLoopback) {
    const at = socket.beginChange(RTM_SETLINK, IFINFO_BYTES);
    new DataView(writer.bytes.buffer).setInt32(at + 4, link.index, true);
    const families = writer.nest(IFLA_AF_SPEC), v6 = writer.nest(AF_INET6);
    writer.byte(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    writer.endNest(v6);
    writer.endNest(families);
    // A host without IPv6 refuses; it makes no address either.
    socket.finish();
  }
  for (const { family, bytes, length } of link.addresses) {
    const at = socket.beginChange(RTM_DELADDR, IFADDR_BYTES);
    writer.bytes[at] = family;
    writer.bytes[at + 1] = length;
    new DataView(writer.bytes.buffer).setInt32(at + 4, link.index, true);
    writer.raw(IFA_LOCAL, bytes);
    writer.raw(IFA_ADDRESS, bytes);
    const result = socket.finish();
    // Secondary addresses go with their primary one.
    if (result < 0 && result !== -EADDRNOTAVAIL) {
      throw new Error(`Cannot take ${addressText(bytes)} of ${link.name}: ${errnoName(-result)}`);
    }
  }
}

function withPrefix({ bytes, length }: HostAddress): IPWithPrefix {
  return new IPWithPrefix(addressText(bytes), length);
}

/** An address as text: plain, as programs alone read it. */
function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  return Array.from(
    { length: bytes.length / 2 },
    (_, i) => (bytes[2 * i] << 8 | bytes[2 * i + 1]).toString(16),
  )
    .join(":");
}

/** A copy of the data of an attribute at `data`, -1 = none. */
function bytesOf(bytes: Uint8Array, data: number): Uint8Array {
  return data < 0 ? new Uint8Array(0) : bytes.slice(data, data + attributeBytes(bytes, data));
}

function textOf(bytes: Uint8Array, data: number): string {
  return data < 0 ? "" : bytesToLatin1(bytes, data, Math.max(0, attributeBytes(bytes, data) - 1));
}
