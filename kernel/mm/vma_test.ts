import { KernelMemory } from "../util/kernel_memory.ts";
import { ok as assert } from "node:assert/strict";
import { MAP_PRIVATE, PAGE_SIZE } from "../abi/memory.ts";
import { type Backing, Vma, VmaSet } from "./vma.ts";

const PAGES = 64;
const ROUNDS = 4000;

/** A backing that counts who holds it. */
class Counted implements Backing {
  readonly isMemory = false;
  readonly file = null;
  readonly futexes = null;
  readonly hostOffset = 0;
  holders = 1;
  hostFd(): number {
    return 3;
  }
  hold(): void {
    this.holders++;
  }
  drop(): void {
    this.holders--;
  }
}

/** What one page is, in the naive model. */
interface Cell {
  readonly prot: number;
  readonly isLocked: boolean;
  readonly backing: Backing | null;
  readonly offset: number;
}

Deno.test("VmaSet behaves as a page-by-page model under random operations", () => {
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const set = new VmaSet(new KernelMemory(2 ** 30).heap);
  const model: (Cell | null)[] = new Array(PAGES).fill(null);
  const backings = [new Counted(), new Counted()];
  for (let round = 0; round < ROUNDS; round++) {
    const first = random(PAGES), count = 1 + random(Math.min(8, PAGES - first));
    const start = first * PAGE_SIZE, end = (first + count) * PAGE_SIZE;
    const action = random(4);
    if (action === 0) {
      const prot = random(4), backing = [null, ...backings][random(3)];
      const offset = backing === null ? 0 : random(4) * PAGE_SIZE;
      set.remove(start, end);
      backing?.hold();
      set.insert(new Vma(start, end, prot, MAP_PRIVATE, backing, offset, ""));
      for (let i = 0; i < count; i++) {
        const at = backing === null ? 0 : offset + i * PAGE_SIZE;
        model[first + i] = { prot, isLocked: false, backing, offset: at };
      }
    } else if (action === 1) {
      set.remove(start, end);
      model.fill(null, first, first + count);
    } else {
      const value = random(4);
      set.update(start, end, (area) => {
        if (action === 2) area.prot = value;
        else area.isLocked = value % 2 === 0;
      });
      for (let i = first; i < first + count; i++) {
        const cell = model[i];
        if (cell === null) continue;
        model[i] = action === 2 ? { ...cell, prot: value } : { ...cell, isLocked: value % 2 === 0 };
      }
    }
    compare(set, model, backings, random);
  }
});

function compare(
  set: VmaSet,
  model: readonly (Cell | null)[],
  backings: readonly Counted[],
  random: (below: number) => number,
): void {
  let mapped = 0, locked = 0, data = 0, previousEnd = -1;
  const holders = new Map<Backing, number>();
  for (const area of set) {
    assert(area.start < area.end && area.start >= previousEnd, "areas are ordered and not empty");
    previousEnd = area.end;
    if (area.backing !== null) holders.set(area.backing, (holders.get(area.backing) ?? 0) + 1);
  }
  for (let i = 0; i < PAGES; i++) {
    const cell = model[i];
    const area = set.find(i * PAGE_SIZE);
    assert((area === null) === (cell === null), `page ${i} is mapped in both or none`);
    if (area === null || cell === null) continue;
    mapped++;
    if (cell.isLocked) locked++;
    if ((cell.prot & 2) !== 0) data++;
    assert(area.prot === cell.prot && area.isLocked === cell.isLocked, `page ${i} has its attributes`);
    assert(area.backing === cell.backing, `page ${i} has its backing`);
    const offset = area.backing === null ? 0 : area.offset + (i * PAGE_SIZE - area.start);
    assert(offset === cell.offset, `page ${i} has its offset`);
  }
  assert(set.totalBytes === mapped * PAGE_SIZE, "bytes mapped");
  assert(set.lockedBytes === locked * PAGE_SIZE, "bytes locked");
  assert(set.dataBytes === data * PAGE_SIZE, "bytes of data");
  for (const backing of backings) {
    assert(backing.holders === 1 + (holders.get(backing) ?? 0), "every area holds its backing once");
  }
  for (let i = 1; i < set.count; i++) {
    assert(!set.at(i - 1).canMerge(set.at(i)), "neighbours alike are merged");
  }
  const from = random(PAGES), to = from + 1 + random(PAGES - from);
  const slice = model.slice(from, to);
  assert(
    set.isCovered(from * PAGE_SIZE, to * PAGE_SIZE) === slice.every((cell) => cell !== null),
    "isCovered",
  );
  assert(set.isFree(from * PAGE_SIZE, to * PAGE_SIZE) === slice.every((cell) => cell === null), "isFree");
  const bytes = slice.filter((cell) => cell !== null).length * PAGE_SIZE;
  assert(set.mappedBytes(from * PAGE_SIZE, to * PAGE_SIZE) === bytes, "mappedBytes");
  const pages = 1 + random(6);
  let high = -1, low = -1;
  for (let at = 0; at + pages <= PAGES; at++) {
    if (model.slice(at, at + pages).some((cell) => cell !== null)) continue;
    high = at;
    if (low < 0) low = at;
  }
  const top = PAGES * PAGE_SIZE, length = pages * PAGE_SIZE;
  assert(set.findGapBelow(top, 0, length) === (high < 0 ? -1 : high * PAGE_SIZE), "the highest gap");
  assert(set.findGapAbove(0, top, length) === (low < 0 ? -1 : low * PAGE_SIZE), "the lowest gap");
}
