// Tests of what a suite makes of its parts' ends.

import { equal, throws } from "node:assert/strict";
import { readExpected, surprise } from "./suite.ts";

Deno.test("expected failures have a reason each", () => {
  const expected = readExpected("# about them\n\nbind-mount: needs --pathological: yes\nswap: none\n");
  equal(expected.size, 2);
  equal(expected.get("bind-mount"), "needs --pathological: yes");
  throws(() => readExpected("swap\n"), /part: reason/);
});

Deno.test("a part that fails unlisted and one that passes listed are both surprises", () => {
  equal(surprise("get", null, undefined), null);
  equal(surprise("swap", "status 2", "none"), null);
  equal(surprise("get", "status 2", undefined), "get fails: status 2");
  equal(surprise("swap", null, "none"), "swap passes, and is listed: none");
});
