// Bindings of native/src/image.rs. Contract: as native/stub.ts.

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_image_identify: { parameters: ["i32", "buffer"], result: "i32" },
  tsv_image_is_memory: { parameters: ["i32"], result: "u32" },
  tsv_image_read: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_image_make: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_image_cpuid: { parameters: ["u32", "u32", "buffer"], result: "void" },
} as const;

/** The library's calls; see each function in native/src/image.rs. */
export type ImageCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

export function loadImages(): ImageCalls {
  return openLibrary(symbols);
}
