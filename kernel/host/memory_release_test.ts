import { deepEqual as same, equal } from "node:assert/strict";
import type { Host } from "../../platform/platform.ts";
import { put64 } from "../abi/struct.ts";
import { STAT } from "../arch/layouts.ts";
import { Budget } from "../util/kernel_memory.ts";
import { MemoryReleases } from "./memory_release.ts";

const MIB = 2 ** 20;

/** Files of the host by descriptor: which of their MiB are there. */
class Files {
  readonly files = new Map<number, Set<number>>();
  readonly sizes = new Map<number, number>();
  readonly closed: number[] = [];
  pieces = 0;

  make(fd: number, sizeMib: number, ...ranges: [number, number][]): void {
    const file = new Set<number>();
    for (const [from, to] of ranges) for (let i = from; i < to; i++) file.add(i);
    this.files.set(fd, file);
    this.sizes.set(fd, sizeMib * MIB);
  }

  readonly host = {
    fstat: (fd: number, into: Uint8Array, at: number): number => {
      put64(into, at + STAT.size, this.sizes.get(fd)!);
      put64(into, at + STAT.blocks, this.files.get(fd)!.size * MIB / 512);
      return 0;
    },
    fallocate: (fd: number, _mode: number, offset: number, length: number): number => {
      this.pieces++;
      for (const piece of this.files.get(fd)!) {
        if (piece * MIB >= offset && piece * MIB < offset + length) this.files.get(fd)!.delete(piece);
      }
      return 0;
    },
    ftruncate: (fd: number, size: number): number => {
      this.sizes.set(fd, size);
      for (const piece of this.files.get(fd)!) if (piece * MIB >= size) this.files.get(fd)!.delete(piece);
      return 0;
    },
    close: (fd: number): number => this.closed.push(fd) - 1,
  } as unknown as Host;
}

function turnsOf(releases: MemoryReleases): number {
  let turns = 0;
  for (; releases.pollAt() === 0; turns++) releases.poll();
  return turns;
}

Deno.test("memory that nobody needs goes in pieces, and is counted until it has gone", () => {
  const files = new Files(), releases = new MemoryReleases(files.host), budget = new Budget(1000 * MIB);
  files.make(7, 100, [0, 100]);
  budget.force(100 * MIB);
  releases.close(7, budget, 100 * MIB);
  releases.poll();
  equal(budget.usedBytes, 96 * MIB);
  same(files.closed, []);
  equal(turnsOf(releases) >= 24, true);
  same(files.closed, [7]);
  equal(budget.usedBytes, 0);
});

Deno.test("little memory goes at once", () => {
  const files = new Files(), releases = new MemoryReleases(files.host);
  files.make(7, 1000, [990, 994]);
  releases.close(7, null, 0);
  same(files.closed, [7]);
  equal(releases.pollAt(), Infinity);
  files.make(8, 1000, [0, 1000]);
  equal(releases.shrink(8, 999 * MIB), null);
  equal(files.sizes.get(8), 999 * MIB);
});

Deno.test("holes are passed over in large steps", () => {
  const files = new Files(), releases = new MemoryReleases(files.host);
  files.make(7, 1e6, [0, 10], [500_000, 500_020]);
  releases.close(7, null, 0);
  equal(turnsOf(releases) < 60, true);
  equal(files.pieces < 1e6 / 128 + 30, true);
  same([files.closed, files.files.get(7)!.size], [[7], 0]);
});

Deno.test("an end is cut off in pieces, or with the file when that closes meanwhile", () => {
  const files = new Files(), releases = new MemoryReleases(files.host);
  files.make(7, 100, [0, 100]);
  const shrinking = releases.shrink(7, 10 * MIB)!;
  equal(shrinking.isDone, false);
  turnsOf(releases);
  same([shrinking.isDone, files.sizes.get(7), files.files.get(7)!.size, files.closed], [
    true,
    10 * MIB,
    10,
    [],
  ]);
  files.make(8, 100, [0, 100]);
  const second = releases.shrink(8, 10 * MIB)!;
  releases.poll();
  releases.closeShrinking(second, null, 0);
  turnsOf(releases);
  same([files.closed, files.files.get(8)!.size], [[8], 0]);
});

Deno.test("memory that is wanted now comes at once", () => {
  const files = new Files(), releases = new MemoryReleases(files.host), budget = new Budget(100 * MIB);
  files.make(7, 100, [0, 100]);
  budget.force(100 * MIB);
  releases.close(7, budget, 100 * MIB);
  equal(budget.take(16 * MIB), false);
  releases.hurry(16 * MIB);
  equal(budget.take(16 * MIB), true);
  equal(releases.pollAt(), 0);
});
