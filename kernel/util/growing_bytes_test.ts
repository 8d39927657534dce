import { equal } from "node:assert/strict";
import { GrowingBytes } from "./growing_bytes.ts";

Deno.test("scratch memory grows by doubling, up to what is ever asked for, and never shrinks", () => {
  const scratch = new GrowingBytes(100);
  const first = scratch.bytes;
  scratch.reserve(100, 300);
  equal(scratch.bytes, first);
  scratch.reserve(101, 300);
  equal(scratch.bytes.length, 200);
  scratch.reserve(250, 300);
  equal(scratch.bytes.length, 300);
  scratch.reserve(10, 300);
  equal(scratch.bytes.length, 300);
  scratch.reserve(1000);
  equal(scratch.bytes.length, 1000);
});
