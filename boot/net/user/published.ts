// Ports of the host that lead into a sandbox: what the command line has bound and handed over. The sandbox sees who has
// connected by its own address and port, or the gateway where an answer to that address would not come back to us.

import { EAGAIN } from "../../../kernel/abi/errno.ts";
import { IP_FREEBIND, SOL_IP } from "../../../kernel/abi/inet.ts";
import {
  type Endpoint,
  EndpointAddress,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  prefixBits,
  type ReadinessQueue,
  type TcpEndpoint,
  type UdpEndpoint,
} from "../../../netstack/mod.ts";
import { ADDRESS_BYTES } from "../../../native/host_sockets.ts";
import { AddressClass, classOf } from "./address_class.ts";
import { CHUNK_BYTES, type HostListener, type RelayContext, type Served, type Watch } from "./context.ts";
import { type Flow, FlowTable } from "./flow_table.ts";
import { GATEWAY_V4, GATEWAY_V6, GUEST_V4, GUEST_V6, own, PREFIX_V4, PREFIX_V6 } from "./layout.ts";
import { TcpFlow } from "./tcp_flow.ts";

const ACCEPTS_PER_TURN = 64;
const DATAGRAMS_PER_TURN = 64;
const UDP_FLOWS_MAX = 1024;
const UDP_IDLE_NANOS = 120e9;
/** Connections of all published ports at most. */
const PUBLISHED_CONNECTIONS_MAX = 4096;

/** Where a published port leads. */
function guestAddress(port: number, isV4: boolean): EndpointAddress {
  const to = new EndpointAddress();
  to.address.copy(own(isV4 ? GUEST_V4 : GUEST_V6));
  to.port = port;
  return to;
}

const ON = Uint8Array.of(1, 0, 0, 0);

/**
 * Binds `endpoint` to the address of a `peer` outside (a block of native/host_sockets.ts). The gateway stands for peers that the
 * sandbox would look for elsewhere: on its own loopback or link. It does so, too, where the peer's address and port are taken:
 * by its connection to another published port that leads to the same one inside.
 */
function bindAs(endpoint: Endpoint, peer: Uint8Array, isV4: boolean): number {
  const from = new EndpointAddress(), { address } = from, gateway = own(isV4 ? GATEWAY_V4 : GATEWAY_V6);
  address.read6(peer, 0);
  const isOnLink = address.isWithin(gateway, prefixBits(isV4 ? PREFIX_V4 : PREFIX_V6, isV4));
  if (!isOnLink && classOf(address) !== AddressClass.Guarded) {
    from.port = peer[16] << 8 | peer[17];
    endpoint.setOption(SOL_IP, IP_FREEBIND, ON, 0, ON.length);
    if (endpoint.bind(from) === 0) return 0;
  }
  address.copy(gateway);
  from.port = 0;
  return endpoint.bind(from);
}

/** What all published TCP ports share. */
export class PublishedConnections {
  count = 0;
}

/** A TCP port. */
export class PublishedTcp implements HostListener {
  readonly #context: RelayContext;
  readonly #fd: number;
  readonly #port: number;
  readonly #isV4: boolean;
  readonly #all: PublishedConnections;
  readonly #watch: Watch;
  readonly #peer = new Uint8Array(ADDRESS_BYTES);

  constructor(context: RelayContext, fd: number, port: number, isV4: boolean, all: PublishedConnections) {
    this.#context = context;
    this.#fd = fd;
    this.#port = port;
    this.#isV4 = isV4;
    this.#all = all;
    this.#watch = context.watches.add(fd, POLLIN, this);
  }

  onHost(_events: number): void {
    const { sockets } = this.#context;
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      const fd = sockets.accept(this.#fd, this.#peer);
      if (fd === -EAGAIN) return;
      // Without descriptors the host would tell of the same connection again and again.
      if (fd < 0) return this.#watch.set(0);
      if (this.#all.count >= PUBLISHED_CONNECTIONS_MAX) sockets.reset(fd);
      else this.#enter(fd);
    }
  }

  /** Listens again where it had no descriptors. */
  sweep(_now: number): boolean {
    this.#watch.set(POLLIN);
    return false;
  }

  #enter(fd: number): void {
    const { stack, sockets } = this.#context;
    const endpoint = stack.newTcpEndpoint(this.#isV4);
    bindAs(endpoint, this.#peer, this.#isV4);
    const result = endpoint.connect(guestAddress(this.#port, this.#isV4));
    if (result < 0 && (endpoint.readiness() & POLLERR) !== 0) {
      endpoint.close();
      return sockets.reset(fd);
    }
    this.#all.count++;
    new Arrival(this.#context, endpoint, fd, () => this.#all.count--);
  }
}

/** A connection from outside whose way to the sandbox is being made. */
class Arrival implements ReadinessQueue, Served {
  isEntered = false;
  readonly #context: RelayContext;
  readonly #endpoint: TcpEndpoint;
  readonly #fd: number;
  readonly #onEnd: () => void;

  constructor(context: RelayContext, endpoint: TcpEndpoint, fd: number, onEnd: () => void) {
    this.#context = context;
    this.#endpoint = endpoint;
    this.#fd = fd;
    this.#onEnd = onEnd;
    endpoint.queue = this;
    context.turns.enter(this);
  }

  notify(_events: number): void {
    this.#context.turns.enter(this);
  }

  serve(): void {
    const events = this.#endpoint.readiness();
    if ((events & (POLLERR | POLLHUP)) !== 0) {
      // Nobody listens inside: who has connected hears it as a reset.
      this.#context.sockets.reset(this.#fd);
      this.#endpoint.close();
      this.#onEnd();
    } else if ((events & POLLOUT) !== 0) {
      new TcpFlow(this.#context, this.#endpoint, this.#fd, this.#onEnd);
    }
  }
}

/** A UDP port: each sender has an endpoint of its own, so that answers find the way back. */
export class PublishedUdp implements HostListener {
  readonly #context: RelayContext;
  readonly #fd: number;
  readonly #port: number;
  readonly #isV4: boolean;
  readonly flows = new FlowTable<UdpArrival>(UDP_FLOWS_MAX, UDP_IDLE_NANOS);
  readonly #sender = new Uint8Array(ADDRESS_BYTES);

  constructor(context: RelayContext, fd: number, port: number, isV4: boolean) {
    this.#context = context;
    this.#fd = fd;
    this.#port = port;
    this.#isV4 = isV4;
    context.watches.add(fd, POLLIN, this);
  }

  onHost(_events: number): void {
    const { chunk, sockets, stack } = this.#context;
    for (let i = 0; i < DATAGRAMS_PER_TURN; i++) {
      const n = sockets.receiveFrom(this.#fd, chunk, 0, CHUNK_BYTES, this.#sender);
      if (n === -EAGAIN) return;
      // An error of a datagram that was sent before.
      if (n < 0) continue;
      const key = this.#sender.join();
      let flow = this.flows.get(key);
      if (flow === null) {
        flow = this.#open();
        if (flow === null) continue;
        this.flows.add(key, flow, stack.now);
      }
      this.flows.touch(key, flow, stack.now);
      flow.endpoint.write(chunk, 0, n, 0, null);
    }
  }

  #open(): UdpArrival | null {
    const endpoint = this.#context.stack.newUdpEndpoint(this.#isV4);
    const isOpen = bindAs(endpoint, this.#sender, this.#isV4) === 0 &&
      endpoint.connect(guestAddress(this.#port, this.#isV4)) === 0;
    if (isOpen) return new UdpArrival(this.#context, endpoint, this.#fd, this.#sender.slice());
    endpoint.close();
    return null;
  }
}

class UdpArrival implements Flow, ReadinessQueue, Served {
  isEntered = false;
  usedAt = 0;
  readonly endpoint: UdpEndpoint;
  readonly #context: RelayContext;
  readonly #fd: number;
  readonly #sender: Uint8Array;
  #isClosed = false;

  constructor(context: RelayContext, endpoint: UdpEndpoint, fd: number, sender: Uint8Array) {
    this.#context = context;
    this.endpoint = endpoint;
    this.#fd = fd;
    this.#sender = sender;
    endpoint.queue = this;
  }

  notify(_events: number): void {
    this.#context.turns.enter(this);
  }

  serve(): void {
    const { chunk, sockets, turns } = this.#context;
    for (let i = 0; i < DATAGRAMS_PER_TURN && !this.#isClosed; i++) {
      const n = this.endpoint.read(chunk, 0, CHUNK_BYTES, 0, null);
      if (n === -EAGAIN) return;
      if (n >= 0) sockets.sendTo(this.#fd, chunk, 0, n, this.#sender);
    }
    if (!this.#isClosed) turns.enter(this);
  }

  close(): void {
    this.#isClosed = true;
    this.endpoint.close();
  }
}
