// A sandbox's kernel with its root container, from what it is made of to its end: gVisor's boot.Loader. The sentry's process
// (sentry.ts) brings a platform and what it was given.

import { errnoName } from "../kernel/abi/errno.ts";
import { SIGKILL, SIGWINCH } from "../kernel/abi/signal.ts";
import type { Container } from "../kernel/container.ts";
import { HOST_READ } from "../kernel/host/host_descriptor.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Netstack } from "../kernel/socket/inet/room.ts";
import type { SyscallTable } from "../kernel/syscalls/dispatch.ts";
import { SYSCALLS_MAX } from "../kernel/syscalls/table.ts";
import { watchMemory } from "../kernel/task/memory_pressure.ts";
import { runLoop, turn } from "../kernel/task/run_loop.ts";
import { StepMeter } from "../kernel/task/step_meter.ts";
import { Obituary } from "../kernel/trace/obituary.ts";
import { UnsupportedCalls } from "../kernel/trace/unsupported_calls.ts";
import type { Deadlined } from "../kernel/util/deadline_heap.ts";
import type { NativeHost } from "../native/host.ts";
import { signalDescriptor } from "../native/terminal.ts";
import { startWatchdog } from "../native/watchdog.ts";
import type { GuestThread, Platform } from "../platform/platform.ts";
import type { Args } from "./api/args.ts";
import { confineSentryCalls } from "./confinement.ts";
import { connectToGofer, startContainer } from "./container.ts";
import { ControlServer } from "./control/server.ts";
import { SERVICES } from "./control/services/all.ts";
import { CallTimes } from "./control/services/call_times.ts";
import { exportFile } from "./export.ts";
import { bootKernel, endKernel } from "./kernel.ts";
import { SandboxNetwork } from "./net/sandbox_network.ts";
import { LOG_LEVEL, SandboxLog } from "./sandbox_log.ts";
import type { ContainerConfig, RunExtras, SentryConfig } from "./sentry_config.ts";
import { Services } from "./services.ts";
import { ROLE_FDS } from "./setup.ts";
import { StartError } from "./start_error.ts";
import { ownPassed, ownStdio } from "./stdio.ts";
import { TimeLimit } from "./time_limit.ts";

/** Of a sandbox: its root container, and the configuration of the whole. */
export type LoaderArgs = Args<ContainerConfig & Partial<RunExtras>, SentryConfig>;

/** What it runs on. */
export interface Machine {
  readonly host: NativeHost;
  readonly platform: Platform;
  readonly table: SyscallTable;
  /** First thread of an address space, for the root container's init. */
  readonly first: GuestThread;
  /** Called at first use. */
  readonly loadNetstack: () => Netstack;
  readonly log: (text: string) => void;
}

/** The start is over this long after the first program was loaded. */
const START_NANOS = 500e6;
/** Sentences sent to the command line at most, so that a guest that meets a limit again and again does not flood it. */
const NOTICES_MAX = 16;

export class Loader {
  readonly kernel: Kernel;
  readonly container: Container;
  readonly #conf: SentryConfig;
  readonly #table: SyscallTable;
  readonly #services: Services;
  readonly #control: ControlServer;
  /** Called when everything is made and open, before the process forbids itself all calls but those on its list. */
  preSeccompCallback: () => void = () => {};

  /**
   * Makes the kernel and loads the root container's program, which runs no sooner than run(). Takes the descriptors over. Throws
   * StartError with one sentence for the user.
   */
  static create(args: LoaderArgs, machine: Machine): Loader {
    return new Loader(args, machine);
  }

  private constructor(args: LoaderArgs, { host, platform, table, first, loadNetstack, log }: Machine) {
    const { conf, spec } = args;
    const kernel = bootKernel(conf, host, platform, log, loadNetstack);
    this.kernel = kernel;
    this.#conf = conf;
    this.#table = table;
    new UnsupportedCalls(kernel.callHooks, table);
    const level = conf.isDebug ? LOG_LEVEL.DEBUG : LOG_LEVEL.INFO;
    const sandboxLog = new SandboxLog(kernel, table, level, conf.straceStyle, log);
    if (conf.strace) sandboxLog.trace(conf.straceCalls);
    this.#services = new Services(kernel, host);
    this.#control = serveControl(kernel, host, args.controllerFd, this.#services);
    this.#control.serveQueries({
      kernel,
      host,
      table,
      log: sandboxLog,
      lifecycle: this.#services,
      network: new SandboxNetwork(kernel, host),
      callTimes: new CallTimes(Object.keys(SERVICES)),
    });
    reportLimits(kernel, this.#control);
    const passed = args.passFds.map(({ host }) => host), passedAs = args.passFds.map(({ guest }) => guest);
    this.container = startContainer(kernel, { ...spec, process: { ...spec.process, passedAs } }, {
      thread: first,
      stdio: [...ownStdio(kernel, args.stdioFds), ...ownPassed(kernel, passed)],
      gofer: connectToGofer(kernel, spec, args.goferFds[0]),
    });
    this.#services.holdFor(this.container, spec.startHooks);
    this.#services.onStartFailed = ({ code, message }) =>
      this.#control.tell({ kind: "failed", code, message });
    kernel.deadlines.add(new EndOfStart(host, kernel.clock.monotonic()));
    if (spec.process.terminal?.isOwn === true) followTerminalSize(this.container);
  }

  /**
   * Gives up what the process needs no more, and says that the sandbox stands. gVisor waits for the start signal before; a
   * sandbox here is confined while it waits.
   */
  run(): void {
    watchLoop(this.kernel, this.#conf, this.#table);
    this.preSeccompCallback();
    confineSentryCalls(this.#conf);
    this.#control.tell({ kind: "ready" });
  }

  /** Serves the control API until the root container is to run, or has ended before. */
  waitForStartSignal(): void {
    const { kernel, container } = this;
    while (container.isHeld && kernel.exitStatus < 0) turn(kernel, this.#table, true);
  }

  /** Runs guests until the root container has ended: its wait(2) status. */
  waitExit(): number {
    const { timeoutSeconds } = this.#conf;
    if (timeoutSeconds > 0) this.kernel.deadlines.add(new TimeLimit(this.container, timeoutSeconds));
    const obituary = this.#conf.explains ? new Obituary((number) => callName(this.#table, number)) : null;
    if (obituary !== null) this.kernel.witnesses.push(obituary);
    const status = runLoop(this.kernel, this.#table);
    const line = obituary?.lineOf(status, this.kernel.coverage) ?? null;
    if (line !== null) this.kernel.notice(line);
    return status;
  }

  /** Copies the files that are asked for into `fds`, one after the other, and tells how each has fared. */
  exportOutputs(fds: readonly number[]): void {
    const { host } = this.kernel, init = this.container.initTask!;
    for (const [index, path] of this.#conf.outputs.entries()) {
      this.#control.tell({
        kind: "exported",
        index,
        ...exportFile(this.container, init, path, host, fds[index]),
      });
      host.close(fds[index]);
    }
  }

  /** Writes what is left of output; with --debug ends the kernel in order, and logs each descriptor that is still open. */
  destroy(): string[] {
    const { kernel, container } = this;
    this.#services.release();
    // It ends while we do.
    if (!this.#conf.isDebug) container.gofer.release();
    container.hostConsole?.drain();
    return this.#conf.isDebug ? endKernel(kernel, this.#control.connections) : [];
  }

  /** The last word to who waits: the root container's status. */
  tellExit(status: number): void {
    this.#control.tell({ kind: "exit", status });
  }
}

function callName(table: SyscallTable, number: number): string {
  return table.name(number) ?? (number < SYSCALLS_MAX ? `number ${number}` : "numbers beyond the table");
}

/** When the command line hangs up the container goes with it. */
function serveControl(kernel: Kernel, host: NativeHost, socket: number, services: Services): ControlServer {
  const onEnd = () => {
    kernel.exitStatus = SIGKILL;
  };
  return new ControlServer(
    kernel,
    host,
    socket,
    (...request) => services.serve(...request),
    (caller) => services.hangUp(caller),
    onEnd,
  );
}

/** The thread that sees whether the loop turns; it cannot be made later on. */
function watchLoop(kernel: Kernel, { watchdog }: SentryConfig, table: SyscallTable): void {
  const words = startWatchdog({
    timeoutSeconds: watchdog.timeoutSeconds,
    kills: watchdog.kills,
    control: ROLE_FDS.control,
    log: ROLE_FDS.log,
    names: table.specs.map((named) => named?.name ?? ""),
  });
  if (typeof words === "number") throw new StartError(`Cannot start the watchdog: ${errnoName(-words)}`, 128);
  if (watchdog.stepMillis > 0) {
    kernel.heartbeat = measureSteps(kernel, watchdog.stepMillis, (number) => callName(table, number));
  }
  kernel.heartbeat.words = words;
}

/** Logs the steps of the loop that use more than `millis` of CPU time. */
function measureSteps(kernel: Kernel, millis: number, nameOf: (number: number) => string): StepMeter {
  return new StepMeter(millis * 1e6, () => kernel.platform.busyNanos(), ({ nanos, steps, tid, number }) => {
    const what = steps === 1 ? "a step" : `a turn of ${steps} steps`;
    const name = kernel.tasks.get(tid)?.name ?? "ended";
    const place = tid === 0 ? "between calls" : `task ${tid} (${name}), call ${number} (${nameOf(number)})`;
    kernel.log(`Watchdog: ${what} took ${(nanos / 1e6).toFixed(1)} ms of CPU time: ${place}`);
  });
}

/** What only the start has needed goes back to the host when it is over. */
class EndOfStart implements Deadlined {
  readonly deadline: number;
  deadlineIndex = -1;
  readonly #host: NativeHost;

  constructor(host: NativeHost, now: number) {
    this.#host = host;
    this.deadline = now + START_NANOS;
  }

  onDeadline(): void {
    this.#host.releaseMemory();
  }
}

/** Limits that are met are the user's to know, each of them once. */
function reportLimits(kernel: Kernel, control: ControlServer): void {
  const told = new Set<string>();
  kernel.notice = (message) => {
    if (told.has(message) || told.size >= NOTICES_MAX) return;
    told.add(message);
    kernel.log(message);
    control.tell({ kind: "notice", message });
  };
  kernel.memory.onChange = (isWanted) => control.tell({ kind: "measure", isWanted });
  watchMemory(kernel);
}

/** The host's terminal is ours: the host tells us of its size by signal. */
function followTerminalSize(container: Container): void {
  const fd = signalDescriptor(SIGWINCH);
  if (fd < 0) throw new Error(`Cannot listen to SIGWINCH: ${errnoName(-fd)}`);
  const signals = container.kernel.descriptors.own(fd, "made", HOST_READ, "SIGWINCH");
  container.hostConsole!.followSize(signals);
}
