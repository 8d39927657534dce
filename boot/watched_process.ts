// Processes whose ends somebody outside wants to know: what has been started over the control protocol, and inits.

import type { Container } from "../kernel/container.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Task } from "../kernel/task/task.ts";
import type { ThreadGroup } from "../kernel/task/thread_group.ts";
import type { HostConsole } from "../kernel/tty/host_console.ts";
import type { Deadlined } from "../kernel/util/deadline_heap.ts";
import { Waiter, type WaitListener } from "../kernel/util/wait_queue.ts";

const POLLIN = 1;
/** Ended processes of a container whose status nobody has asked for yet; the oldest is forgotten. */
const ENDED_MAX = 256;
/** How long the last output of a process on a terminal may take to leave, and between two tries. */
const FLUSH_NANOS_MAX = 2e9;
const FLUSH_NANOS = 5e6;

/** Those of one container, until their ends have been reported. */
export class WatchedProcesses {
  readonly #container: Container;
  /** By the id in the container; 0 = its init. */
  readonly #byPid = new Map<number, WatchedProcess>();

  constructor(container: Container) {
    this.#container = container;
  }

  /** Watches `task`, which has been started in the container: its id there. */
  add(task: Task, console: HostConsole | null): number {
    const pid = task.pid.in(this.#container.pids);
    for (const [old, process] of this.#byPid) {
      if (this.#byPid.size < ENDED_MAX) break;
      if (process.hasEnded && old !== 0) this.#byPid.delete(old);
    }
    this.#byPid.set(pid, new WatchedProcess(this.#container.kernel, task.threadGroup, console, task.tid));
    return pid;
  }

  /** The one with id `pid` in the container, 0 = its init; null where it is none that is watched. */
  find(pid: number): WatchedProcess | null {
    const found = this.#byPid.get(pid);
    const { init, kernel } = this.#container;
    if (found !== undefined || pid !== 0 || init === null) return found ?? null;
    // What the root's init has printed leaves when the sandbox ends.
    const console = this.#container.isRoot ? null : this.#container.hostConsole;
    const process = new WatchedProcess(kernel, init, console, init.leader.tid);
    this.#byPid.set(0, process);
    return process;
  }

  /** The one with id `tid` in the root PID namespace. */
  findInRoot(tid: number): number {
    for (const [pid, process] of this.#byPid) if (process.tid === tid && pid !== 0) return pid;
    return -1;
  }

  /**
   * Calls `onEnd` with the status of process `pid`, now or when it ends; what has been started is forgotten then. False when
   * it is none.
   */
  awaitEnd(pid: number, onEnd: (status: number) => void): boolean {
    const process = this.find(pid);
    if (process === null) return false;
    process.onEnd((status) => {
      if (pid !== 0 && this.#byPid.get(pid) === process) this.#byPid.delete(pid);
      onEnd(status);
    });
    return true;
  }
}

/** A process whose end somebody outside wants to know. */
class WatchedProcess implements WaitListener, Deadlined {
  /** Its terminal's; null = none, or somebody else's to close. */
  readonly console: HostConsole | null;
  /** Its id in the root PID namespace, also when it has been reaped. */
  readonly tid: number;
  deadline = 0;
  deadlineIndex = -1;
  readonly #kernel: Kernel;
  readonly #group: ThreadGroup;
  readonly #waiter: Waiter;
  #listeners: ((status: number) => void)[] = [];
  #flushUntil = 0;
  hasEnded = false;

  constructor(kernel: Kernel, group: ThreadGroup, console: HostConsole | null, tid: number) {
    this.tid = tid;
    this.#kernel = kernel;
    this.#group = group;
    this.console = console;
    this.#waiter = new Waiter(this);
    if (group.liveCount === 0) this.hasEnded = true;
    else group.exitQueue.add(this.#waiter, POLLIN);
  }

  get listenerCount(): number {
    return this.#listeners.length;
  }

  /** Calls `listener` with the status, now or when it ends. */
  onEnd(listener: (status: number) => void): void {
    if (this.hasEnded) listener(this.#group.exitStatus);
    else this.#listeners.push(listener);
  }

  onReady(): void {
    this.#group.exitQueue.remove(this.#waiter);
    this.#flushUntil = this.#kernel.clock.monotonic() + FLUSH_NANOS_MAX;
    this.onDeadline(0);
  }

  /** Its output is written before its end is reported. */
  onDeadline(now: number): void {
    if (this.console !== null && !this.console.flush() && now < this.#flushUntil) {
      this.deadline = this.#kernel.clock.monotonic() + FLUSH_NANOS;
      this.#kernel.deadlines.add(this);
      return;
    }
    this.hasEnded = true;
    this.console?.close();
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(this.#group.exitStatus);
  }
}
