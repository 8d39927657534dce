// Raw endpoints: IP packets of one protocol, as they come and as they are written. raw(7), RFC 3542 section 3.

import { DatagramEndpoint } from "../datagram_endpoint.ts";
import { ENDPOINT_RAW, EndpointAddress, type OutgoingControl } from "../endpoint.ts";
import { EAFNOSUPPORT, EINVAL, EMSGSIZE, ENOBUFS, EOPNOTSUPP } from "../errno.ts";
import { Fragmentation, type NetworkError } from "../ip/ip.ts";
import { IP_HDRINCL, IPV6_CHECKSUM, IPV6_HDRINCL, SOL_IP, SOL_IPV6 } from "../ip/options.ts";
import type { Nic } from "../nic.ts";
import { optionNumber } from "../options.ts";
import { Checksum, type Packet } from "../packet.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { copyBytes, get16, put16 } from "../wire/bytes.ts";
import { checksumOf, fold, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import {
  IPV4_BYTES,
  IPV4_DESTINATION_AT,
  IPV4_ID_AT,
  IPV4_LENGTH_AT,
  IPV4_PROTOCOL_AT,
  IPV4_SOURCE_AT,
  IPV4_TTL_AT,
  ipv4HeaderBytes,
  sealIpv4Header,
} from "../wire/ipv4.ts";
import { IPV6_BYTES, IPV6_DESTINATION_AT, IPV6_HOPS_AT, IPV6_NEXT_AT, IPV6_SOURCE_AT } from "../wire/ipv6.ts";
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_RAW,
} from "../wire/numbers.ts";
import { ICMP_FILTER, ICMPV6_FILTER, SOL_ICMPV6, SOL_RAW } from "./options.ts";

const HDRINCL = optionNumber(SOL_IP, IP_HDRINCL);
const V6_HDRINCL = optionNumber(SOL_IPV6, IPV6_HDRINCL);
const V6_CHECKSUM = optionNumber(SOL_IPV6, IPV6_CHECKSUM);
const FILTER = optionNumber(SOL_RAW, ICMP_FILTER);
const FILTER6 = optionNumber(SOL_ICMPV6, ICMPV6_FILTER);
const PAYLOAD_MAX = 65_535 - IPV4_BYTES;

/** The raw endpoints of a stack. */
export class Raw {
  readonly #endpoints: RawEndpoint[] = [];

  get endpoints(): readonly RawEndpoint[] {
    return this.#endpoints;
  }

  enter(endpoint: RawEndpoint): void {
    this.#endpoints.push(endpoint);
  }
  remove(endpoint: RawEndpoint): void {
    const i = this.#endpoints.indexOf(endpoint);
    if (i >= 0) this.#endpoints.splice(i, 1);
  }

  /** Hands a packet to all whom it concerns; true when there was one. */
  receive(packet: Packet, nic: Nic): boolean {
    let any = false;
    for (const endpoint of this.#endpoints) if (endpoint.receive(packet, nic)) any = true;
    return any;
  }
  receiveError(error: NetworkError): void {
    for (const endpoint of this.#endpoints) {
      if (endpoint.protocol === error.protocol && endpoint.isV4 === error.source.isV4) {
        endpoint.hearError(error, 0, 0);
      }
    }
  }
}

const peer = new EndpointAddress();

export class RawEndpoint extends DatagramEndpoint {
  /** IP protocol; IPPROTO_RAW only sends. */
  readonly protocol: number;
  readonly #toRoute = new Route();
  /** Types that are kept out: 32 bits of ICMP_FILTER, 256 of ICMPV6_FILTER. */
  readonly #filter = new Uint32Array(8);

  constructor(stack: Stack, isV4: boolean, protocol: number) {
    super(stack, ENDPOINT_RAW, isV4);
    this.protocol = protocol;
    if (protocol === IPPROTO_RAW) this.options.store(isV4 ? HDRINCL : V6_HDRINCL, 1);
    stack.raw.enter(this);
  }

  override bind(to: EndpointAddress): number {
    const allowed = this.checkBind(to);
    if (allowed < 0) return allowed;
    this.setLocal(to.address);
    return 0;
  }
  override connect(to: EndpointAddress): number {
    const found = this.routeTo(to, this.route, null);
    if (found < 0) return found;
    if (!this.hasSource) this.setLocal(this.route.source);
    this.remote.copy(this.route.destination);
    this.isConnected = true;
    return 0;
  }
  override disconnect(): number {
    this.isConnected = false;
    return 0;
  }

  write(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: OutgoingControl | null,
  ): number {
    const ready = this.target(control);
    if (ready < 0) return ready;
    if (length > PAYLOAD_MAX) return -EMSGSIZE;
    const to = control === null ? null : control.to;
    if (to !== null && to.address.isV4 !== this.isV4) return -EAFNOSUPPORT;
    const route = this.#toRoute;
    peer.address.copy(this.remote);
    peer.scope = this.nicId;
    const found = this.routeTo(to ?? peer, route, control, flags);
    if (found < 0) return found;
    const packet = this.stack.pool.allocate(length);
    if (packet === null) return -ENOBUFS;
    copyBytes(packet.bytes, packet.at, from, at, length);
    this.note(packet, route, control);
    if (this.options.value(this.isV4 ? HDRINCL : V6_HDRINCL) !== 0) {
      return this.isV4 ? this.#sendWhole(packet, route, length) : this.#sendWhole6(packet, route, length);
    }
    packet.transportAt = packet.at;
    packet.protocol = this.protocol;
    if (!this.isV4) {
      const sealed = this.#seal(packet);
      if (sealed < 0) {
        packet.release();
        return sealed;
      }
    }
    const result = this.stack.ip.send(
      packet,
      route,
      this.fragmentation(route, length + (this.isV4 ? IPV4_BYTES : IPV6_BYTES)),
    );
    return result < 0 ? result : length;
  }

  /** raw(7), IP_HDRINCL: length, checksum, and source and id where they are zero, are filled in. */
  #sendWhole(packet: Packet, route: Route, length: number): number {
    const { bytes, at } = packet;
    const headerBytes = length < IPV4_BYTES ? 0 : ipv4HeaderBytes(bytes, at);
    if (headerBytes < IPV4_BYTES || headerBytes > length || bytes[at] >> 4 !== 4) {
      packet.release();
      return -EINVAL;
    }
    put16(bytes, at + IPV4_LENGTH_AT, length);
    if (get16(bytes, at + IPV4_ID_AT) === 0) put16(bytes, at + IPV4_ID_AT, this.stack.random.word() & 0xffff);
    packet.source.read4(bytes, at + IPV4_SOURCE_AT);
    if (packet.source.isUnspecified) {
      route.source.write4(bytes, at + IPV4_SOURCE_AT);
      packet.source.copy(route.source);
    }
    packet.destination.read4(bytes, at + IPV4_DESTINATION_AT);
    packet.protocol = bytes[at + IPV4_PROTOCOL_AT];
    packet.ttl = bytes[at + IPV4_TTL_AT];
    packet.networkAt = at;
    packet.transportAt = at + headerBytes;
    packet.etherType = ETHERTYPE_IPV4;
    sealIpv4Header(bytes, at);
    // Fragments are the program's affair: what does not fit is refused.
    const result = this.stack.ip.sendWhole(packet, route, Fragmentation.Probe);
    return result < 0 ? result : length;
  }

  /** IPV6_HDRINCL: the header is the program's, to the last bit. */
  #sendWhole6(packet: Packet, route: Route, length: number): number {
    const { bytes, at } = packet;
    if (length < IPV6_BYTES || bytes[at] >> 4 !== 6) {
      packet.release();
      return -EINVAL;
    }
    packet.source.read6(bytes, at + IPV6_SOURCE_AT);
    packet.destination.read6(bytes, at + IPV6_DESTINATION_AT);
    packet.protocol = bytes[at + IPV6_NEXT_AT];
    packet.ttl = bytes[at + IPV6_HOPS_AT];
    packet.networkAt = at;
    packet.transportAt = at + IPV6_BYTES;
    packet.etherType = ETHERTYPE_IPV6;
    const result = this.stack.ip.sendWhole(packet, route, Fragmentation.Probe);
    return result < 0 ? result : length;
  }

  /** IPV6_CHECKSUM: where the option says, and always for ICMPv6 (RFC 3542 section 3.1). */
  #seal(packet: Packet): number {
    const offset = this.protocol === IPPROTO_ICMPV6 ? 2 : this.options.value(V6_CHECKSUM);
    if (offset < 0) return 0;
    const { bytes, at, length } = packet;
    if (offset + 2 > length) return -EINVAL;
    bytes[at + offset] = bytes[at + offset + 1] = 0;
    const sum = sumPseudoHeader(packet.source, packet.destination, this.protocol, length);
    putChecksum(bytes, at + offset, checksumOf(sumBytes(sum, bytes, at, length)));
    return 0;
  }

  /** Takes a copy of a packet that concerns it: IPv4 with its header, IPv6 without. */
  receive(packet: Packet, nic: Nic): boolean {
    const isV4 = packet.source.isV4;
    if (this.isV4 !== isV4 || this.protocol !== packet.protocol || this.protocol === IPPROTO_RAW) {
      return false;
    }
    if (this.nicId !== 0 && this.nicId !== nic.id) return false;
    if (!this.local.isUnspecified && !this.local.equals(packet.destination)) return false;
    if (this.isConnected && !this.remote.equals(packet.source)) return false;
    if (packet.destination.isMulticast && !this.hearsGroup(packet.destination, nic.id, packet.source)) {
      return false;
    }
    const type = packet.transportAt < packet.end ? packet.bytes[packet.transportAt] : 0;
    if (this.#isFiltered(type) || !this.#isSound(packet)) return false;
    const from = isV4 ? packet.networkAt : packet.transportAt;
    // Read or lost for want of room: somebody is there.
    this.enter(packet, from, packet.end - from);
    return true;
  }

  #isFiltered(type: number): boolean {
    if (this.protocol !== IPPROTO_ICMP && this.protocol !== IPPROTO_ICMPV6) return false;
    // ICMP_FILTER has 32 types.
    if (this.protocol === IPPROTO_ICMP && type >= 32) return false;
    return (this.#filter[type >> 5] >>> (type & 31) & 1) !== 0;
  }

  /** A bad checksum where the option asks for one. */
  #isSound(packet: Packet): boolean {
    const offset = this.isV4 || this.protocol === IPPROTO_ICMPV6 ? -1 : this.options.value(V6_CHECKSUM);
    if (offset < 0 || packet.checksum !== Checksum.Unknown) return true;
    const length = packet.end - packet.transportAt;
    const sum = sumPseudoHeader(packet.source, packet.destination, this.protocol, length);
    return fold(sumBytes(sum, packet.bytes, packet.transportAt, length)) === 0xffff;
  }

  override setOtherOption(option: number, from: Uint8Array, at: number, length: number): number {
    if (option !== FILTER && option !== FILTER6) return super.setOtherOption(option, from, at, length);
    const bytes = this.#filterBytes(option);
    if (bytes < 0) return bytes;
    for (let i = 0; i < Math.min(bytes, length); i++) this.#filterView[i] = from[at + i];
    return 0;
  }
  override getOtherOption(option: number, into: Uint8Array, at: number, length: number): number {
    if (option !== FILTER && option !== FILTER6) return super.getOtherOption(option, into, at, length);
    const bytes = this.#filterBytes(option);
    if (bytes < 0) return bytes;
    const n = Math.min(bytes, length);
    for (let i = 0; i < n; i++) into[at + i] = this.#filterView[i];
    return n;
  }
  #filterBytes(option: number): number {
    if (option === FILTER) return this.protocol === IPPROTO_ICMP && this.isV4 ? 4 : -EOPNOTSUPP;
    return this.protocol === IPPROTO_ICMPV6 && !this.isV4 ? 32 : -EOPNOTSUPP;
  }
  get #filterView(): Uint8Array {
    return new Uint8Array(this.#filter.buffer);
  }

  close(): boolean {
    this.stack.raw.remove(this);
    this.releaseQueues();
    return true;
  }
}
