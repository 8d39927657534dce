// Who may send a signal to whom. Linux: check_kill_permission(); kill(2).

import { EINVAL, EPERM } from "../abi/errno.ts";
import { SIGCONT, SIGRTMAX } from "../abi/signal.ts";
import { CAP_KILL } from "../abi/task.ts";
import { hasCapability } from "../task/credentials.ts";
import type { Task } from "../task/task.ts";

/** 0 when `sender` may send `signal` to the process of `target`, -EINVAL for no signal, -EPERM. */
export function maySignal(sender: Task, target: Task, signal: number): number {
  if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
  if (sender.threadGroup === target.threadGroup) return 0;
  const from = sender.credentials;
  const to = target.credentials;
  if (from.euid === to.suid || from.euid === to.uid || from.uid === to.suid || from.uid === to.uid) return 0;
  if (hasCapability(from, CAP_KILL)) return 0;
  if (signal === SIGCONT && sender.threadGroup.session === target.threadGroup.session) return 0;
  return -EPERM;
}
