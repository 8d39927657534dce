import { strictEqual as equal } from "node:assert/strict";
import { goDuration, parseGoDuration } from "./go_duration.ts";

Deno.test("durations are printed and read as Go does", () => {
  const both: readonly (readonly [number, string])[] = [
    [0, "0s"],
    [25_000, "25µs"],
    [10_000_000, "10ms"],
    [-1_500_000_000, "-1.5s"],
    [3_723_500_000_000, "1h2m3.5s"],
  ];
  for (const [nanos, text] of both) {
    equal(goDuration(nanos), text);
    equal(parseGoDuration(text), nanos);
  }
  equal(parseGoDuration("0"), 0);
  equal(parseGoDuration("25us"), 25_000);
  equal(parseGoDuration("+1m30s"), 90e9);
  for (const text of ["", "5", "1x", "s", "1.2.3s", "--1s", "1 s"]) equal(parseGoDuration(text), null, text);
});
