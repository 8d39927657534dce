// Hostile packets by the ten thousand, from seeds: every parser of the network layer with every state it can be in. No
// exception, bounded memory, the good traffic goes on, and everything comes back. A failing seed is printed and repeats.

import { ok } from "node:assert/strict";
import { Address } from "./address.ts";
import { EndpointAddress, IncomingControl, OutgoingControl } from "./endpoint.ts";
import { SeededRandom } from "./random.ts";
import { address, arp, Bench, bytesOf, icmp, ipv4, ipv6, sealed, SECOND, udp } from "./test_support.ts";
import { put16, put32 } from "./wire/bytes.ts";
import { checksumOf, putChecksum, sumBytes, sumPseudoHeader } from "./wire/checksum.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "./wire/numbers.ts";

const FRAMES = 10_000;
const SEEDS = 12;

const V4 = [
  "192.0.2.1",
  "192.0.2.2",
  "192.0.2.255",
  "255.255.255.255",
  "224.0.0.1",
  "239.1.2.3",
  "10.9.9.9",
  "127.0.0.1",
  "0.0.0.0",
];
const V6 = [
  "2001:db8::1",
  "2001:db8::2",
  "fe80::1",
  "fe80::2",
  "ff02::1",
  "ff02::1:ff00:1",
  "ff15::3",
  "::1",
  "::",
  "2001:db8:9::9",
  "::ffff:192.0.2.1",
];
const HARDWARE = [
  "02:00:00:00:00:01",
  "ff:ff:ff:ff:ff:ff",
  "01:00:5e:01:02:03",
  "33:33:00:00:00:01",
  "33:33:ff:00:00:01",
  "02:00:00:00:00:77",
];

class Attacker {
  readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)];
  }
  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.random.fill(bytes);
    return bytes;
  }
  chance(percent: number): boolean {
    return this.random.below(100) < percent;
  }

  /** A payload for `protocol` that looks well from afar. */
  transport(protocol: number, from: string, to: string): Uint8Array {
    const { random } = this;
    switch (protocol) {
      case 1:
        return icmp(
          this.pick([0, 3, 4, 5, 8, 11, 12, 13, random.below(256)]),
          random.below(16),
          random.word(),
          this.quoted4(),
          from,
          to,
        );
      case 2:
        return sealed(this.igmp(), 2, 2, from, to);
      case 17:
        return udp(
          random.below(65_536),
          this.pick([5000, 5001, 53, random.below(65_536)]),
          this.bytes(random.below(200)),
          from,
          to,
        );
      case 58:
        return icmp(
          this.pick([1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143, random.below(256)]),
          this.chance(70) ? 0 : random.below(8),
          random.word(),
          this.chance(30) ? this.quoted6() : this.discovery(),
          from,
          to,
        );
      default:
        return this.bytes(random.below(100));
    }
  }
  igmp(): Uint8Array {
    const body = this.bytes(8 + this.random.below(40));
    body[0] = this.pick([0x11, 0x12, 0x16, 0x17, 0x22]);
    address(this.pick(V4)).write4(body, 4);
    return body;
  }
  quoted4(): Uint8Array {
    if (this.chance(20)) return this.bytes(this.random.below(60));
    const inner = ipv4({
      source: "192.0.2.1",
      destination: this.pick(V4),
      protocol: this.pick([1, 17, 6]),
      payload: this.bytes(this.random.below(40)),
    });
    return this.chance(30) ? inner.slice(0, this.random.below(inner.length)) : inner;
  }
  quoted6(): Uint8Array {
    const inner = ipv6({
      source: "2001:db8::1",
      destination: this.pick(V6),
      next: this.pick([58, 17, 6, 0, 43, 44, 60]),
      payload: this.bytes(this.random.below(60)),
    });
    return this.chance(30) ? inner.slice(0, this.random.below(inner.length)) : inner;
  }
  /** Target and options of neighbour discovery, or an advertisement's body. */
  discovery(): Uint8Array {
    const { random } = this;
    const start = this.bytes(this.pick([4, 8, 12, 16, 20, random.below(30)]));
    if (start.length >= 16) address(this.pick(V6)).write6(start, 0);
    const options: number[] = [];
    for (let i = random.below(6); i > 0; i--) {
      const length = this.chance(90) ? 1 + random.below(5) : random.below(256);
      options.push(this.pick([1, 2, 3, 5, 14, 24, 25, 31, random.below(256)]), length);
      for (let j = 0; j < 8 * Math.min(length, 6) - 2; j++) {
        options.push(random.below(4) === 0 ? random.below(256) : 0);
      }
    }
    return bytesOf(start, options);
  }

  frame4(): Uint8Array {
    const { random } = this;
    const from = this.pick(V4), to = this.pick(V4);
    const protocol = this.pick([1, 2, 17, 17, 6, random.below(256)]);
    const bytes = ipv4({
      source: this.chance(60) ? "192.0.2.2" : from,
      destination: this.chance(50) ? "192.0.2.1" : to,
      protocol,
      ttl: this.pick([0, 1, 2, 64, 255]),
      tos: random.below(256),
      id: random.below(4),
      fragment: this.chance(70)
        ? 0
        : this.pick([0x2000, 0x4000, 0x2000 | random.below(8), random.below(0x2000), random.below(0x4000)]),
      options: this.chance(80) ? [] : [...this.bytes(random.below(41))],
      payload: this.transport(protocol, "192.0.2.2", "192.0.2.1"),
    });
    return this.mangled(bytes, 20);
  }
  frame6(): Uint8Array {
    const { random } = this;
    const from = this.chance(60) ? "fe80::2" : this.pick(V6), to = this.pick(V6);
    let next = this.pick([17, 58, 58, 58, 6, random.below(256)]);
    let payload = this.transport(next, from, to);
    for (let i = this.pick([0, 0, 0, 1, 2, 3]); i > 0; i--) {
      const type = this.pick([0, 43, 44, 60, 44]);
      const header = this.bytes(this.pick([8, 8, 16, 24]));
      header[0] = next;
      header[1] = this.chance(85) ? (type === 44 ? 0 : header.length / 8 - 1) : random.below(256);
      if (type === 44) {
        put16(header, 2, this.pick([0, 1, 8, 9, random.below(65_536)]));
        put32(header, 4, random.below(4));
      }
      if (type === 43 && this.chance(60)) header[3] = 0;
      if (type === 60 || type === 0) {
        header[2] = this.pick([0, 1, 5, 0x5e, 0x9e, 0xde]);
        header[3] = this.pick([0, 2, 4, random.below(256)]);
      }
      payload = bytesOf(header, payload);
      next = type;
    }
    return this.mangled(
      ipv6({ source: from, destination: to, next, hops: this.pick([255, 255, 1, 64, 0]), payload }),
      40,
    );
  }
  frameArp(): Uint8Array {
    const bytes = arp(
      this.pick([1, 2, 9]),
      this.pick(V4),
      this.pick(HARDWARE),
      this.pick(V4),
      this.pick(HARDWARE),
    );
    return this.mangled(bytes, 28);
  }

  /** Some stay as they are; others lose their end, get random bytes, or both, perhaps with the checksum made good. */
  mangled(bytes: Uint8Array, headerBytes: number): Uint8Array {
    if (this.chance(60)) return bytes;
    let out: Uint8Array = bytes.slice();
    for (let i = this.random.below(4); i > 0 && out.length > 0; i--) {
      out[this.random.below(Math.min(out.length, headerBytes + 40))] = this.random.below(256);
    }
    if (this.chance(30)) out = out.slice(0, this.random.below(out.length + 1));
    if (this.chance(10)) out = bytesOf(out, this.bytes(this.random.below(100)));
    if (headerBytes === 20 && this.chance(70) && out.length >= 20) {
      const length = Math.min(out.length, (out[0] & 15) * 4);
      out[10] = out[11] = 0;
      putChecksum(out, 10, checksumOf(sumBytes(0, out, 0, length)));
    }
    if (headerBytes === 40 && this.chance(50) && out.length > 44 && out[6] === 58) {
      out[42] = out[43] = 0;
      const from = new Address().read6(out, 8), to = new Address().read6(out, 24);
      const sum = sumPseudoHeader(from, to, 58, out.length - 40);
      putChecksum(out, 42, checksumOf(sumBytes(sum, out, 40, out.length - 40)));
    }
    return out;
  }
}

/** A stack in which everything is switched on. */
function target(seed: number): { bench: Bench; close(): void; work(): void } {
  const bench = new Bench(seed, {
    duplicateProbes: 1,
    addresses: ["192.0.2.1/24", "fe80::1/64", "2001:db8::1/64"],
  });
  const second = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]);
  bench.stack.addDefaultRoute(second.nic, address("198.51.100.254"));
  bench.stack.acceptRouterAdvertisements(bench.nic);
  bench.nic.usesTemporaryAddresses = true;
  bench.nic.isForwarding = seed % 3 === 0;
  bench.nic.takesAll = seed % 4 === 1;
  const at = new EndpointAddress();
  const endpoints = [5000, 5001].map((port) => {
    const endpoint = bench.stack.newUdpEndpoint(false);
    at.address.setUnspecified(false);
    at.port = port;
    endpoint.bind(at);
    const wants = bytesOf(1, 0, 0, 0);
    endpoint.setOption(0, 11, wants, 0, 4);
    endpoint.setOption(41, 25, wants, 0, 4);
    const join = bytesOf(239, 1, 2, 3, 0, 0, 0, 0, bench.nic.id, 0, 0, 0);
    endpoint.setOption(0, 35, join, 0, 12);
    return endpoint;
  });
  const raws = [
    bench.stack.newRawEndpoint(true, 1),
    bench.stack.newRawEndpoint(false, 58),
    bench.stack.newRawEndpoint(true, 17),
  ];
  const tap = bench.stack.newPacketEndpoint(seed % 2 === 0, 3);
  const control = new IncomingControl(), out = new OutgoingControl();
  const into = new Uint8Array(70_000);
  const all = [...endpoints, ...raws, tap];
  return {
    bench,
    work() {
      for (const endpoint of all) {
        for (let i = 0; i < 4; i++) {
          endpoint.read(into, 0, into.length, 0, control);
          endpoint.read(into, 0, into.length, 0x2000, control);
        }
      }
      at.address.copy(address("192.0.2.2"));
      at.port = 9;
      out.to = at;
      endpoints[0].write(into, 0, 100, 0, out);
    },
    close() {
      for (const endpoint of all) endpoint.close();
    },
  };
}

for (let seed = 1; seed <= SEEDS; seed++) {
  Deno.test(`hostile frames, seed ${seed}`, () => {
    const attacker = new Attacker(seed);
    const { bench, close, work } = target(seed);
    let most = 0;
    for (let i = 0; i < FRAMES; i++) {
      const kind = attacker.random.below(10);
      const [etherType, bytes] = kind < 4
        ? [ETHERTYPE_IPV4, attacker.frame4()]
        : kind < 8
        ? [ETHERTYPE_IPV6, attacker.frame6()]
        : kind < 9
        ? [ETHERTYPE_ARP, attacker.frameArp()]
        : [attacker.random.below(65_536), attacker.bytes(attacker.random.below(100))];
      bench.inject(etherType, bytes, attacker.chance(60) ? HARDWARE[0] : attacker.pick(HARDWARE));
      if (attacker.chance(2)) bench.advance(attacker.random.below(1000) * 1e6);
      if (attacker.chance(5)) work();
      most = Math.max(most, bench.packetsHeld);
      bench.link.sent.length = 0;
    }
    // 64 packets for each of a few unresolved neighbours, and nothing of the reassembly's.
    ok(most < 250, `seed ${seed}: ${most} packets held`);
    ok(bench.nic.neighbours.size <= 1024 && bench.stack.reassembly.size <= 64);
    ok(bench.nic.addresses.length <= 256 && bench.stack.routes.entries.length < 200);
    // The good traffic goes on.
    bench.nic.isForwarding = bench.nic.takesAll = false;
    bench.know("192.0.2.2");
    bench.take();
    bench.advance(60 * SECOND);
    bench.take();
    bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1, 2, 3]) }));
    ok(
      bench.take().some((frame) => frame.bytes.length === 31 && frame.bytes[20] === 0),
      `seed ${seed}: no echo`,
    );
    // And memory comes back.
    close();
    bench.advance(100 * SECOND);
    bench.take();
    ok(bench.packetsHeld === 0, `seed ${seed}: ${bench.packetsHeld} packets are lost`);
    bench.stack.close();
    ok(bench.stack.pollAt() === Infinity, `seed ${seed}: a timer is left`);
  });
}
