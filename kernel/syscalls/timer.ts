// Timers: setitimer(2), alarm(2), timer_create(2) and related calls, timerfd_create(2) and related calls.

import { TimeValue } from "../time/time_value.ts";
import { EBADF, EFAULT, EINVAL, EOPNOTSUPP, EPERM } from "../abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../abi/file.ts";
import { SIGALRM, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, SIGRTMAX } from "../abi/signal.ts";
import { i32, i64, put32, put64, u32 } from "../abi/struct.ts";
import { CAP_WAKE_ALARM } from "../abi/task.ts";
import {
  CLOCK_BOOTTIME,
  CLOCK_BOOTTIME_ALARM,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME,
  CLOCK_REALTIME_ALARM,
  CLOCK_REALTIME_COARSE,
  TFD_CLOEXEC,
  TFD_NONBLOCK,
  TFD_TIMER_ABSTIME,
  TFD_TIMER_CANCEL_ON_SET,
  TIMER_ABSTIME,
} from "../abi/time.ts";
import { TimerFile } from "../fs/anonymous/timerfd.ts";
import {
  ITIMER_PROF,
  ITIMER_REAL,
  ITIMER_VIRTUAL,
  type PosixTimer,
  type PosixTimerSettings,
  timersOf,
} from "../task/process_timers.ts";
import type { Task } from "../task/task.ts";
import { cpuClockOwner, isCpuClock, monotonicOf, readClock, spanNanos } from "../time/clocks.ts";
import type { Timer } from "../time/timer.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";
import { CLOCKS } from "./time.ts";

const ITIMERS = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
/** struct itimerspec, struct itimerval: interval, then value. */
const ITIMER_BYTES = 32;
const SIGEVENT_BYTES = 64;

export const TIMER_CALLS: SyscallFamily = {
  getitimer: {
    nr: { x64: 36, arm64: 102 },
    args: { which: { values: ITIMERS }, curr_value: { out: ITIMER_BYTES } },
    returns: "int",
    support: FULL,
    run: getitimer,
  },
  alarm: {
    nr: { x64: 37 },
    args: { seconds: "uint" },
    returns: "int",
    support: FULL,
    run: alarm,
  },
  setitimer: {
    nr: { x64: 38, arm64: 103 },
    args: { which: { values: ITIMERS }, new_value: { in: ITIMER_BYTES }, old_value: { out: ITIMER_BYTES } },
    returns: "int",
    support: partial("ITIMER_VIRTUAL counts all CPU time, as ITIMER_PROF does"),
    run: setitimer,
  },
  timer_create: {
    nr: { x64: 222, arm64: 107 },
    args: { clockid: { values: CLOCKS }, sevp: { in: SIGEVENT_BYTES }, timerid: { out: 4 } },
    returns: "int",
    support: FULL,
    run: timerCreate,
  },
  timer_settime: {
    nr: { x64: 223, arm64: 110 },
    args: {
      timerid: "int",
      flags: { flags: { TIMER_ABSTIME } },
      new_value: { in: ITIMER_BYTES },
      old_value: { out: ITIMER_BYTES },
    },
    returns: "int",
    support: FULL,
    run: timerSettime,
  },
  timer_gettime: {
    nr: { x64: 224, arm64: 108 },
    args: { timerid: "int", curr_value: { out: ITIMER_BYTES } },
    returns: "int",
    support: FULL,
    run: timerGettime,
  },
  timer_getoverrun: {
    nr: { x64: 225, arm64: 109 },
    args: { timerid: "int" },
    returns: "int",
    support: FULL,
    run: timerGetoverrun,
  },
  timer_delete: {
    nr: { x64: 226, arm64: 111 },
    args: { timerid: "int" },
    returns: "int",
    support: FULL,
    run: timerDelete,
  },
  timerfd_create: {
    nr: { x64: 283, arm64: 85 },
    args: { clockid: { values: CLOCKS }, flags: { flags: { TFD_CLOEXEC, TFD_NONBLOCK } } },
    returns: "fd",
    support: FULL,
    run: timerfdCreate,
  },
  timerfd_settime: {
    nr: { x64: 286, arm64: 86 },
    args: {
      fd: "fd",
      flags: { flags: { TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET } },
      new_value: { in: ITIMER_BYTES },
      old_value: { out: ITIMER_BYTES },
    },
    returns: "int",
    support: partial("TFD_TIMER_CANCEL_ON_SET never cancels, as nobody can set the clock"),
    run: timerfdSettime,
  },
  timerfd_gettime: {
    nr: { x64: 287, arm64: 87 },
    args: { fd: "fd", curr_value: { out: ITIMER_BYTES } },
    returns: "int",
    support: FULL,
    run: timerfdGettime,
  },
};

const bytes = new Uint8Array(ITIMER_BYTES);

/** A struct itimerspec or itimerval: interval and value, as seconds and fractions. */
class Setting {
  intervalSeconds = 0;
  intervalParts = 0;
  valueSeconds = 0;
  valueParts = 0;

  clear(): void {
    this.intervalSeconds =
      this.intervalParts =
      this.valueSeconds =
      this.valueParts =
        0;
  }
}

const now = new TimeValue();
/** Scratch: the setting that the caller passes. */
const wanted = new Setting();

/** Reads a struct itimerspec (`partsMax` 1e9) or itimerval (1e6). 0 or -ERRNO. */
function readSetting(task: Task, address: number, partsMax: number, into: Setting): number {
  const at = task.memory.inView(address, ITIMER_BYTES);
  if (at < 0) return -EFAULT;
  const view = task.memory.view;
  const intervalSeconds = into.intervalSeconds = i64(view, at);
  const intervalParts = into.intervalParts = i64(view, at + 8);
  const valueSeconds = into.valueSeconds = i64(view, at + 16);
  const valueParts = into.valueParts = i64(view, at + 24);
  const isGood = intervalSeconds >= 0 && valueSeconds >= 0 && intervalParts >= 0 && valueParts >= 0 &&
    intervalParts < partsMax && valueParts < partsMax;
  return isGood ? 0 : -EINVAL;
}

/** Writes the interval and the remaining time in units of `unitNanos`. An armed timer shows at least one unit. */
function putSetting(task: Task, address: number, interval: number, left: number, unitNanos: number): number {
  if (left > 0 && left < unitNanos) left = unitNanos;
  put64(bytes, 0, Math.floor(interval / 1e9));
  put64(bytes, 8, Math.floor(interval % 1e9 / unitNanos));
  put64(bytes, 16, Math.floor(left / 1e9));
  put64(bytes, 24, Math.floor(left % 1e9 / unitNanos));
  return task.memory.copyOut(address, bytes, 0, ITIMER_BYTES);
}

function putTimer(task: Task, address: number, timer: Timer | null, unitNanos: number): number {
  const left = timer === null ? 0 : timer.remaining();
  const interval = timer === null ? 0 : timer.interval;
  return putSetting(task, address, interval, left, unitNanos);
}

// --- interval timers ------------------------------------------------------------------------------------------------

function getitimer(task: Task, args: Args): number {
  const which = args.u32(0);
  if (which > ITIMER_PROF) return -EINVAL;
  return putTimer(task, args.word(1), timersOf(task.threadGroup).interval(which), 1000);
}

function setitimer(task: Task, args: Args): number {
  const which = args.u32(0);
  wanted.clear();
  if (args.word(1) !== 0) {
    const read = readSetting(task, args.word(1), 1e6, wanted);
    if (read < 0) return read;
  }
  if (which > ITIMER_PROF) return -EINVAL;
  const timer = timersOf(task.threadGroup).openInterval(which);
  const interval = timer.interval, left = timer.remaining();
  const span = spanNanos(wanted.valueSeconds, wanted.valueParts * 1000);
  if (span === 0) timer.stop();
  else timer.set(timer.now() + span, spanNanos(wanted.intervalSeconds, wanted.intervalParts * 1000));
  return args.word(2) === 0 ? 0 : putSetting(task, args.word(2), interval, left, 1000);
}

function alarm(task: Task, args: Args): number {
  const timer = timersOf(task.threadGroup).openInterval(ITIMER_REAL);
  const left = timer.remaining();
  const seconds = args.u32(0);
  if (seconds === 0) timer.stop();
  else timer.set(timer.now() + seconds * 1e9, 0);
  // Rounds to seconds, but never to 0, which means no alarm: alarm_setitimer().
  return left > 0 && left < 1e9 ? 1 : Math.round(left / 1e9);
}

// --- POSIX timers ---------------------------------------------------------------------------------------------------

function timerCreate(task: Task, args: Args): number {
  const clock = args.i32(0);
  const refused = mayTime(task, clock);
  if (refused < 0) return refused;
  const settings = readEvent(task, clock, args.word(1));
  if (typeof settings === "number") return settings;
  const timers = timersOf(task.threadGroup);
  const id = timers.create(settings);
  if (id < 0) return id;
  put32(bytes, 0, id);
  if (task.memory.copyOut(args.word(2), bytes, 0, 4) === 0) return 0;
  timers.delete(id);
  return -EFAULT;
}

/** Whether a timer can use a clock; 0 or -ERRNO. */
function mayTime(task: Task, clock: number): number {
  switch (clock) {
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
      return -EOPNOTSUPP;
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
      return task.credentials.has(CAP_WAKE_ALARM) ? 0 : -EPERM;
    default:
      return readClock(task, clock, now);
  }
}

/** Reads the sigevent(7) at `address`; 0: SIGALRM with the timer's id as its value. */
function readEvent(task: Task, clock: number, address: number): PosixTimerSettings | number {
  const cpu = isCpuClock(clock) ? cpuClockOwner(task, clock) : null;
  if (address === 0) return { clock, cpu, signal: SIGALRM, target: null, value: null };
  const at = task.memory.inView(address, SIGEVENT_BYTES);
  if (at < 0) return -EFAULT;
  const view = task.memory.view;
  const value = { low: u32(view, at), high: u32(view, at + 4) };
  const signal = i32(view, at + 8), notify = i32(view, at + 12), tid = i32(view, at + 16);
  if (notify === SIGEV_NONE) return { clock, cpu, signal: 0, target: null, value };
  if (signal <= 0 || signal > SIGRTMAX) return -EINVAL;
  switch (notify) {
    case SIGEV_SIGNAL:
    case SIGEV_THREAD:
      return { clock, cpu, signal, target: null, value };
    case SIGEV_THREAD_ID: {
      const target = task.pid.namespace.task(tid);
      if (target === null || target.threadGroup !== task.threadGroup) return -EINVAL;
      return { clock, cpu, signal, target, value };
    }
    default:
      return -EINVAL;
  }
}

function posixTimer(task: Task, id: number): PosixTimer | null {
  return timersOf(task.threadGroup).posix.get(id) ?? null;
}

function timerSettime(task: Task, args: Args): number {
  if (args.word(2) === 0) return -EINVAL;
  const read = readSetting(task, args.word(2), 1e9, wanted);
  if (read < 0) return read;
  const found = posixTimer(task, args.i32(0));
  if (found === null) return -EINVAL;
  const timer = found.timer;
  const interval = timer.interval, left = timer.remaining();
  const isAbsolute = (args.u32(1) & TIMER_ABSTIME) !== 0;
  const target = targetOf(task, timer, found.settings.clock, isAbsolute);
  // Disarming a timer also clears its interval: common_timer_set().
  const isDisarmed = wanted.valueSeconds === 0 && wanted.valueParts === 0;
  found.set(target, isDisarmed ? 0 : spanNanos(wanted.intervalSeconds, wanted.intervalParts));
  return args.word(3) === 0 ? 0 : putSetting(task, args.word(3), interval, left, 1);
}

/** The requested expiry on the timer's own scale; Infinity for a value of 0. */
function targetOf(task: Task, timer: Timer, clock: number, isAbsolute: boolean): number {
  const { valueSeconds, valueParts } = wanted;
  if (valueSeconds === 0 && valueParts === 0) return Infinity;
  const span = spanNanos(valueSeconds, valueParts);
  if (!isAbsolute) return timer.now() + span;
  return isCpuClock(clock) ? span : monotonicOf(task, clock, valueSeconds, valueParts);
}

function timerGettime(task: Task, args: Args): number {
  const found = posixTimer(task, args.i32(0));
  return found === null ? -EINVAL : putTimer(task, args.word(1), found.timer, 1);
}

function timerGetoverrun(task: Task, args: Args): number {
  const found = posixTimer(task, args.i32(0));
  return found === null ? -EINVAL : found.overrun;
}

function timerDelete(task: Task, args: Args): number {
  return timersOf(task.threadGroup).delete(args.i32(0));
}

// --- timerfd --------------------------------------------------------------------------------------------------------

function timerfdCreate(task: Task, args: Args): number {
  const clock = args.i32(0), flags = args.u32(1);
  if ((flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) !== 0) return -EINVAL;
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
      break;
    case CLOCK_REALTIME_ALARM:
    case CLOCK_BOOTTIME_ALARM:
      if (!task.credentials.has(CAP_WAKE_ALARM)) return -EPERM;
      break;
    default:
      return -EINVAL;
  }
  const file = new TimerFile(task.kernel, clock, O_RDWR | (flags & O_NONBLOCK));
  const fd = task.files.allocate(task, file, (flags & O_CLOEXEC) !== 0);
  if (fd < 0) file.drop();
  return fd;
}

function timerfdSettime(task: Task, args: Args): number {
  const flags = args.u32(1);
  const read = readSetting(task, args.word(2), 1e9, wanted);
  if (read === -EFAULT) return read;
  if (read < 0 || (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) return -EINVAL;
  const file = task.files.getOpen(args.i32(0));
  if (file === null) return -EBADF;
  if (!(file instanceof TimerFile)) return -EINVAL;
  const timer = file.timer;
  const interval = timer.interval, left = timer.remaining();
  file.isAbsolute = (flags & TFD_TIMER_ABSTIME) !== 0;
  file.set(
    targetOf(task, timer, file.clock, file.isAbsolute),
    spanNanos(wanted.intervalSeconds, wanted.intervalParts),
  );
  return args.word(3) === 0 ? 0 : putSetting(task, args.word(3), interval, left, 1);
}

function timerfdGettime(task: Task, args: Args): number {
  const file = task.files.getOpen(args.i32(0));
  if (file === null) return -EBADF;
  if (!(file instanceof TimerFile)) return -EINVAL;
  return putTimer(task, args.word(1), file.timer, 1);
}
