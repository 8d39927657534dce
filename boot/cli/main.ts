// The command line: global flags, the command, errors as one line. Commands stand in files of their own; see commands.ts.

import { dismissAttendant } from "../attendant.ts";
import { printable } from "../control/printable.ts";
import { endStarted } from "../launch.ts";
import { StartError } from "../start_error.ts";
import { PLATFORM_NAMES } from "../../platform/names.ts";
import { OCI_VERSION, VERSION } from "../version.ts";

import { COMMANDS, unknownCommand } from "./commands.ts";
import { type GlobalFlags, parseGlobal, UsageError } from "./flags.ts";
import { type LogFlags, reportError } from "./report.ts";

/** Runs the command line; the exit code. 128 = the runtime's own failure. `commit` is the one dist/ was built from. */
export async function runCommandLine(argv: readonly string[], commit = "unknown"): Promise<number> {
  if (argv[0] === "--attend") return await resume(Number(argv[1]));
  let flags: GlobalFlags | null = null;
  try {
    const parsed = parseGlobal(argv);
    flags = parsed.flags;
    if (parsed.isVersion) {
      // Engines read the first three lines and pass over others (go-runc, Docker).
      console.log(`tsvisor version ${VERSION}\ncommit: ${commit}\nspec: ${OCI_VERSION}`);
      console.log(`deno: ${Deno.version.deno}\nplatforms: ${PLATFORM_NAMES.join(", ")}`);
      return 0;
    }
    const [name, ...rest] = parsed.rest;
    if (name === undefined || parsed.isHelp) return await run("help", [], flags);
    if (COMMANDS[name] === undefined) throw new UsageError(unknownCommand(name));
    if (asksForHelp(name, rest)) return await run("help", [name], flags);
    return await run(name, rest, flags);
  } catch (error) {
    return report(error, flags);
  } finally {
    endStarted();
    dismissAttendant();
  }
}

/** A container that the launcher has waited for needs the command line again. */
async function resume(handover: number): Promise<number> {
  let flags: LogFlags | null = null;
  try {
    const { attendance, resumeAttached } = await import("./attached.ts");
    const attended = attendance(handover);
    flags = attended;
    return await resumeAttached(attended);
  } catch (error) {
    return report(error, flags);
  }
}

async function run(name: string, args: string[], flags: GlobalFlags): Promise<number> {
  return await (await COMMANDS[name].load()).run(args, flags);
}

/** --help among a command's flags. */
function asksForHelp(name: string, args: readonly string[]): boolean {
  const isHelp = (word: string) => word === "--help" || word === "-h";
  if (COMMANDS[name].takesProgram === true) return args.length > 0 && isHelp(args[0]);
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).some(isHelp);
}

/** The exit code. */
function report(error: unknown, flags: LogFlags & Partial<GlobalFlags> | null): number {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.split("\n")[0];
  reportError(line, flags);
  if (flags?.debugLog) {
    try {
      Deno.writeTextFileSync(flags.debugLog, `Command line: ${printable(line)}\n`, { append: true });
    } catch {
      // The message is on stderr already.
    }
  }
  return error instanceof StartError ? error.code : 128;
}
