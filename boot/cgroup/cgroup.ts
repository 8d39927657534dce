// The host's cgroup of a sandbox: the processes of the sandbox are in it before guest code runs, so that its limits hold for
// what our kernel cannot see as well. A cgroup is a directory in each hierarchy. Its record stands in the state directory:
// `delete` removes what was made for this sandbox, and nothing else.

import type { Resources } from "../oci/resources.ts";
import { type CgroupFiles, childrenOf, HOST_FILES, isRefusal, readOrNull } from "./files.ts";
import { directoryOf, hierarchiesOf, type Hierarchy } from "./hierarchies.ts";
import type { Setting } from "./settings.ts";
import { settingsOfV1 } from "./settings_v1.ts";
import { missingInV2, settingsOfV2 } from "./settings_v2.ts";

/** A directory of a cgroup. */
export interface CgroupPlace {
  readonly controllers: readonly string[];
  readonly path: string;
  /** Of the directory that was made for the sandbox; 0 = it is not known yet, or was there before. */
  readonly inode: number;
  /** It was there before: not ours to remove. */
  readonly isForeign: boolean;
}

export interface CgroupRecord {
  readonly version: 1 | 2;
  readonly places: readonly CgroupPlace[];
}

/** Why a sandbox has no cgroup: a reason for a person. */
export class NoCgroup extends Error {}
/** The host has no file for a limit: a line that says for which. */
export class MissingController extends Error {}
/** It is there already, and was to be made. */
export class CgroupExists extends Error {}

/** Times that the processes of a sandbox are looked for, while they make more. */
const JOIN_ROUNDS_MAX = 8;
const PROCESSES_MAX = 4096;

/** The hierarchies of this host. */
export function hostHierarchies(files: CgroupFiles = HOST_FILES): Hierarchy[] {
  const mountinfo = readOrNull(files, "/proc/self/mountinfo") ?? "";
  return hierarchiesOf(mountinfo, readOrNull(files, "/proc/self/cgroup") ?? "", files);
}

export class Cgroup {
  readonly version: 1 | 2;
  #places: CgroupPlace[];
  /** Where each hierarchy is mounted: v2's controllers are handed down from there. */
  readonly #tops: readonly string[];
  readonly #files: CgroupFiles;

  /** The cgroup of a record, or one that is to be made. */
  constructor(record: CgroupRecord, tops: readonly string[] = [], files: CgroupFiles = HOST_FILES) {
    this.version = record.version;
    this.#places = [...record.places];
    this.#tops = tops;
    this.#files = files;
  }

  /** The cgroup that `cgroupsPath` names, which make() makes. Throws NoCgroup where the host has none. */
  static planned(
    hierarchies: readonly Hierarchy[],
    cgroupsPath: string,
    id: string,
    files: CgroupFiles = HOST_FILES,
  ): Cgroup {
    if (hierarchies.length === 0) throw new NoCgroup("the host has mounted none");
    const places = hierarchies.map((hierarchy) => {
      const path = directoryOf(hierarchy, cgroupsPath, id);
      return { controllers: hierarchy.controllers, path, inode: 0, isForeign: files.inode(path) !== 0 };
    });
    const tops = hierarchies.map(({ mountPoint }) => mountPoint);
    return new Cgroup({ version: hierarchies[0].version, places }, tops, files);
  }

  get record(): CgroupRecord {
    return { version: this.version, places: this.#places };
  }

  /** Fields of `resources` that the host's version has nothing for. */
  missing(resources: Resources): string[] {
    return this.version === 2 ? missingInV2(resources) : [];
  }

  /**
   * Makes its directories. Throws NoCgroup where the caller may not, CgroupExists where one is there that is to be `mustBeNew`,
   * and leaves none then.
   */
  make(mustBeNew: boolean): void {
    const made: CgroupPlace[] = [];
    try {
      for (const [i, place] of this.#places.entries()) {
        made.push(this.#makePlace(place, this.#tops[i], mustBeNew));
        if (mustBeNew && made[i].isForeign) {
          throw new CgroupExists(`linux.cgroupsPath: ${place.path} is there already`);
        }
      }
      this.#places = made;
    } catch (error) {
      // The one that could not be made whole goes too.
      const unfinished = error instanceof CgroupExists
        ? []
        : this.#places.slice(made.length, made.length + 1);
      this.#places = [...made, ...unfinished];
      this.removeEmpty();
      if (isRefusal(error)) throw new NoCgroup(reasonOf(error));
      throw error;
    }
  }

  #makePlace(place: CgroupPlace, top: string, mustBeNew: boolean): CgroupPlace {
    const { path, controllers } = place;
    if (!path.startsWith(`${top}/`)) {
      throw new Error(`linux.cgroupsPath: it leads to ${path}, outside of ${top}`);
    }
    if (this.#files.inode(path) !== 0) {
      if (mustBeNew) throw new CgroupExists(`linux.cgroupsPath: ${path} is there already`);
      const count = this.#processesIn(path).length;
      if (count > 0) throw new Error(`linux.cgroupsPath: ${path} is in use, ${count} processes are in it`);
    }
    let isForeign = true;
    let at = top;
    for (const name of path.slice(top.length + 1).split("/")) {
      if (this.version === 2) this.#handDown(at, controllers);
      const parent = at;
      at = `${at}/${name}`;
      isForeign = !this.#makeDirectory(at);
      if (controllers.includes("cpuset") && this.version === 1) this.#inheritCpuset(parent, at);
    }
    return { ...place, isForeign, inode: isForeign ? 0 : this.#files.inode(path) };
  }

  /** False where it is there already. */
  #makeDirectory(path: string): boolean {
    try {
      this.#files.makeDirectory(path);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return false;
      throw error;
    }
  }

  /** v2: a cgroup's children have the controllers that it hands down. One that cannot be is missed when it is asked for. */
  #handDown(path: string, controllers: readonly string[]): void {
    const present = (readOrNull(this.#files, `${path}/cgroup.subtree_control`) ?? "").split(" ");
    for (const name of controllers) {
      if (present.includes(name)) continue;
      try {
        this.#files.write(`${path}/cgroup.subtree_control`, `+${name}`);
      } catch {
        // A cgroup with processes of its own hands nothing down, for one.
      }
    }
  }

  /** v1: a new cpuset is empty, and takes no process until it has processors and memory nodes. */
  #inheritCpuset(parent: string, path: string): void {
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if (readOrNull(this.#files, `${path}/${file}`) === "") {
        this.#files.write(`${path}/${file}`, this.#files.read(`${parent}/${file}`).trim());
      }
    }
  }

  /** Sets what `resources` asks for. Throws one line for what the host cannot. */
  limit(resources: Resources): void {
    const read = (controller: string, file: string) => this.read(controller, file);
    const settings = this.version === 1 ? settingsOfV1(resources, read) : settingsOfV2(resources, read);
    for (const setting of settings) this.#set(setting);
  }

  #set({ field, controller, files, value }: Setting): void {
    const path = this.#pathOf(controller);
    if (path === null) throw new MissingController(`${field}: the host has no ${controller} cgroup`);
    const file = files.find((name) => this.#files.inode(`${path}/${name}`) !== 0);
    if (file === undefined) {
      throw new MissingController(`${field}: the host's ${controller} cgroup has no ${files[0]}`);
    }
    try {
      this.#files.write(`${path}/${file}`, value);
    } catch (error) {
      throw new Error(`${field}: the host does not set ${file} to "${value}": ${reasonOf(error)}`);
    }
  }

  /** Text of a file of the cgroup, null where there is none. */
  read(controller: string, file: string): string | null {
    const path = this.#pathOf(controller);
    return path === null ? null : readOrNull(this.#files, `${path}/${file}`);
  }

  /** v2 has one directory for all; which controllers it has, its files say. */
  #pathOf(controller: string): string | null {
    if (this.version === 2) return this.#places[0]?.path ?? null;
    return this.#places.find(({ controllers }) => controllers.includes(controller))?.path ?? null;
  }

  /**
   * Puts processes of the sandbox into it, with those that they have made: what they make from now on is in it by itself. The
   * first ones must be there still.
   */
  join(pids: readonly number[]): void {
    for (const { path } of this.#places) {
      for (const pid of pids) {
        try {
          this.#files.write(`${path}/cgroup.procs`, String(pid));
        } catch (error) {
          throw new Error(`Cannot put process ${pid} into the cgroup ${path}: ${reasonOf(error)}`);
        }
      }
    }
    const known = new Set(pids);
    for (let round = 0; round < JOIN_ROUNDS_MAX; round++) {
      const more = [...known].flatMap((pid) => childrenOf(pid, this.#files)).filter((pid) => !known.has(pid));
      if (more.length === 0 || known.size > PROCESSES_MAX) return;
      for (const pid of more) {
        known.add(pid);
        this.#adopt(pid);
      }
    }
  }

  /** One that has ended meanwhile needs no cgroup. */
  #adopt(pid: number): void {
    for (const { path } of this.#places) {
      try {
        this.#files.write(`${path}/cgroup.procs`, String(pid));
      } catch (error) {
        if (!/\(os error 3\)/.test((error as Error).message)) throw error;
      }
    }
  }

  /** Processes in it, as far as it was made for the sandbox. */
  processes(): number[] {
    return [...new Set(this.#own().flatMap(({ path }) => this.#processesIn(path)))];
  }

  #processesIn(path: string): number[] {
    return (readOrNull(this.#files, `${path}/cgroup.procs`) ?? "").split("\n").filter((line) => line !== "")
      .map(Number);
  }

  /** Removes what was made for the sandbox and has no process any more; false = something is left. */
  removeEmpty(): boolean {
    let isGone = true;
    for (const { path } of this.#own()) {
      try {
        this.#files.removeDirectory(path);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) isGone = false;
      }
    }
    return isGone;
  }

  /** Those made for the sandbox. A maker that was killed has left no inode; who else would have made one of that name, empty? */
  #own(): CgroupPlace[] {
    return this.#places.filter(({ path, inode, isForeign }) => {
      const found = this.#files.inode(path);
      return !isForeign && found !== 0 && (inode === 0 || inode === found);
    });
  }
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/ \(os error \d+\).*/, "").replace(/^./, (letter) => letter.toLowerCase());
}
