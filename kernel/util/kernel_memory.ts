// Memory of the sentry itself that guests make it hold: open files, data queued in pipes and sockets, small files, locks,
// areas of address spaces. Linux: kernel memory that a memory cgroup counts (GFP_KERNEL_ACCOUNT). Our heap is small and
// shared by all, so what no limit of Linux bounds is bounded here: a call that would take more answers as Linux does when
// it finds no memory. Each kernel has one account: kernel.account.

/** The account's limit: this fraction of the memory shown to guests, within these bounds. */
const MEMORY_PART = 8;
const BYTES_MIN = 48 * 1024 * 1024;
/** The sentry's heap ends at 2 GiB; objects are counted by guess. */
const BYTES_MAX = 768 * 1024 * 1024;

/** How far areas may go beyond the limit of the rest. */
const RESERVE_FACTOR = 1.25;

/** What objects count, bytes: measured, with the objects and table entries they drag along, and rounded up. */
export const FILE_COST = 1024;
export const INODE_COST = 1024;
export const AREA_COST = 256;
export const LOCK_COST = 128;
export const MOUNT_COST = 1024;

/** A limit in bytes and what is used of it. */
export class Budget {
  readonly limitBytes: number;
  usedBytes = 0;
  /** Called when something is refused; set by boot. */
  onRefusal: () => void = () => {};

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Takes `bytes` if they are there. */
  take(bytes: number): boolean {
    if (this.usedBytes + bytes > this.limitBytes) {
      this.onRefusal();
      return false;
    }
    this.usedBytes += bytes;
    return true;
  }

  /** Takes `bytes` whether or not they are there: where nothing can be refused any more. */
  force(bytes: number): void {
    this.usedBytes += bytes;
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
  }

  /**
   * Not even `bytes` for areas of memory fit. These may go further than the rest: without forks and new programs nobody
   * could do anything about a process that has taken all.
   */
  isExhausted(bytes: number): boolean {
    if (this.usedBytes + bytes <= this.limitBytes * RESERVE_FACTOR) return false;
    this.onRefusal();
    return true;
  }

  /** Nothing more fits; for objects that have been made already and are counted by force. */
  get isFull(): boolean {
    if (this.usedBytes <= this.limitBytes) return false;
    this.onRefusal();
    return true;
  }
}

/** The account of one kernel. */
export class KernelMemory {
  /** Objects on the sentry's heap. */
  readonly heap: Budget;
  /** Pages of files that live in memory and are held by the host (fs/memory_file.ts). */
  readonly files: Budget;

  /** For a sandbox that shows `totalBytes` of memory. Files get half of it, as in a tmpfs without size=. */
  constructor(totalBytes: number) {
    this.heap = new Budget(Math.max(BYTES_MIN, Math.min(BYTES_MAX, totalBytes / MEMORY_PART)));
    this.files = new Budget(totalBytes / 2);
  }
}

/** What one owner (a file system) has taken, to be given back as a whole when it goes. */
export class KernelAccount {
  readonly memory: KernelMemory;
  #bytes = 0;
  #isClosed = false;

  constructor(memory: KernelMemory) {
    this.memory = memory;
  }

  take(bytes: number): boolean {
    if (!this.memory.heap.take(bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  force(bytes: number): void {
    this.memory.heap.force(bytes);
    this.#bytes += bytes;
  }

  give(bytes: number): void {
    if (this.#isClosed) return;
    this.#bytes -= bytes;
    this.memory.heap.give(bytes);
  }

  close(): void {
    this.#isClosed = true;
    this.memory.heap.give(this.#bytes);
    this.#bytes = 0;
  }
}
