// A pair of ethernet links inside the stack, or between two stacks: what one sends the other receives. Linux:
// drivers/net/veth.c.

import { EINVAL } from "../errno.ts";
import { type Packet, PacketQueue } from "../packet.ts";
import { NEVER } from "../timer.ts";
import { ARPHRD_ETHER } from "../wire/numbers.ts";
import { noteSource, packetTypeOf } from "./hardware_address.ts";
import { type Link, LINK_GSO, LINK_NEIGHBOURS, LINK_TX_CHECKSUM, type LinkReceiver } from "./link.ts";

/** Packets on their way in one direction; more are lost. */
const QUEUE_MAX = 1000;
const MTU_MAX = 65_535;

export class VethLink implements Link {
  readonly kind = "veth";
  readonly hardwareType = ARPHRD_ETHER;
  readonly address: Uint8Array;
  mtu: number;
  readonly features = LINK_NEIGHBOURS | LINK_TX_CHECKSUM | LINK_GSO;
  readonly gsoBytesMax = MTU_MAX;
  /** The other end; null once it is closed: what is sent is lost. */
  #peer: VethLink | null = null;
  readonly #incoming = new PacketQueue();
  #receiver: LinkReceiver | null = null;
  drops = 0;

  private constructor(address: Uint8Array, mtu: number) {
    this.address = address;
    this.mtu = mtu;
  }

  /** Two joined ends. */
  static pair(first: Uint8Array, second: Uint8Array, mtu = 1500): [VethLink, VethLink] {
    const a = new VethLink(first, mtu), b = new VethLink(second, mtu);
    a.#peer = b;
    b.#peer = a;
    return [a, b];
  }

  /** The other end; null once either is closed. */
  get peer(): VethLink | null {
    return this.#peer;
  }

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }
  setMtu(mtu: number): number {
    if (mtu < 68 || mtu > MTU_MAX) return -EINVAL;
    this.mtu = mtu;
    return 0;
  }
  get room(): number {
    return this.#peer === null ? QUEUE_MAX : QUEUE_MAX - this.#peer.#incoming.count;
  }
  send(packet: Packet): void {
    const peer = this.#peer;
    if (peer === null || peer.#incoming.count >= QUEUE_MAX) {
      this.drops++;
      packet.release();
      return;
    }
    noteSource(packet, this.address);
    packet.networkAt = packet.at;
    peer.#incoming.push(packet);
  }
  poll(_now: number, budget: number): number {
    let n = 0;
    while (n < budget) {
      const packet = this.#incoming.shift();
      if (packet === null) break;
      n++;
      packet.isBridged = false;
      packet.packetType = packetTypeOf(packet, this.address);
      this.#receiver?.receive(packet);
      packet.release();
    }
    return n;
  }
  pollAt(): number {
    return this.#incoming.isEmpty ? NEVER : 0;
  }
  flush(): void {}
  close(): void {
    this.#incoming.clear();
    if (this.#peer !== null) this.#peer.#peer = null;
    this.#peer = null;
  }
}
