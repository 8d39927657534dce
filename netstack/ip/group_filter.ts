// Which sources of a multicast group are wanted: one endpoint's filter, and what an interface makes of all of its
// endpoints' (RFC 3376 section 3, RFC 3810 section 4).

import type { Address } from "../address.ts";

/** Sources of one filter at most, whatever igmp_max_msf says. */
export const SOURCES_MAX = 512;

/** A filter mode and its list. "Include nothing" is no interest at all, "exclude nothing" is the whole group. */
export class GroupFilter {
  isExclude: boolean;
  readonly sources: Address[] = [];

  constructor(isExclude: boolean) {
    this.isExclude = isExclude;
  }

  /** A datagram from `source` is wanted. */
  allows(source: Address): boolean {
    return this.has(source) !== this.isExclude;
  }
  has(source: Address): boolean {
    for (const known of this.sources) if (known.equals(source)) return true;
    return false;
  }
  get isNothing(): boolean {
    return !this.isExclude && this.sources.length === 0;
  }
  /** False when it was there, or there is no room. */
  add(source: Address): boolean {
    if (this.has(source) || this.sources.length >= SOURCES_MAX) return false;
    this.sources.push(source.clone());
    return true;
  }
  remove(source: Address): boolean {
    const i = this.sources.findIndex((known) => known.equals(source));
    if (i < 0) return false;
    this.sources.splice(i, 1);
    return true;
  }
}

/** The interface's state from its endpoints' filters, RFC 3376 section 3.2. */
export function joinFilters(filters: readonly GroupFilter[]): GroupFilter {
  const isExclude = filters.some((filter) => filter.isExclude);
  const joined = new GroupFilter(isExclude);
  if (!isExclude) {
    for (const filter of filters) for (const source of filter.sources) joined.add(source);
    return joined;
  }
  // Nobody wants it: every excluding filter names it, and no including one does.
  const excluding = filters.filter((filter) => filter.isExclude);
  for (const source of excluding[0].sources) {
    if (filters.every((filter) => !filter.allows(source))) joined.add(source);
  }
  return joined;
}

/** Sources of `a` that are not in `b`. */
export function withoutSources(a: readonly Address[], b: GroupFilter): Address[] {
  return a.filter((source) => !b.has(source));
}
