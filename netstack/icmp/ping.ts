// Ping endpoints: SOCK_DGRAM with IPPROTO_ICMP, which send echo requests and hear their answers, the identifier being the
// port. Linux: net/ipv4/ping.c; icmp(7).

import { DatagramEndpoint } from "../datagram_endpoint.ts";
import { ENDPOINT_PING, EndpointAddress, type OutgoingControl } from "../endpoint.ts";
import { EADDRINUSE, EAFNOSUPPORT, EAGAIN, EINVAL, EMSGSIZE, ENOBUFS } from "../errno.ts";
import type { NetworkError } from "../ip/ip.ts";
import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { copyBytes, get16, put16 } from "../wire/bytes.ts";
import { ICMP_BYTES, ICMP_ECHO, ICMPV6_ECHO } from "../wire/icmp.ts";
import { IPV4_BYTES } from "../wire/ipv4.ts";
import { IPV6_BYTES } from "../wire/ipv6.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from "../wire/numbers.ts";
import { sealIcmp } from "./icmp.ts";

const IDENTIFIER_AT = 4;
const PAYLOAD_MAX = 65_507;

/** The peer of a connected endpoint, for one look-up. */
const peer = new EndpointAddress();

/** The ping endpoints of a stack, by identifier. */
export class Ping {
  readonly #stack: Stack;
  readonly #v4 = new Map<number, PingEndpoint>();
  readonly #v6 = new Map<number, PingEndpoint>();

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** Gives `endpoint` identifier `wanted`, or one of its own for 0; the identifier or -EADDRINUSE. */
  enter(endpoint: PingEndpoint, wanted: number): number {
    const table = endpoint.isV4 ? this.#v4 : this.#v6;
    if (wanted !== 0) {
      if (table.has(wanted)) return -EADDRINUSE;
      table.set(wanted, endpoint);
      return wanted;
    }
    const start = this.#stack.random.below(65_535);
    for (let i = 0; i < 65_535; i++) {
      const id = 1 + (start + i) % 65_535;
      if (table.has(id)) continue;
      table.set(id, endpoint);
      return id;
    }
    return -EAGAIN;
  }
  remove(endpoint: PingEndpoint): void {
    (endpoint.isV4 ? this.#v4 : this.#v6).delete(endpoint.localPort);
  }

  /** An echo reply, header at packet.at, checksum verified. */
  receiveReply(packet: Packet, nic: Nic): void {
    const table = packet.source.isV4 ? this.#v4 : this.#v6;
    table.get(get16(packet.bytes, packet.at + IDENTIFIER_AT))?.receive(packet, nic);
  }

  receiveError(error: NetworkError): void {
    const isV4 = error.source.isV4;
    if (error.length < ICMP_BYTES || error.bytes[error.at] !== (isV4 ? ICMP_ECHO : ICMPV6_ECHO)) return;
    const table = isV4 ? this.#v4 : this.#v6;
    table.get(get16(error.bytes, error.at + IDENTIFIER_AT))?.hearError(error, 0, 0);
  }
}

export class PingEndpoint extends DatagramEndpoint {
  readonly #toRoute = new Route();

  constructor(stack: Stack, isV4: boolean) {
    super(stack, ENDPOINT_PING, isV4);
  }

  override bind(to: EndpointAddress): number {
    if (this.localPort !== 0) return -EINVAL;
    const allowed = this.checkBind(to);
    if (allowed < 0) return allowed;
    const id = this.stack.ping.enter(this, to.port);
    if (id < 0) return id;
    this.localPort = id;
    this.setLocal(to.address);
    return 0;
  }
  #autobind(): number {
    if (this.localPort !== 0) return 0;
    const id = this.stack.ping.enter(this, 0);
    if (id > 0) this.localPort = id;
    return Math.min(id, 0);
  }

  override connect(to: EndpointAddress): number {
    if (to.address.isV4 !== this.isV4) return -EAFNOSUPPORT;
    const found = this.routeTo(to, this.route, null);
    if (found < 0) return found;
    const bound = this.#autobind();
    if (bound < 0) return bound;
    if (!this.hasSource) this.setLocal(this.route.source);
    this.remote.copy(this.route.destination);
    this.isConnected = true;
    return 0;
  }
  override disconnect(): number {
    this.isConnected = false;
    return 0;
  }

  /** The bytes are an echo request whose identifier and checksum we fill in. */
  write(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: OutgoingControl | null,
  ): number {
    if (length > PAYLOAD_MAX) return -EMSGSIZE;
    const type = this.isV4 ? ICMP_ECHO : ICMPV6_ECHO;
    if (length < ICMP_BYTES || from[at] !== type || from[at + 1] !== 0) return -EINVAL;
    const ready = this.target(control);
    if (ready < 0) return ready;
    const to = control === null ? null : control.to;
    const route = control === null ? this.route : this.#toRoute;
    peer.address.copy(this.remote);
    peer.scope = this.nicId;
    if (to !== null && to.address.isV4 !== this.isV4) return -EINVAL;
    const found = this.routeTo(to ?? peer, route, control, flags);
    if (found < 0) return found;
    const headerBytes = this.isV4 ? IPV4_BYTES : IPV6_BYTES;
    if (this.isTooLong(route, headerBytes + length)) return this.refuseSize(route, 0, from, at, length);
    const bound = this.#autobind();
    if (bound < 0) return bound;
    const packet = this.stack.pool.allocate(length);
    if (packet === null) return -ENOBUFS;
    copyBytes(packet.bytes, packet.at, from, at, length);
    put16(packet.bytes, packet.at + IDENTIFIER_AT, this.localPort);
    this.note(packet, route, control);
    packet.transportAt = packet.at;
    packet.protocol = this.isV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    sealIcmp(packet, this.isV4);
    const { v4, v6 } = this.stack.icmp.statistics;
    (this.isV4 ? v4 : v6).count(false, type);
    const result = this.stack.ip.send(packet, route, this.fragmentation(route, headerBytes + length));
    return result < 0 ? result : length;
  }

  receive(packet: Packet, _nic: Nic): void {
    if (this.isConnected && !this.remote.equals(packet.source)) return;
    if (!this.local.isUnspecified && !this.local.equals(packet.destination)) return;
    if (this.nicId !== 0 && this.nicId !== packet.nicId) return;
    this.enter(packet, packet.at, packet.length);
  }

  close(): boolean {
    if (this.localPort !== 0) this.stack.ping.remove(this);
    this.releaseQueues();
    return true;
  }
}
