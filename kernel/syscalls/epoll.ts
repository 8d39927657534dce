// The epoll family: epoll_create(2), epoll_ctl(2), epoll_wait(2) and variants. fs/anonymous/epoll.ts is the set
// itself.

import { EBADF, EFAULT, EINTR, EINVAL, EPERM } from "../abi/errno.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  O_CLOEXEC,
  O_PATH,
  O_RDWR,
  POLLIN,
} from "../abi/file.ts";
import { u32 } from "../abi/struct.ts";
import { EPOLL_DATA, EPOLL_EVENT_BYTES } from "../arch/layouts.ts";
import { EpollFile } from "../fs/anonymous/epoll.ts";
import type { Task } from "../task/task.ts";
import { suspend } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import { userAccount } from "../task/user_account.ts";
import { VIEW_MAX } from "../../platform/platform.ts";
import type { Args } from "./args.ts";
import { FILE } from "./file_wait.ts";
import { FULL, type SyscallFamily } from "./table.ts";
import {
  endSignalMask,
  isDeadlineOver,
  setMillisDeadline,
  setTimespecDeadline,
  useSignalMask,
} from "./wait_time.ts";

/** EP_MAX_EVENTS: INT_MAX / sizeof(struct epoll_event). */
const EVENTS_MAX = 178_956_970;
const EPOLL: WaitState = { kind: "epoll" };
/** Events that fit into one view of guest memory. */
const EVENTS_PER_VIEW = Math.floor(VIEW_MAX / EPOLL_EVENT_BYTES);

export const EPOLL_CALLS: SyscallFamily = {
  epoll_create: {
    nr: { x64: 213 },
    args: { size: "int" },
    returns: "fd",
    support: FULL,
    run: epollCreate,
  },
  epoll_create1: {
    nr: { x64: 291, arm64: 20 },
    args: { flags: { flags: { EPOLL_CLOEXEC: O_CLOEXEC } } },
    returns: "fd",
    support: FULL,
    run: epollCreate1,
  },
  epoll_ctl: {
    nr: { x64: 233, arm64: 21 },
    args: {
      epfd: "fd",
      op: { values: { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } },
      fd: "fd",
      event: { in: EPOLL_EVENT_BYTES },
    },
    returns: "int",
    support: FULL,
    run: epollCtl,
  },
  epoll_wait: {
    nr: { x64: 232 },
    args: { epfd: "fd", events: "word", maxevents: "int", timeout: "int" },
    returns: "int",
    support: FULL,
    run: epollWait,
  },
  epoll_pwait: {
    nr: { x64: 281, arm64: 22 },
    args: {
      epfd: "fd",
      events: "word",
      maxevents: "int",
      timeout: "int",
      sigmask: { in: 8 },
      sigsetsize: "size",
    },
    returns: "int",
    support: FULL,
    run: epollPwait,
  },
  epoll_pwait2: {
    nr: { x64: 441, arm64: 441 },
    args: {
      epfd: "fd",
      events: "word",
      maxevents: "int",
      timeout: { in: 16 },
      sigmask: { in: 8 },
      sigsetsize: "size",
    },
    returns: "int",
    support: FULL,
    run: epollPwait2,
  },
};

function epollCreate(task: Task, args: Args): number {
  return args.i32(0) <= 0 ? -EINVAL : openEpoll(task, false);
}

function epollCreate1(task: Task, args: Args): number {
  const flags = args.u32(0);
  return (flags & ~O_CLOEXEC) !== 0 ? -EINVAL : openEpoll(task, flags !== 0);
}

function openEpoll(task: Task, closesOnExec: boolean): number {
  const file = new EpollFile(task.kernel, O_RDWR, userAccount(task.kernel, task.credentials.euid));
  const fd = task.files.allocate(task, file, closesOnExec);
  if (fd < 0) file.drop();
  return fd;
}

function epollCtl(task: Task, args: Args): number {
  const operation = args.i32(1), fd = args.i32(2);
  let events = 0, dataLow = 0, dataHigh = 0;
  if (operation !== EPOLL_CTL_DEL) {
    const at = task.memory.inView(args.word(3), EPOLL_EVENT_BYTES);
    if (at < 0) return -EFAULT;
    const view = task.memory.view;
    events = u32(view, at);
    dataLow = u32(view, at + EPOLL_DATA);
    dataHigh = u32(view, at + EPOLL_DATA + 4);
  }
  const epoll = task.files.getOpen(args.i32(0));
  const file = task.files.getOpen(fd);
  if (epoll === null || file === null) return -EBADF;
  if (!file.isPollable) return -EPERM;
  if (epoll === file || !(epoll instanceof EpollFile)) return -EINVAL;
  switch (operation) {
    case EPOLL_CTL_ADD:
      return epoll.add(file, fd, events, dataLow, dataHigh);
    case EPOLL_CTL_MOD:
      return epoll.modify(file, fd, events, dataLow, dataHigh);
    case EPOLL_CTL_DEL:
      return epoll.delete(file, fd);
    default:
      return -EINVAL;
  }
}

function epollWait(task: Task, args: Args): number {
  setMillisDeadline(task, args.i32(3));
  return wait(task, args);
}

function epollPwait(task: Task, args: Args): number {
  setMillisDeadline(task, args.i32(3));
  const masked = useSignalMask(task, args.word(4), args.word(5));
  return masked < 0 ? masked : endSignalMask(task, wait(task, args));
}

function epollPwait2(task: Task, args: Args): number {
  const timed = setTimespecDeadline(task, args.word(3));
  if (timed < 0) return timed;
  const masked = useSignalMask(task, args.word(4), args.word(5));
  return masked < 0 ? masked : endSignalMask(task, wait(task, args));
}

function wait(task: Task, args: Args): number {
  const max = args.i32(2);
  if (max <= 0 || max > EVENTS_MAX) return -EINVAL;
  const epoll = task.call.file(FILE, args.i32(0));
  if (epoll === null || (epoll.flags & O_PATH) !== 0) return -EBADF;
  if (!(epoll instanceof EpollFile)) return -EINVAL;
  if (epoll.readyCount > 0) {
    const count = Math.min(max, epoll.readyCount, EVENTS_PER_VIEW);
    const at = task.memory.outView(args.word(1), count * EPOLL_EVENT_BYTES);
    if (at < 0) return -EFAULT;
    const found = epoll.collect(task, task.memory.view, at, count);
    if (found > 0) {
      return task.memory.outCommit(found * EPOLL_EVENT_BYTES) < 0 ? -EFAULT : found;
    }
  }
  if (isDeadlineOver(task)) return 0;
  task.call.hold(FILE, epoll);
  task.call.waitOn(epoll.queue, POLLIN);
  return suspend(task, EPOLL, -EINTR);
}
