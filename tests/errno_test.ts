// The stack imports nothing outside itself, so it has errno numbers of its own: they are the kernel's.

import { equal } from "node:assert/strict";
import * as kernel from "../kernel/abi/errno.ts";
import * as netstack from "../netstack/errno.ts";

Deno.test("errno numbers of netstack/ are those of kernel/abi", () => {
  const numbers: Record<string, unknown> = { ...kernel };
  for (const [name, value] of Object.entries(netstack)) equal(value, numbers[name], name);
});
