// Virtual memory areas and their ordered set. Linux: struct vm_area_struct, maple tree. A sorted array with binary
// search: a process has tens to a few thousand areas, and moves within an array are cheap.

import { MAP_GROWSDOWN, MAP_NORESERVE, MAP_SHARED, MAP_STACK, PAGE_SIZE, PROT_WRITE } from "../abi/memory.ts";
import { AREA_COST, type Budget } from "../util/kernel_memory.ts";
import type { FutexHome } from "../task/futex_queue.ts";
import type { File } from "../vfs/file.ts";

/** The memory of a shared or file mapping. Private anonymous memory has none. */
export interface Backing extends FutexHome {
  /** The mapped file; null for shared anonymous memory. Each VMA holds it once. */
  readonly file: File | null;
  /** Host descriptor of the memory, and the offset of its byte 0; read when a mapping is carried out. */
  hostFd(): number;
  readonly hostOffset: number;
  /** The file is in memory, not on a disk. */
  readonly isMemory: boolean;
  hold(): void;
  drop(): void;
}

export class Vma {
  /** [start, end), page aligned. */
  start: number;
  end: number;
  /** PROT_ bits. */
  prot: number;
  /** MAP_SHARED or MAP_PRIVATE, and MAP_GROWSDOWN, MAP_NORESERVE, MAP_STACK as given at its creation. */
  flags: number;
  backing: Backing | null;
  /** Offset of `start` in the backing. */
  offset: number;
  /** "[heap]", "[stack]", "[vdso]", "[anon:name]", or "" to show the file's path. */
  name: string;
  /** False after MADV_DONTFORK: not inherited by fork(2). */
  isForked = true;
  /** MADV_WIPEONFORK: a forked child gets zeros. */
  isWiped = false;
  /** False after MADV_DONTDUMP. */
  isDumped = true;
  /** mseal(2): its place, size and protection stay as they are until the program ends. */
  isSealed = false;
  /** mlock(2) and others: counted, not pinned. */
  isLocked = false;
  /**
   * mbind(2): MPOL_ mode and flags, -1: the task's policy. With one memory node it has no effect and is only shown.
   */
  memoryPolicy = -1;
  /**
   * PROT_ bits that mprotect(2) may set: no write for a shared mapping of a read-only file, no execution on noexec
   * mounts.
   */
  protMax = 7;

  constructor(
    start: number,
    end: number,
    prot: number,
    flags: number,
    backing: Backing | null,
    offset: number,
    name: string,
  ) {
    this.start = start;
    this.end = end;
    this.prot = prot;
    this.flags = flags;
    this.backing = backing;
    this.offset = offset;
    this.name = name;
  }

  get length(): number {
    return this.end - this.start;
  }
  get isShared(): boolean {
    return (this.flags & MAP_SHARED) !== 0;
  }
  get growsDown(): boolean {
    return (this.flags & MAP_GROWSDOWN) !== 0;
  }
  /** Private and writable, and not a growing stack: counted by RLIMIT_DATA and VmData. */
  get isData(): boolean {
    return (this.prot & PROT_WRITE) !== 0 && (this.flags & (MAP_SHARED | MAP_GROWSDOWN)) === 0;
  }

  /** Shared memory that uses RAM: anonymous, or of a file in memory. */
  get isSharedMemory(): boolean {
    return this.isShared && this.backing !== null && this.backing.isMemory;
  }

  /** A copy of [start, end) of this area, which must be within it. It holds the backing once more. */
  slice(start: number, end: number): Vma {
    const copy = new Vma(
      start,
      end,
      this.prot,
      this.flags,
      this.backing,
      this.offset + (start - this.start),
      this.name,
    );
    copy.isForked = this.isForked;
    copy.isWiped = this.isWiped;
    copy.isDumped = this.isDumped;
    copy.isLocked = this.isLocked;
    copy.isSealed = this.isSealed;
    copy.memoryPolicy = this.memoryPolicy;
    copy.protMax = this.protMax;
    this.backing?.hold();
    return copy;
  }

  /** Whether `next`, which starts where this area ends, can be merged with it. */
  canMerge(next: Vma): boolean {
    return this.end === next.start && this.prot === next.prot && this.flags === next.flags &&
      this.name === next.name && this.isForked === next.isForked && this.isWiped === next.isWiped &&
      this.isDumped === next.isDumped && this.isLocked === next.isLocked && this.isSealed === next.isSealed &&
      this.protMax === next.protMax &&
      this.memoryPolicy === next.memoryPolicy &&
      isSameBacking(this.backing, next.backing) &&
      (this.backing === null || this.offset + this.length === next.offset);
  }
}

/** Backings of two mmap calls are the same if they map one open file; shared anonymous memory is never the same. */
function isSameBacking(a: Backing | null, b: Backing | null): boolean {
  return a === b || (a !== null && b !== null && a.file !== null && a.file === b.file);
}

/** The areas of one address space in order, with totals that each change updates. */
export class VmaSet {
  readonly #areas: Vma[] = [];
  readonly #heap: Budget;
  /** An area has been sealed: before that nobody looks for seals. */
  hasSeals = false;
  /** Sum of lengths in bytes. */
  totalBytes = 0;
  /** The bytes that are data (Vma.isData), and those that are locked. */
  dataBytes = 0;
  lockedBytes = 0;
  /** Data that must be committed: without MAP_NORESERVE and thread stacks. */
  committedBytes = 0;
  /** Shared memory, counted in full for each process that maps it. */
  sharedBytes = 0;
  /** The number of areas that #heap has counted. */
  #countedAreas = 0;
  /** Found by the last findGapBelow: between #fullAbove and #fullTop no gap is larger than #largestGap. */
  #fullTop = -1;
  #fullAbove = 0;
  #largestGap = 0;

  constructor(heap: Budget) {
    this.#heap = heap;
  }

  get count(): number {
    return this.#areas.length;
  }
  at(index: number): Vma {
    return this.#areas[index];
  }
  [Symbol.iterator](): Iterator<Vma> {
    return this.#areas[Symbol.iterator]();
  }

  /** Index of the first area that ends above `address`. */
  indexAfter(address: number): number {
    let low = 0, high = this.#areas.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#areas[middle].end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The area that includes `address`, or null. */
  find(address: number): Vma | null {
    const area = this.#areas[this.indexAfter(address)];
    return area !== undefined && area.start <= address ? area : null;
  }

  /** Whether nothing is mapped in [start, end). */
  isFree(start: number, end: number): boolean {
    const area = this.#areas[this.indexAfter(start)];
    return area === undefined || area.start >= end;
  }

  /** Whether [start, end) is mapped without a hole. */
  isCovered(start: number, end: number): boolean {
    for (let i = this.indexAfter(start); start < end; i++) {
      const area = this.#areas[i];
      if (area === undefined || area.start > start) return false;
      start = area.end;
    }
    return true;
  }

  /** Bytes of [start, end) that are mapped. */
  mappedBytes(start: number, end: number): number {
    let bytes = 0;
    for (let i = this.indexAfter(start); i < this.#areas.length && this.#areas[i].start < end; i++) {
      bytes += Math.min(end, this.#areas[i].end) - Math.max(start, this.#areas[i].start);
    }
    return bytes;
  }

  /** Adds an area in a free range and merges it with equal neighbours. */
  insert(area: Vma): void {
    const index = this.indexAfter(area.start);
    this.#count(area, area.length);
    this.#areas.splice(index, 0, area);
    this.#mergeAround(index);
    this.#settle();
  }

  /** Accounts for a changed number of areas. */
  #settle(): void {
    const change = this.#areas.length - this.#countedAreas;
    if (change === 0) return;
    this.#heap.force(change * AREA_COST);
    this.#countedAreas += change;
  }

  /** Moves the end of an area up into free space. */
  extend(area: Vma, end: number): void {
    this.#count(area, end - area.end);
    area.end = end;
    this.#mergeAround(this.indexAfter(area.start));
    this.#settle();
  }

  /** Moves the start of an anonymous area down into free space. */
  extendDown(area: Vma, start: number): void {
    this.#count(area, area.start - start);
    area.start = start;
  }

  /** Merges the area at `index` with the ones before and after it. */
  #mergeAround(index: number): void {
    const areas = this.#areas;
    const area = areas[index];
    const next = areas[index + 1];
    if (next !== undefined && area.canMerge(next)) {
      area.end = next.end;
      next.backing?.drop();
      areas.splice(index + 1, 1);
    }
    const before = areas[index - 1];
    if (before !== undefined && before.canMerge(area)) {
      before.end = area.end;
      area.backing?.drop();
      areas.splice(index, 1);
    }
  }

  /** Splits the area around `address`, so that an area starts there. */
  #split(address: number): void {
    const index = this.indexAfter(address);
    const area = this.#areas[index];
    if (area === undefined || area.start >= address) return;
    const tail = area.slice(address, area.end);
    area.end = address;
    this.#areas.splice(index + 1, 0, tail);
  }

  /** Removes all areas in [start, end) and drops their backings. */
  remove(start: number, end: number): void {
    if (this.isFree(start, end)) return;
    if (end > this.#fullAbove) this.#fullTop = -1;
    this.#split(start);
    this.#split(end);
    const from = this.indexAfter(start);
    let to = from;
    for (; to < this.#areas.length && this.#areas[to].start < end; to++) {
      this.#count(this.#areas[to], -this.#areas[to].length);
      this.#areas[to].backing?.drop();
    }
    this.#areas.splice(from, to - from);
    this.#settle();
  }

  /** Whether an area in [start, end) is sealed. */
  hasSealed(start: number, end: number): boolean {
    if (!this.hasSeals) return false;
    for (let i = this.indexAfter(start); i < this.#areas.length && this.#areas[i].start < end; i++) {
      if (this.#areas[i].isSealed) return true;
    }
    return false;
  }

  /** Calls `change` for every area in [start, end), split at the borders; merges afterwards. */
  update(start: number, end: number, change: (area: Vma) => void): void {
    this.#split(start);
    this.#split(end);
    const first = this.indexAfter(start);
    let last = first;
    for (; last < this.#areas.length && this.#areas[last].start < end; last++) {
      const area = this.#areas[last];
      this.#count(area, -area.length);
      change(area);
      this.#count(area, area.length);
    }
    this.#mergeWithin(Math.max(first - 1, 0), Math.min(last + 1, this.#areas.length));
    this.#settle();
  }

  /** Merges adjacent equal areas from index `first` to `last` in one pass, as there may be thousands. */
  #mergeWithin(first: number, last: number): void {
    const areas = this.#areas;
    let kept = first;
    for (let i = first + 1; i < last; i++) {
      const area = areas[i];
      if (areas[kept].canMerge(area)) {
        areas[kept].end = area.end;
        area.backing?.drop();
      } else {
        areas[++kept] = area;
      }
    }
    if (kept + 1 < last) areas.splice(kept + 1, last - kept - 1);
  }

  /** Adds `bytes` of the kind of `area` to the totals; negative to subtract. */
  #count(area: Vma, bytes: number): void {
    this.totalBytes += bytes;
    if (area.isLocked) this.lockedBytes += bytes;
    if (area.isSharedMemory) this.sharedBytes += bytes;
    if (!area.isData) return;
    this.dataBytes += bytes;
    if ((area.flags & (MAP_NORESERVE | MAP_STACK)) === 0) this.committedBytes += bytes;
  }

  /** The highest free range of `length` bytes between `bottom` and `top`; -1 for none. */
  findGapBelow(top: number, bottom: number, length: number): number {
    const isKnownFull = this.#fullTop === top && length > this.#largestGap;
    let end = isKnownFull ? this.#fullAbove : top;
    let largest = isKnownFull ? this.#largestGap : 0;
    for (let i = this.indexAfter(end - 1); i >= 0; i--) {
      const area = this.#areas[i];
      if (area === undefined) continue;
      const start = startWithGuard(area);
      if (start >= end) continue;
      const gap = end - area.end;
      if (gap >= length) break;
      if (gap > largest) largest = gap;
      end = start;
    }
    const start = end - length;
    if (start < bottom) return -1;
    this.#fullTop = top;
    this.#fullAbove = end;
    this.#largestGap = largest;
    return start;
  }

  /** The lowest free range of `length` bytes between `bottom` and `top`; -1 for none. */
  findGapAbove(bottom: number, top: number, length: number): number {
    let start = bottom;
    for (let i = this.indexAfter(bottom); i < this.#areas.length; i++) {
      const area = this.#areas[i];
      if (startWithGuard(area) - start >= length) break;
      start = Math.max(start, area.end);
    }
    return start + length <= top ? start : -1;
  }

  /** Copies the set for fork: the copies hold their backings; locks are not inherited. */
  cloneInto(other: VmaSet): void {
    for (const area of this.#areas) {
      if (!area.isForked) continue;
      const copy = area.slice(area.start, area.end);
      copy.isLocked = false;
      other.#areas.push(copy);
      other.#count(copy, copy.length);
    }
    other.hasSeals = this.hasSeals;
    other.#settle();
  }

  clear(): void {
    this.#fullTop = -1;
    for (const area of this.#areas) area.backing?.drop();
    this.#areas.length = 0;
    this.#settle();
    this.totalBytes =
      this.dataBytes =
      this.lockedBytes =
      this.committedBytes =
      this.sharedBytes =
        0;
  }
}

/** Bytes between a growing stack and its lower neighbour (stack_guard_gap). */
export const STACK_GUARD_BYTES = 256 * PAGE_SIZE;

/** The address at which an area below `area` must end: a growing stack keeps a guard gap. */
function startWithGuard(area: Vma): number {
  return area.growsDown ? area.start - STACK_GUARD_BYTES : area.start;
}
