// Bindings of native/src/terminal.rs: the caller's terminal and pseudo-terminals of the host, for the command line.

import { errnoName } from "../kernel/abi/errno.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_open: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_open_pseudo_terminal: { parameters: ["buffer"], result: "i32" },
  tsv_signal_descriptor: { parameters: ["i32"], result: "i32" },
  tsv_guard_terminal: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

const native = openLibrary(symbols);

const O_RDWR = 2;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;

/** Another open file on the terminal that `fd` is: nonblocking without the caller's becoming so. -errno where it cannot be. */
export function reopenTerminal(fd: number): number {
  const path = new TextEncoder().encode(`/proc/self/fd/${fd}\0`);
  return native.tsv_open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
}

/** Master and slave of a new pseudo-terminal of the host. Throws with the host's reason. */
export function openPseudoTerminal(): { master: number; slave: number } {
  const pair = new Int32Array(2);
  const result = native.tsv_open_pseudo_terminal(pair);
  if (result < 0) throw new Error(`Cannot open a pseudo-terminal: ${errnoName(-result)}`);
  return { master: pair[0], slave: pair[1] };
}

/** A descriptor that is readable when `signal` has come, which this process blocks (SPAWN_TERMINAL); -errno. */
export function signalDescriptor(signal: number): number {
  return native.tsv_signal_descriptor(signal);
}

/** A process that restores terminal `fd` to what it is now when we end without warning: its pid and what ends it. null = none. */
export function guardTerminal(fd: number): { pid: number; release: number } | null {
  const result = new Int32Array(2);
  return native.tsv_guard_terminal(fd, result) < 0 ? null : { pid: result[0], release: result[1] };
}
