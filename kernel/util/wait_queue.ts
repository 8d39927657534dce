// Wait queues: those to be notified when an object becomes ready. Linux: wait_queue_head_t and its poll callbacks.
// A queue belongs to the object (pipe, socket, futex, process); a waiter belongs to the side that waits (a blocked task,
// an epoll item). Adding, removing and notifying allocate nothing.

/** Told by a queue that an event in the waiter's mask has happened. It must not block; it may remove waiters. */
export interface WaitListener {
  onReady(waiter: Waiter, events: number): void;
}

/** One membership in one queue. Reusable after it was removed. */
export class Waiter {
  readonly listener: WaitListener;
  /** Poll events (POLLIN ...) this waiter wants; POLLERR and POLLHUP are always delivered. */
  mask = 0;
  /** The queue it is in, or null. */
  queue: WaitQueue | null = null;
  /** notify() calls exclusive waiters one after the other and stops at the first that takes the event (WQ_FLAG_EXCLUSIVE). */
  isExclusive = false;
  /** Set by an exclusive waiter's listener in onReady: it has use for the event. */
  hasTaken = false;
  /** Listener's own number for this waiter (an fd, an index). */
  key = 0;
  next: Waiter | null = null;
  previous: Waiter | null = null;

  constructor(listener: WaitListener) {
    this.listener = listener;
  }
}

const ALWAYS = 0x18; // POLLERR | POLLHUP

export class WaitQueue {
  #first: Waiter | null = null;
  #last: Waiter | null = null;

  get isEmpty(): boolean {
    return this.#first === null;
  }

  /** The waiter that was added first. */
  get first(): Waiter | null {
    return this.#first;
  }

  /** Adds `waiter` at the end; it must not be in a queue. */
  add(waiter: Waiter, mask: number): void {
    waiter.mask = mask;
    waiter.queue = this;
    waiter.previous = this.#last;
    waiter.next = null;
    if (this.#last === null) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
  }

  /** Removes `waiter` if it is in this queue. */
  remove(waiter: Waiter): void {
    if (waiter.queue !== this) return;
    if (waiter.previous === null) this.#first = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === null) this.#last = waiter.previous;
    else waiter.next.previous = waiter.previous;
    waiter.queue = null;
    waiter.next = null;
    waiter.previous = null;
  }

  /** Tells every waiter whose mask meets `events`. A listener may remove itself or others while this runs. */
  notify(events: number): void {
    let waiter = this.#first;
    let isTaken = false;
    while (waiter !== null) {
      const next: Waiter | null = waiter.next;
      if ((events & (waiter.mask | ALWAYS)) !== 0 && !(waiter.isExclusive && isTaken)) {
        waiter.hasTaken = false;
        waiter.listener.onReady(waiter, events);
        isTaken = isTaken || waiter.isExclusive && waiter.hasTaken;
      }
      // A listener that removed `next` leaves it in no queue: start again from the front, as the rest is unknown.
      waiter = next !== null && next.queue !== this ? this.#first : next;
    }
  }

  /** Tells at most `count` waiters, first come first served; gives back how many were told. */
  notifySome(events: number, count: number): number {
    let told = 0;
    let waiter = this.#first;
    while (waiter !== null && told < count) {
      const next: Waiter | null = waiter.next;
      if ((events & (waiter.mask | ALWAYS)) !== 0) {
        waiter.listener.onReady(waiter, events);
        told++;
      }
      waiter = next !== null && next.queue !== this ? this.#first : next;
    }
    return told;
  }
}
