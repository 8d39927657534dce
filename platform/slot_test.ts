// The two writings of the shared layout agree: slot.ts here, native/src/slot.rs there.

import assert from "node:assert/strict";
import * as slot from "./slot.ts";

const RUST = Deno.readTextFileSync(`${import.meta.dirname}/../native/src/slot.rs`);

Deno.test("slot.rs and slot.ts name the same numbers", () => {
  const ours = new Map<string, unknown>(Object.entries(slot));
  const theirs = rustConstants();
  assert.ok(theirs.size > 80, "slot.rs has lost its constants, or this test its way of reading them");
  for (const [name, value] of theirs) {
    // Names that would say too little outside the Rust module stand as SLOT_X here.
    const found = ours.get(name) ?? ours.get(`SLOT_${name}`);
    assert.equal(found, value, `${name} is ${value} in slot.rs, ${found} in slot.ts`);
  }
  for (const [name, value] of ours) {
    if (typeof value !== "number") continue;
    const found = theirs.get(name) ?? theirs.get(name.replace(/^SLOT_/, ""));
    assert.equal(found, value, `${name} is ${value} in slot.ts, ${found} in slot.rs`);
  }
});

Deno.test("a process has room for 4,000 threads, and its slots end before what lies behind them", () => {
  assert.ok(slot.ARENA_SLOTS - 1 >= 4000);
  assert.ok(slot.ARENAS + slot.ARENA_POSITIONS * slot.ARENA_BYTES <= slot.DIRECT_WINDOWS);
});

function rustConstants(): Map<string, number> {
  const constants = new Map<string, number>();
  for (const [, name, text] of RUST.matchAll(/^pub const (\w+): \w+ = ([^;]+);/gm)) {
    const value = text.split("*").map((factor) => factor.trim())
      .map((factor) => constants.get(factor) ?? Number(factor.replaceAll("_", "")))
      .reduce((product, factor) => product * factor, 1);
    assert.ok(Number.isSafeInteger(value), `Cannot read ${name} = ${text}`);
    constants.set(name, value);
  }
  return constants;
}
