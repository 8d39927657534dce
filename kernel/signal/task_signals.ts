// The signal side of a task: mask, private queue, alternate stack, and the one boolean that the run loop checks. Linux: the
// signal fields of struct task_struct. Sending is in send.ts, delivery in deliver.ts, job control in job_control.ts.

import { SIGKILL, SIGSTOP, SS_DISABLE } from "../abi/signal.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import { bit } from "./signal_actions.ts";
import type { SignalInfo } from "./signal_info.ts";
import { SignalQueue } from "./signal_queue.ts";
import type { Task } from "../task/task.ts";

/** Signals nobody can block, ignore or handle; all of them are in the low word. */
export const UNBLOCKABLE_LOW = bit(SIGKILL) | bit(SIGSTOP);

export class TaskSignals {
  /** Set by the task's constructor. */
  task!: Task;
  /** Blocked signals, 1..32 and 33..64. Change through setMask. */
  maskLow = 0;
  maskHigh = 0;
  /** The mask that sigsuspend, ppoll, pselect and epoll_pwait restore at their end; valid while hasSavedMask. */
  hasSavedMask = false;
  savedLow = 0;
  savedHigh = 0;
  /** Signals that a sigtimedwait in progress has unblocked only to take them itself: they do not kill (real_blocked). */
  waitedLow = 0;
  waitedHigh = 0;
  /** Signals sent to this task alone. */
  readonly pending = new SignalQueue();

  // sigaltstack(2).
  altStackAddress = 0;
  altStackSize = 0;
  altStackFlags = SS_DISABLE;

  /**
   * There is work for deliverSignals: an unblocked signal, a group exit, a stop, a result that waits for the end of a
   * stop. Kept current by recalculate(); may be true without need, never false wrongly.
   */
  hasPending = false;
  /** It is to die as soon as it comes by: SIGKILL or a group exit. */
  isKilled = false;
  /** It must join the group's stop. */
  mustStop = false;
  /** Result of the call that a stop interrupted, until it has been dealt with; NO_RESULT = none. */
  resultAtStop: number = NO_RESULT;

  /** Of the last fault, as every later signal frame shows it (thread.trap_nr, error_code, cr2). */
  trapNumber = 0;
  trapError = 0;
  faultAddress = 0;

  /** Brings hasPending up to date after mask, queues or flags have changed. */
  recalculate(): void {
    const shared = this.task.threadGroup.pending;
    const own = this.pending;
    this.hasPending = ((own.low | shared.low) & ~this.maskLow) !== 0 ||
      ((own.high | shared.high) & ~this.maskHigh) !== 0 ||
      this.isKilled || this.mustStop || this.resultAtStop !== NO_RESULT;
  }

  /** Sets the mask; SIGKILL and SIGSTOP stay out of it. Signals that it unblocks are delivered when the call returns. */
  setMask(low: number, high: number): void {
    const shared = this.task.threadGroup.pending;
    const isPassedOn = (shared.low & low & ~this.maskLow) !== 0 ||
      (shared.high & high & ~this.maskHigh) !== 0;
    this.maskLow = (low & ~UNBLOCKABLE_LOW) >>> 0;
    this.maskHigh = high >>> 0;
    this.recalculate();
    if (isPassedOn) this.passOn();
  }

  /** It takes no part in what is pending for the process any more (blocked, exiting): others have to. retarget_shared_pending(). */
  passOn(): void {
    for (const other of this.task.threadGroup.tasks) {
      if (other === this.task || other.hasExited) continue;
      other.signals.recalculate();
      if (!other.signals.hasPending) continue;
      other.call.wake();
      if (other.thread.isRunning) other.thread.interrupt();
    }
  }

  isBlocked(signal: number): boolean {
    return ((signal <= 32 ? this.maskLow : this.maskHigh) & bit(signal)) !== 0;
  }

  /**
   * Mask for the time of one call (sigsuspend, ppoll, pselect6, epoll_pwait). Safe to repeat when the handler is run again.
   * The handler calls restoreMask() when it answers; where a signal ends its wait, deliverSignals does.
   */
  setTemporaryMask(low: number, high: number): void {
    if (!this.hasSavedMask) {
      this.hasSavedMask = true;
      this.savedLow = this.maskLow;
      this.savedHigh = this.maskHigh;
    }
    this.setMask(low, high);
  }

  restoreMask(): void {
    if (!this.hasSavedMask) return;
    this.hasSavedMask = false;
    this.setMask(this.savedLow, this.savedHigh);
  }

  /** What a child gets of its parent at clone(2): the mask, and the alternate stack unless it shares memory to run on. */
  inherit(parent: TaskSignals, keepsAltStack: boolean): void {
    this.maskLow = parent.maskLow;
    this.maskHigh = parent.maskHigh;
    if (!keepsAltStack) return;
    this.altStackAddress = parent.altStackAddress;
    this.altStackSize = parent.altStackSize;
    this.altStackFlags = parent.altStackFlags;
  }

  /** execve(2): no alternate stack any more. */
  dropAltStack(): void {
    this.altStackAddress = 0;
    this.altStackSize = 0;
    this.altStackFlags = SS_DISABLE;
  }

  /** Whether the group's or this task's queue has `signal`. */
  isPending(signal: number): boolean {
    return this.pending.has(signal) || this.task.threadGroup.pending.has(signal);
  }

  /** Takes the next signal not in the mask, own ones first; null = none. Use dequeueSignal() of send.ts, which keeps accounts. */
  takeNext(maskLow: number, maskHigh: number): SignalInfo | null {
    const own = this.pending.next(maskLow, maskHigh);
    if (own !== 0) return this.pending.take(own);
    const shared = this.task.threadGroup.pending;
    const next = shared.next(maskLow, maskHigh);
    return next === 0 ? null : shared.take(next);
  }
}
