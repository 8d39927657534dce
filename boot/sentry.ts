// The sentry role: confines itself, builds the kernel, tells the CLI that it stands, runs guests until init has ended.

import { NativeHost } from "../native/host.ts";
import { CONTINUATIONS } from "../kernel/syscalls/continuations.ts";
import { FAMILIES } from "../kernel/syscalls/families.ts";
import { SYSCALLS_MAX } from "../kernel/syscalls/table.ts";
import { SyscallTable } from "../kernel/syscalls/dispatch.ts";
import { marshallingOf } from "../kernel/syscalls/marshalling.ts";
import { errnoName } from "../kernel/abi/errno.ts";
import type { Netstack } from "../kernel/socket/inet/room.ts";
import { createPlatform } from "../platform/probe.ts";
import { copyDescriptor } from "../native/process.ts";
import { confineSentryEarly, confineSentryProcesses } from "./confinement.ts";
import { OverlayMedium } from "./api/overlay_medium.ts";
import { send } from "./control/channel.ts";
import { printable } from "./control/printable.ts";
import { HELLO, SENTRY_PREFERENCE } from "./control/protocol.ts";
import { SENTRY_GOFER, SENTRY_LOG, SENTRY_PASSED, type SentryConfig } from "./sentry_config.ts";
import { Loader, type LoaderArgs } from "./loader.ts";
import { Stages } from "./stages.ts";
import { awaitHello, awaitSetup, ROLE_FDS } from "./setup.ts";
import { StartError } from "./start_error.ts";

/** Of the process: nobody's, but that a crash of the runtime is written to the log. */
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
/** Number in the guest of the first descriptor that the caller passes on. */
const FIRST_PASSED = 3;

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
    const logFd = fds[SENTRY_LOG];
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
    const loader = Loader.create(argsOf(config, fds), { host, platform, table, first, loadNetstack, log });
    loader.preSeccompCallback = () => stages.reach("kernel and first program are loaded");
    loader.run();
    stages.reach("guest code runs");
    if (config.isDebug) { for (const line of stages.take()) log(line); }
    loader.waitForStartSignal();
    const status = loader.waitExit();
    stages.reach("init has ended");
    loader.exportOutputs(outputFds(config, fds));
    for (const line of loader.destroy()) log(`Descriptor left open: ${line}`);
    if (config.isDebug) stages.reach("the kernel has given everything back");
    shutdown();
    stages.reach("its processes have ended");
    if (config.isDebug) {
      for (const line of stages.take()) log(line);
      for (const line of loader.kernel.coverage.report(nameOf)) log(line);
    }
    loader.tellExit(status);
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

/** The last of its descriptors: where files are copied to. */
function outputFds({ outputs }: SentryConfig, fds: readonly number[]): readonly number[] {
  return fds.slice(fds.length - outputs.length);
}

/** What the loader is given of the command line's configuration and descriptors. */
function argsOf(config: SentryConfig, fds: readonly number[]): LoaderArgs {
  return {
    id: config.id,
    spec: config,
    conf: config,
    controllerFd: ROLE_FDS.control,
    deviceFd: -1,
    goferFds: [fds[SENTRY_GOFER]],
    stdioFds: fds.slice(0, SENTRY_LOG),
    passFds: fds.slice(SENTRY_PASSED, fds.length - config.outputs.length).map((fd, i) => ({
      host: fd,
      guest: config.process.passedAs?.[i] ?? FIRST_PASSED + i,
    })),
    execFd: -1,
    overlayFilestoreFds: [],
    overlayMediums: [config.root.hasOverlay ? OverlayMedium.MemoryMedium : OverlayMedium.NoOverlay],
    numCpu: config.cpuCount,
    totalMem: config.memoryTotalBytes,
    totalHostMem: config.memoryTotalBytes,
    userLogFd: -1,
    productName: "",
    podInitConfigFd: -1,
    sinkFds: [],
  };
}
