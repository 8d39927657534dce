// Delivery: what happens to pending signals before a task returns to guest code. Linux: get_signal(),
// arch_do_signal_or_restart(), handle_signal(); signal(7) "Interruption of system calls and library functions".

import { ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS } from "../abi/errno.ts";
import { SA_NODEFER, SA_RESETHAND, SA_RESTART, SIG_DFL, SIG_IGN, SIGKILL, SIGSTOP } from "../abi/signal.ts";
import { interruptCall, repeatCall, resumeCall } from "../arch/arch.ts";
import { exitGroup, exitTask } from "../task/exit.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { deathStatus } from "./core_dump.ts";
import { pushSignalFrame } from "./frame.ts";
import { beginStop, stopTask } from "./job_control.ts";
import { dequeueSignal, forceBadFrame } from "./send.ts";
import { bit, isIgnoredByDefault, isStopSignal } from "./signal_actions.ts";
import type { SignalInfo } from "./signal_info.ts";

/** What becomes of an interrupted call. */
export const enum Restart {
  /** It answers what it has answered. */
  No,
  /** It answers -EINTR. */
  Interrupt,
  /** It is made again with the same arguments. */
  Again,
  /** It goes on through restart_syscall(2). */
  Block,
}

/** The restart rules: `flags` are those of the handler that runs, or -1 when none does. */
export function restartOf(result: number, flags: number): Restart {
  switch (-result) {
    case ERESTARTNOINTR:
      return Restart.Again;
    case ERESTARTSYS:
      return flags === -1 || (flags & SA_RESTART) !== 0 ? Restart.Again : Restart.Interrupt;
    case ERESTARTNOHAND:
      return flags === -1 ? Restart.Again : Restart.Interrupt;
    case ERESTART_RESTARTBLOCK:
      return flags === -1 ? Restart.Block : Restart.Interrupt;
    default:
      return Restart.No;
  }
}

/**
 * Deals with everything that is pending for `task`, whose call has answered `result` (in its register already; NO_RESULT = it made
 * none). True when it goes on to guest code, false when it has stopped or died.
 */
export function deliverSignals(task: Task, result: number): boolean {
  const signals = task.signals;
  if (result === NO_RESULT) result = signals.resultAtStop;
  signals.resultAtStop = NO_RESULT;
  for (;;) {
    if (signals.isKilled) {
      exitTask(task, SIGKILL);
      return false;
    }
    if (signals.mustStop) {
      stopTask(task, restartOf(result, -1) === Restart.No ? NO_RESULT : result);
      return false;
    }
    const info = dequeueSignal(task, signals.maskLow, signals.maskHigh);
    if (info !== null) {
      if (!act(task, info, result)) {
        if (task.hasExited) return false;
        continue;
      }
      // A handler is set up; what the call answered is in its frame. Others may go on top.
      result = NO_RESULT;
      continue;
    }
    restart(task, result, -1);
    result = NO_RESULT;
    signals.restoreMask();
    signals.recalculate();
    if (!signals.hasPending) return true;
  }
}

/** Carries out the action for one signal. True when a handler runs. */
function act(task: Task, info: SignalInfo, result: number): boolean {
  const group = task.threadGroup;
  const signal = info.signal;
  const actions = group.actions;
  const handler = actions.handler[signal];
  if (handler === SIG_IGN) return false;
  for (const witness of task.kernel.witnesses) witness.onSignal?.(task, info);
  if (handler !== SIG_DFL) {
    handle(task, info, handler, result);
    return true;
  }
  if (isIgnoredByDefault(signal)) return false;
  if (group.isUnkillable && signal !== SIGKILL && signal !== SIGSTOP) return false;
  if (isStopSignal(signal)) {
    // Nobody could continue it: POSIX has the terminal's stop signals do nothing then.
    if (signal === SIGSTOP || !group.processGroup.isOrphaned()) beginStop(task, signal);
    return false;
  }
  exitGroup(task, deathStatus(task, signal));
  return false;
}

function handle(task: Task, info: SignalInfo, handler: number, result: number): void {
  const signal = info.signal;
  const signals = task.signals;
  const actions = task.threadGroup.actions;
  const flags = actions.flags[signal];
  const low = actions.maskLow[signal];
  const high = actions.maskHigh[signal];
  const restorer = actions.restorer[signal];
  restart(task, result, flags);
  if ((flags & SA_RESETHAND) !== 0) actions.handler[signal] = SIG_DFL;
  if (pushSignalFrame(task, info, handler, flags, restorer) < 0) {
    forceBadFrame(task, signal);
    return;
  }
  signals.hasSavedMask = false;
  const own = (flags & SA_NODEFER) !== 0 ? 0 : bit(signal);
  signals.setMask(
    signals.maskLow | low | (signal <= 32 ? own : 0),
    signals.maskHigh | high | (signal > 32 ? own : 0),
  );
}

/** Sets the registers so that the interrupted call answers -EINTR or is made again. */
function restart(task: Task, result: number, flags: number): void {
  switch (restartOf(result, flags)) {
    case Restart.No:
      return;
    case Restart.Interrupt:
      return interruptCall(task.thread);
    case Restart.Again:
      return repeatCall(task.thread);
    case Restart.Block:
      return resumeCall(task.thread);
  }
}
