// Signals that have been sent and not yet delivered, of one task or one process. Linux: struct sigpending. Bits say which
// are pending; a list for each has what came with it, in the order of arrival. A bit may have no entry, when there
// was no room for its siginfo (RLIMIT_SIGPENDING): it is then delivered with si_code SI_USER and pid 0, as Linux does. Linux
// has one list for all kinds, and searches it for each signal: with 20,000 of twenty kinds that takes it seconds.

import { SI_USER, SIGBUS, SIGFPE, SIGILL, SIGRTMIN, SIGSEGV, SIGSYS, SIGTRAP } from "../abi/signal.ts";
import { bit } from "./signal_actions.ts";
import { SignalInfo } from "./signal_info.ts";

/** Faults come before other signals: SYNCHRONOUS_MASK of Linux. */
const SYNCHRONOUS = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGFPE) | bit(SIGSYS);

const SIGNALS_MAX = 64;

export class SignalQueue {
  /** Which signals are pending: 1..32 and 33..64. */
  low = 0;
  high = 0;
  /** By signal: the oldest entry, linked by `next`, and the newest; null until something is sent. */
  #first: (SignalInfo | null)[] | null = null;
  #last: (SignalInfo | null)[] | null = null;

  has(signal: number): boolean {
    return ((signal <= 32 ? this.low : this.high) & bit(signal)) !== 0;
  }
  get isEmpty(): boolean {
    return this.low === 0 && this.high === 0;
  }

  /** Adds `info`. Whether a standard signal is already pending has been asked by the sender. */
  add(info: SignalInfo): void {
    this.mark(info.signal);
    info.next = null;
    const first = this.#first ??= new Array(SIGNALS_MAX + 1).fill(null);
    const last = this.#last ??= new Array(SIGNALS_MAX + 1).fill(null);
    const before = last[info.signal];
    if (before === null) first[info.signal] = info;
    else before.next = info;
    last[info.signal] = info;
  }

  /** Makes `signal` pending without an entry. */
  mark(signal: number): void {
    if (signal <= 32) this.low = (this.low | bit(signal)) >>> 0;
    else this.high = (this.high | bit(signal)) >>> 0;
  }

  /** The signal to deliver next that is not in the mask: faults first, then the lowest number. 0 = none. */
  next(maskLow: number, maskHigh: number): number {
    const low = this.low & ~maskLow;
    if (low !== 0) {
      const faults = low & SYNCHRONOUS;
      return lowestSignal(faults !== 0 ? faults : low);
    }
    const high = this.high & ~maskHigh;
    return high === 0 ? 0 : 32 + lowestSignal(high);
  }

  /** Takes the oldest entry of pending `signal`. Real-time signals stay pending while there are more. */
  take(signal: number): SignalInfo {
    const found = this.#first === null ? null : this.#first[signal];
    if (found === null) {
      this.#clear(signal);
      return new SignalInfo(signal, SI_USER);
    }
    const { next } = found;
    this.#first![signal] = next;
    if (next === null) this.#last![signal] = null;
    if (next === null || signal < SIGRTMIN) this.#clear(signal);
    found.next = null;
    return found;
  }

  /** Throws away the signals in the mask; gives back the first of them, linked by `next`, for the sender's account. */
  discard(low: number, high: number): SignalInfo | null {
    if (((this.low & low) | (this.high & high)) === 0) return null;
    this.low = (this.low & ~low) >>> 0;
    this.high = (this.high & ~high) >>> 0;
    let gone: SignalInfo | null = null;
    for (let signal = 1; signal <= SIGNALS_MAX && this.#first !== null; signal++) {
      const last = this.#last![signal];
      if (last === null || ((signal <= 32 ? low : high) & bit(signal)) === 0) continue;
      last.next = gone;
      gone = this.#first[signal];
      this.#first[signal] = this.#last![signal] = null;
    }
    return gone;
  }

  #clear(signal: number): void {
    if (signal <= 32) this.low = (this.low & ~bit(signal)) >>> 0;
    else this.high = (this.high & ~bit(signal)) >>> 0;
  }
}

/** Number of the lowest bit that is set, counting from 1. */
function lowestSignal(word: number): number {
  return 32 - Math.clz32(word & -word);
}
