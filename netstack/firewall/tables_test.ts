// Tables, chains and rules: order, limits, loops, and what may stand where.

import { deepEqual as equal, ok as holds } from "node:assert/strict";
import { EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP } from "../errno.ts";
import { Bench, ipv4, udp } from "../test_support.ts";
import { Firewall } from "./firewall.ts";
import { Hook } from "./hooks.ts";
import { MATCHES_MAX } from "./matches.ts";
import {
  type Chain,
  ChainType,
  Family,
  JUMP_DEPTH_MAX,
  PRIORITY_FILTER,
  PRIORITY_MANGLE,
  PRIORITY_RAW,
  RULES_PER_PACKET_MAX,
  type Table,
} from "./tables.ts";
import {
  ACCEPT,
  add,
  chainOf,
  destinationNat,
  DROP,
  MASQUERADE,
  ok,
  protocol,
  sourceNat,
} from "./test_support.ts";
import { RejectWith, type Target, TargetKind } from "./targets.ts";

const ELOOP = 40, EMLINK = 31;

function begin(): { bench: Bench; firewall: Firewall; table: Table } {
  const bench = new Bench();
  const firewall = bench.stack.firewall = new Firewall(bench.stack);
  return { bench, firewall, table: ok<Table>(firewall.addTable("t", Family.Both)) };
}
function jump(chain: Chain): Target {
  return { kind: TargetKind.Jump, chain };
}
const datagram = ipv4({ protocol: 17, payload: udp(1000, 53, "x") });
const mark = (value: number): Target => ({ kind: TargetKind.Mark, value, mask: 0 });

Deno.test("base chains are asked by priority, and accepting in one leaves the next its say", () => {
  const { bench, firewall } = begin();
  const filter = chainOf(firewall, Hook.Input, ChainType.Filter, PRIORITY_FILTER);
  const mangle = chainOf(firewall, Hook.Input, ChainType.Filter, PRIORITY_MANGLE);
  add(mangle, [], ACCEPT);
  add(filter, [], DROP);
  bench.v4(datagram);
  equal([mangle.rules[0].packets, filter.rules[0].packets], [1, 1]);
  equal(bench.stack.udp.statistics.v4.NoPorts, 0);
  mangle.replace(0, [], DROP);
  bench.v4(datagram);
  equal([mangle.rules[0].packets, filter.rules[0].packets], [1, 1]);
  equal(filter.rules[0].bytes, datagram.length);
});

Deno.test("jump, return, goto and policy", () => {
  const { bench, table } = begin();
  const base = ok<Chain>(table.addChain("in", { hook: Hook.Input, priority: 0, type: ChainType.Filter }));
  const called = ok<Chain>(table.addChain("called")), gone = ok<Chain>(table.addChain("gone"));
  add(called, [protocol(17)], { kind: TargetKind.Return });
  add(called, [], DROP);
  add(base, [], jump(called));
  add(base, [], { kind: TargetKind.Goto, chain: gone });
  add(base, [], ACCEPT);
  base.setPolicy("drop");
  bench.v4(datagram);
  equal([called.rules[0].packets, called.rules[1].packets, base.rules[2].packets, base.policyPackets], [
    1,
    0,
    0,
    1,
  ]);
  base.setPolicy("accept");
  bench.v4(datagram);
  equal(bench.stack.udp.statistics.v4.NoPorts, 1);
  equal(called.setPolicy("drop"), -EINVAL);
  equal(table.removeChain("called"), -EBUSY);
  base.remove(0);
  equal(table.removeChain("called"), 0);
  equal(base.insert([], jump(called)), -ENOENT);
});

Deno.test("loops, depths and base chains cannot be jumped to", () => {
  const { table } = begin();
  const base = ok<Chain>(table.addChain("in", { hook: Hook.Input, priority: 0, type: ChainType.Filter }));
  const chains = Array.from({ length: JUMP_DEPTH_MAX + 1 }, (_, i) => ok<Chain>(table.addChain(`c${i}`)));
  equal(chains[0].insert([], jump(base)), -EOPNOTSUPP);
  equal(chains[0].insert([], jump(chains[0])), -ELOOP);
  for (let i = 0; i < JUMP_DEPTH_MAX - 1; i++) add(chains[i], [], jump(chains[i + 1]));
  equal(chains[5].insert([], jump(chains[2])), -ELOOP);
  equal(base.insert([], jump(chains[0])), 0);
  equal(chains[JUMP_DEPTH_MAX - 1].insert([], jump(chains[JUMP_DEPTH_MAX])), -EMLINK);
});

Deno.test("chains that fan out again and again end a packet, not the stack", () => {
  const { bench, table } = begin();
  const base = ok<Chain>(table.addChain("in", { hook: Hook.Input, priority: 0, type: ChainType.Filter }));
  let below: Chain | null = null;
  for (let level = 0; level < JUMP_DEPTH_MAX - 1; level++) {
    const chain = ok<Chain>(table.addChain(`c${level}`));
    for (let i = 0; i < 20; i++) add(chain, [], below === null ? { kind: TargetKind.None } : jump(below));
    below = chain;
  }
  add(base, [], jump(below!));
  bench.v4(datagram);
  equal(bench.stack.udp.statistics.v4.NoPorts, 0);
  const leaf = table.chain("c0")!;
  const asked = leaf.rules.reduce((sum, rule) => sum + rule.packets, 0);
  holds(asked > 1000 && asked <= RULES_PER_PACKET_MAX);
});

Deno.test("targets stand only where their hooks are, through jumps too", () => {
  const { table } = begin();
  const nat = ok<Chain>(
    table.addChain("nat", { hook: Hook.Prerouting, priority: -100, type: ChainType.Nat }),
  );
  const post = ok<Chain>(
    table.addChain("post", { hook: Hook.Postrouting, priority: 100, type: ChainType.Nat }),
  );
  const filter = ok<Chain>(table.addChain("f", { hook: Hook.Forward, priority: 0, type: ChainType.Filter }));
  const raw = ok<Chain>(
    table.addChain("raw", { hook: Hook.Output, priority: PRIORITY_RAW, type: ChainType.Filter }),
  );
  const user = ok<Chain>(table.addChain("user"));
  const reject: Target = { kind: TargetKind.Reject, with: RejectWith.PortUnreachable };
  equal(nat.insert([], MASQUERADE), -EINVAL);
  equal(nat.insert([], sourceNat("10.0.0.1")), -EINVAL);
  equal(nat.insert([], destinationNat("10.0.0.1")), 0);
  equal(post.insert([], MASQUERADE), 0);
  equal(post.insert([], reject), -EINVAL);
  equal(filter.insert([], destinationNat("10.0.0.1")), -EINVAL);
  equal(filter.insert([], { kind: TargetKind.NoTrack }), -EINVAL);
  equal(raw.insert([], { kind: TargetKind.NoTrack }), 0);
  equal(user.insert([], destinationNat("10.0.0.1")), 0);
  equal(filter.insert([], jump(user)), -EINVAL);
  equal(nat.insert([], jump(user)), 0);
  equal(user.insert([], reject), -EINVAL);
  equal(table.addChain("bad", { hook: Hook.Forward, priority: 0, type: ChainType.Nat }), -EOPNOTSUPP);
  equal(table.addChain("user"), -EEXIST);
});

Deno.test("families and limits", () => {
  const { firewall, bench } = begin();
  const table = ok<Table>(firewall.addTable("six", Family.Ipv6));
  equal(firewall.addTable("six", Family.Ipv6), -EEXIST);
  const chain = ok<Chain>(table.addChain("in", { hook: Hook.Input, priority: 0, type: ChainType.Filter }));
  add(chain, [], DROP);
  bench.v4(datagram);
  equal([chain.rules[0].packets, bench.stack.udp.statistics.v4.NoPorts], [0, 1]);
  equal(chain.insert(Array(MATCHES_MAX + 1).fill(protocol(6)), ACCEPT), -EINVAL);
  equal(chain.insert([], mark(1), 5), -EINVAL);
  equal(chain.remove(1), -ENOENT);
  chain.flush();
  equal(table.ruleCount, 0);
  equal(firewall.removeTable(table), 0);
  equal(firewall.removeTable(table), -ENOENT);
});
