// Memory for the pieces of patched call sites (pieces.ts): an anonymous mapping near the code, readable and
// executable, which the kernel's VMA tree has as [patches]. There is one near each program and one near its
// libraries, each at a random place.

import { JUMP_BYTES, KIND_CMP, KIND_MOV, mayPlace } from "./pieces.ts";

/** Bytes of a pool: large enough that pieces of KIND_CMP can be placed for any site. */
export const POOL_BYTES = 0x1_0000;
/** A piece of KIND_MOV takes one unit, one of KIND_CMP two. */
const UNIT_BYTES = 32;

export class CodePool {
  readonly start: number;
  readonly #isUsed: Uint8Array;
  #next = 0;
  /** The range of the sites with a piece here: most changes of mappings do not touch it. */
  #lowestSite = Infinity;
  #highestSite = 0;

  constructor(start: number, isUsed: Uint8Array = new Uint8Array(POOL_BYTES / UNIT_BYTES)) {
    this.start = start;
    this.#isUsed = isUsed;
  }

  get end(): number {
    return this.start + POOL_BYTES;
  }

  holds(address: number): boolean {
    return address >= this.start && address < this.end;
  }

  clone(): CodePool {
    const copy = new CodePool(this.start, this.#isUsed.slice());
    copy.#lowestSite = this.#lowestSite;
    copy.#highestSite = this.#highestSite;
    return copy;
  }

  /** Whether [start, end) may include a site with a piece here, or a piece. */
  mayConcern(start: number, end: number): boolean {
    return this.start < end && this.end > start || this.#lowestSite < end && this.#highestSite >= start;
  }

  /** Allocates the piece of a site of `kind` at `site`: its address, or -1 if there is no place. */
  take(kind: number, site: number): number {
    const piece = kind === KIND_MOV ? this.#takeUnit(site) : this.#takePair(site);
    if (piece >= 0) {
      this.#lowestSite = Math.min(this.#lowestSite, site);
      this.#highestSite = Math.max(this.#highestSite, site + JUMP_BYTES);
    }
    return piece;
  }

  #takeUnit(site: number): number {
    const used = this.#isUsed;
    while (this.#next < used.length && used[this.#next] !== 0) this.#next++;
    const piece = this.start + this.#next * UNIT_BYTES;
    if (this.#next >= used.length || !mayPlace(KIND_MOV, site, piece)) return -1;
    used[this.#next] = 1;
    return piece;
  }

  #takePair(site: number): number {
    const used = this.#isUsed;
    for (let unit = 0; unit < used.length; unit += 2) {
      const piece = this.start + unit * UNIT_BYTES;
      if (used[unit] !== 0 || used[unit + 1] !== 0 || !mayPlace(KIND_CMP, site, piece)) continue;
      used[unit] = used[unit + 1] = 1;
      return piece;
    }
    return -1;
  }
}

/** The addresses at which the piece that includes `address` may begin: a piece has one unit or two. */
export function pieceStarts(address: number): readonly [number, number] {
  return [address - address % UNIT_BYTES, address - address % (2 * UNIT_BYTES)];
}
