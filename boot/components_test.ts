import assert from "node:assert/strict";
import { checkedComponents } from "./components.ts";

Deno.test("what is built in is what is pinned, and the bill of materials names each with version and hash", async () => {
  const bill = JSON.parse(await checkedComponents());
  const named = bill.components.map(({ purl }: { purl: string }) => purl.replace(/@.*/, ""));
  for (const name of ["pkg:npm/arg", "pkg:npm/zod", "pkg:cargo/libc", "pkg:cargo/seccompiler"]) {
    assert.ok(named.includes(name), `${name} is missing`);
  }
  for (const { purl, version, hashes } of bill.components) {
    assert.ok(purl.endsWith(`@${version}`) && /^[0-9a-f]{64}$/.test(hashes[0].content), purl);
  }
});
