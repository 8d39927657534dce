// Which tasks wait for which futex. Linux: futex_hash_bucket, futex_q, futex_key. A futex is known by the memory map and its
// address, or, in shared memory, by the memory object and the offset in it. Queues exist while somebody waits; they and
// their waiters are reused, so that a wait allocates nothing.

import { EFAULT, EINVAL } from "../abi/errno.ts";
import { PROT_READ } from "../abi/memory.ts";
import type { Task } from "./task.ts";

/** One wait of one task for one futex. */
export class FutexWaiter {
  readonly task: Task;
  /** The queue it is in; null = it is not in use, or it has been woken. */
  queue: FutexQueue | null = null;
  next: FutexWaiter | null = null;
  previous: FutexWaiter | null = null;
  /** FUTEX_WAIT_BITSET: which wakes it hears. */
  bitset = 0;
  /** It waits for the ownership of a PI futex. */
  isPi = false;
  /** FUTEX_WAIT_REQUEUE_PI: the lock it waits to be moved to; null once it has been. */
  target: FutexPlace | null = null;

  constructor(task: Task) {
    this.task = task;
  }
}

export type FutexTable = Map<number, FutexQueue>;

/** Where futexes lie: a memory map, or in shared memory the inode or the memory object. */
export interface FutexHome {
  /** Its queues by address or offset; null until somebody waits. */
  futexes: FutexTable | null;
}

/** What a futex is known by; filled by locate(). */
export class FutexPlace {
  home: FutexHome | null = null;
  key = 0;

  equals(other: FutexPlace): boolean {
    return this.home === other.home && this.key === other.key;
  }

  /** The queue of this futex, or null when nobody waits. */
  queue(): FutexQueue | null {
    return this.home!.futexes?.get(this.key) ?? null;
  }

  /** The queue of this futex, made if nobody waits yet. */
  openQueue(room: FutexRoom): FutexQueue {
    const table = this.home!.futexes ??= new Map();
    let queue = table.get(this.key);
    if (queue === undefined) {
      queue = room.spareQueues.pop() ?? new FutexQueue();
      queue.open(table, this.key);
    }
    return queue;
  }
}

/** What futexes of one kernel share: kernel.futexes. */
export class FutexRoom {
  /** How many calls or exits have changed a word or woken waiters: see compareSharedWord(). */
  changes = 0;
  /** Queues kept for reuse. */
  readonly spareQueues: FutexQueue[] = [];
}

/** Most queues kept for reuse. */
const SPARE_QUEUES_MAX = 64;

export class FutexQueue {
  first: FutexWaiter | null = null;
  last: FutexWaiter | null = null;
  /** PI: the task that owns the lock while others wait. */
  owner: Task | null = null;
  /** Address of a PI futex in the owner's memory; in other processes shared memory may have other addresses. */
  address = 0;
  #table: FutexTable | null = null;
  #key = 0;

  /** What its futex is known by in its table. */
  get key(): number {
    return this.#key;
  }

  /** Enters the queue into its table. */
  open(table: FutexTable, key: number): void {
    this.#table = table;
    this.#key = key;
    table.set(key, this);
  }

  add(waiter: FutexWaiter): void {
    waiter.queue = this;
    waiter.next = null;
    waiter.previous = this.last;
    if (this.last === null) this.first = waiter;
    else this.last.next = waiter;
    this.last = waiter;
  }

  /** Takes `waiter` out; an empty queue leaves its table. */
  remove(waiter: FutexWaiter): void {
    if (waiter.previous === null) this.first = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === null) this.last = waiter.previous;
    else waiter.next.previous = waiter.previous;
    waiter.queue = null;
    waiter.next = null;
    waiter.previous = null;
    if (this.first !== null) return;
    this.#table!.delete(this.#key);
    this.#table = null;
    setOwner(this, null);
    const { spareQueues } = waiter.task.kernel.futexes;
    if (spareQueues.length < SPARE_QUEUES_MAX) spareQueues.push(this);
  }
}

/** Finds where the futex at `address` belongs: 0, -EINVAL when it is misaligned, -EFAULT when nothing is mapped there. */
export function locate(task: Task, address: number, isPrivate: boolean, into: FutexPlace): number {
  if (address % 4 !== 0) return -EINVAL;
  if (address + 4 > task.mm.layout.end) return -EFAULT;
  into.home = task.mm;
  into.key = address;
  if (isPrivate) return 0;
  if (task.mm.checkRange(address, 4, PROT_READ) < 0) return -EFAULT;
  const shared = task.mm.futexObject(address);
  if (shared !== null) {
    into.home = shared.home;
    into.key = shared.offset;
  } else {
    // Who says private and who does not never meet, as on Linux (FUT_OFF_MMSHARED).
    into.key = address + 1;
  }
  return 0;
}

/** Waiter number `index` of a task, to be used for one wait. */
export function waiterOf(task: Task, index: number): FutexWaiter {
  let waiter = task.futexWaiters[index];
  if (waiter === undefined) {
    waiter = new FutexWaiter(task);
    task.futexWaiters[index] = waiter;
  }
  return waiter;
}

/** Nobody is to wake `task` any more. */
export function leaveQueues(task: Task): void {
  for (const waiter of task.futexWaiters) waiter.queue?.remove(waiter);
}

/** Wakes up to `count` waiters (at least one, as Linux) whose bitset meets `bitset`; how many. -EINVAL for PI waiters. */
export function wakeQueue(queue: FutexQueue | null, count: number, bitset: number): number {
  if (queue === null) return 0;
  let woken = 0;
  for (let waiter = queue.first; waiter !== null;) {
    const next: FutexWaiter | null = waiter.next;
    if (waiter.isPi) return -EINVAL;
    if ((waiter.bitset & bitset) !== 0) {
      wakeWaiter(queue, waiter);
      if (++woken >= count) return woken;
    }
    waiter = next;
  }
  return woken;
}

/** Takes `waiter` out of its queue; its task goes on. */
export function wakeWaiter(queue: FutexQueue, waiter: FutexWaiter): void {
  queue.remove(waiter);
  waiter.task.call.wake();
}

/** Sets who owns a PI futex others wait for. */
export function setOwner(queue: FutexQueue, owner: Task | null): void {
  if (queue.owner === owner) return;
  queue.owner?.ownedFutexes?.delete(queue);
  queue.owner = owner;
  if (owner !== null) (owner.ownedFutexes ??= new Set()).add(queue);
}
