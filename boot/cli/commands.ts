// The list of commands: what each takes, says of itself and is loaded from. `tsvisor help` prints it. A command's code is
// loaded when it is called for: `run` alone needs the schema of config.json.

import type { GlobalFlags, Options } from "./flags.ts";
import { SANDBOX_COMMANDS } from "./sandbox_commands.ts";
import { suggestion } from "./suggestion.ts";

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
  /**
   * What it starts outlives it: a process that waits in its place comes into being first, always or with this flag. (Goes to
   * native/src/generated.rs as well.)
   */
  readonly attendant?: "always" | { readonly flag: string };
  /** The launcher carries it out itself where nothing is out of the ordinary (native/launcher/answers.rs); else this does. */
  readonly isAnswered?: true;
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
    about: "Run an OCI container to its end, attached to the caller's stdio; or in the background",
    example: "tsvisor run --bundle ./my-bundle my-id",
    // With it a terminal becomes the sentry's own, if the command waits itself.
    roles: { isRootInside: true, unless: ["console-socket"] },
    attendant: { flag: "detach" },
    load: async () => {
      const { runCommand, RUN_OPTIONS } = await import("./run.ts");
      return { run: runCommand, options: RUN_OPTIONS };
    },
  },
  create: {
    words: "ID",
    about: "Make an OCI container whose program does not run yet",
    example: "tsvisor create --bundle ./my-bundle my-id",
    roles: { isRootInside: true, unless: [] },
    attendant: "always",
    load: async () => {
      const { createCommand, CREATE_OPTIONS } = await import("./create.ts");
      return { run: createCommand, options: CREATE_OPTIONS };
    },
  },
  start: {
    words: "ID",
    about: "Run the program of a container that has been made",
    example: "tsvisor start my-id",
    isAnswered: true,
    load: async () => {
      const { startCommand } = await import("./create.ts");
      return { run: startCommand, options: {} };
    },
  },
  exec: {
    words: "ID CMD ARGS...",
    about: "Run a further program in a container",
    example: "tsvisor exec my-id ls /",
    takesProgram: true,
    attendant: { flag: "detach" },
    isAnswered: true,
    load: async () => {
      const { execCommand, EXEC_OPTIONS } = await import("./exec.ts");
      return { run: execCommand, options: EXEC_OPTIONS };
    },
  },
  ps: {
    words: "ID",
    about: "List the processes of a container",
    example: "tsvisor ps my-id",
    isAnswered: true,
    load: async () => {
      const { psCommand, PS_OPTIONS } = await import("./processes.ts");
      return { run: psCommand, options: PS_OPTIONS };
    },
  },
  events: {
    words: "ID",
    about: "Print what a container uses as JSON, a line every few seconds",
    example: "tsvisor events --stats my-id",
    load: async () => {
      const { eventsCommand, EVENTS_OPTIONS } = await import("./processes.ts");
      return { run: eventsCommand, options: EVENTS_OPTIONS };
    },
  },
  pause: {
    words: "ID",
    about: "Stop all processes of a container until it is resumed",
    example: "tsvisor pause my-id",
    isAnswered: true,
    load: async () => {
      const { pauseCommand } = await import("./processes.ts");
      return { run: pauseCommand, options: {} };
    },
  },
  resume: {
    words: "ID",
    about: "Let the processes of a paused container go on",
    example: "tsvisor resume my-id",
    isAnswered: true,
    load: async () => {
      const { resumeCommand } = await import("./processes.ts");
      return { run: resumeCommand, options: {} };
    },
  },
  update: {
    words: "ID",
    about: "Give a container other limits of memory, tasks, processors and disks",
    example: "tsvisor update --memory 512m --pids-limit 100 my-id",
    load: async () => {
      const { updateCommand, UPDATE_OPTIONS } = await import("./update.ts");
      return { run: updateCommand, options: UPDATE_OPTIONS };
    },
  },
  wait: {
    words: "ID",
    about: "Wait for a container's end and print its status as JSON",
    example: "tsvisor wait my-id",
    load: async () => {
      const { waitCommand, WAIT_OPTIONS } = await import("./processes.ts");
      return { run: waitCommand, options: WAIT_OPTIONS };
    },
  },
  features: {
    words: "",
    about: "Print what is supported of the runtime-spec as JSON",
    example: "tsvisor features",
    load: async () => {
      const { featuresCommand } = await import("./features.ts");
      return { run: featuresCommand, options: {} };
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
    isAnswered: true,
    load: async () => {
      const { stateCommand } = await import("./state.ts");
      return { run: stateCommand, options: {} };
    },
  },
  list: {
    words: "",
    about: "List containers",
    example: "tsvisor list --format json",
    isAnswered: true,
    load: async () => {
      const { listCommand, LIST_OPTIONS } = await import("./state.ts");
      return { run: listCommand, options: LIST_OPTIONS };
    },
  },
  kill: {
    words: "ID [SIGNAL]",
    about: "Send a signal (SIGTERM without one) to a container's first process",
    example: "tsvisor kill my-id KILL",
    isAnswered: true,
    load: async () => {
      const { killCommand, KILL_OPTIONS } = await import("./state.ts");
      return { run: killCommand, options: KILL_OPTIONS };
    },
  },
  delete: {
    words: "ID...",
    about: "Forget stopped containers",
    example: "tsvisor delete --force my-id",
    isAnswered: true,
    load: async () => {
      const { deleteCommand, DELETE_OPTIONS } = await import("./state.ts");
      return { run: deleteCommand, options: DELETE_OPTIONS };
    },
  },
  ...SANDBOX_COMMANDS,
  install: {
    words: "[FLAGS FOR EACH COMMAND...]",
    about: "Register this runtime with Docker, podman and containerd",
    example: "tsvisor install --engine docker -- --debug-log /var/log/tsvisor.log",
    load: async () => {
      const { installCommand, INSTALL_OPTIONS } = await import("./install.ts");
      return { run: installCommand, options: INSTALL_OPTIONS };
    },
  },
  uninstall: {
    words: "",
    about: "Take back what install has written",
    example: "tsvisor uninstall --engine docker",
    load: async () => {
      const { uninstallCommand, UNINSTALL_OPTIONS } = await import("./install.ts");
      return { run: uninstallCommand, options: UNINSTALL_OPTIONS };
    },
  },
  doctor: {
    words: "",
    about: "Say what works on this host, and what to do about the rest",
    example: "tsvisor doctor",
    load: async () => {
      const { doctorCommand, DOCTOR_OPTIONS } = await import("./doctor.ts");
      return { run: doctorCommand, options: DOCTOR_OPTIONS };
    },
  },
  completions: {
    words: "bash | zsh | fish",
    about: "Print what a shell needs to complete command lines",
    example: "tsvisor completions bash >/etc/bash_completion.d/tsvisor",
    load: async () => {
      const { completionsCommand } = await import("./completions.ts");
      return { run: completionsCommand, options: {} };
    },
  },
  help: {
    words: "[COMMAND | syscalls [NAME] | man]",
    about: "Print this, a command's flags, the table of system calls or one of it, or the manual page",
    example: "tsvisor help syscalls --format json",
    load: async () => {
      const { help, HELP_OPTIONS } = await import("./help.ts");
      return { run: help, options: HELP_OPTIONS };
    },
  },
};

/** Of runc and runsc: what is said of them. */
const NOT_HERE: Readonly<Record<string, string>> = {
  checkpoint: "is not supported yet",
  restore: "is not supported yet",
  fscheckpoint: "is not supported yet",
  statefile: "is not supported yet, as checkpoints are not",
  tar: "is not supported yet",
  nvproxy: "is not supported: a sandbox has no graphics processors",
  "metric-metadata": "is tsvisor export-metrics here, which tells of each metric with its values",
  mitigate: "is not supported: what a processor needs, the host's kernel does",
  symbolize: "is not supported: it is about runsc's own code",
  bwrap: "is not supported; tsvisor do runs a program of the host in a sandbox",
  sandboxexec: "is not supported; tsvisor do runs a program of the host in a sandbox",
  syscalls: "is tsvisor help syscalls here",
  flags: "is tsvisor help here",
  platforms: "is tsvisor doctor here",
  "cpu-features": "is tsvisor do -- cat /proc/cpuinfo here",
};

/** The line for a word that is no command. */
export function unknownCommand(name: string): string {
  if (Object.hasOwn(NOT_HERE, name)) return `Command "${name}" ${NOT_HERE[name]}`;
  const near = suggestion(name, Object.keys(COMMANDS));
  return `Unknown command "${name}"${near === "" ? "; see tsvisor help" : near}`;
}
