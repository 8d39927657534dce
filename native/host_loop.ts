// Bindings of native/src/host_loop.rs: the one place where the sentry waits. Contract: as native/stub.ts.

import { errnoName } from "../kernel/abi/errno.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_host_start: { parameters: [], result: "i32" },
  tsv_host_events: { parameters: [], result: "pointer" },
  tsv_host_watch: { parameters: ["i32", "u32", "u32"], result: "i32" },
  tsv_host_sleep: { parameters: ["f64"], result: "u32" },
} as const;

/** Host descriptors reported in one turn, and words of each, as in host_loop.rs. */
const HOST_EVENTS_MAX = 64;
export const HOST_EVENT_WORDS = 3;

/** The library's calls; see each function in native/src/host_loop.rs. */
export type HostLoopCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

export interface HostLoopMemory {
  readonly calls: HostLoopCalls;
  /** What is ready: cookie, its high word, poll events, of each descriptor. */
  readonly events: Uint32Array;
}

/** Makes the loop. Throws when the host refuses (boot reports it). */
export function startHostLoop(): HostLoopMemory {
  const calls = openLibrary(symbols);
  const result = calls.tsv_host_start();
  if (result < 0) throw new Error(`Cannot wait for host descriptors: ${errnoName(-result)}`);
  const bytes = HOST_EVENTS_MAX * HOST_EVENT_WORDS * 4;
  return {
    calls,
    events: new Uint32Array(Deno.UnsafePointerView.getArrayBuffer(calls.tsv_host_events()!, bytes)),
  };
}
