import assert from "node:assert/strict";
import { PATCH_TABLE } from "../slot.ts";
import { patchCode } from "./images.ts";

const PAGE = 4096;
/** mov $2,%eax; syscall and mov $0x80000000,%eax; cpuid */
const CALL = [0xb8, 2, 0, 0, 0, 0x0f, 0x05];
const CPUID = [0xb8, 0, 0, 0, 0x80, 0x0f, 0xa2];

function page(...parts: [at: number, bytes: number[]][]): Uint8Array {
  const code = new Uint8Array(PAGE).fill(0x90);
  for (const [at, bytes] of parts) code.set(bytes, at);
  return code;
}

const answers = (leaf: number) => new Uint32Array([leaf, 0x11111111, 0x22222222, 0x33333333]);
const word = (code: Uint8Array, at: number) => new DataView(code.buffer).getInt32(at, true);

Deno.test("patchCode() sends a call by way of the patch table, with the address behind it in RCX", () => {
  const code = page([100, CALL]);
  const [site] = patchCode(code, 4000, answers);
  assert.equal(site.at, 100);
  assert.deepEqual([...site.before], CALL);
  assert.equal(code[100], 0xe9);
  assert.equal(105 + word(code, 101), site.piece);
  assert.deepEqual([...code.subarray(105, 107)], [0x0f, 0x05], "the call itself stays");
  assert.ok(site.piece >= 4000 && site.pieceEnd <= PAGE);
  assert.deepEqual([...code.subarray(site.piece, site.piece + 5)], CALL.slice(0, 5));
  assert.equal(site.piece + 12 + word(code, site.piece + 8), 107, "lea");
  assert.equal(word(code, site.piece + 15), PATCH_TABLE);
});

Deno.test("patchCode() answers CPUID by constants and goes on behind it", () => {
  const code = page([200, CPUID]);
  const [site] = patchCode(code, 4000, answers);
  assert.deepEqual([0, 5, 10, 15].map((n) => word(code, site.piece + n + 1) >>> 0), [
    0x8000_0000,
    0x11111111,
    0x22222222,
    0x33333333,
  ]);
  assert.equal(site.piece + 25 + word(code, site.piece + 21), 207);
});

Deno.test("patchCode() leaves alone what may be something else", () => {
  const untouched: [string, number[]][] = [
    ["another register", [0x41, ...CALL]],
    ["a 64-bit move", [0x48, ...CALL]],
    ["movl $2,-72(%rsp); syscall", [0xc7, 0x44, 0x24, ...CALL]],
    ["movl $2,-72(%rbp); syscall", [0xc7, 0x45, ...CALL]],
    ["no number of a call", [0xb8, 0, 2, 0, 0, 0x0f, 0x05]],
    ["a leaf that differs between CPUs", [0xb8, 1, 0, 0, 0, 0x0f, 0xa2]],
    ["a leaf with subleaves", [0xb8, 4, 0, 0, 0, 0x0f, 0xa2]],
    ["a call with the number from elsewhere", [0x89, 0xf8, 0x0f, 0x05]],
  ];
  for (const [what, bytes] of untouched) {
    const code = page([300, bytes]);
    const before = code.slice();
    assert.deepEqual(patchCode(code, 4000, answers), [], what);
    assert.deepEqual(code, before, what);
  }
});

Deno.test("patchCode() patches no more than there is room for, and nothing behind the code", () => {
  const code = page([100, CALL], [200, CALL], [300, CALL], [4055, CALL]);
  const sites = patchCode(code, 4050, answers);
  assert.equal(sites.length, 1);
  assert.equal(code[200], 0xb8);
  assert.equal(code[4055], 0xb8);
});
