// Calls of a sandbox's control API over its socket in the state directory, as any client of it makes them (gVisor's URPC): one
// JSON document for a call, one for its answer. A connection has one call at a time, so there are as many as are needed.

import { symlinkSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import process from "node:process";
import { DocumentScanner, parse, stringify } from "../control/urpc/json.ts";
import { SandboxError } from "./errors.ts";
import type { WorkDirectory } from "./host.ts";

/** sun_path of unix(7), without the NUL. */
const PATH_BYTES_MAX = 107;
/** Connections that wait for their next call, and for how long. The API's process ends some seconds after its last client. */
const IDLE_MAX = 8;
const IDLE_MILLIS = 1000;
/** Of one answer; the API's own limit is lower. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/** As the API answers. */
interface Answer {
  readonly success?: unknown;
  readonly err?: unknown;
  readonly result?: unknown;
}

export class Control {
  readonly #id: string;
  readonly #path: string;
  readonly #idle: Connection[] = [];

  /** `root` is the state directory; a path to it that is too long for a socket leads through `work`. */
  constructor(id: string, root: string | undefined, work: WorkDirectory) {
    this.#id = id;
    const directory = root ?? defaultRoot(), name = `runsc-${id}.sock`;
    const path = `${directory}/${name}`;
    if (new TextEncoder().encode(path).length <= PATH_BYTES_MAX) {
      this.#path = path;
      return;
    }
    symlinkSync(directory, `${work.path}/state`);
    this.#path = `${work.path}/state/${name}`;
  }

  /** The result of `method`. Rejects with what the API says, ABORTED, or FAILED where the sandbox has ended. */
  async call<T>(method: string, argument: object, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    const connection = this.#idle.pop() ?? await Connection.open(this.#path);
    connection.wake();
    const onAbort = () => connection.close(aborted());
    signal?.addEventListener("abort", onAbort);
    try {
      throwIfAborted(signal);
      const argumentOfOurs = { container_id: this.#id, ...argument };
      const answer = await connection.exchange(stringify({ method, arg: argumentOfOurs }));
      if (answer.success === true) return answer.result as T;
      throw refused(String(answer.err));
    } finally {
      signal?.removeEventListener("abort", onAbort);
      if (connection.isOpen && this.#idle.length < IDLE_MAX) this.#rest(connection);
      else connection.close();
    }
  }

  /** No call follows. Those on their way are answered yet. */
  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  #rest(connection: Connection): void {
    this.#idle.push(connection);
    connection.rest(IDLE_MILLIS, () => {
      const index = this.#idle.indexOf(connection);
      if (index >= 0) this.#idle.splice(index, 1);
    });
  }
}

class Connection {
  readonly #socket: Socket;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #scanner = new DocumentScanner();
  #wait: { resolve(answer: Answer): void; reject(error: Error): void } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (piece: Uint8Array) => this.#take(piece));
    socket.on("error", () => this.close());
    socket.on("close", () => this.close());
  }

  static open(path: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ path });
      socket.once(
        "error",
        (error: Error) => reject(new SandboxError("FAILED", `Cannot reach the sandbox: ${error.message}`)),
      );
      socket.once("connect", () => resolve(new Connection(socket)));
    });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  exchange(document: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(ended());
      this.#wait = { resolve, reject };
      this.#socket.write(document);
    });
  }

  /** It does not keep the program from its end, and closes after `millis`. */
  rest(millis: number, onClose: () => void): void {
    this.#socket.unref();
    this.#timer = setTimeout(() => {
      onClose();
      this.close();
    }, millis);
    (this.#timer as { unref?(): void }).unref?.();
  }

  wake(): void {
    clearTimeout(this.#timer);
    this.#socket.ref();
  }

  close(reason: SandboxError = ended()): void {
    clearTimeout(this.#timer);
    this.#socket.destroy();
    const wait = this.#wait;
    this.#wait = null;
    wait?.reject(reason);
  }

  #take(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    const end = this.#scanner.scan(piece, 0, piece.length);
    if (end === -1 && this.#bytes <= ANSWER_BYTES_MAX) return;
    const wait = this.#wait;
    // One document follows each call; anything else comes from nobody whom we know how to talk to.
    if (end !== piece.length || wait === null) return this.close(nonsense());
    let answer: unknown;
    try {
      answer = parse(textOf(this.#pieces, this.#bytes));
    } catch {
      return this.close(nonsense());
    }
    this.#pieces = [];
    this.#bytes = 0;
    this.#scanner = new DocumentScanner();
    this.#wait = null;
    wait.resolve(answer as Answer);
  }
}

function textOf(pieces: readonly Uint8Array[], bytes: number): string {
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return new TextDecoder().decode(all);
}

/** As the command line's --root is without the flag. */
function defaultRoot(): string {
  const runtime = process.getuid?.() === 0 ? undefined : process.env.XDG_RUNTIME_DIR;
  return runtime ? `${runtime}/tsvisor` : "/run/tsvisor";
}

/** The refusals of Fs.* end with the name of an errno. */
function refused(text: string): SandboxError {
  const errno = /: (E[A-Z0-9]+)$/.exec(text)?.[1];
  const code = errno === "ENOENT" ? "NOT_FOUND" : errno === "EEXIST" ? "EXISTS" : "FAILED";
  return new SandboxError(code, text, undefined, errno);
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted();
}

function aborted(): SandboxError {
  return new SandboxError("ABORTED", "The call was aborted");
}

function ended(): SandboxError {
  return new SandboxError("FAILED", "The sandbox has ended");
}

function nonsense(): SandboxError {
  return new SandboxError("FAILED", "The sandbox answers nonsense");
}
