// Futexes with an owner: FUTEX_LOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI of futex(2). Linux: kernel/futex/pi.c. The word
// holds the owner's tid and FUTEX_WAITERS; the kernel hands ownership from the one who unlocks (or dies) to who waited
// longest.
// Linux: priorities are not inherited, as the host schedules; waiters are served in the order they came.

import { EAGAIN, EDEADLK, EINVAL, EPERM, ERESTARTNOINTR, ESRCH, ETIMEDOUT } from "../abi/errno.ts";
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS } from "../abi/task.ts";
import { BLOCKED, type Continuation, continuation } from "./call_in_flight.ts";
import {
  FutexPlace,
  type FutexQueue,
  leaveQueues,
  locate,
  setOwner,
  waiterOf,
  wakeWaiter,
} from "./futex_queue.ts";
import { EXCHANGE_TRIES_MAX, exchangeWord, readWord } from "./futex_word.ts";
import type { Task } from "./task.ts";
import { suspendThen } from "./wait_engine.ts";
import type { WaitState } from "./wait_state.ts";

const LOCK: WaitState = { kind: "futex lock" };
const GO_ON = continuation("futex lock", continueLock);

export const FUTEX_LOCK_CONTINUATIONS: readonly Continuation[] = [GO_ON];

const place = new FutexPlace();

/** Longest chain of owners that wait for owners we follow to find a deadlock. */
const CHAIN_MAX = 1024;

/** FUTEX_LOCK_PI, and with `isTry` FUTEX_TRYLOCK_PI. */
export function futexLockPi(
  task: Task,
  address: number,
  isPrivate: boolean,
  deadline: number,
  isTry: boolean,
): number {
  const located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  const taken = takeFor(task, task, address, place, isTry);
  if (taken <= 0) return taken;
  const waiter = waiterOf(task, 0);
  waiter.isPi = true;
  waiter.bitset = 0xffff_ffff;
  place.openQueue(task.kernel.futexes).add(waiter);
  task.call.setDeadline(deadline);
  return sleep(task);
}

/**
 * Takes the lock at `address`, which is `place`, for `who`: 0 when it is theirs, 1 when they have to wait (its queue has its owner), -ERRNO. `task`
 * is in the call, and the address its own.
 */
export function takeFor(
  task: Task,
  who: Task,
  address: number,
  place: FutexPlace,
  isTry = false,
): number {
  const tid = who.pid.own;
  for (let tries = 0; tries < EXCHANGE_TRIES_MAX; tries++) {
    const word = readWord(task, address);
    if (word < 0) return word;
    const owner = word & FUTEX_TID_MASK;
    if (owner === tid) return -EDEADLK;
    const queue = place.queue();
    if (queue !== null && queue.first !== null && !queue.first.isPi) return -EINVAL;
    if (owner === 0 && queue === null) {
      const done = exchangeWord(task, address, word, (word & FUTEX_OWNER_DIED | tid) >>> 0);
      if (done < 0) return done;
      if (done === 1) return 0;
      continue;
    }
    if (isTry) return -EAGAIN;
    const ownerTask = queue === null ? task.pid.namespace.task(owner) : queue.owner;
    if (ownerTask === null || ownerTask.hasExited) return -ESRCH;
    if (isDeadlock(who, ownerTask)) return -EDEADLK;
    if ((word & FUTEX_WAITERS) === 0) {
      const done = exchangeWord(task, address, word, (word | FUTEX_WAITERS) >>> 0);
      if (done < 0) return done;
      if (done === 0) continue;
    }
    const opened = place.openQueue(task.kernel.futexes);
    opened.address = address;
    setOwner(opened, ownerTask);
    return 1;
  }
  return -EAGAIN;
}

/** The owner waits, directly or through others, for a lock that `task` owns. */
function isDeadlock(task: Task, owner: Task): boolean {
  let at: Task | null = owner;
  for (let steps = 0; at !== null && steps < CHAIN_MAX; steps++) {
    if (at === task) return true;
    const waiter: FutexQueue | null = at.futexWaiters.length === 0 ? null : at.futexWaiters[0].queue;
    at = waiter === null ? null : waiter.owner;
  }
  return false;
}

function sleep(task: Task): number {
  const result = suspendThen(task, LOCK, GO_ON, -ERESTARTNOINTR);
  if (result !== BLOCKED) leaveQueues(task);
  return result;
}

function continueLock(task: Task): number {
  if (task.futexWaiters[0].queue === null) return 0;
  if (!task.call.isTimedOut) return sleep(task);
  leaveQueues(task);
  return -ETIMEDOUT;
}

/** FUTEX_UNLOCK_PI. */
export function futexUnlockPi(task: Task, address: number, isPrivate: boolean): number {
  const located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  for (let tries = 0; tries < EXCHANGE_TRIES_MAX; tries++) {
    const word = readWord(task, address);
    if (word < 0) return word;
    if ((word & FUTEX_TID_MASK) !== task.pid.own) return -EPERM;
    const queue = place.queue();
    if (queue !== null && queue.first !== null && !queue.first.isPi) return -EINVAL;
    const next = queue === null ? 0 : (queue.first!.task.pid.own | FUTEX_WAITERS) >>> 0;
    const done = exchangeWord(task, address, word, next);
    if (done < 0) return done;
    if (done === 0) continue;
    if (queue !== null) giveTo(queue);
    return 0;
  }
  return -EAGAIN;
}

/** The first waiter is the owner from now on, and goes on. */
function giveTo(queue: FutexQueue): void {
  const waiter = queue.first!;
  setOwner(queue, waiter.task);
  wakeWaiter(queue, waiter);
}

/** `task` exits: locks it still owns and others wait for go to them, marked FUTEX_OWNER_DIED. exit_pi_state_list(). */
export function releaseOwnedLocks(task: Task): void {
  const queues = task.ownedFutexes;
  if (queues === null) return;
  for (const queue of [...queues]) {
    const waiter = queue.first;
    if (waiter === null) continue;
    const next = (waiter.task.pid.own | FUTEX_WAITERS | FUTEX_OWNER_DIED) >>> 0;
    for (let tries = 0; tries < EXCHANGE_TRIES_MAX; tries++) {
      const word = readWord(task, queue.address);
      if (word < 0 || exchangeWord(task, queue.address, word, next) !== 0) break;
    }
    giveTo(queue);
  }
}
