// Bindings of native/src/systrap.rs. Contract: as native/stub.ts.

import { errnoName } from "../kernel/abi/errno.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_systrap_start: { parameters: [], result: "i32" },
  tsv_systrap_control: { parameters: [], result: "pointer" },
  tsv_systrap_resume: { parameters: ["u32"], result: "i32" },
  tsv_systrap_wait: { parameters: ["u32", "f64", "f64", "f64"], result: "u32" },
  tsv_systrap_forget: { parameters: ["u32"], result: "u32" },
  tsv_systrap_cpus: { parameters: [], result: "u32" },
  tsv_systrap_own_cpu: { parameters: [], result: "i32" },
  tsv_systrap_place: { parameters: ["i32", "u32"], result: "i32" },
} as const;

const HOT = ["tsv_systrap_wait"] as const;

/** The library's calls; see each function in native/src/systrap.rs. */
export type SystrapCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

export interface SystrapControl {
  readonly calls: SystrapCalls;
  /** The control block. */
  readonly words: Uint32Array;
}

/** Sets up the control block of `words` words. Throws when the host refuses (boot reports it). */
export function startSystrap(words: number): SystrapControl {
  const calls = openLibrary(symbols, HOT);
  const result = calls.tsv_systrap_start();
  if (result < 0) throw new Error(`Cannot start systrap: ${errnoName(-result)}`);
  const control = Deno.UnsafePointerView.getArrayBuffer(calls.tsv_systrap_control()!, words * 4);
  return { calls, words: new Uint32Array(control) };
}
