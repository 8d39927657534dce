import { deepEqual, equal } from "node:assert/strict";
import { newMemoryTask } from "../../tests/support/memory_task.ts";
import { EINVAL, ENOMEM, ERESTARTSYS } from "../abi/errno.ts";
import {
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NONBLOCK,
  MAP_POPULATE,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { mapMemory, unmapMemory } from "../mm/mapping.ts";
import { BLOCKED } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { advise, map, populateLocked, populateMapping, remap, setBreak, unmap } from "./paging.ts";

const MIB = 2 ** 20, GIB = 2 ** 30;
const BASE = 0x1_0000_0000;
const NO_ACCESS = 0;
const RW = PROT_READ | PROT_WRITE;
const FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

/** What a call needs to be made in turns, and the host's madvise calls as [advice, start, bytes]. */
class PagingTask {
  readonly told: [number, number, number][] = [];
  isKilled = false;
  readonly task: Task;

  constructor() {
    const { task, space } = newMemoryTask();
    space.advise = (_thread, address, length, advice) => {
      this.told.push([advice, (address - BASE) / MIB, length / MIB]);
      return 0;
    };
    const setDone = (bytes: number) => void (call.done = bytes);
    const call = { done: 0, deadline: Infinity, then: null, wake() {}, leaveQueues() {}, setDone };
    const signals = Object.defineProperty({}, "isKilled", { get: () => this.isKilled });
    this.task = Object.assign(task, { call, signals, blockCount: 0 });
  }

  map(at: number, bytes: number, prot = RW): void {
    equal(mapMemory(this.task, BASE + at, bytes, prot, FLAGS, null, 0), BASE + at);
  }

  /** Goes on with a call that has answered `result`, until it has another answer; `between` runs between the turns. */
  finish(result: number, again: () => number, between: () => void = () => {}): number {
    const { call } = this.task;
    while (result === BLOCKED) {
      between();
      result = call.then === null ? again() : call.then.run(this.task, undefined as never);
    }
    return result;
  }
}

Deno.test("paging: a large mapping is brought in by pieces, as its areas are when their turn comes", () => {
  const t = new PagingTask();
  t.map(0, 5 * MIB);
  t.map(5 * MIB, 2 * MIB, NO_ACCESS);
  t.map(7 * MIB, 2 * MIB, PROT_READ);
  const first = populateMapping(t.task, BASE, 9 * MIB, MAP_POPULATE);
  const result = t.finish(first, () => -EINVAL, () => unmapMemory(t.task, BASE + 4.5 * MIB, 0.25 * MIB));
  equal(result, BASE);
  deepEqual(t.told, [
    [MADV_POPULATE_WRITE, 0, 4],
    [MADV_POPULATE_WRITE, 4, 0.5],
    [MADV_POPULATE_WRITE, 4.75, 0.25],
    [MADV_POPULATE_READ, 7, 2],
  ]);
});

Deno.test("paging: only what is wanted is brought in, and small mappings by the mmap of the host", () => {
  const t = new PagingTask();
  t.map(0, 8 * MIB);
  equal(populateMapping(t.task, BASE, 8 * MIB, 0), BASE);
  equal(populateMapping(t.task, BASE, 8 * MIB, MAP_POPULATE | MAP_NONBLOCK), BASE);
  equal(populateMapping(t.task, BASE, 4 * MIB, MAP_POPULATE), BASE);
  equal(populateMapping(t.task, -ENOMEM, 8 * MIB, MAP_POPULATE), -ENOMEM);
  equal(populateLocked(t.task, BASE, 8 * MIB, -ENOMEM), -ENOMEM);
  deepEqual(t.told, []);
  equal(t.finish(populateLocked(t.task, BASE + 1, 4 * MIB, 0), () => -EINVAL), 0);
  deepEqual(t.told, [[MADV_POPULATE_WRITE, 0, 4], [MADV_POPULATE_WRITE, 4, PAGE_SIZE / MIB]]);
});

Deno.test("paging: much advice goes in pieces, a hole is reported when the rest is done, SIGKILL makes it short", () => {
  const t = new PagingTask();
  t.map(0, 16 * MIB);
  t.map(32 * MIB, 50 * MIB);
  const again = () => advise(t.task, BASE, 2 * GIB, MADV_DONTNEED);
  equal(t.finish(again(), again), -ENOMEM);
  deepEqual(t.told, [[MADV_DONTNEED, 0, 16], [MADV_DONTNEED, 32, 32], [MADV_DONTNEED, 64, 18]]);
  t.task.call.done = 0;
  t.isKilled = true;
  equal(again(), -ERESTARTSYS);
  equal(advise(t.task, BASE + 1, 2 * GIB, MADV_DONTNEED), -EINVAL);
});

Deno.test("paging: what follows each other is advised as one, areas that refuse end it", () => {
  const t = new PagingTask();
  for (let i = 0; i < 4; i++) t.map(i * MIB, MIB, i % 2 === 0 ? RW : PROT_READ);
  equal(advise(t.task, BASE, 4 * MIB, MADV_DONTNEED), 0);
  deepEqual(t.told, [[MADV_DONTNEED, 0, 4]]);
  t.task.mm.areas.at(2).isLocked = true;
  equal(advise(t.task, BASE, 4 * MIB, MADV_DONTNEED), -EINVAL);
  deepEqual(t.told.slice(1), [[MADV_DONTNEED, 0, 2]]);
});

Deno.test("paging: much is unmapped in pieces, and the break comes down in pieces", () => {
  const t = new PagingTask();
  t.map(0, 75 * MIB);
  t.map(GIB, MIB);
  const { mm } = t.task;
  let turns = 0;
  const again = () => unmap(t.task, BASE, 2 * GIB);
  equal(t.finish(again(), again, () => turns++), 0);
  deepEqual([turns, mm.areas.count], [4, 0]);
  t.task.call.done = 0;
  mm.brkStart = BASE;
  mm.brk = BASE + 75 * MIB;
  t.map(0, 75 * MIB);
  turns = 0;
  const lower = () => setBreak(t.task, BASE + MIB);
  equal(t.finish(lower(), lower, () => turns++), BASE + MIB);
  deepEqual([turns, mm.areas.count, mm.areas.totalBytes], [2, 1, MIB]);
  // What cannot be is answered at once.
  equal(setBreak(t.task, BASE - PAGE_SIZE), BASE + MIB);
});

Deno.test("paging: what a large fixed mapping replaces is given back in pieces, and nothing where it is refused", () => {
  const t = new PagingTask();
  t.map(0, 40 * MIB);
  const fixed = (flags: number) => map(t.task, BASE, 50 * MIB, RW, flags, null, 0);
  equal(t.finish(fixed(FLAGS), () => fixed(FLAGS)), BASE);
  deepEqual(t.told, [[MADV_DONTNEED, 0, 16], [MADV_DONTNEED, 16, 16], [MADV_DONTNEED, 32, 8]]);
  equal(t.task.mm.areas.isCovered(BASE, BASE + 50 * MIB), true);
  t.told.length = 0;
  t.task.call.done = 0;
  equal(fixed(MAP_ANONYMOUS | MAP_FIXED), -EINVAL);
  deepEqual(t.told, []);
});

Deno.test("paging: mremap gives back what it cuts off and what is at its target in pieces", () => {
  const t = new PagingTask();
  t.map(0, 80 * MIB);
  t.map(GIB, 40 * MIB);
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const move = () => remap(t.task, BASE, 80 * MIB, 32 * MIB, flags, BASE + GIB);
  equal(t.finish(move(), move), BASE + GIB);
  deepEqual(t.told, [
    [MADV_DONTNEED, 32, 16],
    [MADV_DONTNEED, 48, 16],
    [MADV_DONTNEED, 64, 16],
    [MADV_DONTNEED, 1024, 16],
    [MADV_DONTNEED, 1040, 16],
  ]);
  t.told.length = 0;
  t.task.call.done = 0;
  equal(remap(t.task, BASE + GIB, 32 * MIB, 0, flags, BASE), -EINVAL);
  deepEqual(t.told, []);
});
