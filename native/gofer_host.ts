// Bindings of native/src/gofer/server.rs: the gofer's workers.

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_gofer_root: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_tree: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  tsv_gofer_start: { parameters: ["i32"], result: "i32" },
  tsv_gofer_serve: { parameters: ["u32"], result: "void" },
} as const;

/** The calls; see each function in native/src/gofer/server.rs. */
export type GoferCalls = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** The gofer's half of the library. */
export function loadGoferCalls(): GoferCalls {
  return openLibrary(symbols, ["tsv_gofer_serve"]);
}

const asideSymbols = {
  tsv_gofer_serve: { parameters: ["u32"], result: "void", nonblocking: true },
} as const;

/** Serves as tsv_gofer_serve, on a thread of its own: for a process that is more than a gofer. */
export function serveAside(server: number): Promise<void> {
  return openLibrary(asideSymbols).tsv_gofer_serve(server);
}
