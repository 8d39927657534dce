// How old knowledge about the files of a shared mount is, and until when it may be used without asking the gofer again.

import type { Host } from "../../../platform/platform.ts";

/**
 * How long an answer about a shared mount holds, as long as nobody in this kernel changes host files meanwhile.
 * Linux: what others change on the host may be seen this much later, as on NFS (nfs(5), acregmin), at paths that were
 * looked at just before; what is read, written or asked of an open file is always the host's.
 */
const RECENT_NANOS = 50e6;
const CLOCK_MONOTONIC = 1;

/** Changes of host files by this kernel, through whatever mount: two mounts may show the same file. */
let changeCount = 0;

/** How often this kernel has changed host files. */
export function changesSoFar(): number {
  return changeCount;
}

/** A file or directory of the host is being changed by us. */
export function noteChange(): void {
  changeCount++;
}

/** When something was learnt of a shared mount. */
export class Freshness {
  #at = -Infinity;
  #changes = -1;

  note(host: Host): void {
    this.#at = host.clockNanos(CLOCK_MONOTONIC);
    this.#changes = changeCount;
  }
  isRecent(host: Host): boolean {
    return this.#changes === changeCount && host.clockNanos(CLOCK_MONOTONIC) - this.#at < RECENT_NANOS;
  }
}
