// The command line: global flags, the list of commands, errors as one line. Commands stand in files of their own.

import { StartError } from "../messages.ts";
import { doCommand } from "./do.ts";
import { help } from "./help.ts";
import { runCommand } from "./run.ts";
import { specCommand } from "./spec.ts";
import { deleteCommand, killCommand, listCommand, stateCommand } from "./state.ts";
import { type GlobalFlags, parseGlobal, UsageError } from "./flags.ts";

/** A command: its own arguments, the global flags; gives back the exit code. */
type Command = (args: string[], flags: GlobalFlags) => number | Promise<number>;

const COMMANDS: Readonly<Record<string, Command>> = {
  do: doCommand,
  run: runCommand,
  spec: specCommand,
  state: stateCommand,
  list: listCommand,
  kill: killCommand,
  delete: deleteCommand,
  help,
};

/** tsvisor's version, the same as in deno.json. */
export const VERSION = "0.1.0";

/** Runs the command line; the exit code. 128 = the runtime's own failure. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let flags: GlobalFlags | null = null;
  try {
    const parsed = parseGlobal(argv);
    flags = parsed.flags;
    if (parsed.isVersion) {
      console.log(`tsvisor version ${VERSION}\nspec: 1.2.0`);
      return 0;
    }
    const [name, ...rest] = parsed.rest;
    if (name === undefined || parsed.isHelp) return help(rest, flags);
    const command = COMMANDS[name];
    if (command === undefined) throw new UsageError(`Unknown command "${name}"; see tsvisor help`);
    return await command(rest, flags);
  } catch (error) {
    return report(error, flags);
  }
}

function report(error: unknown, flags: GlobalFlags | null): number {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.split("\n")[0];
  console.error(`tsvisor: ${line}`);
  if (flags !== null && flags.log !== "") {
    const entry = flags.logFormat === "json"
      ? JSON.stringify({ msg: line, level: "error", time: new Date().toISOString() })
      : `time="${new Date().toISOString()}" level=error msg=${JSON.stringify(line)}`;
    try {
      Deno.writeTextFileSync(flags.log, `${entry}\n`, { append: true, create: true });
    } catch {
      // The message is on stderr already.
    }
  }
  if (error instanceof StartError) return error.code;
  return 128;
}
