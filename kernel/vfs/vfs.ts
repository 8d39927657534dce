// What the file systems of one kernel share: kernel.vfs. Each file system leads to it, and so does every inode, file and
// mount.

import type { LoopService } from "../host/loop_service.ts";
import type { Task } from "../task/task.ts";
import type { KernelMemory } from "../util/kernel_memory.ts";
import { Parameters } from "../util/parameters.ts";
import { Sequence } from "../util/sequence.ts";
import { DentryCache } from "./dentry_cache.ts";
import type { File } from "./file.ts";
import { LockWaits } from "./file_locks.ts";
import type { FilesystemType } from "./filesystem.ts";
import type { Inode } from "./inode.ts";

/** Opens a node that is not content: a FIFO or a device. May answer what task.block() returned. */
export type SpecialOpener = (task: Task, inode: Inode, flags: number) => File | number;

/** What the rooms to the right of this one bring: the lists of kernel/fs/registry.ts. */
export interface FileRegistry {
  /** File system types by name. */
  readonly filesystems: ReadonlyMap<string, FilesystemType>;
  /** Who opens nodes of type S_IFIFO, S_IFCHR, S_IFBLK: any file system may hold such nodes. */
  readonly openers: ReadonlyMap<number, SpecialOpener>;
}

/** Files within files that are released at once; the rest goes in the next turns. */
const RELEASED_MAX = 64;

/**
 * Files that close, one after the other: a file in a message in a socket in a message, and so on, is as deep as a guest likes,
 * and our stack is not. Linux: delayed_fput_list, and unix_gc() for sockets.
 */
class FileReleases implements LoopService {
  readonly name = "files that close";
  readonly #waiting: File[] = [];
  #isAtWork = false;

  /** The last reference to `file` went. Returns when it has been released; within another's release, before. */
  release(file: File): void {
    if (this.#isAtWork) {
      this.#waiting.push(file);
      return;
    }
    this.#isAtWork = true;
    try {
      file.release();
    } finally {
      // An error of ours in one leaves the others their end.
      this.#finish();
    }
  }

  /** Others have waited for their turn. */
  poll(): void {
    this.#isAtWork = true;
    this.#finish();
  }

  pollAt(): number {
    return this.#waiting.length > 0 ? 0 : Infinity;
  }

  #finish(): void {
    const waiting = this.#waiting;
    try {
      for (let count = 0; count < RELEASED_MAX && waiting.length > 0; count++) waiting.pop()!.release();
      this.#isAtWork = false;
    } finally {
      if (this.#isAtWork) this.#finish();
    }
  }
}

export class Vfs {
  readonly registry: FileRegistry;
  /** The kernel's account: files, inodes, mounts and locks count there. */
  readonly memory: KernelMemory;
  /** The kernel's parameters. */
  readonly parameters = new Parameters();
  readonly dentries = new DentryCache();
  /** Who waits for whose record lock. */
  readonly lockWaits = new LockWaits();
  readonly releases = new FileReleases();
  /** Open file descriptions: fs.file-nr. */
  openFiles = 0;
  /** Watches on inodes (notify.ts); with none, notifying costs next to nothing. */
  watchCount = 0;
  /** Numbers that tie IN_MOVED_FROM to its IN_MOVED_TO. */
  readonly moveCookies = new Sequence(1);
  /** Minors of st_dev. */
  readonly devices = new Sequence(1);
  readonly mountIds = new Sequence(1);
  readonly peerGroups = new Sequence(1);
  /** Inode numbers where a file system has none of its own: get_next_ino(). */
  readonly inodeNumbers = new Sequence(1);
  /** Ids of DirectTransfers. */
  readonly transferIds = new Sequence(1);

  /** What the path walk under way leads to is opened for reading next: LOOKUP_OPEN. A file system may open it at once. */
  opensNext = false;
  /**
   * The path walk under way looks up aheadText.slice(aheadAt) behind the name that it asks for; -1 = nothing. A file system
   * may find out about several names at once.
   */
  aheadText = "";
  aheadAt = -1;
  /** What is under way cannot be made again piece by piece: files may not answer MUST_WAIT, but wait on the spot. */
  isIndivisible = false;

  constructor(memory: KernelMemory, registry: FileRegistry) {
    this.memory = memory;
    this.registry = registry;
  }

  /** Runs `action` in one go: what has to wait in it waits on the spot (MUST_WAIT is never its answer). */
  indivisibly<T>(action: () => T): T {
    const before = this.isIndivisible;
    this.isIndivisible = true;
    try {
      return action();
    } finally {
      this.isIndivisible = before;
    }
  }
}
