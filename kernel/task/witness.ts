// Who hears of signals that are acted upon and of how tasks end: strace, and whoever is to say why a program has died. Linux: the
// tracepoint signal_deliver, and PTRACE_EVENT_EXIT.

import type { SignalInfo } from "../signal/signal_info.ts";
import type { Task } from "./task.ts";

export interface Witness {
  /** `task` takes `info` off its queue, and does not ignore it. */
  onSignal?(task: Task, info: SignalInfo): void;
  /** The host's process of `task` has gone, and it with that. */
  onLost?(task: Task): void;
  /** `task` ends with `status`, in wait(2) form; it still has its memory and files. */
  onTaskExit?(task: Task, status: number): void;
}
