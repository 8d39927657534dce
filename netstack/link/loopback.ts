// The loopback link: what is sent comes back in with the next poll. Linux: drivers/net/loopback.c.

import { Checksum, type Packet, PacketQueue, PacketType } from "../packet.ts";
import { NEVER } from "../timer.ts";
import { ARPHRD_LOOPBACK } from "../wire/numbers.ts";
import { EINVAL } from "../errno.ts";
import { type Link, LINK_GSO, LINK_LOOPBACK, LINK_TX_CHECKSUM, type LinkReceiver } from "./link.ts";

/** Packets on their way at most; more are lost. */
const QUEUE_MAX = 4096;
const MTU_MAX = 65_536;

export class LoopbackLink implements Link {
  readonly kind = "loopback";
  readonly hardwareType = ARPHRD_LOOPBACK;
  readonly address = new Uint8Array(6);
  mtu = MTU_MAX;
  readonly features = LINK_LOOPBACK | LINK_TX_CHECKSUM | LINK_GSO;
  readonly gsoBytesMax = 65_535;
  readonly #queue = new PacketQueue();
  #receiver: LinkReceiver | null = null;

  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }
  setMtu(mtu: number): number {
    if (mtu < 68 || mtu > MTU_MAX) return -EINVAL;
    this.mtu = mtu;
    return 0;
  }
  get room(): number {
    return QUEUE_MAX - this.#queue.count;
  }
  send(packet: Packet): void {
    if (this.#queue.count >= QUEUE_MAX) packet.release();
    else this.#queue.push(packet);
  }
  poll(_now: number, budget: number): number {
    let n = 0;
    while (n < budget) {
      const packet = this.#queue.shift();
      if (packet === null) break;
      n++;
      packet.packetType = PacketType.Host;
      // Nothing on the way could have changed it.
      packet.checksum = Checksum.Valid;
      packet.networkAt = packet.at;
      this.#receiver?.receive(packet);
      packet.release();
    }
    return n;
  }
  pollAt(): number {
    return this.#queue.isEmpty ? NEVER : 0;
  }
  flush(): void {}
  close(): void {
    this.#queue.clear();
  }
}
