// Router advertisements and what follows from them: default routes, prefixes, addresses of our own making. RFC 4861
// section 6.3.4, RFC 4862 section 5.5.3. Off unless the interface's `acceptsRouterAdvertisements` is set.

import { Address } from "../address.ts";
import type { InterfaceAddress, Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { Timer, type TimerOwner } from "../timer.ts";
import { get16, get32, put16 } from "../wire/bytes.ts";
import { checksumOf, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import { ICMPV6_ROUTER_SOLICITATION } from "../wire/icmp.ts";
import { IPV6_BYTES, IPV6_DESTINATION_AT, IPV6_MTU_MIN, IPV6_SOURCE_AT, putIpv6Start } from "../wire/ipv6.ts";
import { ETHERTYPE_IPV6, IPPROTO_ICMPV6 } from "../wire/numbers.ts";
import { hasGoodOptions, optionAt } from "./ndp.ts";
import { noteMulticastHardware, OPTION_SOURCE_LINK } from "./ndp_send.ts";

const RA_OPTIONS_AT = 16;
const OPTION_PREFIX = 3;
const OPTION_MTU = 5;
const PREFIX_ON_LINK = 0x80;
const PREFIX_AUTONOMOUS = 0x40;
/** Prefixes and routers taken from one link at most: an attacker's advertisements fill no table. */
const PREFIXES_MAX = 16;
const ROUTERS_MAX = 8;
/** RFC 4861 section 10: solicitations of a host, and how far apart. */
const SOLICITATIONS_MAX = 3;
const SOLICITATION_NANOS = 4e9;
/** RFC 4862 section 5.5.3 (e): a shorter lifetime is not believed at once. */
const TWO_HOURS_NANOS = 7200e9;
const ROUTE_METRIC = 1024;
const INFINITE_SECONDS = 0xffff_ffff;

interface Prefix {
  readonly address: Address;
  readonly bits: number;
  /** The address we made of it, if any; and until when it lives and is preferred. */
  own: InterfaceAddress | null;
  validUntil: number;
  preferredUntil: number;
}

/** What one interface has learned from routers. */
export class RouterDiscovery implements TimerOwner {
  readonly #nic: Nic;
  readonly #timer = new Timer(this, 0);
  readonly #prefixes: Prefix[] = [];
  readonly #routers: { readonly address: Address; until: number }[] = [];
  #solicitations = 0;

  constructor(nic: Nic) {
    this.#nic = nic;
    this.#solicit();
  }

  onTimer(_kind: number, now: number): void {
    if (this.#routers.length === 0 && this.#solicitations < SOLICITATIONS_MAX) this.#solicit();
    this.#expire(now);
  }

  #solicit(): void {
    this.#solicitations++;
    sendRouterSolicitation(this.#nic);
    this.#nic.stack.timers.set(this.#timer, this.#nic.stack.now + SOLICITATION_NANOS);
  }

  receive(packet: Packet): void {
    const { bytes, at } = packet;
    const now = this.#nic.stack.now;
    this.#learnRouter(packet.source, get16(bytes, at + 6), now);
    const link = optionAt(packet, OPTION_SOURCE_LINK, RA_OPTIONS_AT);
    if (link >= 0 && (bytes[link + 2] & 1) === 0) {
      const entry = this.#nic.neighbours.resolve(packet.source);
      entry.learn(get16(bytes, link + 2), get32(bytes, link + 4), false, true);
      entry.isRouter = true;
    }
    const mtuAt = optionAt(packet, OPTION_MTU, RA_OPTIONS_AT);
    if (mtuAt >= 0) {
      const mtu = get32(bytes, mtuAt + 4) >>> 0;
      if (mtu >= IPV6_MTU_MIN && mtu < this.#nic.mtu) this.#nic.link.setMtu(mtu);
    }
    for (let option = at + RA_OPTIONS_AT; option < packet.end; option += bytes[option + 1] * 8) {
      if (bytes[option] === OPTION_PREFIX && bytes[option + 1] === 4) this.#learnPrefix(bytes, option, now);
    }
    this.#schedule(now);
  }

  #learnRouter(address: Address, seconds: number, now: number): void {
    const known = this.#routers.find((router) => router.address.equals(address));
    const { routes } = this.#nic.stack;
    if (seconds === 0) {
      if (known === undefined) return;
      this.#routers.splice(this.#routers.indexOf(known), 1);
      routes.remove((route) => route.gateway !== null && route.gateway.equals(known.address));
      return;
    }
    if (known !== undefined) {
      known.until = now + seconds * 1e9;
      return;
    }
    if (this.#routers.length >= ROUTERS_MAX) return;
    const router = { address: address.clone(), until: now + seconds * 1e9 };
    this.#routers.push(router);
    routes.add({
      prefix: new Address(),
      prefixBits: 0,
      gateway: router.address,
      nic: this.#nic,
      metric: ROUTE_METRIC,
      mtu: 0,
      source: null,
    });
  }

  /** RFC 4862 section 5.5.3. */
  #learnPrefix(bytes: Uint8Array, option: number, now: number): void {
    const bits = bytes[option + 2], flags = bytes[option + 3];
    const valid = get32(bytes, option + 4) >>> 0, preferred = get32(bytes, option + 8) >>> 0;
    const address = new Address().read6(bytes, option + 16);
    if (bits > 128 || address.isLinkLocal || address.isMulticast || preferred > valid) return;
    address.mask(bits);
    let prefix = this.#prefixes.find((known) => known.bits === bits && known.address.equals(address));
    if (prefix === undefined) {
      if (valid === 0 || this.#prefixes.length >= PREFIXES_MAX) return;
      prefix = { address, bits, own: null, validUntil: 0, preferredUntil: 0 };
      this.#prefixes.push(prefix);
      if ((flags & PREFIX_ON_LINK) !== 0) {
        this.#nic.stack.routes.add({
          prefix: address,
          prefixBits: bits,
          gateway: null,
          nic: this.#nic,
          metric: ROUTE_METRIC,
          mtu: 0,
          source: null,
        });
      }
    }
    const until = valid === INFINITE_SECONDS ? Infinity : now + valid * 1e9;
    const isBelieved = until > now + TWO_HOURS_NANOS || until > prefix.validUntil;
    prefix.validUntil = isBelieved ? until : Math.min(prefix.validUntil, now + TWO_HOURS_NANOS);
    prefix.preferredUntil = preferred === INFINITE_SECONDS ? Infinity : now + preferred * 1e9;
    if ((flags & PREFIX_AUTONOMOUS) !== 0 && bits === 64 && prefix.own === null) {
      prefix.own = this.#nic.stack.addStableAddress(this.#nic, address);
    }
    if (prefix.own !== null) prefix.own.isDeprecated = prefix.preferredUntil <= now;
  }

  #expire(now: number): void {
    const { stack } = this.#nic;
    for (let i = this.#routers.length - 1; i >= 0; i--) {
      const router = this.#routers[i];
      if (router.until > now) continue;
      this.#routers.splice(i, 1);
      stack.routes.remove((route) => route.gateway === router.address);
    }
    for (let i = this.#prefixes.length - 1; i >= 0; i--) {
      const prefix = this.#prefixes[i];
      if (prefix.own !== null) prefix.own.isDeprecated = prefix.preferredUntil <= now;
      if (prefix.validUntil > now) continue;
      this.#prefixes.splice(i, 1);
      stack.routes.remove((route) => route.prefix === prefix.address);
      if (prefix.own !== null) stack.removeAddress(this.#nic, prefix.own.address);
    }
    this.#schedule(now);
  }

  #schedule(now: number): void {
    let next = Infinity;
    for (const router of this.#routers) next = Math.min(next, router.until);
    for (const prefix of this.#prefixes) {
      next = Math.min(next, prefix.validUntil);
      if (prefix.preferredUntil > now) next = Math.min(next, prefix.preferredUntil);
    }
    if (this.#routers.length === 0 && this.#solicitations < SOLICITATIONS_MAX) {
      next = Math.min(next, now + SOLICITATION_NANOS);
    }
    if (next !== Infinity) this.#nic.stack.timers.set(this.#timer, next);
  }
}

/** A router advertisement, RFC 4861 section 6.1.2: from a link-local address, options well-formed. */
export function receiveRouterAdvertisement(packet: Packet, nic: Nic): void {
  const discovery = nic.routerDiscovery;
  if (discovery === null || packet.length < RA_OPTIONS_AT) return;
  if (!packet.source.isLinkLocal || !hasGoodOptions(packet, RA_OPTIONS_AT)) return;
  discovery.receive(packet);
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
  nic.send(packet);
}
