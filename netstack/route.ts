// Where packets go: the routing table, and the Route, its answer for one destination, kept by whoever sends there often.
// Linux: fib_lookup(), ip_route_output_key(); RFC 1122 section 3.3.1, RFC 4861 section 5.2.

import { Address } from "./address.ts";
import { EADDRNOTAVAIL, EINVAL, ENETUNREACH, ENOENT } from "./errno.ts";
import { chooseSource } from "./ip/source_address.ts";
import type { NeighbourEntry } from "./neighbour.ts";
import type { Nic } from "./nic.ts";
import type { Stack } from "./stack.ts";

/** Routes of one table at most. */
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
}

/** One line of the table. */
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
}

export class RouteTable {
  readonly #stack: Stack;
  /** Longest prefix first, then least metric. */
  readonly #entries: RouteEntry[] = [];
  /** Changes with every change of routes, addresses, interfaces and path MTUs: answers found before are stale. */
  generation = 0;

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  get entries(): readonly RouteEntry[] {
    return this.#entries;
  }

  add(entry: RouteEntry): number {
    if (this.#entries.length >= ROUTES_MAX) return -EINVAL;
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

  /** Removes all that `matches`; -ENOENT when there is none. */
  remove(matches: (entry: RouteEntry) => boolean): number {
    const before = this.#entries.length;
    const kept = this.#entries.filter((entry) => !matches(entry));
    if (kept.length === before) return -ENOENT;
    this.#entries.length = 0;
    this.#entries.push(...kept);
    this.generation++;
    return 0;
  }

  /**
   * Finds the way to `destination` from `source` (unspecified = choose one) by interface `nicId` (0 = any) into `into`.
   * 0, -ENETUNREACH, -EADDRNOTAVAIL where no address can be the source.
   */
  find(destination: Address, source: Address, nicId: number, into: Route): number {
    const stack = this.#stack;
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
    if (!into.isMulticast && stack.nicOf(into.destination) !== null) return this.#local(source, into);
    const bound = nicId === 0 ? null : stack.nics[nicId] ?? null;
    if (nicId !== 0 && bound === null) return -ENETUNREACH;
    const entry = this.#lookup(into.destination, bound, source);
    const nic = entry?.nic ?? this.#linkScoped(into, bound, source);
    if (nic === null) return -ENETUNREACH;
    into.nic = nic;
    if (entry !== null && entry.gateway !== null && !into.isMulticast) into.nextHop.copy(entry.gateway);
    into.isBroadcast = nic.isBroadcast(into.destination);
    into.mtu = nic.mtu;
    if (entry !== null && entry.mtu > 0 && entry.mtu < into.mtu) into.mtu = entry.mtu;
    const path = stack.pathMtus.get(into.destination);
    if (path > 0 && path < into.mtu) into.mtu = path;
    if (!source.isUnspecified) {
      into.source.copy(source);
      return 0;
    }
    if (entry !== null && entry.source !== null) {
      into.source.copy(entry.source);
      return 0;
    }
    return chooseSource(stack, nic, into.destination, into.source) ? 0 : -EADDRNOTAVAIL;
  }

  #local(source: Address, into: Route): number {
    const nic = this.#stack.loopback;
    if (nic === null) return -ENETUNREACH;
    into.nic = nic;
    into.isLocal = true;
    into.mtu = nic.mtu;
    into.source.copy(source.isUnspecified ? into.destination : source);
    return 0;
  }

  #lookup(destination: Address, nic: Nic | null, source: Address): RouteEntry | null {
    let other: RouteEntry | null = null;
    for (const entry of this.#entries) {
      if (!entry.nic.isUp || (nic !== null && entry.nic !== nic)) continue;
      if (entry.prefix.isV4 !== destination.isV4) continue;
      if (!destination.isWithin(entry.prefix, entry.prefixBits)) continue;
      // Of equally good routes the one whose interface has the source address (strong host, RFC 1122 section 3.3.4.2).
      if (source.isUnspecified || entry.nic.hasAddress(source)) return entry;
      if (other === null || entry.prefixBits === other.prefixBits && entry.metric === other.metric) {
        other ??= entry;
        continue;
      }
      break;
    }
    return other;
  }

  /** Multicast, limited broadcast and bound IPv6 link-local destinations need no route. */
  #linkScoped(into: Route, bound: Nic | null, source: Address): Nic | null {
    const { destination } = into;
    const isLinkScoped = into.isMulticast || destination.isLimitedBroadcast ||
      (destination.isLinkLocal && !destination.isV4);
    if (!isLinkScoped && bound === null) return null;
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
