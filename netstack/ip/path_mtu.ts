// Path MTUs heard from routers, kept per destination for ten minutes: RFC 1191 section 6.3, RFC 8201 section 4.

import type { Address } from "../address.ts";
import { AddressMap } from "../address_map.ts";
import type { IpSettings } from "./settings.ts";
import { IPV6_MTU_MIN } from "../wire/ipv6.ts";

/** Destinations remembered at most; the oldest is forgotten. */
const PATHS_MAX = 4096;

interface Path {
  mtu: number;
  expires: number;
}

export class PathMtus {
  readonly #paths: AddressMap<Path>;
  #now = 0;

  readonly #settings: IpSettings;

  constructor(seed: number, settings: IpSettings) {
    this.#settings = settings;
    this.#paths = new AddressMap(seed);
  }

  /** The path MTU to `destination`, 0 = none known. */
  get(destination: Address): number {
    if (this.#paths.size === 0) return 0;
    const path = this.#paths.get(destination);
    if (path === null) return 0;
    if (path.expires > this.#now) return path.mtu;
    this.#paths.delete(destination);
    return 0;
  }

  /** Takes over what a router says; true when the path is smaller than known. An increase is never believed. */
  learn(destination: Address, mtu: number, now: number): boolean {
    this.#now = now;
    mtu = Math.max(mtu, destination.isV4 ? this.#settings.get("min_pmtu") : IPV6_MTU_MIN);
    const known = this.get(destination);
    if (known > 0 && known <= mtu) return false;
    if (this.#paths.size >= PATHS_MAX && known === 0) this.#evict();
    this.#paths.set(destination.clone(), { mtu, expires: now + this.#settings.get("mtu_expires") * 1e9 });
    return true;
  }

  /** Time goes on; true when a path has run out, and may be tried with more again (RFC 1191 section 6.3). */
  tick(now: number): boolean {
    this.#now = now;
    if (this.#paths.size === 0) return false;
    let isOver = false;
    // Oldest first, as each is entered with the same lifetime (or one that was set since: get() looks at each).
    for (const path of this.#paths.values()) {
      if (path.expires > now) break;
      isOver = true;
      this.#evict();
    }
    return isOver;
  }
  get size(): number {
    return this.#paths.size;
  }

  #evict(): void {
    const oldest = this.#paths.oldest;
    if (oldest !== null) this.#paths.delete(oldest);
  }
}
