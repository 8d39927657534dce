// Whom the host ends when memory is short: proc_pid_oom_score_adj(5).

import { HOST_FILES, readOrNull } from "./files.ts";

const SCORE_MAX = 1000;
/** What a sentry may have in memory before it is larger than the guests that it serves, about. */
const SENTRY_BYTES = 256 * 1024 * 1024;

/**
 * Score of guests' processes in a sandbox of score `score` whose memory ends at `limitBytes` (0 = nowhere). When a cgroup is
 * full the host ends the largest process in it by its size in percent of the limit, where 10 points are a percent. At a small
 * limit that would be the sentry, and the sandbox with it: so guests get as many points more as the sentry's size makes up.
 */
export function guestScore(score: number, limitBytes: number): number {
  if (limitBytes <= 0) return score;
  return Math.min(SCORE_MAX, score + Math.ceil(SCORE_MAX * SENTRY_BYTES / limitBytes));
}

/** Score of this process, which those that it starts have. */
export function ownScore(): number {
  return Number(readOrNull(HOST_FILES, "/proc/self/oom_score_adj") ?? 0);
}

/** False where the caller may not: a score below its own needs CAP_SYS_RESOURCE. */
export function setScore(pids: readonly number[], score: number): boolean {
  let isSet = true;
  for (const pid of pids) {
    try {
      Deno.writeTextFileSync(`/proc/${pid}/oom_score_adj`, String(score), { create: false });
    } catch (error) {
      // One that has ended needs none.
      if (error instanceof Deno.errors.PermissionDenied) isSet = false;
    }
  }
  return isSet;
}
