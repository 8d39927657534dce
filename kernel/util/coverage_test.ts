import { deepEqual, equal } from "node:assert/strict";
import { ENOSYS } from "../abi/errno.ts";
import { Coverage } from "./coverage.ts";

Deno.test("a feature that is asked for in vain is counted and answered with its errno", () => {
  const coverage = new Coverage();
  equal(coverage.unfinished("socket AF_X25", ENOSYS), -ENOSYS);
  equal(coverage.features.get("socket AF_X25"), 1);
});

Deno.test("the report names calls and features, the most frequent first", () => {
  const coverage = new Coverage();
  coverage.noteCall(9);
  for (let i = 0; i < 3; i++) coverage.noteCall(7);
  for (let i = 0; i < 2; i++) coverage.unfinished("socket AF_X25", ENOSYS);
  deepEqual(coverage.report((number) => `call ${number}`), [
    "Not supported: call 7, asked for 3 times",
    "Not supported: socket AF_X25, asked for 2 times",
    "Not supported: call 9, asked for 1 times",
  ]);
});
