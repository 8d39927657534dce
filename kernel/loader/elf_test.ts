import * as E from "../abi/errno.ts";
import { put16, put32, put64 } from "../abi/struct.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import { ok as assert } from "node:assert/strict";
import { checkImage, type ElfImage, HEAD_BYTES, readElf, readFully } from "./elf.ts";
import { FAKE_LAYOUT } from "../../tests/support/fake_platform.ts";

const PT_LOAD = 1, PT_INTERP = 3, PT_GNU_STACK = 0x6474e551;
const PHDR_AT = 64;

/** A small program: two segments and, if wanted, an interpreter. `change` spoils it. */
function program(change: (bytes: Uint8Array) => void = () => {}, interpreter = ""): Uint8Array {
  const bytes = new Uint8Array(0x3000);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  put16(bytes, 16, 3); // ET_DYN
  put16(bytes, 18, 62); // EM_X86_64
  put64(bytes, 24, 0x1010); // entry
  put64(bytes, 32, PHDR_AT);
  put16(bytes, 54, 56);
  put16(bytes, 56, interpreter === "" ? 3 : 4);
  header(bytes, 0, PT_LOAD, 4, 0, 0, 0x800, 0x800);
  header(bytes, 1, PT_LOAD, 5, 0x1000, 0x1000, 0x1000, 0x1000);
  header(bytes, 2, PT_LOAD, 6, 0x2000, 0x2000, 0x1000, 0x5000);
  if (interpreter !== "") {
    header(bytes, 3, PT_INTERP, 4, 0x700, 0x700, interpreter.length + 1, interpreter.length + 1);
    bytes.set(new TextEncoder().encode(interpreter), 0x700);
  }
  change(bytes);
  return bytes;
}

function header(
  bytes: Uint8Array,
  index: number,
  type: number,
  flags: number,
  offset: number,
  address: number,
  fileBytes: number,
  memoryBytes: number,
): void {
  const at = PHDR_AT + index * 56;
  put32(bytes, at, type);
  put32(bytes, at + 4, flags);
  put64(bytes, at + 8, offset);
  put64(bytes, at + 16, address);
  put64(bytes, at + 32, fileBytes);
  put64(bytes, at + 40, memoryBytes);
  put64(bytes, at + 48, 0x1000);
}

function read(bytes: Uint8Array): ElfImage | number {
  const file = {
    inode: { size: bytes.length, refresh: () => 0 },
    read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
      const part = bytes.subarray(offset, offset + length);
      into.set(part, at);
      return part.length;
    },
  } as unknown as File;
  const head = new Uint8Array(HEAD_BYTES);
  const n = readFully({} as Task, file, head, 0, HEAD_BYTES, 0);
  return readElf({} as Task, file, head, n);
}

Deno.test("readElf() says what is to be mapped", () => {
  const image = read(program(() => {}, "/lib/ld.so"));
  assert(typeof image !== "number", "it is a program");
  assert(image.isPositionIndependent && image.entry === 0x1010 && image.segments.length === 3, "shape");
  assert(image.start === 0 && image.end === 0x7000, "extent");
  assert(image.headersAddress === PHDR_AT && image.headersCount === 4, "program headers");
  assert(image.interpreter === "/lib/ld.so", "interpreter");
  assert(image.segments[1].prot === 5 && image.segments[2].prot === 3, "protections");
});

Deno.test("readElf() reads headers and interpreter that lie beyond the first bytes", () => {
  const image = read(program((bytes) => {
    put64(bytes, 32, 0x2800);
    bytes.copyWithin(0x2800, PHDR_AT, PHDR_AT + 4 * 56);
    put64(bytes, 0x2800 + 3 * 56 + 8, 0x2900);
    bytes.set(new TextEncoder().encode("/lib/ld.so\0"), 0x2900);
  }, "/lib/xx.so"));
  assert(typeof image !== "number" && image.interpreter === "/lib/ld.so", "interpreter");
  assert(image.headersAddress === 0x2800, "headers in the last segment");
});

const PHDR0 = PHDR_AT, PHDR1 = PHDR_AT + 56;

/** What is wrong, how, and the errno. */
const REJECTS: readonly [string, (bytes: Uint8Array) => void, number][] = [
  ["bad magic", (b) => b[1] = 0, -E.ENOEXEC],
  ["another machine", (b) => put16(b, 18, 183), -E.ENOEXEC],
  ["an object file", (b) => put16(b, 16, 1), -E.ENOEXEC],
  ["a wrong header size", (b) => put16(b, 54, 32), -E.ENOEXEC],
  ["no headers", (b) => put16(b, 56, 0), -E.ENOEXEC],
  ["too many headers", (b) => put16(b, 56, 0xffff), -E.ENOEXEC],
  ["headers past the end", (b) => put64(b, 32, 0x2fff), -E.ENOEXEC],
  ["headers at an absurd offset", (b) => put64(b, 32, 2 ** 63), -E.ENOEXEC],
];

for (const [what, change, errno] of REJECTS) {
  Deno.test(`readElf() refuses ${what}`, () => {
    const result = read(program(change));
    assert(result === errno, `${JSON.stringify(result)} is not ${errno}`);
  });
}

/** Programs that start and die, but for a sandbox's first. */
const IMPLAUSIBLE: readonly [string, (bytes: Uint8Array) => void, number][] = [
  ["more of the file than memory", (b) => put64(b, PHDR1 + 40, 0xfff), -E.EINVAL],
  ["huge memory", (b) => put64(b, PHDR1 + 40, 2 ** 62), -E.EINVAL],
  ["an address that wraps", (b) => put64(b, PHDR1 + 16, 2 ** 64 - 0x1000), -E.EINVAL],
  ["a misaligned offset", (b) => put64(b, PHDR1 + 8, 0x1001), -E.EINVAL],
  ["a segment past the end of the file", (b) => put64(b, PHDR1 + 8, 0x3000), -E.ENOEXEC],
  ["an offset near 2^64", (b) => put64(b, PHDR1 + 8, 2 ** 64 - 0x1000), -E.ENOEXEC],
  ["an entry outside", (b) => put64(b, 24, 2 ** 63), -E.EINVAL],
  ["nothing to load", (b) => [0, 1, 2].forEach((i) => put32(b, PHDR0 + i * 56, PT_GNU_STACK)), -E.ENOEXEC],
];

for (const [what, change, errno] of IMPLAUSIBLE) {
  Deno.test(`checkImage() refuses ${what}`, () => {
    const bytes = program(change);
    const image = read(bytes);
    assert(typeof image !== "number", "its headers can be read");
    const result = checkImage({ inode: { size: bytes.length } } as unknown as File, image, FAKE_LAYOUT);
    assert(result === errno, `${result} is not ${errno}`);
  });
}

Deno.test("readElf() refuses interpreters without an end, too long, or outside the file", () => {
  const at = PHDR_AT + 3 * 56;
  const lengths: readonly [number, number][] = [[1, -E.ENOEXEC], [5000, -E.ENOEXEC], [5, -E.ENOEXEC]];
  for (const [length, errno] of lengths) {
    const result = read(program((b) => put64(b, at + 32, length), "/lib/ld.so"));
    assert(result === errno, `length ${length}: ${JSON.stringify(result)}`);
  }
  assert(read(program((b) => put64(b, at + 8, 0x2ffe), "/lib/ld.so")) === -E.EIO, "outside");
});

Deno.test("readElf() survives every truncation and random bytes in its headers", () => {
  const whole = program(() => {}, "/lib/ld.so");
  for (let length = 0; length < 0x400; length += 3) {
    assert(typeof read(whole.slice(0, length)) === "number", `cut at ${length}`);
  }
  let seed = 7;
  for (let round = 0; round < 3000; round++) {
    const bytes = whole.slice();
    for (let i = 0; i < 3; i++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      bytes[16 + (seed >>> 8) % 300] = seed >>> 3;
    }
    const image = read(bytes);
    if (typeof image === "number") continue;
    if (checkImage({ inode: { size: bytes.length } } as unknown as File, image, FAKE_LAYOUT) < 0) continue;
    for (const segment of image.segments) {
      const { offset, fileBytes, memoryBytes, address } = segment;
      assert(fileBytes === 0 || offset + fileBytes <= bytes.length, "file bytes lie in the file");
      assert(fileBytes <= memoryBytes && address + memoryBytes < 2 ** 47, "memory lies in the space");
    }
  }
});
