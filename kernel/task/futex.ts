// Waiting on and waking a word of memory: futex(2) without priority inheritance. Linux: kernel/futex/waitwake.c,
// requeue.c. The PI operations are in futex_pi.ts; futex_exit.ts releases what an exiting task holds.

import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOSYS,
  ERESTART_RESTARTBLOCK,
  ERESTARTSYS,
  ETIMEDOUT,
} from "../abi/errno.ts";
import {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_OP_ADD,
  FUTEX_OP_ANDN,
  FUTEX_OP_CMP_EQ,
  FUTEX_OP_CMP_GE,
  FUTEX_OP_CMP_GT,
  FUTEX_OP_CMP_LE,
  FUTEX_OP_CMP_LT,
  FUTEX_OP_CMP_NE,
  FUTEX_OP_OPARG_SHIFT,
  FUTEX_OP_OR,
  FUTEX_OP_SET,
  FUTEX_OP_XOR,
} from "../abi/task.ts";
import { u32, u64 } from "../abi/struct.ts";
import { assert } from "../util/assert.ts";
import type { Args } from "../syscalls/args.ts";
import { FutexPlace, leaveQueues, locate, waiterOf, wakeQueue } from "./futex_queue.ts";
import { compareSharedWord, compareWord, EXCHANGE_TRIES_MAX, exchangeWord, readWord } from "./futex_word.ts";
import { BLOCKED, type Continuation, continuation, NO_RESULT } from "./call_in_flight.ts";
import type { Task } from "./task.ts";
import { suspendThen } from "./wait_engine.ts";
import type { WaitState } from "./wait_state.ts";

const WAIT: WaitState = { kind: "futex" };
const GO_ON = continuation("futex", continueWait);
const GO_ON_MANY = continuation("futex vector", continueMany);
/** restart_syscall(2). */
const RESTART = continuation("futex restart", restartWait);

export const FUTEX_CONTINUATIONS: readonly Continuation[] = [GO_ON, GO_ON_MANY, RESTART];

/** The futexes of the call being served. */
const place = new FutexPlace();
const other = new FutexPlace();

/** FUTEX_WAIT, FUTEX_WAIT_BITSET. `deadline` is absolute monotonic nanoseconds, Infinity = none. */
export function futexWait(
  task: Task,
  address: number,
  isPrivate: boolean,
  value: number,
  bitset: number,
  deadline: number,
): number {
  if (bitset === 0) return -EINVAL;
  if (isPrivate && task.hasHostFutex) return waitOnHost(task, address, value, bitset, deadline);
  const located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  const differs = isPrivate ? compareWord(task, address, value) : compareSharedWord(task, address, value);
  if (differs < 0) return differs;
  const waiter = waiterOf(task, 0);
  waiter.bitset = bitset;
  waiter.isPi = false;
  place.openQueue(task.kernel.futexes).add(waiter);
  task.call.setDeadline(deadline);
  return sleep(task);
}

/** Blocks, unless a signal ends the wait first. */
function sleep(task: Task): number {
  const { deadline } = task.call;
  const isTimed = deadline !== Infinity;
  const result = suspendThen(task, WAIT, GO_ON, isTimed ? -ERESTART_RESTARTBLOCK : -ERESTARTSYS);
  if (result === BLOCKED) return result;
  leaveQueues(task);
  if (isTimed) task.setRestart(RESTART, deadline);
  return result;
}

/** The host waits. With a signal pending there is nothing to wait for, and the word decides between the two answers. */
function waitOnHost(task: Task, address: number, value: number, bitset: number, deadline: number): number {
  if (address + 4 > task.mm.layout.end) return -EFAULT;
  if (deadline !== Infinity) task.setRestart(RESTART, deadline);
  const interrupted = deadline === Infinity ? -ERESTARTSYS : -ERESTART_RESTARTBLOCK;
  if (task.signals.hasPending) {
    const differs = compareWord(task, address, value);
    return differs < 0 ? differs : interrupted;
  }
  task.hostWait = { address, value, bitset, deadline, interrupted };
  return NO_RESULT;
}

/** futex(2) as the guest has called it, by the host, where it keeps the queues of private futexes. */
function onHost(task: Task, address: number, address2: number): number {
  if (Math.max(address, address2) + 4 > task.mm.layout.end) return -EFAULT;
  return task.thread.hostFutex(task.args.words);
}

function continueWait(task: Task): number {
  if (task.futexWaiters[0].queue === null) return 0;
  if (!task.call.isTimedOut) return sleep(task);
  leaveQueues(task);
  return -ETIMEDOUT;
}

/** restart_syscall(2): the same wait up to the same instant. */
function restartWait(task: Task, args: Args): number {
  const bitset = (args.i32(1) & 0x7f) === 0 ? FUTEX_BITSET_MATCH_ANY : args.u32(5);
  return futexWait(task, args.word(0), (args.i32(1) & 0x80) !== 0, args.u32(2), bitset, task.restartValue);
}

/** FUTEX_WAKE, FUTEX_WAKE_BITSET. How many were woken. */
export function futexWake(
  task: Task,
  address: number,
  isPrivate: boolean,
  count: number,
  bitset: number,
): number {
  if (bitset === 0) return -EINVAL;
  const located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  const woken = wakeQueue(place.queue(), count, bitset);
  if (!isPrivate || !task.hasHostFutex || woken < 0 || (woken > 0 && woken >= count)) return woken;
  const wokenOnHost = onHost(task, address, 0);
  return wokenOnHost < 0 ? wokenOnHost : woken + wokenOnHost;
}

/**
 * FUTEX_REQUEUE, FUTEX_CMP_REQUEUE: wakes `wakeCount` waiters of the first futex and moves up to `moveCount` of the rest to
 * the second. `expected` < 0 = no comparison. How many were woken or moved.
 */
export function futexRequeue(
  task: Task,
  address: number,
  isPrivate: boolean,
  wakeCount: number,
  moveCount: number,
  address2: number,
  expected: number,
): number {
  if (wakeCount < 0 || moveCount < 0) return -EINVAL;
  if (!isPrivate || !task.hasHostFutex) {
    return requeue(task, address, isPrivate, wakeCount, moveCount, address2, expected);
  }
  const done = task.mm.hasFutexWaiters
    ? requeue(task, address, isPrivate, wakeCount, moveCount, address2, expected)
    : 0;
  if (done < 0) return done;
  const doneOnHost = onHost(task, address, address2);
  return doneOnHost < 0 ? doneOnHost : done + doneOnHost;
}

function requeue(
  task: Task,
  address: number,
  isPrivate: boolean,
  wakeCount: number,
  moveCount: number,
  address2: number,
  expected: number,
): number {
  let located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  const from = place.queue();
  located = locate(task, address2, isPrivate, other);
  if (located < 0) return located;
  if (expected >= 0) {
    const differs = compareWord(task, address, expected);
    if (differs < 0) return differs;
  }
  if (from === null) return 0;
  const isSame = other.queue() === from;
  let done = 0;
  for (let waiter = from.first; waiter !== null && done - wakeCount < moveCount;) {
    const next = waiter.next;
    if (waiter.isPi) return done > 0 ? done : -EINVAL;
    if (++done <= wakeCount) {
      from.remove(waiter);
      waiter.task.call.wake();
    } else if (!isSame) {
      from.remove(waiter);
      other.openQueue(task.kernel.futexes).add(waiter);
    }
    waiter = next;
  }
  return done;
}

/** FUTEX_WAKE_OP: changes the second word, wakes waiters of the first, and of the second if its old value compares. */
export function futexWakeOp(
  task: Task,
  address: number,
  isPrivate: boolean,
  count: number,
  count2: number,
  address2: number,
  operation: number,
): number {
  if (isPrivate && task.hasHostFutex) return wakeOpOnHost(task, address, count, count2, address2);
  let located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  const first = place.queue();
  located = locate(task, address2, isPrivate, other);
  if (located < 0) return located;
  const old = changeWord(task, address2, operation);
  if (old < 0) return old;
  const holds = compares(old | 0, operation);
  if (holds < 0) return holds;
  const second = other.queue();
  const woken = wakeQueue(first, count, FUTEX_BITSET_MATCH_ANY);
  if (woken < 0 || holds === 0) return woken;
  const woken2 = wakeQueue(second, count2, FUTEX_BITSET_MATCH_ANY);
  return woken2 < 0 ? woken2 : woken + woken2;
}

/** What the old value was is the host's secret: the kernel's own waiters, of futex_waitv(2), are woken in either case. */
function wakeOpOnHost(task: Task, address: number, count: number, count2: number, address2: number): number {
  let woken = onHost(task, address, address2);
  if (woken < 0 || !task.mm.hasFutexWaiters) return woken;
  if (locate(task, address, true, place) === 0) {
    woken += Math.max(0, wakeQueue(place.queue(), count, FUTEX_BITSET_MATCH_ANY));
  }
  if (locate(task, address2, true, place) === 0) {
    woken += Math.max(0, wakeQueue(place.queue(), count2, FUTEX_BITSET_MATCH_ANY));
  }
  return woken;
}

/** Carries out the operation of FUTEX_WAKE_OP on a word; its old value, or -ERRNO. */
function changeWord(task: Task, address: number, operation: number): number {
  let argument = (operation & 0xfff000) << 8 >> 20;
  let kind = operation >>> 28;
  if ((kind & FUTEX_OP_OPARG_SHIFT) !== 0) {
    argument = 1 << (argument & 31);
    kind &= ~FUTEX_OP_OPARG_SHIFT;
  }
  for (let tries = 0; tries < EXCHANGE_TRIES_MAX; tries++) {
    const old = readWord(task, address);
    if (old < 0) return old;
    let next: number;
    if (kind === FUTEX_OP_SET) next = argument;
    else if (kind === FUTEX_OP_ADD) next = old + argument;
    else if (kind === FUTEX_OP_OR) next = old | argument;
    else if (kind === FUTEX_OP_ANDN) next = old & ~argument;
    else if (kind === FUTEX_OP_XOR) next = old ^ argument;
    else return -ENOSYS;
    const done = exchangeWord(task, address, old, next >>> 0);
    if (done < 0) return done;
    if (done === 1) return old;
  }
  return -EAGAIN;
}

/** 1 when the old value compares as the operation says, 0 when not, -ENOSYS for an unknown comparison. */
function compares(old: number, operation: number): number {
  const argument = (operation & 0xfff) << 20 >> 20;
  switch (operation >>> 24 & 0xf) {
    case FUTEX_OP_CMP_EQ:
      return Number(old === argument);
    case FUTEX_OP_CMP_NE:
      return Number(old !== argument);
    case FUTEX_OP_CMP_LT:
      return Number(old < argument);
    case FUTEX_OP_CMP_LE:
      return Number(old <= argument);
    case FUTEX_OP_CMP_GT:
      return Number(old > argument);
    case FUTEX_OP_CMP_GE:
      return Number(old >= argument);
    default:
      return -ENOSYS;
  }
}

/** Bytes of struct futex_waitv: val u64, uaddr u64, flags u32, reserved u32. */
export const WAITV_BYTES = 24;
const FUTEX2_SIZE_U32 = 2;
const FUTEX2_PRIVATE = 128;

/** futex_waitv(2): waits for any of `count` futexes described at `at`; the index of one that was woken. */
export function futexWaitMany(
  task: Task,
  bytes: Uint8Array,
  at: number,
  count: number,
  deadline: number,
): number {
  for (let i = 0; i < count; i++) {
    const entry = at + i * WAITV_BYTES;
    const flags = u32(bytes, entry + 16);
    if ((flags & ~(FUTEX2_SIZE_U32 | FUTEX2_PRIVATE)) !== 0 || (flags & 3) !== FUTEX2_SIZE_U32) {
      return -EINVAL;
    }
    if (u32(bytes, entry + 20) !== 0) return -EINVAL;
    if (u64(bytes, entry) > 0xffff_ffff) return -EINVAL;
  }
  for (let i = 0; i < count; i++) {
    const entry = at + i * WAITV_BYTES;
    const address = u64(bytes, entry + 8);
    const refused = joinQueue(
      task,
      i,
      address,
      u32(bytes, entry),
      (u32(bytes, entry + 16) & FUTEX2_PRIVATE) !== 0,
    );
    if (refused < 0) {
      leaveQueues(task);
      return refused;
    }
  }
  task.call.setDeadline(deadline);
  return sleepMany(task, { kind: "futex vector", count });
}

function joinQueue(task: Task, index: number, address: number, value: number, isPrivate: boolean): number {
  const located = locate(task, address, isPrivate, place);
  if (located < 0) return located;
  if (isPrivate && !task.mm.hasFutexWaiters && task.hasHostFutex) keepQueuesAsWell(task);
  const differs = compareWord(task, address, value);
  if (differs < 0) return differs;
  const waiter = waiterOf(task, index);
  waiter.bitset = FUTEX_BITSET_MATCH_ANY;
  waiter.isPi = false;
  place.openQueue(task.kernel.futexes).add(waiter);
  return 0;
}

/** From now on the kernel has waiters for private futexes beside the host's: nobody wakes any without asking. */
export function keepQueuesAsWell(task: Task): void {
  task.mm.hasFutexWaiters = true;
  for (const other of task.kernel.tasks.values()) if (other.mm === task.mm) other.decideHostFutex();
}

function sleepMany(task: Task, state: WaitState): number {
  const result = suspendThen(task, state, GO_ON_MANY, -ERESTARTSYS);
  if (result !== BLOCKED) leaveQueues(task);
  return result;
}

function continueMany(task: Task): number {
  const { state, isTimedOut } = task.call;
  assert(state.kind === "futex vector", "a wait for many futexes knows how many");
  let woken = -1;
  for (let i = 0; i < state.count; i++) {
    if (task.futexWaiters[i].queue === null) woken = i;
  }
  if (woken < 0 && !isTimedOut) return sleepMany(task, state);
  leaveQueues(task);
  return woken >= 0 ? woken : -ETIMEDOUT;
}
