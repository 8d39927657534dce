// Router advertisements and what follows from them: default and further routes, prefixes, addresses of our own making, name
// servers. RFC 4861 section 6.3, RFC 4862 section 5.5, RFC 4191, RFC 8106, RFC 8981. Off until
// Stack.acceptRouterAdvertisements() is called for the interface.

import { Address } from "../address.ts";
import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import type { RouteEntry } from "../route.ts";
import { NEVER, Timer, type TimerOwner } from "../timer.ts";
import { get16, get32, put16 } from "../wire/bytes.ts";
import { checksumOf, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import { ICMPV6_ROUTER_SOLICITATION } from "../wire/icmp.ts";
import { IPV6_BYTES, IPV6_DESTINATION_AT, IPV6_MTU_MIN, IPV6_SOURCE_AT, putIpv6Start } from "../wire/ipv6.ts";
import { ETHERTYPE_IPV6, IPPROTO_ICMPV6 } from "../wire/numbers.ts";
import { noteMulticastHardware, OPTION_SOURCE_LINK } from "./ndp_send.ts";
import { SelfAddress } from "./self_addresses.ts";
import { hasGoodOptions, optionAt } from "./ndp_options.ts";

const RA_OPTIONS_AT = 16;
const OPTION_PREFIX = 3;
const OPTION_MTU = 5;
const OPTION_ROUTE = 24;
const OPTION_NAME_SERVERS = 25;
const OPTION_SEARCH_LIST = 31;
const PREFIX_ON_LINK = 0x80;
const PREFIX_AUTONOMOUS = 0x40;
/** Prefixes, routers and routes taken from one link at most: an attacker's advertisements fill no table. */
export const PREFIXES_MAX = 16;
export const ROUTERS_MAX = 8;
export const LEARNED_ROUTES_MAX = 16;
/** Temporary addresses of one prefix at a time: the old ones die out. */
const TEMPORARY_MAX = 8;
/** Name servers and search domains of one advertisement that are reported. */
const NAMES_MAX = 16;
const NAME_BYTES_MAX = 255;
/** RFC 4861 section 10: solicitations of a host, and how far apart; the first after up to a second. */
const SOLICITATIONS_MAX = 3;
const SOLICITATION_NANOS = 4e9;
const SOLICITATION_DELAY_NANOS = 1e9;
/** RFC 4862 section 5.5.3 (e): a shorter lifetime is not believed at once. */
const TWO_HOURS_NANOS = 7200e9;
/** RFC 8981 section 3.8, but for the desync factor's bound: how long temporary addresses live and are preferred, and how long
 * before the end the next one is made. */
const TEMPORARY_VALID_NANOS = 2 * 86_400e9;
const TEMPORARY_PREFERRED_NANOS = 86_400e9;
const TEMPORARY_DESYNC_NANOS = 600e9;
const REGENERATE_ADVANCE_NANOS = 5e9;
const ROUTE_METRIC = 1024;
const INFINITE_SECONDS = 0xffff_ffff;
/** Times that a router may set, so that it cannot make us flood or never ask. */
const RETRANSMIT_NANOS_MIN = 100e6;
const RETRANSMIT_NANOS_MAX = 10e9;
const REACHABLE_NANOS_MIN = 1e9;
const REACHABLE_NANOS_MAX = 3600e9;

/** Called with what routers advertise beside routes and prefixes; an embedder writes its resolv.conf from it. */
export interface RouterListener {
  /** RFC 8106 section 5.1; `seconds` 0 = no longer, 0xffffffff = for ever. */
  onNameServers(nic: Nic, servers: readonly Address[], seconds: number): void;
  onSearchDomains(nic: Nic, domains: readonly string[], seconds: number): void;
  /** Flags M and O: addresses, or other things, are to be had by DHCPv6. */
  onManaged(nic: Nic, addresses: boolean, others: boolean): void;
}

interface Prefix {
  readonly address: Address;
  readonly bits: number;
  /** The route while it is on the link, and until when. */
  route: RouteEntry | null;
  onLinkUntil: number;
  /** The stable address we made of it, and temporary ones, the newest last. */
  stable: SelfAddress | null;
  readonly temporary: SelfAddress[];
  validUntil: number;
  preferredUntil: number;
  /** When the next temporary address is to be made. */
  regenerateAt: number;
}

interface LearnedRoute {
  readonly entry: RouteEntry;
  until: number;
}

/** What one interface has learned from routers. */
export class RouterDiscovery implements TimerOwner {
  readonly #nic: Nic;
  readonly #timer = new Timer(this, 0);
  readonly #prefixes: Prefix[] = [];
  /** Default routes and those of route information options. */
  readonly #routes: LearnedRoute[] = [];
  #solicitations = 0;
  #solicitAt = NEVER;
  listener: RouterListener | null = null;

  constructor(nic: Nic) {
    this.#nic = nic;
    this.restart();
  }

  /** The link came up. */
  restart(): void {
    const { stack } = this.#nic;
    this.#solicitations = 0;
    this.#solicitAt = stack.now + SOLICITATION_DELAY_NANOS * stack.random.below(1000) / 1000;
    this.#schedule();
  }

  /** Prefixes known, for tests and operators. */
  get prefixCount(): number {
    return this.#prefixes.length;
  }
  get routeCount(): number {
    return this.#routes.length;
  }

  onTimer(_kind: number, now: number): void {
    if (now >= this.#solicitAt) this.#solicit(now);
    this.#expire(now);
    this.#schedule();
  }

  #solicit(now: number): void {
    this.#solicitations++;
    if (this.#nic.isUp) sendRouterSolicitation(this.#nic);
    this.#solicitAt = this.#solicitations < SOLICITATIONS_MAX ? now + SOLICITATION_NANOS : NEVER;
  }

  receive(packet: Packet): void {
    const { bytes, at, source } = packet;
    const nic = this.#nic;
    const now = nic.stack.now;
    this.#learnTimes(bytes, at);
    const flags = bytes[at + 5];
    if (this.listener !== null) this.listener.onManaged(nic, (flags & 0x80) !== 0, (flags & 0x40) !== 0);
    this.#learnRoute(DEFAULT, 0, source, flags >> 3 & 3, get16(bytes, at + 6), now);
    // One answer is enough (RFC 4861 section 6.3.7).
    if (get16(bytes, at + 6) > 0) this.#solicitAt = NEVER;
    const link = optionAt(packet, OPTION_SOURCE_LINK, RA_OPTIONS_AT);
    if (link >= 0 && (bytes[link + 2] & 1) === 0) {
      const entry = nic.neighbours.resolve(source);
      entry.learn(get16(bytes, link + 2), get32(bytes, link + 4), false, true);
      entry.isRouter = true;
    }
    for (let option = at + RA_OPTIONS_AT; option < packet.end; option += bytes[option + 1] * 8) {
      this.#learnOption(bytes, option, bytes[option + 1] * 8, source, now);
    }
    this.#schedule();
  }

  /** Hop limit, reachable time and retransmission time; 0 = not said. */
  #learnTimes(bytes: Uint8Array, at: number): void {
    const { neighbours } = this.#nic;
    if (bytes[at + 4] !== 0) this.#nic.hopLimit = bytes[at + 4];
    const reachable = (get32(bytes, at + 8) >>> 0) * 1e6, retransmit = (get32(bytes, at + 12) >>> 0) * 1e6;
    if (reachable > 0) {
      neighbours.reachableNanos = Math.min(Math.max(reachable, REACHABLE_NANOS_MIN), REACHABLE_NANOS_MAX);
    }
    if (retransmit > 0) {
      neighbours.retransmitNanos = Math.min(Math.max(retransmit, RETRANSMIT_NANOS_MIN), RETRANSMIT_NANOS_MAX);
    }
  }

  #learnOption(bytes: Uint8Array, option: number, length: number, source: Address, now: number): void {
    switch (bytes[option]) {
      case OPTION_PREFIX:
        if (length === 32) this.#learnPrefix(bytes, option, now);
        break;
      case OPTION_MTU: {
        const mtu = get32(bytes, option + 4) >>> 0;
        if (mtu >= IPV6_MTU_MIN && mtu <= this.#nic.mtu && mtu !== this.#nic.ipv6Mtu) {
          this.#nic.ipv6Mtu = mtu;
          this.#nic.stack.routes.generation++;
        }
        break;
      }
      case OPTION_ROUTE:
        this.#learnInformation(bytes, option, length, source, now);
        break;
      case OPTION_NAME_SERVERS:
        if (this.listener !== null && length >= 24) this.#tellServers(bytes, option, length);
        break;
      case OPTION_SEARCH_LIST:
        if (this.listener !== null && length >= 16) {
          const names = readNames(bytes, option + 8, option + length);
          if (names.length > 0) {
            this.listener.onSearchDomains(this.#nic, names, get32(bytes, option + 4) >>> 0);
          }
        }
        break;
      default:
        break;
    }
  }

  #tellServers(bytes: Uint8Array, option: number, length: number): void {
    const servers: Address[] = [];
    for (let at = option + 8; at + 16 <= option + length && servers.length < NAMES_MAX; at += 16) {
      const server = new Address().read6(bytes, at);
      if (!server.isMulticast && !server.isUnspecified && !server.isV4) servers.push(server);
    }
    if (servers.length > 0) this.listener!.onNameServers(this.#nic, servers, get32(bytes, option + 4) >>> 0);
  }

  /** RFC 4191 section 2.3: prefix of 0, 8 or 16 bytes. */
  #learnInformation(bytes: Uint8Array, option: number, length: number, source: Address, now: number): void {
    const bits = bytes[option + 2];
    const preference = bytes[option + 3] >> 3 & 3;
    if (bits > 128 || length > 24 || length < (bits > 64 ? 24 : bits > 0 ? 16 : 8) || preference === 2) {
      return;
    }
    padded.fill(0);
    for (let i = 8; i < length; i++) padded[i - 8] = bytes[option + i];
    const prefix = new Address().read6(padded, 0).mask(bits);
    this.#learnRoute(prefix, bits, source, preference, get32(bytes, option + 4) >>> 0, now);
  }

  /** Enters, renews or, with `seconds` 0, removes a route by `gateway`. */
  #learnRoute(
    prefix: Address,
    bits: number,
    gateway: Address,
    preference: number,
    seconds: number,
    now: number,
  ): void {
    const { routes } = this.#nic.stack;
    const metric = ROUTE_METRIC + METRIC_OF_PREFERENCE[preference];
    const i = this.#routes.findIndex(({ entry }) =>
      entry.prefixBits === bits && entry.prefix.equals(prefix) && entry.gateway!.equals(gateway)
    );
    if (i >= 0 && (seconds === 0 || this.#routes[i].entry.metric !== metric)) this.#forgetRoute(i);
    else if (i >= 0) {
      this.#routes[i].until = until(now, seconds);
      return;
    }
    if (seconds === 0) return;
    const isDefault = bits === 0;
    const count = this.#routes.filter(({ entry }) => (entry.prefixBits === 0) === isDefault).length;
    if (count >= (isDefault ? ROUTERS_MAX : LEARNED_ROUTES_MAX)) return;
    const entry: RouteEntry = {
      prefix: prefix.clone(),
      prefixBits: bits,
      gateway: gateway.clone(),
      nic: this.#nic,
      metric,
      mtu: 0,
      source: null,
    };
    if (routes.add(entry) === 0) this.#routes.push({ entry, until: until(now, seconds) });
  }
  #forgetRoute(i: number): void {
    const [{ entry }] = this.#routes.splice(i, 1);
    this.#nic.stack.routes.remove((route) => route === entry);
  }

  /** RFC 4861 section 6.3.4 and RFC 4862 section 5.5.3. */
  #learnPrefix(bytes: Uint8Array, option: number, now: number): void {
    const bits = bytes[option + 2], flags = bytes[option + 3];
    const valid = get32(bytes, option + 4) >>> 0, preferred = get32(bytes, option + 8) >>> 0;
    const address = new Address().read6(bytes, option + 16);
    if (bits > 128 || address.isLinkLocal || address.isMulticast || address.isV4 || preferred > valid) return;
    address.mask(bits);
    let prefix = this.#prefixes.find((known) => known.bits === bits && known.address.equals(address));
    if (prefix === undefined) {
      if (valid === 0 || this.#prefixes.length >= PREFIXES_MAX) return;
      prefix = {
        address,
        bits,
        route: null,
        onLinkUntil: 0,
        stable: null,
        temporary: [],
        validUntil: 0,
        preferredUntil: 0,
        regenerateAt: NEVER,
      };
      this.#prefixes.push(prefix);
    }
    if ((flags & PREFIX_ON_LINK) !== 0) this.#setOnLink(prefix, until(now, valid), now);
    if ((flags & PREFIX_AUTONOMOUS) !== 0 && bits === 64) this.#configure(prefix, valid, preferred, now);
  }

  #setOnLink(prefix: Prefix, onLinkUntil: number, now: number): void {
    const { routes } = this.#nic.stack;
    prefix.onLinkUntil = onLinkUntil;
    if (onLinkUntil <= now) {
      const { route } = prefix;
      if (route !== null) routes.remove((entry) => entry === route);
      prefix.route = null;
      return;
    }
    if (prefix.route !== null) return;
    prefix.route = {
      prefix: prefix.address,
      prefixBits: prefix.bits,
      gateway: null,
      nic: this.#nic,
      metric: 256,
      mtu: 0,
      source: null,
    };
    routes.add(prefix.route);
  }

  #configure(prefix: Prefix, valid: number, preferred: number, now: number): void {
    const asked = until(now, valid);
    if (prefix.stable === null) {
      if (valid === 0) return;
      prefix.validUntil = asked;
      const made = new SelfAddress(this.#nic, prefix.address, false);
      prefix.stable = made;
      made.setLifetimes(until(now, preferred), asked);
      made.make();
    } else if (asked > now + TWO_HOURS_NANOS || asked > prefix.validUntil) {
      prefix.validUntil = asked;
    } else {
      prefix.validUntil = Math.min(prefix.validUntil, now + TWO_HOURS_NANOS);
    }
    prefix.preferredUntil = until(now, preferred);
    prefix.stable.setLifetimes(prefix.preferredUntil, prefix.validUntil);
    if (this.#nic.usesTemporaryAddresses) this.#configureTemporary(prefix, now);
  }

  /** RFC 8981 section 3.4. */
  #configureTemporary(prefix: Prefix, now: number): void {
    if (prefix.temporary.length === 0) this.#makeTemporary(prefix, now);
    for (const made of prefix.temporary) {
      made.setLifetimes(
        Math.min(made.preferredUntil, prefix.preferredUntil),
        Math.min(made.validUntil, prefix.validUntil),
      );
    }
  }
  #makeTemporary(prefix: Prefix, now: number): void {
    const { random } = this.#nic.stack;
    prefix.regenerateAt = NEVER;
    if (prefix.temporary.length >= TEMPORARY_MAX) prefix.temporary.shift()!.remove();
    const made = new SelfAddress(this.#nic, prefix.address, true);
    const desync = TEMPORARY_DESYNC_NANOS * random.below(1000) / 1000;
    const preferredUntil = Math.min(prefix.preferredUntil, now + TEMPORARY_PREFERRED_NANOS - desync);
    // One that would be over at once is not made.
    if (preferredUntil <= now + REGENERATE_ADVANCE_NANOS) return;
    made.setLifetimes(preferredUntil, Math.min(prefix.validUntil, now + TEMPORARY_VALID_NANOS));
    if (!made.make()) return;
    prefix.temporary.push(made);
    prefix.regenerateAt = preferredUntil - REGENERATE_ADVANCE_NANOS;
  }

  /** What is over goes. Addresses go by themselves, with their lifetimes. */
  #expire(now: number): void {
    for (let i = this.#routes.length - 1; i >= 0; i--) if (this.#routes[i].until <= now) this.#forgetRoute(i);
    for (let i = this.#prefixes.length - 1; i >= 0; i--) {
      const prefix = this.#prefixes[i];
      if (prefix.route !== null && prefix.onLinkUntil <= now) this.#setOnLink(prefix, 0, now);
      if (now >= prefix.regenerateAt) this.#makeTemporary(prefix, now);
      for (let j = prefix.temporary.length - 1; j >= 0; j--) {
        if (prefix.temporary[j].validUntil <= now) prefix.temporary.splice(j, 1);
      }
      if (prefix.validUntil <= now && prefix.stable !== null) prefix.stable = null;
      if (prefix.route === null && prefix.stable === null && prefix.temporary.length === 0) {
        this.#prefixes.splice(i, 1);
      }
    }
  }

  #schedule(): void {
    let next = this.#solicitAt;
    for (const route of this.#routes) next = Math.min(next, route.until);
    for (const prefix of this.#prefixes) {
      next = Math.min(next, prefix.regenerateAt);
      if (prefix.route !== null) next = Math.min(next, prefix.onLinkUntil);
      if (prefix.stable !== null) next = Math.min(next, prefix.validUntil);
      for (const made of prefix.temporary) next = Math.min(next, made.validUntil);
    }
    const { timers } = this.#nic.stack;
    if (next === NEVER) timers.stop(this.#timer);
    else timers.set(this.#timer, next);
  }

  close(): void {
    this.#nic.stack.timers.remove(this.#timer);
    this.#prefixes.length = 0;
    this.#routes.length = 0;
  }
}

const DEFAULT = new Address();
/** RFC 4191 section 2.1: medium, high, reserved (taken as medium), low. */
const METRIC_OF_PREFERENCE: readonly number[] = [0, -1, 0, 1];
const padded = new Uint8Array(16);

function until(now: number, seconds: number): number {
  return seconds === INFINITE_SECONDS ? NEVER : now + seconds * 1e9;
}

/** Domain names of a search list, RFC 1035 section 3.1 without compression; what is malformed ends it. */
function readNames(bytes: Uint8Array, at: number, end: number): string[] {
  const names: string[] = [];
  let name = "";
  while (at < end && names.length < NAMES_MAX) {
    const length = bytes[at++];
    if (length === 0) {
      // Padding follows the last name.
      if (name === "") break;
      names.push(name);
      name = "";
      continue;
    }
    if (length > 63 || at + length > end || name.length + length > NAME_BYTES_MAX) break;
    if (name !== "") name += ".";
    for (let i = 0; i < length; i++, at++) {
      const c = bytes[at];
      // Nothing that could be more than a name where it is written down.
      if (c <= 0x20 || c >= 0x7f || c === 0x2e) return names;
      name += String.fromCharCode(c);
    }
  }
  return names;
}

/** A router advertisement, RFC 4861 section 6.1.2: from a link-local address, options well-formed. */
export function receiveRouterAdvertisement(packet: Packet, nic: Nic): void {
  const discovery = nic.routerDiscovery;
  // A router itself takes none (RFC 4861 section 6.2.2).
  if (discovery === null || nic.isForwarding || packet.length < RA_OPTIONS_AT) return;
  if (!packet.source.isLinkLocal || nic.hasAddress(packet.source)) return;
  if (hasGoodOptions(packet, RA_OPTIONS_AT)) discovery.receive(packet);
}

function sendRouterSolicitation(nic: Nic): void {
  const own = nic.addresses.find((entry) =>
    !entry.address.isV4 && entry.address.isLinkLocal && entry.isUsable
  );
  const length = own === undefined ? 8 : 16;
  const packet = nic.stack.pool.allocate(IPV6_BYTES + length);
  if (packet === null) return;
  const { bytes, at } = packet;
  bytes.fill(0, at, packet.end);
  const icmpAt = at + IPV6_BYTES;
  bytes[icmpAt] = ICMPV6_ROUTER_SOLICITATION;
  if (own !== undefined) {
    bytes[icmpAt + 8] = OPTION_SOURCE_LINK;
    bytes[icmpAt + 9] = 1;
    for (let i = 0; i < 6; i++) bytes[icmpAt + 10 + i] = nic.link.address[i];
    packet.source.copy(own.address);
  } else {
    packet.source.setUnspecified(false);
  }
  packet.destination.setWords(0xff020000, 0, 0, 2);
  putIpv6Start(bytes, at, 0, 0);
  put16(bytes, at + 4, length);
  bytes[at + 6] = IPPROTO_ICMPV6;
  bytes[at + 7] = 255;
  packet.source.write6(bytes, at + IPV6_SOURCE_AT);
  packet.destination.write6(bytes, at + IPV6_DESTINATION_AT);
  const sum = sumPseudoHeader(packet.source, packet.destination, IPPROTO_ICMPV6, length);
  putChecksum(bytes, icmpAt + 2, checksumOf(sumBytes(sum, bytes, icmpAt, length)));
  packet.etherType = ETHERTYPE_IPV6;
  noteMulticastHardware(packet, packet.destination);
  nic.stack.icmp.statistics.v6.count(false, ICMPV6_ROUTER_SOLICITATION);
  nic.send(packet);
}
