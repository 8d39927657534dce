// The net process' network, between a stack in the sandbox's place and servers on the host's loopback.

import { deepEqual, equal, ok } from "node:assert/strict";
import { EACCES, EAGAIN, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EMFILE } from "../../../kernel/abi/errno.ts";
import { ADDRESS_BYTES, NativeSockets, SocketKind } from "../../../native/host_sockets.ts";
import {
  type Endpoint,
  EndpointAddress,
  IncomingControl,
  OutgoingControl,
  POLLERR,
  POLLOUT,
  SHUTDOWN_WRITE,
} from "../../../netstack/mod.ts";
import {
  boundPort,
  ClosedPort,
  DatagramServer,
  place,
  portOf,
  SERVERS,
  sockets,
  World,
  write,
} from "../../../tests/support/relay_world.ts";
import { addressBlock } from "./context.ts";
import { DNS_V4, GATEWAY_V4, GATEWAY_V6, GUEST_HARDWARE, GUEST_V4, own, RELAY_HARDWARE } from "./layout.ts";

function listen(): Deno.TcpListener {
  return Deno.listen({ hostname: SERVERS, port: 0 });
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
  using closed = new ClosedPort(SocketKind.Stream);
  using world = new World({ egress: `allow:127.0.0.1:${closed.port}` });
  equal((await world.connect(GATEWAY_V4, closed.port)).result, -ECONNREFUSED);
  equal((await world.connect(GATEWAY_V4, 1)).result, -EHOSTUNREACH);
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

Deno.test("TCP: half of the descriptors are for connections; beyond them a connection waits for another's end", async () => {
  using listener = listen();
  const port = portOf(listener);
  using world = new World({ egress: `allow:127.0.0.1:${port}`, descriptorsMax: 9 });
  const made = [];
  for (let i = 0; i < 4; i++) {
    const accepting = listener.accept();
    const { endpoint, result } = await world.connect(GATEWAY_V4, port);
    equal(result, 0);
    made.push({ endpoint, connection: await accepting });
  }
  const fifth = world.guest.newTcpEndpoint(true);
  fifth.connect(place(GATEWAY_V4, port));
  await world.turns(100);
  equal(fifth.readiness() & (POLLOUT | POLLERR), 0);
  // Its SYN comes again.
  for (const { endpoint, connection } of made) {
    connection.close();
    endpoint.close();
  }
  const accepting = listener.accept();
  await world.until(() => (fifth.readiness() & POLLOUT) !== 0, "the fifth connection");
  equal(fifth.takeError(), 0);
  (await accepting).close();
});

Deno.test("TCP: a reset passes both ways", async () => {
  const listener = sockets.listen(SocketKind.Stream, addressBlock(own(SERVERS), 0));
  const port = boundPort(listener);
  using world = new World({ egress: `allow:127.0.0.1:${port}` });
  const accept = async () => {
    let fd = -1;
    await world.until(
      () => (fd = sockets.accept(listener, new Uint8Array(ADDRESS_BYTES))) >= 0,
      "a connection at the server",
    );
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
  using closed = new ClosedPort(SocketKind.Datagram);
  const { port } = server;
  using world = new World({ egress: `allow:127.0.0.1:${port},allow:127.0.0.1:${closed.port}` });
  world.servers.push(server);
  const endpoint = world.datagrams(GATEWAY_V4, port);
  write(endpoint, "one");
  equal(await world.read(endpoint), "one");
  write(endpoint, "two");
  equal(await world.read(endpoint), "two");
  const refused = world.datagrams(GATEWAY_V4, closed.port);
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

/** The host's sockets, whose peers are elsewhere. */
class DistantPeers extends NativeSockets {
  peer: Uint8Array = new Uint8Array(ADDRESS_BYTES);

  override accept(fd: number, peer: Uint8Array): number {
    const accepted = super.accept(fd, peer);
    if (accepted >= 0) peer.set(this.peer);
    return accepted;
  }
}

Deno.test("published ports: the sandbox sees the peer, or the gateway for one on its own loopback or link", async () => {
  const listener = sockets.listen(SocketKind.Stream, addressBlock(own(SERVERS), 0));
  const hostSockets = new DistantPeers(false);
  const published = [{ port: 80, isDatagram: false, isV4: true }];
  using world = new World({ published, listeners: [listener], hostSockets });
  const server = world.guest.newTcpEndpoint(true);
  server.bind(place(GUEST_V4, 80));
  server.listen(10);
  const seen = async (peer: string, port: number) => {
    hostSockets.peer = addressBlock(own(peer), port);
    const connection = await Deno.connect({ hostname: SERVERS, port: boundPort(listener) });
    let inside: Endpoint | number = -1;
    await world.until(() => typeof (inside = server.accept()) !== "number", "a connection inside");
    const endpoint = inside as unknown as Endpoint, at = new EndpointAddress();
    endpoint.peerAddress(at);
    write(endpoint, "hello");
    const buffer = new Uint8Array(10);
    let n = -1;
    connection.read(buffer).then((count) => n = count ?? 0);
    await world.until(() => n === 5, "bytes from inside");
    return { at, endpoint, connection };
  };
  const distant = await seen("198.51.100.7", 4000);
  equal(`${distant.at.address} ${distant.at.port}`, "198.51.100.7 4000");
  // Through another address of the host's: these four are taken.
  const again = await seen("198.51.100.7", 4000);
  equal(`${again.at.address}`, GATEWAY_V4);
  const others = [];
  for (const peer of ["127.0.0.1", "10.0.2.77", GUEST_V4, "169.254.169.254", "0.0.0.0"]) {
    others.push(await seen(peer, 4001));
    equal(`${others.at(-1)!.at.address}`, GATEWAY_V4, peer);
  }
  for (const { endpoint, connection } of [distant, again, ...others]) {
    connection.close();
    endpoint.close();
  }
  sockets.close(listener);
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

/** A host without a descriptor to spare, for a while. */
class ScarceSockets extends NativeSockets {
  isShort = true;
  refusals = 0;

  override accept(fd: number, peer: Uint8Array): number {
    if (!this.isShort) return super.accept(fd, peer);
    this.refusals++;
    return -EMFILE;
  }
}

Deno.test("published ports: without descriptors connections wait, and nobody turns in circles", async () => {
  const listener = sockets.listen(SocketKind.Stream, addressBlock(own(SERVERS), 0));
  const hostSockets = new ScarceSockets(false);
  const published = [{ port: 80, isDatagram: false, isV4: true }];
  using world = new World({ published, listeners: [listener], hostSockets });
  const server = world.guest.newTcpEndpoint(true);
  server.bind(place(GUEST_V4, 80));
  server.listen(10);
  const begin = performance.now();
  using _connection = await Deno.connect({ hostname: SERVERS, port: boundPort(listener) });
  await world.until(() => hostSockets.refusals > 0, "the first refusal");
  await world.turns(300);
  // It is tried again once a second.
  const seconds = (performance.now() - begin) / 1000;
  ok(hostSockets.refusals <= 2 + seconds, `${hostSockets.refusals} in ${seconds} s`);
  hostSockets.isShort = false;
  await world.until(() => typeof server.accept() !== "number", "the connection inside");
  sockets.close(listener);
});

Deno.test("DNS: a name opens its address; names that no rule is about are not asked for", async () => {
  const asked: string[] = [];
  using server = nameServer({ "api.example": "198.51.100.7", "evil.example": "127.0.0.1" }, asked);
  const rules = "allow:api.example:443,allow:evil.example:443";
  using world = new World({ egress: rules, server: server.port });
  world.servers.push(server);
  const { policy } = world;
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

Deno.test("DNS over TCP: questions one after the other, refused, failed and cut into bytes", async () => {
  using listener = listen();
  const asked: string[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      const buffer = new Uint8Array(512), n = await connection.read(buffer) ?? 0;
      asked.push(nameIn(buffer.subarray(2)));
      const answer = [...buffer.subarray(2, n), 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 8];
      answer.splice(2, 6, 0x81, 0x80, 0, 1, 0, 1);
      await connection.write(Uint8Array.from([answer.length >> 8, answer.length & 255, ...answer]));
      connection.close();
    }
  })();
  using world = new World({ egress: "allow:*.example:443", server: portOf(listener) });
  const { endpoint, result } = await world.connect(DNS_V4, 53);
  equal(result, 0);
  const input = new Uint8Array(1024);
  const askStream = async (name: string) => {
    const message = query(name, 0x4321), framed = Uint8Array.of(0, message.length, ...message);
    for (let at = 0; at < framed.length; at += 7) {
      endpoint.write(framed, at, Math.min(7, framed.length - at), 0, null);
      await world.turns(2);
    }
    let bytes = 0;
    await world.until(() => {
      const n = endpoint.read(input, bytes, input.length - bytes, 0, null);
      if (n > 0) bytes += n;
      return bytes >= 2 && bytes === 2 + (input[0] << 8 | input[1]);
    }, `an answer about ${name}`);
    return input.slice(2, bytes);
  };
  const answer = await askStream("big.example");
  deepEqual([answer[0], answer[1], answer[3] & 15, answer[7]], [0x43, 0x21, 0, 1]);
  equal(world.policy.allows(own("198.51.100.8"), 443, world.now()), true);
  equal((await askStream("secrets.attacker.net"))[3] & 15, 5);
  equal((await askStream("more.example"))[3] & 15, 0);
  deepEqual(asked, ["big.example", "more.example"]);
  listener.close();
  await serving.catch(() => {});
  equal((await askStream("late.example"))[3] & 15, 2);
  // What is no question ends the connection.
  endpoint.write(Uint8Array.of(0, 0), 0, 2, 0, null);
  equal(await world.read(endpoint), 0);
});

Deno.test("frames of chance do no harm, and honest traffic goes on", async () => {
  using server = new DatagramServer((bytes) => bytes);
  using world = new World({ egress: `allow:127.0.0.1:${server.port}` });
  world.servers.push(server);
  let seed = Number(Deno.env.get("TSVISOR_SEED") ?? 1);
  const random = () => seed = Math.imul(seed, 1664525) + 1013904223 >>> 0;
  const destinations = [own(GATEWAY_V4), own(DNS_V4), own("198.51.100.1")];
  for (let i = 0; i < 2000; i++) {
    const bytes = new Uint8Array(14 + 20 + random() % 80).map(() => random() >>> 24);
    const length = bytes.length - 14;
    bytes.set([...RELAY_HARDWARE, ...GUEST_HARDWARE, 8, 0], 0);
    // A header that is let in, most of the time; behind it anything.
    bytes.set([0x45, 0, length >> 8, length & 255, 0, 1, 0, 0, 64, [1, 6, 17, 58][random() % 4]], 14);
    own(GUEST_V4).write4(bytes, 26);
    destinations[random() % destinations.length].write4(bytes, 30);
    bytes.set([0, 0], 24);
    let sum = 0;
    for (let at = 14; at < 34; at += 2) sum += bytes[at] << 8 | bytes[at + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    bytes.set([~sum >> 8 & 255, ~sum & 255], 24);
    if (random() % 8 === 0) bytes[14 + random() % length] = random() >>> 24;
    world.inject(bytes);
    if (i % 50 === 0) await world.turns(1);
  }
  ok(world.relay.stack.nics[1]!.statistics.receivePackets > 1000);
  const endpoint = world.datagrams(GATEWAY_V4, server.port);
  write(endpoint, "still there");
  equal(await world.read(endpoint), "still there");
});

Deno.test("DNS: without a name server that answers it is a failure of the server's", async () => {
  using closed = new ClosedPort(SocketKind.Datagram);
  using world = new World({ server: closed.port });
  equal((await ask(world, "any.example"))[3] & 15, 2);
});
