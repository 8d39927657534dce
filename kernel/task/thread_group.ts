// A process: a group of tasks with one id towards its parent, shared signal actions, limits and accounts. Linux: struct
// signal_struct. It is made in clone.ts and ends in exit.ts; wait.ts waits for it.

import { SIGCHLD } from "../abi/signal.ts";
import type { SignalActions } from "../signal/signal_actions.ts";
import { SignalQueue } from "../signal/signal_queue.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import type { AddressSpace } from "../../platform/platform.ts";
import type { Container } from "../container.ts";
import type { Kernel } from "../kernel.ts";
import type { Pid } from "./pid.ts";
import type { ProcessGroup, Session } from "./process_group.ts";
import type { Rlimits } from "./rlimits.ts";
import type { Task } from "./task.ts";
import { Usage } from "./usage.ts";

/** Job-control events a parent may still fetch with wait(2); one of each at most. */
export const enum ChildEvent {
  None,
  Stopped,
  Continued,
}

/** Timers of a process; the time room implements it. */
export interface ProcessTimers {
  /** The last task has exited. */
  release(): void;
  /** execve(2): POSIX timers go, interval timers stay. */
  onExec(): void;
}

export class ThreadGroup {
  readonly kernel: Kernel;
  readonly container: Container;
  /** The task whose id is the process id. Changes when another thread calls execve. Set right after its birth. */
  leader!: Task;
  /** Tasks that have not exited, and the leader even when it has. */
  readonly tasks: Task[] = [];
  /** How many of `tasks` have not exited. 0 = the process is a zombie or gone. */
  liveCount = 0;
  /** The task that waits for it: its maker or, once that is dead, another. null for what boot has started. */
  parentTask: Task | null;
  readonly children = new Set<ThreadGroup>();
  /** Signal sent to the parent at exit; 0 = none. */
  exitSignal = SIGCHLD;
  processGroup!: ProcessGroup;
  /** It has given up its controlling terminal by itself (TIOCNOTTY) although its session has one. Children inherit it. */
  hasLeftTerminal = false;
  /** It has called execve since it was born: setpgid(2) of its parent answers EACCES. */
  hasExeced = false;

  // Signals.
  /** Handlers; shared with another process by CLONE_SIGHAND without CLONE_THREAD. */
  actions: SignalActions;
  /** Signals sent to the process as a whole. */
  readonly pending = new SignalQueue();
  /** Told with POLLIN when a signal arrives for the process or one of its tasks: signalfd. */
  readonly signalQueue = new WaitQueue();
  /** Signals with default action are ignored when sent from inside its namespace: it is an init (SIGNAL_UNKILLABLE). */
  isUnkillable = false;

  // Job control.
  /** The signal of a stop that is going on or done; 0 = none. */
  stopSignal = 0;
  /** Tasks that have not yet stopped since the stop began. */
  stopsOutstanding = 0;
  /** All live tasks are stopped. */
  isStopped = false;
  /** What waitid(WSTOPPED | WCONTINUED) of the parent finds. */
  childEvent: ChildEvent = ChildEvent.None;

  // End.
  /** exit_group(2) or a deadly signal: every task is on its way out. */
  isExiting = false;
  /** Status in wait(2) form; of the group exit, else of the leader. */
  exitStatus = 0;
  /** Reaped, its number may belong to another. */
  isReaped = false;
  /** Told with POLLIN when a child of this process changes state: wait4(2). */
  readonly childQueue = new WaitQueue();
  /** Told with POLLIN when it has exited, POLLHUP when it was reaped: pidfd. */
  readonly exitQueue = new WaitQueue();

  readonly limits: Rlimits;
  /** prctl(PR_SET_CHILD_SUBREAPER). */
  isSubreaper = false;
  /** prctl(PR_SET_THP_DISABLE), stored. */
  isHugePageDisabled = false;
  oomScoreAdjust = 0;
  /** Where the privileged have set it last: others may not go below. */
  oomScoreAdjustMin = 0;
  /** Monotonic nanoseconds of its birth. */
  readonly startNanos: number;

  // Accounts. The platform knows the CPU time of the running image; that of earlier ones is added up here.
  /** Time of former images (before execve) and a correction for an address space that was someone else's (vfork). */
  cpuNanosBefore = 0;
  /** Estimate of what the calls of its tasks have cost us. */
  callNanos = 0;
  /** What calls have read and written, for /proc/PID/io. */
  bytesRead = 0;
  bytesWritten = 0;
  readCalls = 0;
  writeCalls = 0;
  /** Final account, filled when the last task has exited; until then what must not go back. */
  readonly usage = new Usage();
  /** Of children that were waited for, and theirs. */
  readonly childrenUsage = new Usage();
  /** Interval and POSIX timers; the time room's object. */
  timers: ProcessTimers | null = null;
  /** Changes of System V semaphores to be undone at its end (semop(2), SEM_UNDO); the ipc room's object. */
  semaphoreUndo: { release(): void } | null = null;
  /** Exited tasks whose host thread has not stopped yet; each still holds the memory map. See exit.ts. */
  readonly lingering: Task[] = [];

  constructor(container: Container, parentTask: Task | null, actions: SignalActions, limits: Rlimits) {
    this.kernel = container.kernel;
    this.container = container;
    this.parentTask = parentTask;
    this.actions = actions;
    this.limits = limits;
    this.startNanos = this.kernel.clock.monotonic();
  }

  get parent(): ThreadGroup | null {
    return this.parentTask === null ? null : this.parentTask.threadGroup;
  }
  get pid(): Pid {
    return this.leader.pid;
  }
  /** Process id in the root PID namespace. */
  get tgid(): number {
    return this.leader.tid;
  }
  get session(): Session {
    return this.processGroup.session;
  }
  /** Exited and not reaped. */
  get isZombie(): boolean {
    return this.liveCount === 0 && !this.isReaped;
  }

  /** A task that has not exited, the leader if it can be; null when all have. */
  liveTask(): Task | null {
    if (!this.leader.hasExited) return this.leader;
    for (let i = 0; i < this.tasks.length; i++) {
      if (!this.tasks[i].hasExited) return this.tasks[i];
    }
    return null;
  }

  /** execve(2) is about to run on `next` instead of `old`: the time spent so far is kept. */
  onImageChange(old: AddressSpace, next: AddressSpace): void {
    this.cpuNanosBefore += old.cpuNanos() - next.cpuNanos();
  }

  /** CPU time of the process in nanoseconds so far, without children. */
  cpuNanos(): number {
    const task = this.liveTask();
    if (task === null) return this.usage.cpuNanos;
    return Math.max(0, this.cpuNanosBefore + task.thread.addressSpace.cpuNanos());
  }
}
