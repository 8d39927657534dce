// The net process' network with real sockets on the host's loopback, in this process: a stack in the sandbox's place sends
// packets over a wire in memory. Servers are this test's own; no privilege is needed.

import { deepEqual, equal, ok } from "node:assert/strict";
import { EACCES, EAGAIN, ECONNREFUSED, ECONNRESET, EHOSTUNREACH } from "../../../kernel/abi/errno.ts";
import { NativeHost } from "../../../native/host.ts";
import { ADDRESS_BYTES, NativeSockets, SocketKind } from "../../../native/host_sockets.ts";
import {
  type Endpoint,
  EndpointAddress,
  IncomingControl,
  OutgoingControl,
  PacketPool,
  POLLERR,
  POLLHUP,
  POLLOUT,
  prefixBits,
  SHUTDOWN_WRITE,
  Stack,
  VethLink,
} from "../../../netstack/mod.ts";
import { HostLoop } from "../../../platform/host/host_loop.ts";
import type { PlatformEvents } from "../../../platform/platform.ts";
import { addressBlock } from "./context.ts";
import {
  DNS_V4,
  GATEWAY_V4,
  GATEWAY_V6,
  GUEST_HARDWARE,
  GUEST_V4,
  GUEST_V6,
  MTU,
  own,
  RELAY_HARDWARE,
} from "./layout.ts";
import { type PublishedPort, RelayNetwork } from "./relay_network.ts";

const CLOCK_MONOTONIC = 1;
/** A condition is waited for, however slow the machine is. */
const PATIENCE_MILLIS = 240_000;
const SERVERS = "127.0.0.1";

const host = new NativeHost();
const sockets = new NativeSockets(false);
const random = { fill: (bytes: Uint8Array) => host.random(bytes, 0, bytes.length) };
/** There is one in a process. */
let loop: HostLoop | null = null;

interface Options {
  readonly egress?: string;
  readonly server?: number;
  readonly published?: readonly PublishedPort[];
  readonly listeners?: readonly number[];
}

/** A sandbox's stack and the network behind it. */
class World {
  readonly guest: Stack;
  readonly relay: RelayNetwork;
  readonly lines: string[] = [];
  /** Have their turn with the others. */
  readonly servers: DatagramServer[] = [];
  readonly #events: PlatformEvents = {
    threads: [],
    threadCount: 0,
    hostFdCookies: [],
    hostFdEvents: [],
    hostFdCount: 0,
  };

  constructor({ egress = "", server = 9, published = [], listeners = [] }: Options = {}) {
    loop ??= new HostLoop(() => {});
    const pool = PacketPool.inHeap(4096, 256);
    const [inside, outside] = VethLink.pair(GUEST_HARDWARE, RELAY_HARDWARE, MTU);
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
      sockets,
      poller: loop,
      random,
      log: (text: string) => void this.lines.push(text),
      descriptorsMax: 65_536,
    };
    this.relay = new RelayNetwork(relayHost, pool, outside, this.now(), config, listeners);
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
class DatagramServer {
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

function boundPort(fd: number): number {
  const block = new Uint8Array(ADDRESS_BYTES);
  equal(sockets.name(fd, block), 0);
  return block[16] << 8 | block[17];
}

function place(address: string, port: number): EndpointAddress {
  const to = new EndpointAddress();
  to.address.copy(own(address));
  to.port = port;
  return to;
}

function write(endpoint: Endpoint, text: string): number {
  const bytes = new TextEncoder().encode(text);
  return endpoint.write(bytes, 0, bytes.length, 0, null);
}

function portOf(listener: Deno.Listener): number {
  return (listener.addr as Deno.NetAddr).port;
}

function listen(): Deno.TcpListener {
  return Deno.listen({ hostname: SERVERS, port: 0 });
}

/** A port on which nobody listens. */
function closedPort(): number {
  const listener = listen(), port = portOf(listener);
  listener.close();
  return port;
}

Deno.test("TCP: bytes both ways, and each side's end", async () => {
  using listener = listen();
  const port = portOf(listener);
  using world = new World({ egress: `allow:127.0.0.1:${port}` });
  const accepting = listener.accept();
  const { endpoint, result } = await world.connect(GATEWAY_V4, port);
  equal(result, 0);
  const connection = await accepting;
  write(endpoint, "from inside");
  const buffer = new Uint8Array(100);
  const reading = connection.read(buffer);
  let got = -1;
  reading.then((n) => got = n ?? 0);
  await world.until(() => got >= 0, "bytes at the server");
  equal(new TextDecoder().decode(buffer.subarray(0, got)), "from inside");
  await connection.write(new TextEncoder().encode("from outside"));
  equal(await world.read(endpoint), "from outside");
  // The sandbox has said all it has to say; the server still answers.
  endpoint.shutdown(SHUTDOWN_WRITE);
  got = -1;
  connection.read(buffer).then((n) => got = n ?? 0);
  await world.until(() => got >= 0, "the end at the server");
  equal(got, 0);
  await connection.write(new TextEncoder().encode("still here"));
  equal(await world.read(endpoint), "still here");
  connection.close();
  equal(await world.read(endpoint), 0);
  endpoint.close();
});

Deno.test("TCP: nobody listens, and the policy says no", async () => {
  const closed = closedPort();
  using world = new World({ egress: `allow:127.0.0.1:${closed},allow:[::1]:${closed}` });
  equal((await world.connect(GATEWAY_V4, closed)).result, -ECONNREFUSED);
  equal((await world.connect(GATEWAY_V6, closed)).result, -ECONNREFUSED);
  // What is not there to be connected to would be another error.
  equal((await world.connect(GATEWAY_V4, closed === 1 ? 2 : 1)).result, -EHOSTUNREACH);
  equal((await world.connect("198.51.100.1", 80)).result, -EHOSTUNREACH);
  equal((await world.connect("2001:db8::1", 80)).result, -EACCES);
});

Deno.test("TCP: by default nothing leads to loopback, link or metadata, however it is written", async () => {
  using listener = listen();
  const port = portOf(listener);
  let isReached = false;
  const accepting = listener.accept().then((connection) => {
    isReached = true;
    connection.close();
  }, () => {});
  using world = new World();
  const places = [GATEWAY_V4, "169.254.169.254", "0.1.2.3", "10.0.2.77", DNS_V4];
  for (const address of places) equal((await world.connect(address, port)).result, -EHOSTUNREACH, address);
  for (const address of [GATEWAY_V6, "64:ff9b::7f00:1", "2002:7f00:1::1", "fd00:ec2::254"]) {
    equal((await world.connect(address, port)).result, -EACCES, address);
  }
  equal(isReached, false);
  listener.close();
  await accepting;
});

Deno.test("TCP: a scan of a thousand ports reaches none that the policy forbids", async () => {
  using listener = listen();
  const port = portOf(listener);
  using world = new World({ egress: `allow:127.0.0.1:${port}` });
  const first = Math.max(1, port - 500);
  const endpoints = Array.from({ length: 1000 }, (_, i) => {
    const endpoint = world.guest.newTcpEndpoint(true);
    endpoint.connect(place(GATEWAY_V4, first + i));
    return endpoint;
  });
  const isDecided = (endpoint: Endpoint) => (endpoint.readiness() & (POLLOUT | POLLERR)) !== 0;
  await world.until(() => endpoints.every(isDecided), "answers to all");
  const open = endpoints.map((endpoint, i) => endpoint.takeError() === 0 ? first + i : 0).filter((n) =>
    n > 0
  );
  deepEqual(open, [port]);
  for (const endpoint of endpoints) endpoint.close();
});

Deno.test("TCP: a reset passes both ways", async () => {
  const listener = sockets.listen(SocketKind.Stream, addressBlock(own(SERVERS), 0));
  const port = boundPort(listener);
  using world = new World({ egress: `allow:127.0.0.1:${port}` });
  const accept = async () => {
    let fd = -1;
    await world.until(() => (fd = sockets.accept(listener)) >= 0, "a connection at the server");
    return fd;
  };
  const first = await world.connect(GATEWAY_V4, port);
  sockets.reset(await accept());
  equal(await world.read(first.endpoint), -ECONNRESET);
  const second = await world.connect(GATEWAY_V4, port);
  const fd = await accept();
  second.endpoint.disconnect();
  const buffer = new Uint8Array(1);
  let n = -EAGAIN;
  await world.until(() => (n = sockets.receive(fd, buffer, 0, 1)) !== -EAGAIN, "the reset at the server");
  equal(n, -ECONNRESET);
  sockets.close(fd);
  sockets.close(listener);
});

Deno.test("TCP: who does not read holds up who writes, on either side, and nothing is lost", async () => {
  using listener = listen();
  const port = portOf(listener);
  using world = new World({ egress: `allow:127.0.0.1:${port}` });
  const accepting = listener.accept();
  const { endpoint } = await world.connect(GATEWAY_V4, port);
  const connection = await accepting;
  const total = 48 * 1024 * 1024, piece = new Uint8Array(65_536).fill(7);
  let sent = 0, isStuck = 0;
  // The server reads nothing: buffers fill, and then no more is taken.
  while (isStuck < 200 && sent < total) {
    const n = endpoint.write(piece, 0, Math.min(piece.length, total - sent), 0, null);
    isStuck = n > 0 ? 0 : isStuck + 1;
    if (n > 0) sent += n;
    await world.turns(1);
  }
  ok(sent < total, `${sent} bytes were taken for nobody`);
  ok(world.relay.stack.rings.held < 32 * 1024 * 1024);
  let received = 0, hasEnded = false;
  const buffer = new Uint8Array(1 << 20);
  const reader = (async () => {
    for (;;) {
      const n = await connection.read(buffer);
      if (n === null) break;
      received += n;
    }
    hasEnded = true;
  })();
  await world.until(() => {
    while (sent < total) {
      const n = endpoint.write(piece, 0, Math.min(piece.length, total - sent), 0, null);
      if (n <= 0) return false;
      sent += n;
    }
    endpoint.shutdown(SHUTDOWN_WRITE);
    return true;
  }, "all to be taken");
  await world.until(() => hasEnded, "all to arrive");
  await reader;
  equal(received, total);
  connection.close();
  endpoint.close();
});

Deno.test("UDP: datagrams both ways, and a port on which nobody is", async () => {
  using server = new DatagramServer((bytes) => bytes);
  const { port } = server, closed = closedPort();
  using world = new World({ egress: `allow:127.0.0.1:${port},allow:127.0.0.1:${closed}` });
  world.servers.push(server);
  const endpoint = world.datagrams(GATEWAY_V4, port);
  write(endpoint, "one");
  equal(await world.read(endpoint), "one");
  write(endpoint, "two");
  equal(await world.read(endpoint), "two");
  const refused = world.datagrams(GATEWAY_V4, closed);
  write(refused, "anybody?");
  await world.until(() => refused.error !== 0, "the refusal");
  equal(refused.takeError(), -ECONNREFUSED);
  const denied = world.datagrams(GATEWAY_V4, 1);
  write(denied, "x");
  await world.until(() => denied.error !== 0, "the policy's answer");
  equal(denied.takeError(), -EHOSTUNREACH);
});

Deno.test("published ports: TCP and UDP from outside, and one on which nobody listens inside", async () => {
  const loopback = own(SERVERS);
  const listeners = [SocketKind.Stream, SocketKind.Datagram, SocketKind.Stream].map((kind) =>
    sockets.listen(kind, addressBlock(loopback, 0))
  );
  const ports = listeners.map(boundPort);
  const published = [
    { port: 80, isDatagram: false, isV4: true },
    { port: 53, isDatagram: true, isV4: true },
    { port: 81, isDatagram: false, isV4: true },
  ];
  using world = new World({ published, listeners });
  const server = world.guest.newTcpEndpoint(true);
  server.bind(place(GUEST_V4, 80));
  equal(server.listen(10), 0);
  const connection = await Deno.connect({ hostname: SERVERS, port: ports[0] });
  let inside: Endpoint | number = -1;
  await world.until(() => typeof (inside = server.accept()) !== "number", "a connection inside");
  await connection.write(new TextEncoder().encode("question"));
  equal(await world.read(inside as unknown as Endpoint), "question");
  write(inside as unknown as Endpoint, "answer");
  const buffer = new Uint8Array(100);
  let n = -1;
  connection.read(buffer).then((count) => n = count ?? 0);
  await world.until(() => n >= 0, "the answer");
  equal(new TextDecoder().decode(buffer.subarray(0, n)), "answer");
  connection.close();
  equal(await world.read(inside as unknown as Endpoint), 0);
  const datagrams = world.guest.newUdpEndpoint(true);
  datagrams.bind(place(GUEST_V4, 53));
  const client = sockets.connect(SocketKind.Datagram, addressBlock(loopback, ports[1]));
  sockets.send(client, new TextEncoder().encode("ping"), 0, 4);
  const control = new IncomingControl();
  await world.until(() => datagrams.read(buffer, 0, 100, 0, control) === 4, "a datagram inside");
  const back = new OutgoingControl();
  back.to = control.from;
  equal(datagrams.write(new TextEncoder().encode("pong"), 0, 4, 0, back), 4);
  await world.until(() => sockets.receive(client, buffer, 0, 100) === 4, "the answer outside");
  equal(new TextDecoder().decode(buffer.subarray(0, 4)), "pong");
  sockets.close(client);
  const refused = await Deno.connect({ hostname: SERVERS, port: ports[2] });
  let failure: unknown = null;
  refused.read(buffer).catch((error) => failure = error);
  await world.until(() => failure !== null, "a reset");
  refused.close();
  for (const fd of listeners) sockets.close(fd);
});

/** A name server: what each name has for an address; others do not exist. */
function nameServer(names: Readonly<Record<string, string>>, asked: string[]): DatagramServer {
  return new DatagramServer((query) => {
    const name = nameIn(query);
    asked.push(name);
    const address = names[name.toLowerCase()];
    const answer = new Uint8Array(query.length + (address === undefined ? 0 : 16));
    answer.set(query);
    answer[2] = 0x81;
    answer[3] = address === undefined ? 0x83 : 0x80;
    answer[7] = address === undefined ? 0 : 1;
    if (address !== undefined) {
      answer.set([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split(".").map(Number)], query.length);
    }
    return answer;
  });
}

function nameIn(message: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 12; message[at] !== 0; at += message[at] + 1) {
    labels.push(new TextDecoder().decode(message.subarray(at + 1, at + 1 + message[at])));
  }
  return labels.join(".");
}

function query(name: string, identifier: number): Uint8Array {
  const labels = name.split(".").flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  return Uint8Array.of(
    identifier >> 8,
    identifier & 255,
    1,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    ...labels,
    0,
    0,
    1,
    0,
    1,
  );
}

async function ask(world: World, name: string): Promise<Uint8Array> {
  const endpoint = world.datagrams(DNS_V4, 53), message = query(name, 0x1234), answer = new Uint8Array(512);
  endpoint.write(message, 0, message.length, 0, null);
  let n = -1;
  await world.until(() => (n = endpoint.read(answer, 0, 512, 0, null)) >= 0, `an answer about ${name}`);
  endpoint.close();
  return answer.slice(0, n);
}

Deno.test("DNS: a name opens its address; names that no rule is about are not asked for", async () => {
  const asked: string[] = [];
  using server = nameServer({ "api.example": "198.51.100.7", "evil.example": "127.0.0.1" }, asked);
  const rules = "allow:api.example:443,allow:evil.example:443";
  using world = new World({ egress: rules, server: server.port });
  world.servers.push(server);
  const { policy } = world.relay;
  const address = own("198.51.100.7");
  equal(policy.allows(address, 443, world.now()), false);
  const answer = await ask(world, "API.example");
  deepEqual([answer[0], answer[1], answer[3] & 15, answer[7]], [0x12, 0x34, 0, 1]);
  equal(policy.allows(address, 443, world.now()), true);
  equal(policy.allows(address, 80, world.now()), false);
  // DNS rebinding: the name is allowed, where it leads is not.
  await ask(world, "evil.example");
  equal(policy.allows(own("127.0.0.1"), 443, world.now()), false);
  equal((await world.connect(GATEWAY_V4, 443)).result, -EHOSTUNREACH);
  const refused = await ask(world, "secrets.attacker.example");
  equal(refused[3] & 15, 5);
  deepEqual(asked.map((name) => name.toLowerCase()), ["api.example", "evil.example"]);
});

Deno.test("DNS: without a name server that answers it is a failure of the server's", async () => {
  using world = new World({ server: closedPort() });
  equal((await ask(world, "any.example"))[3] & 15, 2);
});
