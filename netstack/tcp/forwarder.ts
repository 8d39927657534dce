// A hook for an embedding program: it is shown every SYN, whatever its address and port, and says what becomes of it, at once
// or later. Egress proxies and user-mode networking stand on it. An example:
//
//   const taker = stack.newTcpEndpoint(false);
//   taker.listenDetached(128);                        // listens, but no SYN finds it by itself
//   stack.tcp.forwarder = {
//     takesAll: true,                                 // before our own listeners; false = only what they do not take
//     onSyn: (syn) => allowed(syn.destination, syn.destinationPort) ? dial(syn) : syn.refuse(),
//   };
//   // later, when the way to the real host is open: syn.accept(taker), then taker.accept() as ever.

import type { Address } from "../address.ts";
import type { Unreachable } from "../icmp/unreachable.ts";
import type { Packet } from "../packet.ts";
import type { TcpEndpoint } from "./endpoint.ts";
import type { Tcp } from "./protocol.ts";

/** SYNs that wait for a decision at most; more are dropped, and come again. */
export const PENDING_MAX = 1024;
/** How long a decision may take: the peer has given up by then. */
export const PENDING_NANOS = 130e9;

export interface TcpForwarder {
  /** It is asked about every SYN; else only about those that no listener takes. */
  readonly takesAll: boolean;
  /** Decides with syn.accept() or syn.refuse(), now or later. Until then repeated SYNs are ignored. */
  onSyn(syn: PendingSyn): void;
}

export class PendingSyn {
  readonly #tcp: Tcp;
  /** A copy, transport header at packet.at, network header at networkAt. */
  readonly #packet: Packet;
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly key: string;
  readonly at: number;
  isDecided = false;

  constructor(
    tcp: Tcp,
    packet: Packet,
    sourcePort: number,
    destinationPort: number,
    key: string,
    now: number,
  ) {
    this.#tcp = tcp;
    this.#packet = packet;
    this.source = packet.source.clone();
    this.sourcePort = sourcePort;
    this.destination = packet.destination.clone();
    this.destinationPort = destinationPort;
    this.key = key;
    this.at = now;
  }

  /** The handshake goes on; the connection comes out of `listener`.accept(). */
  accept(listener: TcpEndpoint): void {
    if (!this.#decide()) return;
    if (listener.listener === null) {
      throw new Error("A forwarded connection was given to an endpoint that does not listen");
    }
    this.#tcp.admit(this.#packet, listener.listener);
    this.#packet.release();
  }
  /** Answers the peer with a reset: nobody listens there. */
  refuse(): void {
    if (!this.#decide()) return;
    this.#tcp.refuse(this.#packet);
    this.#packet.release();
  }
  /** Answers the peer by ICMP that the destination cannot be reached. */
  tellUnreachable(reason: Unreachable): void {
    if (!this.#decide()) return;
    this.#tcp.stack.icmp.sendUnreachable(this.#packet, reason);
    this.#packet.release();
  }
  /** Nothing is said: the peer tries again, as if the SYN was lost. */
  drop(): void {
    if (this.#decide()) this.#packet.release();
  }

  #decide(): boolean {
    if (this.isDecided) return false;
    this.isDecided = true;
    this.#tcp.forgetPending(this);
    return true;
  }
}
