// Names of errno numbers: what strace text and messages show.

import { equal } from "node:assert/strict";
import * as errno from "./errno.ts";

/** Numbers with two names, and the one that strerrorname_np(3) gives. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ["EWOULDBLOCK", "EAGAIN"],
  ["EDEADLOCK", "EDEADLK"],
  ["ENOTSUP", "EOPNOTSUPP"],
]);

Deno.test("errnoName() gives each errno its name in errno(3), and no two constants share a number otherwise", () => {
  let count = 0;
  for (const [name, value] of Object.entries(errno)) {
    if (typeof value !== "number" || name === "ERRNO_MAX") continue;
    equal(errno.errnoName(value), ALIASES.get(name) ?? name, `errno ${value}`);
    count++;
  }
  // 1 to 133 without 41 and 58, and the kernel's own four.
  equal(count, 131 + ALIASES.size + 4);
});

Deno.test("errnoName() shows a number without a name as a number", () => {
  equal(errno.errnoName(41), "E41");
  equal(errno.errnoName(4095), "E4095");
});
