// What rules and trackers ask of a packet, read once for each hook: protocol behind extension headers, ports, flags, the
// two interfaces. Linux: struct xt_action_param, struct nft_pktinfo.

import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { get16 } from "../wire/bytes.ts";
import { IPV4_BYTES, IPV4_FRAGMENT_AT, IPV4_PROTOCOL_AT, ipv4HeaderBytes } from "../wire/ipv4.ts";
import { IPV4_MORE_FRAGMENTS, IPV4_OFFSET_MASK } from "../wire/ipv4.ts";
import { IPV6_BYTES, IPV6_FRAGMENT_BYTES, IPV6_NEXT_AT } from "../wire/ipv6.ts";
import {
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_NONE,
  IPPROTO_ROUTING,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../wire/numbers.ts";
import { TCP_BYTES, TCP_FLAGS_AT, TCP_OFFSET_AT } from "../wire/tcp.ts";
import { UDP_BYTES, UDP_LENGTH_AT } from "../wire/udp.ts";
import { Hook } from "./hooks.ts";

/** IPv6 extension headers that are gone over at most, as in ip/ipv6_input. */
const EXTENSIONS_MAX = 8;
const ICMP_BYTES_MIN = 4;

export class PacketView {
  /** The packet at hand; meaningful between read() and the end of the hook. */
  packet: Packet = null as unknown as Packet;
  hook: Hook = Hook.Prerouting;
  incoming: Nic | null = null;
  outgoing: Nic | null = null;
  isV4 = true;
  /** IP protocol after extension headers, and where its header begins. */
  protocol = 0;
  transportAt = 0;
  /** A piece of a larger packet, the first one included; and one that has no transport header. */
  isFragment = false;
  isLaterFragment = false;
  /** IPv6: where the fragment header stands; -1 = there is none. */
  fragmentAt = -1;
  /** Headers are cut short or contradict themselves: no match on them holds, no connection is found. */
  isMalformed = false;
  /** -1 where the protocol has none, or they are not in this packet. */
  sourcePort = -1;
  destinationPort = -1;
  icmpType = -1;
  icmpCode = -1;
  tcpFlags = -1;

  /** Network header at packet.at. */
  read(hook: Hook, packet: Packet, incoming: Nic | null, outgoing: Nic | null): void {
    this.packet = packet;
    this.hook = hook;
    this.incoming = incoming;
    this.outgoing = outgoing;
    this.isV4 = packet.destination.isV4;
    this.isFragment = this.isLaterFragment = this.isMalformed = false;
    this.fragmentAt = -1;
    this.sourcePort =
      this.destinationPort =
      this.icmpType =
      this.icmpCode =
      this.tcpFlags =
        -1;
    packet.networkAt = packet.at;
    const isWalked = this.isV4 ? this.#readIpv4(packet) : this.#readIpv6(packet);
    if (!isWalked) this.isMalformed = true;
    else if (!this.isLaterFragment) this.#readTransport(packet);
  }

  #readIpv4(packet: Packet): boolean {
    const { bytes, at, end } = packet;
    this.protocol = packet.protocol;
    this.transportAt = end;
    if (end - at < IPV4_BYTES) return false;
    const headerBytes = ipv4HeaderBytes(bytes, at);
    if (headerBytes < IPV4_BYTES || at + headerBytes > end) return false;
    this.protocol = bytes[at + IPV4_PROTOCOL_AT];
    this.transportAt = at + headerBytes;
    const field = get16(bytes, at + IPV4_FRAGMENT_AT);
    this.isFragment = (field & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) !== 0;
    this.isLaterFragment = (field & IPV4_OFFSET_MASK) !== 0;
    return true;
  }

  #readIpv6(packet: Packet): boolean {
    const { bytes, end } = packet;
    let place = packet.at + IPV6_BYTES;
    this.protocol = IPPROTO_NONE;
    this.transportAt = end;
    if (place > end) return false;
    let next = bytes[packet.at + IPV6_NEXT_AT];
    for (let n = 0; n < EXTENSIONS_MAX; n++) {
      if (next === IPPROTO_FRAGMENT) {
        if (place + IPV6_FRAGMENT_BYTES > end) return false;
        const field = get16(bytes, place + 2);
        this.fragmentAt = place;
        this.isFragment = (field & 0xfff9) !== 0;
        this.isLaterFragment = (field & 0xfff8) !== 0;
        next = bytes[place];
        place += IPV6_FRAGMENT_BYTES;
        if (!this.isLaterFragment) continue;
      } else if (next === IPPROTO_HOPOPTS || next === IPPROTO_ROUTING || next === IPPROTO_DSTOPTS) {
        if (place + 8 > end) return false;
        next = bytes[place];
        place += (bytes[place + 1] + 1) * 8;
        if (place > end) return false;
        continue;
      }
      this.protocol = next;
      this.transportAt = place;
      return true;
    }
    return false;
  }

  #readTransport(packet: Packet): void {
    const { bytes, end } = packet;
    const at = this.transportAt, length = end - at;
    switch (this.protocol) {
      case IPPROTO_TCP: {
        if (length < TCP_BYTES) return void (this.isMalformed = true);
        const headerBytes = (bytes[at + TCP_OFFSET_AT] >> 4) * 4;
        if (headerBytes < TCP_BYTES || headerBytes > length) return void (this.isMalformed = true);
        this.tcpFlags = bytes[at + TCP_FLAGS_AT];
        this.#readPorts(bytes, at);
        return;
      }
      case IPPROTO_UDP: {
        if (length < UDP_BYTES) return void (this.isMalformed = true);
        const said = get16(bytes, at + UDP_LENGTH_AT);
        // A first fragment says the length of the whole; a train says that of the whole or of one piece.
        const isTooLong = !this.isFragment && packet.gsoBytes === 0 && said > length;
        if (said < UDP_BYTES || isTooLong) return void (this.isMalformed = true);
        this.#readPorts(bytes, at);
        return;
      }
      case IPPROTO_ICMP:
      case IPPROTO_ICMPV6:
        if (length < ICMP_BYTES_MIN || (this.protocol === IPPROTO_ICMP) !== this.isV4) {
          this.isMalformed = true;
          return;
        }
        this.icmpType = bytes[at];
        this.icmpCode = bytes[at + 1];
        return;
      default:
        return;
    }
  }

  #readPorts(bytes: Uint8Array, at: number): void {
    this.sourcePort = get16(bytes, at);
    this.destinationPort = get16(bytes, at + 2);
  }
}
