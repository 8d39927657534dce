// A task: one guest thread as the kernel sees it. Linux: struct task_struct. This file holds its state and how it waits;
// clone, exec, exit, wait and signals stand in files of their own beside it.

import type { GuestThread, UserWindow } from "../../platform/platform.ts";
import { EINTR, ERESTARTSYS } from "../abi/errno.ts";
import { Args } from "../syscalls/args.ts";
import type { SyscallHandler } from "../syscalls/table.ts";
import { Waiter, type WaitListener, type WaitQueue } from "../util/wait_queue.ts";
import type { Deadlined } from "../util/deadline_heap.ts";
import type { Kernel } from "../kernel.ts";
import type { Seccomp } from "./seccomp.ts";
import type { FutexWaiter } from "./futex_queue.ts";
import type { Pid } from "./pid.ts";
import { Scheduling } from "./scheduling.ts";
import type { ThreadGroup } from "./thread_group.ts";
import type { Credentials } from "./credentials.ts";
import type { MemoryMap } from "../mm/address_space.ts";
import type { FdTable } from "../vfs/fd_table.ts";
import type { File } from "../vfs/file.ts";
import type { FsContext } from "../vfs/fs_context.ts";
import type { TaskNamespaces } from "./namespaces.ts";
import type { TaskSignals } from "../signal/task_signals.ts";

/** What block() returns and a handler hands on: "no result yet". Outside every result and errno. */
export const BLOCKED = -0x7000_0000;
/** execve, rt_sigreturn and the like have set the registers themselves: leave them alone. */
export const NO_RESULT = -0x7000_0001;

export const enum TaskState {
  /** Runs guest code or is about to. */
  Running,
  /** Waits in a system call; a signal ends the wait. */
  Blocked,
  /** Waits and only SIGKILL ends it (vfork parent). */
  BlockedKillable,
  /** Job-control or ptrace stop. */
  Stopped,
  /** Has exited, waits to be reaped. */
  Zombie,
  /** Reaped or never to be waited for. */
  Dead,
}

/** A wait for a private futex that the host carries out: GuestThread.waitHostFutex. */
export interface HostWait {
  readonly address: number;
  readonly value: number;
  readonly bitset: number;
  readonly deadline: number;
}

export class Task implements WaitListener, Deadlined {
  readonly kernel: Kernel;
  /** Global task number: the tid in the root PID namespace, pid.root. Changes at execve of a thread that does not lead. */
  tid: number;
  /** Its numbers in every PID namespace it can be seen from. */
  pid: Pid;
  threadGroup: ThreadGroup;
  /** The host thread it runs on; replaced by execve. null once it has exited. */
  thread: GuestThread;
  /** Shorthand for thread.window: the guest's memory as this task's system calls see it. */
  memory: UserWindow;
  /** VMA tree; shared by threads and vfork children. */
  mm: MemoryMap;
  credentials: Credentials;
  /** Descriptor table; shared with CLONE_FILES. */
  files: FdTable;
  /** Root, cwd, umask; shared with CLONE_FS. */
  fs: FsContext;
  /** Held until it exits; changed by setNamespaces alone. */
  namespaces: TaskNamespaces;
  signals: TaskSignals;
  /** comm, at most 15 bytes. */
  name = "";
  state: TaskState = TaskState.Running;
  /** Number and arguments of the system call it is in. */
  syscallNumber = -1;
  readonly args = new Args();

  // How it waits. Valid while state is Blocked.
  /** Continuation: called with the same args when something it waits for has happened. */
  #resume: SyscallHandler | null = null;
  /** What the call answers when a signal ends the wait. */
  interruptResult = -EINTR;
  /** Absolute monotonic nanoseconds at which the wait ends; Infinity = never. Set by waitUntil, read by the timer queue. */
  deadline = Infinity;
  /** True in the continuation when the deadline has passed. */
  isTimedOut = false;
  /** Handler's own number across re-runs of one call: bytes done, an absolute time. Zero at entry of every call. */
  progress = 0;
  /** Handler's own object across re-runs. null at entry of every call. */
  scratch: unknown = null;
  /** A file that the call in progress holds for itself (a FIFO whose open waits); dropped if the task dies in the call. */
  heldFile: File | null = null;
  readonly #waiters: Waiter[] = [];
  #waiterCount = 0;
  /** Place in the kernel's deadline heap, or -1. */
  deadlineIndex = -1;
  /** Is queued to have its continuation run. */
  isWoken = false;
  /** The host is to wait for a futex for it when it resumes. */
  hostWait: HostWait | null = null;

  /** Its places in futex queues, made on first use (task/futex_queue.ts). */
  readonly futexWaiters: FutexWaiter[] = [];

  // clone(2), set_tid_address(2), set_robust_list(2), rseq(2).
  clearChildTid = 0;
  robustList = 0;
  rseqAddress = 0;
  rseqLength = 0;
  rseqSignature = 0;
  #seccomp: Seccomp = null;
  /** personality(2). */
  personality = 0;
  readonly startNanos: number;
  scheduling = new Scheduling();
  /** How often it has blocked: voluntary context switches of getrusage(2). */
  blockCount = 0;
  /**
   * restart_syscall(2): how a call that answered -ERESTART_RESTARTBLOCK goes on after a signal without handler, and its own
   * number (an absolute deadline). Its argument registers are those of the interrupted call. Set by setRestart.
   */
  restartCall: SyscallHandler | null = null;
  restartValue = 0;
  /** prctl(PR_SET_PDEATHSIG). */
  parentDeathSignal = 0;
  /** vfork: the parent that waits for our exec or exit. */
  vforkParent: Task | null = null;
  /** Exit code in wait(2) form once it has exited. */
  exitStatus = 0;

  constructor(
    kernel: Kernel,
    pid: Pid,
    threadGroup: ThreadGroup,
    thread: GuestThread,
    mm: MemoryMap,
    credentials: Credentials,
    files: FdTable,
    fs: FsContext,
    namespaces: TaskNamespaces,
    signals: TaskSignals,
  ) {
    this.kernel = kernel;
    this.tid = pid.root;
    this.pid = pid;
    pid.task = this;
    this.threadGroup = threadGroup;
    this.thread = thread;
    this.memory = thread.window;
    this.mm = mm;
    this.credentials = credentials;
    this.files = files;
    this.fs = fs;
    this.namespaces = namespaces;
    namespaces.hold();
    this.signals = signals;
    signals.task = this;
    this.startNanos = kernel.clock.monotonic();
    thread.owner = this;
    this.decideHostFutex();
  }

  /** seccomp(2): what it may call; null = everything. */
  get seccomp(): Seccomp {
    return this.#seccomp;
  }
  set seccomp(seccomp: Seccomp) {
    this.#seccomp = seccomp;
    this.decideHostFutex();
  }

  /** Private futexes are the host's to queue (futex.ts). Not under strace, which is to see every call and its result. */
  get hasHostFutex(): boolean {
    return this.thread.waitHostFutex !== undefined && this.kernel.straceSink === null;
  }

  /** Whether its thread must ask for private futexes: where a filter looks at calls, or the kernel itself has waiters. */
  decideHostFutex(): void {
    if (this.thread.mayUseHostFutex === undefined) return;
    this.thread.mayUseHostFutex = this.hasHostFutex && this.#seccomp === null && !this.mm.hasFutexWaiters;
  }

  /** It runs no more, whether or not it has been waited for. */
  get hasExited(): boolean {
    return this.state === TaskState.Zombie || this.state === TaskState.Dead;
  }

  /** Says how restart_syscall(2) continues the call, before `return block(..., -ERESTART_RESTARTBLOCK)`. */
  setRestart(call: SyscallHandler, value: number): void {
    this.restartCall = call;
    this.restartValue = value;
  }

  /** unshare(2), setns(2). */
  setNamespaces(next: TaskNamespaces): void {
    const old = this.namespaces;
    next.hold();
    this.namespaces = next;
    old.drop();
  }

  /** Puts another host thread under this task (execve). */
  setThread(thread: GuestThread): void {
    this.thread.owner = null;
    this.thread = thread;
    this.memory = thread.window;
    thread.owner = this;
    this.decideHostFutex();
  }

  /** Joins `queue` for poll events in `mask` for the wait that block() starts. May be called for several queues. */
  waitOn(queue: WaitQueue, mask: number): void {
    let waiter = this.#waiters[this.#waiterCount];
    if (waiter === undefined) {
      waiter = new Waiter(this);
      this.#waiters.push(waiter);
    }
    this.#waiterCount++;
    queue.add(waiter, mask);
  }

  /** Ends the wait that block() starts at `deadline`, absolute monotonic nanoseconds. */
  waitUntil(deadline: number): void {
    this.deadline = deadline;
  }

  /**
   * Suspends the task: after waitOn and waitUntil, a handler returns block(continuation). The continuation is called with
   * the same args when a queue has notified or the deadline has passed (task.isTimedOut); it finishes or blocks again.
   * A signal ends the wait with `interruptResult`: -EINTR or a restart code (signal(7), "Interruption of system calls").
   */
  block(resume: SyscallHandler, interruptResult: number = -ERESTARTSYS): number {
    this.#resume = resume;
    this.interruptResult = interruptResult;
    this.state = TaskState.Blocked;
    this.isTimedOut = false;
    this.blockCount++;
    if (this.deadline !== Infinity) this.kernel.deadlines.add(this);
    return BLOCKED;
  }

  /** As block(), for waits that only SIGKILL ends. */
  blockKillable(resume: SyscallHandler): number {
    this.block(resume, -EINTR);
    this.state = TaskState.BlockedKillable;
    return BLOCKED;
  }

  /** A queue it waits on has notified. */
  onReady(_waiter: Waiter, _events: number): void {
    this.wake();
  }

  taskConcerned(): Task {
    return this;
  }

  /** Its deadline has passed. */
  onDeadline(_now: number): void {
    this.isTimedOut = true;
    this.wake();
  }

  /** Has the continuation run in the kernel's next turn. */
  wake(): void {
    if (this.isWoken || (this.state !== TaskState.Blocked && this.state !== TaskState.BlockedKillable)) {
      return;
    }
    this.isWoken = true;
    this.kernel.woken.push(this);
  }

  /** Leaves all queues and the deadline heap. Called by the run loop before the continuation, and when a signal ends the wait. */
  endWait(): void {
    for (let i = 0; i < this.#waiterCount; i++) {
      const waiter = this.#waiters[i];
      waiter.queue?.remove(waiter);
    }
    this.#waiterCount = 0;
    if (this.deadlineIndex >= 0) this.kernel.deadlines.remove(this);
    this.deadline = Infinity;
    this.state = TaskState.Running;
    this.isWoken = false;
  }

  /** Runs the continuation after endWait(). */
  continueCall(): number {
    const resume = this.#resume;
    if (resume === null) throw new Error("Task has no continuation");
    return resume(this, this.args);
  }

  /** Waiters in use, for run_loop's assertion that a call left none behind. */
  get waiterCount(): number {
    return this.#waiterCount;
  }
}
