// The list of commands in a slot, in the layout that the stub reads, and the stub's answers: results and faults.

import type { Fault } from "../platform.ts";
import {
  COMMAND_BYTES,
  COMMANDS_MAX,
  FAULT_ADDRESS,
  SIGNAL_CODE,
  SLOT_COMMANDS,
  SLOT_SIGNAL,
  SLOT_TRAP,
  TRAP_ERROR,
} from "../slot.ts";

/** The number of the first descriptor that a stub receives (0 is the socket, 1 the doorbell). */
export const RECEIVED_FD = 2;

const TWO_32 = 4294967296;
const COMMAND_WORDS = COMMAND_BYTES >> 2;
const FIRST_WORD = SLOT_COMMANDS >> 2;

/**
 * Commands entered while a thread carries out others (start()), laid out as in a slot. Only one thread at a time is
 * in that state.
 */
export const started = new Uint32Array(FIRST_WORD + COMMANDS_MAX * COMMAND_WORDS);

/** Enters command `index`; `result` and the arguments are integers within +-2^53. */
export function putCommand(
  words: Uint32Array,
  index: number,
  op: number,
  mustSucceed: boolean,
  result: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
): void {
  const at = FIRST_WORD + index * COMMAND_WORDS;
  words[at] = op;
  words[at + 1] = mustSucceed ? 1 : 0;
  putNumber(words, at + 2, result);
  putNumber(words, at + 4, a);
  putNumber(words, at + 6, b);
  putNumber(words, at + 8, c);
  putNumber(words, at + 10, d);
  putNumber(words, at + 12, e);
  putNumber(words, at + 14, f);
}

/** Writes an integer within +-2^53 as 64 bits. */
export function putNumber(words: Uint32Array, at: number, value: number): void {
  words[at] = value | 0;
  words[at + 1] = Math.floor(value / TWO_32);
}

/** Overwrites argument `n` of command `index`. */
export function putArgument(words: Uint32Array, index: number, n: number, low: number, high: number): void {
  const at = FIRST_WORD + index * COMMAND_WORDS + 4 + 2 * n;
  words[at] = low;
  words[at + 1] = high;
}

export function copyCommands(from: Uint32Array, to: Uint32Array, count: number): void {
  for (let i = FIRST_WORD; i < FIRST_WORD + count * COMMAND_WORDS; i++) to[i] = from[i];
}

/** Result of command `index`: a signed number. */
export function resultOf(words: Uint32Array, index: number): number {
  const at = FIRST_WORD + index * COMMAND_WORDS + 2;
  return words[at] + (words[at + 1] | 0) * TWO_32;
}

export function takeFault(words: Uint32Array, fault: Fault): void {
  fault.setSignal(words[SLOT_SIGNAL >> 2]);
  fault.code = words[SIGNAL_CODE >> 2] | 0;
  fault.address = words[FAULT_ADDRESS >> 2] + words[(FAULT_ADDRESS >> 2) + 1] * TWO_32;
  fault.trap = words[SLOT_TRAP >> 2];
  fault.error = words[TRAP_ERROR >> 2];
}
