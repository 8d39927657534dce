// Signal names of the command line: with or without SIG, or a number.

import * as SIGNAL from "../kernel/abi/signal.ts";

/** Number of a signal, -1 when there is none of that name. */
export function signalNumber(text: string): number {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= 64 ? number : -1;
  }
  const name = text.toUpperCase().startsWith("SIG") ? text.toUpperCase() : `SIG${text.toUpperCase()}`;
  const value = (SIGNAL as unknown as Record<string, number>)[name];
  return /^SIG[A-Z0-9]+$/.test(name) && typeof value === "number" && value >= 1 && value <= 64 ? value : -1;
}
