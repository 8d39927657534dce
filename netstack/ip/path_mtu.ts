// Path MTUs heard from routers, kept per destination for ten minutes: RFC 1191 section 6.3, RFC 8201 section 4.

import type { Address } from "../address.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";

/** Destinations remembered at most; the oldest is forgotten. */
const PATHS_MAX = 4096;
const LIFETIME_NANOS = 600e9;
/** Below this no IPv4 path is believed: Linux' min_pmtu. */
const IPV4_PATH_MTU_MIN = 552;

interface Path {
  mtu: number;
  expires: number;
}

export class PathMtus {
  readonly #paths = new Map<string, Path>();
  #now = 0;

  /** The path MTU to `destination`, 0 = none known. */
  get(destination: Address): number {
    if (this.#paths.size === 0) return 0;
    const key = keyOf(destination);
    const path = this.#paths.get(key);
    if (path === undefined) return 0;
    if (path.expires > this.#now) return path.mtu;
    this.#paths.delete(key);
    return 0;
  }

  /** Takes over what a router says; true when the path is smaller than known. An increase is never believed. */
  learn(destination: Address, mtu: number, now: number): boolean {
    this.#now = now;
    mtu = Math.max(mtu, destination.isV4 ? IPV4_PATH_MTU_MIN : IPV6_MTU_MIN);
    const known = this.get(destination);
    if (known > 0 && known <= mtu) return false;
    if (this.#paths.size >= PATHS_MAX) {
      for (const oldest of this.#paths.keys()) {
        this.#paths.delete(oldest);
        break;
      }
    }
    this.#paths.set(keyOf(destination), { mtu, expires: now + LIFETIME_NANOS });
    return true;
  }

  /** Time goes on; called by poll. */
  tick(now: number): void {
    this.#now = now;
  }
}

function keyOf(address: Address): string {
  return `${address.a},${address.b},${address.c},${address.d}`;
}
