// Condition variables over PI locks: FUTEX_WAIT_REQUEUE_PI waits on a plain futex for being moved to a lock,
// FUTEX_CMP_REQUEUE_PI moves the waiters there, and who gets the lock at once goes on. Linux: kernel/futex/requeue.c.

import { EAGAIN, EINVAL, ERESTARTNOINTR, ETIMEDOUT } from "../abi/errno.ts";
import { FUTEX_BITSET_MATCH_ANY } from "../abi/task.ts";
import { BLOCKED, type Continuation, continuation } from "./call_in_flight.ts";
import { keepQueuesAsWell } from "./futex.ts";
import { takeFor } from "./futex_pi.ts";
import { FutexPlace, type FutexQueue, leaveQueues, locate, waiterOf } from "./futex_queue.ts";
import { compareWord, readWord } from "./futex_word.ts";
import type { Task } from "./task.ts";
import { suspendThen } from "./wait_engine.ts";
import type { WaitState } from "./wait_state.ts";

const REQUEUE: WaitState = { kind: "futex requeue" };
const GO_ON = continuation("futex requeue", continueWait);

export const FUTEX_REQUEUE_CONTINUATIONS: readonly Continuation[] = [GO_ON];

/** The two futexes of the call being served. */
const place = new FutexPlace();
const lock = new FutexPlace();

/** FUTEX_WAIT_REQUEUE_PI: `address2` is the lock that the waiter is to have when the call has succeeded. */
export function futexWaitRequeuePi(
  task: Task,
  address: number,
  isPrivate: boolean,
  value: number,
  deadline: number,
  address2: number,
): number {
  if (address === address2) return -EINVAL;
  const target = new FutexPlace();
  let located = locate(task, address2, isPrivate, target);
  if (located < 0) return located;
  located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  if (isPrivate && task.hasHostFutex && !task.mm.hasFutexWaiters) keepQueuesAsWell(task);
  const differs = compareWord(task, address, value);
  if (differs < 0) return differs;
  if (place.equals(target)) return -EINVAL;
  const waiter = waiterOf(task, 0);
  waiter.isPi = true;
  waiter.bitset = FUTEX_BITSET_MATCH_ANY;
  waiter.target = target;
  place.openQueue(task.kernel.futexes).add(waiter);
  task.call.setDeadline(deadline);
  return sleep(task);
}

/** Once it has been moved the call cannot be made again: the condition it waited for has come. */
function sleep(task: Task): number {
  const waiter = task.futexWaiters[0];
  const code = waiter.target === null ? -EAGAIN : -ERESTARTNOINTR;
  const result = suspendThen(task, REQUEUE, GO_ON, code);
  if (result !== BLOCKED) leave(task);
  return result;
}

function continueWait(task: Task): number {
  const waiter = task.futexWaiters[0];
  if (waiter.queue === null) {
    waiter.target = null;
    return 0;
  }
  if (!task.call.isTimedOut) return sleep(task);
  leave(task);
  return -ETIMEDOUT;
}

function leave(task: Task): void {
  task.futexWaiters[0].target = null;
  leaveQueues(task);
}

/** FUTEX_CMP_REQUEUE_PI: one waiter gets the lock if it is free, up to `moveCount` more wait for it. How many in all. */
export function futexRequeuePi(
  task: Task,
  address: number,
  isPrivate: boolean,
  wakeCount: number,
  moveCount: number,
  address2: number,
  expected: number,
): number {
  if (wakeCount < 0 || moveCount < 0) return -EINVAL;
  if (address === address2 || wakeCount !== 1) return -EINVAL;
  let located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  located = locate(task, address2, isPrivate, lock);
  if (located < 0) return located;
  if (place.equals(lock)) return -EINVAL;
  const from = place.queue();
  const differs = compareWord(task, address, expected);
  if (differs < 0) return differs;
  if (from === null) {
    const word = readWord(task, address2);
    return word < 0 ? word : 0;
  }
  let done = 0;
  for (let waiter = from.first; waiter !== null && done < wakeCount + moveCount;) {
    const next = waiter.next;
    const goal = waiter.target;
    if (goal === null || !goal.equals(lock)) return done > 0 ? done : -EINVAL;
    const taken = takeFor(task, waiter.task, address2, lock);
    if (taken < 0) return done > 0 ? done : taken;
    move(from, waiter.task, taken === 1);
    done++;
    waiter = next;
  }
  return done;
}

/** The waiter of `task` gets the lock, or moves to the queue of the lock. */
function move(from: FutexQueue, task: Task, mustWait: boolean): void {
  const waiter = task.futexWaiters[0];
  waiter.target = null;
  from.remove(waiter);
  if (mustWait) lock.openQueue(task.kernel.futexes).add(waiter);
  else task.call.wake();
}
