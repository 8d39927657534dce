import { equal } from "node:assert/strict";
import { civilTime, rfc3339 } from "./civil_time.ts";
import { goDuration } from "./go_duration.ts";
import { isSafePattern } from "./metric_pattern.ts";
import { startTime } from "./services/process_document.ts";

Deno.test("civil time is Date's, through leap years and before 1970", () => {
  for (let seconds = -3e9; seconds < 9e9; seconds += 86_399 * 37) {
    const { year, month, day, hour, minute, second } = civilTime(seconds);
    equal(Date.UTC(year, month - 1, day, hour, minute, second), seconds * 1000);
  }
  equal(rfc3339(951_782_400, 5), "2000-02-29T00:00:00.000000005Z");
});

Deno.test("durations are Go's", () => {
  const cases: readonly [number, string][] = [
    [0, "0s"],
    [505262, "505.262µs"],
    [999, "999ns"],
    [1_500_000, "1.5ms"],
    [2e9, "2s"],
    [90e9, "1m30s"],
    [3_723_500_000_000, "1h2m3.5s"],
    [-1e9, "-1s"],
  ];
  for (const [nanos, text] of cases) equal(goDuration(nanos), text);
});

Deno.test("a start is an hour today, a day this year, else a year", () => {
  const at = (text: string) => Date.parse(text) / 1000;
  equal(startTime(at("2026-08-21T10:00:00Z"), at("2026-08-21T09:07:00Z")), "09:07");
  equal(startTime(at("2026-08-21T10:00:00Z"), at("2026-08-02T09:07:00Z")), "Aug02");
  equal(startTime(at("2026-08-21T10:00:00Z"), at("2025-12-31T09:07:00Z")), "2025");
});

Deno.test("a pattern that could cost much is none", () => {
  for (const pattern of ["", "sandbox_.*", "^(a|b)_x$", "[a-z]+", "memory_usage"]) {
    equal(isSafePattern(pattern), true);
  }
  for (
    const pattern of ["(a*)*b", "(a|a)+", "(?=x)", "\\1", "(", "a*a*a*a*", "a?".repeat(9), "x".repeat(300)]
  ) equal(isSafePattern(pattern), false, pattern);
});
