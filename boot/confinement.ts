// What each role gives up, in order. Deno's permissions come first, at its start; they are defence in depth only, as FFI
// goes past them. What holds is what the host kernel enforces:
//   spawn (native/src/spawn.rs): own namespaces, no_new_privs, no inherited descriptors, SIGUSR1 blocked
//   root directory: an empty read-only tmpfs
//   ids: nobody, which takes every capability (the sentry); DAC capabilities only (the gofer)
//   system calls: an allow-list, once everything is open

import {
  confineCalls,
  confineCapabilities,
  confineIds,
  confineRoot,
  dieWithParent,
} from "../native/process.ts";
import { GOFER_CALLS, packRules, SENTRY_CALLS } from "./seccomp_lists.ts";

const NOBODY = 65534;
/** CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, MKNOD (whiteouts). */
const GOFER_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 27;

/** The sentry before it makes its first stub: stubs are of the same user, or it could not read their memory. */
export function confineSentryEarly(): void {
  confineRoot(false);
  confineIds(NOBODY, NOBODY);
  dieWithParent();
}

/** The sentry once all is open, before guest code runs. */
export function confineSentryCalls(isLenient: boolean): void {
  settleSignals();
  confineCalls(packRules(SENTRY_CALLS), isLenient);
}

/** The gofer once its roots are open. */
export function confineGofer(isLenient: boolean): void {
  settleSignals();
  confineRoot(true);
  confineCapabilities(GOFER_CAPABILITIES, 0);
  confineCalls(packRules(GOFER_CALLS), isLenient);
}

/** Deno sets up its signal handling half a second after its start with calls we are about to forbid: have it done now. */
function settleSignals(): void {
  const nothing = () => {};
  Deno.addSignalListener("SIGWINCH", nothing);
  Deno.removeSignalListener("SIGWINCH", nothing);
}
