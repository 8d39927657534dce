// Where packets go: the routing table, and the Route, its answer for one destination, kept by a caller that sends there often.
// Linux: fib_lookup(), ip_route_output_key(); RFC 1122 section 3.3.1, RFC 4861 section 5.2.

import { Address } from "./address.ts";
import {
  EACCES,
  EADDRNOTAVAIL,
  EHOSTUNREACH,
  EINVAL,
  ENETUNREACH,
  ENOBUFS,
  ENODEV,
  ENOENT,
  ESRCH,
} from "./errno.ts";
import { chooseSource } from "./ip/source_address.ts";
import type { NeighbourEntry } from "./neighbour.ts";
import type { Nic } from "./nic.ts";
import { RouteType, TABLE_DEFAULT, TABLE_MAIN } from "./numbers.ts";
import type { Stack } from "./stack.ts";

/** Routes of all tables at most. */
export const ROUTES_MAX = 4096;

/** An answer of RouteTable.find(); refilled when `generation` is not the table's any more. */
export class Route {
  nic: Nic | null = null;
  readonly source = new Address();
  readonly destination = new Address();
  /** Gateway, or the destination itself. */
  readonly nextHop = new Address();
  /** Largest IP packet that goes this way: the NIC's, the route's or the path's, whichever is least. */
  mtu = 0;
  /** The destination is an address of this stack: packets come back in by loopback. */
  isLocal = false;
  isBroadcast = false;
  isMulticast = false;
  /** The table's generation when this was found; -1 = never. */
  generation = -1;
  /** The neighbour entry of nextHop; null where the link has none, or it is not looked up yet. */
  neighbour: NeighbourEntry | null = null;
  /** What it was found for, so that the same question is not asked twice. */
  readonly askedDestination = new Address();
  readonly askedSource = new Address();
  askedNicId = -1;
  askedMark = 0;
}

/** One line of a table. */
export interface RouteEntry {
  readonly prefix: Address;
  /** In the unified form: an IPv4 /24 is 120. */
  readonly prefixBits: number;
  /** null = the destination is on the link. */
  readonly gateway: Address | null;
  readonly nic: Nic;
  /** The least wins among equal prefixes. */
  readonly metric: number;
  /** 0 = the NIC's. */
  readonly mtu: number;
  /** Preferred source address; null = chosen. */
  readonly source: Address | null;
  /** TABLE_MAIN when it is not said. */
  readonly table?: number;
  /** Unicast when it is not said. */
  readonly type?: RouteType;
}

/** Rules at most, ip-rule(8). */
export const RULES_MAX = 1024;

/** Which table is asked for which packets, ip-rule(8). All that is said must hold. */
export interface RouteRule {
  /** The least is asked first. */
  readonly priority: number;
  readonly isV4: boolean;
  /** Prefixes of source and destination; null = any. */
  readonly source: Address | null;
  readonly sourceBits: number;
  readonly destination: Address | null;
  readonly destinationBits: number;
  /** `mark` under `markMask`; 0 and 0 = any. */
  readonly mark: number;
  readonly markMask: number;
  /** Interface the packet came in by, 0 = any: own packets come in by loopback. */
  readonly incomingNicId: number;
  readonly table: number;
  /** Other than Unicast: the answer itself. */
  readonly type: RouteType;
}

export class RouteTable {
  readonly #stack: Stack;
  /** Longest prefix first, then least metric; of all tables. */
  readonly #entries: RouteEntry[] = [];
  /** By priority. Empty = the main table, then the default table, as a fresh Linux has it. */
  readonly #rules: RouteRule[] = [];
  /** Changes with every change of routes, addresses, interfaces and path MTUs: answers found before are stale. */
  generation = 0;

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  get entries(): readonly RouteEntry[] {
    return this.#entries;
  }
  get rules(): readonly RouteRule[] {
    return this.#rules;
  }

  add(entry: RouteEntry): number {
    if (this.#entries.length >= ROUTES_MAX) return -ENOBUFS;
    const entries = this.#entries;
    let i = 0;
    while (
      i < entries.length &&
      (entries[i].prefixBits > entry.prefixBits ||
        entries[i].prefixBits === entry.prefixBits && entries[i].metric <= entry.metric)
    ) i++;
    entries.splice(i, 0, entry);
    this.generation++;
    return 0;
  }

  /** Removes all that `matches`; -ESRCH when there is none. */
  remove(matches: (entry: RouteEntry) => boolean): number {
    const before = this.#entries.length;
    const kept = this.#entries.filter((entry) => !matches(entry));
    if (kept.length === before) return -ESRCH;
    this.#entries.length = 0;
    this.#entries.push(...kept);
    this.generation++;
    return 0;
  }

  addRule(rule: RouteRule): number {
    if (this.#rules.length >= RULES_MAX) return -ENOBUFS;
    let i = 0;
    while (i < this.#rules.length && this.#rules[i].priority <= rule.priority) i++;
    this.#rules.splice(i, 0, rule);
    this.generation++;
    return 0;
  }
  removeRule(matches: (rule: RouteRule) => boolean): number {
    const i = this.#rules.findIndex(matches);
    if (i < 0) return -ENOENT;
    this.#rules.splice(i, 1);
    this.generation++;
    return 0;
  }

  /**
   * Finds the way to `destination` from `source` (unspecified = choose one) by interface `nicId` (0 = any) into `into`, for
   * a packet with `mark` that came in by `incoming` (null = our own). 0, -ENETUNREACH, -EADDRNOTAVAIL where no address can
   * be the source, -EHOSTUNREACH, -EACCES or -EINVAL where a route says so.
   */
  find(
    destination: Address,
    source: Address,
    nicId: number,
    into: Route,
    mark = 0,
    incoming: Nic | null = null,
  ): number {
    const stack = this.#stack;
    into.nic = null;
    into.generation = this.generation;
    into.destination.copy(destination);
    into.nextHop.copy(destination);
    into.neighbour = null;
    into.isLocal = into.isBroadcast = false;
    into.isMulticast = destination.isMulticast;
    // Linux: connecting to the unspecified address means this host.
    if (destination.isUnspecified) {
      if (destination.isV4) into.destination.setV4(0x7f000001);
      else into.destination.setWords(0, 0, 0, 1);
      into.nextHop.copy(into.destination);
    }
    const bound = nicId === 0 ? null : stack.nics[nicId] ?? null;
    if (nicId !== 0 && bound === null) return -ENODEV;
    if (!into.isMulticast && this.#isOwn(into.destination, bound)) return this.#local(source, into);
    const entry = this.#ask(into.destination, bound, source, mark, incoming);
    if (entry !== null && entry.type !== undefined && entry.type !== RouteType.Unicast) {
      return REFUSALS[entry.type];
    }
    const nic = entry?.nic ?? this.#linkScoped(into, bound, source);
    if (nic === null) return -ENETUNREACH;
    into.nic = nic;
    if (entry !== null && entry.gateway !== null && !into.isMulticast) into.nextHop.copy(entry.gateway);
    into.isBroadcast = nic.isBroadcast(into.destination);
    into.mtu = nic.mtu;
    if (nic.ipv6Mtu > 0 && nic.ipv6Mtu < into.mtu && !into.destination.isV4) into.mtu = nic.ipv6Mtu;
    if (entry !== null && entry.mtu > 0 && entry.mtu < into.mtu) into.mtu = entry.mtu;
    const path = stack.pathMtus.get(into.destination);
    if (path > 0 && path < into.mtu) into.mtu = path;
    if (!source.isUnspecified) {
      into.source.copy(source);
      return 0;
    }
    if (entry !== null && entry.source !== null && nic.stack.nicOf(entry.source) !== null) {
      into.source.copy(entry.source);
      return 0;
    }
    return chooseSource(stack, nic, into.destination, into.source) ? 0 : -EADDRNOTAVAIL;
  }

  /** As find(), but nothing is done where `into` answers the same question still. For those who send again and again. */
  findAgain(destination: Address, source: Address, nicId: number, into: Route, mark: number): number {
    if (
      into.generation === this.generation && into.askedNicId === nicId && into.askedMark === mark &&
      into.askedDestination.equals(destination) && into.askedSource.equals(source) && into.nic !== null
    ) return 0;
    const found = this.find(destination, source, nicId, into, mark);
    into.askedNicId = found < 0 ? -1 : nicId;
    into.askedMark = mark;
    into.askedDestination.copy(destination);
    into.askedSource.copy(source);
    return found;
  }

  /** An address of this stack; a link-local one only where it is asked for on its own link. */
  #isOwn(destination: Address, bound: Nic | null): boolean {
    if (bound !== null && destination.isLinkLocal && !destination.isV4 && !bound.isLoopback) {
      return bound.hasAddress(destination);
    }
    return this.#stack.nicOf(destination) !== null;
  }

  #local(source: Address, into: Route): number {
    const nic = this.#stack.loopback;
    if (nic === null) return -ENETUNREACH;
    into.nic = nic;
    into.isLocal = true;
    into.mtu = nic.mtu;
    into.source.copy(source.isUnspecified ? this.#ownSource(nic, into.destination) : source);
    return 0;
  }
  /** An address that is only one of 127.0.0.0/8 is answered from the first: its route in Linux' table "local" says so. */
  #ownSource(loopback: Nic, destination: Address): Address {
    if (!destination.isV4 || !destination.isLoopback || loopback.find(destination) !== null) {
      return destination;
    }
    return loopback.addresses.find((entry) => entry.address.isV4)?.address ?? destination;
  }

  /** Goes over the rules to the first table that has an answer. */
  #ask(
    destination: Address,
    bound: Nic | null,
    source: Address,
    mark: number,
    incoming: Nic | null,
  ): RouteEntry | null {
    for (const rule of this.#rules) {
      if (!applies(rule, destination, source, mark, incoming, this.#stack.loopback)) continue;
      if (rule.type !== RouteType.Unicast) return refusing(rule, destination);
      const found = this.#lookup(rule.table, destination, bound, source);
      if (found !== null) return found;
    }
    return this.#lookup(TABLE_MAIN, destination, bound, source) ??
      this.#lookup(TABLE_DEFAULT, destination, bound, source);
  }

  #lookup(table: number, destination: Address, nic: Nic | null, source: Address): RouteEntry | null {
    let other: RouteEntry | null = null;
    for (const entry of this.#entries) {
      if ((entry.table ?? TABLE_MAIN) !== table) continue;
      if (!entry.nic.isUp || (nic !== null && entry.nic !== nic)) continue;
      if (entry.prefix.isV4 !== destination.isV4) continue;
      if (!destination.isWithin(entry.prefix, entry.prefixBits)) continue;
      // Of equally good routes the one whose interface has the source address (strong host, RFC 1122 section 3.3.4.2).
      if (source.isUnspecified || entry.nic.hasAddress(source)) {
        if (other === null || entry.prefixBits === other.prefixBits && entry.metric === other.metric) {
          return entry;
        }
        break;
      }
      if (other !== null && (entry.prefixBits !== other.prefixBits || entry.metric !== other.metric)) break;
      other ??= entry;
    }
    return other;
  }

  /** Multicast, limited broadcast and bound IPv6 link-local destinations need no route. */
  #linkScoped(into: Route, bound: Nic | null, source: Address): Nic | null {
    const { destination } = into;
    const isLinkScoped = into.isMulticast || destination.isLimitedBroadcast ||
      (destination.isLinkLocal && !destination.isV4);
    // Linux: with an interface given and no route, an IPv4 destination is taken to be on its link.
    if (!isLinkScoped && (bound === null || !destination.isV4)) return null;
    if (bound !== null) return bound.isUp ? bound : null;
    let only: Nic | null = null;
    for (const nic of this.#stack.nics) {
      if (nic === undefined || !nic.isUp || nic.isLoopback) continue;
      if (!source.isUnspecified && !nic.hasAddress(source)) continue;
      only ??= nic;
    }
    return only;
  }
}

/** Answers by RouteType. */
const REFUSALS: readonly number[] = [0, -EHOSTUNREACH, -EACCES, -EINVAL];

function applies(
  rule: RouteRule,
  destination: Address,
  source: Address,
  mark: number,
  incoming: Nic | null,
  loopback: Nic | null,
): boolean {
  if (rule.isV4 !== destination.isV4) return false;
  if (((mark ^ rule.mark) & rule.markMask) !== 0) return false;
  if (rule.incomingNicId !== 0 && (incoming ?? loopback)?.id !== rule.incomingNicId) return false;
  if (rule.source !== null && !source.isWithin(rule.source, rule.sourceBits)) return false;
  return rule.destination === null || destination.isWithin(rule.destination, rule.destinationBits);
}

/** A rule's refusal as the route that would say the same. */
function refusing(rule: RouteRule, destination: Address): RouteEntry {
  return {
    prefix: destination,
    prefixBits: 128,
    gateway: null,
    nic: null as unknown as Nic,
    metric: 0,
    mtu: 0,
    source: null,
    type: rule.type,
  };
}
