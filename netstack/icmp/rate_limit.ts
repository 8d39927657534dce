// A token bucket for ICMP errors, RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f); the numbers are Linux'
// (icmp_msgs_per_sec, icmp_msgs_burst), and each destination has a share of its own (icmp_ratelimit).

import type { Address } from "../address.ts";
import type { IpSettings } from "../ip/settings.ts";

/** One destination has so many at once; kept for so many hashes of destinations. */
const PEER_BURST = 6;
const PEERS = 1024;

export class IcmpRateLimit {
  readonly #settings: IpSettings;
  #tokens = 0;
  #countedAt = -Infinity;
  /** For each hash of a destination: how far its credit reaches, as a time. */
  readonly #peers = new Float64Array(PEERS).fill(-Infinity);
  readonly #seed: number;

  constructor(seed: number, settings: IpSettings) {
    this.#seed = seed;
    this.#settings = settings;
  }

  /** Takes one message for `destination`; false when there are too many. */
  take(destination: Address, now: number): boolean {
    // Answers to ourselves are not limited, as on Linux.
    if (destination.isLoopback) return true;
    const settings = this.#settings;
    const burst = settings.get("icmp_msgs_burst");
    const gained = (now - this.#countedAt) * settings.get("icmp_msgs_per_sec") / 1e9;
    this.#tokens = Math.min(burst, this.#tokens + gained);
    this.#countedAt = now;
    if (this.#tokens < 1) return false;
    const nanos = settings.get("icmp_ratelimit") * 1e6;
    const peer = destination.hash(this.#seed) & (PEERS - 1);
    const from = Math.max(this.#peers[peer], now - PEER_BURST * nanos);
    if (from + nanos > now) return false;
    this.#peers[peer] = from + nanos;
    this.#tokens--;
    return true;
  }
}
