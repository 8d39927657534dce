import { deepEqual, equal } from "node:assert/strict";
import { bytesToLatin1, putLatin1 } from "./bytes.ts";

/** Around the lengths from which other ways are taken. */
const LENGTHS = [0, 1, 7, 8, 511, 512, 513, 4095, 4096, 4097, 10_000];

Deno.test("byte strings keep every byte, whatever their length and wherever they begin", () => {
  for (const length of LENGTHS) {
    for (const kind of ["ASCII", "any", "the last is not ASCII", "a byte order mark"]) {
      const bytes = Uint8Array.from({ length: length + 5 }, (_, n) => n * 7 & (kind === "any" ? 0xff : 0x7f));
      if (kind === "the last is not ASCII" && length > 0) bytes[length + 2] = 0xe9;
      if (kind === "a byte order mark") bytes.set([0xef, 0xbb], 3);
      const text = bytesToLatin1(bytes, 3, length);
      equal(text.length, length, kind);
      for (let n = 0; n < length; n++) equal(text.charCodeAt(n), bytes[3 + n], `${kind}, ${n} of ${length}`);
      const copy = new Uint8Array(length + 5).fill(0xaa);
      equal(putLatin1(copy, 2, text), length);
      deepEqual(copy.subarray(2, 2 + length), bytes.subarray(3, 3 + length), kind);
      deepEqual([...copy.subarray(0, 2), ...copy.subarray(2 + length)], [0xaa, 0xaa, 0xaa, 0xaa, 0xaa], kind);
    }
  }
});
