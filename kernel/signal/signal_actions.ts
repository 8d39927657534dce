// What a process does on each signal. Linux: struct sighand_struct, sigaction(2). Plain arrays by signal number, so that
// looking at an action allocates nothing.

import {
  SIG_DFL,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGRTMAX,
  SIGSTOP,
  SIGTSTP,
  SIGTTIN,
  SIGTTOU,
  SIGURG,
  SIGWINCH,
} from "../abi/signal.ts";

/** Signals with the default action "ignore": signal(7). SIGCONT's is "continue", which happens when it is sent. */
const IGNORED_LOW = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH);
/** With the default action "stop". */
export const STOP_LOW = bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
/** With the default action "terminate and dump core": QUIT ILL TRAP ABRT BUS FPE SEGV XCPU XFSZ SYS. */
const CORE_LOW = bit(3) | bit(4) | bit(5) | bit(6) | bit(7) | bit(8) | bit(11) | bit(24) | bit(25) | bit(31);

/** Bit of `signal` in the word of a signal mask that has it: the low one for 1..32, the high one for 33..64. */
export function bit(signal: number): number {
  return 1 << ((signal - 1) & 31);
}

/** Whether the default action of `signal` is to do nothing. */
export function isIgnoredByDefault(signal: number): boolean {
  return signal <= 32 && (IGNORED_LOW & bit(signal)) !== 0;
}
/** Whether the default action of `signal` is to stop the process. */
export function isStopSignal(signal: number): boolean {
  return signal <= 32 && (STOP_LOW & bit(signal)) !== 0;
}
/** Whether the default action of `signal` is to dump core. */
export function isCoreSignal(signal: number): boolean {
  return signal <= 32 && (CORE_LOW & bit(signal)) !== 0;
}

export class SignalActions {
  /** SIG_DFL, SIG_IGN or the handler's address, by signal number 1..64. */
  readonly handler = new Float64Array(SIGRTMAX + 1);
  /** SA_ flags. */
  readonly flags = new Uint32Array(SIGRTMAX + 1);
  readonly restorer = new Float64Array(SIGRTMAX + 1);
  readonly maskLow = new Uint32Array(SIGRTMAX + 1);
  readonly maskHigh = new Uint32Array(SIGRTMAX + 1);
  /** Processes that share this object (CLONE_SIGHAND). */
  references = 1;

  /** A copy for fork, with one reference. */
  clone(): SignalActions {
    const copy = new SignalActions();
    copy.handler.set(this.handler);
    copy.flags.set(this.flags);
    copy.restorer.set(this.restorer);
    copy.maskLow.set(this.maskLow);
    copy.maskHigh.set(this.maskHigh);
    return copy;
  }

  /** Every handled signal goes back to its default; ignored ones stay ignored: execve(2), CLONE_CLEAR_SIGHAND. */
  resetHandlers(): void {
    for (let signal = 1; signal <= SIGRTMAX; signal++) {
      if (this.handler[signal] !== SIG_IGN) this.handler[signal] = SIG_DFL;
      this.flags[signal] = 0;
      this.restorer[signal] = 0;
      this.maskLow[signal] = 0;
      this.maskHigh[signal] = 0;
    }
  }

  /** A signal arriving now would be thrown away. */
  isIgnored(signal: number): boolean {
    const handler = this.handler[signal];
    return handler === SIG_IGN || (handler === SIG_DFL && isIgnoredByDefault(signal));
  }
}
