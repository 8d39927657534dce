// Interpreter scripts: the #! line. Linux: fs/binfmt_script.c, execve(2) "Interpreter scripts".

import { ENOEXEC } from "../abi/errno.ts";
import { bytesToLatin1 } from "../util/bytes.ts";

export interface Script {
  readonly interpreter: string;
  /** All that follows the interpreter, as one argument; null when nothing does. */
  readonly argument: string | null;
}

/** Whether `head` starts with #!. */
export function isScript(head: Uint8Array, length: number): boolean {
  return length >= 2 && head[0] === 0x23 && head[1] === 0x21;
}

/** The #! line in the first `length` bytes of a file. -ENOEXEC where it names nothing or is cut off. */
export function parseScript(head: Uint8Array, length: number): Script | number {
  let end = 2;
  while (end < length && head[end] !== 0x0a && head[end] !== 0) end++;
  // Without a newline in the buffer the line may be cut: acceptable only when the interpreter's name is whole.
  const isCut = end === length && length === head.length;
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
