// Where the registers of a stopped guest thread stand in its slot, as words.

import { REG, REGS_COUNT } from "../platform.ts";
import { SLOT_ARGUMENTS, SLOT_NUMBER, SLOT_REGS, SLOT_RESULT } from "../slot.ts";

export const REGS_WORD = SLOT_REGS >> 2;
export const NUMBER_WORD = SLOT_NUMBER >> 2;
export const ARGUMENTS_WORD = SLOT_ARGUMENTS >> 2;
export const RESULT_WORD = SLOT_RESULT >> 2;

/** Word of each register in the slot, where the sentry reads it. */
export const REGISTER_WORDS = registerWords();

function registerWords(): Uint8Array {
  const words = new Uint8Array(REGS_COUNT);
  for (let index = 0; index < REGS_COUNT; index++) words[index] = REGS_WORD + 2 * index;
  [REG.RDI, REG.RSI, REG.RDX, REG.R10, REG.R8, REG.R9].forEach((register, n) => {
    words[register] = ARGUMENTS_WORD + 2 * n;
  });
  words[REG.RAX] = RESULT_WORD;
  words[REG.ORIG_RAX] = NUMBER_WORD;
  return words;
}
