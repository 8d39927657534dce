// The library as JSR wants it: no slow types, every exported symbol documented. What is left is the license, which the owner of
// the project has not chosen.

import { deepEqual, equal, match } from "node:assert/strict";
import { command } from "../support/tsvisor.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const OPTIONS = { cwd: ROOT, env: { NO_COLOR: "1" }, timeoutMillis: 900_000 };

Deno.test("JSR: every exported symbol is documented", async () => {
  const { code, stderr } = await command([Deno.execPath(), "doc", "--lint", "mod.ts"], OPTIONS);
  equal(code, 0, stderr);
});

Deno.test("JSR: nothing but the license keeps the package from being published", async () => {
  const words = [Deno.execPath(), "publish", "--dry-run", "--allow-dirty"];
  const { stdout, stderr } = await command(words, OPTIONS);
  const said = stdout + stderr;
  match(said, /Checking for slow types/);
  const problems = [...said.matchAll(/error\[([^\]]+)\]/g)].map(([, name]) => name);
  deepEqual(problems.filter((name) => name !== "missing-license"), [], said);
  equal(/^error: (?!Found 1 problem$)/m.test(said), false, said);
});
