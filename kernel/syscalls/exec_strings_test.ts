import { newMemoryTask } from "../../tests/support/memory_task.ts";
import { E2BIG, EFAULT } from "../abi/errno.ts";
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PAGE_SIZE } from "../abi/memory.ts";
import { put64 } from "../abi/struct.ts";
import { ARG_STRING_BYTES_MAX } from "../loader/stack.ts";
import { mapMemory } from "../mm/mapping.ts";
import { ok as assert } from "node:assert/strict";
import { latin1ToBytes } from "../util/bytes.ts";
import { readStrings } from "./exec_strings.ts";

const BASE = 0x1000_0000;
const PAGES = 64;
const END = BASE + PAGES * PAGE_SIZE;

/** Memory with an array of pointers at `at` and strings where the caller says. */
function memory(at: number, strings: readonly (readonly [address: number, text: string])[]) {
  const { task, space } = newMemoryTask();
  mapMemory(task, BASE, PAGES * PAGE_SIZE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0);
  const word = new Uint8Array(8);
  strings.forEach(([address, text], i) => {
    put64(word, 0, address);
    space.write(at + i * 8, word, 0, 8);
    const bytes = latin1ToBytes(text);
    space.write(address, bytes, 0, bytes.length);
  });
  return { task, word, space };
}

Deno.test("readStrings() reads strings wherever they lie, up to the last byte of memory", () => {
  const strings: [number, string][] = [[BASE + 5, "one"], [END - 4, "two"], [BASE + 60_000, ""], [
    BASE + 9,
    "x",
  ]];
  const { task } = memory(END - 100, strings);
  const read = readStrings(task, END - 100);
  assert(typeof read !== "number" && read.join() === "one,two,,x", String(read));
});

Deno.test("readStrings() takes a null pointer for an empty list, and refuses bad ones", () => {
  const { task, word, space } = memory(BASE, [[BASE + 100, "a"]]);
  assert((readStrings(task, 0) as string[]).length === 0, "null");
  assert(readStrings(task, 8) === -EFAULT, "a bad array");
  assert(readStrings(task, END - 4) === -EFAULT, "an array that runs out of memory");
  put64(word, 0, END + 8);
  space.write(BASE + 8, word, 0, 8);
  assert(readStrings(task, BASE) === -EFAULT, "a bad string");
  space.write(END - 2, new Uint8Array([65, 65]), 0, 2);
  put64(word, 0, END - 2);
  space.write(BASE + 8, word, 0, 8);
  assert(readStrings(task, BASE) === -EFAULT, "a string that runs out of memory");
});

Deno.test("readStrings() takes strings of 128 KiB and no longer ones", () => {
  const longest = "x".repeat(ARG_STRING_BYTES_MAX - 1);
  const { task } = memory(END - 16, [[BASE + 4000, longest]]);
  assert((readStrings(task, END - 16) as string[])[0] === longest, "the longest");
  const over = memory(END - 16, [[BASE + 4000, `${longest}xx`]]);
  assert(readStrings(over.task, END - 16) === -E2BIG, "longer");
});
