// The state directory: one JSON file a container, written atomically under a lock. Linux peers: runc's state.json.

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
}

const ID = /^[\w+.-]{1,1024}$/;

export class StateDirectory {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }

  #path(id: string): string {
    if (!ID.test(id) || id === "." || id === "..") {
      throw new Error(`Container id "${id}" is not valid: letters, digits, _ + . -`);
    }
    return `${this.root}/${id}.json`;
  }

  /** Takes the id: fails when it is in use. */
  create(state: ContainerState): void {
    const path = this.#path(state.id);
    try {
      Deno.mkdirSync(this.root, { recursive: true, mode: 0o711 });
      Deno.writeTextFileSync(path, JSON.stringify(state), { createNew: true, mode: 0o600 });
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) {
        throw new Error(`Container "${state.id}" already exists`);
      }
      throw new Error(`Cannot write ${path}: ${(error as Error).message}`);
    }
  }

  /** Replaces the file as a whole: readers see the old or the new. */
  update(state: ContainerState): void {
    const path = this.#path(state.id);
    const temporary = `${path}.${Deno.pid}`;
    Deno.writeTextFileSync(temporary, JSON.stringify(state), { mode: 0o600 });
    Deno.renameSync(temporary, path);
  }

  remove(id: string): void {
    try {
      Deno.removeSync(this.#path(id));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /** The state as it is now: a container whose sentry is gone is stopped. Throws when there is none. */
  read(id: string): ContainerState {
    let text: string;
    try {
      text = Deno.readTextFileSync(this.#path(id));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) throw new Error(`Container "${id}" does not exist`);
      throw error;
    }
    const state = JSON.parse(text) as ContainerState;
    if (state.status === "stopped" || isAlive(state)) return state;
    return { ...state, status: "stopped", pid: 0 };
  }

  list(): ContainerState[] {
    const states: ContainerState[] = [];
    let names: string[];
    try {
      names = [...Deno.readDirSync(this.root)].map((entry) => entry.name);
    } catch {
      return states;
    }
    for (const name of names.sort()) {
      if (name.endsWith(".json")) states.push(this.read(name.slice(0, -5)));
    }
    return states;
  }
}

/** Start time of a process, "" when it is gone: field 22 of /proc/PID/stat. */
export function startTicksOf(pid: number): string {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    return "";
  }
}

function isAlive(state: ContainerState): boolean {
  if (state.pid === 0) return true; // being made by a process of its own
  const ticks = startTicksOf(state.pid);
  return ticks !== "" && ticks === state.startTicks;
}
