import assert from "node:assert/strict";
import { patchCode } from "./images.ts";
import { CPUID_PIECE_BYTES, KIND_CMP, KIND_MOV, mayPlace, pieceBytes, placeInProgram } from "./pieces.ts";

const PAGE = 4096;
/** mov $2,%eax; syscall, and mov $0x80000000,%eax; cpuid, and syscall; cmp $-4096,%rax */
const CALL = [0xb8, 2, 0, 0, 0, 0x0f, 0x05];
const CPUID = [0xb8, 0, 0, 0, 0x80, 0x0f, 0xa2];
const COMPARED = [0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff];

function page(...parts: [at: number, bytes: number[]][]): Uint8Array {
  const code = new Uint8Array(PAGE).fill(0x90);
  for (const [at, bytes] of parts) code.set(bytes, at);
  return code;
}

const answers = (leaf: number) => new Uint32Array([leaf, 0x11111111, 0x22222222, 0x33333333]);
const word = (code: Uint8Array, at: number) => new DataView(code.buffer).getInt32(at, true);
/** The calls that return to these offsets were seen, all with number 2. */
const seen = (...offsets: number[]) => new Map(offsets.map((offset) => [offset, 2]));

Deno.test("patchCode() patches a call that was seen, and leaves its syscall where it was", () => {
  const code = page([100, CALL]);
  const [site] = patchCode(code, 4000, seen(107), answers);
  assert.equal(site.start, 100);
  assert.equal(site.kind, KIND_MOV);
  assert.deepEqual([...site.before], CALL.slice(0, 5));
  assert.equal(code[100], 0xe9);
  assert.equal(105 + word(code, 101), site.piece);
  assert.deepEqual([...code.subarray(105, 107)], [0x0f, 0x05], "the call itself stays");
  assert.ok(site.piece >= 4000 && site.piece + pieceBytes(site.kind) <= PAGE);
  assert.deepEqual([...code.subarray(site.piece, site.piece + 5)], CALL.slice(0, 5));
  assert.equal(site.piece + 12 + word(code, site.piece + 8), 107, "lea");
});

Deno.test("patchCode() leaves alone what nobody was seen to run, and the CPUID of who is no interpreter", () => {
  const code = page([100, CALL], [200, CPUID], [300, COMPARED]);
  const before = code.slice();
  assert.deepEqual(patchCode(code, 4000, seen(), null), []);
  assert.deepEqual(code, before);
});

Deno.test("patchCode() answers CPUID by constants and goes on behind it", () => {
  const code = page([200, CPUID]);
  const [site] = patchCode(code, 4000, seen(), answers);
  assert.deepEqual([0, 5, 10, 15].map((n) => word(code, site.piece + n + 1) >>> 0), [
    0x8000_0000,
    0x11111111,
    0x22222222,
    0x33333333,
  ]);
  assert.equal(site.piece + CPUID_PIECE_BYTES + word(code, site.piece + 21), 207);
  assert.equal(placeInProgram(site, site.piece + 10), 200, "who is stopped in it is at the site");
});

Deno.test("patchCode() leaves a return address valid where the comparison is displaced", () => {
  const code = page([300, COMPARED]);
  const [site] = patchCode(code, 2000, seen(302), null);
  assert.equal(site.kind, KIND_CMP);
  assert.equal(305 + word(code, 301), site.piece);
  assert.ok(mayPlace(KIND_CMP, 300, site.piece));
  assert.ok(
    [0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e].includes(code[302]),
    "no instruction of 64-bit mode stands there",
  );
  const tail = site.piece + 22;
  assert.deepEqual([...code.subarray(tail, tail + 6)], COMPARED.slice(2), "the comparison");
  assert.equal(tail + 11 + word(code, tail + 7), 308, "and back");
  assert.equal(placeInProgram(site, tail - 1), 300);
  assert.equal(placeInProgram(site, tail), 302);
  assert.equal(placeInProgram(site, tail + 6), 308);
});

Deno.test("patchCode() leaves alone what may be something else", () => {
  const untouched: [string, number[]][] = [
    ["another register", [0x41, ...CALL]],
    ["a 64-bit move", [0x48, ...CALL]],
    ["a 16-bit move", [0x66, ...CALL]],
    ["movl $2,-72(%rsp); syscall", [0xc7, 0x44, 0x24, ...CALL]],
    ["movl $2,-72(%rbp); syscall", [0xc7, 0x45, ...CALL]],
    ["the number of another call", [0xb8, 3, 0, 0, 0, 0x0f, 0x05]],
    ["a leaf that differs between CPUs", [0xb8, 1, 0, 0, 0, 0x0f, 0xa2]],
    ["a leaf with subleaves", [0xb8, 4, 0, 0, 0, 0x0f, 0xa2]],
    ["a call with the number from elsewhere", [0x89, 0xf8, 0x0f, 0x05]],
  ];
  for (const [what, bytes] of untouched) {
    const code = page([300, bytes]);
    const before = code.slice();
    assert.deepEqual(patchCode(code, 4000, seen(300 + bytes.length), answers), [], what);
    assert.deepEqual(code, before, what);
  }
});

Deno.test("patchCode() patches no more than there is room for, and nothing behind the code", () => {
  const code = page([100, CALL], [200, CALL], [300, CALL], [4055, CALL]);
  const sites = patchCode(code, 4050, seen(107, 207, 307, 4062), answers);
  assert.equal(sites.length, 1);
  assert.equal(code[200], 0xb8);
  assert.equal(code[4055], 0xb8);
});
