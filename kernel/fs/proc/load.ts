// How busy the sandbox is: processor time in all, and the load averages of proc_loadavg(5). Linux counts runnable tasks
// every five seconds; an idle sandbox shall not wake for that, so that load is worked out when somebody looks: the
// processors that have been busy since the last look, in a mean that forgets.
// Linux: who waits for a processor is not counted, so load never exceeds their number.

import type { Kernel } from "../../kernel.ts";

/** Over how long each average forgets. */
const PERIODS_SECONDS = [60, 300, 900] as const;

export class LoadAverage {
  readonly averages = [0, 0, 0];
  #lastNanos = 0;
  #lastBusyNanos = 0;

  constructor(now: number) {
    this.#lastNanos = now;
  }

  /** `busyNanos` is what all processors together have worked until `now`. */
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

/** The averages of now. */
export function loadAverages(kernel: Kernel): readonly number[] {
  kernel.load.update(kernel.clock.monotonic(), busyNanos(kernel));
  return kernel.load.averages;
}

/** Processor time of all processes since the start, those that are gone included. */
export function busyNanos(kernel: Kernel): number {
  let nanos = kernel.reapedCpuNanos;
  for (const task of kernel.tasks.values()) {
    if (task.threadGroup.leader === task) nanos += task.threadGroup.cpuNanos();
  }
  return nanos;
}
