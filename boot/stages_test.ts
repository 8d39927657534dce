import { equal, match } from "node:assert/strict";
import { Stages } from "./stages.ts";

Deno.test("stages are lines in their order, with the time since 1970 and since the stage before", () => {
  const stages = new Stages("sentry");
  stages.reach("kernel is built");
  const lines = stages.take();
  equal(lines.length, 3);
  const times = lines.map((line) => Number(line.split(" ")[0]));
  equal(Math.abs(times[2] - Date.now()) < 1000, true);
  equal(times[0] <= times[1] && times[1] <= times[2], true);
  equal(stages.take().length, 0);
  match(lines[2], /^\d+\.\d\d sentry: kernel is built \(\+\d+\.\d\d ms\)$/);
});
