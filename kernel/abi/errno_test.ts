// Names of errno numbers: what strace text and messages show.

import { deepEqual, equal } from "node:assert/strict";
import * as errno from "./errno.ts";

Deno.test("errnoName() gives each constant its name, and no two share a number", () => {
  for (const [name, value] of Object.entries(errno)) {
    if (typeof value === "number") equal(errno.errnoName(value), name);
  }
});

Deno.test("errnoName() knows every errno of Linux: 1 to 133 without 41 and 58", () => {
  const missing: number[] = [];
  for (let number = 1; number <= 134; number++) {
    if (errno.errnoName(number) === `E${number}`) missing.push(number);
  }
  deepEqual(missing, [41, 58, 134]);
  equal(errno.errnoName(133), "EHWPOISON");
});

Deno.test("errnoName() shows a number without a name as a number", () => {
  equal(errno.errnoName(41), "E41");
  equal(errno.errnoName(4095), "E4095");
});
