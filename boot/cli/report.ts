// What a person hears from the command line: one line on stderr, and an entry in --log.

import { printable } from "../control/printable.ts";
import type { GlobalFlags } from "./flags.ts";

export type LogFlags = Pick<GlobalFlags, "log" | "logFormat">;

/** The caller's command did not work. */
export function reportError(line: string, flags: LogFlags | null): void {
  console.error(`tsvisor: ${printable(line)}`);
  if (flags !== null) writeLog("error", line, flags);
}

/** It works, but not all of it as asked for. Engines show stderr as the container's own, and give a log. */
export function reportWarning(line: string, flags: LogFlags): void {
  if (!writeLog("warning", line, flags)) console.error(`tsvisor: ${printable(line)}`);
}

/**
 * As reportWarning(), of a container in the background: stderr is the container's, and an engine passes it on as such. A
 * person at a terminal still sees it.
 */
export function reportBackgroundWarning(line: string, flags: LogFlags): void {
  if (!writeLog("warning", line, flags) && Deno.stderr.isTerminal()) {
    console.error(`tsvisor: ${printable(line)}`);
  }
}

/** Whether there is a log and it has the entry. */
function writeLog(level: string, line: string, { log, logFormat }: LogFlags): boolean {
  if (log === "") return false;
  const time = new Date().toISOString(), msg = printable(line);
  const entry = logFormat === "json"
    ? JSON.stringify({ msg, level, time })
    : `time="${time}" level=${level} msg=${JSON.stringify(msg)}`;
  try {
    Deno.writeTextFileSync(log, `${entry}\n`, { append: true, create: true });
    return true;
  } catch {
    return false;
  }
}
