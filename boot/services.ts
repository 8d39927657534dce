// What the sentry does for those who ask over the control protocol: signals, further processes and their ends, pause, what
// runs and what it has used. Requests concern the root container; all of a turn of the loop, none waits.

import { EAGAIN, EALREADY, EBUSY, EINVAL, EIO, ESRCH } from "../kernel/abi/errno.ts";
import { SI_USER, SIGKILL } from "../kernel/abi/signal.ts";
import type { Container } from "../kernel/container.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { sendGroupSignal, sendProcessGroupSignal } from "../kernel/signal/send.ts";
import { killGroup } from "../kernel/task/exit.ts";
import { pauseContainer, resumeContainer } from "../kernel/task/freeze.ts";
import { onMemoryMeasured } from "../kernel/task/memory_pressure.ts";
import type { ThreadGroup } from "../kernel/task/thread_group.ts";
import type { Deadlined } from "../kernel/util/deadline_heap.ts";
import { Waiter, type WaitListener } from "../kernel/util/wait_queue.ts";
import type { NativeHost } from "../native/host.ts";
import { executeIn, startHeld } from "./container.ts";
import type { Answer } from "./control/server.ts";
import { type MessageFrom, SCOPE } from "./control/protocol.ts";
import { jsonDescriptor, readJson } from "./descriptors.ts";
import type { ProcessConfig, ProcessRow, Statistics } from "./sentry_config.ts";
import { StartError } from "./start_error.ts";
import { type Console, ownPassed, ownStdio } from "./stdio.ts";

const POLLIN = 1;
/** Configuration, stdin, stdout, stderr. */
const EXECUTE_FDS_MIN = 4;
/** Ended processes whose status nobody has asked for yet; the oldest is forgotten. */
const ENDED_MAX = 256;
/** Requests that wait for the end of one process. */
const LISTENERS_MAX = 64;
/** How long the last output of a process on a terminal may take to leave, and between two tries. */
const FLUSH_NANOS_MAX = 2e9;
const FLUSH_NANOS = 5e6;

export class Services {
  readonly #kernel: Kernel;
  readonly #host: NativeHost;
  /** What has been started over the protocol, by its id in the container, until its end has been told. */
  readonly #processes = new Map<number, WatchedProcess>();

  constructor(kernel: Kernel, host: NativeHost) {
    this.#kernel = kernel;
    this.#host = host;
  }

  /** See Serve in control/server.ts. */
  serve(
    message: MessageFrom<"caller">,
    fds: readonly number[],
    answer: Answer,
  ): number | MessageFrom<"role"> | null {
    const container = this.#kernel.rootContainer;
    if (message.kind === "execute") return this.#execute(container, fds);
    for (const fd of fds) this.#host.close(fd);
    if (message.kind === "memory") {
      onMemoryMeasured(this.#kernel, message.bytes);
      return 0;
    }
    if (container === null || container.init === null) return -ESRCH;
    switch (message.kind) {
      case "signal":
        return signal(container, message);
      case "resized":
        return this.#resize(container, message.pid);
      case "start":
        return startHeld(container) ? 0 : -EALREADY;
      case "wait":
        return this.#wait(container, message.pid, answer);
      case "pause":
        return pauseContainer(container, () => answer(0)) ? null : -EALREADY;
      case "resume":
        return resumeContainer(container) ? 0 : -EALREADY;
      case "inquire":
        return { kind: "condition", isStarted: !container.isHeld, isPaused: container.isPaused };
      case "processes":
        return this.#document(answer, processesOf(container));
      case "statistics":
        return this.#document(answer, statisticsOf(container));
      default:
        return -EINVAL;
    }
  }

  #execute(container: Container | null, fds: readonly number[]): number | MessageFrom<"role"> {
    const [configFd, ...stdio] = fds;
    if (container === null || fds.length < EXECUTE_FDS_MIN || container.isHeld || container.isPaused) {
      for (const fd of fds) this.#host.close(fd);
      return container === null || fds.length < EXECUTE_FDS_MIN ? -EINVAL : -EAGAIN;
    }
    const config = readJson(this.#host, configFd) as ProcessConfig;
    this.#host.close(configFd);
    const started = this.execute(container, config, stdio);
    if (started instanceof StartError) {
      return { kind: "failed", code: started.code, message: started.message };
    }
    return started < 0 ? started : { kind: "executed", pid: started };
  }

  /**
   * Starts one more process in `container` with descriptors `stdio`, which are taken over: its id in the container, -ERRNO, or
   * why it cannot be.
   */
  execute(container: Container, config: ProcessConfig, stdio: readonly number[]): number | StartError {
    const descriptors = [
      ...ownStdio(this.#kernel, stdio.slice(0, 3)),
      ...ownPassed(this.#kernel, stdio.slice(3)),
    ];
    const thread = this.#kernel.platform.createAddressSpace();
    if (typeof thread === "number") {
      for (const descriptor of descriptors) descriptor.drop();
      return thread;
    }
    try {
      const { task, console } = executeIn(container, config, thread, descriptors);
      const pid = task.pid.in(container.pids);
      this.#forgetOldest();
      this.#processes.set(pid, new WatchedProcess(this.#kernel, task.threadGroup, console));
      return pid;
    } catch (error) {
      if (error instanceof StartError) return error;
      this.#kernel.log(`Execute: ${error instanceof Error ? error.stack : error}`);
      return -EIO;
    }
  }

  /** Calls `onEnd` with the wait status of a process that was started here, now or when it ends. False when it is none. */
  awaitEnd(pid: number, onEnd: (status: number) => void): boolean {
    const process = this.#processes.get(pid);
    if (process === undefined) return false;
    process.onEnd((status) => {
      if (this.#processes.get(pid) === process) this.#processes.delete(pid);
      onEnd(status);
    });
    return true;
  }

  #forgetOldest(): void {
    for (const [pid, process] of this.#processes) {
      if (this.#processes.size < ENDED_MAX) return;
      if (process.hasEnded) this.#processes.delete(pid);
    }
  }

  #resize(container: Container, pid: number): number {
    if (pid === 0) container.hostConsole?.resize();
    else this.#processes.get(pid)?.console?.host.resize();
    return 0;
  }

  #wait(container: Container, pid: number, answer: Answer): null | number {
    let process = this.#processes.get(pid);
    if (process === undefined && pid === 0) {
      process = new WatchedProcess(this.#kernel, container.init!, null);
      this.#processes.set(0, process);
    }
    if (process === undefined) return -ESRCH;
    if (process.listenerCount >= LISTENERS_MAX) return -EBUSY;
    process.onEnd((status) => {
      if (this.#processes.get(pid) === process && pid !== 0) this.#processes.delete(pid);
      answer({ kind: "exit", status });
    });
    return null;
  }

  #document(answer: Answer, value: unknown): null {
    const fd = jsonDescriptor(this.#host, value);
    answer({ kind: "document" }, [fd]);
    this.#host.close(fd);
    return null;
  }
}

/** A process whose end somebody outside wants to know. */
class WatchedProcess implements WaitListener, Deadlined {
  readonly console: Console | null;
  deadline = 0;
  deadlineIndex = -1;
  readonly #kernel: Kernel;
  readonly #group: ThreadGroup;
  readonly #waiter: Waiter;
  #listeners: ((status: number) => void)[] = [];
  #flushUntil = 0;
  hasEnded = false;

  constructor(kernel: Kernel, group: ThreadGroup, console: Console | null) {
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

  /** Its output goes out before its end is told. */
  onDeadline(now: number): void {
    if (this.console !== null && !this.console.host.flush() && now < this.#flushUntil) {
      this.deadline = this.#kernel.clock.monotonic() + FLUSH_NANOS;
      this.#kernel.deadlines.add(this);
      return;
    }
    this.hasEnded = true;
    this.console?.host.close();
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(this.#group.exitStatus);
  }
}

function signal(container: Container, message: Extract<MessageFrom<"caller">, { kind: "signal" }>): number {
  const { signal, pid, scope } = message;
  if (scope === SCOPE.ALL) {
    for (const group of groupsOf(container)) send(group, signal);
    return 0;
  }
  const group = pid === 0 ? container.init : container.pids.threadGroup(pid);
  if (group === null || group.container !== container || group.liveCount === 0) return -ESRCH;
  if (scope === SCOPE.PROCESS_GROUP) sendProcessGroupSignal(group.processGroup, signal, SI_USER);
  else send(group, signal);
  return 0;
}

function send(group: ThreadGroup, signal: number): void {
  if (signal === SIGKILL) killGroup(group, SIGKILL);
  else sendGroupSignal(group, signal, SI_USER);
}

function groupsOf(container: Container): ThreadGroup[] {
  const groups = new Set<ThreadGroup>();
  for (const { threadGroup } of container.kernel.tasks.values()) {
    if (threadGroup.container === container && threadGroup.liveCount > 0) groups.add(threadGroup);
  }
  return [...groups];
}

function processesOf(container: Container): ProcessRow[] {
  const { pids, kernel } = container;
  return groupsOf(container).map((group) => {
    const terminal = group.session.terminal;
    return {
      pid: group.pid.in(pids),
      parentPid: group.parent === null ? 0 : group.parent.pid.in(pids),
      uid: group.leader.credentials.uid,
      tty: terminal === null ? "?" : terminal.name,
      ageNanos: kernel.clock.monotonic() - group.startNanos,
      cpuNanos: group.cpuNanos(),
      name: group.leader.name,
    };
  });
}

function statisticsOf(container: Container): Statistics {
  const { kernel } = container;
  let cpuNanos = kernel.reapedCpuNanos;
  for (const group of groupsOf(container)) cpuNanos += group.cpuNanos();
  return { cpuNanos, tasks: container.taskCount, tasksMax: container.limits.tasksMax };
}
