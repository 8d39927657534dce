import { equal, throws } from "node:assert/strict";
import { parseAddress } from "../../../netstack/mod.ts";
import { EgressPolicy, PolicyError } from "./policy.ts";

const SECOND = 1e9;

function allows(policy: EgressPolicy, address: string, port = 443, now = 0): boolean {
  return policy.allows(parseAddress(address)!, port, now);
}

Deno.test("a policy without rules opens all but loopback, link, groups and metadata", () => {
  const policy = EgressPolicy.parse("");
  for (const address of ["192.0.2.1", "10.1.2.3", "2001:db8::1", "fd12::1", "0:0:0:0:1::1"]) {
    equal(allows(policy, address), true, address);
  }
  const guarded = [
    ...["127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255"],
    ...[
      "::",
      "::1",
      "fe80::1",
      "ff02::1",
      "100.100.100.200",
      "168.63.129.16",
      "192.0.0.192",
      "fd00:ec2::254",
    ],
  ];
  // The same behind an IPv6 address: mapped, compatible, NAT64, 6to4.
  const hidden = [
    ...["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe"],
    ...["::ffff:169.254.169.254", "2002:a9fe:a9fe::1"],
  ];
  for (const address of [...guarded, ...hidden]) equal(allows(policy, address), false, address);
});

Deno.test("the first rule that fits decides; with a rule that allows, all else is denied", () => {
  const policy = EgressPolicy.parse(
    "deny:10.1.0.0/16, allow:10.0.0.0/8:80-81,allow:[2001:db8::/32]:443,allow:192.0.2.7",
  );
  equal(allows(policy, "10.2.0.1", 80), true);
  equal(allows(policy, "10.2.0.1", 82), false);
  equal(allows(policy, "10.1.0.1", 80), false);
  equal(allows(policy, "2001:db8::5", 443), true);
  equal(allows(policy, "2001:db8::5", 444), false);
  equal(allows(policy, "192.0.2.7", 0), true);
  equal(allows(policy, "192.0.2.8", 0), false);
  equal(allows(EgressPolicy.parse("deny:192.0.2.0/24"), "198.51.100.1"), true);
});

Deno.test("loopback is opened by its address alone", () => {
  equal(allows(EgressPolicy.parse("allow:127.0.0.1:8080"), "127.0.0.1", 8080), true);
  equal(allows(EgressPolicy.parse("allow:127.0.0.1:8080"), "127.0.0.1", 8081), false);
  equal(allows(EgressPolicy.parse("allow:*"), "127.0.0.1"), false);
  equal(allows(EgressPolicy.parse("allow:*"), "192.0.2.1"), true);
});

Deno.test("a name opens the addresses that a name server gives it, at its port, while they last", () => {
  const policy = EgressPolicy.parse("allow:api.example.com:443,allow:*.mirror.example:443");
  const address = parseAddress("203.0.113.5")!;
  equal(allows(policy, "203.0.113.5"), false);
  policy.bind("api.example.com", address, 300, 0);
  equal(allows(policy, "203.0.113.5"), true);
  equal(allows(policy, "203.0.113.5", 80), false);
  equal(allows(policy, "203.0.113.5", 443, 299 * SECOND), true);
  equal(allows(policy, "203.0.113.5", 443, 300 * SECOND), false);
  policy.bind("files.mirror.example", parseAddress("203.0.113.6")!, 300, 0);
  equal(allows(policy, "203.0.113.6"), true);
  policy.bind("mirror.example", parseAddress("203.0.113.7")!, 300, 0);
  equal(allows(policy, "203.0.113.7"), false);
});

Deno.test("a name does not lead to loopback, private or metadata addresses", () => {
  const policy = EgressPolicy.parse("allow:evil.example:443,allow:10.9.0.1:443");
  for (
    const address of [
      "127.0.0.1",
      "10.0.0.1",
      "192.168.1.1",
      "169.254.169.254",
      "fd00::1",
      "::ffff:127.0.0.1",
    ]
  ) {
    policy.bind("evil.example", parseAddress(address)!, 300, 0);
    equal(allows(policy, address), false, address);
  }
  equal(allows(policy, "10.9.0.1"), true);
});

Deno.test("only names that a rule is about are asked for, where all else is denied", () => {
  const policy = EgressPolicy.parse("deny:bad.example.com,allow:*.example.com:443");
  equal(policy.mayAsk("api.example.com"), true);
  equal(policy.mayAsk("bad.example.com"), false);
  equal(policy.mayAsk("secret.attacker.net"), false);
  equal(EgressPolicy.parse("deny:10.0.0.0/8").mayAsk("any.net"), true);
  equal(EgressPolicy.parse("allow:192.0.2.1,allow:*:443").mayAsk("any.net"), true);
});

Deno.test("what is remembered of names is bounded", () => {
  const policy = EgressPolicy.parse("allow:*.example.com");
  for (let i = 0; i < 10_000; i++) {
    policy.bind("a.example.com", parseAddress(`203.0.${i >> 8}.${i & 255}`)!, 300, 0);
  }
  equal(allows(policy, "203.0.0.0"), false);
  equal(allows(policy, "203.0.39.15"), true);
});

Deno.test("a rule that cannot be read is refused by what is wrong with it", () => {
  for (
    const text of [
      "api.example.com",
      "allow:",
      "permit:x",
      "allow:1.2.3:80",
      "allow:x:0",
      "allow:x:9-8",
      "allow:x:70000",
      "allow:10.0.0.0/33",
      "allow:a b",
    ]
  ) {
    throws(() => EgressPolicy.parse(text), PolicyError, text);
  }
});
