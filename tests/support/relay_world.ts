// The net process' network with real sockets on the host's loopback, in a test's process: a stack in the sandbox's place sends
// packets over a wire in memory. Servers are the test's own; no privilege is needed.

import { equal, ok } from "node:assert/strict";
import { EAGAIN } from "../../kernel/abi/errno.ts";
import { NativeHost } from "../../native/host.ts";
import { ADDRESS_BYTES, NativeSockets, SocketKind } from "../../native/host_sockets.ts";
import {
  type Endpoint,
  EndpointAddress,
  type Link,
  PacketPool,
  POLLERR,
  POLLHUP,
  POLLOUT,
  prefixBits,
  Stack,
  VethLink,
} from "../../netstack/mod.ts";
import { HostLoop } from "../../platform/host/host_loop.ts";
import type { PlatformEvents } from "../../platform/platform.ts";
import { addressBlock } from "../../boot/net/user/context.ts";
import {
  GATEWAY_V4,
  GATEWAY_V6,
  GUEST_HARDWARE,
  GUEST_V4,
  GUEST_V6,
  MTU,
  own,
  RELAY_HARDWARE,
} from "../../boot/net/user/layout.ts";
import type { EgressPolicy } from "../../boot/net/user/policy.ts";
import { type PublishedPort, RelayNetwork } from "../../boot/net/user/relay_network.ts";

const CLOCK_MONOTONIC = 1;
/** A condition is waited for, however slow the machine is. */
const PATIENCE_MILLIS = 240_000;
export const SERVERS = "127.0.0.1";

const host = new NativeHost();
export const sockets = new NativeSockets(false);
const random = { fill: (bytes: Uint8Array) => host.random(bytes, 0, bytes.length) };
/** There is one in a process. */
let loop: HostLoop | null = null;

interface Options {
  readonly egress?: string;
  readonly server?: number;
  readonly published?: readonly PublishedPort[];
  readonly listeners?: readonly number[];
  /** Instead of the host's own. */
  readonly hostSockets?: NativeSockets;
  readonly descriptorsMax?: number;
}

/** A sandbox's stack and the network behind it. */
export class World {
  readonly guest: Stack;
  readonly relay: RelayNetwork;
  readonly lines: string[] = [];
  /** Have their turn with the others. */
  readonly servers: DatagramServer[] = [];
  readonly #pool = PacketPool.inHeap(4096, 256);
  readonly #inside: Link;
  readonly #events: PlatformEvents = {
    threads: [],
    threadCount: 0,
    hostFdCookies: [],
    hostFdEvents: [],
    hostFdCount: 0,
  };

  constructor(
    {
      egress = "",
      server = 9,
      published = [],
      listeners = [],
      hostSockets = sockets,
      descriptorsMax = 65_536,
    }: Options = {},
  ) {
    loop ??= new HostLoop(() => {});
    const pool = this.#pool;
    const [inside, outside] = VethLink.pair(GUEST_HARDWARE, RELAY_HARDWARE, MTU);
    this.#inside = inside;
    this.guest = new Stack({ pool, random, log() {}, duplicateProbes: 0 });
    this.guest.now = this.now();
    const nic = this.guest.addNic("eth0", inside);
    this.guest.setUp(nic, true);
    for (const text of [GUEST_V4, GUEST_V6]) {
      const address = own(text);
      this.guest.addAddress(nic, address, prefixBits(address.isV4 ? 24 : 64, address.isV4));
    }
    this.guest.addDefaultRoute(nic, own(GATEWAY_V4));
    this.guest.addDefaultRoute(nic, own(GATEWAY_V6));
    const config = { egress, servers: [{ address: SERVERS, port: server }], published, isLenient: false };
    const relayHost = {
      sockets: hostSockets,
      poller: loop,
      random,
      log: (text: string) => void this.lines.push(text),
      descriptorsMax,
    };
    this.relay = new RelayNetwork(relayHost, pool, outside, this.now(), config, listeners);
  }

  get policy(): EgressPolicy {
    return this.relay.policy;
  }

  /** A frame on the wire, as a sentry may send it that is nobody's any more. */
  inject(frame: Uint8Array): void {
    const packet = this.#pool.allocate(frame.length);
    if (packet === null) return;
    packet.bytes.set(frame, packet.at);
    packet.at += 14;
    packet.etherType = 0x0800;
    packet.hardwareHigh = frame[0] << 8 | frame[1];
    packet.hardwareLow = (frame[2] << 24) | (frame[3] << 16) | (frame[4] << 8) | frame[5];
    this.#inside.send(packet);
  }

  now(): number {
    return host.clockNanos(CLOCK_MONOTONIC);
  }

  turn(): void {
    this.guest.poll(this.now());
    this.relay.turn(this.now());
    this.guest.poll(this.now());
    for (const server of this.servers) server.serve();
    loop!.take(loop!.sleep(0), this.#events);
    for (let i = 0; i < this.#events.hostFdCount; i++) {
      this.relay.watches.dispatch(this.#events.hostFdCookies[i], this.#events.hostFdEvents[i]);
    }
  }

  /** Lets both work, and this test's servers, until `isOver`. */
  async until(isOver: () => boolean, what: string): Promise<void> {
    const end = performance.now() + PATIENCE_MILLIS;
    while (!isOver()) {
      ok(performance.now() < end, `waited in vain: ${what}`);
      this.turn();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** Turns without a condition: for what must not happen. */
  async turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.turn();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** A connection to `port` of `address`, made or refused: 0 or -errno. */
  async connect(address: string, port: number): Promise<{ endpoint: Endpoint; result: number }> {
    const to = place(address, port);
    const endpoint = this.guest.newTcpEndpoint(to.address.isV4);
    endpoint.connect(to);
    await this.until(
      () => (endpoint.readiness() & (POLLOUT | POLLERR | POLLHUP)) !== 0,
      `connect to ${address}`,
    );
    return { endpoint, result: endpoint.takeError() };
  }

  async read(endpoint: Endpoint, into = new Uint8Array(65_536)): Promise<string | number> {
    let n = -EAGAIN;
    await this.until(
      () => (n = endpoint.read(into, 0, into.length, 0, null)) !== -EAGAIN,
      "something to read",
    );
    return n <= 0 ? n : new TextDecoder().decode(into.subarray(0, n));
  }

  datagrams(address: string, port: number): Endpoint {
    const to = place(address, port);
    const endpoint = this.guest.newUdpEndpoint(to.address.isV4);
    equal(endpoint.connect(to), 0);
    return endpoint;
  }

  [Symbol.dispose](): void {
    this.relay.close();
    this.guest.close();
  }
}

/** Answers each datagram, when it is its turn. */
export class DatagramServer {
  readonly port: number;
  readonly #fd = sockets.listen(SocketKind.Datagram, addressBlock(own(SERVERS), 0));
  readonly #answer: (bytes: Uint8Array) => Uint8Array;
  readonly #buffer = new Uint8Array(65_536);
  readonly #sender = new Uint8Array(ADDRESS_BYTES);

  constructor(answer: (bytes: Uint8Array) => Uint8Array) {
    this.#answer = answer;
    this.port = boundPort(this.#fd);
  }

  serve(): void {
    for (;;) {
      const n = sockets.receiveFrom(this.#fd, this.#buffer, 0, this.#buffer.length, this.#sender);
      if (n < 0) return;
      const answer = this.#answer(this.#buffer.slice(0, n));
      sockets.sendTo(this.#fd, answer, 0, answer.length, this.#sender);
    }
  }

  [Symbol.dispose](): void {
    sockets.close(this.#fd);
  }
}

export function boundPort(fd: number): number {
  const block = new Uint8Array(ADDRESS_BYTES);
  equal(sockets.name(fd, block), 0);
  return block[16] << 8 | block[17];
}

export function place(address: string, port: number): EndpointAddress {
  const to = new EndpointAddress();
  to.address.copy(own(address));
  to.port = port;
  return to;
}

export function write(endpoint: Endpoint, text: string): number {
  const bytes = new TextEncoder().encode(text);
  return endpoint.write(bytes, 0, bytes.length, 0, null);
}

export function portOf(listener: Deno.Listener): number {
  return (listener.addr as Deno.NetAddr).port;
}

/** A port on which nobody listens, and nobody else will: it is the own one of a connection. */
export class ClosedPort {
  readonly port: number;
  readonly #fds: number[] = [];

  constructor(kind: SocketKind) {
    const peer = sockets.listen(kind, addressBlock(own(SERVERS), 0));
    const fd = sockets.connect(kind, addressBlock(own(SERVERS), boundPort(peer)));
    this.#fds.push(peer, fd);
    this.port = boundPort(fd);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) sockets.close(fd);
  }
}
