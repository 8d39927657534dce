// The list of commands: what each takes, says of itself and is loaded from. `tsvisor help` prints it. A command's code is
// loaded when it is called for: `run` alone needs the schema of config.json.

import type { GlobalFlags, Options } from "./flags.ts";

/** A command: its own arguments, the global flags; gives back the exit code. */
export type Run = (args: string[], flags: GlobalFlags) => number | Promise<number>;

export interface Command {
  /** What follows the command's name and flags. */
  readonly words: string;
  readonly about: string;
  /** A command line that works. */
  readonly example: string;
  /** Its first word that is no flag is a program; what follows is the program's. */
  readonly takesProgram?: boolean;
  /**
   * It makes a sandbox: the launcher starts sentry and gofer before anybody has read the words, unless one of these flags is
   * among them. (From here it goes to native/src/generated.rs.)
   */
  readonly roles?: { readonly isRootInside: boolean; readonly unless: readonly string[] };
  readonly load: () => Promise<{ readonly run: Run; readonly options: Options }>;
}

export const COMMANDS: Readonly<Record<string, Command>> = {
  do: {
    words: "[--] CMD ARGS...",
    about: "Run a host program in a sandbox; the host's root is read-only below a memory overlay",
    example: `tsvisor do --cwd /tmp -- python3 -c 'print("hello")'`,
    takesProgram: true,
    roles: { isRootInside: false, unless: [] },
    load: async () => {
      const { doCommand, DO_OPTIONS } = await import("./do.ts");
      return { run: doCommand, options: DO_OPTIONS };
    },
  },
  run: {
    words: "ID",
    about: "Run an OCI container to its end, attached to the caller's stdio",
    example: "tsvisor run --bundle ./my-bundle my-id",
    // With it a terminal becomes the sentry's own.
    roles: { isRootInside: true, unless: ["console-socket"] },
    load: async () => {
      const { runCommand, RUN_OPTIONS } = await import("./run.ts");
      return { run: runCommand, options: RUN_OPTIONS };
    },
  },
  spec: {
    words: "[CMD ARGS...]",
    about: "Write a config.json to start from",
    example: "tsvisor spec --bundle ./my-bundle /bin/sh",
    takesProgram: true,
    load: async () => {
      const { specCommand, SPEC_OPTIONS } = await import("./spec.ts");
      return { run: specCommand, options: SPEC_OPTIONS };
    },
  },
  state: {
    words: "ID",
    about: "Print a container's state as JSON",
    example: "tsvisor state my-id",
    load: async () => {
      const { stateCommand } = await import("./state.ts");
      return { run: stateCommand, options: {} };
    },
  },
  list: {
    words: "",
    about: "List containers",
    example: "tsvisor list --format json",
    load: async () => {
      const { listCommand, LIST_OPTIONS } = await import("./state.ts");
      return { run: listCommand, options: LIST_OPTIONS };
    },
  },
  kill: {
    words: "ID [SIGNAL]",
    about: "Send a signal (SIGTERM without one) to a container's first process",
    example: "tsvisor kill my-id KILL",
    load: async () => {
      const { killCommand, KILL_OPTIONS } = await import("./state.ts");
      return { run: killCommand, options: KILL_OPTIONS };
    },
  },
  delete: {
    words: "ID",
    about: "Forget a stopped container",
    example: "tsvisor delete --force my-id",
    load: async () => {
      const { deleteCommand, DELETE_OPTIONS } = await import("./state.ts");
      return { run: deleteCommand, options: DELETE_OPTIONS };
    },
  },
  help: {
    words: "[COMMAND | syscalls]",
    about: "Print this, a command's flags, or the table of system calls",
    example: "tsvisor help syscalls --format json",
    load: async () => {
      const { help, HELP_OPTIONS } = await import("./help.ts");
      return { run: help, options: HELP_OPTIONS };
    },
  },
};
