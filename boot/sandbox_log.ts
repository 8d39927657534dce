// What the sentry logs, and what of it can be switched while the sandbox runs: strace and its calls, and the level. Linux
// peer: dynamic debug.

import type { SyscallTable } from "../kernel/syscalls/dispatch.ts";
import type { CallHooks } from "../kernel/task/call_hooks.ts";
import { Strace } from "../kernel/trace/strace.ts";

/** As gVisor's pkg/log numbers them. */
export const LOG_LEVEL = { WARNING: 0, INFO: 1, DEBUG: 2 } as const;

export class SandboxLog {
  /** Lines above it are not written. */
  level: number;
  readonly #hooks: CallHooks;
  readonly #table: SyscallTable;
  readonly #write: (line: string) => void;
  #strace: Strace | null = null;

  constructor(hooks: CallHooks, table: SyscallTable, level: number, write: (line: string) => void) {
    this.#hooks = hooks;
    this.#table = table;
    this.level = level;
    this.#write = write;
  }

  /** Writes a line for each call of `names`, of all when there is none. A name that no call has is given back. */
  trace(names: readonly string[]): string | null {
    const unknown = names.find((name) => !this.#table.specs.some((named) => named?.name === name));
    if (unknown !== undefined) return unknown;
    this.endTrace();
    this.#strace = new Strace(
      this.#hooks,
      this.#table,
      names.length === 0 ? null : new Set(names),
      this.#write,
    );
    return null;
  }

  endTrace(): void {
    if (this.#strace !== null) this.#hooks.silence(this.#strace);
    this.#strace = null;
  }

  get isTracing(): boolean {
    return this.#strace !== null;
  }
}
