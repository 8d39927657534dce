// Clocks and sleeping: clock_gettime(2), gettimeofday(2), nanosleep(2), clock_nanosleep(2), adjtimex(2) and others.
// The wall clock is the host's and cannot be set in a sandbox.

import { TimeValue } from "../time/time_value.ts";
import { EFAULT, EINVAL, EOPNOTSUPP, EPERM, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from "../abi/errno.ts";
import { put32, put64, u32 } from "../abi/struct.ts";
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  CLOCK_THREAD_CPUTIME_ID,
  TIMER_ABSTIME,
} from "../abi/time.ts";
import { BLOCKED, type Continuation, continuation } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { suspendThen } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import {
  cpuClockOwner,
  type CpuTimed,
  isCpuClock,
  monotonicOf,
  readClock,
  spanNanos,
} from "../time/clocks.ts";
import { assert } from "../util/assert.ts";
import type { Args } from "./args.ts";
import { readTimespec } from "./guest_time.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

export const CLOCKS = {
  CLOCK_REALTIME,
  CLOCK_MONOTONIC,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_THREAD_CPUTIME_ID,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_BOOTTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_TAI,
};
const TIMEX_BYTES = 208;
/** Resolution of the coarse clocks: a tick at HZ=250. */
const COARSE_NANOS = 4_000_000;

const hostClock = partial("the clock is the host's and cannot be set");

export const TIME_CALLS: SyscallFamily = {
  nanosleep: {
    nr: { x64: 35, arm64: 101 },
    args: { req: { in: 16 }, rem: { out: 16 } },
    returns: "int",
    support: FULL,
    run: nanosleep,
  },
  gettimeofday: {
    nr: { x64: 96, arm64: 169 },
    args: { tv: { out: 16 }, tz: { out: 8 } },
    returns: "int",
    support: FULL,
    run: gettimeofday,
  },
  settimeofday: {
    nr: { x64: 164, arm64: 170 },
    args: { tv: { in: 16 }, tz: { in: 8 } },
    returns: "int",
    support: hostClock,
    run: settimeofday,
  },
  adjtimex: {
    nr: { x64: 159, arm64: 171 },
    args: { buf: { inOut: TIMEX_BYTES } },
    returns: "int",
    support: partial("reads; the clock is the host's and cannot be adjusted"),
    run: adjtimex,
  },
  clock_adjtime: {
    nr: { x64: 305, arm64: 266 },
    args: { clk_id: { values: CLOCKS }, buf: { inOut: TIMEX_BYTES } },
    returns: "int",
    support: partial("reads; the clock is the host's and cannot be adjusted"),
    run: clockAdjtime,
  },
  time: {
    nr: { x64: 201 },
    args: { tloc: { out: 8 } },
    returns: "word",
    support: FULL,
    run: time,
  },
  clock_settime: {
    nr: { x64: 227, arm64: 112 },
    args: { clockid: { values: CLOCKS }, tp: { in: 16 } },
    returns: "int",
    support: hostClock,
    run: clockSettime,
  },
  clock_gettime: {
    nr: { x64: 228, arm64: 113 },
    args: { clockid: { values: CLOCKS }, tp: { out: 16 } },
    returns: "int",
    support: FULL,
    run: clockGettime,
  },
  clock_getres: {
    nr: { x64: 229, arm64: 114 },
    args: { clockid: { values: CLOCKS }, res: { out: 16 } },
    returns: "int",
    support: FULL,
    run: clockGetres,
  },
  clock_nanosleep: {
    nr: { x64: 230, arm64: 115 },
    args: {
      clockid: { values: CLOCKS },
      flags: { flags: { TIMER_ABSTIME } },
      request: { in: 16 },
      remain: { out: 16 },
    },
    returns: "int",
    support: FULL,
    run: clockNanosleep,
  },
};

const bytes = new Uint8Array(TIMEX_BYTES);
/** Scratch: a clock's time, and the time that the caller passes. */
const now = new TimeValue();
const asked = new TimeValue();

/** Writes two longs: a timespec or a timeval. */
function putTimePair(task: Task, address: number, first: number, second: number): number {
  put64(bytes, 0, first);
  put64(bytes, 8, second);
  return task.memory.copyOut(address, bytes, 0, 16);
}

function clockGettime(task: Task, args: Args): number {
  const read = readClock(task, args.i32(0), now);
  return read < 0 ? read : putTimePair(task, args.word(1), now.seconds, now.nanos);
}

function clockGetres(task: Task, args: Args): number {
  const clock = args.i32(0);
  const read = readClock(task, clock, now);
  if (read < 0) return read;
  if (args.word(1) === 0) return 0;
  const isCoarse = clock === CLOCK_REALTIME_COARSE || clock === CLOCK_MONOTONIC_COARSE;
  return putTimePair(task, args.word(1), 0, isCoarse ? COARSE_NANOS : 1);
}

function clockSettime(task: Task, args: Args): number {
  const clock = args.i32(0);
  if (clock !== CLOCK_REALTIME) {
    // An existing CPU clock cannot be set either; its errno is EINVAL: posix_cpu_clock_set().
    return isCpuClock(clock) && readClock(task, clock, now) === 0 ? -EPERM : -EINVAL;
  }
  const read = readTimespec(task, args.word(1), asked);
  return read < 0 ? read : -EPERM;
}

function gettimeofday(task: Task, args: Args): number {
  if (args.word(0) !== 0) {
    readClock(task, CLOCK_REALTIME, now);
    if (putTimePair(task, args.word(0), now.seconds, Math.floor(now.nanos / 1000)) < 0) return -EFAULT;
  }
  if (args.word(1) === 0) return 0;
  // struct timezone: UTC, the kernel's zone until settimeofday(2) changes it.
  bytes.fill(0, 0, 8);
  return task.memory.copyOut(args.word(1), bytes, 0, 8);
}

function settimeofday(task: Task, args: Args): number {
  for (let i = 0; i < 2; i++) {
    if (args.word(i) !== 0 && task.memory.inView(args.word(i), i === 0 ? 16 : 8) < 0) return -EFAULT;
  }
  return -EPERM;
}

function time(task: Task, args: Args): number {
  const seconds = task.kernel.clock.realtime();
  if (args.word(0) === 0) return seconds;
  put64(bytes, 0, seconds);
  return task.memory.copyOut(args.word(0), bytes, 0, 8) < 0 ? -EFAULT : seconds;
}

// --- adjtimex -------------------------------------------------------------------------------------------------------

/** struct timex, x86-64. */
const TIMEX = {
  maxError: 24,
  estimatedError: 32,
  status: 40,
  precision: 56,
  tolerance: 64,
  seconds: 72,
  micros: 80,
  tick: 88,
} as const;
const STA_UNSYNC = 0x40;
/** adjtimex's result for an unsynchronized clock. */
const TIME_ERROR = 5;
/** The error that Linux shows then: NTP_PHASE_LIMIT, microseconds. */
const ERROR_MICROS = 16_000_000;

function adjtimex(task: Task, args: Args): number {
  return readTimex(task, args.word(0));
}

function clockAdjtime(task: Task, args: Args): number {
  const clock = args.i32(0);
  if (clock === CLOCK_REALTIME) return readTimex(task, args.word(1));
  return readClock(task, clock, now) < 0 ? -EINVAL : -EOPNOTSUPP;
}

/** Linux: shows the state of the clock; here the host's is hidden, and the clock looks like one without NTP. */
function readTimex(task: Task, address: number): number {
  if (task.memory.copyIn(address, bytes, 0, TIMEX_BYTES) < 0) return -EFAULT;
  const modes = u32(bytes, 0);
  if (modes !== 0) return -EPERM;
  bytes.fill(0);
  readClock(task, CLOCK_REALTIME, now);
  put64(bytes, TIMEX.maxError, ERROR_MICROS);
  put64(bytes, TIMEX.estimatedError, ERROR_MICROS);
  put32(bytes, TIMEX.status, STA_UNSYNC);
  put64(bytes, TIMEX.precision, 1);
  put64(bytes, TIMEX.tolerance, 32_768_000);
  put64(bytes, TIMEX.seconds, now.seconds);
  put64(bytes, TIMEX.micros, Math.floor(now.nanos / 1000));
  put64(bytes, TIMEX.tick, 10_000);
  return task.memory.copyOut(address, bytes, 0, TIMEX_BYTES) < 0 ? -EFAULT : TIME_ERROR;
}

// --- sleeping -------------------------------------------------------------------------------------------------------

function nanosleep(task: Task, args: Args): number {
  const read = readTimespec(task, args.word(0), asked);
  if (read < 0) return read;
  task.call.setDeadline(task.kernel.clock.monotonic() + spanNanos(asked.seconds, asked.nanos));
  return sleep(task, args);
}

/** Sleeps until call.deadline; stores the remaining time when a signal interrupts. */
function sleep(task: Task, args: Args): number {
  const result = sleepUntilDeadline(task, SLEEP_ON, -ERESTART_RESTARTBLOCK);
  return result === -ERESTART_RESTARTBLOCK ? interruptSleep(task, args.word(1), RESTART_SLEEP) : result;
}

function sleepUntilDeadline(task: Task, then: Continuation, interrupted: number): number {
  const { deadline } = task.call;
  // The deadline may have passed: a deadline that was met is not armed again.
  if (deadline <= task.kernel.clock.monotonic()) return 0;
  return suspendThen(task, SLEEP, then, interrupted);
}

/** A signal has interrupted a relative sleep: sets how it is restarted and stores the remaining time. */
function interruptSleep(task: Task, remainAddress: number, restart: Continuation): number {
  const { deadline } = task.call;
  task.setRestart(restart, deadline);
  return putRemaining(task, remainAddress, deadline - task.kernel.clock.monotonic());
}

function putRemaining(task: Task, address: number, leftNanos: number): number {
  if (address === 0) return -ERESTART_RESTARTBLOCK;
  const left = Math.max(0, leftNanos);
  const put = putTimePair(task, address, Math.floor(left / 1e9), Math.floor(left % 1e9));
  return put < 0 ? put : -ERESTART_RESTARTBLOCK;
}

/** restart_syscall(2): sleeps until the same instant. */
function restartSleep(task: Task, args: Args): number {
  task.call.setDeadline(task.restartValue);
  return sleep(task, args);
}

function clockNanosleep(task: Task, args: Args): number {
  const clock = args.i32(0), flags = args.u32(1);
  const refused = maySleepOn(task, clock);
  if (refused < 0) return refused;
  const read = readTimespec(task, args.word(2), asked);
  if (read < 0) return read;
  const isAbsolute = (flags & TIMER_ABSTIME) !== 0;
  if (isCpuClock(clock)) return sleepOnCpu(task, args, clock, isAbsolute);
  if (isAbsolute) {
    task.call.setDeadline(monotonicOf(task, clock, asked.seconds, asked.nanos));
    return sleepAbsolute(task);
  }
  task.call.setDeadline(task.kernel.clock.monotonic() + spanNanos(asked.seconds, asked.nanos));
  return clockSleep(task, args);
}

/** Whether one can sleep on a clock: clock_nanosleep(2), ERRORS. */
function maySleepOn(task: Task, clock: number): number {
  switch (clock) {
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_THREAD_CPUTIME_ID:
      return -EOPNOTSUPP;
    default:
      return readClock(task, clock, now);
  }
}

/** As sleep(), with the fourth argument for the remaining time. */
function clockSleep(task: Task, args: Args): number {
  const result = sleepUntilDeadline(task, CLOCK_SLEEP_ON, -ERESTART_RESTARTBLOCK);
  return result === -ERESTART_RESTARTBLOCK ? interruptSleep(task, args.word(3), RESTART_CLOCK_SLEEP) : result;
}

function restartClockSleep(task: Task, args: Args): number {
  task.call.setDeadline(task.restartValue);
  return clockSleep(task, args);
}

function sleepAbsolute(task: Task): number {
  return sleepUntilDeadline(task, ABSOLUTE_SLEEP_ON, -ERESTARTNOHAND);
}

/** Sleeps until a CPU clock has reached a time; other threads or processes advance it. */
function sleepOnCpu(task: Task, args: Args, clock: number, isAbsolute: boolean): number {
  const owner = cpuClockOwner(task, clock)!;
  if (owner === task.thread) return -EINVAL;
  const nanos = spanNanos(asked.seconds, asked.nanos);
  return watchCpu(task, args, isAbsolute ? nanos : owner.cpuNanos() + nanos);
}

/** The minimum interval between two readings of a CPU clock. */
const CPU_LOOK_NANOS = 4e6;

function watchCpu(task: Task, args: Args, until: number): number {
  const owner: CpuTimed | null = cpuClockOwner(task, args.i32(0));
  if (owner === null) return -EINVAL;
  const left = until - owner.cpuNanos();
  if (left <= 0) return 0;
  const lookNanos = Math.max(CPU_LOOK_NANOS, left / task.kernel.cpuCount);
  task.call.setDeadline(task.kernel.clock.monotonic() + lookNanos);
  const result = suspendThen(task, { kind: "cpu sleep", until }, WATCH_CPU_ON, -ERESTARTNOHAND);
  if (result === BLOCKED || (args.u32(1) & TIMER_ABSTIME) !== 0) return result;
  task.setRestart(RESTART_WATCH_CPU, until);
  return putRemaining(task, args.word(3), left);
}

function watchCpuOn(task: Task, args: Args): number {
  const { state } = task.call;
  assert(state.kind === "cpu sleep", "a sleep on a CPU clock knows its end");
  return watchCpu(task, args, state.until);
}

function restartWatchCpu(task: Task, args: Args): number {
  return watchCpu(task, args, task.restartValue);
}

const SLEEP: WaitState = { kind: "sleep" };
const SLEEP_ON = continuation("sleep", sleep);
const RESTART_SLEEP = continuation("sleep restart", restartSleep);
const CLOCK_SLEEP_ON = continuation("clock sleep", clockSleep);
const RESTART_CLOCK_SLEEP = continuation("clock sleep restart", restartClockSleep);
const ABSOLUTE_SLEEP_ON = continuation("absolute sleep", sleepAbsolute);
const WATCH_CPU_ON = continuation("cpu sleep", watchCpuOn);
const RESTART_WATCH_CPU = continuation("cpu sleep restart", restartWatchCpu);

export const SLEEP_CONTINUATIONS: readonly Continuation[] = [
  SLEEP_ON,
  RESTART_SLEEP,
  CLOCK_SLEEP_ON,
  RESTART_CLOCK_SLEEP,
  ABSOLUTE_SLEEP_ON,
  WATCH_CPU_ON,
  RESTART_WATCH_CPU,
];
