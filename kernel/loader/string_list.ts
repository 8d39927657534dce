// The arguments or the environment of a program, as bytes in the form in which they lie on its first stack: one string after the
// other, each with its NUL. execve(2) takes up to 6 MiB of them from one memory to another, so they never become text.

import { putLatin1 } from "../util/bytes.ts";

/** One string with its NUL (MAX_ARG_STRLEN). */
export const ARG_STRING_BYTES_MAX = 131072;

/** Chunks grow from one to the other: most lists fit the first. A page that is touched for the first time is what costs. */
const CHUNK_BYTES_MIN = 4096;
const CHUNK_BYTES_MAX = 256 * 1024;
/** Shorter strings are copied byte by byte. */
const SHORT_BYTES = 64;

export class StringList {
  /** All chunks but the last are filled up; of each string all is in one. */
  readonly #chunks: Uint8Array[] = [];
  #last: Uint8Array = new Uint8Array(0);
  #lastLength = 0;
  /** Bytes of all strings with their NULs. */
  length = 0;
  /** Where each string ends: the index behind its NUL. */
  readonly ends: number[] = [];
  /** One is longer than ARG_STRING_BYTES_MAX. */
  hasTooLong = false;

  static of(texts: readonly string[]): StringList {
    const list = new StringList();
    for (const text of texts) list.push(text);
    return list;
  }

  get count(): number {
    return this.ends.length;
  }

  /** The index of string `n`. */
  start(n: number): number {
    return n === 0 ? 0 : this.ends[n - 1];
  }

  push(text: string): void {
    this.#reserve(text.length + 1);
    putLatin1(this.#last, this.#lastLength, text);
    this.#end(text.length);
  }

  /** Appends the string of `length` bytes at `at` of `from`. */
  append(from: Uint8Array, at: number, length: number): void {
    this.#reserve(length + 1);
    const last = this.#last, to = this.#lastLength;
    if (length < SHORT_BYTES) {
      for (let i = 0; i < length; i++) last[to + i] = from[at + i];
    } else {
      last.set(from.subarray(at, at + length), to);
    }
    this.#end(length);
  }

  /** The same list with `texts` in place of its first string; this one is not to be used any more. */
  withFirst(texts: readonly string[]): StringList {
    const list = StringList.of(texts);
    list.hasTooLong ||= this.hasTooLong;
    if (this.count === 0) return list;
    const from = this.ends[0], shift = list.length - from;
    list.#seal();
    this.#seal();
    for (const [n, chunk] of this.#chunks.entries()) {
      list.#chunks.push(n === 0 ? chunk.subarray(from) : chunk);
    }
    list.length += this.length - from;
    for (let i = 1; i < this.count; i++) list.ends.push(this.ends[i] + shift);
    return list;
  }

  /** Copies what is between the indices `start` and `end` to `at` of `into`. */
  copy(start: number, end: number, into: Uint8Array, at: number): void {
    this.#seal();
    let index = 0;
    for (const chunk of this.#chunks) {
      const from = Math.max(start, index), to = Math.min(end, index + chunk.length);
      if (from < to) into.set(chunk.subarray(from - index, to - index), at + from - start);
      index += chunk.length;
    }
  }

  #end(length: number): void {
    this.#last[this.#lastLength + length] = 0;
    this.#lastLength += length + 1;
    this.length += length + 1;
    this.ends.push(this.length);
    this.hasTooLong ||= length >= ARG_STRING_BYTES_MAX;
  }

  #reserve(more: number): void {
    if (this.#lastLength + more <= this.#last.length) return;
    const before = this.#last.length;
    this.#seal();
    this.#last = new Uint8Array(Math.max(CHUNK_BYTES_MIN, Math.min(CHUNK_BYTES_MAX, 4 * before), more));
  }

  /** What is in the last chunk becomes one that is full. */
  #seal(): void {
    if (this.#lastLength > 0) this.#chunks.push(this.#last.subarray(0, this.#lastLength));
    this.#last = this.#last.subarray(this.#lastLength);
    this.#lastLength = 0;
  }
}
