// What a task asks of the scheduler. Linux: the policy fields of task_struct, sched(7). The host schedules the stub's
// threads; these values are checked and shown as Linux does.
// Linux: policy, priority, nice and affinity have no effect on which guest thread runs.

import { SCHED_FIFO, SCHED_NORMAL, SCHED_RR } from "../abi/task.ts";

/** Default timer slack: 50 microseconds, prctl(PR_SET_TIMERSLACK). */
const TIMER_SLACK_NANOS = 50_000;

export class Scheduling {
  policy: number = SCHED_NORMAL;
  /** Static priority 1..99 of SCHED_FIFO and SCHED_RR, else 0. */
  priority = 0;
  /** -20..19. */
  nice = 0;
  /** Children start as SCHED_NORMAL (SCHED_FLAG_RESET_ON_FORK). */
  resetsOnFork = false;
  /** Allowed processors, a bit each; null = all. */
  affinity: Uint8Array | null = null;
  timerSlackNanos = TIMER_SLACK_NANOS;
  defaultTimerSlackNanos = TIMER_SLACK_NANOS;
  /** ioprio_set(2) value. */
  ioPriority = 0;
  /** set_mempolicy(2): MPOL_ mode and flags. With one memory node it is only shown. */
  memoryPolicy = 0;

  get isRealTime(): boolean {
    return this.policy === SCHED_FIFO || this.policy === SCHED_RR;
  }

  /** What a child starts with: sched_fork(). */
  forChild(): Scheduling {
    const child = new Scheduling();
    child.affinity = this.affinity === null ? null : this.affinity.slice();
    child.timerSlackNanos = this.timerSlackNanos;
    child.defaultTimerSlackNanos = this.timerSlackNanos;
    child.ioPriority = this.ioPriority;
    child.memoryPolicy = this.memoryPolicy;
    if (this.resetsOnFork) {
      if (!this.isRealTime) child.nice = Math.max(0, this.nice);
      return child;
    }
    child.policy = this.policy;
    child.priority = this.priority;
    child.nice = this.nice;
    return child;
  }
}
