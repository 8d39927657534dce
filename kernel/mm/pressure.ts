// Memory of the whole sandbox against its limit. limits.ts checks what one process commits; only the host knows the
// pages that all processes use. So commitments are summed up here now and then; while the sum exceeds the limit,
// boot/ measures the use, and the kernel kills a process when that exceeds the limit too (task/memory_pressure.ts).
// Linux: the memory controller of cgroups, mm/oom_kill.c.

/** The sum is updated after this fraction of the limit was committed since the last sum. */
const TALLY_PART = 16;

export class MemoryPressure {
  /** Changed by `update`. */
  limitBytes: number;
  /** Bytes committed since the last sum; what was freed is not subtracted. */
  #grownBytes = 0;
  /** Whether commitments exceed the limit, so that the use must be measured. Changed by setOver() only. */
  isOver = false;
  /** Called when isOver changes; set by boot. */
  onChange: (isOver: boolean) => void = () => {};
  /** Computes the sum; set by the owner of the list of tasks. */
  onTally: () => void = () => {};

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** A process has committed `bytes` more. */
  grow(bytes: number): void {
    this.#grownBytes += bytes;
    if (this.#grownBytes < this.limitBytes / TALLY_PART) return;
    this.#grownBytes = 0;
    this.onTally();
  }

  setOver(isOver: boolean): void {
    if (isOver === this.isOver) return;
    this.isOver = isOver;
    this.onChange(isOver);
  }
}
