// Memory of the whole sandbox against its limit. What a process may promise itself is checked at each mapping (limits.ts);
// what all processes together really use only the host knows. So promises are added up here now and then, and while their
// sum is above the limit somebody outside measures (boot), and the kernel ends a process when the use is too (task/
// memory_pressure.ts). Linux peers: the memory controller of cgroups, mm/oom_kill.c.

/** A new sum is made when this part of the limit has been promised since the last. */
const TALLY_PART = 16;

export class MemoryPressure {
  /** `update` changes it. */
  limitBytes: number;
  /** Promised since the last sum; what is given back does not count. */
  #grownBytes = 0;
  /** Somebody measures: the promises are above the limit. Changed by setOver() alone. */
  isOver = false;
  /** Told when isOver changes; set by boot. */
  onChange: (isOver: boolean) => void = () => {};
  /** Makes the sum; set with the kernel's list of tasks. */
  onTally: () => void = () => {};

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** `bytes` more are promised to some process. */
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
