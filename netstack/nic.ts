// A network interface: its link, its addresses, its groups and flags. Linux: struct net_device, in_device, inet6_dev.

import type { Address } from "./address.ts";
import { EADDRNOTAVAIL, EEXIST } from "./errno.ts";
import { type Link, LINK_LOOPBACK, LINK_NEIGHBOURS } from "./link/link.ts";
import { Lifetimes } from "./ip/lifetimes.ts";
import { Membership } from "./ip/membership.ts";
import type { RouterDiscovery } from "./ip/router_discovery.ts";
import { NeighbourTable } from "./neighbour.ts";
import { NicStatistics } from "./nic_statistics.ts";
import { type Packet, PacketType } from "./packet.ts";
import type { RouteEntry } from "./route.ts";
import type { Stack } from "./stack.ts";
import { NEVER } from "./timer.ts";

/** Addresses of one interface at most. */
export const ADDRESSES_MAX = 256;

/** An address of an interface, with its prefix in the unified form (an IPv4 /24 is 120). */
export class InterfaceAddress {
  readonly address: Address;
  readonly prefixBits: number;
  /** Duplicate detection is under way: it receives nothing and nothing is sent from it (RFC 4862 section 5.4). */
  isTentative = false;
  /** Another station has it: it stays unusable. */
  isDuplicate = false;
  /** Not chosen for new connections any more (RFC 4862 section 5.5.4). */
  isDeprecated = false;
  /** RFC 8981. */
  isTemporary = false;
  /** When it is no longer preferred, and no longer at all; NEVER = for ever. Set through Nic.lifetimes. */
  preferredUntil = NEVER;
  validUntil = NEVER;
  /** Duplicate detection at work, and the nonce of its last question (RFC 7527). */
  detection: unknown = null;
  nonceHigh = -1;
  nonceLow = 0;
  /** Called when another station has it; null = nobody is. */
  onDuplicate: (() => void) | null = null;
  /** The interface it is entered at, and the next one of the same address on another. For Stack.nicOf(). */
  nic: Nic | null = null;
  also: InterfaceAddress | null = null;

  constructor(address: Address, prefixBits: number) {
    this.address = address;
    this.prefixBits = prefixBits;
  }
  get isUsable(): boolean {
    return !this.isTentative && !this.isDuplicate;
  }
}

/** Called with every packet that comes in or goes out, network header at packet.at: packet endpoints. */
export interface PacketTap {
  onPacket(packet: Packet, nic: Nic): void;
  /** The interface went down, or is removed. */
  onNicGone?(nic: Nic, isRemoved: boolean): void;
}

export class Nic {
  readonly stack: Stack;
  /** Interface index, from 1. */
  readonly id: number;
  name: string;
  readonly link: Link;
  isUp = false;
  /** Packets for others are passed on: ip_forward and ipv6 forwarding of this interface. */
  isForwarding = false;
  /** Questions for addresses that we know a way to by another interface are answered (proxy_arp). */
  proxiesArp = false;
  /** Routes that redirects have made here. */
  readonly redirects: RouteEntry[] = [];
  /** Packets for every destination are ours: forwarders of UDP and TCP see all flows. */
  takesAll = false;
  /** Frames for other stations reach taps. */
  isPromiscuous = false;
  readonly addresses: InterfaceAddress[] = [];
  readonly neighbours: NeighbourTable;
  readonly statistics = new NicStatistics();
  readonly membership: Membership;
  readonly taps: PacketTap[] = [];
  /** Set while router advertisements are accepted. */
  routerDiscovery: RouterDiscovery | null = null;
  readonly isLoopback: boolean;
  readonly hasNeighbours: boolean;
  readonly lifetimes = new Lifetimes(this);
  /** Hop limit of IPv6 packets that say none of their own; and their MTU where a router said less than the link's. */
  hopLimit = 64;
  ipv6Mtu = 0;
  /** Temporary addresses are made of advertised prefixes, and preferred (use_tempaddr 2). */
  usesTemporaryAddresses = false;

  constructor(stack: Stack, id: number, name: string, link: Link) {
    this.stack = stack;
    this.id = id;
    this.name = name;
    this.link = link;
    this.isLoopback = (link.features & LINK_LOOPBACK) !== 0;
    this.hasNeighbours = (link.features & LINK_NEIGHBOURS) !== 0;
    this.neighbours = new NeighbourTable(this);
    this.membership = new Membership(this);
    link.attach(this);
  }

  /** Somebody observes its packets: they must be real ones. */
  get isTapped(): boolean {
    return this.taps.length > 0 || this.stack.taps.length > 0;
  }

  get mtu(): number {
    return this.link.mtu;
  }

  /** 0, -EEXIST, -EADDRNOTAVAIL where the interface has too many. Routes are the caller's: Stack.addAddress. */
  addAddress(entry: InterfaceAddress): number {
    if (this.find(entry.address) !== null) return -EEXIST;
    if (this.addresses.length >= ADDRESSES_MAX) return -EADDRNOTAVAIL;
    entry.nic = this;
    this.addresses.push(entry);
    return 0;
  }
  removeAddress(address: Address): number {
    const i = this.addresses.findIndex((entry) => entry.address.equals(address));
    if (i < 0) return -EADDRNOTAVAIL;
    this.addresses.splice(i, 1);
    return 0;
  }
  find(address: Address): InterfaceAddress | null {
    for (const entry of this.addresses) if (entry.address.equals(address)) return entry;
    return null;
  }
  /** It is one of ours here, and may be used. Every address of 127.0.0.0/8 is, on loopback. */
  hasAddress(address: Address): boolean {
    const entry = this.find(address);
    if (entry !== null) return entry.isUsable;
    return this.isLoopback && address.isV4 && address.isLoopback;
  }
  /** 255.255.255.255, or the last address of one of our IPv4 subnets. */
  isBroadcast(address: Address): boolean {
    if (!address.isV4) return false;
    if (address.isLimitedBroadcast) return true;
    for (const entry of this.addresses) {
      if (!entry.address.isV4 || entry.prefixBits > 126) continue;
      const hostMask = -1 >>> (entry.prefixBits - 96);
      if ((address.d & hostMask) === hostMask && address.isWithin(entry.address, entry.prefixBits)) {
        return true;
      }
    }
    return false;
  }

  joinGroup(address: Address): number {
    return this.membership.join(address);
  }
  leaveGroup(address: Address): void {
    this.membership.leave(address);
  }
  isMember(address: Address): boolean {
    return this.membership.isMember(address);
  }

  /** A packet has come in, see LinkReceiver. */
  receive(packet: Packet): void {
    const statistics = this.statistics;
    if (!this.isUp) {
      statistics.receiveDropped++;
      return;
    }
    packet.nicId = this.id;
    packet.timestamp = this.stack.now;
    packet.networkAt = packet.at;
    statistics.receivePackets++;
    statistics.receiveBytes += packet.length;
    if (this.isTapped) this.#tap(packet);
    if (packet.packetType === PacketType.OtherHost) return;
    if (packet.packetType === PacketType.Multicast) statistics.receiveMulticast++;
    this.stack.receive(packet, this);
  }

  /** A packet of this host's own that comes back: neither counted nor shown to taps again. */
  receiveOwn(packet: Packet): void {
    if (!this.isUp) return;
    packet.networkAt = packet.at;
    packet.packetType = PacketType.Outgoing;
    this.stack.receive(packet, this);
  }

  /** Sends a packet whose network header is at packet.at, hardware address noted. Takes it over. */
  send(packet: Packet): void {
    const statistics = this.statistics;
    if (!this.isUp) {
      statistics.sendDropped++;
      packet.release();
      return;
    }
    packet.nicId = this.id;
    packet.networkAt = packet.at;
    statistics.sendPackets++;
    statistics.sendBytes += packet.length;
    if (this.isTapped) {
      packet.packetType = PacketType.Outgoing;
      packet.timestamp = this.stack.now;
      this.#tap(packet);
    }
    this.link.send(packet);
  }

  #tap(packet: Packet): void {
    for (const tap of this.taps) tap.onPacket(packet, this);
    for (const tap of this.stack.taps) tap.onPacket(packet, this);
  }
}
