// The wait for what a stub reports: that it has carried out its commands. Nobody else is served meanwhile, so a stub that does
// not report is looked into (patience.ts).

import { EAGAIN, EPIPE, ETIMEDOUT } from "../../kernel/abi/errno.ts";
import type { StubCalls } from "../../native/stub.ts";
import { CommandTime } from "./command_time.ts";
import { Patience, Stall } from "./patience.ts";

/** How long a stub may take over commands, milliseconds, before it is looked into. */
const PROMPT_MILLIS = 20;
/** How long it is left alone between two looks, and may take to halt. */
const SLICE_MILLIS = 10;
const HALT_MILLIS_MAX = 100;

/** A stub's thread that carries out commands. */
interface Commanded {
  readonly slot: number;
  /** The host thread that carries out the commands. */
  readonly tid: number;
  readonly addressSpace: { readonly socket: number; readonly pid: number };
}

export class Reports {
  /** Pauses the sentry spins for a report before it sleeps. */
  spins = 0;
  /**
   * The stub that runs no guest code: it may be late, and nothing else, so it is not looked into. A clone(2) of its that were
   * halted on a busy host would be asked for a second time, and no program could start any more.
   */
  firstPid = 0;
  readonly commandTime: CommandTime;
  readonly #calls: StubCalls;
  readonly #patience = new Patience();
  readonly #onGivenUp: (reason: string) => void;

  constructor(calls: StubCalls, onGivenUp: (reason: string) => void) {
    this.#calls = calls;
    this.commandTime = new CommandTime(calls);
    this.#onGivenUp = onGivenUp;
  }

  /**
   * Waits for the report of `by`, which carries out `count` commands, `isWhole`: all its memory at once. 0 or -ERRNO: it is
   * not to be trusted any more.
   */
  wait(by: Commanded, count: number, isWhole: boolean): number {
    if (!this.commandTime.isCounted) return this.#wait(by, count, isWhole, false);
    return this.#waitCounting(by, count, isWhole, false);
  }

  /** As wait(), where one of the commands is clone(2). */
  waitForClone(by: Commanded, count: number): number {
    if (!this.commandTime.isCounted) return this.#wait(by, count, true, true);
    return this.#waitCounting(by, count, true, true);
  }

  #wait(by: Commanded, count: number, isWhole: boolean, clones: boolean): number {
    const result = this.#look(by, clones, this.spins, PROMPT_MILLIS);
    if (result !== -ETIMEDOUT && result !== -EAGAIN) return result;
    return this.#insist(by, count, isWhole, clones);
  }

  #waitCounting(by: Commanded, count: number, isWhole: boolean, clones: boolean): number {
    const { pid } = by.addressSpace;
    this.commandTime.begin(pid);
    const result = this.#wait(by, count, isWhole, clones);
    this.commandTime.end(pid);
    return result;
  }

  #waitForFirst(by: Commanded, clones: boolean): number {
    for (;;) {
      const result = this.#look(by, clones, 0, PROMPT_MILLIS);
      if (result !== -ETIMEDOUT && result !== -EAGAIN) return result;
    }
  }

  #look(by: Commanded, clones: boolean, spins: number, millis: number): number {
    const { slot, addressSpace: { socket } } = by;
    return clones
      ? this.#calls.tsv_stub_clone(slot, socket, spins, millis)
      : this.#calls.tsv_stub_await(slot, socket, spins, millis);
  }

  /** Goes on waiting for a stub that does not answer, and finds out whether it ever will. */
  #insist(by: Commanded, count: number, isWhole: boolean, clones: boolean): number {
    const { pid } = by.addressSpace;
    if (pid === this.firstPid) return this.#waitForFirst(by, clones);
    const start = performance.now();
    const cpuNanos = this.#calls.tsv_stub_cpu_nanos(pid);
    const stall = new Stall(count, isWhole, this.#patience.left(start), cpuNanos);
    this.#calls.tsv_stub_waits(pid, by.tid);
    let slice = SLICE_MILLIS, last = start, result: number;
    for (;;) {
      result = this.#look(by, clones, 0, slice);
      if (result !== -ETIMEDOUT && result !== -EAGAIN) break;
      const waits = this.#calls.tsv_stub_waits(pid, by.tid) !== 0;
      // It may have been resumed since it was read, where we wait for a CPU ourselves.
      const holds = !waits && clones && result === -EAGAIN && this.#calls.tsv_stub_hold_clone(by.slot) !== 0;
      const mayHalt = !waits && (!clones || holds || stall.isCloneOver);
      const from = performance.now();
      const halted = mayHalt ? this.#calls.tsv_stub_halt(pid, by.tid, HALT_MILLIS_MAX) : 0;
      if (holds) this.#calls.tsv_stub_free_clone(by.slot);
      if (halted < 0) return -EPIPE;
      const now = performance.now();
      // Where the host is so busy that it halts late, it goes on late.
      slice = Math.max(SLICE_MILLIS, Math.ceil(2 * (now - from)));
      const reason = stall.note(now - last, halted > 0, this.#calls.tsv_stub_cpu_nanos(pid), waits);
      last = now;
      if (reason === "") continue;
      this.#onGivenUp(`Stub process ${pid} does not answer: ${reason}`);
      result = -ETIMEDOUT;
      break;
    }
    if (clones) this.#patience.spend(last, stall.ownMillis);
    return result;
  }
}
