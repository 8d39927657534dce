// What transports see of the network layer.

import type { Packet } from "../packet.ts";
import type { Route } from "../route.ts";
import type { Nic } from "../nic.ts";
import { Address } from "../address.ts";

/** Values of packet.fragmentation, IP_MTU_DISCOVER of ip(7). */
export const enum Fragmentation {
  /** May be fragmented, here and (IPv4) on the way. */
  Allowed,
  /** Don't Fragment is set and what is too long for the path is -EMSGSIZE. */
  Forbidden,
  /** Don't Fragment is set, the path MTU is not looked at (IP_PMTUDISC_PROBE). */
  Probe,
}

/** An ICMP error about a packet of ours, or a local one; one object is reused, a receiver copies what it keeps. */
export class NetworkError {
  /** The errno for programs (ECONNREFUSED, EHOSTUNREACH, EMSGSIZE ...), and whether it ends a connection. */
  errno = 0;
  isHard = false;
  /** SO_EE_ORIGIN_* (1 local, 2 ICMP, 3 ICMPv6), type, code, and the MTU for "too big". */
  origin = 0;
  type = 0;
  code = 0;
  info = 0;
  /** Who sent the error. */
  readonly offender = new Address();
  /** The packet it is about: addresses and protocol, then `length` bytes from its transport header on. */
  readonly source = new Address();
  readonly destination = new Address();
  protocol = 0;
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  length = 0;
  nicId = 0;
}

export interface NetworkLayer {
  /**
   * Takes over a packet whose transport header is at packet.at (and transportAt), with protocol, source, destination,
   * ttl, tos, mark, owner and `checksum` noted in it: puts the IP header in front and sends it along `route`. 0 or -ERRNO
   * (-EMSGSIZE, -EPERM from the filter, -ENOBUFS); the packet is gone either way.
   */
  send(packet: Packet, route: Route, fragmentation: Fragmentation): number;
}

/** A protocol above IP. Entered in the written list of stack.ts. */
export interface Transport {
  readonly protocol: number;
  /** A whole packet for this stack: transport header at packet.at. The caller releases it; hold() to keep it. */
  receive(packet: Packet, nic: Nic): void;
  /** An ICMP error about a packet that this protocol has sent. */
  receiveError(error: NetworkError): void;
}
