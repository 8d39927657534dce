// iptables' first interface to the packet filter (x_tables): five tables of a family, each replaced as a whole by a program that
// has read it before. Linux: do_ipt_get_ctl(), do_ipt_set_ctl() of net/ipv4/netfilter/ip_tables.c, and the same of ip6_tables.c.
//
// What a program has written is kept as it was: it is what it reads again, with the counters of the rules made from it.

import { EAGAIN, EINVAL, ENOENT } from "../../errno.ts";
import type { Stack } from "../../stack.ts";
import { Firewall } from "../firewall.ts";
import { Hook } from "../hooks.ts";
import {
  type BaseChain,
  Chain,
  ChainType,
  Family,
  PRIORITY_FILTER,
  PRIORITY_MANGLE,
  PRIORITY_NAT_DESTINATION,
  PRIORITY_NAT_SOURCE,
  PRIORITY_RAW,
  PRIORITY_SECURITY,
  type Table,
} from "../tables.ts";
import { type Blob, type Counter, fillTable, type Turns } from "./blob.ts";
import { newestRevision } from "./extensions.ts";
import {
  COUNTER_BYTES,
  COUNTERS_HEADER_BYTES,
  ENTRIES_HEADER_BYTES,
  ERROR_BYTES,
  EXTENSION_BYTES,
  HOOKS,
  INFO_BYTES,
  type Layout,
  LAYOUT_V4,
  LAYOUT_V6,
  le16,
  le32,
  le64,
  putLe16,
  putLe32,
  putLe64,
  putText,
  REPLACE_BYTES,
  REVISION_BYTES,
  STANDARD_BYTES,
  TABLE_NAME_BYTES,
  textAt,
  VERDICT_ACCEPT,
} from "./layout.ts";

interface Kind {
  readonly hooks: readonly Hook[];
  readonly type: ChainType;
  readonly priorityOf: (hook: Hook) => number;
}

const ALL = [Hook.Prerouting, Hook.Input, Hook.Forward, Hook.Output, Hook.Postrouting];
const KINDS: Readonly<Record<string, Kind>> = {
  filter: kind([Hook.Input, Hook.Forward, Hook.Output], PRIORITY_FILTER),
  nat: {
    hooks: [Hook.Prerouting, Hook.Input, Hook.Output, Hook.Postrouting],
    type: ChainType.Nat,
    priorityOf: (hook) =>
      hook === Hook.Postrouting || hook === Hook.Input ? PRIORITY_NAT_SOURCE : PRIORITY_NAT_DESTINATION,
  },
  mangle: kind(ALL, PRIORITY_MANGLE),
  raw: kind([Hook.Prerouting, Hook.Output], PRIORITY_RAW),
  security: kind([Hook.Input, Hook.Forward, Hook.Output], PRIORITY_SECURITY),
};

function kind(hooks: readonly Hook[], priority: number): Kind {
  return { hooks, type: ChainType.Filter, priorityOf: () => priority };
}

class LegacyTable {
  readonly kind: Kind;
  blob: Blob;
  /** Chains of the packet filter; null = nobody has written to it. */
  table: Table | null = null;
  counters: readonly Counter[] = [];

  constructor(made: Kind, layout: Layout) {
    this.kind = made;
    this.blob = freshBlob(made, layout);
  }
}

export class LegacyTables {
  readonly #stack: Stack;
  readonly #layout: Layout;
  /** Those that somebody has asked for: Linux loads a table's module then. */
  readonly #tables = new Map<string, LegacyTable>();

  constructor(stack: Stack, isV4: boolean) {
    this.#stack = stack;
    this.#layout = isV4 ? LAYOUT_V4 : LAYOUT_V6;
  }

  /** /proc/net/ip_tables_names: the newest first. */
  get names(): readonly string[] {
    return [...this.#tables.keys()].reverse();
  }

  #find(name: string): LegacyTable | null {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    if (!Object.hasOwn(KINDS, name)) return null;
    const made = new LegacyTable(KINDS[name], this.#layout);
    this.#tables.set(name, made);
    return made;
  }

  /** IPT_SO_GET_INFO: struct ipt_getinfo in place of the name that stands in `bytes`; its size or -ERRNO. */
  info(bytes: Uint8Array, length: number): number {
    if (length !== INFO_BYTES) return -EINVAL;
    const found = this.#find(textAt(bytes, 0, TABLE_NAME_BYTES));
    if (found === null) return -ENOENT;
    const { hooks, starts, underflows, count, bytes: entries } = found.blob;
    putLe32(bytes, 32, hooks);
    for (let hook = 0; hook < HOOKS; hook++) {
      putLe32(bytes, 36 + 4 * hook, starts[hook]);
      putLe32(bytes, 56 + 4 * hook, underflows[hook]);
    }
    putLe32(bytes, 76, count);
    putLe32(bytes, 80, entries.length);
    return INFO_BYTES;
  }

  /** IPT_SO_GET_ENTRIES: the entries of the table that `header` names, or -EAGAIN where it has changed since the info. */
  entries(header: Uint8Array, length: number): Uint8Array | number {
    if (length < ENTRIES_HEADER_BYTES) return -EINVAL;
    const size = le32(header, TABLE_NAME_BYTES);
    if (length !== ENTRIES_HEADER_BYTES + size) return -EINVAL;
    const found = this.#find(textAt(header, 0, TABLE_NAME_BYTES));
    if (found === null) return -ENOENT;
    if (size !== found.blob.bytes.length) return -EAGAIN;
    const bytes = found.blob.bytes.slice();
    const { nextOffsetAt, countersAt } = this.#layout;
    for (let at = 0, i = 0; at < bytes.length; at += le16(bytes, at + nextOffsetAt), i++) {
      putCounter(bytes, at + countersAt, found.counters[i] ?? null);
    }
    return bytes;
  }

  /**
   * IPT_SO_SET_REPLACE, in turns: struct ipt_replace with its entries behind it. What the old table has counted, as struct
   * xt_counters one after the other, or -ERRNO with all as it was.
   */
  *replace(bytes: Uint8Array): Turns<Uint8Array | number> {
    if (bytes.length < REPLACE_BYTES) return -EINVAL;
    const found = this.#find(textAt(bytes, 0, TABLE_NAME_BYTES));
    if (found === null) return -ENOENT;
    const hooks = le32(bytes, 32), count = le32(bytes, 36), size = le32(bytes, 40);
    const expected = le32(bytes, 84);
    if (hooks !== found.blob.hooks || expected === 0 || bytes.length !== REPLACE_BYTES + size) return -EINVAL;
    const numbers = (at: number) => Array.from({ length: HOOKS }, (_, hook) => le32(bytes, at + 4 * hook));
    const blob = {
      bytes: bytes.slice(REPLACE_BYTES),
      count,
      hooks,
      starts: numbers(44),
      underflows: numbers(64),
    };
    const firewall = this.#firewall();
    const { type, priorityOf } = found.kind;
    const baseOf = (hook: Hook): BaseChain => ({ hook, type, priority: priorityOf(hook) });
    const family = this.#layout.isV4 ? Family.Ipv4 : Family.Ipv6;
    const name = textAt(bytes, 0, TABLE_NAME_BYTES);
    const made = firewall.newTable(name, family);
    const counters = yield* fillTable(made, blob, this.#layout, baseOf);
    if (typeof counters === "number") return counters;
    // Counted by who has read the old one, which somebody else may have replaced meanwhile.
    if (expected !== found.blob.count) return -EAGAIN;
    const entered = firewall.enter(made, found.table);
    if (entered < 0) return entered;
    const old = new Uint8Array(found.blob.count * COUNTER_BYTES);
    for (let i = 0; i < found.blob.count; i++) putCounter(old, i * COUNTER_BYTES, found.counters[i] ?? null);
    found.blob = blob;
    found.table = made;
    found.counters = counters;
    return old;
  }

  /** IPT_SO_SET_ADD_COUNTERS: struct xt_counters_info with a counter for each entry behind it. */
  addCounters(bytes: Uint8Array): number {
    if (bytes.length < COUNTERS_HEADER_BYTES) return -EINVAL;
    const count = le32(bytes, TABLE_NAME_BYTES);
    if (bytes.length !== COUNTERS_HEADER_BYTES + count * COUNTER_BYTES) return -EINVAL;
    const found = this.#find(textAt(bytes, 0, TABLE_NAME_BYTES));
    if (found === null) return -ENOENT;
    if (count !== found.blob.count) return -EINVAL;
    for (let i = 0; i < count; i++) {
      const at = COUNTERS_HEADER_BYTES + i * COUNTER_BYTES;
      addCounter(found.counters[i] ?? null, le64(bytes, at), le64(bytes, at + 8));
    }
    return 0;
  }

  /** IPT_SO_GET_REVISION_MATCH and _TARGET: struct xt_get_revision. The newest there is, or -ERRNO. */
  revision(bytes: Uint8Array, length: number, isTarget: boolean): number {
    if (length !== REVISION_BYTES) return -EINVAL;
    return newestRevision(textAt(bytes, 0, 29), bytes[29], isTarget);
  }

  /** The stack's packet filter, which is at work from the first table on that somebody writes. */
  #firewall(): Firewall {
    const { firewall } = this.#stack;
    if (firewall instanceof Firewall) return firewall;
    const made = new Firewall(this.#stack);
    this.#stack.firewall = made;
    return made;
  }
}

/** Every hook accepts. ipt_alloc_initial_table(). */
function freshBlob({ hooks }: Kind, layout: Layout): Blob {
  const standard = layout.entryBytes + STANDARD_BYTES;
  const bytes = new Uint8Array(hooks.length * standard + layout.entryBytes + ERROR_BYTES);
  const starts = [0, 0, 0, 0, 0];
  let at = 0, mask = 0;
  for (const hook of hooks) {
    putEntry(bytes, at, layout, STANDARD_BYTES);
    putLe32(bytes, at + layout.entryBytes + EXTENSION_BYTES, VERDICT_ACCEPT);
    starts[hook] = at;
    mask |= 1 << hook;
    at += standard;
  }
  putEntry(bytes, at, layout, ERROR_BYTES);
  putText(bytes, at + layout.entryBytes + 2, "ERROR");
  putText(bytes, at + layout.entryBytes + EXTENSION_BYTES, "ERROR");
  return { bytes, count: hooks.length + 1, starts, underflows: starts, hooks: mask };
}

function putEntry(bytes: Uint8Array, at: number, layout: Layout, targetBytes: number): void {
  putLe16(bytes, at + layout.targetOffsetAt, layout.entryBytes);
  putLe16(bytes, at + layout.nextOffsetAt, layout.entryBytes + targetBytes);
  putLe16(bytes, at + layout.entryBytes, targetBytes);
}

function putCounter(bytes: Uint8Array, at: number, counter: Counter): void {
  const isPolicy = counter instanceof Chain;
  putLe64(bytes, at, counter === null ? 0 : isPolicy ? counter.policyPackets : counter.packets);
  putLe64(bytes, at + 8, counter === null ? 0 : isPolicy ? counter.policyBytes : counter.bytes);
}

function addCounter(counter: Counter, packets: number, bytes: number): void {
  if (counter instanceof Chain) {
    counter.policyPackets += packets;
    counter.policyBytes += bytes;
  } else if (counter !== null) {
    counter.packets += packets;
    counter.bytes += bytes;
  }
}
