import { ENOEXEC } from "../abi/errno.ts";
import { latin1ToBytes } from "../util/bytes.ts";
import { ok as assert } from "node:assert/strict";
import { isScript, parseScript } from "./script.ts";

function parse(text: string): string {
  const bytes = latin1ToBytes(text);
  const script = parseScript(bytes, bytes.length);
  return typeof script === "number" ? String(script) : `${script.interpreter}|${script.argument}`;
}

const LINES: readonly [string, string, string][] = [
  ["a plain line", "#!/bin/sh\necho", "/bin/sh|null"],
  ["one argument, however many words", "#! /usr/bin/env  python3 -u \nx", "/usr/bin/env|python3 -u"],
  ["tabs are blanks", "#!\t/bin/sh\t-e\n", "/bin/sh|-e"],
  ["a file that ends in its line", "#!/bin/sh", "/bin/sh|null"],
  ["a NUL ends the line", "#!/bin/sh\0junk\n", "/bin/sh|null"],
  ["nothing named", "#!   \n", `${-ENOEXEC}`],
  ["a name that is cut off", `#!/${"x".repeat(300)}\n`, `${-ENOEXEC}`],
  ["an argument that is cut off", `#!/bin/sh ${"a".repeat(300)}\n`, `/bin/sh|${"a".repeat(246)}`],
];

for (const [what, line, expected] of LINES) {
  Deno.test(`parseScript(): ${what}`, () =>
    assert(parse(line) === expected, `${parse(line)} is not ${expected}`));
}

Deno.test("isScript() looks at two bytes", () => {
  assert(isScript(latin1ToBytes("#!"), 2) && !isScript(latin1ToBytes("#!"), 1), "#!");
  assert(!isScript(latin1ToBytes("# !"), 3), "# !");
});
