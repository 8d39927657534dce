// futex(2), futex_waitv(2) and robust lists, set_robust_list(2). task/futex*.ts implement them.

import { TimeValue } from "../time/time_value.ts";
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from "../abi/errno.ts";
import { put64 } from "../abi/struct.ts";
import {
  CAP_SYS_PTRACE,
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_CLOCK_REALTIME,
  FUTEX_CMP_REQUEUE,
  FUTEX_CMP_REQUEUE_PI,
  FUTEX_LOCK_PI,
  FUTEX_LOCK_PI2,
  FUTEX_PRIVATE_FLAG,
  FUTEX_REQUEUE,
  FUTEX_TRYLOCK_PI,
  FUTEX_UNLOCK_PI,
  FUTEX_WAIT,
  FUTEX_WAIT_BITSET,
  FUTEX_WAIT_REQUEUE_PI,
  FUTEX_WAITV_MAX,
  FUTEX_WAKE,
  FUTEX_WAKE_BITSET,
  FUTEX_WAKE_OP,
} from "../abi/task.ts";
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from "../abi/time.ts";
import { hasCapability } from "../task/credentials.ts";
import {
  futexRequeue,
  futexWait,
  futexWaitMany,
  futexWake,
  futexWakeOp,
  WAITV_BYTES,
} from "../task/futex.ts";
import { ROBUST_HEAD_BYTES } from "../task/futex_exit.ts";
import { futexRequeuePi, futexWaitRequeuePi } from "../task/futex_requeue_pi.ts";
import { futexLockPi, futexUnlockPi } from "../task/futex_pi.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { absoluteDeadline, readTimespec, relativeDeadline } from "./guest_time.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const FUTEX_OPERATIONS = {
  FUTEX_WAIT,
  FUTEX_WAKE,
  FUTEX_REQUEUE,
  FUTEX_CMP_REQUEUE,
  FUTEX_WAKE_OP,
  FUTEX_LOCK_PI,
  FUTEX_UNLOCK_PI,
  FUTEX_TRYLOCK_PI,
  FUTEX_WAIT_BITSET,
  FUTEX_WAKE_BITSET,
  FUTEX_WAIT_REQUEUE_PI,
  FUTEX_CMP_REQUEUE_PI,
  FUTEX_WAIT_PRIVATE: FUTEX_WAIT | FUTEX_PRIVATE_FLAG,
  FUTEX_WAKE_PRIVATE: FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
  FUTEX_REQUEUE_PRIVATE: FUTEX_REQUEUE | FUTEX_PRIVATE_FLAG,
  FUTEX_CMP_REQUEUE_PRIVATE: FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG,
  FUTEX_WAKE_OP_PRIVATE: FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG,
  FUTEX_LOCK_PI_PRIVATE: FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG,
  FUTEX_UNLOCK_PI_PRIVATE: FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG,
  FUTEX_WAIT_BITSET_PRIVATE: FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
  FUTEX_WAKE_BITSET_PRIVATE: FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG,
  FUTEX_WAIT_BITSET_PRIVATE_REALTIME: FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME,
};
const COMMAND = 0x7f;

const bytes = new Uint8Array(16);
const timeout = new TimeValue();

function futex(task: Task, args: Args): number {
  const address = args.word(0);
  const operation = args.i32(1);
  const command = operation & COMMAND;
  // All operations check alignment first, except FUTEX_UNLOCK_PI, which reads the word first.
  if ((args.u32(0) & 3) !== 0 && command !== FUTEX_UNLOCK_PI) return -EINVAL;
  const isPrivate = (operation & FUTEX_PRIVATE_FLAG) !== 0;
  if (command !== FUTEX_WAIT && command !== FUTEX_WAIT_BITSET) task.kernel.futexes.changes++;
  // The most frequent operation first: nothing to read or check.
  if (command === FUTEX_WAKE && (operation & FUTEX_CLOCK_REALTIME) === 0) {
    return futexWake(task, address, isPrivate, args.i32(2), FUTEX_BITSET_MATCH_ANY);
  }
  if ((operation & FUTEX_CLOCK_REALTIME) !== 0) {
    if (command !== FUTEX_WAIT_BITSET && command !== FUTEX_WAIT_REQUEUE_PI && command !== FUTEX_LOCK_PI2) {
      return -ENOSYS;
    }
  }
  let deadline = Infinity;
  if (hasTimeout(command) && args.word(3) !== 0) {
    const read = readTimespec(task, args.word(3), timeout);
    if (read < 0) return read;
    // A wait that the host interrupted keeps the deadline that it had.
    const isBack = command === FUTEX_WAIT && task.thread.isHostFutexBack;
    deadline = isBack ? task.restartValue : deadlineOf(task, command, operation);
  }
  switch (command) {
    case FUTEX_WAIT:
      return futexWait(task, address, isPrivate, args.u32(2), FUTEX_BITSET_MATCH_ANY, deadline);
    case FUTEX_WAIT_BITSET:
      return futexWait(task, address, isPrivate, args.u32(2), args.u32(5), deadline);
    case FUTEX_WAKE_BITSET:
      return futexWake(task, address, isPrivate, args.i32(2), args.u32(5));
    case FUTEX_REQUEUE:
      return futexRequeue(task, address, isPrivate, args.i32(2), args.i32(3), args.word(4), -1);
    case FUTEX_CMP_REQUEUE:
      return futexRequeue(task, address, isPrivate, args.i32(2), args.i32(3), args.word(4), args.u32(5));
    case FUTEX_WAKE_OP:
      return futexWakeOp(task, address, isPrivate, args.i32(2), args.i32(3), args.word(4), args.u32(5));
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
      return futexLockPi(task, address, isPrivate, deadline, false);
    case FUTEX_TRYLOCK_PI:
      return futexLockPi(task, address, isPrivate, Infinity, true);
    case FUTEX_UNLOCK_PI:
      return futexUnlockPi(task, address, isPrivate);
    case FUTEX_WAIT_REQUEUE_PI:
      return futexWaitRequeuePi(task, address, isPrivate, args.u32(2), deadline, args.word(4));
    case FUTEX_CMP_REQUEUE_PI:
      return futexRequeuePi(task, address, isPrivate, args.i32(2), args.i32(3), args.word(4), args.u32(5));
    default:
      return -ENOSYS;
  }
}

function hasTimeout(command: number): boolean {
  return command === FUTEX_WAIT || command === FUTEX_WAIT_BITSET || command === FUTEX_LOCK_PI ||
    command === FUTEX_LOCK_PI2 || command === FUTEX_WAIT_REQUEUE_PI;
}

/**
 * FUTEX_WAIT's timeout is relative; FUTEX_LOCK_PI's is on the realtime clock; other operations choose by
 * FUTEX_CLOCK_REALTIME: futex(2).
 */
function deadlineOf(task: Task, command: number, operation: number): number {
  if (command === FUTEX_WAIT) return relativeDeadline(task, timeout);
  const isWall = command === FUTEX_LOCK_PI || (operation & FUTEX_CLOCK_REALTIME) !== 0;
  return absoluteDeadline(task, isWall ? CLOCK_REALTIME : CLOCK_MONOTONIC, timeout);
}

function futexWaitv(task: Task, args: Args): number {
  const count = args.u32(1);
  if (args.u32(2) !== 0) return -EINVAL;
  if (count === 0 || count > FUTEX_WAITV_MAX || args.word(0) === 0) return -EINVAL;
  let deadline = Infinity;
  if (args.word(3) !== 0) {
    const clock = args.i32(4);
    if (clock !== CLOCK_MONOTONIC && clock !== CLOCK_REALTIME) return -EINVAL;
    const read = readTimespec(task, args.word(3), timeout);
    if (read < 0) return read;
    deadline = absoluteDeadline(task, clock, timeout);
  }
  const at = task.memory.inView(args.word(0), count * WAITV_BYTES);
  if (at < 0) return -EFAULT;
  return futexWaitMany(task, task.memory.view, at, count, deadline);
}

function setRobustList(task: Task, args: Args): number {
  if (args.word(1) !== ROBUST_HEAD_BYTES) return -EINVAL;
  task.robustList = args.word(0);
  return 0;
}

function getRobustList(task: Task, args: Args): number {
  const pid = args.i32(0);
  const target = pid === 0 ? task : task.pid.namespace.task(pid);
  if (target === null) return -ESRCH;
  if (target !== task && !mayInspect(task, target)) return -EPERM;
  put64(bytes, 0, target.robustList);
  put64(bytes, 8, ROBUST_HEAD_BYTES);
  if (task.memory.copyOut(args.word(2), bytes, 8, 8) < 0) return -EFAULT;
  return task.memory.copyOut(args.word(1), bytes, 0, 8) < 0 ? -EFAULT : 0;
}

/** PTRACE_MODE_READ_REALCREDS: the caller's real ids equal all three of the target's, or CAP_SYS_PTRACE. */
function mayInspect(task: Task, target: Task): boolean {
  if (target.threadGroup === task.threadGroup) return true;
  const mine = task.credentials;
  const its = target.credentials;
  const isSame = mine.uid === its.uid && mine.uid === its.euid && mine.uid === its.suid &&
    mine.gid === its.gid &&
    mine.gid === its.egid && mine.gid === its.sgid;
  return isSame || hasCapability(mine, CAP_SYS_PTRACE);
}

export const FUTEX_CALLS: SyscallFamily = {
  futex: {
    nr: { x64: 202, arm64: 98 },
    args: {
      uaddr: { ahead: 4 },
      futex_op: { values: FUTEX_OPERATIONS },
      val: "uint",
      timeout: "word",
      uaddr2: "word",
      val3: "uint",
    },
    returns: "int",
    support: partial("PI futexes hand over in order and lend no priority"),
    run: futex,
  },
  set_robust_list: {
    nr: { x64: 273, arm64: 99 },
    args: { head: "word", len: "size" },
    returns: "int",
    support: FULL,
    run: setRobustList,
  },
  get_robust_list: {
    nr: { x64: 274, arm64: 100 },
    args: { pid: "pid", head_ptr: { out: 8 }, len_ptr: { out: 8 } },
    returns: "int",
    support: FULL,
    run: getRobustList,
  },
  futex_waitv: {
    nr: { x64: 449, arm64: 449 },
    args: {
      waiters: { inBuffer: "nr_futexes", unit: WAITV_BYTES },
      nr_futexes: "uint",
      flags: "uint",
      timeout: { in: 16 },
      clockid: "clock",
    },
    returns: "int",
    support: FULL,
    run: futexWaitv,
  },
};
