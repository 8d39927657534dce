// native/src/generated.rs: what native code has to know of the control protocol and of the command line, written from their
// own tables. `deno run -A boot/control/launcher_table.ts` writes it; launcher_table_test.ts says when it is old.

import { ATTEND, FORWARDED } from "../cli/attached.ts";
import { CAPABILITY_NAMES } from "../../kernel/abi/task.ts";
import * as SIGNAL from "../../kernel/abi/signal.ts";
import { RLIMIT_NAMES } from "../../kernel/task/rlimits.ts";
import { COMMANDS } from "../cli/commands.ts";
import { GLOBAL_OPTIONS, type Options } from "../cli/flags.ts";
import { ATTENDANT } from "../attendant.ts";
import { HANDOVER } from "../launch.ts";
import { ON_TERMINAL } from "../library/tool.ts";
import { EXECUTE } from "../oci/hooks.ts";
import { signalNumber } from "../signals.ts";
import { OCI_VERSION } from "../version.ts";
import {
  FLAG_REPLY,
  FRAME_BYTES_MAX,
  HEADER_BYTES,
  HELLO,
  type KindName,
  KINDS,
  SCOPE,
  SENTRY_PREFERENCE,
  VERSION,
  WAIT_REQUEST,
} from "./protocol.ts";

export const GENERATED = `${import.meta.dirname}/../../native/src/generated.rs`;

/** Kinds that native code reads or writes. */
const NATIVE_KINDS: readonly KindName[] = [
  "hello",
  "signal",
  "resized",
  "connect",
  "notice",
  "exit",
  "start",
  "execute",
  "wait",
  "processes",
  "pause",
  "resume",
  "inquire",
  "done",
  "executed",
  "document",
  "condition",
  "started",
  "attend",
  "unstarted",
];
const SIGUSR1 = 10;

/** The file's text. */
export async function launcherTable(): Promise<string> {
  const signals = [...FORWARDED.map(([, number]) => number), SIGUSR1].sort((a, b) => a - b);
  const kinds = NATIVE_KINDS.map((name) => `pub const ${name.toUpperCase()}: u16 = ${KINDS[name].number};`);
  const facts = Object.entries(HELLO).map(([name, bit]) => `pub const HELLO_${name}: i32 = ${bit};`);
  const signalNames = Object.keys(SIGNAL).map((name) => [name, signalNumber(name)] as const)
    .filter(([name, number]) => name.startsWith("SIG") && number > 0);
  const commands: string[] = [];
  for (const [name, { roles, attendant, takesProgram, isAnswered, load }] of Object.entries(COMMANDS)) {
    if (roles === undefined && attendant === undefined && isAnswered === undefined) continue;
    const { options } = await load();
    commands.push(`    Command {
        name: ${text(name)},
        takes_program: ${takesProgram === true},
        has_roles: ${roles !== undefined},
        is_root_inside: ${roles?.isRootInside === true},
        unless: &[${(roles?.unless ?? []).map(text).join(", ")}],
        attendant: ${
      attendant === undefined ? "None" : `Some(${text(attendant === "always" ? "" : attendant.flag)})`
    },
        is_answered: ${isAnswered === true},
        flags: &[${Object.keys(options).length === 0 ? "" : `\n${flags(options, 12)}\n        `}],
    },`);
  }
  return `//! Written by boot/control/launcher_table.ts: what native code has to know of the control protocol and of the command line.

// The library needs one half of it, the launcher the other.
#![allow(dead_code)]

/// See boot/control/protocol.ts.
pub const VERSION: u16 = ${VERSION};
pub const HEADER_BYTES: usize = ${HEADER_BYTES};
pub const FRAME_BYTES_MAX: usize = ${FRAME_BYTES_MAX};

pub const FLAG_REPLY: u32 = ${FLAG_REPLY};
/// The request whose answer says how a process has ended.
pub const WAIT_REQUEST: u32 = ${WAIT_REQUEST};
/// In SIGNAL: to the process alone.
pub const SCOPE_PROCESS: i32 = ${SCOPE.PROCESS};
/// To all of the container.
pub const SCOPE_ALL: i32 = ${SCOPE.ALL};

/// Kinds of messages.
${kinds.join("\n")}

/// Bits of the facts in HELLO.
${facts.join("\n")}

/// By how much the sentry's nice value is below its caller's where PREFERRED holds.
pub const SENTRY_PREFERENCE: i32 = ${SENTRY_PREFERENCE};

/// Signals that are passed on to the container's init.
pub const FORWARDED: [i32; ${signals.length}] = [${signals.join(", ")}];
/// First word of the launcher that waits for a container; then the descriptor of a message ATTEND.
pub const ATTEND_WORD: &str = ${text(ATTEND)};
/// First word of the launcher that is to become another program; then its path and its arguments, its own name first.
pub const EXECUTE_WORD: &str = ${text(EXECUTE)};
/// First word of the launcher that runs itself on a new terminal; then its columns and rows, and its own words.
pub const TERMINAL_WORD: &str = ${text(ON_TERMINAL)};
/// Variable with the descriptor of a message STARTED.
pub const HANDOVER: &str = ${text(HANDOVER)};
/// Variable with the descriptor of the socket to an attendant, and its pid.
pub const ATTENDANT: &str = ${text(ATTENDANT)};

/// The version of the runtime-spec that \`state\` tells.
pub const OCI_VERSION: &str = ${text(OCI_VERSION)};
/// Signals by their names.
pub const SIGNALS: &[(&str, i32)] = &[
${signalNames.map(([name, number]) => `    (${text(name)}, ${number}),`).join("\n")}
];
/// Names that a config.json may have.
pub const CAPABILITIES: &[&str] = &[
${list(CAPABILITY_NAMES)}
];
pub const RLIMITS: &[&str] = &[
${list(RLIMIT_NAMES)}
];

/// A flag of the command line.
pub struct Flag {
    pub name: &'static str,
    /// One letter; "" = none.
    pub short: &'static str,
    /// The next word is its value, where it has none after "=".
    pub takes_value: bool,
    /// It may come again.
    pub is_multiple: bool,
}

/// A command for which processes are started at once, or that the launcher carries out.
pub struct Command {
    pub name: &'static str,
    /// Its first word that is no flag is a program; what follows is the program's.
    pub takes_program: bool,
    /// It makes a sandbox.
    pub has_roles: bool,
    pub is_root_inside: bool,
    /// Flags with which the roles must be started in another way.
    pub unless: &'static [&'static str],
    /// What it starts outlives it: always (""), or with this flag.
    pub attendant: Option<&'static str>,
    /// The launcher carries it out itself where nothing is out of the ordinary.
    pub is_answered: bool,
    pub flags: &'static [Flag],
}

/// Flags before the command.
pub const GLOBAL_FLAGS: &[Flag] = &[
${flags(GLOBAL_OPTIONS, 4)}
];

pub const COMMANDS: &[Command] = &[
${commands.join("\n")}
];
`;
}

function flags(options: Options, indent: number): string {
  return Object.entries(options).map(([name, { short, type, multiple }]) =>
    `${" ".repeat(indent)}Flag { name: ${text(name)}, short: ${text(short ?? "")}, takes_value: ${
      type === "string"
    }, is_multiple: ${multiple === true} },`
  ).join("\n");
}

function list(words: readonly string[]): string {
  return words.map((word) => `    ${text(word)},`).join("\n");
}

/** A literal of Rust; our words have nothing to escape. */
function text(word: string): string {
  return `"${word}"`;
}

if (import.meta.main) Deno.writeTextFileSync(GENERATED, await launcherTable());
