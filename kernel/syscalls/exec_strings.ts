// argv and envp of execve(2): NULL-terminated arrays of strings. They are usually close together, so memory is read
// in blocks: a few host calls for all strings. Linux: count(), copy_strings() of fs/exec.c.

import { E2BIG, EFAULT } from "../abi/errno.ts";
import { u64 } from "../abi/struct.ts";
import type { UserWindow } from "../../platform/platform.ts";
import { ARG_STRING_BYTES_MAX, StringList } from "../loader/string_list.ts";
import type { Task } from "../task/task.ts";

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

  /** Appends the string at `address` to `list`. 0, -EFAULT, or -E2BIG when it is too long for one. */
  string(task: Task, address: number, list: StringList): number {
    let at = this.#at(task, address, 1);
    if (at < 0) return -EFAULT;
    let end = this.#bytes.indexOf(0, at);
    if (end >= 0 && end < this.#length) return append(list, this.#bytes, at, end - at);
    // The string continues behind the block: read a block that begins with the string.
    this.#length = 0;
    this.#reads = SMALL_READS;
    at = this.#at(task, address, 1);
    if (at < 0) return -EFAULT;
    end = this.#bytes.indexOf(0);
    if (end >= 0 && end < this.#length) return append(list, this.#bytes, 0, end);
    return this.#length === this.#bytes.length ? -E2BIG : -EFAULT;
  }
}

/** Scratch: each block is large enough for the longest string and its NUL. */
const pointers = new Block(8 * 1024);
const strings = new Block(ARG_STRING_BYTES_MAX + 1);
const near = new Block(16 * 1024);

/** The strings of one execve(2), as far as they have been read. */
export class ExecStrings {
  readonly argv = new StringList();
  readonly envp = new StringList();
  /** Pointers read so far of the list that is being read. */
  #pointers = 0;
  #hasArguments = false;

  /**
   * Reads the arrays at `argvAt` and `envpAt`, a null pointer being an empty list, as on Linux; with `isInTurns` only some of
   * them. Returns 0 when all is read, 1, or -ERRNO.
   */
  read(task: Task, argvAt: number, envpAt: number, isInTurns: boolean): number {
    // Memory may have changed since the last time.
    pointers.clear();
    near.clear();
    strings.clear();
    const end = isInTurns ? this.#size + TURN_BYTES : Infinity;
    if (!this.#hasArguments) {
      const result = this.#readList(task, argvAt, this.argv, end);
      if (result !== 0) return result;
      this.#hasArguments = true;
      this.#pointers = 0;
    }
    return this.#readList(task, envpAt, this.envp, end);
  }

  get #size(): number {
    return sizeOf(this.argv) + sizeOf(this.envp);
  }

  #readList(task: Task, address: number, list: StringList, end: number): number {
    if (address === 0) return 0;
    const window = task.memory;
    for (;;) {
      if (this.#size >= end) return 1;
      const at = address + this.#pointers * POINTER_BYTES;
      const copied = window.known(at, POINTER_BYTES);
      const pointer = copied < 0 ? pointers.pointer(task, at) : u64(window.view, copied);
      if (pointer < 0) return -EFAULT;
      if (pointer === 0) return 0;
      if (!appendKnown(window, pointer, list) && near.string(task, pointer, list) < 0) {
        const failure = strings.string(task, pointer, list);
        if (failure < 0) return failure;
      }
      this.#pointers++;
      if (list.length + list.count * POINTER_BYTES > LIST_BYTES_MAX) return -E2BIG;
    }
  }
}

/** What is done of a list in a turn: 1 ms, be it long strings or many. */
const TURN_BYTES = 384 * 1024;
const STRING_COST = 96;

function sizeOf(list: StringList): number {
  return list.length + list.count * STRING_COST;
}

/** Appends the string at `address` if the platform has already copied it in. */
function appendKnown(window: UserWindow, address: number, list: StringList): boolean {
  const at = window.known(address, 1);
  if (at < 0) return false;
  const end = window.view.indexOf(0, at);
  if (end < 0 || end >= window.viewEnd) return false;
  list.append(window.view, at, end - at);
  return true;
}

function append(list: StringList, bytes: Uint8Array, at: number, length: number): number {
  list.append(bytes, at, length);
  return 0;
}
