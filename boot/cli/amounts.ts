// Amounts as flags have them: bytes with a unit, durations, counts. Throws UsageError with the flag's name.

import { UsageError } from "./flags.ts";

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** "512m", "1GiB", "4096"; undefined stays so, and -1 (no limit). */
export function bytesOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined || text === "-1") return text === undefined ? undefined : -1;
  const match = /^(\d{1,15})(?:([bkmgt])(?:i?b)?)?$/i.exec(text);
  if (match === null) throw new UsageError(`--${flag}: "${text}" is not a size in bytes`);
  return Number(match[1]) * BYTE_UNITS[(match[2] ?? "").toLowerCase()];
}

const SECONDS: Readonly<Record<string, number>> = { ms: 1e-3, s: 1, "": 1, m: 60, h: 3600, d: 86_400 };
/** Longer is a mistake, and would not fit a timer. */
const DURATION_SECONDS_MAX = 365 * 86_400;

/** "30s", "1.5m", "200ms"; a plain number is seconds, as of timeout(1). */
export function secondsOf(text: string, flag: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d|)$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * SECONDS[match[2]];
  if (seconds > 0 && seconds <= DURATION_SECONDS_MAX) return seconds;
  throw new UsageError(`--${flag}: "${text}" is not a duration such as 500ms, 30s or 2m`);
}

/** A whole number from 1 to `max`. */
export function countOf(text: string, flag: string, max: number): number {
  if (/^\d{1,15}$/.test(text) && Number(text) >= 1 && Number(text) <= max) return Number(text);
  throw new UsageError(`--${flag}: "${text}" is not a number from 1 to ${max}`);
}
