// SYN cookies: when the queue of half-open connections is full the record travels in our sequence number, and a bit of it
// in the timestamp. RFC 4987 section 3.6; the layout is our own.

import type { Address } from "../address.ts";
import { HalfSipHash } from "../half_siphash.ts";
import type { RandomWords } from "../random.ts";

/** Segment sizes that a cookie can name. */
const SIZES = [536, 1220, 1300, 1440, 1460, 4312, 8960, 16_396];
/** Time in cookies moves in steps of 64 s, and two of them are good. */
const STEP_NANOS = 64e9;
const STEPS = 2;
const COUNT_MASK = 31;
const HASH_BITS = 24;
/** Options in the low six bits of the timestamp: scale in four (15 = none), SACK, ECN. */
export const OPTION_BITS = 6;

export class SynCookies {
  readonly #hash: HalfSipHash;
  readonly #words = new Int32Array(11);

  constructor(random: RandomWords) {
    this.#hash = new HalfSipHash(random);
  }

  /** A sequence number that carries the peer's MSS: count of time (5 bits), size (3), hash (24). */
  make(
    local: Address,
    localPort: number,
    remote: Address,
    remotePort: number,
    isn: number,
    mss: number,
    now: number,
  ): number {
    const count = Math.floor(now / STEP_NANOS) & COUNT_MASK;
    let size = 0;
    while (size + 1 < SIZES.length && SIZES[size + 1] <= mss) size++;
    const hash = this.#hashOf(local, localPort, remote, remotePort, isn, count, size);
    return count << 27 | size << HASH_BITS | hash;
  }

  /** The MSS of a cookie that we have made lately for these; 0 = it is none. */
  check(
    cookie: number,
    local: Address,
    localPort: number,
    remote: Address,
    remotePort: number,
    isn: number,
    now: number,
  ): number {
    const count = cookie >>> 27;
    const age = Math.floor(now / STEP_NANOS) - count & COUNT_MASK;
    if (age >= STEPS) return 0;
    const size = cookie >>> HASH_BITS & 7;
    const hash = this.#hashOf(local, localPort, remote, remotePort, isn, count, size);
    return (cookie & 0xffffff) === hash ? SIZES[size] : 0;
  }

  #hashOf(
    local: Address,
    localPort: number,
    remote: Address,
    remotePort: number,
    isn: number,
    count: number,
    size: number,
  ): number {
    const words = this.#words;
    words[0] = local.a;
    words[1] = local.b;
    words[2] = local.c;
    words[3] = local.d;
    words[4] = remote.a;
    words[5] = remote.b;
    words[6] = remote.c;
    words[7] = remote.d;
    words[8] = localPort << 16 | remotePort;
    words[9] = isn;
    words[10] = count << 8 | size;
    return this.#hash.hash(words, 11) & 0xffffff;
  }
}
