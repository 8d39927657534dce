// The state directory: one JSON file a container, changed under a lock, each change at once. Linux peers: runc's state.json.

import { ESRCH } from "../../kernel/abi/errno.ts";
import { openProcess } from "../../native/directory.ts";
import { commandLineHost } from "../../native/host.ts";
import { controlSocketName } from "../control/control_socket.ts";
import * as z from "../schema.ts";
import { OwnDirectory } from "./own_directory.ts";

const PID_MAX = 4_194_304;
const FD_MAX = 1_048_576;
const ticks = z.string().check(z.regex(/^\d*$/));
const pid = z.number().check(z.int(), z.gte(0), z.lte(PID_MAX));

const stateSchema = z.object({
  id: z.string(),
  /** Host pid of the sentry, 0 while it is being made; of a container in another one's sandbox, of its runner. */
  pid,
  bundle: z.string(),
  created: z.string(),
  owner: z.string(),
  annotations: z.record(z.string(), z.string()),
  /** For "created" and "paused" the sentry is asked, as the record may be old: see boot/cli/condition.ts. */
  status: z.enum(["creating", "created", "running", "paused", "stopped"]),
  /** Start time of `pid` in clock ticks, so that a reused number is not taken for ours. */
  startTicks: ticks,
  /** The process that runs it: pid, start time, and the number of its control descriptor (-1 = none yet). */
  runner: z.object({
    pid,
    startTicks: ticks,
    controlFd: z.number().check(z.int(), z.gte(-1), z.lte(FD_MAX)),
  }),
  /** The host's cgroup that was made for it, and the unit that systemd has it in. */
  cgroup: z.optional(z.object({
    version: z.custom<1 | 2>((version) => version === 1 || version === 2),
    places: z.array(z.object({
      controllers: z.array(z.string()),
      path: z.string().check(z.startsWith("/")),
      inode: z.number().check(z.int(), z.nonnegative()),
      isForeign: z.boolean(),
    })),
  })),
  systemdUnit: z.optional(z.string()),
  /** Its runner waits in the background: that is the process that engines know. */
  isDetached: z.optional(z.boolean()),
  /** The root container of the sandbox that it runs in, where that is not itself. */
  sandboxId: z.optional(z.string()),
});

/** What a container's file holds; `status` is worked out when it is read. */
export type ContainerState = Readonly<z.infer<typeof stateSchema>>;

const ID = /^[\w+.-]+$/;
/** A file name is 255 bytes at most, and the longest of ours is an id with a suffix. */
const ID_CHARACTERS_MAX = 200;
const FILE_SUFFIX = ".json";

/** What is there: containers, and a sentence for each file that is none. */
export interface StateList {
  readonly states: readonly ContainerState[];
  readonly damaged: readonly string[];
}

export class StateDirectory {
  readonly #directory: OwnDirectory;
  constructor(root: string) {
    this.#directory = new OwnDirectory(root);
  }

  /** Throws when the id cannot be or is in use. */
  check(id: string): void {
    const name = fileOf(id);
    if (this.#directory.names().includes(name)) throw new Error(`Container "${id}" already exists`);
  }

  /** Takes the id: fails when it is in use. */
  create(state: ContainerState): void {
    const name = fileOf(state.id);
    this.#directory.make();
    this.#directory.change((writer) => {
      if (writer.has(name)) throw new Error(`Container "${state.id}" already exists`);
      writer.write(name, JSON.stringify(state));
    });
  }

  /** Replaces the file as a whole. False when it has been deleted meanwhile. */
  update(state: ContainerState): boolean {
    const name = fileOf(state.id);
    return this.#directory.change((writer) => {
      if (!writer.has(name)) return false;
      writer.write(name, JSON.stringify(state));
      return true;
    }) ?? false;
  }

  /** Changes the status from one of `from`; false when it is another meanwhile, or the record is gone. */
  move(id: string, from: readonly ContainerState["status"][], to: ContainerState["status"]): boolean {
    const name = fileOf(id);
    return this.#directory.change((writer) => {
      const text = writer.has(name) ? this.#directory.read(name) : null;
      const state = text === null ? "it is gone" : parsed(text, id);
      if (typeof state === "string" || !from.includes(state.status)) return false;
      writer.write(name, JSON.stringify({ ...state, status: to }));
      return true;
    }) ?? false;
  }

  /** False when another has removed it already. */
  remove(id: string): boolean {
    const name = fileOf(id);
    return this.#directory.change((writer) => {
      writer.removeUnfinished();
      writer.remove(controlSocketName(id));
      return writer.remove(name);
    }) ?? false;
  }

  /** The state as it is now: a container whose sentry is gone is stopped. Throws when there is none. */
  read(id: string): ContainerState {
    const state = this.find(id);
    if (state === null) throw new Error(`Container "${id}" does not exist`);
    return state;
  }

  /** As read(); null when there is none. */
  find(id: string): ContainerState | null {
    const name = fileOf(id);
    const text = this.#directory.read(name);
    if (text === null) return null;
    const state = parsed(text, id);
    if (typeof state === "string") throw new Error(`Cannot read ${this.#directory.path}/${name}: ${state}`);
    if (state.status === "stopped" || isAlive(state)) return state;
    return { ...state, status: "stopped", pid: 0 };
  }

  /** All of them, by id. One that is deleted meanwhile is left out. */
  list(): StateList {
    const states: ContainerState[] = [], damaged: string[] = [];
    for (const name of this.#directory.names()) {
      if (!name.endsWith(FILE_SUFFIX)) continue;
      try {
        const state = this.find(name.slice(0, -FILE_SUFFIX.length));
        if (state !== null) states.push(state);
      } catch (error) {
        damaged.push((error as Error).message);
      }
    }
    return { states, damaged };
  }
}

/** Name of a container's file. Throws when the id cannot be. */
function fileOf(id: string): string {
  if (!ID.test(id) || id === "." || id === "..") {
    throw new Error(`Container id ${JSON.stringify(id)} is not valid: it has letters, digits, _ + . -`);
  }
  if (id.length > ID_CHARACTERS_MAX) {
    throw new Error(
      `Container id "${
        id.slice(0, 20)
      }..." is not valid: ${id.length} characters, at most ${ID_CHARACTERS_MAX}`,
    );
  }
  return `${id}${FILE_SUFFIX}`;
}

/** The state in `text`, or what is wrong with it. */
function parsed(text: string, id: string): ContainerState | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is not JSON";
  }
  const result = stateSchema.safeParse(value);
  if (!result.success) return `it is no record of a container (${result.error.issues[0].path.join(".")})`;
  return result.data.id === id ? result.data : `it is the record of "${result.data.id}"`;
}

/** While it is being made it exists as long as its maker runs. */
function isAlive(state: ContainerState): boolean {
  const { pid, startTicks } = state.pid === 0 ? state.runner : state;
  const found = startTicksOf(pid);
  return found !== "" && found === startTicks;
}

/**
 * A descriptor of the process that had `pid` and that start time when it was noted, or -ERRNO. The descriptor comes first: if
 * the times agree then, it is of that process, since a number that was free in between would have another time.
 */
export function openRecorded(recorded: { readonly pid: number; readonly startTicks: string }): number {
  const process = openProcess(recorded.pid);
  if (process < 0) return process;
  const found = startTicksOf(recorded.pid);
  if (found !== "" && found === recorded.startTicks) return process;
  commandLineHost().close(process);
  return -ESRCH;
}

/** The process that engines know it by, 0 = none: who waits for it in the background, or else its sentry. */
export function shownPid({ isDetached, pid, runner }: ContainerState): number {
  return isDetached === true && pid !== 0 ? runner.pid : pid;
}

/** Start time of a process, "" when it is gone: field 22 of /proc/PID/stat. */
export function startTicksOf(pid: number): string {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? "" : fields[19] ?? "";
  } catch {
    return "";
  }
}
