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

/** One string (MAX_ARG_STRLEN). */
export const ARG_STRING_BYTES_MAX = 131072;
/** Bytes all strings and pointers may take whatever the stack limit is (ARG_MAX). */
const ARG_BYTES_FLOOR = 131072;
/** Upper bound of a quarter of the stack limit (3/4 of _STK_LIM). */
const ARG_BYTES_CEILING = 6 * 1024 * 1024;

/** CPUID leaf 1 EDX as Linux shows it in AT_HWCAP, and FSGSBASE in AT_HWCAP2. */
export interface HardwareCapabilities {
  readonly hwcap: number;
  readonly hwcap2: number;
  readonly minSignalStackBytes: number;
}

export interface StackInput {
  readonly argv: readonly string[];
  readonly envp: readonly string[];
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
export function checkArguments(argv: readonly string[], envp: readonly string[], stackLimit: number): number {
  const limit = Math.max(ARG_BYTES_FLOOR, Math.min(stackLimit / 4, ARG_BYTES_CEILING));
  let bytes = 0;
  for (const list of [argv, envp]) {
    for (let i = 0; i < list.length; i++) {
      if (list[i].length + 1 > ARG_STRING_BYTES_MAX) return -E2BIG;
      bytes += list[i].length + 1 + 8;
    }
  }
  return bytes > limit ? -E2BIG : 0;
}

/** Writes the stack below `top` and notes its places in task.mm; the first stack pointer, or -EFAULT. */
export function buildStack(task: Task, top: number, input: StackInput): number {
  const mm = task.mm;
  let stringBytes = input.filename.length + 1 + 8;
  for (const text of input.argv) stringBytes += text.length + 1;
  for (const text of input.envp) stringBytes += text.length + 1;
  const words = 1 + input.argv.length + 1 + input.envp.length + 1 + 2 * 24;
  const room = stringBytes + 64 + words * 8 + 256;
  const bytes = new Uint8Array(room + (16 - room % 16));
  const base = top - bytes.length;
  const at = (address: number) => address - base;

  // From the top: 8 zero bytes, the file name, environment, arguments.
  let place = top - 8 - (input.filename.length + 1);
  const filenameAt = place;
  putLatin1(bytes, at(place), input.filename);
  for (let i = 0; i < input.envp.length; i++) place -= input.envp[i].length + 1;
  const envStart = place;
  for (let i = 0; i < input.argv.length; i++) place -= input.argv[i].length + 1;
  const argStart = place;
  mm.argStart = argStart;
  mm.argEnd = envStart;
  mm.envStart = envStart;
  mm.envEnd = filenameAt;

  place -= 16;
  const platformAt = place - place % 16;
  putLatin1(bytes, at(platformAt), MACHINE_NAME);
  const randomAt = platformAt - 16;
  mm.host.random(bytes, at(randomAt), 16);

  const auxiliary = auxiliaryVector(task, input, randomAt, platformAt, filenameAt);
  const tableWords = 1 + input.argv.length + 1 + input.envp.length + 1 + auxiliary.length;
  let stack = randomAt - tableWords * 8;
  stack -= stack % 16;
  let cursor = at(stack);
  const word = (value: number) => {
    put64(bytes, cursor, value);
    cursor += 8;
  };
  word(input.argv.length);
  let text = argStart;
  for (let i = 0; i < input.argv.length; i++) {
    word(text);
    putLatin1(bytes, at(text), input.argv[i]);
    text += input.argv[i].length + 1;
  }
  word(0);
  for (let i = 0; i < input.envp.length; i++) {
    word(text);
    putLatin1(bytes, at(text), input.envp[i]);
    text += input.envp[i].length + 1;
  }
  word(0);
  mm.auxv = new Uint8Array(auxiliary.length * 8);
  const auxvAt = cursor;
  for (let i = 0; i < auxiliary.length; i++) word(auxiliary[i]);
  mm.auxv.set(bytes.subarray(auxvAt, cursor));
  mm.stackStart = stack;
  const from = at(stack);
  const length = bytes.length - from;
  return mm.space.write(stack, bytes, from, length) === length ? stack : -EFAULT;
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
