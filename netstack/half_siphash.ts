// HalfSipHash-2-4: a keyed hash of 32-bit words, for what an outsider must not guess: initial sequence numbers, cookies.
// J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF"; the half-width variant that Linux has too.

import type { RandomWords } from "./random.ts";

export class HalfSipHash {
  readonly #k0: number;
  readonly #k1: number;

  constructor(random: RandomWords) {
    this.#k0 = random.word();
    this.#k1 = random.word();
  }

  /** int32 of the words. */
  hash(words: Int32Array, count: number): number {
    let v0 = this.#k0, v1 = this.#k1, v2 = 0x6c796765 ^ this.#k0, v3 = 0x74656462 ^ this.#k1;
    for (let i = 0; i <= count; i++) {
      // The last word carries the length in bytes.
      const word = i < count ? words[i] : count * 4 << 24;
      v3 ^= word;
      for (let round = 0; round < 2; round++) {
        v0 = v0 + v1 | 0;
        v1 = (v1 << 5 | v1 >>> 27) ^ v0;
        v0 = v0 << 16 | v0 >>> 16;
        v2 = v2 + v3 | 0;
        v3 = (v3 << 8 | v3 >>> 24) ^ v2;
        v0 = v0 + v3 | 0;
        v3 = (v3 << 7 | v3 >>> 25) ^ v0;
        v2 = v2 + v1 | 0;
        v1 = (v1 << 13 | v1 >>> 19) ^ v2;
        v2 = v2 << 16 | v2 >>> 16;
      }
      v0 ^= word;
    }
    v2 ^= 0xff;
    for (let round = 0; round < 4; round++) {
      v0 = v0 + v1 | 0;
      v1 = (v1 << 5 | v1 >>> 27) ^ v0;
      v0 = v0 << 16 | v0 >>> 16;
      v2 = v2 + v3 | 0;
      v3 = (v3 << 8 | v3 >>> 24) ^ v2;
      v0 = v0 + v3 | 0;
      v3 = (v3 << 7 | v3 >>> 25) ^ v0;
      v2 = v2 + v1 | 0;
      v1 = (v1 << 13 | v1 >>> 19) ^ v2;
      v2 = v2 << 16 | v2 >>> 16;
    }
    return v1 ^ v3;
  }
}
