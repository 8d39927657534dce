// TCP connections that a sandbox makes: each SYN becomes a connect() of the host's, and is answered as that is. So a program
// inside sees the errors that it would have seen on the host, and nothing is accepted that nobody serves.

import { EACCES, ECONNREFUSED, ENETUNREACH, EPERM, ETIMEDOUT } from "../../../kernel/abi/errno.ts";
import {
  EndpointAddress,
  type PendingSyn,
  POLLOUT,
  type ReadinessQueue,
  type TcpEndpoint,
  type TcpForwarder,
  Unreachable,
} from "../../../netstack/mod.ts";
import { SocketKind } from "../../../native/host_sockets.ts";
import {
  addressBlock,
  BUFFER_BYTES_MAX,
  type HostListener,
  type RelayContext,
  type Served,
  type Watch,
} from "./context.ts";
import { targetOf } from "./target.ts";
import { TcpFlow } from "./tcp_flow.ts";

/** Connections whose handshake with the sandbox waits for our accept(). */
const BACKLOG = 1024;
/** The sandbox has this long for its part of the handshake: its stack has given up by then. */
const HANDSHAKE_NANOS = 130e9;

export class OutgoingTcp implements TcpForwarder, ReadinessQueue, Served {
  readonly takesAll = true;
  isEntered = false;
  readonly #context: RelayContext;
  /** Connections at most, those that are being made included. */
  readonly #most: number;
  /** Somebody serves it in here. */
  readonly #takesOwn: (syn: PendingSyn) => boolean;
  /** One for each family: they listen, but only for what we accept. */
  readonly #takers: readonly TcpEndpoint[];
  /** Connected with the host; the sandbox's handshake goes on. By the key of their SYN. */
  readonly #accepted = new Map<string, Dial>();
  /** Connections, in whatever state. */
  #count = 0;
  readonly #peer = new EndpointAddress();
  readonly #local = new EndpointAddress();

  constructor(context: RelayContext, most: number, takesOwn: (syn: PendingSyn) => boolean) {
    this.#context = context;
    this.#most = most;
    this.#takesOwn = takesOwn;
    this.#takers = [true, false].map((isV4) => {
      const taker = context.stack.newTcpEndpoint(isV4);
      taker.listenDetached(BACKLOG);
      taker.queue = this;
      return taker;
    });
  }

  get count(): number {
    return this.#count;
  }

  onSyn(syn: PendingSyn): void {
    const { destination, destinationPort } = syn;
    if (this.#takesOwn(syn)) return;
    const target = targetOf(this.#context, destination, destinationPort);
    if (target === null) return syn.tellUnreachable(Unreachable.Prohibited);
    // The sandbox tries again, and there may be room by then.
    if (this.#count >= this.#most || this.#context.stack.rings.held > BUFFER_BYTES_MAX) return syn.drop();
    const fd = this.#context.sockets.connect(SocketKind.Stream, addressBlock(target, destinationPort));
    if (fd < 0) return answer(syn, -fd);
    this.#count++;
    new Dial(this.#context, syn, fd, this);
  }

  notify(): void {
    this.#context.turns.enter(this);
  }

  /** A dial has failed, or its flow has ended. */
  forget(): void {
    this.#count--;
  }

  /** The host's side is there. */
  accept(dial: Dial): void {
    const { syn } = dial;
    dial.acceptedAt = this.#context.stack.now;
    this.#accepted.set(syn.key, dial);
    syn.accept(this.#takers[syn.destination.isV4 ? 0 : 1]);
  }

  /** Joins what the sandbox has completed with what it was made for. */
  serve(): void {
    for (const taker of this.#takers) {
      for (;;) {
        const endpoint = taker.accept();
        if (typeof endpoint === "number") break;
        const dial = this.#dialOf(endpoint);
        if (dial === null) endpoint.close();
        else new TcpFlow(this.#context, endpoint, dial.fd, () => this.forget());
      }
    }
  }

  #dialOf(endpoint: TcpEndpoint): Dial | null {
    const peer = this.#peer, local = this.#local;
    if (endpoint.peerAddress(peer) < 0 || endpoint.localAddress(local) < 0) return null;
    const key = `${peer.address}/${peer.port}/${local.address}/${local.port}`;
    const dial = this.#accepted.get(key) ?? null;
    this.#accepted.delete(key);
    return dial;
  }

  /** Gives up those whose handshake has never come to an end. True while there are any. */
  sweep(now: number): boolean {
    for (const [key, dial] of this.#accepted) {
      if (now - dial.acceptedAt < HANDSHAKE_NANOS) continue;
      this.#accepted.delete(key);
      this.#context.sockets.reset(dial.fd);
      this.forget();
    }
    return this.#accepted.size > 0;
  }
}

/** A connect() under way. */
class Dial implements HostListener {
  readonly syn: PendingSyn;
  readonly fd: number;
  /** When the host's side was there; 0 before. */
  acceptedAt = 0;
  readonly #context: RelayContext;
  readonly #owner: OutgoingTcp;
  readonly #watch: Watch;

  constructor(context: RelayContext, syn: PendingSyn, fd: number, owner: OutgoingTcp) {
    this.#context = context;
    this.syn = syn;
    this.fd = fd;
    this.#owner = owner;
    this.#watch = context.watches.add(fd, POLLOUT, this);
  }

  onHost(_events: number): void {
    const { sockets } = this.#context;
    const error = sockets.error(this.fd);
    this.#watch.end();
    if (error === 0) return this.#owner.accept(this);
    sockets.close(this.fd);
    this.#owner.forget();
    answer(this.syn, Math.abs(error));
  }
}

/** Tells the sandbox what connect() has said. */
function answer(syn: PendingSyn, errno: number): void {
  switch (errno) {
    case ECONNREFUSED:
      return syn.refuse();
    case ETIMEDOUT:
      // It waits as long by itself.
      return syn.drop();
    case ENETUNREACH:
      return syn.tellUnreachable(Unreachable.Network);
    case EACCES:
    case EPERM:
      return syn.tellUnreachable(Unreachable.Prohibited);
    default:
      return syn.tellUnreachable(Unreachable.Host);
  }
}
