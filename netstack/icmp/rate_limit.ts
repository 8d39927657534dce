// A token bucket for ICMP errors, RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f); the numbers are Linux'
// (icmp_msgs_per_sec, icmp_msgs_burst), and each destination has a share of its own (icmp_ratelimit).

import type { Address } from "../address.ts";

const MESSAGES_PER_SECOND = 1000;
const BURST = 50;
/** One destination's: a message a second, six at once; kept for so many hashes of destinations. */
const PEER_NANOS = 1e9;
const PEER_BURST = 6;
const PEERS = 1024;

export class IcmpRateLimit {
  #tokens = BURST;
  #countedAt = 0;
  /** For each hash of a destination: how far its credit reaches, as a time. */
  readonly #peers = new Float64Array(PEERS).fill(-PEER_BURST * PEER_NANOS);
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Takes one message for `destination`; false when there are too many. */
  take(destination: Address, now: number): boolean {
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#countedAt) * MESSAGES_PER_SECOND / 1e9);
    this.#countedAt = now;
    if (this.#tokens < 1) return false;
    const peer = destination.hash(this.#seed) & (PEERS - 1);
    const from = Math.max(this.#peers[peer], now - PEER_BURST * PEER_NANOS);
    // Answers to ourselves are not limited, as on Linux.
    if (!destination.isLoopback && from + PEER_NANOS > now) return false;
    this.#peers[peer] = from + PEER_NANOS;
    this.#tokens--;
    return true;
  }
}
