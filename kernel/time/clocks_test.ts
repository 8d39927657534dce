// Clocks by number: wall and monotonic time in parts, CPU clocks and whose they are, spans that have no end.

import { deepEqual, equal } from "node:assert/strict";
import { FakeHost } from "../../tests/support/fake_platform.ts";
import { Processes } from "../../tests/support/processes.ts";
import { EINVAL } from "../abi/errno.ts";
import {
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_PROCESS_CPUTIME_ID,
  CLOCK_REALTIME,
  CLOCK_THREAD_CPUTIME_ID,
} from "../abi/time.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { HostClock } from "./clock.ts";
import { cpuClockOwner, monotonicOf, readClock, spanNanos } from "./clocks.ts";

const SECONDS_1970 = 1_700_000_000;

/** The number of a CPU clock, as clock_getcpuclockid(3) makes it: kind 2 = scheduled time, bit 2 = of a thread. */
const cpuClock = (id: number, isThread: boolean) => (~id << 3) | (isThread ? 4 : 0) | 2;

Deno.test("the host's clock gives wall time in seconds, and the nanoseconds of that reading", () => {
  const host = new FakeHost(2.25e9, 100);
  const clock = new HostClock(host);
  equal(clock.realtime(), SECONDS_1970 + 2);
  equal(clock.nanoseconds, 250_000_100);
  equal(clock.monotonic(), 2_250_000_200);
});

Deno.test("readClock() knows Linux' clocks, and no others", () => {
  const { kernel, init } = new Processes([]);
  (kernel.host as FakeHost).now = 5.75e9;
  const time = { seconds: 0, nanos: 0 };
  for (
    const [clock, seconds] of [[CLOCK_REALTIME, SECONDS_1970 + 5], [CLOCK_MONOTONIC, 5], [CLOCK_BOOTTIME, 5]]
  ) {
    equal(readClock(init, clock, time), 0);
    deepEqual([time.seconds, time.nanos], [seconds, 750_000_000], `clock ${clock}`);
  }
  for (const clock of [10, 12, 99, cpuClock(77, false), -1]) {
    equal(readClock(init, clock, time), -EINVAL, `clock ${clock}`);
  }
});

Deno.test("cpuClockOwner(): a process's clock is anybody's to read, a thread's its process's", () => {
  const processes = new Processes([PROCESS_CALLS]);
  const { init } = processes;
  const child = processes.fork(init), thread = processes.thread(child);
  equal(cpuClockOwner(child, CLOCK_PROCESS_CPUTIME_ID), child.threadGroup);
  equal(cpuClockOwner(thread, CLOCK_THREAD_CPUTIME_ID), thread);
  equal(cpuClockOwner(child, cpuClock(0, false)), child.threadGroup);
  equal(cpuClockOwner(child, cpuClock(0, true)), child);
  equal(cpuClockOwner(init, cpuClock(child.tid, false)), child.threadGroup);
  equal(cpuClockOwner(child, cpuClock(thread.tid, true)), thread);
  equal(cpuClockOwner(init, cpuClock(thread.tid, true)), null, "of another process");
  equal(cpuClockOwner(init, cpuClock(4000, false)), null);
  equal(cpuClockOwner(init, cpuClock(child.tid, false) | 3), null, "a kind that there is not");
});

Deno.test("monotonicOf() turns an instant of any clock into one of the monotonic clock", () => {
  const { kernel, init } = new Processes([]);
  (kernel.host as FakeHost).now = 3e9;
  equal(monotonicOf(init, CLOCK_MONOTONIC, 7, 5), 7_000_000_005);
  equal(monotonicOf(init, CLOCK_REALTIME, SECONDS_1970 + 4, 500), 4_000_000_500);
  equal(monotonicOf(init, CLOCK_REALTIME, SECONDS_1970 - 10, 0), -10e9, "long ago");
  equal(monotonicOf(init, CLOCK_REALTIME, 2 ** 52, 0), Infinity);
  equal(spanNanos(1, 999_999_999), 1_999_999_999);
  equal(spanNanos(2 ** 40, 0), Infinity);
});
