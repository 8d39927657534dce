// Sleeping and timers over processes without guest code, with a clock that the test moves.

import { equal } from "node:assert/strict";
import { EAGAIN, EINVAL, EPERM } from "../abi/errno.ts";
import { SIGALRM, SIGUSR1 } from "../abi/signal.ts";
import { DESCRIPTOR_CALLS } from "./descriptor.ts";
import { EVENT_CALLS } from "./event.ts";
import { IO_CALLS } from "./io.ts";
import { POLL_CALLS } from "./poll.ts";
import { PROCESS_CALLS } from "./process.ts";
import { SIGNAL_CALLS } from "./signal.ts";
import { TIME_CALLS } from "./time.ts";
import { TIMER_CALLS } from "./timer.ts";
import type { Task } from "../task/task.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";

const SYS = {
  read: 0,
  poll: 7,
  rt_sigaction: 13,
  rt_sigprocmask: 14,
  nanosleep: 35,
  getitimer: 36,
  alarm: 37,
  setitimer: 38,
  kill: 62,
  rt_sigtimedwait: 128,
  timer_create: 222,
  timer_settime: 223,
  timer_gettime: 224,
  timer_delete: 226,
  clock_settime: 227,
  signalfd4: 289,
  timerfd_create: 283,
  timerfd_settime: 286,
  timerfd_gettime: 287,
};
const A = BASE + 0x1000, B = BASE + 0x2000;
const MS = 1e6;
const FAMILIES = [
  DESCRIPTOR_CALLS,
  EVENT_CALLS,
  IO_CALLS,
  POLL_CALLS,
  PROCESS_CALLS,
  SIGNAL_CALLS,
  TIME_CALLS,
  TIMER_CALLS,
];

class Scene {
  readonly p = new Processes(FAMILIES);
  readonly a: Task = this.p.fork(this.p.init);

  call(number: number, ...values: number[]): number | typeof WAITS {
    return this.p.syscall(this.a, number, ...values);
  }
  /** Longs from A on. */
  put(...values: number[]): void {
    values.forEach((v, i) => this.p.memory(this.a).setBigInt64(A - BASE + 8 * i, BigInt(v), true));
  }
  get(at: number): number {
    return Number(this.p.memory(this.a).getBigInt64(at - BASE, true));
  }
  /** Blocks `signal`, which a test then takes from the queue. */
  block(signal: number): void {
    this.put(2 ** (signal - 1));
    equal(this.call(SYS.rt_sigprocmask, 0, A, 0, 8), 0);
  }
  /** Takes `signal` without waiting: si_code and si_overrun, or "none". */
  take(signal: number): string {
    this.put(2 ** (signal - 1), 0, 0);
    const got = this.call(SYS.rt_sigtimedwait, A, B, A + 8, 8);
    if (got !== signal) return "none";
    const memory = this.p.memory(this.a);
    return `${memory.getInt32(B - BASE + 8, true)} ${memory.getInt32(B - BASE + 20, true)}`;
  }
}

Deno.test("nanosleep ends at its time and says what is left when a handler runs", () => {
  const s = new Scene();
  s.put(1, 0);
  equal(s.call(SYS.nanosleep, A, B), WAITS);
  s.p.pass(999 * MS);
  equal(s.p.answer(s.a), WAITS);
  s.p.pass(2 * MS);
  equal(s.p.answer(s.a), 0);
  s.put(0x40_0000, 0x0400_0000, 0x40_0000, 0);
  equal(s.call(SYS.rt_sigaction, SIGUSR1, A, 0, 8), 0);
  s.put(1, 0);
  equal(s.call(SYS.nanosleep, A, B), WAITS);
  s.p.pass(300 * MS);
  equal(s.p.syscall(s.p.fork(s.p.init), SYS.kill, s.a.tid, SIGUSR1), 0);
  equal(s.get(B) * 1e9 + s.get(B + 8), 700 * MS);
  s.put(0, 1e9);
  equal(s.call(SYS.nanosleep, A, B), -EINVAL);
});

Deno.test("poll waits for its time and no longer", () => {
  const s = new Scene();
  equal(s.call(SYS.poll, 0, 0, 100), WAITS);
  s.p.pass(99 * MS);
  equal(s.p.answer(s.a), WAITS);
  s.p.pass(2 * MS);
  equal(s.p.answer(s.a), 0);
});

Deno.test("a timerfd counts expirations, waits for the first and shows what is left", () => {
  const s = new Scene();
  const fd = s.call(SYS.timerfd_create, 1, 0o4000) as number;
  s.put(0, 10 * MS, 0, 25 * MS);
  equal(s.call(SYS.timerfd_settime, fd, 0, A, 0), 0);
  equal(s.call(SYS.read, fd, B, 8), -EAGAIN);
  s.p.pass(20 * MS);
  equal(s.call(SYS.timerfd_gettime, fd, B), 0);
  equal([s.get(B + 8), s.get(B + 24)].join(), [10 * MS, 5 * MS].join());
  s.p.pass(6 * MS);
  equal(s.call(SYS.read, fd, B, 8), 8);
  equal(s.get(B), 1);
  s.p.pass(95 * MS);
  equal(s.a.files.get(fd)!.readiness() !== 0, true);
  equal(s.call(SYS.read, fd, B, 8), 8);
  equal(s.get(B), 9);
  equal(s.call(SYS.read, fd, B, 4), -EINVAL);
  equal(s.call(SYS.timerfd_create, 2, 0), -EINVAL);
});

Deno.test("interval timers send SIGALRM again and again, alarm says what was left", () => {
  const s = new Scene();
  s.block(SIGALRM);
  s.put(0, 10_000, 0, 10_000);
  equal(s.call(SYS.setitimer, 0, A, 0), 0);
  for (let i = 0; i < 3; i++) {
    s.p.pass(10 * MS);
    equal(s.take(SIGALRM).split(" ")[0], "128");
  }
  equal(s.take(SIGALRM), "none");
  equal(s.call(SYS.alarm, 5), 1);
  s.p.pass(1_400 * MS);
  equal(s.call(SYS.alarm, 0), 4);
  equal(s.call(SYS.getitimer, 0, B), 0);
  equal(s.get(B + 16) + s.get(B + 24), 0);
  s.put(0, 1e6, 0, 0);
  equal(s.call(SYS.setitimer, 0, A, 0), -EINVAL);
});

Deno.test("a POSIX timer whose signal is pending counts overruns instead of sending more", () => {
  const s = new Scene();
  s.block(SIGUSR1);
  // struct sigevent: value, signo and notify, then padding.
  s.put(77, SIGUSR1);
  equal(s.call(SYS.timer_create, 1, A, B), 0);
  s.put(0, 10 * MS, 0, 10 * MS);
  equal(s.call(SYS.timer_settime, 0, 0, A, 0), 0);
  s.p.pass(55 * MS);
  equal(s.take(SIGUSR1), "-2 4");
  equal(s.take(SIGUSR1), "none");
  s.p.pass(6 * MS);
  equal(s.take(SIGUSR1), "-2 0");
  equal(s.call(SYS.timer_gettime, 0, B), 0);
  equal(s.get(B + 24), 9 * MS);
  equal(s.call(SYS.timer_delete, 0), 0);
  equal(s.call(SYS.timer_delete, 0), -EINVAL);
});

Deno.test("a signalfd gives the signals of its mask and wakes who waits for it", () => {
  const s = new Scene();
  s.block(SIGUSR1);
  s.put(2 ** (SIGUSR1 - 1));
  const fd = s.call(SYS.signalfd4, -1, A, 8, 0) as number;
  equal(s.call(SYS.read, fd, B, 200), WAITS);
  const other = s.p.fork(s.p.init);
  equal(s.p.syscall(other, SYS.kill, s.a.tid, SIGUSR1), 0);
  equal(s.p.answer(s.a), 128);
  const memory = s.p.memory(s.a);
  equal(memory.getUint32(B - BASE, true), SIGUSR1);
  equal(memory.getUint32(B - BASE + 12, true), other.tid);
});

Deno.test("nobody sets the clock", () => {
  const s = new Scene();
  s.put(1, 0);
  equal(s.call(SYS.clock_settime, 0, A), -EPERM);
  equal(s.call(SYS.clock_settime, 1, A), -EINVAL);
});
