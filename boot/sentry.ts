// The sentry role: confines itself, builds the kernel, tells the CLI that it stands, runs guests until init has ended.

import { NativeHost } from "../native/host.ts";
import { CONTINUATIONS } from "../kernel/syscalls/continuations.ts";
import { FAMILIES } from "../kernel/syscalls/families.ts";
import { SYSCALLS_MAX } from "../kernel/syscalls/table.ts";
import { SyscallTable } from "../kernel/syscalls/dispatch.ts";
import { marshallingOf } from "../kernel/syscalls/marshalling.ts";
import { UnsupportedCalls } from "../kernel/trace/unsupported_calls.ts";
import type { Container } from "../kernel/container.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { errnoName } from "../kernel/abi/errno.ts";
import { SIGKILL, SIGWINCH } from "../kernel/abi/signal.ts";
import { signalDescriptor } from "../native/terminal.ts";
import { HOST_READ } from "../kernel/host/host_descriptor.ts";
import type { Netstack } from "../kernel/socket/inet/room.ts";
import { watchMemory } from "../kernel/task/memory_pressure.ts";
import type { Deadlined } from "../kernel/util/deadline_heap.ts";
import { runLoop } from "../kernel/task/run_loop.ts";
import { createPlatform } from "../platform/probe.ts";
import { copyDescriptor } from "../native/process.ts";
import { startWatchdog } from "../native/watchdog.ts";
import { confineSentryCalls, confineSentryEarly, confineSentryProcesses } from "./confinement.ts";
import { connectToGofer, startContainer } from "./container.ts";
import { send } from "./control/channel.ts";
import { printable } from "./control/printable.ts";
import { HELLO, SENTRY_PREFERENCE } from "./control/protocol.ts";
import { SERVICES } from "./control/services/all.ts";
import { CallTimes } from "./control/services/call_times.ts";
import { ControlServer } from "./control/server.ts";
import { bootKernel, endKernel } from "./kernel.ts";
import { SandboxNetwork } from "./net/sandbox_network.ts";
import { LOG_LEVEL, SandboxLog } from "./sandbox_log.ts";
import { Services } from "./services.ts";
import { SENTRY_GOFER, SENTRY_LOG, SENTRY_PASSED, type SentryConfig } from "./sentry_config.ts";
import { Stages } from "./stages.ts";
import { awaitHello, awaitSetup, ROLE_FDS } from "./setup.ts";
import { ownPassed, ownStdio } from "./stdio.ts";
import { StartError } from "./start_error.ts";

/** Of the process: nobody's, but that a crash of the runtime is written to the log. */
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;

/** Runs a container. Ends the process. `readNetstack` is called while files can be opened; what it gives, once at most. */
export function runSentry(readNetstack: (host: NativeHost) => () => Netstack): never {
  const stages = new Stages("sentry");
  const host = new NativeHost();
  const log = (text: string) => {
    // A stack of ours has further lines; a guest whose name has one cannot make it look like a line of ours.
    const bytes = new TextEncoder().encode(`${text.split("\n").map(printable).join("\n  ")}\n`);
    host.write(ROLE_FDS.log, bytes, 0, bytes.length);
  };
  let shutdown = () => {};
  try {
    const hello = awaitHello(host);
    if (hello === null) Deno.exit(0);
    // All that needs no configuration comes first: the command line is reading it meanwhile.
    const loadNetstack = readNetstack(host);
    confineSentryEarly(hello);
    stages.reach("it is confined but for its calls");
    const preference = (hello & HELLO.PREFERRED) === 0 ? 0 : SENTRY_PREFERENCE;
    let platform = (hello & HELLO.SYSTRAP) === 0 ? null : createPlatform("systrap", log, preference, "own");
    shutdown = () => platform?.shutdown();
    const table = new SyscallTable(FAMILIES, CONTINUATIONS);
    const nameOf = (number: number) =>
      table.name(number) ?? (number < SYSCALLS_MAX ? `call ${number}` : "calls beyond the table");
    const marshalling = marshallingOf(table);
    let first = platform === null ? null : platform.createAddressSpace();
    stages.reach("it is ready to be told what to run");
    const setup = awaitSetup<SentryConfig>(host);
    stages.reach("it is told");
    if (setup === null) {
      shutdown();
      Deno.exit(0);
    }
    const { config, fds } = setup;
    const stdio = fds.slice(0, SENTRY_LOG), logFd = fds[SENTRY_LOG];
    copyDescriptor(logFd, ROLE_FDS.log);
    copyDescriptor(logFd, STDERR);
    host.close(logFd);
    // The container's terminal, where it was made the controlling one at the start.
    copyDescriptor(STDOUT, STDIN);
    confineSentryProcesses(config, hello, platform);
    const unknown = config.straceCalls.find((name) => !table.specs.some((named) => named?.name === name));
    if (unknown !== undefined) throw new StartError(`--strace-syscalls: there is no call "${unknown}"`, 128);
    if (config.platform === "systrap" && config.stubCalls !== "own") {
      // The first stub has its filter already.
      platform?.shutdown();
      platform = first = null;
    }
    platform ??= createPlatform(config.platform, log, preference, config.stubCalls);
    if (!config.mayPatch) platform.mayPatch = false;
    platform.setMarshalling(marshalling);
    first ??= platform.createAddressSpace();
    if (typeof first === "number") {
      throw new StartError(`Cannot make an address space: ${errnoName(-first)}`, 128);
    }
    const kernel = bootKernel(config, host, platform, log, loadNetstack);
    new UnsupportedCalls(kernel.callHooks, table);
    const sandboxLog = new SandboxLog(
      kernel.callHooks,
      table,
      config.isDebug ? LOG_LEVEL.DEBUG : LOG_LEVEL.INFO,
      log,
    );
    if (config.strace) sandboxLog.trace(config.straceCalls);
    const lifecycle = new Services(kernel, host);
    const control = serveControl(kernel, host, lifecycle);
    const network = new SandboxNetwork(kernel, host);
    const callTimes = new CallTimes(Object.keys(SERVICES));
    control.serveQueries({ kernel, host, table, log: sandboxLog, lifecycle, network, callTimes });
    reportLimits(kernel, control);
    const container = startContainer(kernel, config, {
      thread: first,
      stdio: [...ownStdio(kernel, stdio), ...ownPassed(kernel, fds.slice(SENTRY_PASSED))],
      gofer: connectToGofer(kernel, config, fds[SENTRY_GOFER]),
    });
    lifecycle.holdFor(container, config.startHooks);
    lifecycle.onStartFailed = ({ code, message }) => control.tell({ kind: "failed", code, message });
    stages.reach("kernel and first program are loaded");
    kernel.deadlines.add(new EndOfStart(host, kernel.clock.monotonic()));
    if (config.process.terminal?.isOwn === true) followTerminalSize(container);
    watchLoop(kernel, config, table);
    confineSentryCalls(config);
    control.tell({ kind: "ready" });
    stages.reach("guest code runs");
    if (config.isDebug) { for (const line of stages.take()) log(line); }
    const status = runLoop(kernel, table);
    stages.reach("init has ended");
    lifecycle.release();
    // It ends while we do.
    if (!config.isDebug) container.gofer.release();
    container.hostConsole?.drain();
    if (config.isDebug) {
      for (const line of endKernel(kernel, control.connections)) log(`Descriptor left open: ${line}`);
      stages.reach("the kernel has given everything back");
    }
    shutdown();
    stages.reach("its processes have ended");
    if (config.isDebug) {
      for (const line of stages.take()) log(line);
      for (const line of kernel.coverage.report(nameOf)) log(line);
    }
    control.tell({ kind: "exit", status });
  } catch (error) {
    shutdown();
    const isStart = error instanceof StartError;
    const message = error instanceof Error ? error.message : String(error);
    if (!isStart) log(`Failed: ${message}`);
    send(host, ROLE_FDS.control, { kind: "failed", message, code: isStart ? error.code : 128 });
    Deno.exit(1);
  }
  Deno.exit(0);
}

/** The thread that sees whether the loop turns; it cannot be made later on. */
function watchLoop(kernel: Kernel, config: SentryConfig, table: SyscallTable): void {
  const { timeoutSeconds, kills } = config.watchdog;
  const names = table.specs.map((named) => named?.name ?? "");
  const words = startWatchdog({
    timeoutSeconds,
    kills,
    control: ROLE_FDS.control,
    log: ROLE_FDS.log,
    names,
  });
  if (typeof words === "number") throw new StartError(`Cannot start the watchdog: ${errnoName(-words)}`, 128);
  kernel.heartbeat.words = words;
}

/** The start is over this long after the first program was loaded. */
const START_NANOS = 500e6;

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

/** When the command line hangs up the container goes with it. */
function serveControl(kernel: Kernel, host: NativeHost, services: Services): ControlServer {
  const onEnd = () => {
    kernel.exitStatus = SIGKILL;
  };
  return new ControlServer(
    kernel,
    host,
    ROLE_FDS.control,
    (...request) => services.serve(...request),
    (caller) => services.hangUp(caller),
    onEnd,
  );
}

/** Sentences told to the command line at most, so that a guest that meets a limit again and again does not flood it. */
const NOTICES_MAX = 16;

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
