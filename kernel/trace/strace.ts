// strace text, generated from the system call table. Its form is that of `strace -f -tt -T` (strace(1)): a call that waits has
// two lines, one when it begins to wait and one with its result, as lines of other tasks may come between; signals and ends of
// tasks have lines of their own. As JSON a call is one object, written when it has ended.

import { ERESTART_RESTARTBLOCK, ERESTARTSYS, errnoName } from "../abi/errno.ts";
import { errnoText } from "../abi/errno_text.ts";
import { callResult } from "../arch/arch.ts";
import type { SignalInfo } from "../signal/signal_info.ts";
import type { NamedSpec, SyscallTable } from "../syscalls/dispatch.ts";
import type { CallHooks, CallListener } from "../task/call_hooks.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import type { Witness } from "../task/witness.ts";
import type { Clock } from "../time/clock.ts";
import { argumentText, isFilled } from "./arguments.ts";
import { endText, signalText } from "./signal_text.ts";
import type { StraceStyle } from "./style.ts";

const DAY_SECONDS = 86_400;
const PATIENT = " <unfinished ...>";

/** A call that has begun. */
interface Begun {
  readonly startNanos: number;
  readonly time: string;
  /** Its arguments as far as they were known when it began. */
  readonly args: (string | null)[];
  /** The first argument that the kernel fills: what stands from there on is written at the end. */
  readonly filledAt: number;
  isWaiting: boolean;
}

export class Strace implements CallListener, Witness {
  readonly #table: SyscallTable;
  readonly #clock: Clock;
  readonly #style: StraceStyle;
  readonly #sink: (line: string) => void;
  readonly #begun = new Map<Task, Begun>();

  /** Writes a line, without newline, to `sink` for each call: those of `names`, null = all. */
  constructor(
    hooks: CallHooks,
    table: SyscallTable,
    clock: Clock,
    names: ReadonlySet<string> | null,
    style: StraceStyle,
    sink: (line: string) => void,
  ) {
    this.#table = table;
    this.#clock = clock;
    this.#style = style;
    this.#sink = sink;
    hooks.listen(this, (number) => names === null || names.has(table.name(number) ?? ""));
  }

  onEnter(task: Task): void {
    const call = this.#callOf(task);
    const kinds = call === null ? [] : Object.values(call.spec.args);
    const filledAt = kinds.findIndex(isFilled), end = filledAt < 0 ? kinds.length : filledAt;
    const args: (string | null)[] = [];
    for (let n = 0; n < end; n++) args.push(argumentText(task, call!, n, this.#style.textMax, null));
    const startNanos = this.#clock.monotonic();
    this.#begun.set(task, { startNanos, time: this.#time(), args, filledAt: end, isWaiting: false });
  }

  onWait(task: Task): void {
    const begun = this.#begun.get(task);
    if (begun === undefined || begun.isWaiting) return;
    begun.isWaiting = true;
    if (this.#style.isJson) return;
    const isWhole = begun.filledAt === this.#count(task);
    const args = begun.args.filter((text) => text !== null).join(", ");
    // As strace(1): what is left of the arguments follows when it has ended.
    const more = isWhole || args === "" ? "" : ", ";
    this.#line(task, begun.time, `${this.#name(task)}(${args}${more}${PATIENT}`);
  }

  onExit(task: Task, result: number): void {
    this.#end(task, result, result === NO_RESULT && task.hasExited);
  }

  /** `hasNone`: the call answers nothing any more. */
  #end(task: Task, result: number, hasNone: boolean): void {
    // A call that began before this listener is another's, whose place it has taken.
    const begun = this.#begun.get(task);
    if (begun === undefined) return;
    this.#begun.delete(task);
    const call = this.#callOf(task);
    // One without a result has set the register itself (execve, rt_sigreturn).
    const answer = !hasNone && result === NO_RESULT ? callResult(task.thread) : result;
    const rest: (string | null)[] = [];
    for (let n = begun.filledAt; n < this.#count(task); n++) {
      rest.push(argumentText(task, call!, n, this.#style.textMax, hasNone ? -1 : answer));
    }
    const seconds = (this.#clock.monotonic() - begun.startNanos) / 1e9;
    if (this.#style.isJson) return this.#json(task, begun, rest, hasNone ? null : answer, seconds);
    const list = (begun.isWaiting ? rest : [...begun.args, ...rest]).filter((text) => text !== null).join(
      ", ",
    );
    const head = begun.isWaiting ? `<... ${this.#name(task)} resumed>` : `${this.#name(task)}(`;
    const text = hasNone ? "?" : resultText(call, answer);
    const time = begun.isWaiting ? this.#time() : begun.time;
    this.#line(task, time, `${head}${list}) = ${text} <${seconds.toFixed(6)}>`);
  }

  onSignal(task: Task, info: SignalInfo): void {
    if (this.#style.isJson) {
      this.#object(task, this.#time(), { event: "signal", text: signalText(info) });
    } else this.#line(task, this.#time(), `--- ${signalText(info)} ---`);
  }

  onTaskExit(task: Task, status: number): void {
    // The line of exit(2) comes first, and a call that death has cut off has one too.
    this.#end(task, NO_RESULT, true);
    if (this.#style.isJson) {
      this.#object(task, this.#time(), { event: "exit", status, text: endText(status) });
    } else this.#line(task, this.#time(), `+++ ${endText(status)} +++`);
  }

  #callOf(task: Task): NamedSpec | null {
    return this.#table.specs[task.call.number] ?? null;
  }

  #count(task: Task): number {
    const call = this.#callOf(task);
    return call === null ? 0 : Object.keys(call.spec.args).length;
  }

  #name(task: Task): string {
    return this.#table.name(task.call.number) ?? `syscall_${task.call.number}`;
  }

  #line(task: Task, time: string, text: string): void {
    this.#sink(`${time} [${task.tid}] ${task.name} ${text}`);
  }

  #json(task: Task, begun: Begun, rest: (string | null)[], result: number | null, seconds: number): void {
    const args = [...begun.args, ...rest].filter((text) => text !== null);
    const isError = result !== null && result < 0 && result >= -4095;
    this.#object(task, begun.time, {
      event: "call",
      name: this.#name(task),
      args,
      result: isError ? -1 : result,
      ...(isError ? { errno: errnoName(-result!) } : {}),
      seconds,
    });
  }

  #object(task: Task, time: string, fields: Readonly<Record<string, unknown>>): void {
    this.#sink(
      JSON.stringify({ time, tid: task.tid, pid: task.threadGroup.leader.tid, comm: task.name, ...fields }),
    );
  }

  /** Time of day in UTC: the sentry knows no time zone. */
  #time(): string {
    const seconds = this.#clock.realtime() % DAY_SECONDS;
    const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
    const micros = String(Math.floor(this.#clock.nanoseconds / 1000)).padStart(6, "0");
    return `${two(seconds / 3600)}:${two(seconds / 60 % 60)}:${two(seconds % 60)}.${micros}`;
  }
}

function resultText(call: NamedSpec | null, result: number): string {
  if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK) return `? ${errnoText(-result)}`;
  if (result < 0 && result >= -4095) return `-1 ${errnoText(-result)}`;
  const isAddress = call?.spec.returns === "word" && call.name !== "lseek" && result > 0xffff;
  return isAddress || result > 0xffff_ffff ? `0x${result.toString(16)}` : String(result);
}
