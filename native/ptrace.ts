// Bindings of native/src/ptrace.rs. Contract: as native/stub.ts.

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_ptrace_start: { parameters: ["i32"], result: "i32" },
  tsv_ptrace_stop: { parameters: [], result: "i32" },
  tsv_ptrace_registers: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  tsv_ptrace_fpu: { parameters: ["i32", "u32", "buffer", "u32"], result: "i32" },
  tsv_ptrace_resume: { parameters: ["i32"], result: "i32" },
  tsv_ptrace_next: { parameters: ["buffer"], result: "i32" },
  tsv_ptrace_inject: { parameters: ["i32", "buffer", "buffer", "buffer"], result: "i32" },
  tsv_ptrace_end: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
} as const;

const HOT = ["tsv_ptrace_registers", "tsv_ptrace_resume", "tsv_ptrace_next"] as const;

/** The library's calls; see each function in native/src/ptrace.rs. */
export type PtraceCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** Loads the library's ptrace half. */
export function loadPtrace(): PtraceCalls {
  return openLibrary(symbols, HOT);
}
