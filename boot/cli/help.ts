// tsvisor help: commands and flags from commands.ts and flags.ts, system calls from the one table.

import type { SyscallRow } from "../syscall_rows.ts";
import { bundleUrl, IS_BUNDLED } from "../place.ts";
import { COMMANDS, unknownCommand } from "./commands.ts";
import { GLOBAL_OPTIONS, type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";
import { suggestion } from "./suggestion.ts";

/** Of a line of flags that are only named. */
const HIDDEN_COLUMNS = 100;

export const HELP_OPTIONS = {
  format: { type: "string", short: "f", value: "text|json", about: "of the table of system calls" },
} as const satisfies Options;

export async function help(args: string[], _flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, HELP_OPTIONS, false);
  const [topic, name, ...more] = words;
  if (more.length > 0 || name !== undefined && topic !== "syscalls") {
    throw new UsageError("help takes one topic: tsvisor help [COMMAND | syscalls [NAME] | man]");
  }
  const format = values.format ?? "text";
  if (format !== "text" && format !== "json") {
    throw new UsageError(`Unknown format "${format}": it is text or json`);
  }
  if (topic === undefined) console.log(overview());
  else if (topic === "syscalls") console.log(await syscalls(format, name));
  else if (topic === "man") console.log((await (await import("./manual.ts")).manual()).trimEnd());
  else console.log(await commandHelp(topic));
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

Long flags may be written with one dash. These of runsc's are ${IGNORED}:
${hidden(GLOBAL_OPTIONS)}

Example
  ${COMMANDS.do.example}

tsvisor COMMAND --help tells a command's own flags, tsvisor help man has all of it.`;
}

/** Usage, flags and an example of one command. */
export async function commandHelp(name: string): Promise<string> {
  const command = COMMANDS[name];
  if (command === undefined) throw new UsageError(unknownCommand(name));
  const { options } = await command.load();
  const rows = flagRows(options);
  const usage = ["tsvisor [flags]", name, ...(rows.length > 0 ? ["[flags]"] : []), command.words].join(" ")
    .trim();
  const flags = rows.length > 0 ? `\nFlags\n${columns(rows)}\n` : "";
  return `${command.about}.\n\nUsage: ${usage}\n${flags}\nExample\n  ${command.example}`;
}

function flagRows(options: Options): (readonly [string, string])[] {
  return Object.entries(options).filter(([, { isHidden }]) => isHidden !== true).map(([name, option]) => {
    const short = option.short === undefined ? "" : `-${option.short}, `;
    const value = option.type === "string" ? ` ${option.value ?? "VALUE"}` : "";
    return [`${short}--${name}${value}`, option.about];
  });
}

/** Names of flags that have no row, in lines of their own. */
function hidden(options: Options): string {
  const lines = [""];
  for (const [name, { isHidden }] of Object.entries(options)) {
    if (isHidden !== true) continue;
    if (`${lines.at(-1)} --${name}`.length > HIDDEN_COLUMNS) lines.push("");
    lines[lines.length - 1] += `${lines.at(-1) === "" ? "  " : " "}--${name}`;
  }
  return lines.join("\n");
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd()).join("\n");
}

async function syscalls(format: string, name: string | undefined): Promise<string> {
  // Bundled, the kernel's table is a file of its own: the runtime reads whatever an import names, called for or not.
  const place = IS_BUNDLED ? bundleUrl("syscall_rows.js") : "../syscall_rows.ts";
  const { syscallRows, syscallSynopsis } = await import(place);
  let rows = await syscallRows() as SyscallRow[];
  if (name !== undefined) {
    const names = rows.map((row) => row.name);
    rows = rows.filter((row) => row.name === name || String(row.number) === name);
    if (rows.length === 0) throw new UsageError(`Unknown system call "${name}"${suggestion(name, names)}`);
    if (format === "text") {
      const [{ number, name, support, note }] = rows;
      const extent =
        { full: "supported in full", partial: "supported in part", none: "not supported" }[support];
      return `${await syscallSynopsis(name)}\nnumber ${number}, ${extent}${note === "" ? "" : `: ${note}`}`;
    }
  }
  if (format === "json") return JSON.stringify(rows, null, 2);
  return rows.map(({ number, name, support, note }) =>
    `${String(number).padStart(3)}  ${name.padEnd(24)} ${support.padEnd(8)} ${note}`.trimEnd()
  ).join("\n");
}
