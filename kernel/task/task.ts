// A task: one guest thread as the kernel sees it. Linux: struct task_struct. The call it is in is call_in_flight.ts; how it
// waits wait_engine.ts; clone, exec, exit, wait for children and signals have files of their own beside it.

import type { GuestThread, UserWindow } from "../../platform/platform.ts";
import { Args } from "../syscalls/args.ts";
import { CallInFlight, type Continuation } from "./call_in_flight.ts";
import type { Kernel } from "../kernel.ts";
import type { Seccomp } from "./seccomp.ts";
import type { FutexQueue, FutexWaiter } from "./futex_queue.ts";
import type { Pid } from "./pid.ts";
import { Scheduling } from "./scheduling.ts";
import type { ThreadGroup } from "./thread_group.ts";
import type { Credentials } from "./credentials.ts";
import type { MemoryMap } from "../mm/address_space.ts";
import type { FdTable } from "../vfs/fd_table.ts";
import type { FsContext } from "../vfs/fs_context.ts";
import type { TaskNamespaces } from "./namespaces.ts";
import type { TaskSignals } from "../signal/task_signals.ts";

const SYS_futex = 202;

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
  /** What the call answers when a signal comes before the host has begun. */
  readonly interrupted: number;
}

export class Task {
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
  /** Arguments of the system call it is in; a call that is made again after a wait finds them as they were. */
  readonly args = new Args();
  /** The system call it is in, and how it waits. */
  readonly call: CallInFlight;
  /** The host is to wait for a futex for it when it resumes. */
  hostWait: HostWait | null = null;
  /** kernel.futexes.changes when it last resumed: what the stub copies in for its next call is no older. */
  futexChanges = -1;

  /** Its places in futex queues, made on first use (task/futex_queue.ts). */
  readonly futexWaiters: FutexWaiter[] = [];
  /** PI futexes that it owns and others wait for. */
  ownedFutexes: Set<FutexQueue> | null = null;

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
  /** CPU time on the host threads of former images (execve), and the most that was answered. */
  #cpuNanosBefore = 0;
  #cpuNanosKnown = 0;
  /** Estimate of what its calls have cost us. */
  callNanos = 0;
  /** How often it has blocked: voluntary context switches of getrusage(2). */
  blockCount = 0;
  /**
   * restart_syscall(2): how a call that answered -ERESTART_RESTARTBLOCK goes on after a signal without handler, and its own
   * number (an absolute deadline). Its argument registers are those of the interrupted call. Set by setRestart.
   */
  restartCall: Continuation | null = null;
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
    this.call = new CallInFlight(this);
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

  /** Private futexes are the host's to queue (futex.ts). Not where somebody is to hear of every call and its result. */
  get hasHostFutex(): boolean {
    return this.thread.addressSpace.features.hasHostFutex && this.kernel.callHooks.of(SYS_futex) === 0;
  }

  /** Whether its thread must ask for private futexes: a seccomp filter checks its calls, or the kernel itself has waiters. */
  decideHostFutex(): void {
    this.thread.mayUseHostFutex = this.hasHostFutex && this.#seccomp === null && !this.mm.hasFutexWaiters;
  }

  /** Its CPU time in nanoseconds; once it has exited, what was last known of it. */
  cpuNanos(): number {
    if (!this.hasExited) this.#cpuNanosKnown = this.#cpuNanosBefore + this.thread.cpuNanos();
    return this.#cpuNanosKnown;
  }

  /** It runs no more, whether or not it has been waited for. */
  get hasExited(): boolean {
    return this.state === TaskState.Zombie || this.state === TaskState.Dead;
  }

  /** Says how restart_syscall(2) continues a call that answers -ERESTART_RESTARTBLOCK. */
  setRestart(call: Continuation, value: number): void {
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
    this.#cpuNanosBefore = this.cpuNanos();
    this.thread.owner = null;
    this.thread = thread;
    this.memory = thread.window;
    thread.owner = this;
    this.decideHostFutex();
  }
}
