// Queueing disciplines, as links before a link: a bounded first-in, first-out queue, and a token bucket that holds a rate.
// Linux: sch_fifo.c, sch_tbf.c; tc-tbf(8).

import { type Packet, PacketQueue } from "../packet.ts";
import type { Link } from "./link.ts";
import { WrappedLink } from "./wrapped_link.ts";

/** Packets that wait by default. */
export const QUEUE_PACKETS_DEFAULT = 1000;

/** Packets wait while the link has no room; where the queue is full the last one is lost. */
export class FifoLink extends WrappedLink {
  readonly #waiting = new PacketQueue();
  readonly #packetsMax: number;
  /** Packets lost. */
  drops = 0;

  constructor(inner: Link, packetsMax = QUEUE_PACKETS_DEFAULT) {
    super(inner);
    this.#packetsMax = packetsMax;
  }

  override get room(): number {
    return this.#packetsMax - this.#waiting.count;
  }
  override send(packet: Packet): void {
    if (this.#waiting.isEmpty && this.inner.room > 0) {
      this.inner.send(packet);
    } else if (this.#waiting.count < this.#packetsMax) {
      this.#waiting.push(packet);
    } else {
      this.drops++;
      packet.release();
    }
  }
  override flush(): void {
    this.inner.flush();
    while (!this.#waiting.isEmpty && this.inner.room > 0) {
      this.inner.send(this.#waiting.shift()!);
      if (this.inner.room === 0) this.inner.flush();
    }
    this.inner.flush();
  }
  override close(): void {
    this.#waiting.clear();
    super.close();
  }
}

/** At most `bytesPerSecond`, with bursts of `burstBytes`, which must hold the largest packet (with GSO 64 KiB). */
export class TokenBucketLink extends WrappedLink {
  readonly #waiting = new PacketQueue();
  readonly #packetsMax: number;
  readonly #nanosPerByte: number;
  readonly #burstNanos: number;
  /** Tokens as time: how long the link may send at its rate, and when that was counted. */
  #tokenNanos: number;
  #countedAt = 0;
  drops = 0;

  constructor(
    inner: Link,
    bytesPerSecond: number,
    burstBytes: number,
    packetsMax = QUEUE_PACKETS_DEFAULT,
  ) {
    if (burstBytes < inner.mtu) {
      throw new RangeError(`Cannot shape: burst ${burstBytes} is below the MTU ${inner.mtu}`);
    }
    super(inner);
    this.#packetsMax = packetsMax;
    this.#nanosPerByte = 1e9 / bytesPerSecond;
    this.#burstNanos = burstBytes * this.#nanosPerByte;
    this.#tokenNanos = this.#burstNanos;
  }

  /** A packet larger than the bucket could never go: larger trains are cut above. */
  override get gsoBytesMax(): number {
    return Math.min(this.inner.gsoBytesMax, Math.floor(this.#burstNanos / this.#nanosPerByte));
  }
  override get room(): number {
    return this.#packetsMax - this.#waiting.count;
  }
  override send(packet: Packet): void {
    if (this.#waiting.count >= this.#packetsMax) {
      this.drops++;
      packet.release();
      return;
    }
    this.#waiting.push(packet);
  }
  override poll(now: number, budget: number): number {
    this.#tokenNanos = Math.min(this.#burstNanos, this.#tokenNanos + now - this.#countedAt);
    this.#countedAt = now;
    return this.inner.poll(now, budget);
  }
  override flush(): void {
    for (let packet = this.#waiting.first; packet !== null; packet = this.#waiting.first) {
      const cost = packet.length * this.#nanosPerByte;
      if (cost > this.#tokenNanos) break;
      this.#tokenNanos -= cost;
      this.inner.send(this.#waiting.shift()!);
    }
    this.inner.flush();
  }
  override pollAt(): number {
    const first = this.#waiting.first;
    if (first === null) return this.inner.pollAt();
    const missing = first.length * this.#nanosPerByte - this.#tokenNanos;
    return Math.min(this.inner.pollAt(), this.#countedAt + Math.max(0, Math.ceil(missing)));
  }
  override close(): void {
    this.#waiting.clear();
    super.close();
  }
}
