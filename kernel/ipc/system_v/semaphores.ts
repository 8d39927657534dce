// System V semaphores: sets of counters; the operations of one call happen together or not at all. Linux: ipc/sem.c,
// semop(2). Changes made with SEM_UNDO are reverted when the process ends.

import { EAGAIN, EFBIG, ENOMEM, ERANGE } from "../../abi/errno.ts";
import { IPC_NOWAIT, SEM_UNDO, SEMBUF_BYTES } from "../../abi/ipc.ts";
import { POLLIN } from "../../abi/file.ts";
import { put64, u16, zero } from "../../abi/struct.ts";
import { SEMID, SEMID_BYTES } from "../../arch/layouts.ts";
import type { Pid } from "../../task/pid.ts";
import type { Task } from "../../task/task.ts";
import type { ThreadGroup } from "../../task/thread_group.ts";
import type { Budget } from "../../util/kernel_memory.ts";
import { WaitQueue } from "../../util/wait_queue.ts";
import { IpcObject } from "./ids.ts";

/** SEMVMX. */
export const VALUE_MAX = 32_767;
/** SEMAEM: bound of a process's undo value. */
const UNDO_MAX = VALUE_MAX;
/** Bytes that the account counts for a semaphore, and for an undo value of it. */
const SEMAPHORE_COST = 16, UNDO_COST = 4;
/** apply()'s result when the operations must wait. */
export const WOULD_WAIT = 1;

/** A task that waits in semop(2), and the operation it waits for. */
interface WaitingTask {
  readonly number: number;
  readonly isForZero: boolean;
}

export class SemaphoreSet extends IpcObject {
  readonly values: Int32Array;
  /** The process that changed each semaphore last: GETPID. */
  readonly #pids: (Pid | null)[];
  /** Notified when values change or the set is removed. */
  readonly queue = new WaitQueue();
  readonly #waiting = new Map<Task, WaitingTask>();
  /** Undo lists of processes that have changed it with SEM_UNDO (list_id of struct sem_array). */
  readonly undos = new Set<SemaphoreUndo>();
  readonly #heap: Budget;
  operationSeconds = 0;

  constructor(task: Task, key: number, count: number, flags: number) {
    super(task, key, flags);
    this.#heap = task.kernel.account.heap;
    this.values = new Int32Array(count);
    this.#pids = new Array(count).fill(null);
  }

  get count(): number {
    return this.values.length;
  }

  /** Accounts for a set of `count` before it is constructed; false without memory. */
  static takeMemory(heap: Budget, count: number): boolean {
    return heap.take(count * SEMAPHORE_COST);
  }
  override onRemove(): void {
    this.#heap.give(this.count * SEMAPHORE_COST);
  }

  lastPid(number: number): Pid | null {
    return this.#pids[number];
  }

  /**
   * Carries out `count` struct sembuf at `at`, all or none: 0, WOULD_WAIT, or -ERRNO. Records the operation that
   * would wait, for GETNCNT and GETZCNT.
   */
  apply(task: Task, bytes: Uint8Array, at: number, count: number): number {
    this.#waiting.delete(task);
    const values = this.values;
    let done = 0, result = 0, changes = false;
    for (; done < count; done++) {
      const one = at + done * SEMBUF_BYTES;
      const number = u16(bytes, one), operation = i16(bytes, one + 2), flags = i16(bytes, one + 4);
      if (number >= values.length) {
        result = -EFBIG;
        break;
      }
      const next = values[number] + operation;
      const mustWait = operation === 0 ? values[number] !== 0 : next < 0;
      if (mustWait) {
        result = (flags & IPC_NOWAIT) !== 0 ? -EAGAIN : WOULD_WAIT;
        if (result === WOULD_WAIT) this.#waiting.set(task, { number, isForZero: operation === 0 });
        break;
      }
      if ((flags & SEM_UNDO) !== 0 && this.#heap.isFull) {
        result = -ENOMEM;
        break;
      }
      if (next > VALUE_MAX || ((flags & SEM_UNDO) !== 0 && !this.#mayUndo(task, number, operation))) {
        result = -ERANGE;
        break;
      }
      values[number] = next;
      changes = changes || operation !== 0;
    }
    if (result !== 0) this.#takeBack(bytes, at, done);
    else this.#finish(task, bytes, at, count, changes);
    return result;
  }

  #takeBack(bytes: Uint8Array, at: number, count: number): void {
    for (let i = count - 1; i >= 0; i--) {
      this.values[u16(bytes, at + i * SEMBUF_BYTES)] -= i16(bytes, at + i * SEMBUF_BYTES + 2);
    }
  }

  #finish(task: Task, bytes: Uint8Array, at: number, count: number, changes: boolean): void {
    for (let i = 0; i < count; i++) {
      const one = at + i * SEMBUF_BYTES;
      const number = u16(bytes, one), operation = i16(bytes, one + 2);
      this.#pids[number] = task.threadGroup.pid;
      if (operation !== 0 && (i16(bytes, one + 4) & SEM_UNDO) !== 0) {
        undoOf(task.threadGroup).add(this, number, -operation);
      }
    }
    this.operationSeconds = task.kernel.clock.realtime();
    if (changes) this.queue.notify(POLLIN);
  }

  #mayUndo(task: Task, number: number, operation: number): boolean {
    const undo = undoOf(task.threadGroup).value(this, number) - operation;
    return undo >= -UNDO_MAX - 1 && undo <= UNDO_MAX;
  }

  /** SETVAL: clears all processes' undo values of the semaphore. */
  setValue(task: Task, number: number, value: number): void {
    this.values[number] = value;
    this.#pids[number] = task.threadGroup.pid;
    for (const undo of this.undos) undo.forget(this, number);
    this.changeSeconds = task.kernel.clock.realtime();
    this.queue.notify(POLLIN);
  }

  /** SETALL: sets each semaphore to its value among `values`, and clears all undo values. */
  setAll(task: Task, values: ArrayLike<number>): void {
    this.values.set(values);
    this.#pids.fill(task.threadGroup.pid);
    for (const undo of this.undos) undo.forgetAll(this);
    this.changeSeconds = task.kernel.clock.realtime();
    this.queue.notify(POLLIN);
  }

  /** A process with an undo value has ended. */
  undo(group: ThreadGroup, number: number, change: number): void {
    this.values[number] = Math.max(0, Math.min(VALUE_MAX, this.values[number] + change));
    this.#pids[number] = group.pid;
    this.operationSeconds = group.kernel.clock.realtime();
    this.queue.notify(POLLIN);
  }

  /** The number of tasks that wait for semaphore `number` to increase, or to become zero: GETNCNT, GETZCNT. */
  waiters(number: number, isForZero: boolean): number {
    let count = 0;
    for (const [task, what] of this.#waiting) {
      if (task.hasExited) this.#waiting.delete(task);
      else if (what.number === number && what.isForZero === isForZero) count++;
    }
    return count;
  }

  /** `task` no longer waits. */
  leave(task: Task): void {
    this.#waiting.delete(task);
  }

  /** Writes struct semid64_ds. */
  putStatus(_task: Task, into: Uint8Array, at: number): void {
    zero(into, at, SEMID_BYTES);
    this.putPermissions(into, at);
    put64(into, at + SEMID.operation, this.operationSeconds);
    put64(into, at + SEMID.change, this.changeSeconds);
    put64(into, at + SEMID.count, this.count);
  }
}

/** The changes to revert when a process ends: SEM_UNDO values by set. */
class SemaphoreUndo {
  readonly #group: ThreadGroup;
  readonly #changes = new Map<SemaphoreSet, Int32Array>();

  constructor(group: ThreadGroup) {
    this.#group = group;
  }

  value(set: SemaphoreSet, number: number): number {
    return this.#changes.get(set)?.[number] ?? 0;
  }
  add(set: SemaphoreSet, number: number, change: number): void {
    let changes = this.#changes.get(set);
    if (changes === undefined) {
      this.#changes.set(set, changes = new Int32Array(set.count));
      set.undos.add(this);
      this.#group.kernel.account.heap.force(set.count * UNDO_COST);
    }
    changes[number] += change;
  }
  forget(set: SemaphoreSet, number: number): void {
    const changes = this.#changes.get(set);
    if (changes !== undefined) changes[number] = 0;
  }

  forgetAll(set: SemaphoreSet): void {
    this.#changes.get(set)?.fill(0);
  }

  /** The process has ended: applies the undo values. */
  release(): void {
    const { heap } = this.#group.kernel.account;
    for (const [set, changes] of this.#changes) {
      set.undos.delete(this);
      heap.give(set.count * UNDO_COST);
      if (set.isRemoved) continue;
      changes.forEach((change, number) => {
        if (change !== 0) set.undo(this.#group, number, change);
      });
    }
  }
}

function undoOf(group: ThreadGroup): SemaphoreUndo {
  return (group.semaphoreUndo ??= new SemaphoreUndo(group)) as SemaphoreUndo;
}

function i16(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) << 16 >> 16;
}
