// What each role gives up, in order. Deno's permissions come first, at its start; they are defence in depth only, as FFI
// goes past them. What holds is what the host kernel enforces:
//   spawn (native/src/spawn.rs): own namespaces, no_new_privs, no inherited descriptors, SIGUSR1 blocked
//   root directory: a read-only tmpfs with nothing in it but /proc of the own processes
//   ids: nobody, which takes every capability (the sentry); DAC capabilities in its own user namespace only (the gofer)
//   system calls: an allow-list, once everything is open

import {
  confineCalls,
  confineCapabilities,
  confineDumps,
  confineFiles,
  confineIds,
  confineProcesses,
  confineRoot,
  dieWithParent,
  sharedRegion,
} from "../native/process.ts";
import type { Platform } from "../platform/platform.ts";
import { HELLO } from "./control/protocol.ts";
import {
  CONTROLLER_CALLS,
  goferCalls,
  packRules,
  PTRACE_CALLS,
  RELAY_CALLS,
  sentryCalls,
} from "./seccomp_lists.ts";
import type { SentryConfig } from "./sentry_config.ts";
import { ROLE_FDS } from "./setup.ts";

const NOBODY = 65534;
/** CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID. (A whiteout needs no MKNOD, and devices are not to be made.) */
const GOFER_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4;
const SETGID = 1 << 6, SETUID = 1 << 7;
/** Host processes and threads beyond one per guest task: the runtime's threads, spare stubs, ended ones not yet reaped. */
const SPARE_PROCESSES = 512;

/**
 * The sentry before it makes its first stub: stubs are of the same user, or it could not read their memory. `hello` is what it
 * got at its start (HELLO); it has no other configuration yet.
 */
export function confineSentryEarly(hello: number): void {
  const isRootless = (hello & HELLO.ROOTLESS) !== 0;
  confineFiles(ROLE_FDS.first);
  // /proc, of its own processes only: by it memory files are opened for reading only, for stubs, and
  // what the host counts of stubs (CPU time, faults) is read.
  confineRoot(true);
  // What is needed to become nobody is kept until that is done, and goes with it.
  confineCapabilities(isRootless ? 0 : SETGID | SETUID, 0);
  if (!isRootless) confineIds(NOBODY, NOBODY);
  confineDumps();
  dieWithParent();
}

/** What all processes and threads of the sandbox may be, where they are counted apart from the host's. */
export function confineSentryProcesses(config: SentryConfig, hello: number, platform: Platform | null): void {
  if ((hello & HELLO.USER_NAMESPACE) === 0) return;
  const most = config.processesMax + SPARE_PROCESSES;
  confineProcesses(most);
  // A limit is inherited: the first stubs are there already.
  platform?.limitProcesses(most);
}

/** The sentry once all is open, before guest code runs. */
export function confineSentryCalls(config: SentryConfig): void {
  settleSignals();
  const calls = [...sentryCalls(sharedRegion()), ...config.platform === "ptrace" ? PTRACE_CALLS : []];
  confineCalls(packRules(calls), config.isLenient);
}

/** The gofer before it opens its roots. */
export function confineGoferFiles(): void {
  confineFiles(ROLE_FDS.first);
}

/** The gofer once its roots are open. `startWorkers` makes its threads: later it can make none, and they have these rights. */
export function confineGofer(isLenient: boolean, startWorkers: () => void): void {
  settleSignals();
  confineRoot(true);
  confineCapabilities(GOFER_CAPABILITIES, 0);
  confineDumps();
  const region = sharedRegion();
  startWorkers();
  confineCalls(packRules(goferCalls(region)), isLenient);
}

/** The controller, which has all it needs: `first` is the number after its last descriptor. */
export function confineController(first: number): void {
  settleSignals();
  confineFiles(first);
  confineRoot(false);
  confineCapabilities(0, 0);
  confineDumps();
  confineCalls(packRules(CONTROLLER_CALLS), false);
}

/** The relay, which has all it needs: `first` is the number after its last descriptor. Its network is the caller's. */
export function confineRelay(first: number, isLenient: boolean): void {
  settleSignals();
  confineFiles(first);
  confineRoot(false);
  confineCapabilities(0, 0);
  confineDumps();
  confineCalls(packRules(RELAY_CALLS), isLenient);
}

/** Deno sets up its signal handling half a second after its start with calls we are about to forbid: have it done now. */
function settleSignals(): void {
  const nothing = () => {};
  Deno.addSignalListener("SIGWINCH", nothing);
  Deno.removeSignalListener("SIGWINCH", nothing);
}
