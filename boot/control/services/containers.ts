// containerManager: containers of a sandbox, their processes, signals to them, their ends and what they have used.

import { SI_USER, SIGRTMAX } from "../../../kernel/abi/signal.ts";
import type { Container } from "../../../kernel/container.ts";
import type { Kernel } from "../../../kernel/kernel.ts";
import { sendGroupSignal, sendProcessGroupSignal } from "../../../kernel/signal/send.ts";
import { pauseContainer, resumeContainer } from "../../../kernel/task/freeze.ts";
import type { ProcessGroup } from "../../../kernel/task/process_group.ts";
import type { ThreadGroup } from "../../../kernel/task/thread_group.ts";
import { Waiter, type WaitListener } from "../../../kernel/util/wait_queue.ts";
import { describeSignalMode, SIGNAL_MODE } from "../../api/signal_mode.ts";
import type { EventOut } from "../../api/stats.ts";
import type { StartError } from "../../start_error.ts";
import { execute } from "./execute.ts";
import { processDocument } from "./process_document.ts";
import { processesOf } from "../../process_rows.ts";
import { LATER, type Query, Refusal, type Sandbox, type Service, type Services } from "./query.ts";
import { fullUsage } from "./usage.ts";

const POLLIN = 1;

/** What ContainerRuntimeState answers. */
const RUNTIME_STATE = { INVALID: 0, CREATING: 1, RUNNING: 2, STOPPED: 3 } as const;

function notFound(cid: string): Refusal {
  return new Refusal(`container "${cid}" not found`);
}

/** A service of one container, whose id `idOf` finds in the argument. */
function ofContainer(
  idOf: (query: Query) => string,
  serve: (container: Container, query: Query, sandbox: Sandbox) => unknown,
): Service {
  return (sandbox, query) => {
    const cid = idOf(query);
    const container = sandbox.kernel.containers.get(cid);
    return container === undefined ? notFound(cid) : serve(container, query, sandbox);
  };
}

const itself = (query: Query) => query.text;

/** All of the sandbox where no container is named. */
const processes: Service = ({ kernel }, query) => {
  const container = query.text === "" ? null : kernel.containers.get(query.text);
  if (container === undefined) return notFound(query.text);
  return processesOf(kernel, container).map((group) => processDocument(kernel, group));
};

/** Processor time of a container's processes and of the children they have waited for. */
export function cpuNanosOf(kernel: Kernel, container: Container): number {
  let nanos = 0;
  for (const group of processesOf(kernel, container)) {
    nanos += group.cpuNanos() + group.childrenUsage.cpuNanos;
  }
  return Math.round(nanos);
}

/** Bytes that it uses, as far as that can be measured: what the sandbox uses is divided among the containers. */
export function memoryShareOf(kernel: Kernel, container: Container): number {
  const others = kernel.containers.size - 1;
  // The first of several is a pod's pause container: it is given none.
  const share = others === 0 ? 1 : container.isRoot ? 0 : 1 / others;
  return Math.round(fullUsage(kernel).Total * share);
}

function event(container: Container, { kernel }: Sandbox): EventOut {
  const usage: Record<string, number> = {};
  for (const [id, one] of kernel.containers) usage[id] = cpuNanosOf(kernel, one);
  const limit = kernel.limits.memoryBytesMax === Infinity ? 0 : kernel.limits.memoryBytesMax;
  const none = { limit: 0, failcnt: 0 };
  const cpu = usage[container.id];
  return {
    event: {
      type: "stats",
      id: container.id,
      data: {
        cpu: { usage: { user: cpu, total: cpu } },
        memory: {
          usage: { limit, usage: memoryShareOf(kernel, container), failcnt: 0 },
          swap: none,
          kernel: none,
          kernelTCP: none,
        },
        pids: { current: container.taskCount, limit: finite(container.limits.tasksMax) },
      },
    },
    containerUsage: usage,
  };
}

/** As runc tells it: 0 = no limit. */
function finite(limit: number): number {
  return limit === Infinity ? 0 : limit;
}

/** Answers `query` with the wait status of `group`, when it has ended. */
class EndOfProcess implements WaitListener {
  readonly #group: ThreadGroup;
  readonly #query: Query;
  readonly #waiter = new Waiter(this);

  constructor(group: ThreadGroup, query: Query) {
    this.#group = group;
    this.#query = query;
    query.onForgotten = () => group.exitQueue.remove(this.#waiter);
    group.exitQueue.add(this.#waiter, POLLIN);
  }

  onReady(): void {
    this.#group.exitQueue.remove(this.#waiter);
    this.#query.reply(this.#group.exitStatus);
  }
}

function endOf(group: ThreadGroup, query: Query): unknown {
  if (group.liveCount === 0) return group.exitStatus;
  new EndOfProcess(group, query);
  return LATER;
}

function wait(container: Container, query: Query): unknown {
  if (container.exitStatus >= 0) return container.exitStatus;
  if (container.init === null) return new Refusal(`container "${container.id}" not started`);
  return endOf(container.init, query);
}

function waitPid(container: Container, query: Query, { lifecycle }: Sandbox): unknown {
  const pid = query.number("PID");
  if (pid <= 0) return new Refusal(`PID (${pid}) must be positive`);
  // One that was started over the API is kept until its end has been reported once, by its id in the root namespace.
  const watched = lifecycle.subcontainers.watchedOf(container), started = watched.findInRoot(pid);
  if (started > 0 && watched.awaitEnd(started, query.reply)) return LATER;
  const group = container.pids.threadGroup(pid);
  if (group === null) return new Refusal(`waiting for PID ${pid}: no such process`);
  if (group.container !== container) return new Refusal(`process ${pid} is part of a different container`);
  return endOf(group, query);
}

function signal(container: Container, query: Query, { kernel }: Sandbox): unknown {
  const number = query.number("Signo"), pid = query.number("PID"), mode = query.number("Mode");
  if (pid < 0) return new Refusal(`PID (${pid}) must be positive`);
  if (number < 0 || number > SIGRTMAX) return new Refusal(`invalid signal number ${number}`);
  if (container.init === null) return new Refusal(`container "${container.id}" not started`);
  if (mode === SIGNAL_MODE.DeliverToAllProcesses) {
    if (pid !== 0) return new Refusal(`PID (${pid}) cannot be set when signaling all processes`);
    for (const group of processesOf(kernel, container)) deliver(group, number);
    return {};
  }
  const group = pid === 0 ? container.init : kernel.rootPids.threadGroup(pid);
  if (group === null || group.liveCount === 0) {
    return new Refusal(
      pid === 0 ? `container "${container.id}" has stopped` : `no such process with PID ${pid}`,
    );
  }
  if (group.container !== container) return new Refusal(`process ${pid} is part of a different container`);
  switch (mode) {
    case SIGNAL_MODE.DeliverToProcess:
      deliver(group, number);
      return {};
    case SIGNAL_MODE.DeliverToForegroundProcessGroup: {
      const terminal = group.session.terminal;
      const foreground = terminal === null ? container.foregroundGroup : terminal.foreground;
      if (terminal === null && foreground === null) return new Refusal("no TTY attached");
      if (foreground === null) deliver(group, number);
      else deliverToGroup(foreground, number);
      return {};
    }
    case SIGNAL_MODE.DeliverToProcessGroup:
      deliverToGroup(group.processGroup, number);
      return {};
    default:
      return new Refusal(describeSignalMode(mode));
  }
}

/** Signal 0 asks whether there is somebody. */
function deliver(group: ThreadGroup, number: number): void {
  if (number !== 0 && group.liveCount > 0) sendGroupSignal(group, number, SI_USER);
}

function deliverToGroup(group: ProcessGroup, number: number): void {
  if (number !== 0) sendProcessGroupSignal(group, number, SI_USER);
}

/** A container whose start and end the caller has not seen. */
const runtimeState: Service = ({ kernel }, query) => {
  const container = kernel.containers.get(query.text);
  if (container === undefined) return notFound(query.text);
  if (container.exitStatus >= 0) return RUNTIME_STATE.STOPPED;
  return container.init === null || container.isHeld ? RUNTIME_STATE.CREATING : RUNTIME_STATE.RUNNING;
};

/** Answered when its init runs, or will not. */
function start(container: Container, query: Query, { lifecycle }: Sandbox): unknown {
  const onStarted = (failure: StartError | null) =>
    query.reply(failure === null ? {} : new Refusal(failure.message));
  return lifecycle.start(container, onStarted) ? LATER : new Refusal("sandbox is not in created state");
}

/** All containers, answered when no task of theirs runs guest code. */
const pause: Service = ({ kernel }, query) => {
  const running = [...kernel.containers.values()].filter((container) => !container.isPaused);
  if (running.length === 0) return new Refusal("cannot pause sandbox in state paused");
  let left = running.length;
  const onPaused = () => {
    if (--left === 0) query.reply({});
  };
  for (const container of running) pauseContainer(container, onPaused);
  return LATER;
};

const resume: Service = ({ kernel }) => {
  const paused = [...kernel.containers.values()].filter((container) => container.isPaused);
  if (paused.length === 0) return new Refusal("cannot resume sandbox in state running");
  for (const container of paused) resumeContainer(container);
  return {};
};

export const CONTAINERS: Services = {
  "Lifecycle.Pause": pause,
  "Lifecycle.Resume": resume,
  "containerManager.Pause": pause,
  "containerManager.Resume": resume,
  "containerManager.StartRoot": ofContainer(itself, start),
  "containerManager.ExecuteAsync": ofContainer((query) => query.string("ContainerID"), execute),
  "containerManager.ContainerRuntimeState": runtimeState,
  "containerManager.Event": ofContainer(itself, (container, _query, sandbox) => event(container, sandbox)),
  "containerManager.Processes": processes,
  "containerManager.Signal": ofContainer((query) => query.string("CID"), signal),
  "containerManager.Wait": ofContainer(itself, wait),
  "containerManager.WaitPID": ofContainer((query) => query.string("CID"), waitPid),
};
