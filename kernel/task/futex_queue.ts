// Who waits for which futex. Linux: futex_hash_bucket, futex_q, futex_key. A futex is known by the memory map and its
// address, or, in shared memory, by the memory object and the offset in it. Queues exist while somebody waits; they and
// their waiters are reused, so that a wait allocates nothing.

import { EFAULT, EINVAL } from "../abi/errno.ts";
import { PROT_READ } from "../abi/memory.ts";
import { USER_ADDRESS_END } from "../../platform/platform.ts";
import type { Task } from "./task.ts";

/** One wait of one task for one futex. */
export class FutexWaiter {
  readonly task: Task;
  /** The queue it stands in; null = nobody waits with it, or it has been woken. */
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

type FutexTable = Map<number, FutexQueue>;

/** What a futex is known by. */
export interface FutexPlace {
  readonly table: unknown;
  readonly key: number;
}

export class FutexQueue {
  first: FutexWaiter | null = null;
  last: FutexWaiter | null = null;
  /** PI: the task that owns the lock while others wait. */
  owner: Task | null = null;
  /** Address of a PI futex in the owner's memory; shared ones stand at the same offset elsewhere. */
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
    if (spareQueues.length < SPARE_QUEUES_MAX) spareQueues.push(this);
  }
}

/** Queues kept for reuse. */
const SPARE_QUEUES_MAX = 64;
const spareQueues: FutexQueue[] = [];

/** By memory map, or by shared memory object. */
const tables = new WeakMap<object, FutexTable>();
/** PI queues by their owner, for its exit. */
const owned = new WeakMap<Task, Set<FutexQueue>>();

/** Result of locate(): the table the futex is in, and its key there. */
let table: FutexTable;
let key = 0;

/** Finds where the futex at `address` belongs: 0, -EINVAL when it is misaligned, -EFAULT when nothing is mapped there. */
export function locate(task: Task, address: number, isPrivate: boolean): number {
  if (address % 4 !== 0) return -EINVAL;
  if (address + 4 > USER_ADDRESS_END) return -EFAULT;
  let object: object = task.mm;
  key = address;
  if (!isPrivate) {
    if (task.mm.checkRange(address, 4, PROT_READ) < 0) return -EFAULT;
    const shared = task.mm.futexObject(address);
    if (shared !== null) {
      object = shared.object as object;
      key = shared.offset;
    } else {
      // Who says private and who does not never meet, as on Linux (FUT_OFF_MMSHARED).
      key = address + 1;
    }
  }
  let found = tables.get(object);
  if (found === undefined) {
    found = new Map();
    tables.set(object, found);
  }
  table = found;
  return 0;
}

/** Where the located futex belongs. */
export function locatedPlace(): FutexPlace {
  return { table, key };
}

/** The queue of the located futex, or null when nobody waits. */
export function locatedQueue(): FutexQueue | null {
  return table.get(key) ?? null;
}

/** The queue of the located futex, made if nobody waits yet. */
export function openLocatedQueue(): FutexQueue {
  let queue = table.get(key);
  if (queue === undefined) {
    queue = spareQueues.pop() ?? new FutexQueue();
    queue.open(table, key);
  }
  return queue;
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
  if (queue.owner !== null) owned.get(queue.owner)?.delete(queue);
  queue.owner = owner;
  if (owner === null) return;
  const queues = owned.get(owner);
  if (queues === undefined) owned.set(owner, new Set([queue]));
  else queues.add(queue);
}

/** PI queues that `task` owns. */
export function ownedQueues(task: Task): ReadonlySet<FutexQueue> | undefined {
  return owned.get(task);
}
