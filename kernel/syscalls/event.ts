// eventfd(2), signalfd(2), pidfd_open(2) and variants. io.ts reads and writes them.

import { EBADF, EFAULT, EINVAL, ENOENT, ESRCH } from "../abi/errno.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE, O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../abi/file.ts";
import { SFD_CLOEXEC, SFD_NONBLOCK } from "../abi/signal.ts";
import { u32 } from "../abi/struct.ts";
import { EventFile } from "../fs/anonymous/eventfd.ts";
import { PidFile } from "../fs/anonymous/pidfd.ts";
import { SignalFile } from "../fs/anonymous/signalfd.ts";
import type { Task } from "../task/task.ts";
import { mayTrace, REALCREDS } from "../task/trace_access.ts";
import type { File } from "../vfs/file.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const SIGSET_BYTES = 8;

export const EVENT_CALLS: SyscallFamily = {
  eventfd: {
    nr: { x64: 284 },
    args: { initval: "uint" },
    returns: "fd",
    support: FULL,
    run: eventfd,
  },
  eventfd2: {
    nr: { x64: 290, arm64: 19 },
    args: { initval: "uint", flags: { flags: { EFD_SEMAPHORE, EFD_CLOEXEC, EFD_NONBLOCK } } },
    returns: "fd",
    support: FULL,
    run: eventfd2,
  },
  signalfd: {
    nr: { x64: 282 },
    args: { fd: "fd", mask: { in: SIGSET_BYTES }, sizemask: "size" },
    returns: "fd",
    support: FULL,
    run: signalfd,
  },
  signalfd4: {
    nr: { x64: 289, arm64: 74 },
    args: {
      fd: "fd",
      mask: { in: SIGSET_BYTES },
      sizemask: "size",
      flags: { flags: { SFD_CLOEXEC, SFD_NONBLOCK } },
    },
    returns: "fd",
    support: FULL,
    run: signalfd4,
  },
  pidfd_open: {
    nr: { x64: 434, arm64: 434 },
    args: { pid: "pid", flags: { flags: { PIDFD_NONBLOCK: O_NONBLOCK } } },
    returns: "fd",
    support: partial("no PIDFD_THREAD"),
    run: pidfdOpen,
  },
  pidfd_getfd: {
    nr: { x64: 438, arm64: 438 },
    args: { pidfd: "fd", targetfd: "int", flags: "uint" },
    returns: "fd",
    support: FULL,
    run: pidfdGetfd,
  },
};

/** Installs a new file at the lowest free descriptor. */
export function install(task: Task, file: File, closesOnExec: boolean): number {
  const fd = task.files.allocate(task, file, closesOnExec);
  if (fd < 0) file.drop();
  return fd;
}

function eventfd(task: Task, args: Args): number {
  return install(task, new EventFile(task.kernel, args.u32(0), 0, O_RDWR), false);
}

function eventfd2(task: Task, args: Args): number {
  const flags = args.u32(1);
  if ((flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) !== 0) return -EINVAL;
  const file = new EventFile(task.kernel, args.u32(0), flags, O_RDWR | (flags & EFD_NONBLOCK));
  return install(task, file, (flags & EFD_CLOEXEC) !== 0);
}

function signalfd(task: Task, args: Args): number {
  return openSignalfd(task, args, 0);
}

function signalfd4(task: Task, args: Args): number {
  return openSignalfd(task, args, args.u32(3));
}

function openSignalfd(task: Task, args: Args, flags: number): number {
  if (args.word(2) !== SIGSET_BYTES) return -EINVAL;
  const at = task.memory.inView(args.word(1), SIGSET_BYTES);
  if (at < 0) return -EFAULT;
  const low = u32(task.memory.view, at), high = u32(task.memory.view, at + 4);
  if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) !== 0) return -EINVAL;
  const fd = args.i32(0);
  if (fd === -1) {
    const file = new SignalFile(task, O_RDWR | (flags & O_NONBLOCK));
    file.setMask(low, high);
    return install(task, file, (flags & O_CLOEXEC) !== 0);
  }
  const file = task.files.getOpen(fd);
  if (file === null) return -EBADF;
  if (!(file instanceof SignalFile)) return -EINVAL;
  file.setMask(low, high);
  return fd;
}

function pidfdOpen(task: Task, args: Args): number {
  const pid = args.i32(0), flags = args.u32(1);
  if ((flags & ~O_NONBLOCK) !== 0 || pid <= 0) return -EINVAL;
  const found = task.pid.namespace.task(pid);
  if (found === null) return -ESRCH;
  if (found.threadGroup.leader !== found) return -ENOENT;
  if (found.threadGroup.isReaped) return -ESRCH;
  return install(task, new PidFile(found.threadGroup, O_RDWR | flags), true);
}

function pidfdGetfd(task: Task, args: Args): number {
  if (args.u32(2) !== 0) return -EINVAL;
  const pidfd = task.files.getOpen(args.i32(0));
  if (!(pidfd instanceof PidFile)) return -EBADF;
  const target = pidfd.threadGroup.liveTask();
  if (target === null) return -ESRCH;
  const refused = mayTrace(task, target, REALCREDS);
  if (refused < 0) return refused;
  const file = target.files.get(args.i32(1));
  if (file === null) return -EBADF;
  file.hold();
  return install(task, file, true);
}
