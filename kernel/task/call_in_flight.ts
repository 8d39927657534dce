// The call a task is in, as plain data: its number, how far it has come, what it waits for, which files it holds. Linux
// keeps these on the kernel stack of the thread (struct fd, poll_table, hrtimer_sleeper, restart_block); a call of ours has
// no stack while it waits, so all that must outlive the wait is here and can be printed and saved.
//
// One object per task, made with it. A call that neither waits nor keeps anything never touches it: `isUsed` says whether
// it must be cleared when the call ends. How a call waits is in wait_engine.ts; the text of a wait in describe_wait.ts.

import type { SyscallHandler } from "../syscalls/table.ts";
import type { Deadlined } from "../util/deadline_heap.ts";
import { Waiter, type WaitListener, type WaitQueue } from "../util/wait_queue.ts";
import type { File } from "../vfs/file.ts";
import type { Task } from "./task.ts";
import { NO_STATE, type WaitState } from "./wait_state.ts";

/** What a handler hands on when its call waits: "no result yet". Outside every result and errno. */
export const BLOCKED = -0x7000_0000;
/** execve, rt_sigreturn and the like have set the registers themselves: leave them alone. */
export const NO_RESULT = -0x7000_0001;
/**
 * What an operation below the system call (an inode's, a file system's) answers when the task must wait: it has joined a
 * queue with call.waitOn(). Handlers hand it on like an errno; the run loop has the call wait and makes it again.
 */
export const MUST_WAIT = -0x7000_0002;
/** Everything up to here is one of the three above. */
export const LAST_SPECIAL_RESULT = -0x7000_0000;

/** How a call goes on after a wait, where that is not "the call is made again": a top-level function under its name. */
export interface Continuation {
  /** Unique in the kernel; kernel/syscalls/continuations.ts has them all. */
  readonly name: string;
  readonly run: SyscallHandler;
}

/** Declares a continuation; its room's list of continuations must have it. */
export function continuation(name: string, run: SyscallHandler): Continuation {
  return { name, run };
}

export const enum CallPhase {
  /** Its handler runs for the first time, or it has ended. */
  Running,
  /** It waits: queues and deadline are armed. */
  Waiting,
  /** It has waited and goes on. */
  Resumed,
}

export class CallInFlight implements WaitListener, Deadlined {
  readonly task: Task;
  /** Number in the table of the call it is in, or was in last; -1 after a fault. */
  number = -1;
  phase: CallPhase = CallPhase.Running;
  /** Something below differs from how a call finds it: endCall() has work. */
  isUsed = false;
  /** Hooks of call_hooks.ts that have heard of its beginning and are to hear of its end. */
  hooks = 0;

  /** What it waits for, and what it needs to know when it goes on. Readonly data: replaced as a whole. */
  state: WaitState = NO_STATE;
  /** How it goes on; null = the call is made again with its arguments. */
  then: Continuation | null = null;
  /** An object of its handler's own that it works on for several turns, and that goes with it. */
  kept: object | null = null;
  /** Bytes it has moved so far, across its waits. */
  done = 0;
  /** When its waits end, absolute monotonic nanoseconds; Infinity = never. Must not change while Waiting. */
  deadline = Infinity;
  /** The last wait has ended because the deadline has passed. */
  isTimedOut = false;
  /** Place in the kernel's deadline heap, or -1. */
  deadlineIndex = -1;
  /** Is queued to go on in the kernel's next turn. */
  isWoken = false;

  // Open files it began with and keeps until it ends, in slots of the handler's own numbering. Linux: fdget(), fdput().
  // Most calls have one or two: an array that grows and shrinks with each call would cost more than the wait.
  #first: File | null = null;
  #second: File | null = null;
  /** Those of poll(2) and select(2) from the third on. */
  readonly #others: (File | null)[] = [];
  readonly #waiters: Waiter[] = [];
  #waiterCount = 0;

  constructor(task: Task) {
    this.task = task;
  }

  /** It has waited before: arguments that are read once have been read. */
  get hasWaited(): boolean {
    return this.phase !== CallPhase.Running;
  }

  get isWaiting(): boolean {
    return this.phase === CallPhase.Waiting;
  }

  /** Moved `bytes` more. */
  advance(bytes: number): void {
    this.isUsed = true;
    this.done += bytes;
  }

  setDone(bytes: number): void {
    this.isUsed = true;
    this.done = bytes;
  }

  /** Its waits end at `deadline`. */
  setDeadline(deadline: number): void {
    this.isUsed = true;
    this.deadline = deadline;
  }

  setState(state: WaitState): void {
    this.isUsed = true;
    this.state = state;
  }

  keep(object: object | null): void {
    this.isUsed = true;
    this.kept = object;
  }

  /** Listeners have heard of its beginning. */
  setHooks(bits: number): void {
    this.isUsed = true;
    this.hooks = bits;
  }

  // --- files --------------------------------------------------------------------------------------------------------------

  /** Keeps `file` open until the call ends, whatever becomes of its descriptor meanwhile. */
  hold(slot: number, file: File): void {
    const before = this.held(slot);
    if (before === file) return;
    this.isUsed = true;
    file.hold();
    this.#set(slot, file);
    before?.drop();
  }

  /** As hold(), and takes over the caller's reference. */
  give(slot: number, file: File): void {
    this.hold(slot, file);
    file.drop();
  }

  /** The file held in `slot`, whose reference goes to the caller. */
  take(slot: number): File | null {
    const file = this.held(slot);
    if (file !== null) this.#set(slot, null);
    return file;
  }

  held(slot: number): File | null {
    if (slot === 0) return this.#first;
    if (slot === 1) return this.#second;
    return slot - 2 < this.#others.length ? this.#others[slot - 2] : null;
  }

  #set(slot: number, file: File | null): void {
    if (slot === 0) {
      this.#first = file;
    } else if (slot === 1) {
      this.#second = file;
    } else {
      while (this.#others.length <= slot - 2) this.#others.push(null);
      this.#others[slot - 2] = file;
    }
  }

  /** The file that descriptor `fd` means for this call: what it meant when the call began. null = not open. */
  file(slot: number, fd: number): File | null {
    return this.phase === CallPhase.Running
      ? this.task.files.get(fd)
      : this.held(slot) ?? this.task.files.get(fd);
  }

  /** Slots that may hold a file. */
  get slots(): number {
    return 2 + this.#others.length;
  }

  /** Drops the files in the slots from `first` on. */
  dropFiles(first = 0): void {
    // A file that closes may run code of its own: it must not meet a slot that still has it.
    while (this.#others.length > Math.max(0, first - 2)) this.#others.pop()?.drop();
    if (first <= 1) this.take(1)?.drop();
    if (first === 0) this.take(0)?.drop();
  }

  // --- waiting ------------------------------------------------------------------------------------------------------------

  /** Joins `queue` for poll events in `mask`, for the wait that suspend() begins. May be called for several queues. */
  waitOn(queue: WaitQueue, mask: number): void {
    let waiter = this.#waiters[this.#waiterCount];
    if (waiter === undefined) {
      waiter = new Waiter(this);
      this.#waiters.push(waiter);
    }
    this.isUsed = true;
    this.#waiterCount++;
    queue.add(waiter, mask);
  }

  /** Queues it waits in. */
  get waiterCount(): number {
    return this.#waiterCount;
  }

  /** Leaves all queues and the deadline heap. */
  leaveQueues(): void {
    for (let i = 0; i < this.#waiterCount; i++) {
      const waiter = this.#waiters[i];
      waiter.queue?.remove(waiter);
    }
    this.#waiterCount = 0;
    if (this.deadlineIndex >= 0) this.task.kernel.deadlines.remove(this);
  }

  /** Has the call go on in the kernel's next turn. */
  wake(): void {
    if (this.isWoken || this.phase !== CallPhase.Waiting) return;
    this.isWoken = true;
    this.task.kernel.woken.push(this.task);
  }

  /** A queue has notified. */
  onReady(_waiter: Waiter, _events: number): void {
    this.wake();
  }

  onDeadline(_now: number): void {
    this.isTimedOut = true;
    this.wake();
  }

  /** As Deadlined.taskConcerned(). */
  taskConcerned(): Task {
    return this.task;
  }

  /** The call is over: gives back what it holds and is as a new call finds it. Called by endCall() of wait_engine.ts. */
  clear(): void {
    this.leaveQueues();
    this.phase = CallPhase.Running;
    this.isUsed = false;
    this.hooks = 0;
    this.state = NO_STATE;
    this.then = null;
    this.kept = null;
    this.done = 0;
    this.deadline = Infinity;
    this.isTimedOut = false;
    this.isWoken = false;
    if (this.#second !== null || this.#others.length > 0) this.dropFiles(1);
    const first = this.#first;
    if (first === null) return;
    this.#first = null;
    first.drop();
  }
}
