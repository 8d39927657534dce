// Bindings of native/src/watchdog.rs: a thread that sees whether the sentry's loop turns.

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_watchdog_page: { parameters: [], result: "pointer" },
  tsv_watchdog_start: { parameters: ["u32", "u32", "i32", "i32", "buffer", "u32"], result: "i32" },
} as const;

/** Words that the loop writes: see kernel/task/heartbeat.ts. */
const PAGE_WORDS = 4;

export interface WatchdogOptions {
  /** Seconds after which a loop that does not turn is reported; 0 = never. */
  readonly timeoutSeconds: number;
  /** It also ends the sandbox then. */
  readonly kills: boolean;
  /** The command line's connection, and the log. */
  readonly control: number;
  readonly log: number;
  /** Names of system calls by number. */
  readonly names: readonly string[];
}

/** Starts the thread: the words that it watches, or -errno. */
export function startWatchdog(options: WatchdogOptions): Uint32Array<ArrayBuffer> | number {
  const native = openLibrary(symbols);
  const names = new TextEncoder().encode(options.names.map((name) => `${name}\0`).join(""));
  const { timeoutSeconds, kills, control, log } = options;
  const result = native.tsv_watchdog_start(timeoutSeconds, kills ? 1 : 0, control, log, names, names.length);
  if (result < 0) return result;
  return new Uint32Array(Deno.UnsafePointerView.getArrayBuffer(native.tsv_watchdog_page()!, PAGE_WORDS * 4));
}
