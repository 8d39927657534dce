// How old knowledge about the files of a shared mount is, and until when it may be used without asking the gofer again.

import type { LateAnswers } from "../../../gofer/client.ts";
import type { Host } from "../../../platform/platform.ts";

/**
 * How long an answer about a shared mount holds. What this kernel changes itself it enters into what it knows, in all mounts
 * that may show the same file.
 * Linux: what others change on the host may be seen this much later, as on NFS (nfs(5), acregmin, acdirmin), at paths and
 * directories that were looked at just before; what is read, written or asked of an open file is always the host's.
 */
const RECENT_NANOS = 50e6;
/**
 * What a call has learnt so long before it first waited holds for all of it: it was recent when the call used it, and must be
 * again when the call is made again. A host that is busy may take us off the CPU in between.
 */
const BEFORE_WAIT_NANOS = RECENT_NANOS + 200e6;
const CLOCK_MONOTONIC = 1;

/** When something was learnt of a shared mount. */
export class Freshness {
  #at = -Infinity;

  /** It was learnt at `nanos`, monotonic. */
  note(nanos: number): void {
    this.#at = nanos;
  }
  copy(from: Freshness): void {
    this.#at = from.#at;
  }
  forget(): void {
    this.#at = -Infinity;
  }
  /** It is no older than an answer may be, or than the call that is being served is by now. */
  isRecent(host: Host, late: LateAnswers | null): boolean {
    const now = host.clockNanos(CLOCK_MONOTONIC);
    return this.#at > now - RECENT_NANOS || (late !== null && this.#at > late.beganAt - BEFORE_WAIT_NANOS);
  }
}
