// Bindings of native/src/gofer_host.rs: file calls of the gofer by descriptor and single name.

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_gofer_open: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_reopen: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  tsv_gofer_tree: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_root: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_gofer_stat: { parameters: ["i32", "buffer", "buffer", "u32"], result: "i32" },
  tsv_gofer_mkdir: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  tsv_gofer_mknod: { parameters: ["i32", "buffer", "u32", "u32", "u32"], result: "i32" },
  tsv_gofer_symlink: { parameters: ["buffer", "i32", "buffer"], result: "i32" },
  tsv_gofer_link: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  tsv_gofer_unlink: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  tsv_gofer_rename: { parameters: ["i32", "buffer", "i32", "buffer", "u32"], result: "i32" },
  tsv_gofer_readlink: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_getdents: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_stat_at: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_rewind: { parameters: ["i32"], result: "i32" },
  tsv_gofer_chown: { parameters: ["i32", "u32", "u32"], result: "i32" },
  tsv_gofer_chmod: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  tsv_gofer_times: { parameters: ["i32", "buffer"], result: "i32" },
  tsv_gofer_truncate: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_statfs: { parameters: ["i32", "buffer"], result: "i32" },
  tsv_gofer_xattr: { parameters: ["u32", "buffer", "buffer", "buffer", "u32", "u32"], result: "i32" },
} as const;

const HOT = ["tsv_gofer_open", "tsv_gofer_reopen", "tsv_gofer_stat", "tsv_gofer_getdents"] as const;

/** The calls; see each function in native/src/gofer_host.rs. */
export type GoferCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** The gofer's half of the library. */
export function loadGoferCalls(): GoferCalls {
  return openLibrary(symbols, HOT);
}
