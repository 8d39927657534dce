// argv and envp of execve(2): NULL-terminated arrays of strings. They are usually close together, so memory is read
// in blocks: a few host calls for all strings. Linux: count(), copy_strings() of fs/exec.c.

import { E2BIG, EFAULT } from "../abi/errno.ts";
import { u64 } from "../abi/struct.ts";
import type { UserWindow } from "../../platform/platform.ts";
import { ARG_STRING_BYTES_MAX } from "../loader/stack.ts";
import type { Task } from "../task/task.ts";
import { bytesToLatin1 } from "../util/bytes.ts";

const POINTER_BYTES = 8;
/** Bytes of one list with its pointers; execute() checks the exact limit, which depends on the stack's. */
const LIST_BYTES_MAX = 8 * 1024 * 1024;

/** Bytes of the first read: most lists are short, and reading this much costs no more than a host call. */
const SMALL_BYTES = 2048;
const SMALL_READS = 2;

/** A range of guest memory that was read at once. */
class Block {
  readonly #bytes: Uint8Array;
  #start = 0;
  #length = 0;
  #reads = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
  }

  /** Empties the block: memory may have changed since. */
  clear(): void {
    this.#length = 0;
    this.#reads = 0;
  }

  /** The index in `bytes` of `address` if at least `length` bytes follow, else -1. */
  #at(task: Task, address: number, length: number): number {
    const at = address - this.#start;
    if (at >= 0 && at + length <= this.#length) return at;
    if (address + length > task.mm.layout.end) return -1;
    this.#start = address;
    const size = this.#reads++ < SMALL_READS ? Math.min(SMALL_BYTES, this.#bytes.length) : this.#bytes.length;
    const room = Math.min(Math.max(size, length), task.mm.layout.end - address);
    // Shorter where mapped memory ends.
    this.#length = Math.max(0, task.mm.space.read(address, this.#bytes, 0, room));
    return length <= this.#length ? 0 : -1;
  }

  /** The pointer at `address`, or -1. */
  pointer(task: Task, address: number): number {
    const at = this.#at(task, address, POINTER_BYTES);
    return at < 0 ? -1 : u64(this.#bytes, at);
  }

  /** The string at `address`; -EFAULT, or -E2BIG when it is too long for one. */
  string(task: Task, address: number): string | number {
    let at = this.#at(task, address, 1);
    if (at < 0) return -EFAULT;
    let end = this.#bytes.indexOf(0, at);
    if (end >= 0 && end < this.#length) return bytesToLatin1(this.#bytes, at, end - at);
    // The string continues behind the block: read a block that begins with the string.
    this.#length = 0;
    this.#reads = SMALL_READS;
    at = this.#at(task, address, 1);
    if (at < 0) return -EFAULT;
    end = this.#bytes.indexOf(0);
    if (end >= 0 && end < this.#length) return bytesToLatin1(this.#bytes, 0, end);
    return this.#length === this.#bytes.length ? -E2BIG : -EFAULT;
  }
}

/** Scratch: each block is large enough for the longest string and its NUL. */
const pointers = new Block(8 * 1024);
const strings = new Block(ARG_STRING_BYTES_MAX + 1);
const near = new Block(16 * 1024);

/** The strings of the array at `address`; a null pointer is an empty list, as on Linux. */
export function readStrings(task: Task, address: number): string[] | number {
  pointers.clear();
  near.clear();
  strings.clear();
  return readMoreStrings(task, address);
}

/** Reads another list of the same call, using the blocks already read. */
export function readMoreStrings(task: Task, address: number): string[] | number {
  const list: string[] = [];
  if (address === 0) return list;
  const window = task.memory;
  let bytes = 0;
  for (let at = address;; at += POINTER_BYTES) {
    const copied = window.known(at, POINTER_BYTES);
    const pointer = copied < 0 ? pointers.pointer(task, at) : u64(window.view, copied);
    if (pointer < 0) return -EFAULT;
    if (pointer === 0) return list;
    let text: string | number = knownString(window, pointer) ?? near.string(task, pointer);
    if (typeof text === "number") text = strings.string(task, pointer);
    if (typeof text === "number") return text;
    bytes += text.length + 1 + POINTER_BYTES;
    if (bytes > LIST_BYTES_MAX) return -E2BIG;
    list.push(text);
  }
}

/** The string at `address` if the platform has already copied it in. */
function knownString(window: UserWindow, address: number): string | null {
  const at = window.known(address, 1);
  if (at < 0) return null;
  const length = window.view.subarray(at, window.viewEnd).indexOf(0);
  return length < 0 ? null : bytesToLatin1(window.view, at, length);
}
