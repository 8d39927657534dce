import assert from "node:assert/strict";
import { CodePool, POOL_BYTES } from "./code_pool.ts";
import { JUMP_BYTES, KIND_CMP, KIND_MOV, mayPlace, pieceBytes } from "./pieces.ts";

const START = 0x7f12_3456_0000;

Deno.test("a pool gives each piece memory of its own, within its bounds", () => {
  const pool = new CodePool(START);
  const taken: [number, number][] = [];
  for (let n = 0; n < 1000; n++) {
    const kind = n % 3 === 0 ? KIND_CMP : KIND_MOV;
    const piece = pool.take(kind, START - 0x10_0000 + n * 37);
    if (piece < 0) continue;
    const end = piece + pieceBytes(kind);
    assert.ok(piece >= START && end <= START + POOL_BYTES);
    for (const [from, to] of taken) assert.ok(end <= from || piece >= to, `${n} lies over another`);
    taken.push([piece, end]);
  }
  assert.ok(taken.length > 700);
});

Deno.test("wherever a site lies, a fresh pool has a place for it whose jump has an invalid third byte", () => {
  for (let n = 0; n < 500; n++) {
    const site = START - 2 ** 30 + n * 104_729;
    const piece = new CodePool(START).take(KIND_CMP, site);
    assert.ok(piece >= 0 && mayPlace(KIND_CMP, site, piece));
    const third = piece - (site + JUMP_BYTES) >> 8 & 0xff;
    // No opcode that any x86-64 CPU runs: not the prefixes EVEX (62), VEX (c4, c5) and REX2 (d5).
    assert.ok(![0x62, 0xc4, 0xc5, 0xd5].includes(third));
  }
});

Deno.test("a pool has nothing for code that is out of reach, nor when it is full", () => {
  assert.equal(new CodePool(START).take(KIND_MOV, START - 2 ** 31 - 2 ** 20), -1);
  const pool = new CodePool(START);
  let count = 0;
  while (pool.take(KIND_MOV, START - 4096) >= 0) count++;
  assert.equal(count, POOL_BYTES / 32);
});

Deno.test("a pool that is copied for a fork and its original do not take from each other", () => {
  const pool = new CodePool(START);
  pool.take(KIND_MOV, START - 4096);
  const copy = pool.clone();
  assert.equal(copy.take(KIND_MOV, START - 4096), pool.take(KIND_MOV, START - 4096));
  assert.ok(pool.mayConcern(START - 5000, START) && !copy.mayConcern(START - 10000, START - 5000));
});
