// timerfd: reads a timer's expirations from a descriptor. Linux: fs/timerfd.c, timerfd_create(2). A periodic timer
// without a reader or poller sets no deadline: its expirations are computed at the next access, so an idle sandbox
// does not wake for it.

import { EAGAIN, EINVAL } from "../../abi/errno.ts";
import { POLLIN } from "../../abi/file.ts";
import { put64 } from "../../abi/struct.ts";
import type { Kernel } from "../../kernel.ts";
import type { Task } from "../../task/task.ts";
import { Timer, type TimerListener } from "../../time/timer.ts";
import { AnonymousFile } from "./filesystem.ts";

export class TimerFile extends AnonymousFile implements TimerListener {
  readonly clock: number;
  readonly timer: Timer;
  /** Expirations since the last read or settime. */
  #ticks = 0;
  /** Set with TFD_TIMER_ABSTIME; shown by fdinfo. */
  isAbsolute = false;

  constructor(kernel: Kernel, clock: number, flags: number) {
    super(kernel, "[timerfd]", flags);
    this.clock = clock;
    this.timer = new Timer(kernel, this, null);
  }

  /** timerfd_settime(2): `target` in monotonic nanoseconds, Infinity disarms. */
  set(target: number, interval: number): void {
    this.#ticks = 0;
    this.timer.set(target, interval);
  }

  onExpire(timer: Timer): void {
    this.#ticks += timer.forward();
    this.queue.notify(POLLIN);
  }

  /** Counts the expirations since the last call and starts the next period. */
  update(): void {
    if (this.#ticks === 0) return;
    this.#ticks += this.timer.forward();
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number): number {
    if (length < 8) return -EINVAL;
    if (this.#ticks === 0) return -EAGAIN;
    this.update();
    put64(into, at, this.#ticks);
    this.#ticks = 0;
    this.timer.rearm();
    return 8;
  }

  override readiness(): number {
    return this.#ticks > 0 ? POLLIN : 0;
  }

  override get infoText(): string {
    const left = this.timer.remaining(), interval = this.timer.interval;
    return `clockid: ${this.clock}\nticks: ${this.#ticks}\nsettime flags: 0${this.isAbsolute ? 1 : 0}\n` +
      `it_value: ${pair(left)}\nit_interval: ${pair(interval)}\n`;
  }

  override release(): void {
    this.timer.stop();
    super.release();
  }
}

function pair(nanos: number): string {
  return `(${Math.floor(nanos / 1e9)}, ${Math.floor(nanos % 1e9)})`;
}
