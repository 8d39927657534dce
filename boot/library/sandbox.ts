// A sandbox as an object of the caller's program. It stands on the executable's own commands: what they check, this need not.

import { Control } from "./control.ts";
import { SandboxError } from "./errors.ts";
import { SandboxFs } from "./fs.ts";
import { readable, text, WorkDirectory } from "./host.ts";
import {
  configOf,
  durationOf,
  environmentOf,
  initProgram,
  labelsOf,
  networkFlags,
  type SandboxOptions,
  userFlag,
} from "./options.ts";
import { checkedSize, ChildProcess, type SignalName, type SpawnOptions } from "./process.ts";
import { scriptOf, ShellCommand } from "./shell.ts";
import { type CommandStatus, statusOf } from "./status.ts";
import { failure, type Started, type State, type TerminalSize, Tool, type ToolOptions } from "./tool.ts";

/** What list() tells of a sandbox. */
export interface SandboxSummary {
  /** What connect() takes. */
  readonly id: string;
  /** "created", "running", "paused" or "stopped". */
  readonly status: string;
  /** As they were given to create(). */
  readonly labels: Readonly<Record<string, string>>;
}

/** What a sandbox uses. */
export interface SandboxStats {
  /** Memory of its programs and files. */
  readonly memoryBytes: number;
  /** CPU time of its programs. */
  readonly cpuNanoseconds: bigint;
  /** Processes. */
  readonly tasks: number;
}

const POLL_MILLIS = 5;
const PROCESS_MILLIS_MAX = 10_000;

/**
 * A sandbox: a kernel of its own, in which commands run as they do on Linux. It ends when it is killed, when its scope ends
 * (`await using`), and when the program that made it ends, however that happens.
 *
 * ```ts ignore
 * import { Sandbox } from "@tsvisor/tsvisor";
 *
 * await using sandbox = await Sandbox.create();
 * console.log(await sandbox.sh`echo hello from $(uname -s)`.text());
 * ```
 */
export class Sandbox implements AsyncDisposable {
  /** Its name on the command line. */
  readonly id: string;
  /** How it has ended. Rejects where it took longer than its `timeout`, or was aborted. */
  readonly exited: Promise<CommandStatus>;
  /** Its files. */
  readonly fs: SandboxFs;
  readonly #control: Control;
  readonly #tool: Tool;
  readonly #defaults: Pick<SandboxOptions, "cwd" | "user">;
  readonly #work: WorkDirectory;
  #commands = 0;

  private constructor(
    id: string,
    tool: Tool,
    work: WorkDirectory,
    options: Pick<SandboxOptions, "cwd" | "user" | "timeout" | "signal" | "root">,
    ended: Promise<number>,
  ) {
    this.id = id;
    this.#tool = tool;
    this.#work = work;
    this.#defaults = options;
    this.#control = new Control(id, options.root, work);
    this.fs = new SandboxFs(this.#control);
    this.exited = statusOf("sandbox", ended, options, () => tool.run("kill", id, "KILL"));
    this.exited.catch(() => {});
  }

  /**
   * Makes a sandbox and waits until it runs. Rejects with INVALID_ARGUMENT, NOT_FOUND (no executable), ABORTED, or FAILED with
   * what tsvisor says.
   */
  static async create(options: SandboxOptions = {}): Promise<Sandbox> {
    if (options.signal?.aborted === true) throw new SandboxError("ABORTED", "The sandbox was aborted");
    if (options.timeout !== undefined) durationOf(options.timeout);
    const tool = new Tool(options);
    const id = `sandbox-${crypto.randomUUID()}`;
    const work = new WorkDirectory();
    try {
      work.write("init", initProgram(), 0o755);
      work.write("config.json", configOf(options, work.path), 0o600);
      // Its first process reads until the pipe ends, which it does with this program.
      const started = tool.start([...networkFlags(options), "run", "--bundle", work.path, id], [
        "piped",
        "null",
        "piped",
      ]);
      const said = text(readable(started.process.stderr)!);
      await runs(tool, id, started, said);
      return new Sandbox(id, tool, work, options, started.ended);
    } catch (error) {
      work[Symbol.dispose]();
      throw error;
    }
  }

  /** A running sandbox that another program has made. Rejects with NOT_FOUND where there is none. It goes on without this one. */
  static async connect(id: string, options: ToolOptions = {}): Promise<Sandbox> {
    const tool = new Tool(options);
    const { status } = await tool.state(id);
    if (status === "stopped") throw new SandboxError("NOT_FOUND", `Sandbox "${id}" has ended`);
    const ended = tool.run("wait", id).then((printed) => Number(JSON.parse(printed).exitStatus ?? 0));
    return new Sandbox(
      id,
      tool,
      new WorkDirectory(),
      options.root === undefined ? {} : { root: options.root },
      ended,
    );
  }

  /** The sandboxes of this state directory, those of the command line and of engines among them. */
  static async *list(options: ToolOptions = {}): AsyncGenerator<SandboxSummary, void, void> {
    const states: readonly State[] = JSON.parse(await new Tool(options).run("list", "--format", "json")) ??
      [];
    for (const { id, status, annotations } of states) {
      yield { id, status, labels: labelsOf(annotations ?? {}) };
    }
  }

  /** Starts a command. `command` is looked for on the sandbox's PATH. */
  spawn(command: string, options: SpawnOptions = {}): ChildProcess {
    const { cwd = this.#defaults.cwd, user = this.#defaults.user } = options;
    const file = `pid.${this.#commands++}`;
    const size = terminalSizeOf(options);
    // What programs ask it for, they find on any.
    const variables: Record<string, string> = size === null ? {} : { TERM: "xterm-256color" };
    const flags = [
      "--internal-pid-file",
      `${this.#work.path}/${file}`,
      ...(cwd === undefined ? [] : ["--cwd", cwd]),
      ...(user === undefined ? [] : ["--user", userFlag(user)]),
      ...environmentOf({ ...variables, ...options.env }).flatMap((entry) => ["--env", entry]),
    ];
    const words = [
      "exec",
      ...size === null ? [] : ["--tty"],
      ...flags,
      this.id,
      command,
      ...options.args ?? [],
    ];
    const { stdin = size === null ? "null" : "piped", stdout = "piped", stderr = "piped" } = options;
    const started = size === null
      ? this.#tool.start(words, [stdin, stdout, stderr])
      : this.#tool.startOnTerminal(words, size, [stdin, stdout]);
    return new ChildProcess(started, (signal) => this.#signal(file, signal, started), options);
  }

  /**
   * A command line for the sandbox's /bin/sh. Values are single words, whatever is in them; arrays are several.
   *
   * ```ts ignore
   * const size = await sandbox.sh`wc -c < ${path}`.text();
   * ```
   */
  sh(template: TemplateStringsArray, ...values: readonly unknown[]): ShellCommand {
    return new ShellCommand((command, options) => this.spawn(command, options), scriptOf(template, values));
  }

  /** Stops all of its processes until resume(). */
  async pause(): Promise<void> {
    await this.#tool.run("pause", this.id);
  }

  /** Lets them go on. */
  async resume(): Promise<void> {
    await this.#tool.run("resume", this.id);
  }

  /** What it uses now. */
  async stats(): Promise<SandboxStats> {
    const { data } = JSON.parse(await this.#tool.run("events", "--stats", this.id));
    return {
      memoryBytes: data.memory?.usage?.usage ?? 0,
      cpuNanoseconds: BigInt(data.cpu?.usage?.total ?? 0),
      tasks: data.pids?.current ?? 0,
    };
  }

  /** Ends it with all of its processes, and waits until nothing of it is left. One that has ended stays so. */
  async kill(): Promise<void> {
    try {
      await this.#tool.run("kill", this.id, "KILL");
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error;
      // It ends, or has ended.
    }
    await this.exited.catch(() => {});
    this.#control.close();
    this.#work[Symbol.dispose]();
  }

  /** As kill(). */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** Signals a command. Its number is known once it runs. */
  async #signal(file: string, signal: SignalName, started: Started): Promise<void> {
    let hasEnded = false;
    started.ended.finally(() => hasEnded = true).catch(() => {});
    const end = Date.now() + PROCESS_MILLIS_MAX;
    while (!hasEnded && Date.now() < end) {
      const pid = this.#work.read(file)?.trim() ?? "";
      if (pid === "") {
        await delay(POLL_MILLIS);
        continue;
      }
      try {
        await this.#tool.run("kill", "--pid", pid, this.id, signal);
      } catch (error) {
        // It may have ended meanwhile.
        if (!hasEnded) await Promise.race([started.ended, delay(PROCESS_MILLIS_MAX)]);
        if (!hasEnded) throw error;
      }
      return;
    }
  }
}

/** Of the terminal that a command gets; null = none. */
function terminalSizeOf({ pty = false }: SpawnOptions): TerminalSize | null {
  if (pty === false) return null;
  return pty === true ? { columns: 80, rows: 24 } : checkedSize(pty);
}

/** Waits until the sandbox runs. Rejects with what its process says when that ends before. */
async function runs(tool: Tool, id: string, { ended }: Started, said: Promise<string>): Promise<void> {
  let code: number | null = null;
  ended.then((value) => code = value, () => code = -1);
  while (code === null) {
    const status = await tool.state(id).then((state) => state.status, () => "");
    if (status === "running") return;
    await delay(POLL_MILLIS);
  }
  await ended;
  throw failure(await said, `It ended with ${code} before it ran`);
}

function delay(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis));
}
