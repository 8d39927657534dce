// Packets for others: RFC 1812 section 5, RFC 8200, RFC 2644. A stack between two networks.

import { deepEqual as equal, ok } from "node:assert/strict";
import { Hook, Verdict } from "../firewall/hooks.ts";
import {
  address,
  Bench,
  bytesOf,
  type CaptureLink,
  describe,
  icmp,
  ipv4,
  type Ipv4Fields,
  ipv6,
  isSound,
  udp,
} from "../test_support.ts";
import { get16, get32 } from "../wire/bytes.ts";
import { RouteType } from "../numbers.ts";

interface Router {
  readonly bench: Bench;
  readonly far: CaptureLink;
}
function router(): Router {
  const bench = new Bench();
  const { nic, link } = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24", "2001:db8:1::1/64"]);
  bench.nic.isForwarding = nic.isForwarding = true;
  bench.know("192.0.2.2");
  bench.know("2001:db8::2");
  bench.know("198.51.100.2", "02:00:00:00:01:02", nic);
  bench.know("2001:db8:1::2", "02:00:00:00:01:02", nic);
  bench.advance(5e9);
  bench.take();
  bench.take(link);
  return { bench, far: link };
}
function packet(more: Partial<Ipv4Fields> = {}): Uint8Array {
  return ipv4({
    destination: "198.51.100.2",
    protocol: 17,
    payload: udp(1, 2, "through", "192.0.2.2", "198.51.100.2"),
    ...more,
  });
}
const packet6 = ipv6({
  destination: "2001:db8:1::2",
  next: 17,
  payload: udp(1, 2, "through", "2001:db8::2", "2001:db8:1::2"),
});

Deno.test("a packet goes on with its time to live one less and a good checksum", () => {
  const { bench, far } = router();
  bench.v4(packet({ ttl: 9 }));
  const [frame] = bench.take(far);
  ok(isSound(frame));
  equal([describe(frame), frame.hardware, frame.bytes[8]], [
    "UDP 192.0.2.2:1 > 198.51.100.2:2 7",
    "02:00:00:00:01:02",
    8,
  ]);
  bench.v6(packet6);
  const [six] = bench.take(far);
  ok(isSound(six));
  equal(six.bytes[7], 63);
  equal([bench.stack.ipv4.ForwDatagrams, bench.stack.ipv6.ForwDatagrams, bench.packetsHeld], [1, 1, 0]);
});

Deno.test("not without leave, not from frames for others or for all, not between links' own addresses", () => {
  const { bench, far } = router();
  bench.v4(packet(), "ff:ff:ff:ff:ff:ff");
  bench.v4(packet({ source: "169.254.1.1" }));
  bench.v6(ipv6({ source: "fe80::2", destination: "2001:db8:1::2", next: 17, payload: bytesOf("x") }));
  bench.nic.isForwarding = false;
  bench.v4(packet());
  equal(bench.take(far), []);
  equal(bench.take(), []);
});

Deno.test("the time is over: time exceeded to the sender", () => {
  const { bench } = router();
  bench.v4(packet({ ttl: 1 }));
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 11 code 0"]);
  const over = packet6.slice();
  over[7] = 1;
  bench.v6(over);
  equal(bench.take().map(describe), ["ICMP6 2001:db8::1 > 2001:db8::2 type 3 code 0"]);
});

Deno.test("nowhere to go: net unreachable, no route; refused routes say their own", () => {
  const { bench } = router();
  bench.v4(packet({ destination: "203.0.113.1" }));
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 3 code 0"]);
  bench.v6(ipv6({ destination: "2001:db8:9::1", next: 17, payload: bytesOf("x") }));
  equal(bench.take().map(describe), ["ICMP6 2001:db8::1 > 2001:db8::2 type 1 code 0"]);
  const refused = {
    prefix: address("203.0.113.0"),
    prefixBits: 120,
    gateway: null,
    nic: bench.nic,
    metric: 0,
    mtu: 0,
    source: null,
  };
  bench.stack.routes.add({ ...refused, type: RouteType.Prohibit });
  bench.v4(packet({ destination: "203.0.113.1" }));
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 3 code 13"]);
});

Deno.test("too long for the next link: fragments, or the MTU to the sender where it must not be cut", () => {
  const { bench, far } = router();
  far.mtu = 1280;
  bench.stack.routes.generation++;
  const long = { payload: new Uint8Array(1400), protocol: 200 };
  bench.v4(packet({ ...long, fragment: 0x4000 }));
  const [told] = bench.take();
  equal([describe(told), get16(told.bytes, 26)], ["ICMP 192.0.2.1 > 192.0.2.2 type 3 code 4", 1280]);
  bench.v4(packet(long));
  const pieces = bench.take(far);
  equal(pieces.map((frame) => frame.bytes.length), [1276, 164]);
  equal(pieces.map((frame) => get16(frame.bytes, 6)), [0x2000, 157]);
  bench.v6(ipv6({ destination: "2001:db8:1::2", next: 200, payload: new Uint8Array(1400) }));
  const [six] = bench.take();
  equal([describe(six), get32(six.bytes, 44)], ["ICMP6 2001:db8::1 > 2001:db8::2 type 2 code 0", 1280]);
  equal(bench.take(far), []);
});

Deno.test("a broadcast of another network is not passed on (RFC 2644)", () => {
  const { bench, far } = router();
  bench.v4(packet({ destination: "198.51.100.255" }));
  equal(bench.take(far), []);
});

Deno.test("a neighbour that does not answer: host unreachable to the sender", () => {
  const { bench, far } = router();
  bench.v4(packet({ destination: "198.51.100.77" }));
  equal(bench.take(far).map(describe), ["ARP who-has 198.51.100.1 > 198.51.100.77"]);
  bench.advance(4e9);
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 3 code 1"]);
  equal(bench.packetsHeld, 0);
});

Deno.test("the filter is asked at prerouting, forward and postrouting; for own packets at input and output", () => {
  const { bench, far } = router();
  const asked: string[] = [];
  let refusal: Hook | null = null;
  const names = ["prerouting", "input", "forward", "output", "postrouting"];
  bench.stack.firewall = {
    run(hook, _packet, incoming, outgoing) {
      asked.push(`${names[hook]} ${incoming?.name ?? "-"} ${outgoing?.name ?? "-"}`);
      return hook === refusal ? Verdict.Drop : Verdict.Accept;
    },
  };
  bench.v4(packet());
  equal(asked.splice(0), ["prerouting eth0 -", "forward eth0 eth1", "postrouting - eth1"]);
  bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) }));
  equal(asked.splice(0), ["prerouting eth0 -", "input eth0 -", "output - eth0", "postrouting - eth0"]);
  bench.take();
  bench.take(far);
  for (const hook of [Hook.Prerouting, Hook.Forward, Hook.Postrouting]) {
    refusal = hook;
    bench.v4(packet());
    equal(bench.take(far), [], names[hook]);
  }
  for (const hook of [Hook.Prerouting, Hook.Input, Hook.Output, Hook.Postrouting]) {
    refusal = hook;
    bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) }));
    equal(bench.take(), [], names[hook]);
  }
  equal(bench.packetsHeld, 0);
});
