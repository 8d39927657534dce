// The way out of the network layer: IP headers, the filter, fragmentation, and the hop to the link. RFC 791, RFC 8200,
// RFC 6864 (identification).

import { Address, mix } from "../address.ts";
import { EMSGSIZE, ENETUNREACH, ENOBUFS, EPERM } from "../errno.ts";
import { Hook, Verdict } from "../firewall/hooks.ts";
import { completeChecksum } from "../link/offload.ts";
import { Checksum, Gso, type Packet } from "../packet.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { copyBytes, put16, put32 } from "../wire/bytes.ts";
import {
  IPV4_BYTES,
  IPV4_DESTINATION_AT,
  IPV4_DONT_FRAGMENT,
  IPV4_FRAGMENT_AT,
  IPV4_ID_AT,
  IPV4_LENGTH_AT,
  IPV4_MORE_FRAGMENTS,
  IPV4_PROTOCOL_AT,
  IPV4_SOURCE_AT,
  IPV4_TTL_AT,
  ipv4HeaderBytes,
  sealIpv4Header,
} from "../wire/ipv4.ts";
import {
  IPV6_BYTES,
  IPV6_DESTINATION_AT,
  IPV6_FRAGMENT_BYTES,
  IPV6_HOPS_AT,
  IPV6_NEXT_AT,
  IPV6_PAYLOAD_AT,
  IPV6_SOURCE_AT,
  putIpv6Start,
} from "../wire/ipv6.ts";
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPPROTO_FRAGMENT } from "../wire/numbers.ts";
import { Fragmentation, type NetworkLayer } from "./ip.ts";
import { noteMulticastHardware } from "./ndp_send.ts";
import { keepRecords } from "./options_v4.ts";

/** Counters of IPv4 identifications, one for the destinations of a bucket (RFC 7739 section 3, as Linux). */
const ID_BUCKETS = 2048;

export class IpOutput implements NetworkLayer {
  readonly #stack: Stack;
  readonly #ids = new Uint16Array(ID_BUCKETS);
  readonly #seed: number;
  /** For packets whose addresses the filter has changed. */
  readonly #rerouted = new Route();

  constructor(stack: Stack) {
    this.#stack = stack;
    this.#seed = stack.random.word();
    for (let i = 0; i < ID_BUCKETS; i++) this.#ids[i] = stack.random.word();
  }

  send(packet: Packet, route: Route, fragmentation: Fragmentation): number {
    const isV4 = packet.destination.isV4;
    const statistics = isV4 ? this.#stack.ipv4 : this.#stack.ipv6;
    statistics.OutRequests++;
    if (isV4) this.#putIpv4(packet, fragmentation);
    else this.#putIpv6(packet);
    return this.sendWhole(packet, route, fragmentation);
  }

  /** As send(), for an answer to `asked`, whose record of the route and of times is sent back (RFC 1122 section 3.2.2.6). */
  sendAnswer(packet: Packet, route: Route, fragmentation: Fragmentation, asked: Packet): number {
    const headerBytes = asked.destination.isV4 ? ipv4HeaderBytes(asked.bytes, asked.networkAt) : 0;
    if (headerBytes <= IPV4_BYTES) return this.send(packet, route, fragmentation);
    this.#stack.ipv4.OutRequests++;
    const optionBytes = headerBytes - IPV4_BYTES;
    packet.at -= optionBytes;
    copyBytes(packet.bytes, packet.at, asked.bytes, asked.networkAt + IPV4_BYTES, optionBytes);
    keepRecords(packet.bytes, packet.at, optionBytes);
    this.#putIpv4(packet, fragmentation, optionBytes);
    return this.sendWhole(packet, route, fragmentation);
  }

  /** Sends a packet with its IP header in place at packet.at: raw sockets that bring their own, and send() above. */
  sendWhole(packet: Packet, route: Route, fragmentation: Fragmentation): number {
    const { firewall } = this.#stack;
    if (firewall !== null) {
      const verdict = firewall.run(Hook.Output, packet, null, route.nic);
      if (verdict === Verdict.Drop || verdict === Verdict.Rejected) {
        packet.release();
        return -EPERM;
      }
      if (verdict === Verdict.Reroute) {
        const found = this.#stack.routes.find(
          packet.destination,
          packet.source,
          0,
          this.#rerouted,
          packet.mark,
        );
        if (found < 0) {
          packet.release();
          return found;
        }
        route = this.#rerouted;
      }
    }
    return this.transmit(packet, route, fragmentation);
  }

  /** From postrouting on: own packets and forwarded ones. */
  transmit(packet: Packet, route: Route, fragmentation: Fragmentation): number {
    const stack = this.#stack;
    const nic = route.nic;
    if (nic === null) {
      packet.release();
      return -ENETUNREACH;
    }
    const isV4 = packet.destination.isV4;
    const statistics = isV4 ? stack.ipv4 : stack.ipv6;
    packet.etherType = isV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    if (stack.firewall !== null) {
      const verdict = stack.firewall.run(Hook.Postrouting, packet, null, nic);
      if (verdict === Verdict.Drop || verdict === Verdict.Rejected) {
        packet.release();
        return -EPERM;
      }
    }
    const limit = fragmentation === Fragmentation.Probe ? nic.mtu : route.mtu;
    // A train is cut at the link to pieces that fit: its own length does not count.
    if (packet.gso === Gso.None && packet.length > limit) {
      if (fragmentation !== Fragmentation.Allowed) {
        statistics.FragFails++;
        packet.release();
        return -EMSGSIZE;
      }
      return this.#fragment(packet, route, limit);
    }
    return this.#hop(packet, route);
  }

  /** Hands one packet that fits to the link. */
  #hop(packet: Packet, route: Route): number {
    const stack = this.#stack;
    const nic = route.nic!;
    const statistics = packet.etherType === ETHERTYPE_IPV4 ? stack.ipv4 : stack.ipv6;
    statistics.OutTransmits++;
    statistics.OutOctets += packet.length;
    if (route.isLocal || nic.isLoopback) {
      nic.send(packet);
      return 0;
    }
    if (route.isMulticast || route.isBroadcast) {
      // What goes to all goes to us too, where we listen; the copy comes in by the same interface.
      const isHeard = route.isBroadcast || packet.loopsBack && nic.isMember(packet.destination);
      if (isHeard) stack.deliverCopy(packet, nic);
      if (route.isMulticast) {
        statistics.OutMcastPkts++;
        statistics.OutMcastOctets += packet.length;
        // A group of this host alone, or a time to live that ends here (ip(7)).
        if (packet.ttl === 0) {
          packet.release();
          return 0;
        }
        noteMulticastHardware(packet, packet.destination);
      } else {
        statistics.OutBcastPkts++;
        statistics.OutBcastOctets += packet.length;
        packet.hardwareHigh = 0xffff;
        packet.hardwareLow = -1;
      }
      nic.send(packet);
      return 0;
    }
    if (!nic.hasNeighbours) {
      nic.send(packet);
      return 0;
    }
    let entry = route.neighbour;
    if (entry === null || entry.isGone || entry.table !== nic.neighbours) {
      entry = route.neighbour = nic.neighbours.resolve(route.nextHop);
    }
    entry.send(packet);
    return 0;
  }

  /** `optionBytes` of options stand at packet.at already. */
  #putIpv4(packet: Packet, fragmentation: Fragmentation, optionBytes = 0): void {
    const { bytes } = packet;
    const at = packet.at -= IPV4_BYTES;
    bytes[at] = 0x45 + (optionBytes >> 2);
    bytes[at + 1] = packet.tos;
    put16(bytes, at + IPV4_LENGTH_AT, packet.length);
    put16(bytes, at + IPV4_ID_AT, this.#nextId(packet));
    put16(bytes, at + IPV4_FRAGMENT_AT, fragmentation === Fragmentation.Allowed ? 0 : IPV4_DONT_FRAGMENT);
    bytes[at + IPV4_TTL_AT] = packet.ttl;
    bytes[at + IPV4_PROTOCOL_AT] = packet.protocol;
    packet.source.write4(bytes, at + IPV4_SOURCE_AT);
    packet.destination.write4(bytes, at + IPV4_DESTINATION_AT);
    sealIpv4Header(bytes, at);
    packet.networkAt = at;
    packet.etherType = ETHERTYPE_IPV4;
  }

  #putIpv6(packet: Packet): void {
    const { bytes } = packet;
    const payload = packet.length;
    const at = packet.at -= IPV6_BYTES;
    putIpv6Start(bytes, at, packet.tos, packet.flowLabel);
    put16(bytes, at + IPV6_PAYLOAD_AT, payload);
    bytes[at + IPV6_NEXT_AT] = packet.protocol;
    bytes[at + IPV6_HOPS_AT] = packet.ttl;
    packet.source.write6(bytes, at + IPV6_SOURCE_AT);
    packet.destination.write6(bytes, at + IPV6_DESTINATION_AT);
    packet.networkAt = at;
    packet.etherType = ETHERTYPE_IPV6;
  }

  #nextId(packet: Packet): number {
    const bucket = packet.destination.hash(mix(this.#seed, packet.protocol)) & (ID_BUCKETS - 1);
    // A train takes one number for each piece, as the link counts on from this one.
    const pieces = packet.gso === Gso.None ? 1 : Math.ceil(packet.length / packet.gsoBytes);
    const id = this.#ids[bucket];
    this.#ids[bucket] = id + pieces;
    return id;
  }

  /** RFC 791 section 3.2, RFC 8200 section 4.5: cuts a packet to pieces of at most `limit` bytes. */
  #fragment(packet: Packet, route: Route, limit: number): number {
    const stack = this.#stack;
    const isV4 = packet.etherType === ETHERTYPE_IPV4;
    const statistics = isV4 ? stack.ipv4 : stack.ipv6;
    if (packet.checksum === Checksum.Partial) completeChecksum(packet);
    // Only headers that routers need are repeated: IPv4's with its options, IPv6's own.
    const headerBytes = isV4 ? ipv4HeaderBytes(packet.bytes, packet.at) : IPV6_BYTES;
    const extraBytes = isV4 ? 0 : IPV6_FRAGMENT_BYTES;
    const payloadAt = packet.at + headerBytes;
    const payloadBytes = packet.end - payloadAt;
    const pieceBytes = (limit - headerBytes - extraBytes) & ~7;
    if (pieceBytes < 8) {
      statistics.FragFails++;
      packet.release();
      return -EMSGSIZE;
    }
    const id = isV4 ? 0 : stack.random.word();
    for (let done = 0; done < payloadBytes;) {
      const size = Math.min(pieceBytes, payloadBytes - done);
      const hasMore = done + size < payloadBytes;
      const piece = stack.pool.allocate(headerBytes + extraBytes + size);
      if (piece === null) {
        statistics.FragFails++;
        packet.release();
        return -ENOBUFS;
      }
      piece.copyNotes(packet);
      const { bytes, at } = piece;
      copyBytes(bytes, at, packet.bytes, packet.at, headerBytes);
      copyBytes(bytes, at + headerBytes + extraBytes, packet.bytes, payloadAt + done, size);
      if (isV4) {
        put16(bytes, at + IPV4_LENGTH_AT, piece.length);
        put16(bytes, at + IPV4_FRAGMENT_AT, done >> 3 | (hasMore ? IPV4_MORE_FRAGMENTS : 0));
        sealIpv4Header(bytes, at);
      } else {
        put16(bytes, at + IPV6_PAYLOAD_AT, piece.length - IPV6_BYTES);
        bytes[at + headerBytes] = bytes[at + IPV6_NEXT_AT];
        bytes[at + headerBytes + 1] = 0;
        put16(bytes, at + headerBytes + 2, done | (hasMore ? 1 : 0));
        put32(bytes, at + headerBytes + 4, id);
        bytes[at + IPV6_NEXT_AT] = IPPROTO_FRAGMENT;
      }
      piece.networkAt = at;
      statistics.FragCreates++;
      this.#hop(piece, route);
      done += size;
    }
    statistics.FragOKs++;
    packet.release();
    return 0;
  }
}

/** Scratch for callers that need an address for a moment. */
export const UNSPECIFIED_V4 = new Address().setUnspecified(true);
export const UNSPECIFIED_V6 = new Address();
