// The stack imports nothing outside itself, so it has errno numbers of its own: they are the kernel's.

import { equal } from "node:assert/strict";
import { errnoName } from "../kernel/abi/errno.ts";
import * as netstack from "../netstack/errno.ts";

Deno.test("errno numbers of netstack/ are those of kernel/abi", () => {
  for (const [name, value] of Object.entries(netstack)) equal(errnoName(value), name);
});
