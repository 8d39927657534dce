// Bindings of native/src/stub_memory.rs, stub_process.rs, stub_commands.rs, orders.rs and usage.rs. Contract: u32/i32/f64 and buffers only
// (numbers given as u64 are 20 times slower).

import { errnoName } from "../kernel/abi/errno.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_stub_start: { parameters: ["u32"], result: "i32" },
  tsv_stub_region: { parameters: [], result: "pointer" },
  tsv_stub_common: { parameters: [], result: "pointer" },
  tsv_stub_arena: { parameters: ["u32"], result: "i32" },
  tsv_stub_arena_renew: { parameters: ["u32"], result: "i32" },
  tsv_stub_fork_flags: { parameters: [], result: "u32" },
  tsv_stub_thread_flags: { parameters: [], result: "u32" },
  tsv_stub_socketpair: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_stub_send: { parameters: ["i32", "i32", "i32"], result: "i32" },
  tsv_stub_first: { parameters: ["i32", "i32"], result: "i32" },
  tsv_stub_close: { parameters: ["i32"], result: "i32" },
  tsv_stub_let_go: { parameters: ["u32"], result: "i32" },
  tsv_stub_await: { parameters: ["u32", "i32", "u32", "u32"], result: "i32" },
  tsv_stub_listen: { parameters: ["i32", "i32"], result: "i32" },
  tsv_stub_clone: { parameters: ["u32", "i32", "u32", "u32"], result: "i32" },
  tsv_stub_orders: { parameters: [], result: "pointer" },
  tsv_stub_enroll: { parameters: ["i32", "u32"], result: "i32" },
  tsv_stub_notary: { parameters: [], result: "i32" },
  tsv_stub_interrupt: { parameters: ["i32", "i32"], result: "i32" },
  tsv_stub_waits: { parameters: ["i32", "i32"], result: "i32" },
  tsv_stub_hold_clone: { parameters: ["u32"], result: "i32" },
  tsv_stub_free_clone: { parameters: ["u32"], result: "void" },
  tsv_stub_halt: { parameters: ["i32", "i32", "u32"], result: "i32" },
  tsv_stub_kill: { parameters: ["i32"], result: "i32" },
  tsv_stub_end_signal: { parameters: ["i32", "u32"], result: "i32" },
  tsv_stub_reap: { parameters: ["i32"], result: "i32" },
  tsv_stub_memory: { parameters: ["i32", "u32", "u32", "u32", "buffer", "u32", "u32"], result: "i32" },
  tsv_stub_limit: { parameters: ["i32", "u32"], result: "i32" },
  tsv_stub_cpu_nanos: { parameters: ["i32"], result: "f64" },
  tsv_usage_own_nanos: { parameters: [], result: "f64" },
  tsv_usage_thread_nanos: { parameters: ["i32", "i32"], result: "f64" },
  tsv_usage_times: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  tsv_usage_peak: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

/** As in native/src/orders.rs. */
const ORDERS_BYTES = 4096;

const HOT = ["tsv_stub_let_go", "tsv_stub_await", "tsv_stub_memory"] as const;

/** The library's calls; see each function in native/src/stub_*.rs. */
export type StubCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** What the sentry shares with stubs: the slots of all arenas, the common page. */
export interface StubMemory {
  readonly calls: StubCalls;
  /**
   * The memory of a slot. A buffer each: V8 counts outside memory by its size, and collects garbage when it is much (the
   * whole region as one buffer costs a collection of 7 ms at start).
   */
  readonly slot: (slot: number) => ArrayBuffer;
  readonly common: Uint8Array;
  /** The sentry's own copy of what a slot is commanded, ORDERS_BYTES laid out as a slot. */
  readonly orders: (slot: number) => ArrayBuffer;
}

/** Sets up the shared memory. Throws when the host refuses (boot reports it). */
export function startStubMemory(slotBytes: number, commonBytes: number, asks: number): StubMemory {
  const calls = openLibrary(symbols, HOT);
  const result = calls.tsv_stub_start(asks);
  if (result < 0) throw new Error(`Cannot make memory for stubs: ${errnoName(-result)}`);
  const region = calls.tsv_stub_region()!, orders = calls.tsv_stub_orders()!;
  const common = Deno.UnsafePointerView.getArrayBuffer(calls.tsv_stub_common()!, commonBytes);
  return {
    calls,
    slot: (slot) => Deno.UnsafePointerView.getArrayBuffer(region, slotBytes, slot * slotBytes),
    common: new Uint8Array(common),
    orders: (slot) => Deno.UnsafePointerView.getArrayBuffer(orders, ORDERS_BYTES, slot * ORDERS_BYTES),
  };
}
