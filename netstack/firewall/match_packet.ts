// Whether a packet is what a match asks for. Nothing is allocated here.

import type { Address } from "../address.ts";
import { EACCES, EHOSTUNREACH, EINVAL } from "../errno.ts";
import type { Nic } from "../nic.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { stateOf } from "./conntrack/connection.ts";
import {
  type Match,
  MatchKind,
  type PortRange,
  TYPE_BLACKHOLE,
  TYPE_BROADCAST,
  TYPE_LOCAL,
  TYPE_MULTICAST,
  TYPE_PROHIBIT,
  TYPE_UNICAST,
  TYPE_UNREACHABLE,
  TYPE_UNSPECIFIED,
} from "./matches.ts";
import type { PacketView } from "./packet_view.ts";

const ICMP_TYPE_ANY = 255;

/** All of `matches` hold. */
export function matchesAll(stack: Stack, matches: readonly Match[], view: PacketView): boolean {
  for (let i = 0; i < matches.length; i++) {
    const match = matches[i];
    if (!isAnswerable(match.kind, view)) return false;
    if (holds(stack, match, view) === (match.isInverted === true)) return false;
  }
  return true;
}

/** A question about a header that is not there has no answer, inverted or not. */
function isAnswerable(kind: MatchKind, view: PacketView): boolean {
  switch (kind) {
    case MatchKind.SourcePort:
    case MatchKind.DestinationPort:
    case MatchKind.Multiport:
      return view.sourcePort >= 0;
    case MatchKind.Icmp:
      return view.icmpType >= 0;
    case MatchKind.TcpFlags:
      return view.tcpFlags >= 0;
    default:
      return true;
  }
}

function holds(stack: Stack, match: Match, view: PacketView): boolean {
  const { packet } = view;
  switch (match.kind) {
    case MatchKind.Protocol:
      return view.protocol === match.protocol;
    case MatchKind.Source:
      return packet.source.isV4 === match.address.isV4 && packet.source.isWithin(match.address, match.bits);
    case MatchKind.Destination:
      return packet.destination.isV4 === match.address.isV4 &&
        packet.destination.isWithin(match.address, match.bits);
    case MatchKind.SourcePort:
      return view.sourcePort >= match.first && view.sourcePort <= match.last;
    case MatchKind.DestinationPort:
      return view.destinationPort >= match.first && view.destinationPort <= match.last;
    case MatchKind.Multiport:
      return match.where !== "destination" && isAmong(view.sourcePort, match.ranges) ||
        match.where !== "source" && isAmong(view.destinationPort, match.ranges);
    case MatchKind.Incoming:
      return isNamed(view.incoming, match.name);
    case MatchKind.Outgoing:
      return isNamed(view.outgoing, match.name);
    case MatchKind.Mark:
      return (packet.mark & match.mask) === match.value;
    case MatchKind.Owner:
      // Resets and ICMP errors of the stack itself have no socket, as on Linux.
      if (packet.ownerUid < 0) return false;
      return isIn(packet.ownerUid, match.uids) && isIn(packet.ownerGid, match.gids);
    case MatchKind.State:
      return (stateOf(packet) & match.states) !== 0;
    case MatchKind.AddressType: {
      const address = match.of === "source" ? packet.source : packet.destination;
      return (addressTypeOf(stack, address) & match.types) !== 0;
    }
    case MatchKind.Icmp:
      return (match.type === ICMP_TYPE_ANY || view.icmpType === match.type) &&
        view.icmpCode >= match.codeFirst && view.icmpCode <= match.codeLast;
    case MatchKind.TcpFlags:
      return (view.tcpFlags & match.mask) === match.flags;
    case MatchKind.Limit:
      return match.bucket!.take(stack.now);
    default:
      match satisfies never;
      return false;
  }
}

function isAmong(port: number, ranges: readonly PortRange[]): boolean {
  for (let i = 0; i < ranges.length; i++) if (port >= ranges[i].first && port <= ranges[i].last) return true;
  return false;
}
function isIn(id: number, range: PortRange | null): boolean {
  return range === null || id >= range.first && id <= range.last;
}
/** A hook without that interface matches no name. */
function isNamed(nic: Nic | null, name: string): boolean {
  if (nic === null) return false;
  const last = name.length - 1;
  if (name.charCodeAt(last) !== 0x2b) return nic.name === name;
  for (let i = 0; i < last; i++) if (nic.name.charCodeAt(i) !== name.charCodeAt(i)) return false;
  return true;
}

const route = new Route();
const anySource = route.source.clone();

/** Linux: inet_addr_type(). What no route leads to is unicast all the same. */
function addressTypeOf(stack: Stack, address: Address): number {
  if (address.isUnspecified) return TYPE_UNSPECIFIED;
  if (address.isMulticast) return TYPE_MULTICAST;
  if (stack.nicOf(address) !== null) return TYPE_LOCAL;
  for (let i = 1; i < stack.nics.length; i++) {
    if (stack.nics[i]?.isBroadcast(address)) return TYPE_BROADCAST;
  }
  anySource.setUnspecified(address.isV4);
  switch (stack.routes.find(address, anySource, 0, route)) {
    case -EINVAL:
      return TYPE_BLACKHOLE;
    case -EHOSTUNREACH:
      return TYPE_UNREACHABLE;
    case -EACCES:
      return TYPE_PROHIBIT;
    default:
      return TYPE_UNICAST;
  }
}
