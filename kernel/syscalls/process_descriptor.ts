// pidfds in clone(2), waitid(2) and pidfd_send_signal(2). fs/anonymous/pidfd.ts is the file itself.

import { EBADF, EFAULT } from "../abi/errno.ts";
import { O_NONBLOCK, O_PATH } from "../abi/file.ts";
import { put32 } from "../abi/struct.ts";
import { newPidfd, PidFile } from "../fs/anonymous/pidfd.ts";
import { ProcessDirectory } from "../fs/proc/proc_task.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import { FILE } from "./file_wait.ts";

const bytes = new Uint8Array(4);

/** The process that a pidfd refers to, or -EBADF. A call that waits keeps its pidfd. */
export function pidfdTarget(task: Task, fd: number): ThreadGroup | number {
  const file = task.call.file(FILE, fd);
  return file instanceof PidFile ? file.threadGroup : -EBADF;
}

/**
 * As pidfdTarget(); pidfd_send_signal(2) also takes an open /proc/PID directory, which was the only form before
 * pidfd_open(2).
 */
export function signalTarget(task: Task, fd: number): ThreadGroup | number {
  const file = task.files.get(fd);
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  const { inode } = file;
  return inode instanceof ProcessDirectory && !inode.isThread
    ? inode.task.threadGroup
    : pidfdTarget(task, fd);
}

/** Whether waitid(2) on a pidfd with O_NONBLOCK answers EAGAIN instead of waiting. */
export function isNonblockingPidfd(task: Task, fd: number): boolean {
  const file = task.call.file(FILE, fd);
  return file !== null && (file.flags & O_NONBLOCK) !== 0;
}

/** CLONE_PIDFD: opens a descriptor for the child in the parent's table and stores its number at `address`. */
export function openPidfd(address: number): (task: Task, child: Task) => number {
  return (task, child) => {
    const file = newPidfd(child.threadGroup);
    const fd = task.files.allocate(task, file, true);
    if (fd < 0) {
      file.drop();
      return fd;
    }
    put32(bytes, 0, fd);
    // Stored before the child runs: a bad address must leave no child.
    if (task.mm.space.write(address, bytes, 0, 4) === 4) return 0;
    task.files.close(task, fd);
    return -EFAULT;
  };
}
