// Joining of segments: what is cut by SoftwareOffload comes back whole, and what must not be joined is not.

import { deepEqual as equal } from "node:assert/strict";
import { parseAddress } from "../address.ts";
import { Checksum, Gso, type Packet, PacketPool, PacketType } from "../packet.ts";
import { put16, put32 } from "../wire/bytes.ts";
import { IPV4_BYTES, sealIpv4Header } from "../wire/ipv4.ts";
import { ETHERTYPE_IPV4, IPPROTO_TCP } from "../wire/numbers.ts";
import { GroLink } from "./gro.ts";
import { completeChecksum, startChecksum } from "./offload.ts";
import { VethLink } from "./veth.ts";

const pool = PacketPool.inHeap(64, 64);
const SOURCE = parseAddress("10.0.0.1")!, DESTINATION = parseAddress("10.0.0.2")!;

interface Options {
  readonly port?: number;
  readonly flags?: number;
  readonly ack?: number;
  readonly isBad?: boolean;
}

/** A segment of `length` bytes at `sequence` in a slot that has room for more. */
function segment(sequence: number, length: number, options: Options = {}): Packet {
  const packet = pool.allocate(60_000)!;
  packet.end = packet.at + 40 + length;
  const { bytes, at } = packet;
  bytes.fill(0, at, at + 40);
  for (let i = 0; i < length; i++) bytes[at + 40 + i] = sequence + i;
  bytes[at] = 0x45;
  put16(bytes, at + 2, 40 + length);
  bytes[at + 8] = 64;
  bytes[at + 9] = IPPROTO_TCP;
  SOURCE.write4(bytes, at + 12);
  DESTINATION.write4(bytes, at + 16);
  sealIpv4Header(bytes, at);
  put16(bytes, at + 20, options.port ?? 1000);
  put16(bytes, at + 22, 80);
  put32(bytes, at + 24, sequence);
  put32(bytes, at + 28, options.ack ?? 7);
  bytes[at + 32] = 5 << 4;
  bytes[at + 33] = options.flags ?? 0x10;
  packet.source.copy(SOURCE);
  packet.destination.copy(DESTINATION);
  packet.protocol = IPPROTO_TCP;
  packet.transportAt = at + IPV4_BYTES;
  packet.etherType = ETHERTYPE_IPV4;
  packet.hardwareHigh = 0x0200;
  packet.hardwareLow = 2;
  startChecksum(packet);
  completeChecksum(packet);
  if (options.isBad === true) bytes[at + 45] ^= 1;
  return packet;
}

/** What comes out when these come in within one poll: length, size of pieces, first byte of each. */
function through(...packets: Packet[]): [number, number][] {
  const [left, right] = VethLink.pair(Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2));
  const out: [number, number][] = [];
  const gro = new GroLink(right);
  gro.attach({
    receive(packet) {
      equal(packet.packetType, PacketType.Host);
      if (packet.gso !== Gso.None) equal(packet.checksum, Checksum.Valid);
      const first = packet.bytes[packet.at + 40];
      for (let at = packet.at + 40; at < packet.end && packet.gso !== Gso.None; at++) {
        equal(packet.bytes[at], first + (at - packet.at - 40) & 255);
      }
      out.push([packet.length - 40, packet.gsoBytes]);
    },
  });
  for (const packet of packets) left.send(packet);
  gro.poll(0, 64);
  gro.close();
  equal(pool.used, 0);
  return out;
}

Deno.test("segments of one flow that follow on each other become one", () => {
  equal(through(segment(0, 100), segment(100, 100), segment(200, 60)), [[260, 100]]);
  equal(through(segment(-100, 100), segment(0, 100)), [[200, 100]]);
});

Deno.test("a short one ends the train, and so does PSH", () => {
  equal(through(segment(0, 100), segment(100, 50), segment(150, 100)), [[150, 100], [100, 0]]);
  equal(through(segment(0, 100), segment(100, 100, { flags: 0x18 }), segment(200, 100)), [[200, 100], [
    100,
    0,
  ]]);
});

Deno.test("gaps, other acknowledgements, flags and bad checksums are not joined, and nothing is overtaken", () => {
  equal(through(segment(0, 100), segment(200, 100)), [[100, 0], [100, 0]]);
  equal(through(segment(0, 100), segment(100, 100, { ack: 8 })), [[100, 0], [100, 0]]);
  equal(through(segment(0, 100), segment(100, 70, { flags: 0x11 })), [[100, 0], [70, 0]]);
  equal(through(segment(0, 100), segment(100, 90, { isBad: true })), [[100, 0], [90, 0]]);
  equal(through(segment(0, 100), segment(100, 200)), [[100, 0], [200, 0]]);
});

Deno.test("flows that alternate are joined each for itself", () => {
  const other = { port: 2000 };
  equal(
    through(segment(0, 100), segment(0, 80, other), segment(100, 100), segment(80, 80, other)),
    [[200, 100], [160, 80]],
  );
});
