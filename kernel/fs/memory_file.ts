// The bytes of a file in memory: tmpfs files, memfds, the upper layer's copies. Small files are JS arrays; once a
// file is mapped or large, its content moves to a host memfd, so that guests can map it.

import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, SEEK_DATA, SEEK_HOLE } from "../abi/file.ts";
import { EFBIG, ENOSPC, ENXIO } from "../abi/errno.ts";
import { PAGE_SIZE } from "../abi/memory.ts";
import { u64 } from "../abi/struct.ts";
import { STAT, STAT_BYTES } from "../arch/layouts.ts";
import type { HostDescriptor, HostDescriptors } from "../host/host_descriptor.ts";
import type { KernelAccount } from "../util/kernel_memory.ts";

/** Larger content is moved to a memfd; each transfer is then a call to the host. */
export const INLINE_BYTES_MAX = 256 * 1024;
/** The largest file (s_maxbytes of tmpfs is larger; 2^53 limits the kernel's offsets). */
const FILE_BYTES_MAX = 2 ** 46;

const EMPTY = new Uint8Array(0);
const status = new Uint8Array(STAT_BYTES);

/** Rounds `bytes` up to whole pages. */
export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}

function pageOf(offset: number): number {
  return Math.floor(offset / PAGE_SIZE);
}

function bitCount(word: number): number {
  let count = 0;
  for (; word !== 0; word &= word - 1) count++;
  return count;
}

export class MemoryFile {
  size = 0;
  /** How many times holes have been made. */
  holesMade = 0;
  readonly #descriptors: HostDescriptors;
  readonly #account: KernelAccount;
  #bytes: Uint8Array = EMPTY;
  /** Which pages of inline content were written, a bit for each: the others are holes. */
  #pagesLow = 0;
  #pagesHigh = 0;
  /** The host memory with the content; null while it is inline. */
  #memory: HostDescriptor | null = null;
  /**
   * Bytes of host memory counted, in whole pages, and the offset up to which they are counted; equal unless there are
   * holes.
   */
  #charged = 0;
  #chargedEnd = 0;

  constructor(descriptors: HostDescriptors, account: KernelAccount) {
    this.#descriptors = descriptors;
    this.#account = account;
  }

  /** Bytes of memory used, in whole pages: for statfs and st_blocks. Holes of files in host memory count as none. */
  get allocatedBytes(): number {
    if (this.#memory === null) return (bitCount(this.#pagesLow) + bitCount(this.#pagesHigh)) * PAGE_SIZE;
    if (this.#memory.fstat(status, 0) < 0) return pagesOf(this.size);
    return u64(status, STAT.blocks) * 512;
  }

  /** A truncation in pieces is under way: until it ends, nothing may write behind the new end or change the size. */
  get isShrinking(): boolean {
    return this.#memory !== null && this.#memory.isShrinking;
  }

  /** Whether the file has no holes: each of its bytes uses memory. */
  get isDense(): boolean {
    return !this.isShrinking && this.allocatedBytes >= this.size;
  }

  read(into: Uint8Array, at: number, length: number, offset: number): number {
    if (offset >= this.size) return 0;
    if (length > this.size - offset) length = this.size - offset;
    if (this.#memory !== null) return this.#memory.pread(into, at, length, offset);
    if (length <= 64) {
      for (let i = 0; i < length; i++) into[at + i] = this.#bytes[offset + i];
    } else {
      into.set(this.#bytes.subarray(offset, offset + length), at);
    }
    return length;
  }

  write(from: Uint8Array, at: number, length: number, offset: number): number {
    const end = offset + length;
    if (end > FILE_BYTES_MAX) return -EFBIG;
    if (this.#memory === null && end > INLINE_BYTES_MAX) {
      const memory = this.#moveToHost();
      if (typeof memory === "number") return memory;
    }
    if (offset > this.size) this.holesMade++;
    if (this.#memory !== null) {
      if (!this.#charge(offset, length)) return -ENOSPC;
      const n = this.#memory.pwrite(from, at, length, offset);
      if (n > 0 && offset + n > this.size) this.size = offset + n;
      return n;
    }
    if (end > this.#bytes.length && !this.#grow(end)) return -ENOSPC;
    const bytes = this.#bytes;
    for (let page = pageOf(offset); page * PAGE_SIZE < end; page++) this.#notePage(page);
    if (length <= 64) {
      for (let i = 0; i < length; i++) bytes[offset + i] = from[at + i];
    } else {
      bytes.set(from.subarray(at, at + length), offset);
    }
    if (end > this.size) this.size = end;
    return length;
  }

  /** Counts the memory of `length` bytes at `offset` of a file in host memory. */
  #charge(offset: number, length: number): boolean {
    const end = pagesOf(offset + length);
    if (end <= this.#chargedEnd) {
      // A write into a file with holes may or may not need memory: the host is asked.
      if (this.#charged === this.#chargedEnd) return true;
      this.#recount();
      return !this.#account.memory.files.isFull;
    }
    const from = Math.max(offset - offset % PAGE_SIZE, this.#chargedEnd);
    if (!this.#account.memory.files.take(end - from)) {
      // Memory that others have freed may still wait for its release: hurries that.
      this.#descriptors.releases.hurry(end - from);
      if (!this.#account.memory.files.take(end - from)) {
        this.#recount();
        return false;
      }
    }
    this.#charged += end - from;
    this.#chargedEnd = end;
    return true;
  }

  /** Counts the memory that the host has allocated. */
  #recount(): void {
    const bytes = this.#memory === null ? 0 : this.allocatedBytes;
    this.#account.memory.files.force(bytes - this.#charged);
    this.#charged = bytes;
  }

  #grow(length: number): boolean {
    const size = Math.max(64, Math.min(INLINE_BYTES_MAX, Math.max(length, this.#bytes.length * 2)));
    if (!this.#account.take(size - this.#bytes.length)) return false;
    const bytes = new Uint8Array(size);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    return true;
  }

  #dropBytes(): void {
    this.#account.give(this.#bytes.length);
    this.#bytes = EMPTY;
    this.#pagesLow = this.#pagesHigh = 0;
  }

  /** Large truncations are done in pieces: see isShrinking. */
  truncate(size: number): number {
    if (size > FILE_BYTES_MAX) return -EFBIG;
    if (size > this.size) this.holesMade++;
    if (this.#memory === null && size > INLINE_BYTES_MAX) {
      const memory = this.#moveToHost();
      if (typeof memory === "number") return memory;
    }
    if (this.#memory !== null) {
      if (size < this.size) {
        this.#memory.shrink(size);
      } else {
        const result = this.#memory.ftruncate(size);
        if (result < 0) return result;
      }
      if (size <= this.#chargedEnd) {
        this.#chargedEnd = pagesOf(size);
        this.#recount();
      }
    } else if (size < this.size) {
      this.#bytes.fill(0, size, this.size);
      this.#forgetPages(pagesOf(size) / PAGE_SIZE);
    } else if (size > this.#bytes.length && !this.#grow(size)) {
      return -ENOSPC;
    }
    this.size = size;
    return 0;
  }

  /** fallocate(2) on the content; the caller has checked the mode. */
  allocate(mode: number, offset: number, length: number): number {
    const memory = this.#moveToHost();
    if (typeof memory === "number") return memory;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) this.holesMade++;
    const isNew = (mode & ~FALLOC_FL_KEEP_SIZE) === 0;
    if (isNew && !this.#charge(offset, length)) return -ENOSPC;
    const result = memory.fallocate(mode, offset, length);
    if (!isNew || result < 0) this.#recount();
    if (result < 0) return result;
    if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && offset + length > this.size) this.size = offset + length;
    return 0;
  }

  /** SEEK_DATA and SEEK_HOLE, within the size. */
  seekData(offset: number, whence: number): number {
    if (this.#memory !== null) return this.#memory.lseek(offset, whence);
    const { size } = this;
    let page = pageOf(offset);
    while (page * PAGE_SIZE < size && this.#hasPage(page) !== (whence === SEEK_DATA)) page++;
    const place = Math.max(offset, page * PAGE_SIZE);
    if (place < size) return place;
    return whence === SEEK_DATA ? -ENXIO : size;
  }

  #hasPage(page: number): boolean {
    return ((page < 32 ? this.#pagesLow : this.#pagesHigh) >>> (page & 31) & 1) !== 0;
  }
  #notePage(page: number): void {
    if (page < 32) this.#pagesLow |= 1 << page;
    else this.#pagesHigh |= 1 << (page & 31);
  }
  /** Those from `page` on. */
  #forgetPages(page: number): void {
    if (page < 32) {
      this.#pagesLow &= (1 << page) - 1;
      this.#pagesHigh = 0;
    } else if (page < 64) {
      this.#pagesHigh &= (1 << (page & 31)) - 1;
    }
  }

  /**
   * A host descriptor of the content, for mapping, with no more access than requested; -ERRNO. The file keeps its
   * ownership.
   */
  hostFd(isForWriting: boolean): number {
    const memory = this.#moveToHost();
    return typeof memory === "number" ? memory : memory.fdForMapping(isForWriting);
  }

  /** The host memory with the content, moved there if need be; -ENOSPC. */
  #moveToHost(): HostDescriptor | number {
    if (this.#memory !== null) return this.#memory;
    const memory = this.#descriptors.newMemory("tmpfs", this.size);
    if (typeof memory === "number") return -ENOSPC;
    if (!this.#copyTo(memory)) {
      memory.drop();
      return -ENOSPC;
    }
    this.#memory = memory;
    this.#dropBytes();
    this.#chargedEnd = pagesOf(this.size);
    this.#recount();
    return memory;
  }

  #copyTo(memory: HostDescriptor): boolean {
    for (let done = 0; done < this.size;) {
      const start = this.seekData(done, SEEK_DATA);
      if (start < 0) break;
      const end = this.seekData(start, SEEK_HOLE);
      const n = memory.pwrite(this.#bytes, start, end - start, start);
      if (n <= 0) return false;
      done = start + n;
    }
    return true;
  }

  release(): void {
    this.#memory?.drop(this.#account.memory.files, this.#charged);
    this.#memory = null;
    this.#charged = this.#chargedEnd = 0;
    this.#dropBytes();
    this.size = 0;
  }
}
