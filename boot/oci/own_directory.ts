// A directory that is the caller's own, with small files that are replaced as a whole. Root acts on what it reads in there (it
// kills processes), so nobody else may have written it: directory and files belong to the caller, others cannot write there,
// and no link is followed.

import { EEXIST, ELOOP, ENOENT, ENOSPC, ENOTDIR, errnoName } from "../../kernel/abi/errno.ts";
import {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  S_IFMT,
  S_IFREG,
} from "../../kernel/abi/file.ts";
import { i32, u32 } from "../../kernel/abi/struct.ts";
import { lock, openAt, renameAt, unlinkAt } from "../../native/directory.ts";
import { commandLineHost } from "../../native/host.ts";

/** Bytes of one file. */
const FILE_BYTES_MAX = 1024 * 1024;
/** Begins the name of a file that is not whole yet. */
const UNFINISHED = ".new-";
const TEMPORARY_TRIES_MAX = 16;
const STAT_BYTES = 144;
const GROUP_AND_OTHERS_WRITE = 0o022;

export class OwnDirectory {
  readonly path: string;
  readonly #host = commandLineHost();
  constructor(path: string) {
    this.path = path;
  }

  /** Makes the directory where it is missing, for the caller alone. */
  make(): void {
    try {
      Deno.mkdirSync(this.path, { recursive: true, mode: 0o700 });
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return;
      throw new Error(
        `Cannot make the state directory ${this.path}: ${reasonOf(error)}; --root names another`,
      );
    }
  }

  /** Names of its files; none where there is no directory. */
  names(): string[] {
    return this.#within(
      (directory) => [...Deno.readDirSync(`/proc/self/fd/${directory}`)].map(({ name }) => name).sort(),
      false,
    ) ?? [];
  }

  /** Text of a file, null where there is none. Throws one line for what is no file of the caller's. */
  read(name: string): string | null {
    return this.#within((directory) => {
      const fd = openAt(directory, name, O_RDONLY | O_NONBLOCK);
      if (fd === -ENOENT) return null;
      if (fd < 0) throw this.#refusal(name, fd === -ELOOP ? "it is a link" : errnoName(-fd));
      try {
        return this.#text(fd, name);
      } finally {
        this.#host.close(fd);
      }
    }, false);
  }

  /** One caller at a time changes what is there. null where there is no directory. */
  change<T>(change: (writer: Writer) => T): T | null {
    return this.#within((directory) => {
      return change(new Writer(directory, this.path));
    }, true);
  }

  #text(fd: number, name: string): string {
    const stat = new Uint8Array(STAT_BYTES);
    const result = this.#host.fstat(fd, stat, 0);
    if (result < 0) throw this.#refusal(name, errnoName(-result));
    const { uid, mode, size } = statOf(stat);
    if ((mode & S_IFMT) !== S_IFREG) throw this.#refusal(name, "it is no file");
    if (uid !== Deno.uid()) throw this.#refusal(name, `it belongs to user ${uid}`);
    if ((mode & GROUP_AND_OTHERS_WRITE) !== 0) throw this.#refusal(name, "others may write it");
    if (size > FILE_BYTES_MAX) throw this.#refusal(name, `${size} bytes, at most ${FILE_BYTES_MAX}`);
    const bytes = new Uint8Array(size);
    let length = 0;
    while (length < size) {
      const n = this.#host.pread(fd, bytes, length, size - length, length);
      if (n < 0) throw this.#refusal(name, errnoName(-n));
      if (n === 0) break;
      length += n;
    }
    return new TextDecoder().decode(bytes.subarray(0, length));
  }

  #refusal(name: string, reason: string): Error {
    return new Error(`Cannot read ${this.path}/${name}: ${reason}`);
  }

  /** Calls `use` with a descriptor of the directory, once that is known to be the caller's. null where there is none. */
  #within<T>(use: (directory: number) => T, isLocked: boolean): T | null {
    const directory = openDirectory(this.path);
    if (directory === -ENOENT) return null;
    const advice = "--root names another";
    if (directory === -ELOOP || directory === -ENOTDIR) {
      throw new Error(`Cannot use the state directory ${this.path}: it is a link or no directory; ${advice}`);
    }
    if (directory < 0) {
      throw new Error(`Cannot open the state directory ${this.path}: ${errnoName(-directory)}; ${advice}`);
    }
    try {
      const wrong = this.#problemOf(directory);
      if (wrong !== null) {
        throw new Error(`Cannot use the state directory ${this.path}: ${wrong}; ${advice}`);
      }
      const locked = isLocked ? lock(directory) : 0;
      if (locked < 0) {
        throw new Error(`Cannot lock the state directory ${this.path}: ${errnoName(-locked)}; ${advice}`);
      }
      return use(directory);
    } finally {
      this.#host.close(directory);
    }
  }

  #problemOf(directory: number): string | null {
    const stat = new Uint8Array(STAT_BYTES);
    const result = this.#host.fstat(directory, stat, 0);
    if (result < 0) return errnoName(-result);
    const { uid, mode } = statOf(stat);
    if (uid !== Deno.uid()) return `it belongs to user ${uid}`;
    if ((mode & GROUP_AND_OTHERS_WRITE) !== 0) {
      return `others may write there (mode ${(mode & 0o7777).toString(8)})`;
    }
    return null;
  }
}

/** What OwnDirectory.change() may do. */
class Writer {
  readonly #directory: number;
  readonly #path: string;
  constructor(directory: number, path: string) {
    this.#directory = directory;
    this.#path = path;
  }

  has(name: string): boolean {
    try {
      Deno.lstatSync(`/proc/self/fd/${this.#directory}/${name}`);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw new Error(`Cannot read ${this.#path}/${name}: ${reasonOf(error)}`);
    }
  }

  /** Readers see the old or the new, whole. */
  write(name: string, text: string): void {
    this.removeUnfinished();
    const failure = writeWhole(this.#directory, name, text);
    if (failure < 0) throw new Error(`Cannot write ${this.#path}/${name}: ${errnoName(-failure)}`);
  }

  /** False where there is none. */
  remove(name: string): boolean {
    const result = unlinkAt(this.#directory, name);
    if (result < 0 && result !== -ENOENT) {
      throw new Error(`Cannot remove ${this.#path}/${name}: ${errnoName(-result)}`);
    }
    return result === 0;
  }

  /** Left by a writer that was killed: only the holder of the lock may have such files. */
  removeUnfinished(): void {
    for (const { name } of Deno.readDirSync(`/proc/self/fd/${this.#directory}`)) {
      if (name.startsWith(UNFINISHED)) unlinkAt(this.#directory, name);
    }
  }
}

/** Puts a file of `text` into `directory` (a descriptor) as a whole, or nothing: -ERRNO. */
export function writeWhole(directory: number, name: string, text: string, mode = 0o600): number {
  let temporary = "", fd = -EEXIST;
  for (let tries = 0; fd === -EEXIST && tries < TEMPORARY_TRIES_MAX; tries++) {
    temporary = UNFINISHED + crypto.randomUUID();
    fd = openAt(directory, temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
  }
  if (fd < 0) return fd;
  const host = commandLineHost();
  const bytes = new TextEncoder().encode(text);
  let failure = 0;
  for (let done = 0; done < bytes.length && failure === 0;) {
    const n = host.write(fd, bytes, done, bytes.length - done);
    if (n > 0) done += n;
    else failure = n < 0 ? n : -ENOSPC;
  }
  host.close(fd);
  if (failure === 0) failure = renameAt(directory, temporary, name);
  if (failure < 0) unlinkAt(directory, temporary);
  return failure;
}

/** A descriptor of any directory, or -ERRNO; its last name is no link unless it ends with a slash. */
export function openDirectory(path: string): number {
  return openAt(-1, path, O_RDONLY | O_DIRECTORY);
}

/** Of struct stat (x86-64), <asm/stat.h>. */
function statOf(stat: Uint8Array): { uid: number; mode: number; size: number } {
  return { mode: u32(stat, 24), uid: u32(stat, 28), size: u32(stat, 48) + i32(stat, 52) * 2 ** 32 };
}

/** Deno's message in our words: without the number and the path. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/ \(os error \d+\).*/, "").replace(/^./, (letter) => letter.toLowerCase());
}
