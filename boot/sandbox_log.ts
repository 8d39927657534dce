// What the sentry logs, and what of it can be switched while the sandbox runs: strace and its calls, and the level. Linux
// peer: dynamic debug.

import type { SyscallTable } from "../kernel/syscalls/dispatch.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Strace } from "../kernel/trace/strace.ts";
import type { StraceStyle } from "../kernel/trace/style.ts";

/** As gVisor's pkg/log numbers them. */
export const LOG_LEVEL = { WARNING: 0, INFO: 1, DEBUG: 2 } as const;

export class SandboxLog {
  /** Lines above it are not written. */
  level: number;
  readonly #kernel: Kernel;
  readonly #style: StraceStyle;
  readonly #table: SyscallTable;
  readonly #write: (line: string) => void;
  #strace: Strace | null = null;

  constructor(
    kernel: Kernel,
    table: SyscallTable,
    level: number,
    style: StraceStyle,
    write: (line: string) => void,
  ) {
    this.#kernel = kernel;
    this.#style = style;
    this.#table = table;
    this.level = level;
    this.#write = write;
  }

  /** Writes a line for each call of `names`, of all when there is none. A name that no call has is given back. */
  trace(names: readonly string[]): string | null {
    const unknown = names.find((name) => !this.#table.specs.some((named) => named?.name === name));
    if (unknown !== undefined) return unknown;
    this.endTrace();
    const { callHooks, clock, witnesses } = this.#kernel;
    const wanted = names.length === 0 ? null : new Set(names);
    this.#strace = new Strace(callHooks, this.#table, clock, wanted, this.#style, this.#write);
    witnesses.push(this.#strace);
    return null;
  }

  endTrace(): void {
    if (this.#strace === null) return;
    const { callHooks, witnesses } = this.#kernel;
    callHooks.silence(this.#strace);
    witnesses.splice(witnesses.indexOf(this.#strace), 1);
    this.#strace = null;
  }

  get isTracing(): boolean {
    return this.#strace !== null;
  }
}
