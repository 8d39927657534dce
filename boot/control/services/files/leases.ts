// What clients of Fs.* keep between their calls: a directory that is being read, a watch. No message reports that a client has disconnected
// while none of its calls is on the way, so what is not asked for in a minute ends.

import type { Kernel } from "../../../../kernel/kernel.ts";
import type { Deadlined } from "../../../../kernel/util/deadline_heap.ts";

/** Of one sandbox. */
const LEASES_MAX = 256;
const IDLE_NANOS_MAX = 60e9;
const NUMBER_MAX = 0x7fff_ffff;

/** Something that is kept for a client; end() is called once. */
export interface Leased {
  /** The container that it is of: another's client cannot name it. */
  readonly containerId: string;
  end(): void;
}

export class Leases {
  readonly #kernel: Kernel;
  readonly #items = new Map<number, Lease>();
  #last = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Its number, which is never 0; null where there are too many, and it is not kept. */
  add(leased: Leased): number | null {
    if (this.#items.size >= LEASES_MAX) return null;
    do this.#last = this.#last % NUMBER_MAX + 1; while (this.#items.has(this.#last));
    const number = this.#last;
    const lease = new Lease(leased, () => this.end(number));
    this.#items.set(number, lease);
    this.release(number);
    return number;
  }

  /** What `number` of a container is; null where it is nothing (any more). It stays until release(). */
  take(containerId: string, number: number): Leased | null {
    const lease = this.#items.get(number);
    if (lease === undefined || lease.leased.containerId !== containerId) return null;
    this.#kernel.deadlines.remove(lease);
    return lease.leased;
  }

  /** No call uses it: its minute begins. */
  release(number: number): void {
    const lease = this.#items.get(number);
    if (lease === undefined) return;
    this.#kernel.deadlines.remove(lease);
    lease.deadline = this.#kernel.clock.monotonic() + IDLE_NANOS_MAX;
    this.#kernel.deadlines.add(lease);
  }

  end(number: number): void {
    const lease = this.#items.get(number);
    if (lease === undefined) return;
    this.#items.delete(number);
    this.#kernel.deadlines.remove(lease);
    lease.leased.end();
  }

  /** The sandbox ends. */
  endAll(): void {
    for (const number of [...this.#items.keys()]) this.end(number);
  }
}

class Lease implements Deadlined {
  deadline = 0;
  deadlineIndex = -1;
  readonly leased: Leased;
  readonly onDeadline: () => void;

  constructor(leased: Leased, onDeadline: () => void) {
    this.leased = leased;
    this.onDeadline = onDeadline;
  }
}
