// Makes one dense array of handlers from the table of specs, and makes a call: one load and one indirect call.
// Listeners to calls are in task/call_hooks.ts.

import { ENOSYS } from "../abi/errno.ts";
import { CALL_NUMBERS } from "../arch/arch.ts";
import type { Continuation } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { type SyscallFamily, type SyscallHandler, SYSCALLS_MAX, type SyscallSpec } from "./table.ts";

export interface NamedSpec {
  readonly name: string;
  readonly spec: SyscallSpec;
}

export class SyscallTable {
  /** By x86-64 number; null where no call is declared. */
  readonly specs: (NamedSpec | null)[] = new Array(SYSCALLS_MAX).fill(null);
  /** Continuations by name: how calls continue after a wait. */
  readonly continuations = new Map<string, Continuation>();
  readonly #handlers: SyscallHandler[] = new Array(SYSCALLS_MAX).fill(undeclared);

  /** Throws when two calls have one number or one name: the table would depend on their order. */
  constructor(families: readonly SyscallFamily[], continuations: readonly Continuation[] = []) {
    for (const one of continuations) {
      if (this.continuations.has(one.name)) throw new Error(`Continuation ${one.name} is declared twice`);
      this.continuations.set(one.name, one);
    }
    const names = new Set<string>();
    for (const family of families) {
      for (const [name, spec] of Object.entries(family)) {
        const number = spec.nr[CALL_NUMBERS];
        const other = this.specs[number];
        if (other !== null) throw new Error(`Call ${number} is declared twice: ${other.name} and ${name}`);
        if (names.has(name)) throw new Error(`Call ${name} is declared twice`);
        names.add(name);
        this.specs[number] = { name, spec };
        this.#handlers[number] = spec.run;
      }
    }
  }

  /** The name of call `number`, or null where no call is declared. */
  name(number: number): string | null {
    return number < SYSCALLS_MAX ? this.specs[number]?.name ?? null : null;
  }

  /** Whether call `number` is declared and implemented. */
  isSupported(number: number): boolean {
    const named = number < SYSCALLS_MAX ? this.specs[number] : null;
    return named !== null && named.spec.support.level !== "none";
  }

  /** Runs call `number` of `task`, whose arguments have been read. */
  call(task: Task, number: number): number {
    if (number >= SYSCALLS_MAX) return -ENOSYS;
    return this.#handlers[number](task, task.args);
  }
}

function undeclared(): number {
  return -ENOSYS;
}
