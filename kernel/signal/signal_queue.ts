// Signals that have been sent and not yet delivered, of one task or one process. Linux: struct sigpending. Bits say which
// are pending; the list has what came with them, in the order of arrival. A bit may stand without an entry, when there
// was no room for its siginfo (RLIMIT_SIGPENDING): it is delivered as from nobody.

import { SI_USER, SIGBUS, SIGFPE, SIGILL, SIGRTMIN, SIGSEGV, SIGSYS, SIGTRAP } from "../abi/signal.ts";
import { bit } from "./signal_actions.ts";
import { SignalInfo } from "./signal_info.ts";

/** Faults come before other signals: SYNCHRONOUS_MASK of Linux. */
const SYNCHRONOUS = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGFPE) | bit(SIGSYS);

export class SignalQueue {
  /** Which signals are pending: 1..32 and 33..64. */
  low = 0;
  high = 0;
  #first: SignalInfo | null = null;
  #last: SignalInfo | null = null;

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
    if (this.#last === null) this.#first = info;
    else this.#last.next = info;
    this.#last = info;
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
    let previous: SignalInfo | null = null;
    let found: SignalInfo | null = null;
    let isMore = false;
    let before: SignalInfo | null = null;
    for (let info = this.#first; info !== null; info = info.next) {
      if (info.signal === signal) {
        if (found !== null) {
          isMore = true;
          break;
        }
        found = info;
        before = previous;
        if (signal < SIGRTMIN) break;
      }
      previous = info;
    }
    if (!isMore) this.#clear(signal);
    if (found === null) return new SignalInfo(signal, SI_USER);
    if (before === null) this.#first = found.next;
    else before.next = found.next;
    if (this.#last === found) this.#last = before;
    found.next = null;
    return found;
  }

  /** Throws away the signals in the mask; gives back the first of them, linked by `next`, for the sender's account. */
  discard(low: number, high: number): SignalInfo | null {
    if (((this.low & low) | (this.high & high)) === 0) return null;
    this.low = (this.low & ~low) >>> 0;
    this.high = (this.high & ~high) >>> 0;
    let kept: SignalInfo | null = null;
    let gone: SignalInfo | null = null;
    let info = this.#first;
    this.#first = null;
    while (info !== null) {
      const next: SignalInfo | null = info.next;
      info.next = null;
      if (((info.signal <= 32 ? low : high) & bit(info.signal)) !== 0) {
        info.next = gone;
        gone = info;
      } else {
        if (kept === null) this.#first = info;
        else kept.next = info;
        kept = info;
      }
      info = next;
    }
    this.#last = kept;
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
