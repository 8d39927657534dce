// Promises of memory against the limit.

import { deepEqual, equal } from "node:assert/strict";
import { MemoryPressure } from "./pressure.ts";

Deno.test("promises are added up when a part of the limit has come together, and each change is told once", () => {
  const memory = new MemoryPressure(1600);
  let tallies = 0;
  const told: boolean[] = [];
  memory.onTally = () => tallies++;
  memory.onChange = (isOver) => told.push(isOver);
  memory.grow(60);
  equal(tallies, 0);
  memory.grow(60);
  equal(tallies, 1);
  memory.grow(40);
  equal(tallies, 1);
  for (const isOver of [false, true, true, false]) memory.setOver(isOver);
  deepEqual(told, [true, false]);
});
