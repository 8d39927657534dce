// What the networks of one kernel share: kernel.inet.

import { PacketPool } from "../../../netstack/mod.ts";
import type { Network } from "./network.ts";

/** Packets of all namespaces: addresses reserved, of which the host gives memory to those in use. */
const SMALL_PACKETS = 2048;
const LARGE_PACKETS = 256;

export class InetRoom {
  /** Of the namespaces that have one. */
  readonly networks = new Set<Network>();
  #packets: PacketPool | null = null;

  /** Made on first use: a sandbox without network has none. */
  get packets(): PacketPool {
    return this.#packets ??= PacketPool.inHeap(SMALL_PACKETS, LARGE_PACKETS);
  }
}
