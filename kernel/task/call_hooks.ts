// Who wants to hear of system calls: strace, counters, and whatever else watches them. Every call of the table comes by
// here, also one that waits, that seccomp refuses, or that no table knows. With nobody listening a call costs the look at
// one byte. Linux: SYSCALL_WORK_SYSCALL_TRACE, trace_sys_enter(), trace_sys_exit().

import { SYSCALLS_MAX } from "../syscalls/table.ts";
import { assert } from "../util/assert.ts";
import type { Task } from "./task.ts";

/** Listeners at one time: a bit each in the byte of a number. */
const LISTENERS_MAX = 8;

export interface CallListener {
  /** `task` makes call task.call.number; its arguments are in task.args. */
  onEnter?(task: Task): void;
  /** The call waits; may come several times. */
  onWait?(task: Task): void;
  /** The call has ended: `result` is what it answers, a restart code where a signal has ended it, NO_RESULT where it has none. */
  onExit?(task: Task, result: number): void;
}

export class CallHooks {
  /** Bits of the listeners by call number; all numbers beyond the table share the last place. */
  readonly #bits = new Uint8Array(SYSCALLS_MAX + 1);
  readonly #listeners: (CallListener | null)[] = [];
  readonly #tasks: ReadonlyMap<number, Task>;

  /** `tasks`: all there are. */
  constructor(tasks: ReadonlyMap<number, Task>) {
    this.#tasks = tasks;
  }

  /** Has `listener` hear of every call whose number `wants`; `wants` is asked SYSCALLS_MAX for the numbers beyond the table. */
  listen(listener: CallListener, wants: (number: number) => boolean): void {
    let index = this.#listeners.indexOf(null);
    if (index < 0) index = this.#listeners.push(null) - 1;
    assert(index < LISTENERS_MAX, "room for one more listener to calls");
    this.#listeners[index] = listener;
    for (let number = 0; number <= SYSCALLS_MAX; number++) {
      if (wants(number)) this.#bits[number] |= 1 << index;
    }
    this.#decideHostFutexes();
  }

  /** `listener` hears of no call any more; those in flight end without it. */
  silence(listener: CallListener): void {
    const index = this.#listeners.indexOf(listener);
    if (index < 0) return;
    this.#listeners[index] = null;
    for (let number = 0; number <= SYSCALLS_MAX; number++) this.#bits[number] &= ~(1 << index);
    this.#decideHostFutexes();
  }

  /** Calls that the host carries out for a thread are heard by nobody. */
  #decideHostFutexes(): void {
    for (const task of this.#tasks.values()) if (!task.hasExited) task.decideHostFutex();
  }

  /** Bits of those who listen to call `number`; 0 = nobody. */
  of(number: number): number {
    return this.#bits[number < SYSCALLS_MAX ? number : SYSCALLS_MAX];
  }

  enter(task: Task, bits: number): void {
    task.call.setHooks(bits);
    for (let i = 0; bits >> i !== 0; i++) if ((bits & (1 << i)) !== 0) this.#listeners[i]?.onEnter?.(task);
  }
  waits(task: Task): void {
    const bits = task.call.hooks;
    for (let i = 0; bits >> i !== 0; i++) if ((bits & (1 << i)) !== 0) this.#listeners[i]?.onWait?.(task);
  }
  exit(task: Task, result: number): void {
    const bits = task.call.hooks;
    for (let i = 0; bits >> i !== 0; i++) {
      if ((bits & (1 << i)) !== 0) this.#listeners[i]?.onExit?.(task, result);
    }
  }
}
