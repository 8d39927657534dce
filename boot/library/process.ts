// A command that runs in a sandbox.

import { SandboxError } from "./errors.ts";
import { bytes, type HostProcess, readable, type Stdio, writable, writeTo } from "./host.ts";
import type { Duration } from "./options.ts";
import { type CommandStatus, type Limits, statusOf } from "./status.ts";
import type { TerminalSize } from "./tool.ts";

/** How a command is started. */
export interface SpawnOptions {
  /** Words after the command. */
  readonly args?: readonly string[];
  /** Variables besides the sandbox's. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the sandbox's. */
  readonly cwd?: string;
  /** Default: the sandbox's. */
  readonly user?: number | `${number}:${number}`;
  /** Default: "null"; "piped" with `pty`. */
  readonly stdin?: Stdio;
  /** Default: "piped". */
  readonly stdout?: Stdio;
  /** Default: "piped". */
  readonly stderr?: Stdio;
  /**
   * It gets a terminal of this size (true: 80 columns, 24 rows), which `stdin` and `stdout` are then; both are "piped" by
   * default, and there is no `stderr`. The end of `stdin` is typed as Ctrl-D.
   */
  readonly pty?: boolean | TerminalSize;
  /** After this time the command is killed. */
  readonly timeout?: Duration;
  /** Kills the command when it is aborted. */
  readonly signal?: AbortSignal;
}

/** How a command has ended, and what it has printed. */
export interface CommandOutput extends CommandStatus {
  /** What it has printed; empty where `stdout` was not "piped". */
  readonly stdout: Uint8Array<ArrayBuffer>;
  /** What it has printed on its standard error. */
  readonly stderr: Uint8Array<ArrayBuffer>;
  /** What is in `stdout`, as UTF-8. */
  text(): string;
  /** What is in `stdout`, as JSON. */
  json<T>(): T;
}

/** Signals that commands get. */
export type SignalName = "SIGHUP" | "SIGINT" | "SIGQUIT" | "SIGKILL" | "SIGUSR1" | "SIGUSR2" | "SIGTERM";

/** A command that runs in a sandbox. Leaving its scope with `await using` kills it. */
export class ChildProcess implements AsyncDisposable {
  /** How it ends. Rejects where it could not be started, was aborted, or took longer than its `timeout`. */
  readonly status: Promise<CommandStatus>;
  readonly #process: HostProcess;
  readonly #kill: (signal: SignalName) => Promise<void>;
  readonly #stdin: WritableStream<Uint8Array> | null;
  readonly #stdout: ReadableStream<Uint8Array> | null;
  readonly #stderr: ReadableStream<Uint8Array> | null;

  /** Sandbox.spawn() makes them. */
  constructor(
    started: { readonly process: HostProcess; readonly ended: Promise<number> },
    kill: (signal: SignalName) => Promise<void>,
    options: Limits,
  ) {
    this.#process = started.process;
    this.#kill = kill;
    this.#stdin = writable(this.#process.stdin);
    this.#stdout = readable(this.#process.stdout);
    this.#stderr = readable(this.#process.stderr);
    this.status = statusOf("command", started.ended, options, () => this.kill("SIGKILL"));
    this.status.catch(() => {});
  }

  /** What it reads. Throws unless `stdin` is "piped". */
  get stdin(): WritableStream<Uint8Array> {
    return piped(this.#stdin, "stdin");
  }

  /** What it prints. Throws unless `stdout` is "piped". */
  get stdout(): ReadableStream<Uint8Array> {
    return piped(this.#stdout, "stdout");
  }

  /** What it prints on its standard error. Throws unless `stderr` is "piped". */
  get stderr(): ReadableStream<Uint8Array> {
    return piped(this.#stderr, "stderr");
  }

  /** Gives its terminal another size. Throws where it has none, or of a size that none has. */
  resize(size: TerminalSize): void {
    const sizes = this.#process.stdio[3];
    if (sizes === undefined || sizes === null) {
      throw new SandboxError("INVALID_ARGUMENT", "The command has no terminal", "spawn(..., { pty: true })");
    }
    const { columns, rows } = checkedSize(size);
    // One that has ended has no use for it.
    writeTo(sizes, `${columns} ${rows}\n`);
  }

  /** Reads all that it prints, and waits for its end. */
  async output(): Promise<CommandOutput> {
    const empty = Promise.resolve(new Uint8Array(0));
    const [stdout, stderr, status] = await Promise.all([
      this.#stdout === null ? empty : bytes(this.#stdout),
      this.#stderr === null ? empty : bytes(this.#stderr),
      this.status,
    ]);
    const text = () => new TextDecoder().decode(stdout);
    return { ...status, stdout, stderr, text, json: () => JSON.parse(text()) };
  }

  /** Sends it a signal (default: SIGTERM). One that has ended gets none. */
  async kill(signal: SignalName = "SIGTERM"): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    await this.#kill(signal);
  }

  /** Kills it and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL");
    await this.status.catch(() => {});
  }
}

/** As struct winsize has it. Throws INVALID_ARGUMENT. */
export function checkedSize(size: TerminalSize): TerminalSize {
  const isLength = (length: number) => Number.isInteger(length) && length >= 0 && length <= 0xffff;
  if (isLength(size.columns) && isLength(size.rows)) return size;
  throw new SandboxError(
    "INVALID_ARGUMENT",
    `${size.columns} columns and ${size.rows} rows are no terminal's size`,
  );
}

function piped<T>(stream: T | null, name: string): T {
  if (stream !== null) return stream;
  throw new SandboxError("INVALID_ARGUMENT", `${name} is not piped`, `spawn(..., { ${name}: "piped" })`);
}
