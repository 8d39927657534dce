// What each role gives up, in order. Deno's permissions come first, at its start; they are defence in depth only, as FFI
// goes past them. What holds is what the host kernel enforces:
//   spawn (native/src/spawn.rs): own namespaces, no_new_privs, no inherited descriptors, SIGUSR1 blocked
//   root directory: an empty read-only tmpfs
//   ids: nobody, which takes every capability (the sentry); DAC capabilities only (the gofer)
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
} from "../native/process.ts";
import { GOFER_CALLS, packRules, PTRACE_CALLS, SENTRY_CALLS } from "./seccomp_lists.ts";
import { GOFER_FDS, type GoferConfig, SENTRY_FDS, type SentryConfig } from "./sentry_config.ts";

const NOBODY = 65534;
/** CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID. (A whiteout needs no MKNOD, and devices are not to be made.) */
const GOFER_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4;
const SETGID = 1 << 6, SETUID = 1 << 7;
/** Host processes and threads beyond one per guest task: the runtime's threads, spare stubs, ended ones not yet reaped. */
const SPARE_PROCESSES = 512;

/** The sentry before it makes its first stub: stubs are of the same user, or it could not read their memory. */
export function confineSentryEarly(config: SentryConfig): void {
  confineFiles(SENTRY_FDS.firstGofer + config.gofers.length);
  confineRoot(false);
  // What is needed to become nobody is kept until that is done, and goes with it.
  confineCapabilities(config.isRootless ? 0 : SETGID | SETUID, 0);
  if (!config.isRootless) confineIds(NOBODY, NOBODY);
  confineDumps();
  if (config.hasUserNamespace) confineProcesses(config.tasksMax + SPARE_PROCESSES);
  dieWithParent();
}

/** The sentry once all is open, before guest code runs. */
export function confineSentryCalls(config: SentryConfig): void {
  settleSignals();
  const calls = config.platform === "ptrace" ? [...SENTRY_CALLS, ...PTRACE_CALLS] : SENTRY_CALLS;
  confineCalls(packRules(calls), config.isLenient);
}

/** The gofer before it opens its roots. */
export function confineGoferFiles(config: GoferConfig): void {
  confineFiles(GOFER_FDS.firstMount + config.mounts.length);
}

/** The gofer once its roots are open. */
export function confineGofer(isLenient: boolean): void {
  settleSignals();
  confineRoot(true);
  confineCapabilities(GOFER_CAPABILITIES, 0);
  confineDumps();
  confineCalls(packRules(GOFER_CALLS), isLenient);
}

/** Deno sets up its signal handling half a second after its start with calls we are about to forbid: have it done now. */
function settleSignals(): void {
  const nothing = () => {};
  Deno.addSignalListener("SIGWINCH", nothing);
  Deno.removeSignalListener("SIGWINCH", nothing);
}
