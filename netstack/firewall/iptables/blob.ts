// A table as iptables gives it to the kernel: entries one behind the other, each matches and a target, jumps by offset. It is
// checked once, here, and becomes chains and rules of the packet filter. Linux: translate_table(), check_entry_size_and_hooks()
// and mark_source_chains() of net/ipv4/netfilter/ip_tables.c.
//
// Linux: a jump may lead to the middle of a chain, and two hooks may begin at one entry; no program writes such tables, and they
// are refused here with EINVAL.

import { EINVAL, EOPNOTSUPP } from "../../errno.ts";
import type { Hook } from "../hooks.ts";
import { type Match, MatchKind } from "../matches.ts";
import { type BaseChain, type Chain, type Rule, RULES_MAX, type Table } from "../tables.ts";
import { type Target, TargetKind } from "../targets.ts";
import { readMatch, readTarget } from "./extensions.ts";
import {
  addressAt,
  ERROR_BYTES,
  EXTENSION_BYTES,
  HOOKS,
  INVERT_ALL,
  INVERT_DESTINATION,
  INVERT_IN,
  INVERT_OUT,
  INVERT_PROTOCOL,
  INVERT_SOURCE,
  type Layout,
  le16,
  le32,
  STANDARD_BYTES,
  textAt,
  VERDICT_ACCEPT,
  VERDICT_DROP,
  VERDICT_RETURN,
} from "./layout.ts";

const ENTRY_ALIGNMENT = 8;
const INTERFACE_BYTES = 16;
const CHAIN_NAME_BYTES = 30;
const MATCH_NAME_BYTES = 29;
/** Work of about a millisecond, after which others have their turn. */
const ENTRIES_A_TURN = 2048;
const RULES_A_TURN = 256;

/** Work that its caller goes on with as it likes: each step is about a millisecond. */
export type Turns<T> = Generator<void, T, void>;

/** A table's entries and where its hooks are. */
export interface Blob {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** By hook: offset of the first entry, and of the one that is the policy; only those of `hooks` mean something. */
  readonly starts: readonly number[];
  readonly underflows: readonly number[];
  /** Hooks that the table has, a bit for each. */
  readonly hooks: number;
}

/** An entry, by offsets that have been checked. */
interface Entry {
  readonly at: number;
  readonly targetAt: number;
  readonly end: number;
}

/** What counts an entry's packets: a rule, or a base chain its policy's; null = an end, which counts nothing. */
export type Counter = Rule | Chain | null;

/**
 * Fills `table` with what `blob` says, in turns: what counts each entry, or -ERRNO, with which the table is to be thrown away.
 */
export function* fillTable(
  table: Table,
  blob: Blob,
  layout: Layout,
  baseOf: (hook: Hook) => BaseChain,
): Turns<Counter[] | number> {
  const entries = yield* readEntries(blob, layout);
  if (typeof entries === "number") return entries;
  const chains = new Filling(table, blob, layout, entries);
  const made = yield* chains.makeChains(baseOf);
  return made < 0 ? made : yield* chains.fill();
}

/** Where each entry is. */
function* readEntries({ bytes, count }: Blob, layout: Layout): Turns<Entry[] | number> {
  if (count === 0 || count > RULES_MAX) return -EINVAL;
  const entries: Entry[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + layout.entryBytes + EXTENSION_BYTES > bytes.length || entries.length === count) return -EINVAL;
    const targetOffset = le16(bytes, at + layout.targetOffsetAt);
    const size = le16(bytes, at + layout.nextOffsetAt);
    const end = at + size, targetAt = at + targetOffset;
    if (size % ENTRY_ALIGNMENT !== 0 || targetOffset % ENTRY_ALIGNMENT !== 0 || end > bytes.length) {
      return -EINVAL;
    }
    if (targetOffset < layout.entryBytes || targetAt + EXTENSION_BYTES > end) return -EINVAL;
    const targetBytes = le16(bytes, targetAt);
    if (targetBytes < EXTENSION_BYTES || targetAt + targetBytes > end) return -EINVAL;
    entries.push({ at, targetAt, end });
    at = end;
    if (entries.length % ENTRIES_A_TURN === 0) yield;
  }
  return entries.length === count ? entries : -EINVAL;
}

class Filling {
  readonly #table: Table;
  readonly #blob: Blob;
  readonly #layout: Layout;
  readonly #entries: readonly Entry[];
  /** The chain of each entry; null = it is an end or begins one. */
  readonly #chainOf: (Chain | null)[] = [];
  /** Chains by the offset of their first entry: where jumps lead. */
  readonly #byStart = new Map<number, Chain>();
  /** Entries that are a base chain's policy. */
  readonly #policies = new Map<number, Chain>();

  constructor(table: Table, blob: Blob, layout: Layout, entries: readonly Entry[]) {
    this.#table = table;
    this.#blob = blob;
    this.#layout = layout;
    this.#entries = entries;
  }

  *makeChains(baseOf: (hook: Hook) => BaseChain): Turns<number> {
    const { starts, underflows, hooks } = this.#blob;
    const hookAt = new Map<number, number>();
    for (let hook = 0; hook < HOOKS; hook++) {
      if ((hooks >> hook & 1) === 0) continue;
      if (hookAt.has(starts[hook])) return -EINVAL;
      hookAt.set(starts[hook], hook);
    }
    let chain: Chain | null = null, policyAt = -1, policies = 0;
    for (const [i, entry] of this.#entries.entries()) {
      if (i % ENTRIES_A_TURN === ENTRIES_A_TURN - 1) yield;
      const hook = hookAt.get(entry.at);
      if (hook !== undefined) {
        if (policyAt >= 0) return -EINVAL;
        const made = this.#table.addChain(HOOK_NAMES[hook], baseOf(hook as Hook));
        if (typeof made === "number") return made;
        chain = made;
        policyAt = underflows[hook];
        hookAt.delete(entry.at);
      } else if (this.#nameOf(entry) === "ERROR") {
        // The end of the table, or the head of a chain, which the chain before has ended with a return.
        if (policyAt >= 0 || entry.end - entry.targetAt < ERROR_BYTES) return -EINVAL;
        this.#chainOf.push(null);
        chain = null;
        if (i + 1 === this.#entries.length) break;
        const made = this.#table.addChain(
          textAt(this.#blob.bytes, entry.targetAt + EXTENSION_BYTES, CHAIN_NAME_BYTES),
        );
        if (typeof made === "number") return made;
        chain = made;
        this.#byStart.set(entry.end, made);
        continue;
      }
      if (chain === null) return -EINVAL;
      this.#chainOf.push(chain);
      if (entry.at !== policyAt) continue;
      const policy = this.#policyOf(entry);
      if (policy < 0) return policy;
      chain.setPolicy(policy === 0 ? "accept" : "drop");
      this.#policies.set(entry.at, chain);
      policies++;
      policyAt = -1;
      chain = null;
    }
    const isWhole = hookAt.size === 0 && policyAt < 0 && chain === null && policies > 0 &&
      this.#chainOf.length === this.#entries.length;
    return isWhole ? 0 : -EINVAL;
  }

  /** The entry of a policy asks nothing: 0 = accept, 1 = drop. */
  #policyOf(entry: Entry): number {
    const { bytes } = this.#blob;
    const { entryBytes, targetOffsetAt } = this.#layout;
    if (this.#nameOf(entry) !== "" || entry.targetAt - entry.at !== entryBytes) return -EINVAL;
    if (entry.end - entry.targetAt < STANDARD_BYTES) return -EINVAL;
    // Before nfcache, which nobody reads.
    for (let i = entry.at; i < entry.at + targetOffsetAt - 4; i++) if (bytes[i] !== 0) return -EINVAL;
    const verdict = le32(bytes, entry.targetAt + EXTENSION_BYTES) | 0;
    return verdict === VERDICT_ACCEPT ? 0 : verdict === VERDICT_DROP ? 1 : -EINVAL;
  }

  #nameOf(entry: Entry): string {
    return textAt(this.#blob.bytes, entry.targetAt + 2, MATCH_NAME_BYTES);
  }

  *fill(): Turns<Counter[] | number> {
    const counters: Counter[] = [];
    for (const [i, entry] of this.#entries.entries()) {
      if (i % RULES_A_TURN === RULES_A_TURN - 1) yield;
      const chain = this.#chainOf[i], policy = this.#policies.get(entry.at);
      if (chain === null || policy !== undefined) {
        counters.push(policy ?? null);
        continue;
      }
      const matches: Match[] = [];
      const read = this.#readMatches(entry, matches);
      if (read < 0) return read;
      const target = this.#readTarget(entry);
      if (typeof target === "number") return target;
      const entered = chain.insert(matches, target);
      if (entered < 0) return entered;
      counters.push(chain.rules[chain.rules.length - 1]);
    }
    return counters;
  }

  #readMatches(entry: Entry, into: Match[]): number {
    const { bytes } = this.#blob, layout = this.#layout;
    const read = readHeader(bytes, entry.at, layout, into);
    if (read < 0) return read;
    const place = this.#placeOf(entry);
    let at = entry.at + layout.entryBytes;
    while (at < entry.targetAt) {
      if (at + EXTENSION_BYTES > entry.targetAt) return -EINVAL;
      const size = le16(bytes, at);
      if (size < EXTENSION_BYTES || size % ENTRY_ALIGNMENT !== 0 || at + size > entry.targetAt) {
        return -EINVAL;
      }
      const name = textAt(bytes, at + 2, MATCH_NAME_BYTES), revision = bytes[at + 31];
      const data = at + EXTENSION_BYTES;
      const result = readMatch(name, revision, bytes, data, size - EXTENSION_BYTES, place, into);
      if (result < 0) return result;
      at += size;
    }
    return 0;
  }

  #placeOf(entry: Entry): { readonly isV4: boolean; readonly protocol: number } {
    const { bytes } = this.#blob, { isV4, protocolAt, invertedAt } = this.#layout;
    const isInverted = (bytes[entry.at + invertedAt] & INVERT_PROTOCOL) !== 0;
    return { isV4, protocol: isInverted ? 0 : le16(bytes, entry.at + protocolAt) };
  }

  #readTarget(entry: Entry): Target | number {
    const { bytes } = this.#blob, name = this.#nameOf(entry);
    const data = entry.targetAt + EXTENSION_BYTES, length = le16(bytes, entry.targetAt) - EXTENSION_BYTES;
    if (name === "ERROR") return -EINVAL;
    if (name !== "") {
      return readTarget(name, bytes[entry.targetAt + 31], bytes, data, length, this.#placeOf(entry));
    }
    if (length < STANDARD_BYTES - EXTENSION_BYTES) return -EINVAL;
    const verdict = le32(bytes, data) | 0;
    switch (verdict) {
      case VERDICT_ACCEPT:
        return { kind: TargetKind.Accept };
      case VERDICT_DROP:
        return { kind: TargetKind.Drop };
      case VERDICT_RETURN:
        return { kind: TargetKind.Return };
    }
    // NF_QUEUE: nobody listens.
    if (verdict < 0) return -EOPNOTSUPP;
    // A rule that only counts goes to the next.
    if (verdict === entry.end) return { kind: TargetKind.None };
    const chain = this.#byStart.get(verdict);
    if (chain === undefined) return -EINVAL;
    const isGoto = (bytes[entry.at + this.#layout.flagsAt] & this.#layout.flagGoto) !== 0;
    return { kind: isGoto ? TargetKind.Goto : TargetKind.Jump, chain };
  }
}

export const HOOK_NAMES = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"] as const;

/** What ipt_ip or ip6t_ip6 asks: addresses, interfaces, protocol. */
function readHeader(bytes: Uint8Array, at: number, layout: Layout, into: Match[]): number {
  const { isV4, addressBytes, interfacesAt } = layout;
  const flags = bytes[at + layout.flagsAt], inverted = bytes[at + layout.invertedAt];
  // Second fragments, types of service.
  if ((flags & ~(layout.flagGoto | layout.flagsIgnored)) !== 0 || (inverted & ~INVERT_ALL) !== 0) {
    return -EOPNOTSUPP;
  }
  for (let i = 0; i < 2; i++) {
    const kind = i === 0 ? MatchKind.Source : MatchKind.Destination;
    const bits = prefixOf(bytes, at + (2 + i) * addressBytes, addressBytes);
    if (bits < 0) return -EOPNOTSUPP;
    const isInverted = (inverted & (i === 0 ? INVERT_SOURCE : INVERT_DESTINATION)) !== 0;
    if (bits === 0 && !isInverted) continue;
    into.push({
      kind,
      address: addressAt(bytes, at + i * addressBytes, isV4),
      bits: isV4 ? bits + 96 : bits,
      isInverted,
    });
  }
  for (let i = 0; i < 2; i++) {
    const nameAt = at + interfacesAt + i * INTERFACE_BYTES, maskAt = nameAt + 2 * INTERFACE_BYTES;
    const length = prefixOf(bytes, maskAt, INTERFACE_BYTES) / 8;
    const isInverted = (inverted & (i === 0 ? INVERT_IN : INVERT_OUT)) !== 0;
    if (length < 0 || !Number.isInteger(length)) return -EOPNOTSUPP;
    if (length === 0) {
      if (isInverted) return -EOPNOTSUPP;
      continue;
    }
    const name = textAt(bytes, nameAt, INTERFACE_BYTES);
    const kind = i === 0 ? MatchKind.Incoming : MatchKind.Outgoing;
    into.push({ kind, name: name.length >= length ? `${name.slice(0, length)}+` : name, isInverted });
  }
  const protocol = le16(bytes, at + layout.protocolAt);
  const isInverted = (inverted & INVERT_PROTOCOL) !== 0;
  if (protocol === 0) return isInverted ? -EINVAL : 0;
  into.push({ kind: MatchKind.Protocol, protocol, isInverted });
  return 0;
}

/** Ones at the beginning of a mask of `size` bytes; -1 where there are others behind a zero. */
function prefixOf(bytes: Uint8Array, at: number, size: number): number {
  let bits = 0;
  while (bits < size * 8 && (bytes[at + (bits >> 3)] >> 7 - (bits & 7) & 1) !== 0) bits++;
  for (let i = bits; i < size * 8; i++) if ((bytes[at + (i >> 3)] >> 7 - (i & 7) & 1) !== 0) return -1;
  return bits;
}
