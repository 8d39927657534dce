// Descriptor tables: small numbers to open file descriptions. Linux: struct files_struct.

import { EBADF, EMFILE, ENFILE, ENOMEM } from "../abi/errno.ts";
import { O_PATH } from "../abi/file.ts";
import { CAP_SYS_ADMIN, RLIMIT_NOFILE } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import type { File } from "./file.ts";
import { releasePosixLocks } from "./file_locks.ts";

export class FdTable {
  readonly #files: (File | null)[] = [];
  readonly #closeOnExec: boolean[] = [];
  /** No free number below this. */
  #lowestFree = 0;
  /** Tasks that share it (CLONE_FILES). */
  #references = 1;
  /** Open descriptors. */
  count = 0;

  /** The file of `fd`, or null. Not held: it stays valid during the call. */
  get(fd: number): File | null {
    return fd >= 0 && fd < this.#files.length ? this.#files[fd] : null;
  }

  /** As get(), but null for a place that O_PATH has opened: most calls do not know those. Linux: fdget(). */
  getOpen(fd: number): File | null {
    const file = this.get(fd);
    return file !== null && (file.flags & O_PATH) === 0 ? file : null;
  }

  /** Highest descriptor in use plus one. */
  get size(): number {
    return this.#files.length;
  }

  isCloseOnExec(fd: number): boolean {
    return this.#closeOnExec[fd] === true;
  }
  setCloseOnExec(fd: number, value: boolean): void {
    this.#closeOnExec[fd] = value;
  }

  /**
   * Gives `file` (whose reference it takes over) the lowest free number from `from` on. -EMFILE at RLIMIT_NOFILE, -ENFILE where
   * the sandbox has too many open files, -ENOMEM where the kernel's memory is full; the reference stays with the caller then.
   */
  allocate(task: Task, file: File, closeOnExec: boolean, from = 0): number {
    const limit = task.threadGroup.limits.soft(RLIMIT_NOFILE);
    const isNew = file.references === 1;
    let fd = Math.max(from, this.#lowestFree);
    while (fd < this.#files.length && this.#files[fd] !== null) fd++;
    if (fd >= limit) return -EMFILE;
    const refused = isNew ? noRoom(task) : 0;
    if (refused !== 0) return refused;
    this.#put(fd, file, closeOnExec);
    if (from <= this.#lowestFree) this.#lowestFree = fd + 1;
    return fd;
  }

  /** Why no new file can be given a number now: -EMFILE, -ENFILE, -ENOMEM; else 0. */
  refusal(task: Task): number {
    if (this.count >= task.threadGroup.limits.soft(RLIMIT_NOFILE)) return -EMFILE;
    return noRoom(task);
  }

  #put(fd: number, file: File, closeOnExec: boolean): void {
    while (this.#files.length <= fd) {
      this.#files.push(null);
      this.#closeOnExec.push(false);
    }
    this.#files[fd] = file;
    this.#closeOnExec[fd] = closeOnExec;
    this.count++;
  }

  /** Puts `file` (taking over its reference) at `fd`, closing the file that is there. dup2(2). */
  replace(task: Task, fd: number, file: File, closeOnExec: boolean): void {
    const before = this.#take(fd);
    this.#put(fd, file, closeOnExec);
    if (before !== null) closeFile(task, before);
  }

  #take(fd: number): File | null {
    const file = this.get(fd);
    if (file === null) return null;
    this.#files[fd] = null;
    this.#closeOnExec[fd] = false;
    this.count--;
    if (fd < this.#lowestFree) this.#lowestFree = fd;
    return file;
  }

  close(task: Task, fd: number): number {
    const file = this.#take(fd);
    if (file === null) return -EBADF;
    return closeFile(task, file);
  }

  /** A copy with every file held once more; for fork. */
  clone(): FdTable {
    const copy = new FdTable();
    for (let fd = 0; fd < this.#files.length; fd++) {
      const file = this.#files[fd];
      file?.hold();
      copy.#files.push(file);
      copy.#closeOnExec.push(this.#closeOnExec[fd]);
    }
    copy.#lowestFree = this.#lowestFree;
    copy.count = this.count;
    return copy;
  }

  /** execve(2). */
  closeForExec(task: Task): void {
    for (let fd = 0; fd < this.#files.length; fd++) if (this.#closeOnExec[fd]) this.close(task, fd);
  }

  get references(): number {
    return this.#references;
  }
  hold(): void {
    this.#references++;
  }
  /** One task less; the last one closes everything. */
  drop(task: Task): void {
    if (--this.#references > 0) return;
    for (let fd = 0; fd < this.#files.length; fd++) if (this.#files[fd] !== null) this.close(task, fd);
  }

  /** Calls `visit` with every open descriptor in order. */
  forEach(visit: (fd: number, file: File) => void): void {
    for (let fd = 0; fd < this.#files.length; fd++) {
      const file = this.#files[fd];
      if (file !== null) visit(fd, file);
    }
  }
}

/** Why the sandbox can hold no further open file. Linux: alloc_empty_file(). */
function noRoom(task: Task): number {
  const { vfs } = task.kernel;
  if (vfs.openFiles > vfs.parameters.filesMax && !task.credentials.has(CAP_SYS_ADMIN)) return -ENFILE;
  return vfs.memory.heap.isFull ? -ENOMEM : 0;
}

function closeFile(task: Task, file: File): number {
  const result = file.flush(task);
  if (file.inode.locks !== null) releasePosixLocks(file.inode, task.files);
  file.drop();
  return result;
}
