// A timer that expires once or again and again, on the monotonic clock or on somebody's CPU time. What happens then is
// its listener's business: timerfds, interval timers and POSIX timers are made of it. Linux: struct hrtimer, k_itimer.
//
// CPU time raises no interrupt here: the timer reads it at the earliest time it can have expired, and less often while the
// process sleeps, so that an idle process with a running ITIMER_PROF costs nearly nothing.

import type { Kernel } from "../kernel.ts";
import type { Deadlined } from "../util/deadline_heap.ts";
import type { CpuTimed } from "./clocks.ts";

/** Shortest time between two readings of CPU time, nanoseconds: a tick of Linux at HZ=250. */
const CPU_LOOK_NANOS_MIN = 4e6;
/** Longest time between two readings of the CPU time of a process that does not run. */
const CPU_LOOK_NANOS_MAX = 128e6;
/** A timer with a shorter interval goes off no more often than this; its count of expirations is right all the same. */
const INTERVAL_NANOS_MIN = 50e3;

export interface TimerListener {
  /** The timer has expired. It is not armed now: rearm() starts the next period. */
  onExpire(timer: Timer): void;
  /** As Deadlined.taskConcerned(). */
  taskConcerned?(): unknown;
}

export class Timer implements Deadlined {
  readonly #kernel: Kernel;
  readonly #listener: TimerListener;
  /** Whose CPU time it counts; null = monotonic time. */
  readonly #cpu: CpuTimed | null;
  /** When it expires next, on its own time scale; Infinity = disarmed. */
  target = Infinity;
  /** Nanoseconds between expirations; 0 = once. */
  interval = 0;
  deadline = Infinity;
  deadlineIndex = -1;
  /** CPU time at the last look, and how long to wait when it has not moved since. */
  #lastCpu = 0;
  #lookNanos = CPU_LOOK_NANOS_MIN;

  constructor(kernel: Kernel, listener: TimerListener, cpu: CpuTimed | null) {
    this.#kernel = kernel;
    this.#listener = listener;
    this.#cpu = cpu;
  }

  /** Now, on its own time scale. */
  now(): number {
    return this.#cpu === null ? this.#kernel.clock.monotonic() : this.#cpu.cpuNanos();
  }

  get isArmed(): boolean {
    return this.target !== Infinity;
  }

  /** Sets it going: `target` on its own time scale, Infinity disarms. */
  set(target: number, interval: number): void {
    this.#kernel.deadlines.remove(this);
    this.target = target;
    this.interval = interval;
    if (target !== Infinity) this.#start();
  }

  /** As set(), where nobody is to be told: only remaining() wants to know. SIGEV_NONE in common_hrtimer_arm(). */
  setSilent(target: number, interval: number): void {
    this.#kernel.deadlines.remove(this);
    this.target = target;
    this.interval = interval;
  }

  /** Moves the target past now by whole intervals and gives back how many expirations that were; 0 = not yet over. */
  forward(): number {
    if (this.target === Infinity) return 0;
    const over = this.now() - this.target;
    if (over < 0) return 0;
    if (this.interval === 0) {
      this.target = Infinity;
      return 1;
    }
    const count = Math.floor(over / this.interval) + 1;
    this.target += count * this.interval;
    return count;
  }

  /** Starts waiting for the target again, after forward(), but at least `nanosMin`. */
  rearm(nanosMin = INTERVAL_NANOS_MIN): void {
    this.#kernel.deadlines.remove(this);
    if (this.target !== Infinity) this.#start(nanosMin);
  }

  stop(): void {
    this.set(Infinity, 0);
  }

  /** Nanoseconds until it expires next, 0 when disarmed. A periodic one that was not served yet counts on. */
  remaining(): number {
    if (this.target === Infinity) return 0;
    const left = this.target - this.now();
    if (left > 0) return left;
    return this.interval === 0 ? 0 : this.interval - (-left % this.interval);
  }

  #start(nanosMin = INTERVAL_NANOS_MIN): void {
    const now = this.#kernel.clock.monotonic();
    if (this.#cpu === null) {
      this.deadline = this.interval === 0 ? this.target : Math.max(this.target, now + nanosMin);
    } else {
      this.#lastCpu = this.#cpu.cpuNanos();
      this.deadline = now + this.#nextLook(this.#lastCpu);
    }
    this.#kernel.deadlines.add(this);
  }

  #nextLook(cpu: number): number {
    // Several threads spend CPU time faster than the clock goes.
    return Math.max(this.#lookNanos, (this.target - cpu) / this.#kernel.cpuCount);
  }

  taskConcerned(): unknown {
    return this.#listener.taskConcerned?.() ?? null;
  }

  onDeadline(now: number): void {
    if (this.#cpu !== null) {
      const cpu = this.#cpu.cpuNanos();
      if (cpu < this.target) {
        this.#lookNanos = cpu > this.#lastCpu
          ? CPU_LOOK_NANOS_MIN
          : Math.min(2 * this.#lookNanos, CPU_LOOK_NANOS_MAX);
        this.#lastCpu = cpu;
        this.deadline = now + this.#nextLook(cpu);
        this.#kernel.deadlines.add(this);
        return;
      }
    }
    this.#listener.onExpire(this);
  }
}
