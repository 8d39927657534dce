// Hostile frames against a stack that is in use: nothing is thrown, work and memory are bounded, the honest connections go
// on. TSVISOR_FRAMES=N changes how many, TSVISOR_SEED=N the seed.

import { deepEqual as equal, ok } from "node:assert/strict";
import { EndpointAddress } from "../endpoint.ts";
import { SeededRandom } from "../random.ts";
import { Hostile } from "./hostile.ts";
import { World } from "./world.ts";

const FRAMES = Number(Deno.env.get("TSVISOR_FRAMES") ?? 2_000_000);
const SEED = Number(Deno.env.get("TSVISOR_SEED") ?? 1);
const PORT = 7;
const MESSAGE_BYTES = 3000;

const buffer = new Uint8Array(65_536);

Deno.test(`${FRAMES} hostile frames harm nobody`, () => {
  const world = new World({ seed: SEED, mtu: 1500, impairment: {} });
  const random = new SeededRandom(SEED);
  const [friend, victim] = world.stacks;
  const nic = victim.nics[2]!;
  nic.isForwarding = random.below(2) === 0;
  const hostile = new Hostile(random, [world.addresses[1], world.addressesV6[1]], [
    world.addresses[0],
    world.addressesV6[0],
  ]);
  victim.newRawEndpoint(true, 1);
  victim.newPacketEndpoint(false, 3);
  const bound = new EndpointAddress();
  bound.port = PORT;
  const listener = victim.newTcpEndpoint(false), datagrams = victim.newUdpEndpoint(false);
  equal(listener.bind(bound), 0);
  equal(listener.listen(16), 0);
  equal(datagrams.bind(bound), 0);
  victim.acceptRouterAdvertisements(nic);
  // Honest connections, both families.
  const clients = [true, false].map((isV4) => {
    const endpoint = friend.newTcpEndpoint(isV4);
    const to = new EndpointAddress();
    to.address.copy((isV4 ? world.addresses : world.addressesV6)[1]);
    to.port = PORT;
    endpoint.connect(to);
    return endpoint;
  });
  settle(world);
  const servers = clients.map(() => listener.accept()).filter((server) => typeof server !== "number");
  equal(servers.length, 2);
  nic.taps.push({
    onPacket: (packet) => {
      if (random.below(50) === 0) hostile.overhear(packet.etherType, packet.bytes, packet.at, packet.length);
    },
  });
  let messages = 0;
  for (let i = 0; i < FRAMES; i++) {
    const { etherType, bytes, length } = hostile.make();
    const packet = victim.pool.allocate(length);
    if (packet !== null) {
      packet.bytes.set(bytes.subarray(0, length), packet.at);
      packet.etherType = etherType;
      packet.sourceHardwareHigh = 0x0200;
      packet.sourceHardwareLow = 1 + random.below(3);
      nic.receive(packet);
      packet.release();
    }
    if (i % 64 === 0) {
      world.step(world.now + 1e6);
      // Whom a flood has brought in is shown out.
      for (let extra = listener.accept(); typeof extra !== "number"; extra = listener.accept()) extra.close();
      while (datagrams.read(buffer, 0, buffer.length, 0, null) >= 0) continue;
      datagrams.takeError();
    }
    if (i % 20_000 !== 0) continue;
    for (const [n, client] of clients.entries()) {
      equal(exchange(world, client, servers[n]), MESSAGE_BYTES, `connection ${n} after ${i} frames`);
      messages++;
    }
    ok(victim.timers.size < 5000, `${victim.timers.size} timers`);
    ok(victim.pool.used < 1024, `${victim.pool.used} packets are held`);
    ok(nic.neighbours.size <= 1024, `${nic.neighbours.size} neighbours`);
    ok(nic.addresses.length < 64, `${nic.addresses.length} addresses`);
    ok(victim.routes.entries.length < 200, `${victim.routes.entries.length} routes`);
    ok(victim.tcp.count < 5000, `${victim.tcp.count} connections`);
  }
  equal(messages > 0, true);
  for (const endpoint of [...clients, ...servers]) endpoint.close();
  listener.close();
  datagrams.close();
  // Everything comes back: half-open connections, fragments, TIME_WAIT, packets waiting for neighbours.
  const end = world.now + 400e9;
  while (world.now < end) world.step(end);
  equal(victim.tcp.count, 0, "connections are left");
  equal(victim.reassembly.size, 0, "datagrams in pieces are left");
  world.close();
  equal(world.packetsOut, 0, "packets were not given back");
});

/** Sends a message there and back; bytes that came back. Its honest peer may have to try again: neighbours were forged. */
function exchange(world: World, client: Pair, server: Pair): number {
  for (let i = 0; i < MESSAGE_BYTES; i++) buffer[i] = i;
  const sent = client.write(buffer, 0, MESSAGE_BYTES, 0, null);
  if (sent !== MESSAGE_BYTES) return sent;
  let back = 0, there = 0;
  for (const end = world.now + 300e9; back < MESSAGE_BYTES && world.now < end;) {
    world.step(Math.min(end, world.now + 1e9));
    const n = server.read(buffer, 0, buffer.length, 0, null);
    if (n > 0) {
      server.write(buffer, 0, n, 0, null);
      there += n;
    }
    const m = client.read(buffer, 0, buffer.length, 0, null);
    for (let i = 0; i < m; i++) if (buffer[i] !== (back + i & 255)) return -1;
    if (m > 0) back += m;
  }
  return there === MESSAGE_BYTES ? back : there;
}

interface Pair {
  read(into: Uint8Array, at: number, length: number, flags: number, control: null): number;
  write(from: Uint8Array, at: number, length: number, flags: number, control: null): number;
}

function settle(world: World): void {
  for (let i = 0; i < 50; i++) world.step(world.now + 1e8);
}
