import { newMemoryTask } from "../../tests/support/memory_task.ts";
import { E2BIG } from "../abi/errno.ts";
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE } from "../abi/memory.ts";
import { u64 } from "../abi/struct.ts";
import * as T from "../abi/task.ts";
import { mapMemory } from "../mm/mapping.ts";
import { bytesToLatin1 } from "../util/bytes.ts";
import { ok as assert } from "node:assert/strict";
import { StringList } from "./string_list.ts";
import { checkArguments, FirstStack, type StackInput } from "./stack.ts";

const TOP = 0x7000_0000_0000;
const BYTES = 0x10_0000;

function input(argv: readonly string[], envp: readonly string[]): StackInput {
  return {
    argv: StringList.of(argv),
    envp: StringList.of(envp),
    filename: "/bin/prog",
    entry: 0x401000,
    headersAddress: 0x400040,
    headersCount: 9,
    interpreterBase: 0x7f00_0000_0000,
    isSecure: false,
    vdso: 0x7fff_0000_0000,
    hardware: { hwcap: 0x1234, hwcap2: 2, minSignalStackBytes: 3632 },
  };
}

/** Builds a stack and reads it back as a program's start code would. */
function build(argv: readonly string[], envp: readonly string[]) {
  const { task, mm, space } = newMemoryTask();
  mapMemory(task, TOP - BYTES, BYTES, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, null, 0);
  const stack = new FirstStack(task, TOP, input(argv, envp)), sp = stack.pointer;
  while (true) {
    const left = stack.writePiece();
    assert(left >= 0, "written");
    if (left === 0) break;
  }
  const bytes = new Uint8Array(TOP - sp);
  space.read(sp, bytes, 0, bytes.length);
  const string = (address: number) => {
    const at = address - sp;
    return bytesToLatin1(bytes, at, bytes.indexOf(0, at) - at);
  };
  let at = 8;
  const list = () => {
    const strings: string[] = [];
    for (; u64(bytes, at) !== 0; at += 8) strings.push(string(u64(bytes, at)));
    at += 8;
    return strings;
  };
  const argumentsRead = list(), environmentRead = list();
  const auxv = new Map<number, number>();
  for (; u64(bytes, at) !== 0; at += 16) auxv.set(u64(bytes, at), u64(bytes, at + 8));
  return {
    mm,
    space,
    sp,
    bytes,
    string,
    argc: u64(bytes, 0),
    argumentsRead,
    environmentRead,
    auxv,
    end: at + 16,
  };
}

Deno.test("the first stack has argc, argv, envp and auxv where the psABI says, 16-aligned", () => {
  for (const argv of [["prog"], ["prog", "a"], ["prog", "a", ""], ["x".repeat(5000)]]) {
    for (const envp of [[], ["A=1"], ["A=1", "B="]]) {
      const stack = build(argv, envp);
      assert(stack.sp % 16 === 0, "aligned");
      assert(stack.argc === argv.length, "argc");
      assert(stack.argumentsRead.join("|") === argv.join("|"), "argv");
      assert(stack.environmentRead.join("|") === envp.join("|"), "envp");
    }
  }
});

Deno.test("the auxiliary vector tells of program, interpreter, ids and randomness", () => {
  const { auxv, string, bytes, sp } = build(["prog"], []);
  const expected: readonly [number, number][] = [
    [T.AT_SYSINFO_EHDR, 0x7fff_0000_0000],
    [T.AT_HWCAP, 0x1234],
    [T.AT_HWCAP2, 2],
    [T.AT_MINSIGSTKSZ, 3632],
    [T.AT_PAGESZ, 4096],
    [T.AT_CLKTCK, 100],
    [T.AT_PHDR, 0x400040],
    [T.AT_PHENT, 56],
    [T.AT_PHNUM, 9],
    [T.AT_BASE, 0x7f00_0000_0000],
    [T.AT_FLAGS, 0],
    [T.AT_ENTRY, 0x401000],
    [T.AT_UID, 0],
    [T.AT_EGID, 0],
    [T.AT_SECURE, 0],
  ];
  for (const [key, value] of expected) assert(auxv.get(key) === value, `entry ${key}: ${auxv.get(key)}`);
  assert(string(auxv.get(T.AT_EXECFN)!) === "/bin/prog", "AT_EXECFN");
  assert(string(auxv.get(T.AT_PLATFORM)!) === "x86_64", "AT_PLATFORM");
  const random = auxv.get(T.AT_RANDOM)! - sp;
  assert(bytes.subarray(random, random + 16).some((byte) => byte !== 0), "AT_RANDOM");
});

Deno.test("strings lie at the top as Linux has them: arguments, environment, file name, eight zero bytes", () => {
  const { mm, bytes, sp, end } = build(["prog", "arg"], ["A=1"]);
  const tail = bytesToLatin1(bytes, bytes.length - 36, 36);
  assert(tail.endsWith("prog\0arg\0A=1\0/bin/prog\0\0\0\0\0\0\0\0\0"), JSON.stringify(tail));
  assert(
    mm.argEnd - mm.argStart === 9 && mm.envStart === mm.argEnd && mm.envEnd - mm.envStart === 4,
    "ranges",
  );
  assert(mm.stackStart === sp && sp + end <= mm.argStart, "the table lies below the strings");
  assert(u64(mm.auxv, mm.auxv.length - 16) === T.AT_NULL, "the kept vector ends");
});

Deno.test("checkArguments() limits single strings and the sum", () => {
  const eight = 8 * 1024 * 1024;
  assert(checkArguments(StringList.of(["a"]), StringList.of([]), eight) === 0, "small");
  assert(
    checkArguments(StringList.of(["x".repeat(131071)]), StringList.of([]), eight) === 0,
    "the longest string",
  );
  assert(
    checkArguments(StringList.of(["x".repeat(131072)]), StringList.of([]), eight) === -E2BIG,
    "one byte more",
  );
  const none = StringList.of([]), many = StringList.of(new Array(20).fill("x".repeat(120_000)));
  assert(checkArguments(many, none, eight) === -E2BIG, "a quarter of the stack");
  assert(checkArguments(many, none, 64 * 1024 * 1024) === 0, "fits a larger stack");
  const lots = StringList.of(new Array(60).fill("x".repeat(120_000)));
  assert(checkArguments(none, lots, Infinity) === -E2BIG, "6 MiB whatever the stack");
  assert(
    checkArguments(StringList.of(["x".repeat(100_000)]), StringList.of([]), 4096) === 0,
    "128 KiB whatever the stack",
  );
});
