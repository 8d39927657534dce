// How long the sentry waits for a stub that does not report the end of its commands. Nobody else in the sandbox is
// served meanwhile, and a guest that has taken over its stub may choose never to answer; an honest stub may be kept from
// answering by a busy host.
//
// What tells them apart: the sentry halts the stub now and then (SIGSTOP). A thread halts at the end of the call it is in, or
// in a sleep that any signal ends, and no command to an honest stub sleeps like that. So a stub that has halted
// more often than it had calls to make has not made them, whatever other threads of its process do. One that does not halt is in
// a long call, where it uses CPU time, or waits for the host's disk. And one that wants to run and gets no CPU is not halted and
// not judged: it would halt without having gone on, and a clone(2) that has not begun would be asked for a second time.

/**
 * How long a stub may be busy in calls that do not halt. A page of 4 KiB costs a slow host 1 us to unmap (256 MiB at a time)
 * and 0.5 us to fork; a usual one a tenth of that. Its whole process counts: other threads may keep it waiting for the lock
 * of their memory.
 */
const BUSY_MILLIS_MAX = 1000;
/** The same for what cannot be done in pieces: to fork(2), or to empty a process for execve(2). */
const BUSY_WHOLE_MILLIS_MAX = 6000;
/** How long a clone(2) that was allowed is not halted: it would be made, and asked for, a second time. */
const CLONE_MILLIS_MAX = 1000;
const CLONE_MILLIS_MIN = 100;
/** What comes back in a second of the time that clone(2)s have taken of that. */
const CLONE_MILLIS_BACK = 50;
/** Halts a stub may have beyond its calls: on its way to the first and from the last. */
const SPARE_HALTS = 4;
/** The part of a wait that its process must have run for, to be taken for busy. */
const BUSY_PART = 0.25;
/** Longest wait for the host's disk. */
const STALL_MILLIS_MAX = 20_000;

/** What is left of the time that clone(2)s of all stubs together may take unhalted. Milliseconds of one clock. */
export class Patience {
  #left = CLONE_MILLIS_MAX;
  #at = 0;

  left(now: number): number {
    const back = (now - this.#at) / 1000 * CLONE_MILLIS_BACK;
    this.#left = Math.min(CLONE_MILLIS_MAX, this.#left + back);
    this.#at = now;
    return this.#left;
  }

  /** A stall has ended, for good or bad. */
  spend(now: number, millis: number): void {
    this.#left = Math.max(0, this.left(now) - millis);
  }
}

/** One wait that has become long. */
export class Stall {
  readonly #haltsMax: number;
  readonly #busyMax: number;
  readonly #cloneMax: number;
  #halts = 0;
  #millis = 0;
  #ownMillis = 0;
  #busyMillis = 0;
  #cpuNanos: number;

  /** For `calls` commands, of a process that has used `cpuNanos`. `isWhole`: one cannot be done in pieces. */
  constructor(calls: number, isWhole: boolean, left: number, cpuNanos: number) {
    this.#haltsMax = calls + SPARE_HALTS;
    this.#busyMax = isWhole ? BUSY_WHOLE_MILLIS_MAX : BUSY_MILLIS_MAX;
    this.#cloneMax = Math.max(CLONE_MILLIS_MIN, left);
    this.#cpuNanos = cpuNanos;
  }

  /** It may be halted although a clone(2) of it has been allowed. */
  get isCloneOver(): boolean {
    return this.#ownMillis >= this.#cloneMax;
  }

  /** Its part of the wait: what it did not wait for a CPU. */
  get ownMillis(): number {
    return this.#ownMillis;
  }

  /** Another `millis` have passed, of which it `waits` for a CPU all. The reason to give up, or "". */
  note(millis: number, hasHalted: boolean, cpuNanos: number, waits = false): string {
    const isBusy = cpuNanos - this.#cpuNanos >= millis * 1e6 * BUSY_PART;
    this.#cpuNanos = cpuNanos;
    this.#millis += millis;
    if (!waits) this.#ownMillis += millis;
    if (hasHalted) this.#halts++;
    else if (isBusy && !waits) this.#busyMillis += millis;
    if (this.#halts > this.#haltsMax) return "it has halted and not gone on";
    if (this.#busyMillis > this.#busyMax) return "it is busy with something else";
    return this.#millis > STALL_MILLIS_MAX ? "it is stuck" : "";
  }
}
