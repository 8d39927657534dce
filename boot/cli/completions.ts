// tsvisor completions: what a shell has to know to complete our command lines, from the lists of commands and flags.

import { COMMANDS } from "./commands.ts";
import { GLOBAL_OPTIONS, type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";

/** A command with the flags behind it. */
interface Entry {
  readonly name: string;
  readonly about: string;
  readonly options: Options;
  /** Whether its first word is a container's id. */
  readonly takesId: boolean;
}

const SHELLS: Readonly<Record<string, (entries: readonly Entry[]) => string>> = { bash, zsh, fish };

export async function completionsCommand(args: string[], _flags: GlobalFlags): Promise<number> {
  const { words } = parse(args, {}, false);
  const make = words.length === 1 ? SHELLS[words[0]] : undefined;
  if (make === undefined) throw new UsageError(`completions takes one of ${Object.keys(SHELLS).join(", ")}`);
  const entries: Entry[] = [];
  for (const [name, { about, words, load }] of Object.entries(COMMANDS)) {
    entries.push({ name, about, options: (await load()).options, takesId: /^ID\b/.test(words) });
  }
  console.log(make(entries));
  return 0;
}

/** Flags as they are typed; a flag with a value ends with "=". */
function flagsOf(options: Options): string[] {
  return Object.entries(options).map(([name, { type }]) => `--${name}${type === "string" ? "=" : ""}`);
}

function bash(entries: readonly Entry[]): string {
  const cases = entries.map(({ name, options, takesId }) => {
    const ids = takesId ? "; [[ $word != -* ]] && words=$(tsvisor list --quiet 2>/dev/null)" : "";
    return `    ${name}) words='${flagsOf(options).join(" ")}'${ids} ;;`;
  });
  const names = entries.map(({ name }) => name);
  return `# bash completion of tsvisor: eval "$(tsvisor completions bash)"
_tsvisor() {
  local word=\${COMP_WORDS[COMP_CWORD]} command= words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ ' ${names.join(" ")} ' == *" \${COMP_WORDS[i]} "* ]] && { command=\${COMP_WORDS[i]}; break; }
  done
  case $command in
    "") words='${[...names, ...flagsOf(GLOBAL_OPTIONS)].join(" ")}' ;;
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  [[ \${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _tsvisor tsvisor`;
}

function zsh(entries: readonly Entry[]): string {
  const rows = (options: Options) =>
    Object.entries(options).map(([name, { type, about, value }]) =>
      quoted(
        `--${name}${type === "string" ? "=" : ""}[${bare(about)}]${
          type === "string" ? `:${bare(value ?? name)}:_files` : ""
        }`,
      )
    ).join(" ");
  const cases = entries.map(({ name, options, takesId }) =>
    `    ${name}) _arguments ${rows(options)} ${
      takesId ? "'1:id:($(tsvisor list --quiet 2>/dev/null))' " : ""
    }'*:word:_files' ;;`
  );
  const commands = entries.map(({ name, about }) => quoted(`${name}:${about}`)).join(" ");
  return `#compdef tsvisor
# zsh completion of tsvisor: tsvisor completions zsh > "\${fpath[1]}/_tsvisor"
_tsvisor() {
  local state line
  local -a commands=(${commands})
  _arguments -C ${rows(GLOBAL_OPTIONS)} '1:command:->command' '*::word:->words'
  case $state in
    command) _describe command commands ;;
    words) case $line[1] in
${cases.join("\n")}
    esac ;;
  esac
}
_tsvisor "$@"`;
}

function fish(entries: readonly Entry[]): string {
  const flag = (condition: string) => ([name, { type, about, short }]: [string, Options[string]]) =>
    `complete -c tsvisor -n ${quoted(condition)} -l ${name}${short === undefined ? "" : ` -s ${short}`}${
      type === "string" ? " -r" : ""
    } -d ${quoted(about)}`;
  const none = `not __fish_seen_subcommand_from ${entries.map(({ name }) => name).join(" ")}`;
  return [
    "# fish completion of tsvisor: tsvisor completions fish | source",
    ...Object.entries(GLOBAL_OPTIONS).map(flag(none)),
    ...entries.flatMap(({ name, about, options, takesId }) => [
      `complete -c tsvisor -n ${quoted(none)} -f -a ${name} -d ${quoted(about)}`,
      ...Object.entries(options).map(flag(`__fish_seen_subcommand_from ${name}`)),
      ...(takesId
        ? [
          `complete -c tsvisor -n '__fish_seen_subcommand_from ${name}' -f -a '(tsvisor list --quiet 2>/dev/null)'`,
        ]
        : []),
    ]),
  ].join("\n");
}

/** Without what ends a description of zsh's _arguments. */
function bare(text: string): string {
  return text.replaceAll(/[[\]:]/g, " ");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
