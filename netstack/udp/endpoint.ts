// A UDP endpoint, udp(7).

import { DatagramEndpoint } from "../datagram_endpoint.ts";
import {
  ENDPOINT_UDP,
  EndpointAddress,
  MSG_MORE,
  MSG_OOB,
  OutgoingControl,
  type ReceiveFilter,
} from "../endpoint.ts";
import { EAFNOSUPPORT, EINVAL, EMSGSIZE, ENOBUFS, EOPNOTSUPP } from "../errno.ts";
import { Fragmentation } from "../ip/ip.ts";
import { startChecksum } from "../link/offload.ts";
import { LINK_GSO } from "../link/link.ts";
import { optionNumber } from "../options.ts";
import { Gso, type Packet } from "../packet.ts";
import { PortBinding } from "../ports.ts";
import { Route } from "../route.ts";
import { SO_NO_CHECK, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET } from "../socket_options.ts";
import type { Stack } from "../stack.ts";
import { copyBytes, put16 } from "../wire/bytes.ts";
import { IPV4_BYTES } from "../wire/ipv4.ts";
import { IPV6_BYTES } from "../wire/ipv6.ts";
import { IPPROTO_UDP } from "../wire/numbers.ts";
import { UDP_BYTES, UDP_CHECKSUM_AT, UDP_DESTINATION_AT, UDP_LENGTH_AT, UDP_SOURCE_AT } from "../wire/udp.ts";
import { SOL_UDP, UDP_CORK, UDP_GRO, UDP_NO_CHECK6_RX, UDP_NO_CHECK6_TX, UDP_SEGMENT } from "./options.ts";

const REUSEADDR = optionNumber(SOL_SOCKET, SO_REUSEADDR);
const REUSEPORT = optionNumber(SOL_SOCKET, SO_REUSEPORT);
const NO_CHECK = optionNumber(SOL_SOCKET, SO_NO_CHECK);
const SEGMENT = optionNumber(SOL_UDP, UDP_SEGMENT);
const CORK = optionNumber(SOL_UDP, UDP_CORK);
const GRO = optionNumber(SOL_UDP, UDP_GRO);
const NO_CHECK6 = optionNumber(SOL_UDP, UDP_NO_CHECK6_TX);
const NO_CHECK6_RX = optionNumber(SOL_UDP, UDP_NO_CHECK6_RX);

/** Payload of the largest datagram: RFC 768 with the IP header counted (IPv4), and not (IPv6). */
const IPV4_PAYLOAD_MAX = 65_535 - 20 - UDP_BYTES;
const IPV6_PAYLOAD_MAX = 65_535 - UDP_BYTES;
/** Datagrams of one UDP_SEGMENT write (UDP_MAX_SEGMENTS). */
const SEGMENTS_MAX = 128;

/** The peer of a connected endpoint, for one look-up. */
const peer = new EndpointAddress();

/** Where a datagram under construction goes. */
interface Corked {
  readonly route: Route;
  readonly port: number;
  readonly control: OutgoingControl | null;
}

export class UdpEndpoint extends DatagramEndpoint {
  #binding: PortBinding | null = null;
  /** bind() has named the port. */
  #isPortAsked = false;
  /** Taken over from a forwarder: it has no port of its own. */
  #isAdopted = false;
  /** Datagram under construction by UDP_CORK or MSG_MORE, and where it goes; null = none. */
  #corked: Corked | null = null;
  #corkedBytes: Uint8Array | null = null;
  #corkedLength = 0;
  readonly #toRoute = new Route();

  constructor(stack: Stack, isV4: boolean) {
    super(stack, ENDPOINT_UDP, isV4);
  }

  /** Of a SO_REUSEPORT group. */
  get sharesPort(): boolean {
    return this.options.value(REUSEPORT) !== 0;
  }

  override bind(to: EndpointAddress): number {
    if (this.#binding !== null) return -EINVAL;
    const allowed = this.checkBind(to);
    if (allowed < 0) return allowed;
    this.#isPortAsked = to.port !== 0;
    return this.#take(to.address.isUnspecified ? null : to, to.port, to);
  }

  #take(own: EndpointAddress | null, port: number, to: EndpointAddress | null): number {
    if (own !== null) this.setLocal(own.address);
    else this.local.setUnspecified(this.isV4 || (to !== null && to.address.isV4));
    const { options } = this;
    const wanted = new PortBinding(
      this.local,
      port,
      this.nicId,
      this.isV6Only,
      options.value(REUSEADDR) !== 0,
      options.value(REUSEPORT) !== 0,
      this.uid,
    );
    const binding = this.stack.udp.ports.bind(wanted);
    if (typeof binding === "number") {
      this.local.setUnspecified(this.isV4);
      this.hasSource = false;
      return binding;
    }
    this.#binding = binding;
    this.localPort = binding.port;
    this.stack.udp.enter(this);
    return 0;
  }

  override connect(to: EndpointAddress): number {
    const found = this.routeTo(to, this.route, null);
    if (found < 0) return found;
    if (this.#binding === null) {
      const bound = this.#take(null, 0, null);
      if (bound < 0) return bound;
    }
    const { route } = this;
    if (!this.hasSource) this.setLocal(route.source);
    // A link-local peer is one of its link (ipv6(7)).
    if (to.address.isLinkLocal && !to.address.isV4 && this.nicId === 0) this.nicId = to.scope;
    this.remote.copy(route.destination);
    this.remotePort = to.port;
    this.isConnected = true;
    return 0;
  }
  override disconnect(): number {
    this.isConnected = false;
    this.remote.setUnspecified(this.isV4);
    this.remotePort = 0;
    const binding = this.#binding;
    if (binding === null) return 0;
    this.setLocal(binding.address);
    // A port that nobody has asked for by number goes with the peer (__udp_disconnect()).
    if (!this.#isPortAsked) this.#leavePort();
    return 0;
  }

  /** It answers for `packet`'s destination, whatever that is, and has the sender as its peer. For Udp.acceptFlow(). */
  adopt(packet: Packet, sourcePort: number, port: number): void {
    this.setLocal(packet.destination);
    this.localPort = port;
    this.remote.copy(packet.source);
    this.remotePort = sourcePort;
    this.isConnected = true;
    this.#isAdopted = true;
    this.stack.udp.enter(this);
  }

  write(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: OutgoingControl | null,
  ): number {
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    // What is corked goes where its first write said.
    if (this.#corked !== null) return this.#cork(from, at, length, flags, null);
    const ready = this.target(control);
    if (ready < 0) return ready;
    const to = control === null ? null : control.to;
    if (to !== null && to.port === 0) return -EINVAL;
    const isV4 = to === null ? this.remote.isV4 : to.address.isV4;
    if (length > (isV4 ? IPV4_PAYLOAD_MAX : IPV6_PAYLOAD_MAX)) return -EMSGSIZE;
    const route = to === null && control === null ? this.route : this.#toRoute;
    const found = this.routeTo(to ?? this.#peer(), route, control, flags);
    if (found < 0) return found;
    if (this.#binding === null && !this.#isAdopted) {
      const bound = this.#take(null, 0, null);
      if (bound < 0) return bound;
    }
    const port = to === null ? this.remotePort : to.port;
    if ((flags & MSG_MORE) !== 0 || this.options.value(CORK) !== 0) {
      return this.#cork(from, at, length, flags, { route, port, control: copyControl(control) });
    }
    return this.#send(from, at, length, route, port, control);
  }

  #peer(): EndpointAddress {
    peer.address.copy(this.remote);
    peer.port = this.remotePort;
    peer.scope = this.nicId;
    return peer;
  }

  /** udp(7), UDP_CORK and MSG_MORE: bytes of several writes become one datagram. `first` = where to, of the first write. */
  #cork(from: Uint8Array, at: number, length: number, flags: number, first: Corked | null): number {
    const corked = this.#corked ??= first!;
    const most = corked.route.destination.isV4 ? IPV4_PAYLOAD_MAX : IPV6_PAYLOAD_MAX;
    const bytes = this.#corkedBytes ??= new Uint8Array(65_536);
    if (this.#corkedLength + length > most) return -EMSGSIZE;
    copyBytes(bytes, this.#corkedLength, from, at, length);
    this.#corkedLength += length;
    if ((flags & MSG_MORE) !== 0 || this.options.value(CORK) !== 0) return length;
    const result = this.#uncork();
    return result < 0 ? result : length;
  }
  #uncork(): number {
    const corked = this.#corked, bytes = this.#corkedBytes;
    if (corked === null || bytes === null) return 0;
    const length = this.#corkedLength;
    this.#corked = this.#corkedBytes = null;
    this.#corkedLength = 0;
    return this.#send(bytes, 0, length, corked.route, corked.port, corked.control);
  }
  override onOption(option: number, value: number): number {
    // Taking the cork out sends what is there.
    if (option === CORK && value === 0) {
      this.options.store(CORK, 0);
      this.#uncork();
      return 0;
    }
    const verdict = super.onOption(option, value);
    if (verdict < 0 || this.#binding === null) return verdict;
    // Of who is bound, what it says now counts (inet_rcv_saddr_equal() and its callers).
    if (option === REUSEADDR) this.#binding.reuseAddress = value !== 0;
    else if (option === REUSEPORT) this.#binding.reusePort = value !== 0;
    return verdict;
  }

  #send(
    from: Uint8Array,
    at: number,
    length: number,
    route: Route,
    port: number,
    control: OutgoingControl | null,
  ): number {
    const asked = control !== null && control.segmentBytes > 0
      ? control.segmentBytes
      : this.options.value(SEGMENT);
    const headers = UDP_BYTES + (route.destination.isV4 ? IPV4_BYTES : IPV6_BYTES);
    if (asked === 0 || length <= asked) {
      if (this.isTooLong(route, headers + length)) return this.refuseSize(route, port, from, at, length);
      return this.#sendOne(from, at, length, 0, route, port, control);
    }
    if (asked * SEGMENTS_MAX < length || asked + headers > route.mtu) return -EINVAL;
    const { link } = route.nic!;
    if ((link.features & LINK_GSO) !== 0 && length + headers <= link.gsoBytesMax) {
      return this.#sendOne(from, at, length, asked, route, port, control);
    }
    for (let done = 0; done < length; done += asked) {
      const result = this.#sendOne(from, at + done, Math.min(asked, length - done), 0, route, port, control);
      if (result < 0) return done === 0 ? result : done;
    }
    return length;
  }

  #sendOne(
    from: Uint8Array,
    at: number,
    length: number,
    segmentBytes: number,
    route: Route,
    port: number,
    control: OutgoingControl | null,
  ): number {
    const { stack } = this;
    const isV4 = route.destination.isV4;
    if (!isV4 && this.isV4) return -EAFNOSUPPORT;
    const statistics = isV4 ? stack.udp.statistics.v4 : stack.udp.statistics.v6;
    const packet = stack.pool.allocate(UDP_BYTES + length);
    if (packet === null) {
      statistics.SndbufErrors++;
      return -ENOBUFS;
    }
    copyBytes(packet.bytes, packet.at + UDP_BYTES, from, at, length);
    this.#putHeader(packet, port);
    this.note(packet, route, control);
    packet.transportAt = packet.at;
    packet.protocol = IPPROTO_UDP;
    if (segmentBytes > 0) {
      packet.gso = Gso.Udp;
      packet.gsoBytes = segmentBytes;
    }
    if (this.options.value(isV4 ? NO_CHECK : NO_CHECK6) === 0) startChecksum(packet);
    statistics.OutDatagrams++;
    const headerBytes = isV4 ? IPV4_BYTES : IPV6_BYTES;
    const how = segmentBytes > 0
      ? Fragmentation.Forbidden
      : this.fragmentation(route, headerBytes + packet.length);
    const result = stack.ip.send(packet, route, how);
    return result < 0 ? result : length;
  }

  #putHeader(packet: Packet, port: number): void {
    const { bytes, at } = packet;
    put16(bytes, at + UDP_SOURCE_AT, this.localPort);
    put16(bytes, at + UDP_DESTINATION_AT, port);
    put16(bytes, at + UDP_LENGTH_AT, packet.length);
    put16(bytes, at + UDP_CHECKSUM_AT, 0);
  }

  /** UDP_GRO: it takes a train of datagrams as one message. */
  get takesTrains(): boolean {
    return this.options.value(GRO) !== 0;
  }
  /** UDP_NO_CHECK6_RX: datagrams without a checksum are taken over IPv6 (RFC 6935). */
  get takesUnchecked(): boolean {
    return this.options.value(NO_CHECK6_RX) !== 0;
  }

  /** A datagram, or a train of datagrams of `segmentBytes`, for this endpoint; false when it is lost. */
  receive(
    packet: Packet,
    sourcePort: number,
    port: number,
    at: number,
    length: number,
    segmentBytes: number,
  ): boolean {
    const record = this.enter(packet, at, length);
    if (record === null) return false;
    record.fromPort = sourcePort;
    record.toPort = port;
    record.segmentBytes = segmentBytes;
    return true;
  }

  /** A program sees the UDP header too, of each datagram of a train; it stays whatever it keeps. */
  protected override kept(filter: ReceiveFilter, packet: Packet, at: number, length: number): number {
    const start = packet.transportAt - packet.networkAt, headers = start + UDP_BYTES;
    const whole = new Uint8Array(headers + length);
    copyBytes(whole, 0, packet.bytes, packet.networkAt, headers);
    copyBytes(whole, headers, packet.bytes, at, length);
    put16(whole, start + UDP_LENGTH_AT, length + UDP_BYTES);
    const n = filter(whole, start, length + UDP_BYTES, 0, false, packet);
    return n < 0 ? -1 : Math.max(0, n - UDP_BYTES);
  }

  #leavePort(): void {
    if (this.#binding !== null || this.#isAdopted) this.stack.udp.remove(this);
    if (this.#binding !== null) this.stack.udp.ports.release(this.#binding);
    this.#binding = null;
    this.#isPortAsked = false;
    this.localPort = 0;
  }

  close(): boolean {
    this.#leavePort();
    this.#corked = this.#corkedBytes = null;
    this.#isAdopted = false;
    this.releaseQueues();
    return true;
  }
}

/** What is to be kept of a control message for a later send. */
function copyControl(control: OutgoingControl | null): OutgoingControl | null {
  if (control === null) return null;
  const copy = new OutgoingControl();
  copy.ttl = control.ttl;
  copy.tos = control.tos;
  copy.segmentBytes = control.segmentBytes;
  copy.mark = control.mark;
  return copy;
}
