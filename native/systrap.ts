// Bindings of native/src/systrap.rs and image.rs. Contract: u32/i32/f64 and buffers only (numbers given as u64 are 20 times slower).

import { errnoName } from "../kernel/abi/errno.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_systrap_start: { parameters: ["u32", "i32"], result: "i32" },
  tsv_systrap_fork_flags: { parameters: [], result: "u32" },
  tsv_systrap_thread_flags: { parameters: [], result: "u32" },
  tsv_systrap_region: { parameters: [], result: "pointer" },
  tsv_systrap_control: { parameters: [], result: "pointer" },
  tsv_systrap_common: { parameters: [], result: "pointer" },
  tsv_systrap_arena: { parameters: ["u32"], result: "i32" },
  tsv_systrap_arena_renew: { parameters: ["u32"], result: "i32" },
  tsv_systrap_socketpair: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_systrap_send: { parameters: ["i32", "i32", "i32"], result: "i32" },
  tsv_systrap_close: { parameters: ["i32"], result: "i32" },
  tsv_systrap_zygote: { parameters: ["i32"], result: "i32" },
  tsv_systrap_watch: { parameters: ["i32", "u32", "u32"], result: "i32" },
  tsv_systrap_resume: { parameters: ["u32"], result: "i32" },
  tsv_systrap_wait: { parameters: ["u32", "f64", "f64", "f64"], result: "u32" },
  tsv_systrap_cpus: { parameters: [], result: "u32" },
  tsv_systrap_own_cpu: { parameters: [], result: "i32" },
  tsv_systrap_place: { parameters: ["i32", "u32"], result: "i32" },
  tsv_systrap_await: { parameters: ["u32", "i32", "u32", "u32"], result: "i32" },
  tsv_systrap_listen: { parameters: ["i32", "i32"], result: "i32" },
  tsv_systrap_clone: {
    parameters: ["u32", "i32", "u32", "u32", "i32", "u32", "u32", "u32"],
    result: "i32",
  },
  tsv_systrap_limit: { parameters: ["i32", "u32"], result: "i32" },
  tsv_systrap_let_go: { parameters: ["u32"], result: "i32" },
  tsv_systrap_forget: { parameters: ["u32"], result: "u32" },
  tsv_systrap_interrupt: { parameters: ["i32", "i32"], result: "i32" },
  tsv_systrap_kill: { parameters: ["i32"], result: "i32" },
  tsv_stub_halt: { parameters: ["i32", "u32"], result: "i32" },
  tsv_systrap_reap: { parameters: ["i32"], result: "i32" },
  tsv_systrap_memory: { parameters: ["i32", "u32", "u32", "u32", "buffer", "u32", "u32"], result: "i32" },
  tsv_image_identify: { parameters: ["i32", "buffer"], result: "i32" },
  tsv_image_is_memory: { parameters: ["i32"], result: "u32" },
  tsv_image_read: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_image_make: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_image_cpuid: { parameters: ["u32", "u32", "buffer"], result: "void" },
  tsv_systrap_cpu_nanos: { parameters: ["i32"], result: "f64" },
} as const;

const HOT = ["tsv_systrap_wait", "tsv_systrap_let_go", "tsv_systrap_await", "tsv_systrap_memory"] as const;

/** The library's calls; see each function in native/src/systrap.rs. */
export type SystrapCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** What the sentry shares with the native half: the slots of all arenas, the control block, the common page. */
export interface SystrapMemory {
  readonly calls: SystrapCalls;
  /**
   * The memory of a slot. A buffer each: V8 counts outside memory by its size, and collects garbage when it is much (the
   * whole region as one buffer costs a collection of 7 ms at start).
   */
  readonly slot: (slot: number) => ArrayBuffer;
  readonly control: Uint32Array;
  readonly common: Uint8Array;
}

/** Loads the library and sets up the shared memory. Throws when the host refuses (boot reports it). */
export function startSystrap(
  slotBytes: number,
  controlWords: number,
  commonBytes: number,
  asksClone: boolean,
  preference: number,
): SystrapMemory {
  const calls = openLibrary(symbols, HOT);
  const result = calls.tsv_systrap_start(asksClone ? 1 : 0, preference);
  if (result < 0) throw new Error(`Cannot start systrap: ${errnoName(-result)}`);
  const region = calls.tsv_systrap_region()!;
  const control = Deno.UnsafePointerView.getArrayBuffer(calls.tsv_systrap_control()!, controlWords * 4);
  const common = Deno.UnsafePointerView.getArrayBuffer(calls.tsv_systrap_common()!, commonBytes);
  return {
    calls,
    slot: (slot) => Deno.UnsafePointerView.getArrayBuffer(region, slotBytes, slot * slotBytes),
    control: new Uint32Array(control),
    common: new Uint8Array(common),
  };
}
