// Processor time of the sandbox, and the load averages of proc_loadavg(5). Linux counts runnable tasks every five
// seconds (kernel/sched/loadavg.c); an idle sandbox must not wake for that, so the load is computed when it is read:
// the average number of busy processors since the last read enters exponentially weighted means. Linux: tasks that
// wait for a processor are not counted, so the load never exceeds the number of processors.

import type { Kernel } from "../../kernel.ts";

/** The period of each average. */
const PERIODS_SECONDS = [60, 300, 900] as const;

export class LoadAverage {
  readonly averages = [0, 0, 0];
  #lastNanos = 0;
  #lastBusyNanos = 0;

  constructor(now: number) {
    this.#lastNanos = now;
  }

  /** `busyNanos`: processor time used until `now`. */
  update(now: number, busyNanos: number): void {
    const elapsed = now - this.#lastNanos;
    if (elapsed <= 0) return;
    const load = Math.max(0, busyNanos - this.#lastBusyNanos) / elapsed;
    for (let i = 0; i < PERIODS_SECONDS.length; i++) {
      const kept = Math.exp(-elapsed / 1e9 / PERIODS_SECONDS[i]);
      this.averages[i] = this.averages[i] * kept + load * (1 - kept);
    }
    this.#lastNanos = now;
    this.#lastBusyNanos = busyNanos;
  }
}

/** The averages as of now. */
export function loadAverages(kernel: Kernel): readonly number[] {
  kernel.load.update(kernel.clock.monotonic(), busyNanos(kernel));
  return kernel.load.averages;
}

/** Processor time of all processes since the start, including those that have ended. */
export function busyNanos(kernel: Kernel): number {
  let nanos = kernel.reapedCpuNanos;
  for (const task of kernel.tasks.values()) {
    if (task.threadGroup.leader === task) nanos += task.threadGroup.cpuNanos();
  }
  return nanos;
}
