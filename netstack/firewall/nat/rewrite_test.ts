// Incremental checksums against checksums made anew (RFC 1624), for every protocol, family and side.

import { deepEqual as equal } from "node:assert/strict";
import { Address } from "../../address.ts";
import { completeChecksum, startChecksum } from "../../link/offload.ts";
import { PacketPool } from "../../packet.ts";
import { SeededRandom } from "../../random.ts";
import { address, icmp, ipv4, ipv6, isSound, sealed, udp } from "../../test_support.ts";
import { get16, put16 } from "../../wire/bytes.ts";
import { NAT_DESTINATION, NAT_SOURCE } from "../conntrack/connection.ts";
import { rewriteAt, rewritePacket } from "./rewrite.ts";

const FROM4 = "192.0.2.2", TO4 = "192.0.2.1", FROM6 = "2001:db8::2", TO6 = "2001:db8::1";

function packet(protocol: number, isV4: boolean, random: SeededRandom): Uint8Array {
  const from = isV4 ? FROM4 : FROM6, to = isV4 ? TO4 : TO6;
  const body = new Uint8Array(20 + random.below(9));
  random.fill(body);
  let payload: Uint8Array;
  if (protocol === 17) payload = udp(random.below(65_536), random.below(65_536), body, from, to);
  else if (protocol === 6) payload = sealed(body, 16, 6, from, to);
  else payload = icmp(isV4 ? 8 : 128, 0, random.word(), body, from, to);
  return isV4 ? ipv4({ protocol, payload }) : ipv6({ next: protocol, payload });
}

Deno.test("rewriting keeps checksums right: 3,000 packets with random addresses and ports", () => {
  const random = new SeededRandom(3);
  for (let n = 0; n < 3000; n++) {
    const isV4 = random.below(2) === 0;
    const protocol = [6, 17, isV4 ? 1 : 58][random.below(3)];
    const bytes = packet(protocol, isV4, random);
    const at = isV4 ? 20 : 40;
    const to = isV4
      ? new Address().setV4(random.word())
      : new Address().setWords(random.word(), 1, random.word(), 2);
    const side = random.below(2) === 0 ? NAT_SOURCE : NAT_DESTINATION;
    const port = random.below(65_536);
    rewriteAt(bytes, 0, at, bytes.length, protocol, side, to, port, false);
    const frame = { etherType: isV4 ? 0x0800 : 0x86dd, hardware: "", bytes, gsoBytes: 0 };
    equal(isSound(frame), true, `packet ${n}, protocol ${protocol}`);
    const portAt = protocol === 1 || protocol === 58 ? at + 4 : at + (side === NAT_SOURCE ? 0 : 2);
    equal(get16(bytes, portAt), port);
  }
});

Deno.test("a datagram without checksum stays without; one whose sum comes to nothing says 0xffff", () => {
  const payload = udp(1, 2, "x");
  put16(payload, 6, 0);
  const bytes = ipv4({ protocol: 17, payload });
  rewriteAt(bytes, 0, 20, bytes.length, 17, NAT_SOURCE, address("10.0.0.1"), 9, false);
  equal(get16(bytes, 26), 0);
  bytes.set(udp(1, 2, "x"), 20);
  let ones = 0;
  for (let port = 0; port < 65_536; port++) {
    rewriteAt(bytes, 0, 20, bytes.length, 17, NAT_SOURCE, address("10.0.0.1"), port, false);
    if (get16(bytes, 26) === 0xffff) ones++;
    equal(get16(bytes, 26) === 0, false);
  }
  equal(ones, 1);
});

Deno.test("a checksum left to the device: the pseudo header's sum follows the address", () => {
  const pool = PacketPool.inHeap(4, 1);
  const made = pool.allocate(30)!;
  made.bytes.set(ipv4({ protocol: 17, payload: udp(1, 2, "xx") }), made.at);
  made.networkAt = made.at;
  made.transportAt = made.at + 20;
  made.protocol = 17;
  made.source.copy(address(FROM4));
  made.destination.copy(address(TO4));
  put16(made.bytes, made.transportAt + 6, 0);
  startChecksum(made);
  rewritePacket(made, made.transportAt, 17, NAT_SOURCE, address("203.0.113.77"), 777);
  rewritePacket(made, made.transportAt, 17, NAT_DESTINATION, address("10.255.3.4"), 53);
  equal(made.source.toString(), "203.0.113.77");
  completeChecksum(made);
  const bytes = made.bytes.slice(made.at, made.end);
  equal(isSound({ etherType: 0x0800, hardware: "", bytes, gsoBytes: 0 }), true);
  made.release();
});
