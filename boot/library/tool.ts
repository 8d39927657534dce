// The executable with its global flags, and its commands as functions.

import { SandboxError } from "./errors.ts";
import { executable, finish, type HostProcess, start, type Stdio } from "./host.ts";
import type { SandboxOptions } from "./options.ts";

/** First word of the executable that is to run itself on a terminal of its own (native/launcher/on_terminal.rs). */
export const ON_TERMINAL = "--on-terminal";

/** Of a terminal, in characters. */
export interface TerminalSize {
  /** Characters of a line. */
  readonly columns: number;
  /** Lines. */
  readonly rows: number;
}

/** Which executable, and which state directory of it. */
export type ToolOptions = Pick<SandboxOptions, "executable" | "root" | "platform">;

/** A program that has been started. */
export interface Started {
  readonly process: HostProcess;
  /** Its exit code. Rejects where it could not be started. */
  readonly ended: Promise<number>;
}

/** As `tsvisor state` prints it. */
export interface State {
  readonly id: string;
  readonly status: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export class Tool {
  readonly #program: string;
  readonly #flags: readonly string[];

  constructor({ executable: given, root, platform }: ToolOptions) {
    this.#program = executable(given);
    this.#flags = [
      ...(root === undefined ? [] : [`--root=${root}`]),
      ...(platform === undefined ? [] : [`--platform=${platform}`]),
      // What is written to a root stays in the sandbox.
      "--overlay2=root:memory",
    ];
  }

  /** Starts a command. */
  start(args: readonly string[], stdio: readonly [Stdio, Stdio, Stdio]): Started {
    return start(this.#program, [...this.#flags, ...args], stdio);
  }

  /** Starts a command whose input and output are a new terminal's. */
  startOnTerminal(args: readonly string[], size: TerminalSize, stdio: readonly [Stdio, Stdio]): Started {
    const words = [ON_TERMINAL, String(size.columns), String(size.rows), ...this.#flags, ...args];
    return start(this.#program, words, [...stdio, "null", "piped"]);
  }

  /** Runs a command to its end; what it prints. Rejects with what it says where it fails. */
  async run(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await finish(this.#program, [...this.#flags, ...args]);
    if (code !== 0) throw failure(stderr, `${args[0]} ended with ${code}`);
    return stdout;
  }

  async state(id: string): Promise<State> {
    return JSON.parse(await this.run("state", id));
  }
}

/** What the executable has said on its standard error, as an error. */
export function failure(stderr: string, otherwise: string): SandboxError {
  const line = stderr.trim().split("\n").at(-1) ?? "";
  const said = line.replace(/^tsvisor: /, "") || otherwise;
  return new SandboxError(/does not exist$/.test(said) ? "NOT_FOUND" : "FAILED", said);
}
