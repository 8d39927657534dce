// A network interface: its link, its addresses, its flags. Linux: struct net_device, struct in_device, struct inet6_dev.

import type { Address } from "./address.ts";
import type { Link } from "./link/link.ts";
import type { Packet } from "./packet.ts";
import type { Stack } from "./stack.ts";

/** An address of an interface, with its prefix in the unified form (an IPv4 /24 is 120). */
export interface InterfaceAddress {
  readonly address: Address;
  readonly prefixBits: number;
}

export class Nic {
  readonly stack: Stack;
  /** Interface index, from 1. */
  readonly id: number;
  name: string;
  readonly link: Link;
  isUp = false;
  readonly addresses: InterfaceAddress[] = [];

  constructor(stack: Stack, id: number, name: string, link: Link) {
    this.stack = stack;
    this.id = id;
    this.name = name;
    this.link = link;
    link.attach(this);
  }

  get mtu(): number {
    return this.link.mtu;
  }

  /**
   * A packet has come in: network header at packet.at, etherType, packetType and hardware addresses noted. The link keeps
   * its reference and releases it after the call.
   */
  receive(packet: Packet): void {
    packet.nicId = this.id;
    packet.timestamp = this.stack.now;
    this.stack.receive(packet, this);
  }
}
