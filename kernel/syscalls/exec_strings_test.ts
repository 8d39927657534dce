import { newMemoryTask } from "../../tests/support/memory_task.ts";
import { E2BIG, EFAULT } from "../abi/errno.ts";
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PAGE_SIZE } from "../abi/memory.ts";
import { put64 } from "../abi/struct.ts";
import { ARG_STRING_BYTES_MAX, type StringList } from "../loader/string_list.ts";
import type { Task } from "../task/task.ts";
import { mapMemory } from "../mm/mapping.ts";
import { ok as assert } from "node:assert/strict";
import { bytesToLatin1, latin1ToBytes } from "../util/bytes.ts";
import { ExecStrings } from "./exec_strings.ts";

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

/** The strings of the array at `address`; -ERRNO. */
function read(task: Task, address: number): string[] | number {
  const strings = new ExecStrings();
  let left: number;
  do left = strings.read(task, address, 0, true); while (left > 0);
  return left < 0 ? left : texts(strings.argv);
}

function texts(list: StringList): string[] {
  return list.ends.map((end, i) => {
    const bytes = new Uint8Array(end - 1 - list.start(i));
    list.copy(list.start(i), end - 1, bytes, 0);
    return bytesToLatin1(bytes, 0, bytes.length);
  });
}

Deno.test("execve() reads strings wherever they lie, up to the last byte of memory", () => {
  const strings: [number, string][] = [[BASE + 5, "one"], [END - 4, "two"], [BASE + 60_000, ""], [
    BASE + 9,
    "x",
  ]];
  const { task } = memory(END - 100, strings);
  assert(String(read(task, END - 100)) === "one,two,,x");
});

Deno.test("execve() takes a null pointer for an empty list, and refuses bad ones", () => {
  const { task, word, space } = memory(BASE, [[BASE + 100, "a"]]);
  assert(String(read(task, 0)) === "", "null");
  assert(read(task, 8) === -EFAULT, "a bad array");
  assert(read(task, END - 4) === -EFAULT, "an array that runs out of memory");
  put64(word, 0, END + 8);
  space.write(BASE + 8, word, 0, 8);
  assert(read(task, BASE) === -EFAULT, "a bad string");
  space.write(END - 2, new Uint8Array([65, 65]), 0, 2);
  put64(word, 0, END - 2);
  space.write(BASE + 8, word, 0, 8);
  assert(read(task, BASE) === -EFAULT, "a string that runs out of memory");
});

Deno.test("execve() takes strings of 128 KiB and no longer ones", () => {
  const longest = "x".repeat(ARG_STRING_BYTES_MAX - 1);
  const { task } = memory(END - 16, [[BASE + 4000, longest]]);
  assert(String(read(task, END - 16)) === longest, "the longest");
  const over = memory(END - 16, [[BASE + 4000, `${longest}xx`]]);
  assert(read(over.task, END - 16) === -E2BIG, "longer");
});
