// The state directory: one JSON file a container, changed under a lock, each change at once. Linux peers: runc's state.json.

/** What a container's file holds; `status` is worked out when it is read. */
export interface ContainerState {
  readonly id: string;
  /** Host pid of the sentry, 0 while it is being made. */
  readonly pid: number;
  readonly bundle: string;
  readonly created: string;
  readonly owner: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly status: "creating" | "created" | "running" | "stopped";
  /** Start time of `pid` in clock ticks, so that a reused number is not taken for ours. */
  readonly startTicks: string;
  /** The process that runs it: pid, start time, and the number of its control descriptor (-1 = none yet). */
  readonly runner: { readonly pid: number; readonly startTicks: string; readonly controlFd: number };
}

const ID = /^[\w+.-]+$/;
/** A file name is 255 bytes at most, and the longest of ours is an id with a suffix. */
const ID_CHARACTERS_MAX = 200;
const FILE_SUFFIX = ".json";

export class StateDirectory {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }

  #path(id: string): string {
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
    return `${this.root}/${id}${FILE_SUFFIX}`;
  }

  /** Throws when the id cannot be or is in use. */
  check(id: string): void {
    if (fileExists(this.#path(id))) throw new Error(`Container "${id}" already exists`);
  }

  /** Takes the id: fails when it is in use. */
  create(state: ContainerState): void {
    const path = this.#path(state.id);
    try {
      Deno.mkdirSync(this.root, { recursive: true, mode: 0o711 });
    } catch (error) {
      throw new Error(`Cannot make the state directory ${this.root}: ${reason(error)}; --root names another`);
    }
    this.#locked(() => {
      if (fileExists(path)) throw new Error(`Container "${state.id}" already exists`);
      this.#write(path, state);
    });
  }

  /** Replaces the file as a whole. False when it has been deleted meanwhile. */
  update(state: ContainerState): boolean {
    const path = this.#path(state.id);
    return this.#locked(() => {
      if (!fileExists(path)) return false;
      this.#write(path, state);
      return true;
    });
  }

  /** Readers see the old or the new, whole. */
  #write(path: string, state: ContainerState): void {
    const fresh = `${path}.${Deno.pid}`;
    try {
      Deno.writeTextFileSync(fresh, JSON.stringify(state), { mode: 0o600 });
      Deno.renameSync(fresh, path);
    } catch (error) {
      throw new Error(`Cannot write ${path}: ${reason(error)}`);
    }
  }

  remove(id: string): void {
    const path = this.#path(id);
    try {
      this.#locked(() => Deno.removeSync(path));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** One command at a time changes what is there. The lock is on the directory and goes with its holder. */
  #locked<T>(change: () => T): T {
    let lock: Deno.FsFile;
    try {
      lock = Deno.openSync(this.root, { read: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) throw error;
      throw new Error(`Cannot lock the state directory ${this.root}: ${reason(error)}; --root names another`);
    }
    try {
      lock.lockSync(true);
      return change();
    } finally {
      lock.close();
    }
  }

  /** The state as it is now: a container whose sentry is gone is stopped. Throws when there is none. */
  read(id: string): ContainerState {
    const state = this.find(id);
    if (state === null) throw new Error(`Container "${id}" does not exist`);
    return state;
  }

  /** As read(); null when there is none. */
  find(id: string): ContainerState | null {
    const path = this.#path(id);
    let state: ContainerState;
    try {
      state = JSON.parse(Deno.readTextFileSync(path)) as ContainerState;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw new Error(`Cannot read ${path}: ${reason(error)}`);
    }
    if (state.status === "stopped" || isAlive(state)) return state;
    return { ...state, status: "stopped", pid: 0 };
  }

  /** All of them, by id. One that is deleted meanwhile is left out. */
  list(): ContainerState[] {
    let names: string[];
    try {
      names = [...Deno.readDirSync(this.root)].map((entry) => entry.name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw new Error(`Cannot read the state directory ${this.root}: ${reason(error)}`);
    }
    const states: ContainerState[] = [];
    for (const name of names.sort()) {
      if (!name.endsWith(FILE_SUFFIX)) continue;
      const state = this.find(name.slice(0, -FILE_SUFFIX.length));
      if (state !== null) states.push(state);
    }
    return states;
  }
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

/** While it is being made it lives as long as its maker. */
function isAlive(state: ContainerState): boolean {
  const { pid, startTicks } = state.pid === 0 ? state.runner : state;
  const ticks = startTicksOf(pid);
  return ticks !== "" && ticks === startTicks;
}

function fileExists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new Error(`Cannot read ${path}: ${reason(error)}`);
  }
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/ \(os error \d+\).*/, "").replace(/^./, (letter) => letter.toLowerCase());
}
