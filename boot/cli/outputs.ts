// --out FILE:HOST of `do`: files that the program has made are copied to the host when it has ended. The sentry writes into a
// file beside HOST, which takes its name when all of it is there; what was at HOST stays otherwise.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import type { MessageFrom } from "../control/protocol.ts";
import { UsageError } from "./flags.ts";

/** Each is a descriptor of the sentry's. */
const OUTPUTS_MAX = 64;

interface Output {
  /** In the sandbox. */
  readonly from: string;
  readonly to: string;
  /** Where it is written until it is whole. */
  readonly partial: string;
  readonly fd: number;
  /** An errno, 0 = it is whole; null = it has not been reported. */
  errno: number | null;
  mode: number;
}

export class Outputs {
  readonly #outputs: Output[] = [];

  /** Opens the files for the values of --out; `cwd` is the program's. Throws UsageError for one that cannot be. */
  constructor(texts: readonly string[], cwd: string) {
    if (texts.length > OUTPUTS_MAX) {
      throw new UsageError(`--out: ${texts.length} files, at most ${OUTPUTS_MAX}`);
    }
    try {
      for (const text of texts) this.#outputs.push(openOutput(text, cwd));
    } catch (error) {
      this.finish();
      throw error;
    }
  }

  get paths(): readonly string[] {
    return this.#outputs.map(({ from }) => from);
  }

  get fds(): readonly number[] {
    return this.#outputs.map(({ fd }) => fd);
  }

  /** The sentry says how it went. */
  hear({ index, errno, mode }: Extract<MessageFrom<"role">, { kind: "exported" }>): void {
    const output = this.#outputs[index];
    if (output === undefined || output.errno !== null) return;
    output.errno = errno;
    output.mode = mode;
  }

  /** Gives whole files their names and removes the others: a sentence for each that has not come. Safe to call again. */
  finish(): string[] {
    const failures: string[] = [];
    for (const { from, to, partial, fd, errno, mode } of this.#outputs.splice(0)) {
      commandLineHost().close(fd);
      try {
        if (errno === 0) {
          // No more than the caller gives new files.
          Deno.chmodSync(partial, (mode | 0o600) & ~Deno.umask());
          Deno.renameSync(partial, to);
          continue;
        }
        Deno.removeSync(partial);
        const reason = errno === null ? "the sandbox ended before" : errnoName(errno);
        failures.push(`--out: ${from} is not copied: ${reason}`);
      } catch (error) {
        failures.push(`--out: cannot write ${to}: ${(error as Error).message.split(" (")[0]}`);
      }
    }
    return failures;
  }
}

function openOutput(text: string, cwd: string): Output {
  const at = text.lastIndexOf(":");
  const [from, to] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 0 || from === "" || to === "" || to.endsWith("/")) {
    throw new UsageError(`--out: "${text}" is not FILE-IN-SANDBOX:HOST-FILE`);
  }
  if (isDirectory(to)) throw new UsageError(`--out: "${to}" is a directory`);
  const partial = `${to}.tsvisor-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
  try {
    Deno.writeFileSync(partial, new Uint8Array(), { createNew: true });
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "its directory does not exist" : String(error);
    throw new UsageError(`--out: cannot write "${to}": ${reason.split("\n")[0]}`);
  }
  const fd = commandLineHost().openForAppend(partial);
  if (fd < 0) throw new UsageError(`--out: cannot write "${to}": ${errnoName(-fd)}`);
  return { from: from.startsWith("/") ? from : `${cwd}/${from}`, to, partial, fd, errno: null, mode: 0 };
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
