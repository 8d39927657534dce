// Where randomness comes from: passed in, so that a simulator can repeat a run. Two kinds, as most choices need no secret.

export interface RandomSource {
  /** Unpredictable bytes: secrets of sequence numbers, ports and cookies. */
  fill(bytes: Uint8Array): void;
}

/** An unpredictable int32 at a time, from a buffer refilled in blocks. */
export class RandomWords {
  readonly #source: RandomSource;
  readonly #bytes = new Uint8Array(256);
  readonly #words = new Int32Array(this.#bytes.buffer);
  #next = this.#words.length;

  constructor(source: RandomSource) {
    this.#source = source;
  }

  /** int32. */
  word(): number {
    if (this.#next >= this.#words.length) {
      this.#source.fill(this.#bytes);
      this.#next = 0;
    }
    return this.#words[this.#next++];
  }

  /** 0 <= n < `bound` <= 2^31. */
  below(bound: number): number {
    return (this.word() >>> 1) % bound;
  }
}

/** xorshift128 from a seed: for the simulator, impairment and fuzzing; not for secrets. */
export class SeededRandom implements RandomSource {
  #x: number;
  #y = 0x9e3779b9 | 0;
  #z = 0x7f4a7c15 | 0;
  #w = 0x85ebca6b | 0;

  constructor(seed: number) {
    this.#x = seed | 0 || 1;
    for (let i = 0; i < 16; i++) this.word();
  }

  word(): number {
    const t = this.#x ^ this.#x << 11;
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    this.#w = this.#w ^ this.#w >>> 19 ^ t ^ t >>> 8;
    return this.#w;
  }
  below(bound: number): number {
    return (this.word() >>> 1) % bound;
  }
  /** True with a probability of `perMillion` in 1,000,000. */
  chance(perMillion: number): boolean {
    return perMillion > 0 && this.below(1_000_000) < perMillion;
  }
  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.word() >>> 8;
  }
}
