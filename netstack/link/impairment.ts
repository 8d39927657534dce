// A wire that is as bad as one asks: delay, jitter, loss, duplication, reordering, corruption and a rate, all from a seed,
// so that a run can be repeated. tc-netem(8) is the model. It impairs what is sent; wrap both ends for both ways.

import { Checksum, type Packet, PacketQueue } from "../packet.ts";
import type { SeededRandom } from "../random.ts";
import { NEVER } from "../timer.ts";
import { type Link, LINK_GSO, LINK_TX_CHECKSUM } from "./link.ts";
import { WrappedLink } from "./wrapped_link.ts";

export interface Impairment {
  /** One-way delay and how much it varies to both sides, nanoseconds. Order is kept; see reorderPerMillion. */
  readonly delayNanos: number;
  readonly jitterNanos: number;
  /** Chances in 1,000,000 a packet. */
  readonly lossPerMillion: number;
  readonly duplicatePerMillion: number;
  /** A packet that overtakes those before it: it is not delayed. */
  readonly reorderPerMillion: number;
  /** One bit of the packet, anywhere in it, is flipped. */
  readonly corruptPerMillion: number;
  /** Bytes a second; Infinity = no limit. */
  readonly rateBytes: number;
  /** Packets on the wire at most; more are lost. */
  readonly packetsMax: number;
}

export const NO_IMPAIRMENT: Impairment = {
  delayNanos: 0,
  jitterNanos: 0,
  lossPerMillion: 0,
  duplicatePerMillion: 0,
  reorderPerMillion: 0,
  corruptPerMillion: 0,
  rateBytes: Infinity,
  packetsMax: 1000,
};

export class ImpairmentLink extends WrappedLink {
  impairment: Impairment;
  readonly #random: SeededRandom;
  /** On the wire in the order they arrive; their arrival stands in packet.timestamp. */
  readonly #wire = new PacketQueue();
  /** Those that overtake. */
  readonly #ahead = new PacketQueue();
  #now = 0;
  /** When the last bit of what was sent so far has left, and when the last packet arrives. */
  #freeAt = 0;
  #lastAt = 0;
  lost = 0;
  corrupted = 0;

  constructor(inner: Link, random: SeededRandom, impairment: Partial<Impairment> = {}) {
    super(inner);
    this.#random = random;
    this.impairment = { ...NO_IMPAIRMENT, ...impairment };
  }

  /** Whole frames with true checksums: a train or an unfinished checksum could not be harmed as a wire would do. */
  override get features(): number {
    return this.inner.features & ~(LINK_GSO | LINK_TX_CHECKSUM);
  }
  override get room(): number {
    return this.impairment.packetsMax - this.#wire.count;
  }

  override send(packet: Packet): void {
    const { impairment } = this;
    const random = this.#random;
    if (random.chance(impairment.lossPerMillion) || this.#wire.count >= impairment.packetsMax) {
      this.lost++;
      packet.release();
      return;
    }
    if (random.chance(impairment.duplicatePerMillion)) {
      const copy = packet.pool.clone(packet);
      if (copy !== null) this.#enter(copy);
    }
    this.#enter(packet);
  }

  #enter(packet: Packet): void {
    const { impairment } = this;
    const random = this.#random;
    if (packet.checksum !== Checksum.Partial) packet.checksum = Checksum.Unknown;
    if (random.chance(impairment.corruptPerMillion)) {
      packet.bytes[packet.at + random.below(packet.length)] ^= 1 << random.below(8);
      this.corrupted++;
    }
    if (random.chance(impairment.reorderPerMillion)) {
      this.#ahead.push(packet);
      return;
    }
    this.#freeAt = Math.max(this.#freeAt, this.#now) + packet.length * 1e9 / impairment.rateBytes;
    const jitter = impairment.jitterNanos === 0 ? 0 : random.below(2 * impairment.jitterNanos) -
      impairment.jitterNanos;
    this.#lastAt = Math.max(this.#lastAt, this.#freeAt + impairment.delayNanos + jitter);
    packet.timestamp = this.#lastAt;
    this.#wire.push(packet);
  }

  override poll(now: number, budget: number): number {
    this.#now = now;
    return this.inner.poll(now, budget);
  }
  override flush(): void {
    for (let packet = this.#ahead.shift(); packet !== null; packet = this.#ahead.shift()) {
      this.inner.send(packet);
    }
    for (
      let first = this.#wire.first;
      first !== null && first.timestamp <= this.#now;
      first = this.#wire.first
    ) {
      this.inner.send(this.#wire.shift()!);
    }
    this.inner.flush();
  }
  override pollAt(): number {
    const first = this.#wire.first;
    const own = first === null ? NEVER : first.timestamp;
    return Math.min(this.#ahead.isEmpty ? own : 0, this.inner.pollAt());
  }
  override close(): void {
    this.#ahead.clear();
    this.#wire.clear();
    super.close();
  }
}
