import { equal } from "node:assert/strict";
import * as TASK from "./task.ts";

Deno.test("names of capabilities stand at their numbers", () => {
  const numbers = TASK as unknown as Record<string, number>;
  TASK.CAPABILITY_NAMES.forEach((name, number) => equal(numbers[name] ?? number, number, name));
  equal(TASK.CAPABILITY_NAMES.length, TASK.CAP_LAST_CAP + 1);
});
