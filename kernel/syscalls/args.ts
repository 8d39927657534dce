// The six arguments of a system call, read from the guest's registers once, at entry. A handler that is run again after
// a wait sees the same values, whatever the guest has done to its registers since.

const TWO_32 = 4294967296;
/** Numbers with a high word of at least this need more than 53 bits. */
const EXACT_HIGH_END = 2 ** 21;
/** The lowest bit that a number just below 2^64 can hold. */
const HALF_PAGE = 2048;

export class Args {
  /** Arguments 0..5 as (low, high) pairs of u32 words. The run loop fills them; restart_syscall(2) keeps them. */
  readonly words = new Uint32Array(12);

  /** Low 32 bits, signed: descriptors, int flags, pids. */
  i32(n: number): number {
    return this.words[2 * n] | 0;
  }

  /** Low 32 bits, unsigned: modes, unsigned flags, ids. */
  u32(n: number): number {
    return this.words[2 * n];
  }

  /**
   * All 64 bits as an unsigned number: addresses, sizes. Above 2^53 it is inexact but still large, and page-aligned
   * only if the argument is: callers check its range.
   */
  word(n: number): number {
    const low = this.words[2 * n], high = this.words[2 * n + 1];
    if (high < EXACT_HIGH_END) return low + high * TWO_32;
    const pageOffset = low & 0xfff;
    return high * TWO_32 + (low - pageOffset) + (pageOffset === 0 ? 0 : HALF_PAGE);
  }

  /** All 64 bits as a signed number: offsets. Exact within +-2^53. */
  i53(n: number): number {
    return this.words[2 * n] + (this.words[2 * n + 1] | 0) * TWO_32;
  }

  /** High 32 bits, for flags that must be zero there. */
  high(n: number): number {
    return this.words[2 * n + 1];
  }

  /** Overwrites argument `n` (restart_syscall, tests). */
  set(n: number, value: number): void {
    this.words[2 * n] = value >>> 0;
    this.words[2 * n + 1] = Math.floor(value / TWO_32) >>> 0;
  }
}
