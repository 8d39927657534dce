// The packet filter of a stack: tables of rules at the five hooks, connection tracking and translation between them, in
// Linux' order. `stack.firewall = new Firewall(stack)` puts it to work; iptables/ fills it.

import type { Address } from "../address.ts";
import { EEXIST, EINVAL, ENOBUFS, ENOENT } from "../errno.ts";
import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { NAT_SOURCE, UNTRACKED } from "./conntrack/connection.ts";
import { Conntrack } from "./conntrack/conntrack.ts";
import { conntrackStatisticsText, conntrackText } from "./conntrack/text.ts";
import { Tuple } from "./conntrack/tuple.ts";
import { gatherFragment } from "./fragments.ts";
import { type FirewallHooks, Hook, Verdict } from "./hooks.ts";
import { logPacket } from "./log.ts";
import { matchesAll } from "./match_packet.ts";
import { MatchKind } from "./matches.ts";
import type { NatRange } from "./nat/choice.ts";
import { Nat, sideOf } from "./nat/nat.ts";
import { PacketView } from "./packet_view.ts";
import { reject } from "./reject.ts";
import {
  type BaseChain,
  type Chain,
  ChainType,
  Family,
  NAME_BYTES_MAX,
  PRIORITY_CONNTRACK,
  PRIORITY_NAT_DESTINATION,
  PRIORITY_NAT_SOURCE,
  type Rule,
  RULES_PER_PACKET_MAX,
  Table,
  TABLES_MAX,
} from "./tables.ts";
import { type Target, TargetKind } from "./targets.ts";

const HOOKS = 5;
/** Packets that are sent while another is judged (resets, ICMP errors), one within the other. */
const NESTING_MAX = 4;

/** What a chain says; Continue = the packet came to its end. */
const enum Step {
  Continue,
  Accept,
  Drop,
  Rejected,
}

/** Base chains of one hook, by priority, in the three parts between which tracking and translation stand. */
class HookChains {
  readonly beforeTracking: Chain[] = [];
  readonly beforeNat: Chain[] = [];
  readonly nat: Chain[] = [];
  readonly afterNat: Chain[] = [];

  clear(): void {
    this.beforeTracking.length =
      this.beforeNat.length =
      this.nat.length =
      this.afterNat.length =
        0;
  }
}

export class Firewall implements FirewallHooks {
  readonly #stack: Stack;
  readonly conntrack: Conntrack;
  readonly nat: Nat;
  readonly #tables: Table[] = [];
  readonly #hooks: readonly HookChains[] = Array.from({ length: HOOKS }, () => new HookChains());
  readonly #views: readonly PacketView[] = Array.from({ length: NESTING_MAX }, () => new PacketView());
  #nesting = 0;
  /** Rules that may still be asked for the packet at hand. */
  #budget = 0;
  /** Some rule or chain needs connections, or the program that embeds the stack wants them (keepsTracking). */
  #isTracking = false;
  #hasNat = false;
  #keepsTracking = false;
  readonly #asked = new Tuple(null, false);

  constructor(stack: Stack, connectionsMax?: number) {
    this.#stack = stack;
    this.conntrack = new Conntrack(stack, connectionsMax);
    this.nat = new Nat(stack, this.conntrack.table);
  }

  get tables(): readonly Table[] {
    return this.#tables;
  }
  get isTracking(): boolean {
    return this.#isTracking;
  }
  /** Connections are tracked though no rule asks for them. */
  set keepsTracking(keeps: boolean) {
    this.#keepsTracking = keeps;
    this.#arrange();
  }

  table(name: string, family: Family): Table | null {
    return this.#tables.find((table) => table.name === name && table.family === family) ?? null;
  }
  addTable(name: string, family: Family): Table | number {
    if (name.length === 0 || name.length > NAME_BYTES_MAX) return -EINVAL;
    if (this.table(name, family) !== null) return -EEXIST;
    if (this.#tables.length >= TABLES_MAX) return -ENOBUFS;
    const table = new Table(name, family, () => this.#arrange());
    this.#tables.push(table);
    return table;
  }
  /** A table that is at work only after enter(): to be filled before. */
  newTable(name: string, family: Family): Table {
    const table: Table = new Table(name, family, () => {
      if (this.#tables.includes(table)) this.#arrange();
    });
    return table;
  }
  /** Puts `table` to work in place of `old`, or beside the others where that is null. 0 or -ERRNO. */
  enter(table: Table, old: Table | null): number {
    if (old === null) {
      if (this.table(table.name, table.family) !== null) return -EEXIST;
      if (this.#tables.length >= TABLES_MAX) return -ENOBUFS;
      this.#tables.push(table);
    } else {
      const i = this.#tables.indexOf(old);
      if (i < 0) return -ENOENT;
      this.#tables[i] = table;
    }
    this.#arrange();
    return 0;
  }
  removeTable(table: Table): number {
    const i = this.#tables.indexOf(table);
    if (i < 0) return -ENOENT;
    this.#tables.splice(i, 1);
    this.#arrange();
    return 0;
  }

  run(hook: Hook, packet: Packet, incoming: Nic | null, outgoing: Nic | null): Verdict {
    if (this.#nesting >= NESTING_MAX) return Verdict.Drop;
    if (this.#nesting === 0) this.#budget = RULES_PER_PACKET_MAX;
    const view = this.#views[this.#nesting++];
    // What came over a wire begins here anew; what came by loopback is known already (skb_scrub_packet()).
    if (hook === Hook.Prerouting && incoming !== null && !incoming.isLoopback) forgetNotes(packet);
    try {
      view.read(hook, packet, incoming, outgoing);
      return this.#judge(view);
    } finally {
      this.#nesting--;
    }
  }

  #judge(view: PacketView): Verdict {
    const { packet, hook } = view;
    const chains = this.#hooks[hook];
    if (this.#isTracking && view.isFragment && hook === Hook.Prerouting) {
      // Ports stand in the first piece alone: rules and translation are for the whole.
      if (gatherFragment(this.#stack, view)) return Verdict.Drop;
    }
    if (this.#hasNat) this.nat.dropOrphans();
    const mark = packet.mark;
    const { a, b, c, d } = packet.destination;
    let step = this.#askAll(chains.beforeTracking, view);
    if (step === Step.Continue && this.#isTracking) {
      if (hook !== Hook.Forward && hook !== Hook.Postrouting && !this.conntrack.track(view)) {
        return Verdict.Drop;
      }
    }
    if (step === Step.Continue) step = this.#askAll(chains.beforeNat, view);
    if (step === Step.Continue && this.#hasNat) step = this.#translate(chains.nat, view);
    if (step === Step.Continue) step = this.#askAll(chains.afterNat, view);
    if (step !== Step.Continue) return step === Step.Drop ? Verdict.Drop : Verdict.Rejected;
    const isLast = hook === Hook.Input || hook === Hook.Postrouting;
    if (isLast && this.#isTracking && !this.conntrack.confirm(view)) return Verdict.Drop;
    if (hook !== Hook.Output) return Verdict.Accept;
    const { destination } = packet;
    const isMoved = destination.d !== d || destination.c !== c || destination.b !== b || destination.a !== a;
    return isMoved || packet.mark !== mark ? Verdict.Reroute : Verdict.Accept;
  }

  /** Continue when all let it pass: what one base chain accepts the next may still drop. */
  #askAll(chains: readonly Chain[], view: PacketView): Step {
    for (let i = 0; i < chains.length; i++) {
      const step = this.#askBase(chains[i], view);
      if (step !== Step.Continue) return step;
    }
    return Step.Continue;
  }
  #askBase(chain: Chain, view: PacketView): Step {
    const { family } = chain.table;
    if (family !== Family.Both && (family === Family.Ipv4) !== view.isV4) return Step.Continue;
    const step = this.#ask(chain, view);
    if (step === Step.Accept) return Step.Continue;
    if (step !== Step.Continue) return step;
    chain.policyPackets++;
    chain.policyBytes += view.packet.length;
    return chain.drops ? Step.Drop : Step.Continue;
  }

  /** The depth of this recursion was bounded as the rules were entered. */
  #ask(chain: Chain, view: PacketView): Step {
    const { rules } = chain;
    for (let i = 0; i < rules.length; i++) {
      if (--this.#budget < 0) return Step.Drop;
      const rule = rules[i];
      if (!matchesAll(this.#stack, rule.matches, view)) continue;
      count(rule, view.packet);
      const { target } = rule;
      if (target.kind === TargetKind.Return) return Step.Continue;
      if (target.kind === TargetKind.Jump) {
        const step = this.#ask(target.chain, view);
        if (step !== Step.Continue) return step;
      } else if (target.kind === TargetKind.Goto) {
        return this.#ask(target.chain, view);
      } else {
        const step = this.#do(target, view);
        if (step !== Step.Continue) return step;
      }
    }
    return Step.Continue;
  }

  #do(target: Target, view: PacketView): Step {
    const { packet } = view;
    switch (target.kind) {
      case TargetKind.None:
      case TargetKind.Return:
      case TargetKind.Jump:
      case TargetKind.Goto:
        return Step.Continue;
      case TargetKind.Accept:
        return Step.Accept;
      case TargetKind.Drop:
        return Step.Drop;
      case TargetKind.Reject:
        reject(this.#stack, view, target.with);
        return Step.Rejected;
      case TargetKind.Mark:
        packet.mark = packet.mark & ~target.mask ^ target.value;
        return Step.Continue;
      case TargetKind.Log:
        if (target.bucket!.take(this.#stack.now)) logPacket(this.#stack, view, target.prefix);
        return Step.Continue;
      case TargetKind.NoTrack:
        packet.connection ??= UNTRACKED;
        return Step.Continue;
      case TargetKind.Redirect:
        return this.nat.redirect(view, rangeOf(target)) ? Step.Accept : Step.Drop;
      case TargetKind.Masquerade:
        return this.nat.masquerade(view, rangeOf(target)) ? Step.Accept : Step.Drop;
      case TargetKind.DestinationNat:
      case TargetKind.SourceNat:
        return this.nat.decide(view, rangeOf(target)) ? Step.Accept : Step.Drop;
      default:
        target satisfies never;
        return Step.Drop;
    }
  }

  #translate(chains: readonly Chain[], view: PacketView): Step {
    if (view.hook === Hook.Forward) return Step.Continue;
    if (this.nat.wantsRules(view)) {
      for (let i = 0; i < chains.length && this.nat.wantsRules(view); i++) {
        const step = this.#askBase(chains[i], view);
        if (step !== Step.Continue) return step;
      }
      this.nat.decideNothing(view);
    }
    this.nat.apply(view);
    return Step.Continue;
  }

  /** Sorts base chains into their places; and whether anybody needs connections. */
  #arrange(): void {
    for (const chains of this.#hooks) chains.clear();
    let tracks = this.#keepsTracking;
    this.#hasNat = false;
    for (const table of this.#tables) {
      for (const chain of table.chains) {
        if (chain.base !== null) this.#place(chain, chain.base);
        if (chain.base?.type === ChainType.Nat) this.#hasNat = true;
        tracks ||= chain.rules.some((rule) => rule.matches.some((match) => match.kind === MatchKind.State));
      }
    }
    for (const chains of this.#hooks) {
      for (const list of [chains.beforeTracking, chains.beforeNat, chains.nat, chains.afterNat]) {
        list.sort((a, b) => a.base!.priority - b.base!.priority);
      }
    }
    this.#isTracking = tracks || this.#hasNat;
  }
  #place(chain: Chain, base: BaseChain): void {
    const chains = this.#hooks[base.hook];
    const natAt = sideOf(base.hook) === NAT_SOURCE ? PRIORITY_NAT_SOURCE : PRIORITY_NAT_DESTINATION;
    if (base.type === ChainType.Nat) chains.nat.push(chain);
    else if (base.priority < PRIORITY_CONNTRACK) chains.beforeTracking.push(chain);
    else if (base.priority < natAt) chains.beforeNat.push(chain);
    else chains.afterNat.push(chain);
  }

  /**
   * Where a connection that came to `local` from `remote` was going before translation: SO_ORIGINAL_DST. Its port into the
   * answer and its address into `into`; -ENOENT when nothing is known of it.
   */
  originalDestination(
    protocol: number,
    local: Address,
    localPort: number,
    remote: Address,
    remotePort: number,
    into: Address,
  ): number {
    const asked = this.#asked;
    asked.protocol = protocol;
    asked.source.copy(local);
    asked.sourcePort = localPort;
    asked.destination.copy(remote);
    asked.destinationPort = remotePort;
    const found = this.conntrack.table.find(asked);
    if (found === null) return -ENOENT;
    const { original } = found.connection!;
    into.copy(original.destination);
    return original.destinationPort;
  }

  /** /proc/net/nf_conntrack and /proc/net/stat/nf_conntrack. */
  conntrackText(): string {
    return conntrackText(this.conntrack.table, this.#stack.now);
  }
  conntrackStatisticsText(): string {
    return conntrackStatisticsText(this.conntrack.table);
  }

  /** Forgets rules and connections, and stops its timers. */
  close(): void {
    this.#tables.length = 0;
    this.#arrange();
    this.conntrack.table.clear();
  }
}

function forgetNotes(packet: Packet): void {
  packet.connection = null;
  packet.isReply = false;
  packet.mark = 0;
  packet.ownerUid = packet.ownerGid = -1;
}

function count(rule: Rule, packet: Packet): void {
  rule.packets++;
  rule.bytes += packet.length;
}

/** For a new connection only: one object for it is not per packet. */
function rangeOf(
  target: Extract<Target, { readonly ports: unknown }>,
): NatRange {
  const hasAddress = target.kind === TargetKind.DestinationNat || target.kind === TargetKind.SourceNat;
  return {
    addressFirst: hasAddress ? target.addressFirst : null,
    addressLast: hasAddress ? target.addressLast : null,
    ports: target.ports,
    isRandom: target.isRandom,
    isPersistent: hasAddress && target.isPersistent,
  };
}
