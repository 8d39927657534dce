// Addresses: text forms, classes and prefixes of both families.

import { parseAddress, parsePrefix, prefixBits } from "./address.ts";
import { deepEqual as equal } from "node:assert/strict";

Deno.test("parseAddress() takes what RFC 4291 section 2.2 allows and gives RFC 5952 back", () => {
  const cases: [string, string][] = [
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["fe80::1:0:0:1", "fe80::1:0:0:1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
  ];
  for (const [text, expected] of cases) equal(parseAddress(text)?.toString(), expected, text);
});

Deno.test("parseAddress() refuses what is no address", () => {
  const wrong = ["", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", ":", ":::", "1::2::3", "12345::", "g::"];
  wrong.push("1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1.2.3.4::", "fe80::1%eth0", "1:2:3:4:5:6:7::8:9");
  for (const text of wrong) equal(parseAddress(text), null, text);
});

Deno.test("isWithin() compares prefixes in the unified form", () => {
  const net = parsePrefix("10.1.0.0/16")!;
  const bits = prefixBits(net.length, true);
  equal(parseAddress("10.1.255.1")!.isWithin(net.address, bits), true);
  equal(parseAddress("10.2.0.1")!.isWithin(net.address, bits), false);
  equal(parseAddress("::1")!.isWithin(parseAddress("::")!, 0), true);
  const six = parsePrefix("2001:db8:8000::/33")!;
  equal(parseAddress("2001:db8:ffff::1")!.isWithin(six.address, 33), true);
  equal(parseAddress("2001:db8:7fff::1")!.isWithin(six.address, 33), false);
});

Deno.test("commonBits() and mask() agree", () => {
  const a = parseAddress("2001:db8::ff00")!, b = parseAddress("2001:db8::fe00")!;
  equal(a.commonBits(b), 119);
  equal(a.clone().mask(119).equals(b.clone().mask(119)), true);
  equal(a.clone().mask(120).equals(b.clone().mask(120)), false);
  equal(a.commonBits(a), 128);
});

Deno.test("Classes of addresses: loopback, multicast, link-local, unspecified", () => {
  equal(parseAddress("127.9.9.9")!.isLoopback, true);
  equal(parseAddress("::1")!.isLoopback, true);
  equal(parseAddress("224.0.0.1")!.isMulticast, true);
  equal(parseAddress("ff02::1")!.isMulticast, true);
  equal(parseAddress("223.255.255.255")!.isMulticast, false);
  equal(parseAddress("169.254.1.1")!.isLinkLocal, true);
  equal(parseAddress("febf::1")!.isLinkLocal, true);
  equal(parseAddress("fec0::1")!.isLinkLocal, false);
  equal(parseAddress("0.0.0.0")!.isUnspecified && parseAddress("::")!.isUnspecified, true);
  equal(parseAddress("::2")!.isUnspecified, false);
});
