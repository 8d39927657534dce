// docs/SYSCALLS.md says what the table says.

import assert from "node:assert/strict";
import { SYSCALLS_DOCUMENT, syscallsDocument } from "./support/syscalls_document.ts";

Deno.test("docs/SYSCALLS.md is what deno task docs writes", async () => {
  // Without white space: the formatter aligns the table.
  const plain = (text: string) => text.replaceAll(/[\s-]+/g, " ");
  assert.equal(plain(Deno.readTextFileSync(SYSCALLS_DOCUMENT)), plain(await syscallsDocument()));
});

Deno.test("a call that is not supported in full says what is missing", async () => {
  const { syscallRows } = await import("../boot/syscall_rows.ts");
  const silent = (await syscallRows()).filter((row) => row.support !== "full" && row.note === "");
  assert.deepEqual(silent.map((row) => row.name), []);
});
