// seccomp(2): what a task may call. Strict mode, and filters in classic BPF that are asked before every call. Linux:
// kernel/seccomp.c. A filter, once there, stays: children and new programs have it too.
// Linux: no listeners (SECCOMP_FILTER_FLAG_NEW_LISTENER), and SECCOMP_RET_TRACE finds no tracer.

import { ENOMEM, ENOSYS, ESRCH } from "../abi/errno.ts";
import { SIGKILL, SIGSYS, SYS_SECCOMP } from "../abi/signal.ts";
import {
  SECCOMP_RET_ACTION_FULL,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_DATA,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
  SECCOMP_RET_USER_NOTIF,
} from "../abi/task.ts";
import { AUDIT_ARCHITECTURE, instructionPointer, putInstructionPointer, rollBackCall } from "../arch/arch.ts";
import { deathStatus } from "../signal/core_dump.ts";
import { forceSignal } from "../signal/send.ts";
import { SignalInfo } from "../signal/signal_info.ts";
import { SYSCALLS_MAX } from "../syscalls/table.ts";
import { type BpfProgram, constantAnswer, DATA_WORDS, runProgram } from "./bpf.ts";
import { exitGroup, exitTask } from "./exit.ts";
import { NO_RESULT } from "./call_in_flight.ts";
import type { Task } from "./task.ts";

/** Instructions of all filters of a task, four more counted for each (MAX_INSNS_PER_PATH). */
const INSTRUCTIONS_MAX = 32_768;
const FILTER_OVERHEAD = 4;
const ERRNO_MAX = 4095;

const SYS_read = 0;
const SYS_write = 1;
const SYS_rt_sigreturn = 15;
const SYS_exit = 60;

// What is known of a call without a look at its arguments.
const UNKNOWN = 0;
const ALLOWED = 1;
const DEPENDS = 2;

/** A filter and those that were there before it. */
class SeccompFilter {
  readonly program: BpfProgram;
  readonly previous: SeccompFilter | null;
  /** Of the whole chain. */
  readonly count: number;
  readonly instructions: number;
  /** By number: ALLOWED where the whole chain allows a call whatever its arguments are. Found out when it is first made. */
  readonly #known = new Uint8Array(SYSCALLS_MAX);

  constructor(program: BpfProgram, previous: SeccompFilter | null) {
    this.program = program;
    this.previous = previous;
    this.count = (previous?.count ?? 0) + 1;
    this.instructions = (previous?.instructions ?? 0) + program.length + FILTER_OVERHEAD;
  }

  /** Most calls are allowed whatever their arguments are: their filters are not run again. */
  allowsAlways(number: number): boolean {
    if (number >= SYSCALLS_MAX) return false;
    if (this.#known[number] === UNKNOWN) this.#known[number] = isAllowedBy(this, number) ? ALLOWED : DEPENDS;
    return this.#known[number] === ALLOWED;
  }
}

/** Whether `newest` and all before it allow a call whatever its arguments are. */
function isAllowedBy(newest: SeccompFilter, number: number): boolean {
  for (let filter: SeccompFilter | null = newest; filter !== null; filter = filter.previous) {
    if (constantAnswer(filter.program, number, AUDIT_ARCHITECTURE) !== SECCOMP_RET_ALLOW) return false;
  }
  return true;
}

/** Strict mode: read, write, exit and sigreturn. */
export const STRICT = "strict";
export type Seccomp = SeccompFilter | typeof STRICT | null;

const data = new Uint32Array(DATA_WORDS);

/** Before a call of a task that has a filter: what it answers instead, or null when it may go on. */
export function refuseCall(task: Task): { readonly result: number } | null {
  const { seccomp } = task, { number } = task.call;
  if (seccomp === STRICT) {
    if (
      number === SYS_read || number === SYS_write || number === SYS_exit || number === SYS_rt_sigreturn
    ) return null;
    exitTask(task, SIGKILL);
    return answer(NO_RESULT);
  }
  if (seccomp === null || seccomp.allowsAlways(number)) return null;
  const value = judge(task, seccomp);
  const action = (value & SECCOMP_RET_ACTION_FULL) >>> 0;
  switch (action) {
    case SECCOMP_RET_ALLOW:
      return null;
    case SECCOMP_RET_LOG:
      log(task, "is logged");
      return null;
    case SECCOMP_RET_ERRNO:
      return answer(-Math.min(value & SECCOMP_RET_DATA, ERRNO_MAX));
    case SECCOMP_RET_TRACE:
    case SECCOMP_RET_USER_NOTIF:
      return answer(-ENOSYS);
    case SECCOMP_RET_TRAP:
      trap(task, value & SECCOMP_RET_DATA);
      return answer(NO_RESULT);
    case SECCOMP_RET_KILL_THREAD:
      log(task, "kills the thread");
      // A process of one thread ends by the signal as a whole.
      if (task.threadGroup.liveCount > 1) exitTask(task, SIGSYS);
      else exitGroup(task, deathStatus(task, SIGSYS));
      return answer(NO_RESULT);
    default:
      log(task, "kills the process");
      exitGroup(task, deathStatus(task, SIGSYS));
      return answer(NO_RESULT);
  }
}

const given = { result: 0 };
function answer(result: number): { readonly result: number } {
  given.result = result;
  return given;
}

/** Asks every filter, newest first; the strictest answer counts. */
function judge(task: Task, newest: SeccompFilter): number {
  const { thread, args } = task;
  data[0] = task.call.number;
  data[1] = AUDIT_ARCHITECTURE;
  putInstructionPointer(thread, data, 2);
  for (let i = 0; i < 12; i++) data[4 + i] = args.words[i];
  let strictest = SECCOMP_RET_ALLOW | 0;
  let isFirst = true;
  for (let filter: SeccompFilter | null = newest; filter !== null; filter = filter.previous) {
    // Compared as signed numbers: KILL_PROCESS is the smallest.
    const value = runProgram(filter.program, data) | 0;
    if (isFirst || (value & ~SECCOMP_RET_DATA) < (strictest & ~SECCOMP_RET_DATA)) strictest = value;
    isFirst = false;
  }
  return strictest;
}

/** SIGSYS, with the registers as they were at the call. */
function trap(task: Task, errno: number): void {
  const { thread } = task;
  rollBackCall(thread);
  const info = new SignalInfo(SIGSYS, SYS_SECCOMP);
  info.errno = errno;
  info.address = instructionPointer(thread);
  info.syscall = task.call.number;
  info.arch = AUDIT_ARCHITECTURE;
  forceSignal(task, info);
}

function log(task: Task, what: string): void {
  task.kernel.log(`Task ${task.tid} (${task.name}): its seccomp filter ${what}, call ${task.call.number}`);
}

/** Puts `program` before the filters `task` has. 0 or -ERRNO. */
export function addFilter(task: Task, program: BpfProgram): number {
  const previous = task.seccomp as SeccompFilter | null;
  const filter = new SeccompFilter(program, previous);
  if (filter.instructions > INSTRUCTIONS_MAX) return -ENOMEM;
  task.seccomp = filter;
  return 0;
}

/**
 * SECCOMP_FILTER_FLAG_TSYNC, before a filter is added: a thread of the process that has a filter which `task` has not; its
 * tid, or 0. With `wantsErrno` -ESRCH in its place.
 */
export function strayThread(task: Task, wantsErrno: boolean): number {
  for (const other of task.threadGroup.tasks) {
    if (other === task || other.hasExited || isAncestor(other.seccomp, task.seccomp)) continue;
    return wantsErrno ? -ESRCH : other.pid.in(task.pid.namespace);
  }
  return 0;
}

/** Gives all threads of the process the filters of `task`. */
export function synchronizeThreads(task: Task): void {
  for (const other of task.threadGroup.tasks) {
    if (other === task || other.hasExited) continue;
    other.seccomp = task.seccomp;
    if (task.credentials.noNewPrivs) other.credentials = other.credentials.with({ noNewPrivs: true });
  }
}

function isAncestor(candidate: Seccomp, of: Seccomp): boolean {
  if (candidate === null) return true;
  if (candidate === STRICT || of === STRICT) return false;
  for (let filter = of; filter !== null; filter = filter.previous) if (filter === candidate) return true;
  return false;
}
