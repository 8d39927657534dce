// The cache of dentries that nobody uses. They are in a ring in the order they became unused, and go when it is over-full
// and nobody has looked them up since. Linux: the LRU lists of fs/dcache.c, which are per file system.

import type { Dentry } from "./dentry.ts";

/** Unused dentries kept, over all file systems of a kernel; fewer where the gofer has few descriptors for them. */
export const DENTRIES_UNUSED_MAX = 12_000;
/** Dentries visited each time the ring is over-full. */
const EVICTIONS_MAX = 64;
/** Look-ups that one call makes, generously: its paths are not held while it runs. */
export const LOOKUPS_OF_CALL_MAX = 1000;
/** Look-ups before which nothing goes even where there is room for few: no path in use has so many names but in a test. */
export const LOOKUPS_SPARED = 64;

export class DentryCache {
  /** Counts look-ups. */
  clock = 0;
  unusedMax = DENTRIES_UNUSED_MAX;
  /** The ring: from #from on, dentries in the order they became unused. */
  #unused: Dentry[] = [];
  #from = 0;

  /** `dentry` has become unused. */
  list(dentry: Dentry): void {
    if (dentry.isListed) return;
    dentry.isListed = true;
    this.#unused.push(dentry);
    const count = this.#unused.length - this.#from;
    if (count <= this.unusedMax) return;
    // Half of them at most, lest a short ring comes round to what it has just spared.
    const visits = Math.min(EVICTIONS_MAX, count >> 1);
    for (let n = 0; n < visits; n++) this.#evictOldest(false);
    if (this.#from > this.unusedMax) {
      this.#unused = this.#unused.slice(this.#from);
      this.#from = 0;
    }
  }

  /** Evicts the older half of the unused dentries, even those looked up lately. */
  shrink(): void {
    const count = (this.#unused.length - this.#from) >> 1;
    for (let n = 0; n < count; n++) this.#evictOldest(true);
  }

  #evictOldest(isUrgent: boolean): void {
    const oldest = this.#unused[this.#from++];
    if (oldest.evict(isUrgent)) this.#unused.push(oldest);
    else oldest.isListed = false;
  }
}
