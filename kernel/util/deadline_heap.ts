// The one heap of deadlines: blocked tasks, timers, timerfds. A binary heap over objects that know their own place, so
// that removal costs log n and nothing is allocated. Times are absolute monotonic nanoseconds.

/** An object that is called when its time has come. It is in the heap at most once. */
export interface Deadlined {
  /** When; must not change while deadlineIndex >= 0. */
  deadline: number;
  /** Place in the heap, -1 when not in it. Written by the heap alone. */
  deadlineIndex: number;
  /** Called once it has been taken out of the heap. May add itself again. */
  onDeadline(now: number): void;
  /** The Task that an error thrown there kills; without one it is logged alone. */
  taskConcerned?(): unknown;
}

/** Items told in one turn of the loop. */
const TOLD_MAX = 512;

export class DeadlineHeap {
  readonly #items: Deadlined[] = [];
  /** The item whose onDeadline() runs, or ran last. */
  #current: Deadlined | null = null;
  readonly name = "deadlines";
  /** LoopService: an item that throws has been taken out before, so the heap goes on without it. */
  readonly isVital = true;

  /** Earliest deadline, or Infinity. */
  pollAt(): number {
    return this.#items.length === 0 ? Infinity : this.#items[0].deadline;
  }

  /** The Task for which poll() was at work when it threw. */
  taskConcerned(): unknown {
    return this.#current?.taskConcerned?.() ?? null;
  }

  add(item: Deadlined): void {
    if (item.deadlineIndex >= 0) throw new Error("Deadline is already in the heap");
    this.#items.push(item);
    this.#up(this.#items.length - 1, item);
  }

  /** Takes `item` out if it is in. */
  remove(item: Deadlined): void {
    const index = item.deadlineIndex;
    if (index < 0) return;
    item.deadlineIndex = -1;
    const last = this.#items.pop()!;
    if (last === item) return;
    this.#up(index, last);
    this.#down(last.deadlineIndex, last);
  }

  /** Tells the items whose deadline is not after `now`. Those added meanwhile for a time that has passed wait a turn. */
  poll(now: number): void {
    for (let turns = Math.min(TOLD_MAX, this.#items.length); turns > 0 && this.#items.length > 0; turns--) {
      const item = this.#items[0];
      if (item.deadline > now) return;
      this.remove(item);
      this.#current = item;
      item.onDeadline(now);
    }
  }

  #up(index: number, item: Deadlined): void {
    const items = this.#items;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (items[parent].deadline <= item.deadline) break;
      items[index] = items[parent];
      items[index].deadlineIndex = index;
      index = parent;
    }
    items[index] = item;
    item.deadlineIndex = index;
  }

  #down(index: number, item: Deadlined): void {
    const items = this.#items;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1].deadline < items[child].deadline) child++;
      if (items[child].deadline >= item.deadline) break;
      items[index] = items[child];
      items[index].deadlineIndex = index;
      index = child;
    }
    items[index] = item;
    item.deadlineIndex = index;
  }
}
