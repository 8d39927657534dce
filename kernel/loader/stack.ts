// The first stack of a program: argument and environment strings, auxiliary vector, pointers, as the x86-64 psABI and
// Linux' create_elf_tables lay them out.

import { E2BIG, EFAULT } from "../abi/errno.ts";
import { put64 } from "../abi/struct.ts";
import {
  AT_BASE,
  AT_CLKTCK,
  AT_EGID,
  AT_ENTRY,
  AT_EUID,
  AT_EXECFN,
  AT_FLAGS,
  AT_GID,
  AT_HWCAP,
  AT_HWCAP2,
  AT_MINSIGSTKSZ,
  AT_NULL,
  AT_PAGESZ,
  AT_PHDR,
  AT_PHENT,
  AT_PHNUM,
  AT_PLATFORM,
  AT_RANDOM,
  AT_SECURE,
  AT_SYSINFO_EHDR,
  AT_UID,
} from "../abi/task.ts";
import { MACHINE_NAME } from "../arch/arch.ts";
import { putLatin1 } from "../util/bytes.ts";
import type { Task } from "../task/task.ts";
import type { StringList } from "./string_list.ts";

/** Bytes all strings and pointers may take whatever the stack limit is (ARG_MAX). */
const ARG_BYTES_FLOOR = 131072;
/** Upper bound of a quarter of the stack limit (3/4 of _STK_LIM). */
const ARG_BYTES_CEILING = 6 * 1024 * 1024;

/** Bytes that are written at once: 1 ms, as the host makes their pages. A multiple of 8. */
const PIECE_BYTES = 256 * 1024;

/** CPUID leaf 1 EDX as Linux shows it in AT_HWCAP, and FSGSBASE in AT_HWCAP2. */
export interface HardwareCapabilities {
  readonly hwcap: number;
  readonly hwcap2: number;
  readonly minSignalStackBytes: number;
}

export interface StackInput {
  readonly argv: StringList;
  readonly envp: StringList;
  /** AT_EXECFN: the path as execve got it. */
  readonly filename: string;
  readonly entry: number;
  readonly headersAddress: number;
  readonly headersCount: number;
  /** Load bias of the interpreter, 0 without one. */
  readonly interpreterBase: number;
  readonly isSecure: boolean;
  readonly vdso: number;
  readonly hardware: HardwareCapabilities;
}

/** 0, or -E2BIG when strings and pointers are over the limits of execve(2). */
export function checkArguments(argv: StringList, envp: StringList, stackLimit: number): number {
  if (argv.hasTooLong || envp.hasTooLong) return -E2BIG;
  const limit = Math.max(ARG_BYTES_FLOOR, Math.min(stackLimit / 4, ARG_BYTES_CEILING));
  const bytes = argv.length + envp.length + (argv.count + envp.count) * 8;
  return bytes > limit ? -E2BIG : 0;
}

const piece = new Uint8Array(PIECE_BYTES);

/** The stack of a program that begins. It is written in pieces, as the strings may be megabytes. */
export class FirstStack {
  /** The first stack pointer: the place of argc. */
  readonly pointer: number;
  readonly #task: Task;
  readonly #top: number;
  readonly #argv: StringList;
  readonly #envp: StringList;
  readonly #argStart: number;
  readonly #envStart: number;
  readonly #auxiliary: readonly number[];
  /** What is between table and strings, from #middleAt on, and behind the strings. */
  readonly #middle: Uint8Array;
  readonly #middleAt: number;
  readonly #filename: Uint8Array;
  readonly #filenameAt: number;
  /** Up to here it is written. */
  #done: number;

  /** Lays it out below `top` and notes its places in task.mm. */
  constructor(task: Task, top: number, input: StackInput) {
    const { argv, envp, filename } = input, { mm } = task;
    this.#task = task;
    this.#top = top;
    this.#argv = argv;
    this.#envp = envp;
    // From the top: 8 zero bytes, the file name, environment, arguments.
    this.#filename = new Uint8Array(filename.length + 1);
    putLatin1(this.#filename, 0, filename);
    this.#filenameAt = top - 8 - this.#filename.length;
    this.#envStart = this.#filenameAt - envp.length;
    this.#argStart = this.#envStart - argv.length;
    mm.argStart = this.#argStart;
    mm.argEnd = mm.envStart = this.#envStart;
    mm.envEnd = this.#filenameAt;

    let place = this.#argStart - 16;
    const platformAt = place - place % 16, randomAt = platformAt - 16;
    this.#middleAt = randomAt;
    this.#middle = new Uint8Array(32);
    mm.host.random(this.#middle, 0, 16);
    putLatin1(this.#middle, 16, MACHINE_NAME);

    this.#auxiliary = auxiliaryVector(task, input, randomAt, platformAt, this.#filenameAt);
    mm.auxv = new Uint8Array(this.#auxiliary.length * 8);
    this.#auxiliary.forEach((value, i) => put64(mm.auxv, 8 * i, value));
    place = randomAt - this.#words * 8;
    this.pointer = this.#done = place - place % 16;
    mm.stackStart = this.pointer;
  }

  /** Writes a piece of it. Returns 0 when nothing is left, 1, or -EFAULT. */
  writePiece(): number {
    const { space } = this.#task.mm;
    const from = this.#done, length = Math.min(this.#top - from, PIECE_BYTES);
    const bytes = piece.subarray(0, length).fill(0);
    this.#fill(bytes, from, from + length);
    if (space.write(from, bytes, 0, length) !== length) return -EFAULT;
    this.#done += length;
    return this.#done === this.#top ? 0 : 1;
  }

  #fill(bytes: Uint8Array, from: number, to: number): void {
    const words = this.#words, end = Math.min(words, (to - this.pointer) / 8);
    for (let n = (from - this.pointer) / 8, at = 0; n < end; n++, at += 8) put64(bytes, at, this.#word(n));
    const strings = (list: StringList, start: number) => {
      const first = Math.max(from, start), last = Math.min(to, start + list.length);
      if (first < last) list.copy(first - start, last - start, bytes, first - from);
    };
    const part = (source: Uint8Array, start: number) => {
      const first = Math.max(from, start), last = Math.min(to, start + source.length);
      if (first < last) bytes.set(source.subarray(first - start, last - start), first - from);
    };
    part(this.#middle, this.#middleAt);
    strings(this.#argv, this.#argStart);
    strings(this.#envp, this.#envStart);
    part(this.#filename, this.#filenameAt);
  }

  /** Words of the table: argc, two lists of pointers that end with 0, the auxiliary vector. */
  get #words(): number {
    return 1 + this.#argv.count + 1 + this.#envp.count + 1 + this.#auxiliary.length;
  }

  #word(n: number): number {
    const { count } = this.#argv;
    if (n === 0) return count;
    if (n <= count) return this.#argStart + this.#argv.start(n - 1);
    n -= count + 2;
    if (n < 0) return 0;
    if (n < this.#envp.count) return this.#envStart + this.#envp.start(n);
    n -= this.#envp.count + 1;
    return n < 0 ? 0 : this.#auxiliary[n];
  }
}

function auxiliaryVector(
  task: Task,
  input: StackInput,
  random: number,
  platform: number,
  filename: number,
): number[] {
  const credentials = task.credentials;
  const vector: number[] = [];
  if (input.vdso !== 0) vector.push(AT_SYSINFO_EHDR, input.vdso);
  vector.push(
    AT_MINSIGSTKSZ,
    input.hardware.minSignalStackBytes,
    AT_HWCAP,
    input.hardware.hwcap,
    AT_PAGESZ,
    4096,
    AT_CLKTCK,
    100,
    AT_PHDR,
    input.headersAddress,
    AT_PHENT,
    56,
    AT_PHNUM,
    input.headersCount,
    AT_BASE,
    input.interpreterBase,
    AT_FLAGS,
    0,
    AT_ENTRY,
    input.entry,
    AT_UID,
    credentials.uid,
    AT_EUID,
    credentials.euid,
    AT_GID,
    credentials.gid,
    AT_EGID,
    credentials.egid,
    AT_SECURE,
    input.isSecure ? 1 : 0,
    AT_RANDOM,
    random,
    AT_HWCAP2,
    input.hardware.hwcap2,
    AT_EXECFN,
    filename,
    AT_PLATFORM,
    platform,
    AT_NULL,
    0,
  );
  return vector;
}
