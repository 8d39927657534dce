// seccomp(2) and prctl(PR_SET_SECCOMP): arguments and programs. task/seccomp.ts runs the filters.

import { EACCES, EFAULT, EINVAL, EOPNOTSUPP } from "../abi/errno.ts";
import { u16, u32, u64 } from "../abi/struct.ts";
import {
  CAP_SYS_ADMIN,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
  SECCOMP_GET_ACTION_AVAIL,
  SECCOMP_GET_NOTIF_SIZES,
  SECCOMP_MODE_DISABLED,
  SECCOMP_MODE_FILTER,
  SECCOMP_MODE_STRICT,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_SET_MODE_FILTER,
  SECCOMP_SET_MODE_STRICT,
} from "../abi/task.ts";
import { PROGRAM_MAX, readProgram } from "../task/bpf.ts";
import { addFilter, strayThread, STRICT, synchronizeThreads } from "../task/seccomp.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { partial, type SyscallFamily } from "./table.ts";

const FILTER_FLAGS = {
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};
const FLAGS_KNOWN = Object.values(FILTER_FLAGS).reduce((all, flag) => all | flag, 0);
/** The actions of a filter that are supported. */
const ACTIONS: ReadonlySet<number> = new Set([
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_LOG,
  SECCOMP_RET_ALLOW,
]);
/** struct sock_fprog: the length, and the address of the instructions. */
const FPROG_BYTES = 16;
const INSTRUCTION_BYTES = 8;

export const SECCOMP_CALLS: SyscallFamily = {
  seccomp: {
    nr: { x64: 317, arm64: 277 },
    args: { operation: "uint", flags: { flags: FILTER_FLAGS }, args: "word" },
    returns: "int",
    support: partial("no listeners; SECCOMP_RET_TRACE finds no tracer"),
    run: seccomp,
  },
};

const bytes = new Uint8Array(FPROG_BYTES);

function seccomp(task: Task, args: Args): number {
  const flags = args.u32(1), address = args.word(2);
  switch (args.u32(0)) {
    case SECCOMP_SET_MODE_STRICT:
      return flags !== 0 || address !== 0 ? -EINVAL : setStrict(task);
    case SECCOMP_SET_MODE_FILTER:
      return setFilter(task, flags, address);
    case SECCOMP_GET_ACTION_AVAIL:
      if (flags !== 0) return -EINVAL;
      if (task.memory.copyIn(address, bytes, 0, 4) < 0) return -EFAULT;
      return ACTIONS.has(u32(bytes, 0)) ? 0 : -EOPNOTSUPP;
    case SECCOMP_GET_NOTIF_SIZES:
      return flags !== 0
        ? -EINVAL
        : task.kernel.coverage.unfinished("seccomp SECCOMP_GET_NOTIF_SIZES", EINVAL);
    default:
      return -EINVAL;
  }
}

/** prctl(PR_SET_SECCOMP). */
export function setSeccompMode(task: Task, mode: number, address: number): number {
  if (mode === SECCOMP_MODE_STRICT) return setStrict(task);
  return mode === SECCOMP_MODE_FILTER ? setFilter(task, 0, address) : -EINVAL;
}

/** SECCOMP_MODE_ of a task: prctl(PR_GET_SECCOMP), /proc/PID/status. */
export function seccompMode(task: Task): number {
  if (task.seccomp === null) return SECCOMP_MODE_DISABLED;
  return task.seccomp === STRICT ? SECCOMP_MODE_STRICT : SECCOMP_MODE_FILTER;
}

function setStrict(task: Task): number {
  if (task.seccomp !== null && task.seccomp !== STRICT) return -EINVAL;
  task.seccomp = STRICT;
  return 0;
}

function setFilter(task: Task, flags: number, address: number): number {
  if ((flags & ~FLAGS_KNOWN) !== 0) return -EINVAL;
  const wantsListener = (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) !== 0;
  const synchronizes = (flags & SECCOMP_FILTER_FLAG_TSYNC) !== 0;
  const wantsErrno = (flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH) !== 0;
  if (wantsListener && synchronizes && !wantsErrno) return -EINVAL;
  if ((flags & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) !== 0 && !wantsListener) return -EINVAL;
  if (task.memory.copyIn(address, bytes, 0, FPROG_BYTES) < 0) return -EFAULT;
  const count = u16(bytes, 0);
  if (count === 0 || count > PROGRAM_MAX) return -EINVAL;
  if (!task.credentials.noNewPrivs && !task.credentials.has(CAP_SYS_ADMIN)) return -EACCES;
  const code = new Uint8Array(count * INSTRUCTION_BYTES);
  if (task.memory.copyIn(u64(bytes, 8), code, 0, code.length) < 0) return -EFAULT;
  const program = readProgram(code, count);
  if (program === null || task.seccomp === STRICT) return -EINVAL;
  if (wantsListener) {
    return task.kernel.coverage.unfinished("seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER", EINVAL);
  }
  if (synchronizes) {
    const stray = strayThread(task, wantsErrno);
    if (stray !== 0) return stray;
  }
  const result = addFilter(task, program);
  if (result === 0 && synchronizes) synchronizeThreads(task);
  return result;
}
