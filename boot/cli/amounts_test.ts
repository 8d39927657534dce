import { equal, throws } from "node:assert/strict";
import { bytesOf, countOf, secondsOf } from "./amounts.ts";

Deno.test("bytesOf() takes plain bytes and units of 1024", () => {
  const rows: [string, number][] = [["0", 0], ["4096", 4096], ["1k", 1024], ["2KiB", 2048], [
    "512m",
    2 ** 29,
  ]];
  for (const [text, bytes] of [...rows, ["3Gb", 3 * 2 ** 30], ["-1", -1]] as [string, number][]) {
    equal(bytesOf(text, "memory"), bytes, text);
  }
  equal(bytesOf(undefined, "memory"), undefined);
  for (const text of ["", "m", "1.5g", "-2", "1x", "1kk", " 1"]) {
    throws(() => bytesOf(text, "memory"), /^Error: --memory: ".*" is not a size in bytes$/, text);
  }
});

Deno.test("secondsOf() takes what timeout(1) does, and milliseconds", () => {
  const rows: [string, number][] = [["30", 30], ["30s", 30], ["1.5m", 90], ["2h", 7200], ["1d", 86_400]];
  for (const [text, seconds] of [...rows, ["250ms", 0.25]] as [string, number][]) {
    equal(secondsOf(text, "timeout"), seconds, text);
  }
  for (const text of ["", "0", "-1", "1y", "s", "1e3", "400d"]) {
    throws(() => secondsOf(text, "timeout"), /is not a duration/, text);
  }
});

Deno.test("countOf() takes whole numbers from 1 on", () => {
  equal(countOf("1", "pids", 8), 1);
  equal(countOf("8", "pids", 8), 8);
  for (const text of ["0", "9", "", "1.5", "-1", "x"]) {
    throws(() => countOf(text, "pids", 8), /is not a number from 1 to 8/, text);
  }
});
