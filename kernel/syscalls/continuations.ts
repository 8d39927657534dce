// The list of continuations: how calls continue after a wait if they are not simply made again. A saved wait names
// its continuation, so each must be listed here.

import { CLONE_CONTINUATIONS } from "../task/clone.ts";
import { EXEC_CONTINUATIONS } from "../task/exec.ts";
import { FUTEX_CONTINUATIONS } from "../task/futex.ts";
import { FUTEX_LOCK_CONTINUATIONS } from "../task/futex_pi.ts";
import { FUTEX_REQUEUE_CONTINUATIONS } from "../task/futex_requeue_pi.ts";
import type { Continuation } from "../task/call_in_flight.ts";
import { LOCK_CONTINUATIONS } from "./lock.ts";
import { PAGING_CONTINUATIONS } from "./paging.ts";
import { POLL_CONTINUATIONS } from "./poll.ts";
import { SIGNAL_CONTINUATIONS } from "./signal.ts";
import { SLEEP_CONTINUATIONS } from "./time.ts";

export const CONTINUATIONS: readonly Continuation[] = [
  ...CLONE_CONTINUATIONS,
  ...EXEC_CONTINUATIONS,
  ...FUTEX_CONTINUATIONS,
  ...FUTEX_LOCK_CONTINUATIONS,
  ...FUTEX_REQUEUE_CONTINUATIONS,
  ...LOCK_CONTINUATIONS,
  ...PAGING_CONTINUATIONS,
  ...POLL_CONTINUATIONS,
  ...SIGNAL_CONTINUATIONS,
  ...SLEEP_CONTINUATIONS,
];
