// CPU time of a guest thread: its host thread's, minus what earlier guest threads used on that.

import { CPU_NOW, CPU_START, IN_ENTRIES, SLOT_STATE, STATE_EVENT } from "../slot.ts";
import type { SystrapThread } from "./thread.ts";

const SYS_clock_gettime = 228;
const CLOCK_THREAD_CPUTIME_ID = 3;

export class CpuTime {
  /** The highest value returned: the host's tick may lag behind its clock. */
  #knownNanos = 0;

  /** Starts on a fresh host thread. */
  begin(thread: SystrapThread): void {
    this.#knownNanos = 0;
    thread.words.fill(0, CPU_START >> 2, IN_ENTRIES >> 2);
  }

  /**
   * Starts on a reused host thread, which records its CPU time when it resumes; until then the guest thread's is 0.
   */
  beginOnUsed(thread: SystrapThread): void {
    this.#knownNanos = 0;
    thread.words[CPU_START >> 2] = 0xffff_ffff;
    thread.call(SYS_clock_gettime, false, CLOCK_THREAD_CPUTIME_ID, thread.address + CPU_START);
  }

  /** /proc counts a running thread at ticks only: a thread that spins for an answer stores its clock itself. */
  read(thread: SystrapThread): number {
    const { words, platform, addressSpace, tid } = thread;
    let hostNanos = -1;
    if (!thread.isRunning && Atomics.load(words, SLOT_STATE >> 2) === STATE_EVENT) {
      const result = thread.callNow(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, thread.address + CPU_NOW);
      if (result === 0) hostNanos = nanosAt(words, CPU_NOW >> 2);
    }
    if (hostNanos < 0) hostNanos = platform.stubs.calls.tsv_usage_thread_nanos(addressSpace.pid, tid);
    this.#knownNanos = Math.max(this.#knownNanos, hostNanos - nanosAt(words, CPU_START >> 2));
    return this.#knownNanos;
  }
}

/** Nanoseconds of a struct timespec. */
function nanosAt(words: Uint32Array, at: number): number {
  return words[at] * 1e9 + words[at + 2];
}
