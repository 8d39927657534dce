// strace text, generated from the system call table. Its form is strace(1)'s: a call that waits has two lines, one
// when it begins to wait and one with its result, as lines of other tasks may come between.

import { ERESTART_RESTARTBLOCK, ERESTARTSYS, errnoName } from "../abi/errno.ts";
import { callResult } from "../arch/arch.ts";
import type { SyscallTable } from "../syscalls/dispatch.ts";
import type { ArgKind } from "../syscalls/table.ts";
import type { CallHooks, CallListener } from "../task/call_hooks.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";

/** The most characters of a string or buffer to show. */
const TEXT_MAX = 64;

export class Strace implements CallListener {
  readonly #table: SyscallTable;
  readonly #sink: (line: string) => void;
  /** The text still to be written for each call in flight, or the start of its second line. */
  readonly #texts = new Map<Task, string>();
  readonly #waiting = new Set<Task>();

  /** Writes a line, without newline, to `sink` for each call in `names` (null: all calls). */
  constructor(
    hooks: CallHooks,
    table: SyscallTable,
    names: ReadonlySet<string> | null,
    sink: (line: string) => void,
  ) {
    this.#table = table;
    this.#sink = sink;
    hooks.listen(this, (number) => names === null || names.has(table.name(number) ?? ""));
  }

  onEnter(task: Task): void {
    this.#texts.set(task, callText(this.#table, task, task.call.number));
  }

  onWait(task: Task): void {
    if (this.#waiting.has(task) || !this.#texts.has(task)) return;
    this.#waiting.add(task);
    this.#line(task, `${this.#texts.get(task)} <unfinished ...>`);
    this.#texts.set(task, `<... ${callName(this.#table, task.call.number)} resumed>`);
  }

  onExit(task: Task, result: number): void {
    // The call began before this listener was added.
    const text = this.#texts.get(task);
    if (text === undefined) return;
    this.#line(task, `${text} = ${resultText(task, result)}`);
    this.#texts.delete(task);
    this.#waiting.delete(task);
  }

  #line(task: Task, text: string): void {
    this.#sink(`[${task.tid}] ${task.name} ${text}`);
  }
}

/** A call without a result has set RAX itself (execve, rt_sigreturn), or its task has exited. */
function resultText(task: Task, result: number): string {
  if (result === NO_RESULT) {
    if (task.hasExited) return "?";
    result = callResult(task.thread);
  }
  if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK) return `? ${errnoName(-result)}`;
  if (result >= 0 || result < -4095) {
    return result > 0xffff_ffff ? `0x${result.toString(16)}` : String(result);
  }
  return `-1 ${errnoName(-result)}`;
}

function callName(table: SyscallTable, number: number): string {
  return table.name(number) ?? `syscall_${number}`;
}

function callText(table: SyscallTable, task: Task, number: number): string {
  const named = table.specs[number] ?? null;
  if (named === null) return `syscall_${number}()`;
  const names = Object.keys(named.spec.args);
  return `${named.name}(${names.map((name, i) => argumentText(task, named.spec.args[name], i)).join(", ")})`;
}

function argumentText(task: Task, kind: ArgKind, n: number): string {
  const args = task.args;
  if (typeof kind === "object") {
    if ("flags" in kind) return flagsText(args.u32(n), kind.flags);
    if ("values" in kind) {
      return Object.entries(kind.values).find(([, v]) => v === args.i32(n))?.[0] ?? String(args.i32(n));
    }
    return `0x${args.word(n).toString(16)}`;
  }
  switch (kind) {
    case "path":
    case "string": {
      if (args.word(n) === 0) return "NULL";
      const text = task.memory.readString(args.word(n), 4096);
      return typeof text === "number"
        ? `0x${args.word(n).toString(16)}`
        : JSON.stringify(text.slice(0, TEXT_MAX));
    }
    case "dirfd":
      return args.i32(n) === -100 ? "AT_FDCWD" : String(args.i32(n));
    case "mode":
      return `0${args.u32(n).toString(8)}`.padStart(3, "0");
    case "strings":
    case "word":
      return `0x${args.word(n).toString(16)}`;
    case "size":
      return String(args.word(n));
    case "offset":
    case "long":
      return String(args.i53(n));
    case "uint":
    case "uid":
    case "gid":
      return String(args.u32(n));
    default:
      return String(args.i32(n));
  }
}

function flagsText(value: number, flags: Readonly<Record<string, number>>): string {
  if (value === 0) return "0";
  const names: string[] = [];
  let left = value;
  for (const [name, flag] of Object.entries(flags)) {
    if (flag === 0 || (value & flag) !== flag) continue;
    names.push(name);
    left &= ~flag;
  }
  if (left !== 0) names.push(`0x${(left >>> 0).toString(16)}`);
  return names.join("|");
}
