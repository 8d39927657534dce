// Tables of iptables as bytes: what a fresh one is, what goes in and comes out, and blobs that no program would write.

import { deepEqual as equal, ok as holds } from "node:assert/strict";
import { EAGAIN, EINVAL, ENOENT, EPROTONOSUPPORT } from "../../errno.ts";
import { PacketPool } from "../../packet.ts";
import { SeededRandom } from "../../random.ts";
import { Stack } from "../../stack.ts";
import type { Firewall } from "../firewall.ts";
import { Family } from "../tables.ts";
import {
  COUNTER_BYTES,
  COUNTERS_HEADER_BYTES,
  ENTRIES_HEADER_BYTES,
  INFO_BYTES,
  le32,
  le64,
  putLe16,
  putLe32,
  putText,
  REPLACE_BYTES,
  REVISION_BYTES,
} from "./layout.ts";
import { LegacyTables } from "./legacy_tables.ts";

const pool = PacketPool.inHeap(64, 8);

function madeStack(seed = 1): Stack {
  return new Stack({ pool, random: new SeededRandom(seed), log() {}, duplicateProbes: 0 });
}

function infoOf(tables: LegacyTables, name: string): Uint8Array {
  const bytes = new Uint8Array(INFO_BYTES);
  putText(bytes, 0, name);
  equal(tables.info(bytes, INFO_BYTES), INFO_BYTES);
  return bytes;
}

function entriesOf(tables: LegacyTables, name: string): Uint8Array {
  const header = new Uint8Array(ENTRIES_HEADER_BYTES), size = le32(infoOf(tables, name), 80);
  putText(header, 0, name);
  putLe32(header, 32, size);
  const entries = tables.entries(header, ENTRIES_HEADER_BYTES + size);
  holds(typeof entries !== "number", `entries: ${entries}`);
  return entries;
}

/** All turns of LegacyTables.replace(). */
function replace(tables: LegacyTables, bytes: Uint8Array): Uint8Array | number {
  const work = tables.replace(bytes);
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** struct ipt_replace that puts the rule `entry` before the policy of the table's first chain. */
function replaceWith(tables: LegacyTables, name: string, entry: Uint8Array): Uint8Array {
  const info = infoOf(tables, name), entries = entriesOf(tables, name);
  const first = le32(info, 36 + 4 * 1);
  const bytes = new Uint8Array(REPLACE_BYTES + entry.length + entries.length);
  putText(bytes, 0, name);
  putLe32(bytes, 32, le32(info, 32));
  putLe32(bytes, 36, le32(info, 76) + 1);
  putLe32(bytes, 40, entry.length + entries.length);
  for (let hook = 0; hook < 5; hook++) {
    const start = le32(info, 36 + 4 * hook), underflow = le32(info, 56 + 4 * hook);
    putLe32(bytes, 44 + 4 * hook, start > first ? start + entry.length : start);
    putLe32(bytes, 64 + 4 * hook, underflow >= first ? underflow + entry.length : underflow);
  }
  putLe32(bytes, 84, le32(info, 76));
  bytes.set(entries.subarray(0, first), REPLACE_BYTES);
  bytes.set(entry, REPLACE_BYTES + first);
  bytes.set(entries.subarray(first), REPLACE_BYTES + first + entry.length);
  return bytes;
}

/** -p tcp --dport 80 -j DROP. */
function rule(): Uint8Array {
  const entry = new Uint8Array(112 + 48 + 40);
  putLe16(entry, 80, 6);
  putLe16(entry, 88, 112 + 48);
  putLe16(entry, 90, entry.length);
  putLe16(entry, 112, 48);
  putText(entry, 114, "tcp");
  putLe16(entry, 112 + 32 + 2, 0xffff);
  putLe16(entry, 112 + 32 + 4, 80);
  putLe16(entry, 112 + 32 + 6, 80);
  putLe16(entry, 160, 40);
  putLe32(entry, 192, -1);
  return entry;
}

Deno.test("a fresh table accepts at each of its hooks; reading alone puts no filter to work", () => {
  const stack = madeStack(), tables = new LegacyTables(stack, true);
  const info = infoOf(tables, "filter");
  equal([le32(info, 32), le32(info, 76), le32(info, 80)], [0b01110, 4, 632]);
  equal(entriesOf(tables, "filter").length, 632);
  equal(stack.firewall, null);
  equal(tables.info(new Uint8Array(INFO_BYTES), INFO_BYTES), -ENOENT);
  equal(tables.info(new Uint8Array(INFO_BYTES), INFO_BYTES - 1), -EINVAL);
  const header = new Uint8Array(ENTRIES_HEADER_BYTES);
  putText(header, 0, "filter");
  equal(tables.entries(header, ENTRIES_HEADER_BYTES), -EAGAIN);
});

Deno.test("a rule goes in and comes out; counters are added and handed out; a stale replacement is refused", () => {
  const stack = madeStack(), tables = new LegacyTables(stack, true);
  const replacement = replaceWith(tables, "filter", rule());
  const old = replace(tables, replacement);
  holds(typeof old !== "number", `replace: ${old}`);
  equal(old.length, 4 * COUNTER_BYTES);
  equal(entriesOf(tables, "filter"), replacement.slice(REPLACE_BYTES));
  const firewall = stack.firewall as Firewall;
  equal(firewall.table("filter", Family.Ipv4)!.chain("INPUT")!.rules.length, 1);
  const counters = new Uint8Array(COUNTERS_HEADER_BYTES + 5 * COUNTER_BYTES);
  putText(counters, 0, "filter");
  putLe32(counters, 32, 5);
  putLe32(counters, COUNTERS_HEADER_BYTES, 7);
  equal(tables.addCounters(counters), 0);
  equal(le64(entriesOf(tables, "filter"), 96), 7);
  // It says that it has read four entries.
  equal(replace(tables, replacement), -EAGAIN);
  equal(firewall.table("filter", Family.Ipv4)!.chain("INPUT")!.rules[0].packets, 7);
});

Deno.test("revisions: the newest of what is known, and errors that tell a name from a number", () => {
  const tables = new LegacyTables(madeStack(), true);
  const ask = (name: string, revision: number, isTarget: boolean) => {
    const bytes = new Uint8Array(REVISION_BYTES);
    putText(bytes, 0, name);
    bytes[29] = revision;
    return tables.revision(bytes, REVISION_BYTES, isTarget);
  };
  equal(ask("conntrack", 1, false), 3);
  equal(ask("tcp", 1, false), -EPROTONOSUPPORT);
  equal(ask("string", 0, false), -ENOENT);
  equal(ask("toString", 0, false), -ENOENT);
  equal([ask("", 0, true), ask("DNAT", 2, true), ask("REJECT", 3, true)], [0, 2, -EPROTONOSUPPORT]);
});

Deno.test("hostile tables: whatever the bytes, an errno or a table that can be read again; the old one stays", () => {
  let accepted = 0;
  for (let seed = 1; seed <= 1000; seed++) {
    const random = new SeededRandom(seed);
    const stack = madeStack(seed), tables = new LegacyTables(stack, true);
    const before = entriesOf(tables, "filter");
    const bytes = replaceWith(tables, "filter", rule());
    for (let n = 1 + random.below(4); n > 0; n--) {
      const at = REPLACE_BYTES - 64 + random.below(bytes.length - REPLACE_BYTES + 64);
      // Numbers that mean something, or any.
      const values = [0, 1, 2, 8, 40, 112, 152, 200, 0xff, 0xfe, random.below(256)];
      bytes[at] = values[random.below(values.length)];
    }
    const cut = random.below(10) === 0 ? random.below(bytes.length) : bytes.length;
    const result = replace(tables, bytes.slice(0, cut));
    if (typeof result === "number") {
      holds(result < 0 && Number.isInteger(result));
      equal(entriesOf(tables, "filter"), before);
    } else {
      accepted++;
      equal(entriesOf(tables, "filter").length, bytes.length - REPLACE_BYTES);
    }
  }
  holds(accepted > 50 && accepted < 950, `${accepted} accepted`);
});
