// The root of a network stack: what it was given (clock through poll, randomness, packet memory), its interfaces, tables
// and protocols. One thread, no promises: poll(now) does what is to do, pollAt() says when there is more.

import { Address, prefixBits } from "./address.ts";
import { AddressMap } from "./address_map.ts";
import type { FirewallHooks } from "./firewall/hooks.ts";
import { Icmp } from "./icmp/icmp.ts";
import { Ping, PingEndpoint } from "./icmp/ping.ts";
import { announceArp, receiveArp } from "./ip/arp.ts";
import { restartDetection, startDetection } from "./ip/duplicate_detection.ts";
import { NetworkError, type Transport } from "./ip/ip.ts";
import { receiveIpv4 } from "./ip/ipv4_input.ts";
import { receiveIpv6 } from "./ip/ipv6_input.ts";
import { solicitedNode } from "./ip/ndp_send.ts";
import { IpOutput } from "./ip/output.ts";
import { PathMtus } from "./ip/path_mtu.ts";
import { Reassembly } from "./ip/reassembly.ts";
import { RouterDiscovery } from "./ip/router_discovery.ts";
import { SelfAddress, SelfAddresses } from "./ip/self_addresses.ts";
import { IpSettings } from "./ip/settings.ts";
import { IpStatistics } from "./ip/statistics.ts";
import type { Link } from "./link/link.ts";
import { InterfaceAddress, Nic, type PacketTap } from "./nic.ts";
import { Checksum, type Packet, type PacketPool, PacketQueue } from "./packet.ts";
import { type RandomSource, RandomWords } from "./random.ts";
import { PacketEndpoint } from "./raw/packet_endpoint.ts";
import { Raw, RawEndpoint } from "./raw/raw.ts";
import { RouteTable } from "./route.ts";
import { EHOSTUNREACH, ENODEV } from "./errno.ts";
import { statisticsText } from "./statistics_text.ts";
import { type MemoryAccount, RingMemory } from "./tcp/ring.ts";
import { TcpEndpoint } from "./tcp/endpoint.ts";
import { Tcp } from "./tcp/protocol.ts";
import { tcpExtGroup, tcpGroup } from "./tcp/statistics.ts";
import { TimerQueue } from "./timer.ts";
import { UdpEndpoint } from "./udp/endpoint.ts";
import { Udp } from "./udp/protocol.ts";
import {
  ICMP_HOST_UNREACHABLE,
  ICMP_UNREACHABLE,
  ICMPV6_ADDRESS_UNREACHABLE,
  ICMPV6_UNREACHABLE,
} from "./wire/icmp.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "./wire/numbers.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_IGMP, IPPROTO_TCP, IPPROTO_UDP } from "./wire/numbers.ts";

/** Packets taken from one link in one turn, so that no link starves the others and the kernel's own work. */
const POLL_BUDGET = 256;
/** Rounds of one turn: packets that lead to packets on loopback and veth. */
const ROUNDS_MAX = 4;
/** Copies of our own multicasts and broadcasts that wait for the next turn. */
const COPIES_MAX = 256;

/** Packets whose senders are still to get the error that the neighbour does not answer. */
const UNREACHABLE_MAX = 256;
/** SO_EE_ORIGIN_ of ip(7). */
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;

export interface StackEnvironment {
  readonly pool: PacketPool;
  readonly random: RandomSource;
  /** Counts what buffers hold; absent = nobody does. */
  readonly memory?: MemoryAccount;
  /** One line for the operator: refused martians, full tables. Rate-limited by its callers. */
  log(text: string): void;
  /** Questions that duplicate address detection asks for a new IPv6 address (dad_transmits); 0 = none, default 1. */
  readonly duplicateProbes?: number;
}

/** Work that waits for the end of the turn: an endpoint that has something to send. */
export interface Deferred {
  /** It is on the list: it is entered once. */
  isDeferred: boolean;
  onTurnEnd(now: number): void;
}

export class Stack {
  readonly pool: PacketPool;
  readonly random: RandomWords;
  readonly log: (text: string) => void;
  readonly timers = new TimerQueue();
  /** Memory of all buffers. */
  readonly rings: RingMemory;
  /** By interface index; index 0 is never used. Removed ones leave undefined. */
  readonly nics: (Nic | undefined)[] = [undefined];
  loopback: Nic | null = null;
  /** Called with every packet of every interface. */
  readonly taps: PacketTap[] = [];
  readonly routes: RouteTable;
  readonly pathMtus: PathMtus;
  readonly reassembly: Reassembly;
  readonly ip: IpOutput;
  readonly ipSettings = new IpSettings();
  readonly ipv4 = new IpStatistics();
  readonly ipv6 = new IpStatistics();
  readonly icmp: Icmp;
  readonly ping: Ping;
  readonly udp: Udp;
  readonly tcp: Tcp;
  readonly raw: Raw;
  /** By IP protocol number. */
  readonly transports: (Transport | undefined)[] = [];
  firewall: FirewallHooks | null = null;
  /** Monotonic nanoseconds of the last poll(). */
  now = 0;
  readonly #duplicateProbes: number;
  readonly #copies = new PacketQueue();
  readonly #unreachable = new PacketQueue();
  #deferred: Deferred[] = [];
  #spare: Deferred[] = [];
  readonly #error = new NetworkError();
  /** Makes stable addresses, RFC 7217. */
  readonly selfAddresses: SelfAddresses;
  /** Every address of every interface. */
  readonly #own: AddressMap<InterfaceAddress>;

  constructor(environment: StackEnvironment) {
    this.pool = environment.pool;
    this.rings = new RingMemory(environment.memory);
    this.random = new RandomWords(environment.random);
    this.log = environment.log;
    this.#duplicateProbes = environment.duplicateProbes ?? 1;
    this.selfAddresses = new SelfAddresses(this);
    this.#own = new AddressMap(this.random.word());
    this.routes = new RouteTable(this);
    this.pathMtus = new PathMtus(this.random.word(), this.ipSettings);
    this.reassembly = new Reassembly(this);
    this.ip = new IpOutput(this);
    this.icmp = new Icmp(this);
    this.ping = new Ping(this);
    this.udp = new Udp(this);
    this.tcp = new Tcp(this);
    this.raw = new Raw();
    this.transports[IPPROTO_ICMP] = this.icmp.v4;
    this.transports[IPPROTO_ICMPV6] = this.icmp.v6;
    this.transports[IPPROTO_UDP] = this.udp;
    this.transports[IPPROTO_TCP] = this.tcp;
    this.transports[IPPROTO_IGMP] = {
      protocol: IPPROTO_IGMP,
      receive: (packet, nic) => nic.membership.receiveIgmp(packet),
      receiveError() {},
    };
  }

  addNic(name: string, link: Link): Nic {
    const nic = new Nic(this, this.nics.length, name, link);
    this.nics.push(nic);
    if (nic.isLoopback) this.loopback ??= nic;
    return nic;
  }
  removeNic(nic: Nic): void {
    this.detachNic(nic);
    nic.link.close();
  }
  /** As removeNic(), and its link may go to another stack. */
  detachNic(nic: Nic): void {
    this.setUp(nic, false);
    this.routes.remove((route) => route.nic === nic);
    for (const tap of [...nic.taps, ...this.taps]) tap.onNicGone?.(nic, true);
    nic.routerDiscovery?.close();
    while (nic.addresses.length > 0) this.removeAddress(nic, nic.addresses[0].address);
    nic.lifetimes.close();
    nic.membership.close();
    nic.neighbours.clear();
    this.nics[nic.id] = undefined;
    if (this.loopback === nic) this.loopback = null;
  }
  setUp(nic: Nic, isUp: boolean): void {
    if (nic.isUp === isUp) return;
    nic.isUp = isUp;
    this.routes.generation++;
    if (!isUp) {
      nic.neighbours.flush();
      for (const tap of [...nic.taps]) tap.onNicGone?.(nic, false);
      return;
    }
    // Others may have come to the link meanwhile.
    for (const entry of nic.addresses) {
      if (!entry.address.isV4) restartDetection(nic, entry, this.#duplicateProbes);
      else if (nic.hasNeighbours) announceArp(nic, entry.address);
    }
    nic.membership.announce();
    nic.routerDiscovery?.restart();
  }

  /**
   * Adds an address with its prefix (unified form) and the route to its subnet. 0 or -ERRNO. `probes` is how often duplicate
   * detection asks for an IPv6 address: 0 where it is known to be ours.
   */
  addAddress(nic: Nic, address: Address, bits: number, probes = this.#duplicateProbes): number {
    const entry = new InterfaceAddress(address.clone(), bits);
    const result = nic.addAddress(entry);
    if (result < 0) return result;
    entry.also = this.#own.get(address);
    this.#own.set(entry.address, entry);
    if (bits < 128) {
      this.routes.add({
        prefix: address.clone().mask(bits),
        prefixBits: bits,
        gateway: null,
        nic,
        metric: address.isV4 ? 0 : 256,
        mtu: 0,
        source: address.isV4 ? entry.address : null,
      });
    }
    this.routes.generation++;
    if (!address.isV4) startDetection(nic, entry, probes);
    else if (nic.hasNeighbours && nic.isUp) announceArp(nic, entry.address);
    return 0;
  }
  removeAddress(nic: Nic, address: Address): number {
    const entry = nic.find(address);
    const result = nic.removeAddress(address);
    if (result < 0 || entry === null) return result;
    this.#forgetOwn(entry);
    const prefix = entry.address.clone().mask(entry.prefixBits);
    const isShared = nic.addresses.some((other) =>
      other.prefixBits === entry.prefixBits && other.address.isWithin(prefix, entry.prefixBits)
    );
    // Every IPv4 address has its route, as the source that it names; IPv6 addresses of one prefix are all alike.
    let isFirst = !isShared || address.isV4;
    this.routes.remove((route) => {
      const matches = isFirst && route.nic === nic && route.gateway === null &&
        route.prefixBits === entry.prefixBits && route.prefix.equals(prefix) &&
        (!address.isV4 || route.source === entry.address);
      if (matches) isFirst = !isShared;
      return matches;
    });
    if (!address.isV4 && nic.hasNeighbours) nic.leaveGroup(solicitedNode(address, new Address()));
    entry.detection = null;
    this.routes.generation++;
    return 0;
  }
  #forgetOwn(entry: InterfaceAddress): void {
    const first = this.#own.get(entry.address);
    if (first === entry) {
      this.#own.delete(entry.address);
      if (entry.also !== null) this.#own.set(entry.also.address, entry.also);
    } else {
      for (let other = first; other !== null; other = other.also) {
        if (other.also === entry) other.also = entry.also;
      }
    }
    entry.also = null;
  }

  /** An address of our own making in a /64 (RFC 7217); null when there is none to be had. */
  addStableAddress(nic: Nic, prefix: Address): SelfAddress | null {
    const made = new SelfAddress(nic, prefix, false);
    return made.make() ? made : null;
  }
  /** The link-local address, without which IPv6 does not work. */
  addLinkLocal(nic: Nic): SelfAddress | null {
    return this.addStableAddress(nic, new Address().setWords(0xfe800000, 0, 0, 0));
  }
  addDefaultRoute(nic: Nic, gateway: Address): number {
    return this.routes.add({
      prefix: new Address().setUnspecified(gateway.isV4),
      prefixBits: prefixBits(0, gateway.isV4),
      gateway: gateway.clone(),
      nic,
      metric: gateway.isV4 ? 0 : 1024,
      mtu: 0,
      source: null,
    });
  }
  /** Takes addresses and routes from routers' advertisements on `nic` from now on. */
  acceptRouterAdvertisements(nic: Nic): number {
    if (!nic.hasNeighbours) return -ENODEV;
    nic.routerDiscovery ??= new RouterDiscovery(nic);
    return 0;
  }

  /** The interface that has `address`, null = none. Loopback counts for all of 127.0.0.0/8. */
  nicOf(address: Address): Nic | null {
    for (let entry = this.#own.get(address); entry !== null; entry = entry.also) {
      if (entry.isUsable) return entry.nic;
    }
    const { loopback } = this;
    return loopback !== null && loopback.isUp && address.isV4 && address.isLoopback ? loopback : null;
  }

  newTcpEndpoint(isV4: boolean): TcpEndpoint {
    return new TcpEndpoint(this, isV4);
  }
  newUdpEndpoint(isV4: boolean): UdpEndpoint {
    return new UdpEndpoint(this, isV4);
  }
  newPingEndpoint(isV4: boolean): PingEndpoint {
    return new PingEndpoint(this, isV4);
  }
  newRawEndpoint(isV4: boolean, protocol: number): RawEndpoint {
    return new RawEndpoint(this, isV4, protocol);
  }
  /** `isCooked`: without link header, SOCK_DGRAM of packet(7). */
  newPacketEndpoint(isCooked: boolean, etherType: number): PacketEndpoint {
    return new PacketEndpoint(this, isCooked, etherType);
  }

  /** Receives, fires timers, sends. True when there is more to do at once. */
  poll(now: number): boolean {
    this.now = now;
    if (this.pathMtus.tick(now)) this.routes.generation++;
    let isBusy = true;
    for (let round = 0; round < ROUNDS_MAX && isBusy; round++) {
      isBusy = this.#deliverCopies();
      if (!this.#unreachable.isEmpty) this.#tellUnreachable();
      for (let i = 1; i < this.nics.length; i++) {
        const nic = this.nics[i];
        if (nic !== undefined && nic.link.poll(now, POLL_BUDGET) > 0) isBusy = true;
      }
      if (round === 0) this.timers.expire(now);
      if (this.#endTurn(now)) isBusy = true;
      for (let i = 1; i < this.nics.length; i++) this.nics[i]?.link.flush();
    }
    return isBusy;
  }

  /** When poll() is to be called at the latest, nanoseconds; NEVER = only when a device has something. */
  pollAt(): number {
    if (this.#deferred.length > 0 || !this.#copies.isEmpty || !this.#unreachable.isEmpty) return 0;
    let at = this.timers.next;
    for (let i = 1; i < this.nics.length; i++) {
      const nic = this.nics[i];
      if (nic !== undefined) at = Math.min(at, nic.link.pollAt());
    }
    return at;
  }

  /** `work` is done at the end of this turn, or with the next poll. */
  defer(work: Deferred): void {
    if (work.isDeferred) return;
    work.isDeferred = true;
    this.#deferred.push(work);
  }

  #endTurn(now: number): boolean {
    const list = this.#deferred;
    if (list.length === 0) return false;
    this.#deferred = this.#spare;
    this.#spare = list;
    for (const work of list) {
      work.isDeferred = false;
      work.onTurnEnd(now);
    }
    list.length = 0;
    return true;
  }

  /** A packet for the network layer, from an interface. The caller keeps its reference. */
  receive(packet: Packet, nic: Nic): void {
    switch (packet.etherType) {
      case ETHERTYPE_IPV4:
        receiveIpv4(this, packet, nic);
        break;
      case ETHERTYPE_IPV6:
        receiveIpv6(this, packet, nic);
        break;
      case ETHERTYPE_ARP:
        receiveArp(packet, nic);
        break;
      default:
        break;
    }
  }

  /** A copy of an outgoing packet for members here; it comes in with the next turn as if by `nic`. */
  deliverCopy(packet: Packet, nic: Nic): void {
    if (this.#copies.count >= COPIES_MAX) return;
    const copy = this.pool.clone(packet);
    if (copy === null) return;
    copy.nicId = nic.id;
    copy.checksum = Checksum.Valid;
    this.#copies.push(copy);
  }

  #deliverCopies(): boolean {
    let any = false;
    for (let n = this.#copies.count; n > 0; n--) {
      const packet = this.#copies.shift()!;
      const nic = this.nics[packet.nicId];
      if (nic !== undefined) nic.receiveOwn(packet);
      packet.release();
      any = true;
    }
    return any;
  }

  /** The neighbour that `packet` (network header at packet.at) was for does not answer. Takes it over. */
  unreachable(packet: Packet): void {
    // Reported with the next turn: a caller that is sending just now must not be called back in the middle of it.
    if (this.#unreachable.count < UNREACHABLE_MAX) this.#unreachable.push(packet);
    else packet.release();
  }
  #tellUnreachable(): void {
    for (let n = this.#unreachable.count; n > 0; n--) {
      const packet = this.#unreachable.shift()!;
      this.#tellOne(packet);
      packet.release();
    }
  }
  #tellOne(packet: Packet): void {
    const isV4 = packet.destination.isV4;
    const type = isV4 ? ICMP_UNREACHABLE : ICMPV6_UNREACHABLE;
    const code = isV4 ? ICMP_HOST_UNREACHABLE : ICMPV6_ADDRESS_UNREACHABLE;
    if (this.nicOf(packet.source) === null) {
      packet.networkAt = packet.at;
      this.icmp.sendError(packet, type, code, 0);
      return;
    }
    if (packet.transportAt < 0) return;
    // As if we had sent the ICMP error to ourselves, which is what Linux does.
    const error = this.#error;
    error.source.copy(packet.source);
    error.destination.copy(packet.destination);
    error.protocol = packet.protocol;
    error.errno = EHOSTUNREACH;
    error.isHard = false;
    error.origin = isV4 ? ORIGIN_ICMP : ORIGIN_ICMP6;
    error.type = type;
    error.code = code;
    error.info = 0;
    error.offender.copy(packet.source);
    error.bytes = packet.bytes;
    error.at = packet.transportAt;
    error.length = packet.end - packet.transportAt;
    error.nicId = packet.nicId;
    this.transports[packet.protocol]?.receiveError(error);
    this.raw.receiveError(error);
  }

  /** A router says that the path to `destination` takes no more than `mtu`, and the caller has reason to believe it. */
  learnPathMtu(destination: Address, mtu: number): void {
    if (this.pathMtus.learn(destination, mtu, this.now)) this.routes.generation++;
  }

  /** All counters, a line each. */
  statisticsText(): string {
    return statisticsText(this, [tcpGroup(this.tcp.statistics), tcpExtGroup(this.tcp.statistics)]);
  }

  close(): void {
    this.tcp.close();
    this.reassembly.clear();
    this.#copies.clear();
    this.#unreachable.clear();
    for (const nic of this.nics) if (nic !== undefined) this.removeNic(nic);
  }
}
