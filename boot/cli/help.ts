// tsvisor help: commands and flags from commands.ts and flags.ts, system calls from the one table.

import type { SyscallRow } from "../syscall_rows.ts";
import { bundleUrl, IS_BUNDLED } from "../place.ts";
import { COMMANDS } from "./commands.ts";
import { GLOBAL_OPTIONS, type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";

export const HELP_OPTIONS = {
  format: { type: "string", short: "f", value: "text|json", about: "of the table of system calls" },
} as const satisfies Options;

export async function help(args: string[], _flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, HELP_OPTIONS, false);
  if (words.length > 1) throw new UsageError("help takes one topic: tsvisor help [COMMAND | syscalls]");
  const format = values.format ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Unknown format "${format}": it is text or json`);
  }
  if (words.length === 0) console.log(overview());
  else if (words[0] === "syscalls") console.log(await syscalls(format));
  else console.log(await commandHelp(words[0]));
  return 0;
}

function overview(): string {
  const commands = Object.entries(COMMANDS).map(([name, { about }]) => [name, about] as const);
  return `tsvisor runs Linux programs in a sandbox whose kernel is ours.

Usage: tsvisor [flags] COMMAND [flags] [arguments]

Commands
${columns(commands)}

Flags
${columns(flagRows(GLOBAL_OPTIONS))}

Example
  ${COMMANDS.do.example}

tsvisor COMMAND --help tells a command's own flags.`;
}

/** Usage, flags and an example of one command. */
export async function commandHelp(name: string): Promise<string> {
  const command = COMMANDS[name];
  if (command === undefined) throw new UsageError(`Unknown command "${name}"; see tsvisor help`);
  const { options } = await command.load();
  const rows = flagRows(options);
  const usage = ["tsvisor [flags]", name, ...(rows.length > 0 ? ["[flags]"] : []), command.words].join(" ")
    .trim();
  const flags = rows.length > 0 ? `\nFlags\n${columns(rows)}\n` : "";
  return `${command.about}.\n\nUsage: ${usage}\n${flags}\nExample\n  ${command.example}`;
}

function flagRows(options: Options): (readonly [string, string])[] {
  return Object.entries(options).map(([name, option]) => {
    const short = option.short === undefined ? "" : `-${option.short}, `;
    const value = option.type === "string" ? ` ${option.value ?? "VALUE"}` : "";
    return [`${short}--${name}${value}`, option.about];
  });
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd()).join("\n");
}

async function syscalls(format: string): Promise<string> {
  // Bundled, the kernel's table is a file of its own: the runtime reads whatever an import names, called for or not.
  const place = IS_BUNDLED ? bundleUrl("syscall_rows.js") : "../syscall_rows.ts";
  const rows = await (await import(place)).syscallRows() as SyscallRow[];
  if (format === "json") return JSON.stringify(rows, null, 2);
  return rows.map(({ number, name, support, note }) =>
    `${String(number).padStart(3)}  ${name.padEnd(24)} ${support.padEnd(8)} ${note}`.trimEnd()
  ).join("\n");
}
