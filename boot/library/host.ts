// What the library needs of the host, from the modules that Deno and Node have both: processes, a directory for a bundle.

import { type ChildProcess as HostProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { Readable, Writable } from "node:stream";
import { SandboxError } from "./errors.ts";

export type { HostProcess };
/** What one of the standard streams is: a pipe, nothing, or the caller's own. */
export type Stdio = "piped" | "null" | "inherit";

const KINDS = { piped: "pipe", null: "ignore", inherit: "inherit" } as const;

/** Where the executable is: what the caller says, TSVISOR, dist/ of a checkout, or one on the PATH. */
export function executable(given: string | undefined): string {
  const named = given ?? process.env.TSVISOR;
  if (named !== undefined && named !== "") {
    if (existsSync(named)) return named;
    throw new SandboxError("NOT_FOUND", `There is no executable ${named}`, "TSVISOR names the one to use");
  }
  const built = new URL("../../dist/tsvisor", import.meta.url);
  if (built.protocol === "file:" && existsSync(built)) return decodeURIComponent(built.pathname);
  return "tsvisor";
}

/**
 * Starts a program in a session of its own, so that neither a terminal's ^C nor the end of this program's runtime kills it: it
 * has to see that its pipe ends, and clean up. What cannot be started rejects `ended`.
 */
export function start(
  program: string,
  args: readonly string[],
  stdio: readonly [Stdio, Stdio, Stdio, ...Stdio[]],
): { readonly process: HostProcess; readonly ended: Promise<number> } {
  const child = spawn(program, [...args], { stdio: stdio.map((kind) => KINDS[kind]), detached: true });
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", (error: Error & { code?: string }) => {
      reject(
        error.code === "ENOENT"
          ? new SandboxError("NOT_FOUND", `There is no executable ${program}`, "TSVISOR names the one to use")
          : new SandboxError("FAILED", `Cannot start ${program}: ${error.message}`),
      );
    });
    child.once("exit", (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
  });
  // A caller may await it; none has to.
  ended.catch(() => {});
  return { process: child, ended };
}

/** Runs a program to its end. */
export async function finish(
  program: string,
  args: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const { process: child, ended } = start(program, args, ["null", "piped", "piped"]);
  const [stdout, stderr, code] = await Promise.all([
    text(readable(child.stdout)!),
    text(readable(child.stderr)!),
    ended,
  ]);
  return { code, stdout, stderr };
}

export async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new TextDecoder().decode(await bytes(stream));
}

export async function bytes(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function readable(stream: Readable | null): ReadableStream<Uint8Array> | null {
  return stream === null ? null : Readable.toWeb(stream) as ReadableStream<Uint8Array>;
}

export function writable(stream: Writable | null): WritableStream<Uint8Array> | null {
  return stream === null ? null : Writable.toWeb(stream) as WritableStream<Uint8Array>;
}

/** Writes to a stream of a program's; to one that has ended, nothing. */
export function writeTo(stream: unknown, text: string): void {
  if (stream instanceof Writable && !stream.destroyed) stream.write(text);
}

/** A directory that nobody else can look into. It goes with the program, unless that is killed. */
export class WorkDirectory implements Disposable {
  readonly path: string = mkdtempSync(`${tmpdir()}/tsvisor-`);
  readonly #onExit = () => this.#remove();

  constructor() {
    process.once("exit", this.#onExit);
  }

  write(name: string, content: string | Uint8Array, mode: number): void {
    writeFileSync(`${this.path}/${name}`, content, { mode });
  }

  /** The text of a file; null while there is none. */
  read(name: string): string | null {
    return existsSync(`${this.path}/${name}`) ? readFileSync(`${this.path}/${name}`, "utf8") : null;
  }

  [Symbol.dispose](): void {
    process.removeListener("exit", this.#onExit);
    this.#remove();
  }

  #remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
};

/** Of a name; 9 of one that is not known. */
export function signalNumber(name: string | null): number {
  return SIGNALS[name ?? ""] ?? 9;
}

/** The name of a signal; null of a number that is none of these. */
export function signalName(number: number): string | null {
  return Object.keys(SIGNALS).find((name) => SIGNALS[name] === number) ?? null;
}
