// pidfd: a descriptor that refers to a process. Linux: fs/pidfs.c, pidfd_open(2). It is readable once the process has
// exited; waitid, pidfd_send_signal and pidfd_getfd use its `threadGroup`.

import { O_RDWR, POLLHUP, POLLIN, POLLRDNORM } from "../../abi/file.ts";
import type { ThreadGroup } from "../../task/thread_group.ts";
import { AnonymousFile } from "./filesystem.ts";

export class PidFile extends AnonymousFile {
  readonly threadGroup: ThreadGroup;

  constructor(threadGroup: ThreadGroup, flags: number) {
    super(threadGroup.kernel, "[pidfd]", flags, threadGroup.exitQueue);
    this.threadGroup = threadGroup;
  }

  override readiness(): number {
    const group = this.threadGroup;
    if (group.isReaped) return POLLIN | POLLRDNORM | POLLHUP;
    return group.isZombie ? POLLIN | POLLRDNORM : 0;
  }

  override get infoText(): string {
    const group = this.threadGroup;
    return group.isReaped ? "Pid:\t-1\nNSpid:\t-1\n" : `Pid:\t${group.pid.own}\nNSpid:\t${group.pid.own}\n`;
  }
}

/** Makes the file that clone(2) returns with CLONE_PIDFD. */
export function newPidfd(group: ThreadGroup): PidFile {
  return new PidFile(group, O_RDWR);
}
