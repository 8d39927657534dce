// What the networks of one kernel share: kernel.inet.

import type * as NetstackModule from "../../../netstack/mod.ts";
import { ControlOptions } from "./control.ts";
import type { Network } from "./network.ts";

/**
 * The network stack as a value. The kernel imports only its types and numbers: the stack is a third of the sentry's code, so
 * it is loaded by the first network that is made, and a sandbox without one neither compiles nor keeps it.
 */
export type Netstack = typeof NetstackModule;

/** Packets of all namespaces: addresses reserved, of which the host gives memory to those in use. */
const SMALL_PACKETS = 2048;
const LARGE_PACKETS = 256;

export class InetRoom {
  /** Of the namespaces that have one. */
  readonly networks = new Set<Network>();
  /** Gives the stack's code, when the first network is made. Set by boot. */
  loadNetstack: () => Netstack = () => {
    throw new Error("This kernel has been given no network stack");
  };
  #shared: SharedNetstack | null = null;

  get shared(): SharedNetstack {
    return this.#shared ??= new SharedNetstack(this.loadNetstack());
  }
}

/** The stack's code, and what all networks use of it. */
export class SharedNetstack {
  readonly netstack: Netstack;
  readonly packets: NetstackModule.PacketPool;
  readonly controlOptions: ControlOptions;
  /** Scratch of the call being served: an address, what goes with a send, what came with a receive. */
  readonly address: NetstackModule.EndpointAddress;
  readonly outgoing: NetstackModule.OutgoingControl;
  readonly incoming: NetstackModule.IncomingControl;

  constructor(netstack: Netstack) {
    this.netstack = netstack;
    this.packets = netstack.PacketPool.inHeap(SMALL_PACKETS, LARGE_PACKETS);
    this.controlOptions = new ControlOptions(netstack.optionNumber);
    this.address = new netstack.EndpointAddress();
    this.outgoing = new netstack.OutgoingControl();
    this.incoming = new netstack.IncomingControl();
  }
}
