// How old cached knowledge about a shared mount's files is, and how long it is used without asking the gofer again.

import type { LateAnswers } from "../../../gofer/client.ts";
import type { Host } from "../../../platform/platform.ts";

/**
 * How long an answer about a shared mount is used. This kernel's own changes are entered into its caches, in all
 * mounts that may show the same file. Linux: other processes' changes on the host may be seen this much later, as on
 * NFS (nfs(5), acregmin, acdirmin), at paths and directories that were used just before; what is read, written or
 * requested of an open file is always the host's.
 */
const RECENT_NANOS = 50e6;
/**
 * Additional time for what a call learnt before it first waited: it was recent when the call used it, and must count
 * as recent when the call is made again. A busy host may deschedule the sentry in between.
 */
const BEFORE_WAIT_NANOS = RECENT_NANOS + 200e6;
const CLOCK_MONOTONIC = 1;

/** The time at which something about a shared mount was learnt. */
export class Freshness {
  #at = -Infinity;

  /** Records that it was learnt at `nanos`, monotonic. */
  note(nanos: number): void {
    this.#at = nanos;
  }
  copy(from: Freshness): void {
    this.#at = from.#at;
  }
  forget(): void {
    this.#at = -Infinity;
  }
  /** Whether it is no older than RECENT_NANOS, or, in a call that has waited, was recent when that call began. */
  isRecent(host: Host, late: LateAnswers | null): boolean {
    const now = host.clockNanos(CLOCK_MONOTONIC);
    return this.#at > now - RECENT_NANOS || (late !== null && this.#at > late.beganAt - BEFORE_WAIT_NANOS);
  }
}
