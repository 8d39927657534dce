// The manual page, in roff(7), from the tables that the help is made from. `tsvisor help man | man -l -`; it is dist/lib/tsvisor.8.

import { VERSION } from "../version.ts";
import { COMMANDS } from "./commands.ts";
import { GLOBAL_OPTIONS, type Options } from "./flags.ts";

/** tsvisor(8). */
export async function manual(): Promise<string> {
  const commands: string[] = [];
  for (const [name, command] of Object.entries(COMMANDS)) {
    const { options } = await command.load();
    const usage = ["tsvisor", name, ...(Object.keys(options).length > 0 ? ["[flags]"] : []), command.words];
    commands.push(
      `.SS ${escaped(usage.join(" ").trim())}\n${sentence(command.about)}\n${flags(options)}.PP\n` +
        `.EX\n${escaped(command.example)}\n.EE`,
    );
  }
  return `.\\" Written by tsvisor help man.
.TH TSVISOR 8 "" "tsvisor ${VERSION}" "System Administration"
.SH NAME
tsvisor \\- run Linux programs in a sandbox whose kernel is in user space
.SH SYNOPSIS
.B tsvisor
[flags]
.I COMMAND
[flags] [arguments]
.SH DESCRIPTION
A program in a sandbox makes its system calls to a kernel of ours, the sentry, and never to the host's; its
files come through a second process, the gofer. The command line is that of
.BR runc (8)
and runsc. Long flags may be written with one dash.
.SH FLAGS
${flags(GLOBAL_OPTIONS)}.SH COMMANDS
${commands.join("\n")}
.SH EXIT STATUS
The program's; 128 + N after signal N; 127 and 126 where there is no program to run; 124 after
.BR "do \\-\\-timeout" ;
128 for a failure of the runtime, with one line on standard error.
.SH FILES
.TP
.I /run/tsvisor
State of containers; without root
.IR tsvisor " in " $XDG_RUNTIME_DIR .
.SH SEE ALSO
.BR runc (8),
.BR strace (1)
`;
}

function flags(options: Options): string {
  const shown = Object.entries(options).filter(([, { isHidden }]) => isHidden !== true);
  return shown.map(([name, option]) => {
    const short = option.short === undefined ? "" : `\\fB\\-${option.short}\\fR, `;
    const value = option.type === "string" ? ` \\fI${escaped(option.value ?? "VALUE")}\\fR` : "";
    return `.TP\n${short}\\fB\\-\\-${escaped(name)}\\fR${value}\n${sentence(option.about)}\n`;
  }).join("");
}

function sentence(text: string): string {
  return escaped(`${text[0].toUpperCase()}${text.slice(1)}.`);
}

/** What roff would take for its own: backslashes, dashes of flags, and a dot or an apostrophe at the beginning of a line. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^([.'])/, "\\&$1");
}
