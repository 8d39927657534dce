// What the sentry does for those who ask over the control protocol: signals, further processes and their ends, further
// containers, pause, what runs and what it has used. Requests concern the container of their connection, as a rule the root
// one; all of a turn of the loop, none waits.

import { EAGAIN, EALREADY, EBUSY, EINVAL, EIO, ESRCH } from "../kernel/abi/errno.ts";
import { SI_USER, SIGKILL } from "../kernel/abi/signal.ts";
import type { Container } from "../kernel/container.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { sendGroupSignal, sendProcessGroupSignal } from "../kernel/signal/send.ts";
import { pauseContainer, resumeContainer } from "../kernel/task/freeze.ts";
import { onMemoryMeasured } from "../kernel/task/memory_pressure.ts";
import type { Task } from "../kernel/task/task.ts";
import type { ThreadGroup } from "../kernel/task/thread_group.ts";
import type { NativeHost } from "../native/host.ts";
import { executeIn, startHeld } from "./container.ts";
import type { Answer, Caller } from "./control/server.ts";
import { type MessageFrom, SCOPE } from "./control/protocol.ts";
import { Leases } from "./control/services/files/leases.ts";
import type { RunningTrace } from "./control/services/trace.ts";
import { jsonDescriptor, readJson } from "./descriptors.ts";
import {
  type ContainerConfig,
  JOIN_GOFER,
  JOIN_PASSED,
  JOIN_STDIO,
  type ProcessConfig,
  type StartHook,
  type Statistics,
} from "./sentry_config.ts";
import { processesOf, type ProcessRow, processRow } from "./process_rows.ts";
import { StartError } from "./start_error.ts";
import { StartHooks } from "./start_hooks.ts";
import { ownPassed, ownStdio } from "./stdio.ts";
import type { Forward } from "./port_forward.ts";
import { Subcontainers } from "./subcontainers.ts";
import { killGroup } from "../kernel/task/kill.ts";

/** Configuration, stdin, stdout, stderr. */
const EXECUTE_FDS_MIN = 4;
/** Requests that wait for the end of one process. */
const LISTENERS_MAX = 64;

export class Services {
  readonly subcontainers: Subcontainers;
  /** What clients of Fs.* have open between two calls. */
  readonly leases: Leases;
  /** Streams of the host that are forwarded into containers. */
  readonly forwards = new Set<Forward>();
  /** The trace session that runs; null = none. */
  trace: RunningTrace | null = null;
  /** Called when the root container has been started in vain. */
  onStartFailed: (failure: StartError) => void = () => {};
  /** What runs before the inits of containers that are held. */
  readonly #startHooks = new WeakMap<Container, readonly StartHook[]>();
  /** Whose hooks run, or have. */
  readonly #starting = new WeakSet<Container>();
  readonly #kernel: Kernel;
  readonly #host: NativeHost;

  constructor(kernel: Kernel, host: NativeHost) {
    this.#kernel = kernel;
    this.#host = host;
    this.subcontainers = new Subcontainers(kernel, host);
    this.leases = new Leases(kernel);
  }

  /** The sandbox ends: what is left for monitors goes out, and descriptors of others close. */
  release(): void {
    this.trace?.session.stop();
    this.trace = null;
    this.leases.endAll();
    for (const forward of [...this.forwards]) forward.close();
  }

  /** See Serve in control/server.ts. */
  serve(
    message: MessageFrom<"caller">,
    fds: readonly number[],
    answer: Answer,
    caller: Caller,
  ): number | MessageFrom<"role"> | null {
    const container = caller.container ?? this.#kernel.rootContainer;
    if (message.kind === "execute") return this.#execute(container, fds);
    if (message.kind === "join") return this.#join(caller, fds);
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
        return this.#start(container, answer);
      case "wait":
        return this.#wait(container, message.pid, answer);
      case "pause":
        return pauseContainer(container, () => answer(0)) ? null : -EALREADY;
      case "resume":
        return resumeContainer(container) ? 0 : -EALREADY;
      case "limit":
        return limit(container, message);
      case "inquire":
        return { kind: "condition", isStarted: !container.isHeld, isPaused: container.isPaused };
      case "processes":
        return this.#document(answer, rowsOf(container));
      case "statistics":
        return this.#document(answer, statisticsOf(container));
      default:
        return -EINVAL;
    }
  }

  /** `hooks` run before the init of `container`, which is held. */
  holdFor(container: Container, hooks: readonly StartHook[]): void {
    this.#startHooks.set(container, hooks);
  }

  /**
   * The init of `container` begins to run once its hooks have; `onStarted` is called then, or with the failure of one, after
   * which the container ends. False when nothing holds it.
   */
  start(container: Container, onStarted: (failure: StartError | null) => void): boolean {
    if (!container.isHeld || container.init === null || this.#starting.has(container)) return false;
    this.#starting.add(container);
    const hooks = this.#startHooks.get(container) ?? [];
    new StartHooks(this, this.#host, container, hooks, (failure) => {
      if (failure === null) startHeld(container);
      onStarted(failure);
      // One that has been killed meanwhile has its status.
      if (failure === null || container.exitStatus >= 0) return;
      if (container.isRoot) this.onStartFailed(failure);
      this.subcontainers.end(container);
    }).next();
    return true;
  }

  #start(container: Container, answer: Answer): number | null {
    const isStarting = this.start(container, (failure) => answer(failure === null ? 0 : failedBy(failure)));
    return isStarting ? null : -EALREADY;
  }

  /** The connection of `caller` has ended: so does what was made over it. */
  hangUp({ container, isMaker }: Caller): void {
    if (isMaker && container !== null) this.subcontainers.end(container);
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
    if (started instanceof StartError) return failedBy(started);
    return typeof started === "number" ? started : { kind: "executed", pid: started.pid.in(container.pids) };
  }

  /**
   * Starts one more process in `container` with descriptors `stdio`, which are taken over: its first task, -ERRNO, or why it
   * cannot be.
   */
  execute(container: Container, config: ProcessConfig, stdio: readonly number[]): Task | number | StartError {
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
      this.subcontainers.watchedOf(container).add(task, console === null ? null : console.host);
      return task;
    } catch (error) {
      if (error instanceof StartError) return error;
      this.#kernel.log(`Execute: ${error instanceof Error ? error.stack : error}`);
      return -EIO;
    }
  }

  #join(caller: Caller, fds: readonly number[]): number | MessageFrom<"role"> {
    if (fds.length < JOIN_PASSED || caller.container !== null || caller.isFirst) {
      for (const fd of fds) this.#host.close(fd);
      return -EINVAL;
    }
    const config = readJson(this.#host, fds[0]) as ContainerConfig;
    this.#host.close(fds[0]);
    const made = this.subcontainers.make(config, {
      stdio: fds.slice(JOIN_STDIO, JOIN_GOFER),
      gofer: fds[JOIN_GOFER],
      passed: fds.slice(JOIN_PASSED),
    });
    if (made instanceof StartError) return failedBy(made);
    this.holdFor(made, config.startHooks);
    caller.container = made;
    caller.isMaker = true;
    return 0;
  }

  #resize(container: Container, pid: number): number {
    if (pid === 0) container.hostConsole?.resize();
    else this.subcontainers.watchedOf(container).find(pid)?.console?.resize();
    return 0;
  }

  #wait(container: Container, pid: number, answer: Answer): null | number {
    const watched = this.subcontainers.watchedOf(container), process = watched.find(pid);
    if (process === null) return -ESRCH;
    if (process.listenerCount >= LISTENERS_MAX) return -EBUSY;
    watched.awaitEnd(pid, (status) => answer({ kind: "exit", status }));
    return null;
  }

  #document(answer: Answer, value: unknown): null {
    const fd = jsonDescriptor(this.#host, value);
    answer({ kind: "document" }, [fd]);
    this.#host.close(fd);
    return null;
  }
}

function failedBy({ code, message }: StartError): MessageFrom<"role"> {
  return { kind: "failed", code, message };
}

/** What is in use already stays in use; more is refused. The sandbox's own limits are those of its root container. */
function limit(container: Container, message: Extract<MessageFrom<"caller">, { kind: "limit" }>): number {
  const { memoryBytes, tasks } = message, { kernel } = container;
  if (tasks > 0) {
    container.limits.tasksMax = tasks;
    if (container.isRoot) kernel.limits.tasksMax = tasks;
  }
  if (memoryBytes > 0 && container.isRoot) {
    kernel.limits.memoryBytesMax = memoryBytes;
    kernel.memory.limitBytes = memoryBytes;
    kernel.memory.onTally();
  }
  return 0;
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

/** Its processes that have not ended. */
function groupsOf(container: Container): ThreadGroup[] {
  return processesOf(container.kernel, container).filter(({ liveCount }) => liveCount > 0);
}

/** With the container's own ids. */
function rowsOf(container: Container): ProcessRow[] {
  const { kernel, pids } = container;
  return groupsOf(container).map((group) => processRow(kernel, group, pids));
}

function statisticsOf(container: Container): Statistics {
  const { kernel } = container;
  const isAlone = kernel.containers.size === 1;
  let cpuNanos = isAlone ? kernel.reapedCpuNanos : 0;
  for (const group of groupsOf(container)) {
    cpuNanos += group.cpuNanos() + (isAlone ? 0 : group.childrenUsage.cpuNanos);
  }
  return {
    cpuNanos,
    tasks: container.taskCount,
    tasksMax: Number.isFinite(container.limits.tasksMax) ? container.limits.tasksMax : 0,
  };
}
