// sandbox.sh`...`: a command line for the sandbox's /bin/sh, whose values are quoted.

import { SandboxError } from "./errors.ts";
import type { ChildProcess, CommandOutput, SpawnOptions } from "./process.ts";

/** How a shell command is started, before it is. */
interface Settings {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly mayFail: boolean;
}

/**
 * A shell command. It starts when it is awaited, or when one of its methods that read is called; what it answers is its output.
 * One that ends with another code than 0 rejects with COMMAND_FAILED, unless noThrow() was called.
 */
export class ShellCommand implements PromiseLike<CommandOutput> {
  readonly #spawn: (command: string, options: SpawnOptions) => ChildProcess;
  readonly #script: string;
  readonly #settings: Settings;
  #output: Promise<CommandOutput> | null = null;

  /** Sandbox.sh makes them. */
  constructor(
    spawn: (command: string, options: SpawnOptions) => ChildProcess,
    script: string,
    settings: Settings = { env: {}, mayFail: false },
  ) {
    this.#spawn = spawn;
    this.#script = script;
    this.#settings = settings;
  }

  /** The same with further variables. */
  env(variables: Readonly<Record<string, string>>): ShellCommand {
    return this.#with({ env: { ...this.#settings.env, ...variables } });
  }

  /** The same in another directory. */
  cwd(path: string): ShellCommand {
    return this.#with({ cwd: path });
  }

  /** The same, whatever its exit code is. */
  noThrow(): ShellCommand {
    return this.#with({ mayFail: true });
  }

  /** What it prints, as UTF-8. */
  async text(): Promise<string> {
    return (await this).text();
  }

  /** What it prints, as JSON. */
  async json<T>(): Promise<T> {
    return (await this).json<T>();
  }

  /** What it prints, line by line as it comes. */
  async *lines(): AsyncGenerator<string, void, void> {
    const child = this.#start("null");
    // Not `await using`: Node has no such declarations before its version 24.
    try {
      const decoder = new TextDecoder();
      let rest = "";
      for await (const chunk of child.stdout) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = parts.pop()!;
        yield* parts;
      }
      if (rest !== "") yield rest;
      this.#check((await child.status).code, "");
    } finally {
      await child[Symbol.asyncDispose]();
    }
  }

  /** Starts it, if that has not been done: what `await` calls. */
  then<A = CommandOutput, B = never>(
    onFulfilled?: ((value: CommandOutput) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return (this.#output ??= this.#run()).then(onFulfilled, onRejected);
  }

  async #run(): Promise<CommandOutput> {
    const output = await this.#start("piped").output();
    this.#check(output.code, new TextDecoder().decode(output.stderr));
    return output;
  }

  #start(stderr: "piped" | "null"): ChildProcess {
    const { env, cwd } = this.#settings;
    return this.#spawn("/bin/sh", {
      args: ["-c", this.#script],
      env,
      stderr,
      ...(cwd === undefined ? {} : { cwd }),
    });
  }

  #check(code: number, stderr: string): void {
    if (code === 0 || this.#settings.mayFail) return;
    const said = stderr.trim().split("\n").at(-1) ?? "";
    throw new SandboxError(
      "COMMAND_FAILED",
      `The command ended with ${code}${said === "" ? "" : `: ${said}`}`,
      "noThrow() answers whatever the exit code is",
    );
  }

  #with(changed: Partial<Settings>): ShellCommand {
    return new ShellCommand(this.#spawn, this.#script, { ...this.#settings, ...changed });
  }
}

/** The script of a template: its values are single words of the shell's, arrays several. */
export function scriptOf(template: TemplateStringsArray, values: readonly unknown[]): string {
  return template.raw.reduce((script, text, i) => {
    if (i === 0) return text;
    const value = values[i - 1];
    return script + (Array.isArray(value) ? value : [value]).map(quoted).join(" ") + text;
  }, "");
}

function quoted(value: unknown): string {
  const text = String(value);
  if (text.includes("\0")) throw new SandboxError("INVALID_ARGUMENT", "A word of a command has a NUL");
  return `'${text.replaceAll("'", "'\\''")}'`;
}
