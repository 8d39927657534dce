// strace text, made from the one syscall table. Linux: strace(1) in shape.

import { errnoName } from "../abi/errno.ts";
import { BLOCKED, NO_RESULT, type Task } from "../task/task.ts";
import type { SyscallTable } from "../syscalls/dispatch.ts";
import type { ArgKind } from "../syscalls/table.ts";

/** Characters of a string or buffer shown. */
const TEXT_MAX = 64;

/** A table that writes a line for each call to the kernel's straceSink: one when it answers, one more when it blocks. */
export function straced(
  table: SyscallTable,
  names: ReadonlySet<string> | null = null,
): { call(task: Task, number: number): number } {
  return {
    call(task: Task, number: number): number {
      if (names !== null && !names.has(table.specs[number]?.name ?? "")) return table.call(task, number);
      const text = callText(table, task, number);
      const result = table.call(task, number);
      const end = result === BLOCKED ? "(waits)" : result === NO_RESULT ? "?" : resultText(result);
      task.kernel.straceSink?.(`[${task.tid}] ${task.name} ${text} = ${end}`);
      return result;
    },
  };
}

function resultText(result: number): string {
  if (result >= 0 || result < -4095) {
    return result > 0xffff_ffff ? `0x${result.toString(16)}` : String(result);
  }
  return `-1 ${errnoName(-result)}`;
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
      return `0${args.u32(n).toString(8)}`;
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
