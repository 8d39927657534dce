// Bindings of native/src/parts.rs: files that stand beside the native library, or in the executable where it is the one file.

import { openAt } from "./directory.ts";
import { nativeLibraryPath, openLibrary } from "./library.ts";

const symbols = { tsv_open_part: { parameters: ["buffer", "u32"], result: "i32" } } as const;
const native = openLibrary(symbols);

/** Where the one file has its parts open: what it runs from is no path of a file system. */
export const OPEN_PARTS = "/proc/self/fd/";

/** A descriptor of the file `name`, to be read; -errno. */
export function openPart(name: string): number {
  const library = nativeLibraryPath();
  // O_RDONLY
  if (!library.startsWith(OPEN_PARTS)) return openAt(-1, library.replace(/[^/]+$/, name), 0);
  const bytes = new TextEncoder().encode(name);
  return native.tsv_open_part(bytes, bytes.length);
}
