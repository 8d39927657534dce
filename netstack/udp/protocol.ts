// UDP of a stack: which endpoint a datagram is for, and the error that is sent when there is none. RFC 768, RFC 1122 section 4.1.

import { type Address, mix } from "../address.ts";
import type { NetworkError, Transport } from "../ip/ip.ts";
import type { Nic } from "../nic.ts";
import { Checksum, Gso, type Packet, PacketType } from "../packet.ts";
import { PortTable } from "../ports.ts";
import type { Stack } from "../stack.ts";
import { get16 } from "../wire/bytes.ts";
import { fold, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import {
  ICMP_PORT_UNREACHABLE,
  ICMP_UNREACHABLE,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_UNREACHABLE,
} from "../wire/icmp.ts";
import { IPPROTO_UDP } from "../wire/numbers.ts";
import { UDP_BYTES, UDP_CHECKSUM_AT, UDP_DESTINATION_AT, UDP_LENGTH_AT, UDP_SOURCE_AT } from "../wire/udp.ts";
import type { UdpEndpoint } from "./endpoint.ts";
import { UdpStatistics } from "./statistics.ts";

/** Takes flows whatever their address: an embedder's proxy (user-mode networking, egress by name). */
export interface UdpForwarder {
  /**
   * A datagram that no connected endpoint is for; payload of `length` bytes at `at`. True = it has dealt with it, perhaps by
   * Udp.acceptFlow(packet, ...), which makes an endpoint that stands for the destination and has the sender as its peer.
   */
  onDatagram(
    packet: Packet,
    sourcePort: number,
    destinationPort: number,
    at: number,
    length: number,
  ): boolean;
}

export class Udp implements Transport {
  readonly protocol = IPPROTO_UDP;
  readonly stack: Stack;
  readonly ports: PortTable;
  readonly statistics = { v4: new UdpStatistics(), v6: new UdpStatistics() };
  /** Asked before all but connected endpoints; null = none. Nic.takesAll lets it see foreign destinations. */
  forwarder: UdpForwarder | null = null;
  readonly #byPort = new Map<number, UdpEndpoint[]>();
  readonly #seed: number;

  constructor(stack: Stack) {
    this.stack = stack;
    this.ports = new PortTable(stack.random);
    this.#seed = stack.random.word();
  }

  /** Every bound endpoint, for /proc/net/udp. */
  get endpoints(): Iterable<UdpEndpoint> {
    return [...this.#byPort.values()].flat();
  }

  #statisticsOf(address: Address): UdpStatistics {
    return address.isV4 ? this.statistics.v4 : this.statistics.v6;
  }

  enter(endpoint: UdpEndpoint): void {
    const list = this.#byPort.get(endpoint.localPort);
    if (list === undefined) this.#byPort.set(endpoint.localPort, [endpoint]);
    else list.push(endpoint);
  }
  remove(endpoint: UdpEndpoint): void {
    const list = this.#byPort.get(endpoint.localPort);
    const i = list === undefined ? -1 : list.indexOf(endpoint);
    if (list === undefined || i < 0) return;
    list.splice(i, 1);
    if (list.length === 0) this.#byPort.delete(endpoint.localPort);
  }

  receive(packet: Packet, nic: Nic): void {
    const statistics = this.#statisticsOf(packet.destination);
    const { bytes, at } = packet;
    const length = packet.length < UDP_BYTES ? 0 : get16(bytes, at + UDP_LENGTH_AT);
    if (length < UDP_BYTES || length > packet.length) return void statistics.InErrors++;
    packet.end = at + length;
    if (!this.#hasGoodChecksum(packet, length)) {
      statistics.InCsumErrors++;
      statistics.InErrors++;
      return;
    }
    const sourcePort = get16(bytes, at + UDP_SOURCE_AT), port = get16(bytes, at + UDP_DESTINATION_AT);
    if (packet.gso === Gso.Udp && packet.gsoBytes > 0) {
      this.#receiveTrain(packet, nic, sourcePort, port);
      return;
    }
    this.#deliver(packet, nic, sourcePort, port, at + UDP_BYTES, length - UDP_BYTES);
  }

  /** A train of datagrams that the host has joined: each of gsoBytes, the last may be shorter. */
  #receiveTrain(packet: Packet, nic: Nic, sourcePort: number, port: number): void {
    const payloadAt = packet.at + UDP_BYTES;
    const endpoint = this.lookup(packet.source, sourcePort, packet.destination, port, nic.id);
    if (endpoint !== null && endpoint.takesTrains && packet.packetType === PacketType.Host) {
      const length = packet.end - payloadAt;
      this.#hand(endpoint, packet, sourcePort, port, payloadAt, length, packet.gsoBytes);
      return;
    }
    for (let at = payloadAt; at < packet.end; at += packet.gsoBytes) {
      this.#deliver(packet, nic, sourcePort, port, at, Math.min(packet.gsoBytes, packet.end - at));
    }
  }

  /** An endpoint for a forwarder's flow: bound to the datagram's destination, connected to its sender. */
  acceptFlow(packet: Packet, sourcePort: number, port: number): UdpEndpoint {
    const endpoint = this.stack.newUdpEndpoint(packet.destination.isV4);
    endpoint.adopt(packet, sourcePort, port);
    return endpoint;
  }

  /** The headers of `packet` (at its transport header), which an error that is sent later quotes; null = no room. */
  quotationOf(packet: Packet): Packet | null {
    const { at, end } = packet;
    packet.at = packet.networkAt;
    packet.end = packet.transportAt + UDP_BYTES;
    const copy = this.stack.pool.clone(packet);
    packet.at = at;
    packet.end = end;
    return copy;
  }

  #hasGoodChecksum(packet: Packet, length: number): boolean {
    if (packet.checksum !== Checksum.Unknown) return true;
    const { bytes, at } = packet;
    if (bytes[at + UDP_CHECKSUM_AT] === 0 && bytes[at + UDP_CHECKSUM_AT + 1] === 0) {
      // None: allowed in IPv4, and in IPv6 where an endpoint takes it (RFC 8200 section 8.1, RFC 6935).
      if (packet.source.isV4) return true;
      const port = get16(bytes, at + UDP_DESTINATION_AT);
      const endpoint = this.lookup(
        packet.source,
        get16(bytes, at + UDP_SOURCE_AT),
        packet.destination,
        port,
        packet.nicId,
      );
      return endpoint !== null && endpoint.takesUnchecked;
    }
    const sum = sumPseudoHeader(packet.source, packet.destination, IPPROTO_UDP, length);
    return fold(sumBytes(sum, bytes, at, length)) === 0xffff;
  }

  #deliver(packet: Packet, nic: Nic, sourcePort: number, port: number, at: number, length: number): void {
    const isToMany = packet.destination.isMulticast || packet.packetType === PacketType.Broadcast ||
      nic.isBroadcast(packet.destination);
    if (isToMany) {
      this.#deliverToAll(packet, nic, sourcePort, port, at, length);
      return;
    }
    const endpoint = this.lookup(packet.source, sourcePort, packet.destination, port, nic.id);
    if (this.forwarder !== null && (endpoint === null || !endpoint.isConnected)) {
      if (this.forwarder.onDatagram(packet, sourcePort, port, at, length)) return;
    }
    if (endpoint === null) {
      this.#statisticsOf(packet.destination).NoPorts++;
      packet.at = packet.networkAt;
      if (packet.source.isV4) this.stack.icmp.sendError(packet, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, 0);
      else this.stack.icmp.sendError(packet, ICMPV6_UNREACHABLE, ICMPV6_PORT_UNREACHABLE, 0);
      packet.at = packet.transportAt;
      return;
    }
    this.#hand(endpoint, packet, sourcePort, port, at, length, 0);
  }

  #hand(
    endpoint: UdpEndpoint,
    packet: Packet,
    sourcePort: number,
    port: number,
    at: number,
    length: number,
    segmentBytes: number,
  ): void {
    const statistics = this.#statisticsOf(packet.destination);
    if (endpoint.receive(packet, sourcePort, port, at, length, segmentBytes)) {
      statistics.InDatagrams++;
    } else {
      statistics.RcvbufErrors++;
      statistics.InErrors++;
    }
  }

  #deliverToAll(
    packet: Packet,
    nic: Nic,
    sourcePort: number,
    port: number,
    at: number,
    length: number,
  ): void {
    const { source, destination } = packet;
    const list = this.#byPort.get(port);
    let any = false;
    for (let i = 0; list !== undefined && i < list.length; i++) {
      const endpoint = list[i];
      if (score(endpoint, source, sourcePort, destination, nic.id) < 0) continue;
      if (destination.isMulticast && !endpoint.hearsGroup(destination, nic.id, source)) continue;
      this.#hand(endpoint, packet, sourcePort, port, at, length, 0);
      any = true;
    }
    if (!any) this.#statisticsOf(destination).IgnoredMulti++;
  }

  /** The endpoint that a datagram is for, null = none. Of a SO_REUSEPORT group a hash of the flow chooses. */
  lookup(source: Address, sourcePort: number, to: Address, port: number, nicId: number): UdpEndpoint | null {
    const list = this.#byPort.get(port);
    if (list === undefined) return null;
    let best: UdpEndpoint | null = null, bestScore = -1, equals = 0;
    for (const endpoint of list) {
      const value = score(endpoint, source, sourcePort, to, nicId);
      if (value < 0 || value < bestScore) continue;
      if (value > bestScore) {
        best = endpoint;
        bestScore = value;
        equals = 1;
      } else if (endpoint.sharesPort) {
        equals++;
      } else {
        // Of several with SO_REUSEADDR the last that was bound, as on Linux.
        best = endpoint;
      }
    }
    if (equals <= 1 || best === null || !best.sharesPort) return best;
    let n = (mix(source.hash(to.hash(this.#seed)), sourcePort) >>> 1) % equals;
    for (const endpoint of list) {
      if (score(endpoint, source, sourcePort, to, nicId) === bestScore && n-- === 0) return endpoint;
    }
    return best;
  }

  receiveError(error: NetworkError): void {
    if (error.length < UDP_BYTES) return;
    const port = get16(error.bytes, error.at + UDP_SOURCE_AT);
    const remotePort = get16(error.bytes, error.at + UDP_DESTINATION_AT);
    this.lookup(error.destination, remotePort, error.source, port, error.nicId)?.hearError(
      error,
      remotePort,
      UDP_BYTES,
    );
  }
}

/** How well an endpoint fits, -1 = not at all. Linux: compute_score(). */
function score(
  endpoint: UdpEndpoint,
  source: Address,
  sourcePort: number,
  to: Address,
  nicId: number,
): number {
  let value = endpoint.isV4 === to.isV4 ? 1 : 0;
  if (endpoint.isV4 && !to.isV4) return -1;
  const { local } = endpoint;
  if (local.isUnspecified) {
    if (to.isV4 && !local.isV4 && endpoint.isV6Only) return -1;
    if (!to.isV4 && local.isV4) return -1;
  } else {
    if (!local.equals(to)) return -1;
    value += 4;
  }
  if (endpoint.isConnected) {
    if (endpoint.remotePort !== sourcePort || !endpoint.remote.equals(source)) return -1;
    value += 8;
  }
  if (endpoint.nicId !== 0) {
    if (endpoint.nicId !== nicId) return -1;
    value += 2;
  }
  return value;
}
