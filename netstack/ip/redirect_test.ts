// Redirects, proxy ARP and the settings: RFC 1122 section 3.2.2.2, RFC 4861 section 8, RFC 1027, ip-sysctl.

import { deepEqual as equal, ok } from "node:assert/strict";
import { Address } from "../address.ts";
import { Route } from "../route.ts";
import {
  address,
  arp,
  Bench,
  bytesOf,
  describe,
  icmp,
  ipv4,
  ipv6,
  PEER_HARDWARE,
  SECOND,
  udp,
} from "../test_support.ts";
import { ETHERTYPE_ARP } from "../wire/numbers.ts";
import { IP_SETTINGS, type IpSettingName } from "./settings.ts";

function via(bench: Bench, to: string): string {
  const route = new Route();
  const destination = address(to);
  bench.stack.routes.find(destination, new Address().setUnspecified(destination.isV4), 0, route);
  return route.nextHop.toString();
}
function bytes16(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  address(text).write6(bytes, 0);
  return bytes;
}
/** A redirect for 198.51.100.9 to 192.0.2.99, from `from`. */
function redirect(bench: Bench, from: string, target = 0xc0000263): void {
  const about = ipv4({
    source: "192.0.2.1",
    destination: "198.51.100.9",
    protocol: 17,
    payload: udp(1, 2, "x"),
  });
  bench.v4(ipv4({ source: from, protocol: 1, payload: icmp(5, 1, target, about, from) }));
}

Deno.test("a redirect is obeyed only where it is allowed, from the gateway in use, to a gateway on the link", () => {
  const bench = new Bench();
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.254"));
  redirect(bench, "192.0.2.254");
  equal(via(bench, "198.51.100.9"), "192.0.2.254");
  bench.stack.ipSettings.set("accept_redirects", 1);
  redirect(bench, "192.0.2.66");
  redirect(bench, "192.0.2.254", 0xcb007101);
  redirect(bench, "192.0.2.254", 0xc0000201);
  equal(via(bench, "198.51.100.9"), "192.0.2.254");
  redirect(bench, "192.0.2.254");
  equal([via(bench, "198.51.100.9"), via(bench, "198.51.100.8")], ["192.0.2.99", "192.0.2.254"]);
  equal(bench.stack.icmp.statistics.v4.inTypes[5], 5);
});

Deno.test("IPv6: to another router's link-local address, from a link-local one, with hop limit 255", () => {
  const bench = new Bench(1, { addresses: ["fe80::1/64", "2001:db8::1/64"] });
  bench.stack.addDefaultRoute(bench.nic, address("fe80::99"));
  bench.stack.ipSettings.set("accept_redirects", 1);
  const tell = (from: string, hops: number, target: string) => {
    const message = icmp(137, 0, 0, bytesOf(bytes16(target), bytes16("2001:db8:9::9")), from, "fe80::1");
    bench.v6(ipv6({ source: from, destination: "fe80::1", next: 58, hops, payload: message }));
  };
  tell("fe80::99", 64, "fe80::77");
  tell("fe80::66", 255, "fe80::77");
  tell("fe80::99", 255, "2001:db8::77");
  equal(via(bench, "2001:db8:9::9"), "fe80::99");
  tell("fe80::99", 255, "fe80::77");
  equal(via(bench, "2001:db8:9::9"), "fe80::77");
});

Deno.test("routes of redirects are bounded", () => {
  const bench = new Bench();
  bench.stack.addDefaultRoute(bench.nic, address("192.0.2.254"));
  bench.stack.ipSettings.set("accept_redirects", 1);
  const before = bench.stack.routes.entries.length;
  for (let i = 0; i < 1000; i++) {
    const about = ipv4({
      source: "192.0.2.1",
      destination: `10.0.${i >> 8}.${i & 255}`,
      protocol: 17,
      payload: udp(1, 2, "x"),
    });
    bench.v4(
      ipv4({ source: "192.0.2.254", protocol: 1, payload: icmp(5, 1, 0xc0000263, about, "192.0.2.254") }),
    );
  }
  equal(bench.stack.routes.entries.length, before + 64);
});

Deno.test("proxy ARP answers for what is reached by another interface, and for nothing else", () => {
  const bench = new Bench();
  const { nic } = bench.addNic("eth1", "02:00:00:00:01:01", ["198.51.100.1/24"]);
  const ask = (target: string) => {
    bench.inject(
      ETHERTYPE_ARP,
      arp(1, "192.0.2.2", PEER_HARDWARE, target, "00:00:00:00:00:00"),
      "ff:ff:ff:ff:ff:ff",
    );
    return bench.take().map(describe);
  };
  equal(ask("198.51.100.7"), []);
  bench.nic.proxiesArp = bench.nic.isForwarding = nic.isForwarding = true;
  equal(ask("198.51.100.7"), ["ARP reply 198.51.100.7 > 192.0.2.2"]);
  equal([ask("192.0.2.7"), ask("203.0.113.7"), ask("192.0.2.255")], [[], [], []]);
});

Deno.test("settings keep to their ranges, and the stack to the settings", () => {
  const bench = new Bench();
  const { ipSettings } = bench.stack;
  for (const name of Object.keys(IP_SETTINGS) as IpSettingName[]) {
    const { min, max } = IP_SETTINGS[name];
    equal([ipSettings.get(name), ipSettings.set(name, min - 1), ipSettings.set(name, 1.5)], [
      IP_SETTINGS[name].default,
      false,
      false,
    ]);
    ok(max > min);
  }
  bench.know("192.0.2.2");
  ipSettings.set("icmp_echo_ignore_broadcasts", 0);
  bench.v4(
    ipv4({ destination: "192.0.2.255", protocol: 1, payload: icmp(8, 0, 1, [1]) }),
    "ff:ff:ff:ff:ff:ff",
  );
  equal(bench.take().map(describe), ["ICMP 192.0.2.1 > 192.0.2.2 type 0 code 0"]);
  ipSettings.set("icmp_echo_ignore_all", 1);
  bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) }));
  equal(bench.take(), []);
  ipSettings.set("icmp_ratelimit", 0);
  ipSettings.set("icmp_msgs_burst", 5);
  ipSettings.set("icmp_msgs_per_sec", 10);
  bench.advance(10 * SECOND);
  for (let i = 0; i < 20; i++) bench.v4(ipv4({ protocol: 17, payload: udp(1, 2, "x") }));
  equal(bench.take().length, 5);
  bench.advance(0.2 * SECOND);
  for (let i = 0; i < 20; i++) bench.v4(ipv4({ protocol: 17, payload: udp(1, 2, "x") }));
  equal(bench.take().length, 2);
});
