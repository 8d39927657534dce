// Interpreter scripts: the #! line. Linux: fs/binfmt_script.c, execve(2) "Interpreter scripts".

import { ENOEXEC } from "../abi/errno.ts";
import { bytesToLatin1 } from "../util/bytes.ts";

export interface Script {
  readonly interpreter: string;
  /** All that follows the interpreter, as one argument; null when nothing does. */
  readonly argument: string | null;
}

/** How much of the first line counts (BINPRM_BUF_SIZE). */
const LINE_BYTES_MAX = 256;
const NEWLINE = 0x0a;

/** Whether `head` starts with #!. */
export function isScript(head: Uint8Array, length: number): boolean {
  return length >= 2 && head[0] === 0x23 && head[1] === 0x21;
}

/** The #! line in the first `length` bytes of a file. -ENOEXEC where it names nothing or is cut off. */
export function parseScript(head: Uint8Array, length: number): Script | number {
  length = Math.min(length, LINE_BYTES_MAX);
  let end = 2;
  while (end < length && head[end] !== NEWLINE && head[end] !== 0) end++;
  // Without a newline the line may be cut: acceptable only when the interpreter's name is whole.
  const isCut = end === LINE_BYTES_MAX;
  let from = 2;
  while (from < end && isBlank(head[from])) from++;
  let to = from;
  while (to < end && !isBlank(head[to])) to++;
  if (from === to || (isCut && to === end)) return -ENOEXEC;
  const interpreter = bytesToLatin1(head, from, to - from);
  let argument = to;
  while (argument < end && isBlank(head[argument])) argument++;
  while (end > argument && isBlank(head[end - 1])) end--;
  return { interpreter, argument: argument < end ? bytesToLatin1(head, argument, end - argument) : null };
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}
