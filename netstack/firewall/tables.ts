// Tables, chains and rules: what stands where, and what may. A base chain hangs at a hook with a priority; others are jumped
// to. All is checked as it is entered, so that a packet's way through is bounded. Linux: struct nft_table, nft_chain; the
// order of hooks is that of linux/netfilter_ipv4.h.

import { EBUSY, EEXIST, EINVAL, ENOBUFS, ENOENT, EOPNOTSUPP } from "../errno.ts";
import { Hook } from "./hooks.ts";
import { checkMatch, type Match, MATCHES_MAX, MatchKind } from "./matches.ts";
import { checkTarget, type Target, TargetKind } from "./targets.ts";

export const TABLES_MAX = 64;
export const CHAINS_MAX = 1024;
export const RULES_MAX = 32_768;
/** Rules asked for one packet at one hook at most: chains that many rules lead to are gone through again and again. */
export const RULES_PER_PACKET_MAX = 2 * RULES_MAX;
/** Jumps within jumps (NFT_JUMP_STACK_SIZE). */
export const JUMP_DEPTH_MAX = 16;
export const NAME_BYTES_MAX = 127;
const EMLINK = 31;
const ELOOP = 40;

/** When a base chain is asked (NF_IP_PRI_*): connection tracking stands at -200, translation at -100 and 100. */
export const PRIORITY_RAW = -300;
export const PRIORITY_CONNTRACK = -200;
export const PRIORITY_MANGLE = -150;
export const PRIORITY_NAT_DESTINATION = -100;
export const PRIORITY_FILTER = 0;
export const PRIORITY_SECURITY = 50;
export const PRIORITY_NAT_SOURCE = 100;

export const enum Family {
  Ipv4,
  Ipv6,
  Both,
}
export const enum ChainType {
  Filter,
  /** Asked for the first packet of a connection only. */
  Nat,
}
export interface BaseChain {
  readonly hook: Hook;
  readonly priority: number;
  readonly type: ChainType;
}

export class Rule {
  readonly matches: readonly Match[];
  readonly target: Target;
  readonly comment: string;
  packets = 0;
  bytes = 0;

  constructor(matches: readonly Match[], target: Target, comment: string) {
    this.matches = matches;
    this.target = target;
    this.comment = comment;
  }
}

export class Chain {
  readonly table: Table;
  readonly name: string;
  /** null = only jumped to. */
  readonly base: BaseChain | null;
  /** What becomes of a packet that no rule of a base chain decides on. */
  drops = false;
  policyPackets = 0;
  policyBytes = 0;
  readonly rules: Rule[] = [];
  /** Chains that rules here lead to, and that lead here, each with the number of rules that do. */
  readonly jumps = new Map<Chain, number>();
  readonly referrers = new Map<Chain, number>();

  constructor(table: Table, name: string, base: BaseChain | null) {
    this.table = table;
    this.name = name;
    this.base = base;
  }

  /** Enters a rule at `at` (the end when it is not said). 0 or -ERRNO. */
  insert(matches: readonly Match[], target: Target, at = this.rules.length, comment = ""): number {
    if (at < 0 || at > this.rules.length) return -EINVAL;
    if (this.table.ruleCount >= RULES_MAX) return -ENOBUFS;
    const rule = this.#check(matches, target, comment);
    if (typeof rule === "number") return rule;
    this.rules.splice(at, 0, rule);
    this.table.ruleCount++;
    this.#refer(rule, 1);
    this.table.onChange();
    return 0;
  }
  replace(at: number, matches: readonly Match[], target: Target, comment = ""): number {
    const old = this.rules[at];
    if (old === undefined) return -ENOENT;
    const rule = this.#check(matches, target, comment);
    if (typeof rule === "number") return rule;
    this.#refer(old, -1);
    this.rules[at] = rule;
    this.#refer(rule, 1);
    this.table.onChange();
    return 0;
  }
  remove(at: number): number {
    const rule = this.rules[at];
    if (rule === undefined) return -ENOENT;
    this.#refer(rule, -1);
    this.rules.splice(at, 1);
    this.table.ruleCount--;
    this.table.onChange();
    return 0;
  }
  flush(): void {
    for (const rule of this.rules) this.#refer(rule, -1);
    this.table.ruleCount -= this.rules.length;
    this.rules.length = 0;
    this.table.onChange();
  }
  setPolicy(verdict: "accept" | "drop"): number {
    if (this.base === null) return -EINVAL;
    this.drops = verdict === "drop";
    return 0;
  }
  zeroCounters(): void {
    this.policyPackets = this.policyBytes = 0;
    for (const rule of this.rules) rule.packets = rule.bytes = 0;
  }

  #check(matches: readonly Match[], target: Target, comment: string): Rule | number {
    if (matches.length > MATCHES_MAX) return -EINVAL;
    const checked: Match[] = [];
    for (const match of matches) {
      const own = checkMatch(match);
      if (typeof own === "number") return own;
      if (!fitsFamily(own, this.table.family)) return -EINVAL;
      checked.push(own);
    }
    const own = checkTarget(target);
    if (typeof own === "number") return own;
    const allowed = this.#allows(own);
    return allowed < 0 ? allowed : new Rule(checked, own, comment);
  }

  /** Whether `target` may stand here: by the hooks from which packets come, and without loops. */
  #allows(target: Target): number {
    const bases = new Set<BaseChain>();
    const up = collectBases(this, bases);
    if (target.kind === TargetKind.Jump || target.kind === TargetKind.Goto) {
      const { chain } = target;
      if (chain.table !== this.table || this.table.chain(chain.name) !== chain) return -ENOENT;
      if (chain.base !== null) return -EOPNOTSUPP;
      const below = reachable(chain);
      if (below.has(this)) return -ELOOP;
      if (up + 1 + depthBelow(chain) > JUMP_DEPTH_MAX) return -EMLINK;
      return allowsAll(below, bases);
    }
    for (const base of bases) if (!mayStand(target, base)) return -EINVAL;
    if (!fitsTargetFamily(target, this.table.family)) return -EINVAL;
    return 0;
  }

  #refer(rule: Rule, step: 1 | -1): void {
    const { target } = rule;
    if (target.kind !== TargetKind.Jump && target.kind !== TargetKind.Goto) return;
    count(this.jumps, target.chain, step);
    count(target.chain.referrers, this, step);
  }
}

export class Table {
  readonly name: string;
  readonly family: Family;
  /** Called at every change, as what is tracked depends on it. */
  readonly onChange: () => void;
  readonly #chains = new Map<string, Chain>();
  ruleCount = 0;

  constructor(name: string, family: Family, onChange: () => void) {
    this.name = name;
    this.family = family;
    this.onChange = onChange;
  }

  get chains(): Iterable<Chain> {
    return this.#chains.values();
  }
  chain(name: string): Chain | null {
    return this.#chains.get(name) ?? null;
  }

  /** A new chain, or -EEXIST, -EINVAL, -ENOBUFS, -EOPNOTSUPP. */
  addChain(name: string, base: BaseChain | null = null): Chain | number {
    if (name.length === 0 || name.length > NAME_BYTES_MAX) return -EINVAL;
    if (this.#chains.has(name)) return -EEXIST;
    if (this.#chains.size >= CHAINS_MAX) return -ENOBUFS;
    if (base !== null) {
      if (!Number.isInteger(base.priority)) return -EINVAL;
      // There is nothing to translate where nothing is sent or taken in.
      if (base.type === ChainType.Nat && base.hook === Hook.Forward) return -EOPNOTSUPP;
    }
    const chain = new Chain(this, name, base === null ? null : { ...base });
    this.#chains.set(name, chain);
    this.onChange();
    return chain;
  }
  /** -EBUSY while rules lead to it. */
  removeChain(name: string): number {
    const chain = this.#chains.get(name);
    if (chain === undefined) return -ENOENT;
    if (chain.referrers.size > 0) return -EBUSY;
    chain.flush();
    this.#chains.delete(name);
    this.onChange();
    return 0;
  }
}

/** Every base chain from which packets come to `chain`; jumps on the longest way. Each chain is looked at once. */
function collectBases(chain: Chain, into: Set<BaseChain>, known = new Map<Chain, number>()): number {
  const before = known.get(chain);
  if (before !== undefined) return before;
  if (chain.base !== null) into.add(chain.base);
  let depth = 0;
  for (const from of chain.referrers.keys()) depth = Math.max(depth, 1 + collectBases(from, into, known));
  known.set(chain, depth);
  return depth;
}
function depthBelow(chain: Chain, known = new Map<Chain, number>()): number {
  const before = known.get(chain);
  if (before !== undefined) return before;
  let depth = 0;
  for (const to of chain.jumps.keys()) depth = Math.max(depth, 1 + depthBelow(to, known));
  known.set(chain, depth);
  return depth;
}
/** `chain` and all that is jumped to from it, directly or not. */
function reachable(chain: Chain, into = new Set<Chain>()): Set<Chain> {
  if (into.has(chain)) return into;
  into.add(chain);
  for (const next of chain.jumps.keys()) reachable(next, into);
  return into;
}
/** What stands in `chains` may be asked from `bases`. */
function allowsAll(chains: ReadonlySet<Chain>, bases: ReadonlySet<BaseChain>): number {
  for (const chain of chains) {
    for (const rule of chain.rules) {
      for (const base of bases) if (!mayStand(rule.target, base)) return -EINVAL;
    }
  }
  return 0;
}

/** Hooks and kinds of chains of each target, iptables-extensions(8). */
function mayStand(target: Target, base: BaseChain): boolean {
  const { hook, type } = base;
  switch (target.kind) {
    case TargetKind.Redirect:
    case TargetKind.DestinationNat:
      return type === ChainType.Nat && (hook === Hook.Prerouting || hook === Hook.Output);
    case TargetKind.SourceNat:
      return type === ChainType.Nat && (hook === Hook.Postrouting || hook === Hook.Input);
    case TargetKind.Masquerade:
      return type === ChainType.Nat && hook === Hook.Postrouting;
    case TargetKind.Reject:
      return type === ChainType.Filter && hook !== Hook.Postrouting;
    case TargetKind.NoTrack:
      return type === ChainType.Filter && (hook === Hook.Prerouting || hook === Hook.Output) &&
        base.priority < PRIORITY_CONNTRACK;
    default:
      return true;
  }
}

function fitsFamily(match: Match, family: Family): boolean {
  if (match.kind !== MatchKind.Source && match.kind !== MatchKind.Destination) return true;
  return family === Family.Both || match.address.isV4 === (family === Family.Ipv4);
}
function fitsTargetFamily(target: Target, family: Family): boolean {
  if (target.kind !== TargetKind.DestinationNat && target.kind !== TargetKind.SourceNat) return true;
  if (target.addressFirst === null || family === Family.Both) return true;
  return target.addressFirst.isV4 === (family === Family.Ipv4);
}

function count(map: Map<Chain, number>, chain: Chain, step: 1 | -1): void {
  const n = (map.get(chain) ?? 0) + step;
  if (n === 0) map.delete(chain);
  else map.set(chain, n);
}
