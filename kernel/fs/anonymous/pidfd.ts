// pidfd: a descriptor that refers to a process. Linux: fs/pidfs.c, pidfd_open(2). It is readable once the process has
// exited; waitid, pidfd_send_signal and pidfd_getfd use its `threadGroup`.

import { EFAULT, ENOTTY, ESRCH } from "../../abi/errno.ts";
import { O_RDWR, POLLHUP, POLLIN, POLLRDNORM } from "../../abi/file.ts";
import { put32 } from "../../abi/struct.ts";
import type { Task } from "../../task/task.ts";
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

  override ioctl(task: Task, request: number, argument: number): number {
    if ((request & 0xffff) !== GET_INFO) return super.ioctl(task, request, argument);
    return putInfo(task, this.threadGroup, argument, request >>> 16 & 0x3fff);
  }

  override get infoText(): string {
    const group = this.threadGroup;
    return group.isReaped ? "Pid:\t-1\nNSpid:\t-1\n" : `Pid:\t${group.pid.own}\nNSpid:\t${group.pid.own}\n`;
  }
}

/** PIDFD_GET_INFO without its size: ioctl_pidfd(2). */
const GET_INFO = 0xff0b;
const INFO_BYTES_MIN = 64;
const INFO = { mask: 0, pid: 16, tgid: 20, ppid: 24, ids: 28, exitCode: 60 } as const;
const WITH_PID = 1, WITH_IDS = 2, WITH_EXIT = 8;

/** PIDFD_GET_INFO with a struct of `size` bytes at `address`: pidfd_info() of fs/pidfs.c. */
function putInfo(task: Task, group: ThreadGroup, address: number, size: number): number {
  if (size < INFO_BYTES_MIN) return -ENOTTY;
  const info = new Uint8Array(size);
  if (task.memory.copyIn(address, info, 0, 8) < 0) return -EFAULT;
  const wantsExit = (info[0] & WITH_EXIT) !== 0;
  info.fill(0);
  if (group.isReaped) {
    if (!wantsExit) return -ESRCH;
    info[INFO.mask] = WITH_EXIT;
    put32(info, INFO.exitCode, group.exitStatus);
    return task.memory.copyOut(address, info, 0, size);
  }
  const pid = group.pid.in(task.pid.namespace);
  // Of a namespace that is not below the caller's.
  if (pid === 0) return -ESRCH;
  const { credentials } = group.leader;
  info[INFO.mask] = WITH_PID | WITH_IDS;
  put32(info, INFO.pid, pid);
  put32(info, INFO.tgid, pid);
  put32(info, INFO.ppid, group.parent === null ? 0 : group.parent.pid.in(task.pid.namespace));
  const { uid, gid, euid, egid, suid, sgid, fsuid, fsgid } = credentials;
  [uid, gid, euid, egid, suid, sgid, fsuid, fsgid].forEach((id, i) => put32(info, INFO.ids + 4 * i, id));
  return task.memory.copyOut(address, info, 0, size);
}

/** Makes the file that clone(2) returns with CLONE_PIDFD. */
export function newPidfd(group: ThreadGroup): PidFile {
  return new PidFile(group, O_RDWR);
}
