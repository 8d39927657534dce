// kcmp(2): whether two processes share something. Linux: kernel/kcmp.c.

import { EBADF, EFAULT, EINVAL, ENOENT, ESRCH } from "../abi/errno.ts";
import { i32, u32 } from "../abi/struct.ts";
import { EpollFile } from "../fs/anonymous/epoll.ts";
import { mayTrace, REALCREDS } from "../task/trace_access.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { partial, type SyscallFamily } from "./table.ts";

const KCMP_FILE = 0,
  KCMP_VM = 1,
  KCMP_FILES = 2,
  KCMP_FS = 3,
  KCMP_SIGHAND = 4,
  KCMP_IO = 5,
  KCMP_SYSVSEM = 6;
const KCMP_EPOLL_TFD = 7;
const TYPES = {
  KCMP_FILE,
  KCMP_VM,
  KCMP_FILES,
  KCMP_FS,
  KCMP_SIGHAND,
  KCMP_IO,
  KCMP_SYSVSEM,
  KCMP_EPOLL_TFD,
};
/** struct kcmp_epoll_slot: the epoll file, the descriptor it watches, which of several with that number. */
const SLOT_BYTES = 12;
const slot = new Uint8Array(SLOT_BYTES);
const EQUAL = 0, LESS = 1, GREATER = 2;

export const COMPARE_CALLS: SyscallFamily = {
  kcmp: {
    nr: { x64: 312, arm64: 272 },
    args: { pid1: "pid", pid2: "pid", type: { values: TYPES }, idx1: "word", idx2: "word" },
    returns: "int",
    support: partial("no process has an I/O context"),
    run: kcmp,
  },
};

function kcmp(task: Task, args: Args): number {
  const { pids } = task.pid.namespace;
  const first = pids.get(args.i32(0))?.task ?? null, second = pids.get(args.i32(1))?.task ?? null;
  if (first === null || second === null) return -ESRCH;
  const refused = mayTrace(task, first, REALCREDS) || mayTrace(task, second, REALCREDS);
  if (refused < 0) return refused;
  switch (args.i32(2)) {
    case KCMP_FILE: {
      const a = first.files.get(args.u32(3)), b = second.files.get(args.u32(4));
      return a === null || b === null ? -EBADF : compare(task, a, b);
    }
    case KCMP_VM:
      return compare(task, first.mm, second.mm);
    case KCMP_FILES:
      return compare(task, first.files, second.files);
    case KCMP_FS:
      return compare(task, first.fs, second.fs);
    case KCMP_SIGHAND:
      return compare(task, first.threadGroup.actions, second.threadGroup.actions);
    case KCMP_IO:
      return EQUAL;
    case KCMP_SYSVSEM:
      return compare(task, first.threadGroup.semaphoreUndo, second.threadGroup.semaphoreUndo);
    case KCMP_EPOLL_TFD:
      return compareTarget(task, first, second, args);
    default:
      return -EINVAL;
  }
}

/** A file of the first process with one that an epoll file of the second watches: kcmp_epoll_target(). */
function compareTarget(task: Task, first: Task, second: Task, args: Args): number {
  if (task.memory.copyIn(args.word(4), slot, 0, SLOT_BYTES) < 0) return -EFAULT;
  const file = first.files.get(args.u32(3)), epoll = second.files.get(i32(slot, 0));
  if (file === null || epoll === null) return -EBADF;
  if (!(epoll instanceof EpollFile)) return -EINVAL;
  const target = epoll.target(i32(slot, 4), u32(slot, 8));
  return target === null ? -ENOENT : compare(task, file, target);
}

/** The order means nothing, but is the same each time. */
function compare(task: Task, a: object | null, b: object | null): number {
  if (a === b) return EQUAL;
  const order = task.kernel.objectOrder;
  return (a === null ? 0 : order.numberOf(a)) < (b === null ? 0 : order.numberOf(b)) ? LESS : GREATER;
}
