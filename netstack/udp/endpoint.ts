// A UDP endpoint, udp(7).

import { DatagramEndpoint } from "../datagram_endpoint.ts";
import { ENDPOINT_UDP, EndpointAddress, MSG_MORE, type OutgoingControl } from "../endpoint.ts";
import { EAFNOSUPPORT, EINVAL, EMSGSIZE, ENOBUFS } from "../errno.ts";
import { startChecksum } from "../link/offload.ts";
import { LINK_GSO } from "../link/link.ts";
import { optionNumber } from "../options.ts";
import { Gso, type Packet } from "../packet.ts";
import { PortBinding } from "../ports.ts";
import { Route } from "../route.ts";
import { SO_NO_CHECK, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET } from "../socket_options.ts";
import type { Stack } from "../stack.ts";
import { copyBytes, put16 } from "../wire/bytes.ts";
import { IPPROTO_UDP } from "../wire/numbers.ts";
import { UDP_BYTES, UDP_CHECKSUM_AT, UDP_DESTINATION_AT, UDP_LENGTH_AT, UDP_SOURCE_AT } from "../wire/udp.ts";
import { SOL_UDP, UDP_CORK, UDP_SEGMENT } from "./options.ts";

const REUSEADDR = optionNumber(SOL_SOCKET, SO_REUSEADDR);
const REUSEPORT = optionNumber(SOL_SOCKET, SO_REUSEPORT);
const NO_CHECK = optionNumber(SOL_SOCKET, SO_NO_CHECK);
const SEGMENT = optionNumber(SOL_UDP, UDP_SEGMENT);
const CORK = optionNumber(SOL_UDP, UDP_CORK);

/** Payload of the largest datagram: RFC 768 with the IP header counted (IPv4), and not (IPv6). */
const IPV4_PAYLOAD_MAX = 65_535 - 20 - UDP_BYTES;
const IPV6_PAYLOAD_MAX = 65_535 - UDP_BYTES;
/** Datagrams of one UDP_SEGMENT write (UDP_MAX_SEGMENTS). */
const SEGMENTS_MAX = 128;

/** The peer of a connected endpoint, for one look-up. */
const peer = new EndpointAddress();

export class UdpEndpoint extends DatagramEndpoint {
  #binding: PortBinding | null = null;
  /** Datagram under construction by UDP_CORK or MSG_MORE, and where it goes. */
  #corked: Uint8Array | null = null;
  #corkedBytes = 0;
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
    return this.#take(to.address.isUnspecified ? null : to, to.port, to);
  }

  #take(own: EndpointAddress | null, port: number, to: EndpointAddress | null): number {
    if (own !== null) this.local.copy(own.address);
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
    if (this.local.isUnspecified) this.local.copy(this.route.source);
    this.remote.copy(this.route.destination);
    this.remotePort = to.port;
    this.isConnected = true;
    return 0;
  }
  override disconnect(): number {
    this.isConnected = false;
    this.remote.setUnspecified(this.isV4);
    this.remotePort = 0;
    if (this.#binding !== null) this.local.copy(this.#binding.address);
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
    const to = control === null ? null : control.to;
    const isV4 = to === null ? this.remote.isV4 : to.address.isV4;
    if (length + this.#corkedBytes > (isV4 ? IPV4_PAYLOAD_MAX : IPV6_PAYLOAD_MAX)) return -EMSGSIZE;
    if (to !== null && to.port === 0) return -EINVAL;
    let route = this.route;
    if (to !== null || control !== null && (control.nicId !== 0 || !control.source.isUnspecified)) {
      route = this.#toRoute;
      const found = this.routeTo(to ?? this.#peer(), route, control);
      if (found < 0) return found;
    } else if (route.generation !== this.stack.routes.generation) {
      const found = this.routeTo(this.#peer(), route, null);
      if (found < 0) return found;
    }
    if (this.#binding === null) {
      const bound = this.#take(null, 0, null);
      if (bound < 0) return bound;
    }
    const port = to === null ? this.remotePort : to.port;
    const isMore = (flags & MSG_MORE) !== 0 || this.options.value(CORK) !== 0;
    if (isMore || this.#corkedBytes > 0) return this.#cork(from, at, length, isMore, route, port, control);
    return this.#send(from, at, length, route, port, control);
  }

  #peer(): EndpointAddress {
    peer.address.copy(this.remote);
    peer.port = this.remotePort;
    peer.scope = this.nicId;
    return peer;
  }

  /** udp(7), UDP_CORK: bytes of several writes become one datagram. */
  #cork(
    from: Uint8Array,
    at: number,
    length: number,
    isMore: boolean,
    route: Route,
    port: number,
    control: OutgoingControl | null,
  ): number {
    this.#corked ??= new Uint8Array(65_536);
    copyBytes(this.#corked, this.#corkedBytes, from, at, length);
    this.#corkedBytes += length;
    if (isMore) return length;
    const whole = this.#corkedBytes;
    const result = this.#send(this.#corked, 0, whole, route, port, control);
    this.#corkedBytes = 0;
    this.#corked = null;
    return result < 0 ? result : length;
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
    if (asked === 0 || length <= asked) return this.#sendOne(from, at, length, 0, route, port, control);
    if (asked * SEGMENTS_MAX < length) return -EINVAL;
    const headers = route.destination.isV4 ? 28 : 48;
    if (asked + headers > route.mtu) return -EINVAL;
    const nic = route.nic!;
    if ((nic.link.features & LINK_GSO) !== 0 && length + headers <= nic.link.gsoBytesMax && !route.isLocal) {
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
    if (!isV4 || this.options.value(NO_CHECK) === 0) startChecksum(packet);
    statistics.OutDatagrams++;
    const result = stack.ip.send(packet, route, this.fragmentation(isV4));
    return result < 0 ? result : length;
  }

  #putHeader(packet: Packet, port: number): void {
    const { bytes, at } = packet;
    put16(bytes, at + UDP_SOURCE_AT, this.localPort);
    put16(bytes, at + UDP_DESTINATION_AT, port);
    put16(bytes, at + UDP_LENGTH_AT, packet.length);
    put16(bytes, at + UDP_CHECKSUM_AT, 0);
  }

  /** A datagram for this endpoint; false when it is lost. */
  receive(packet: Packet, sourcePort: number, port: number, at: number, length: number): boolean {
    const record = this.enter(packet, at, length);
    if (record === null) return false;
    record.fromPort = sourcePort;
    record.toPort = port;
    return true;
  }

  close(): boolean {
    if (this.#binding !== null) {
      this.stack.udp.remove(this);
      this.stack.udp.ports.release(this.#binding);
      this.#binding = null;
    }
    this.releaseQueues();
    return true;
  }
}
