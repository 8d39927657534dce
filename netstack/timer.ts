// Timers of the stack: a binary heap over objects that know their own place. A timer that is moved later or stopped keeps
// its place until it comes up, as most timers of TCP are moved with every segment and never fire.

/** Absolute monotonic nanoseconds; never. */
export const NEVER = Infinity;

/** What a timer calls. `kind` is the owner's own number for which of its timers came up. */
export interface TimerOwner {
  onTimer(kind: number, now: number): void;
}

export class Timer {
  readonly owner: TimerOwner;
  readonly kind: number;
  /** When it fires, NEVER while it is stopped. Written by TimerQueue alone. */
  at = NEVER;
  /** Its key in the heap, at most `at`; meaningful while index >= 0. */
  heapAt = NEVER;
  index = -1;

  constructor(owner: TimerOwner, kind: number) {
    this.owner = owner;
    this.kind = kind;
  }

  get isSet(): boolean {
    return this.at !== NEVER;
  }
}

export class TimerQueue {
  readonly #heap: Timer[] = [];

  /** Number of entries, stopped ones that have not come up included. */
  get size(): number {
    return this.#heap.length;
  }

  /** Not later than the next timer; it may be earlier than it when that one was moved. */
  get next(): number {
    const heap = this.#heap;
    while (heap.length > 0 && heap[0].at > heap[0].heapAt) this.#settle(heap[0]);
    return heap.length === 0 ? NEVER : heap[0].at;
  }

  /** Sets or moves `timer`. */
  set(timer: Timer, at: number): void {
    timer.at = at;
    if (timer.index >= 0) {
      if (at >= timer.heapAt) return;
      timer.heapAt = at;
      this.#up(timer.index, timer);
      return;
    }
    if (at === NEVER) return;
    timer.heapAt = at;
    this.#heap.push(timer);
    this.#up(this.#heap.length - 1, timer);
  }

  /** Stops `timer`; it may be set again. */
  stop(timer: Timer): void {
    timer.at = NEVER;
  }

  /** Stops `timer` and forgets it at once: its owner goes away. */
  remove(timer: Timer): void {
    timer.at = NEVER;
    if (timer.index >= 0) this.#take(timer.index);
  }

  /** Fires what is due at `now`. Timers set meanwhile for a time that has passed wait for the next call. */
  expire(now: number): void {
    const heap = this.#heap;
    for (let budget = heap.length; budget > 0 && heap.length > 0; budget--) {
      const timer = heap[0];
      if (timer.heapAt > now) return;
      if (timer.at > now) {
        this.#settle(timer);
        continue;
      }
      this.#take(0);
      timer.at = NEVER;
      timer.owner.onTimer(timer.kind, now);
    }
  }

  /** The front entry's timer was moved or stopped: puts it where it belongs. */
  #settle(timer: Timer): void {
    if (timer.at === NEVER) {
      this.#take(timer.index);
      return;
    }
    timer.heapAt = timer.at;
    this.#down(timer.index, timer);
  }

  #take(index: number): void {
    const heap = this.#heap;
    heap[index].index = -1;
    const last = heap.pop()!;
    if (index >= heap.length) return;
    this.#up(index, last);
    this.#down(last.index, last);
  }

  #up(index: number, timer: Timer): void {
    const heap = this.#heap;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent].heapAt <= timer.heapAt) break;
      heap[index] = heap[parent];
      heap[index].index = index;
      index = parent;
    }
    heap[index] = timer;
    timer.index = index;
  }

  #down(index: number, timer: Timer): void {
    const heap = this.#heap;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].heapAt < heap[child].heapAt) child++;
      if (heap[child].heapAt >= timer.heapAt) break;
      heap[index] = heap[child];
      heap[index].index = index;
      index = child;
    }
    heap[index] = timer;
    timer.index = index;
  }
}
