// What /proc works out: load averages, lists of processors; the rest is compared with Linux by tests/guest.

import { deepEqual, equal, ok } from "node:assert/strict";
import { LoadAverage } from "./load.ts";
import { cpuList, cpuMask } from "./proc_status.ts";

Deno.test("masks and lists of processors are printed as %*pb and %*pbl do", () => {
  equal(cpuMask([0, 1], 2), "3");
  equal(cpuMask([5], 8), "20");
  equal(cpuMask([0, 31, 32], 40), "01,80000001");
  equal(cpuMask([], 4), "0");
  equal(cpuList([0]), "0");
  equal(cpuList([0, 1, 2, 3]), "0-3");
  equal(cpuList([0, 2, 3, 7]), "0,2-3,7");
  equal(cpuList([]), "");
});

Deno.test("load nears the number of busy processors, and is forgotten, the short average first", () => {
  const load = new LoadAverage(0);
  const second = 1e9;
  for (let t = 1; t <= 300; t++) load.update(t * second, t * 2 * second);
  ok(load.averages[0] > 1.98 && load.averages[0] <= 2);
  ok(load.averages[1] > 1.2 && load.averages[1] < 1.3);
  load.update(600 * second, 600 * second);
  ok(load.averages[0] < 0.02 && load.averages[1] > 0.4 && load.averages[2] > 0.4);
});

Deno.test("load does not depend on how often one looks", () => {
  const often = new LoadAverage(0), once = new LoadAverage(0);
  for (let t = 1; t <= 60; t++) often.update(t * 1e9, t * 1e9);
  once.update(60e9, 60e9);
  deepEqual(often.averages.map((x) => x.toFixed(6)), once.averages.map((x) => x.toFixed(6)));
  once.update(60e9, 60e9);
  equal(once.averages[0].toFixed(6), often.averages[0].toFixed(6));
});
