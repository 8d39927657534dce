// The counters as Linux prints them.

import { deepEqual as equal, ok } from "node:assert/strict";
import { formatDev, formatGroups, formatSnmp6, ipExtGroup, snmpGroups } from "./statistics_text.ts";
import { Bench, icmp, ipv4, ipv6 } from "./test_support.ts";

function busy(): Bench {
  const bench = new Bench();
  bench.know("192.0.2.2");
  bench.v4(ipv4({ protocol: 1, payload: icmp(8, 0, 1, [1]) }));
  bench.v6(ipv6({ next: 58, payload: icmp(128, 0, 1, [1], "2001:db8::2", "2001:db8::1") }));
  bench.take();
  return bench;
}

Deno.test("/proc/net/snmp: names and values in pairs of lines, as many of the one as of the other", () => {
  const lines = formatGroups(snmpGroups(busy().stack)).trimEnd().split("\n");
  equal(lines.length % 2, 0);
  for (let i = 0; i < lines.length; i += 2) {
    const names = lines[i].split(" "), values = lines[i + 1].split(" ");
    equal([names[0], names.length], [values[0], values.length]);
  }
  ok(lines[0].startsWith("Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams"));
  ok(lines[1].startsWith("Ip: 2 64 1 0 0 0 0 0 1 "));
  ok(lines.some((line) => line.startsWith("Icmp: InMsgs InErrors InCsumErrors InDestUnreachs")));
  ok(lines.includes("IcmpMsg: InType8 OutType0"));
  ok(
    lines.some((line) =>
      line.startsWith("Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors")
    ),
  );
});

Deno.test("/proc/net/netstat's IpExt, snmp6 and dev", () => {
  const { stack } = busy();
  ok(
    formatGroups([ipExtGroup(stack)]).startsWith(
      "IpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts",
    ),
  );
  const six = formatSnmp6(stack).split("\n");
  ok(six.includes("Ip6InReceives                   \t1"));
  ok(six.includes("Icmp6InEchos                    \t1"));
  const [, , lo, eth] = formatDev(stack).split("\n");
  ok(lo.startsWith("    lo:        0       0    0    0    0     0          0         0"));
  ok(eth.startsWith("  eth0:"));
  equal(eth.trim().split(/\s+/).length, 17);
});
