// Virtual memory areas and the ordered set of them: what is mapped where. Linux: struct vm_area_struct, maple tree.
// A sorted array with binary search: a process has tens to a few thousand areas, and moves within one array are cheap.

import { MAP_GROWSDOWN, MAP_NORESERVE, MAP_SHARED, MAP_STACK, PAGE_SIZE, PROT_WRITE } from "../abi/memory.ts";
import { AREA_COST, type Budget } from "../util/kernel_memory.ts";
import type { FutexHome } from "../task/futex_queue.ts";
import type { File } from "../vfs/file.ts";

/** What a shared or file mapping is made of. Anonymous private memory has none. */
export interface Backing extends FutexHome {
  /** The mapped file; null for shared anonymous memory. Held once per VMA. */
  readonly file: File | null;
  /** Host descriptor of the memory and offset of its byte 0; read when a mapping is carried out. */
  hostFd(): number;
  readonly hostOffset: number;
  /** It takes up memory, not a disk. */
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
  /** MAP_SHARED or MAP_PRIVATE, and which of MAP_GROWSDOWN, MAP_NORESERVE, MAP_STACK it was made with. */
  flags: number;
  backing: Backing | null;
  /** Offset in the backing of `start`. */
  offset: number;
  /** "[heap]", "[stack]", "[vdso]", "[anon:name]", or "" for the file's path. */
  name: string;
  /** False after MADV_DONTFORK: a forked child lacks it. */
  isForked = true;
  /** MADV_WIPEONFORK: a forked child finds zeros. */
  isWiped = false;
  /** False after MADV_DONTDUMP. */
  isDumped = true;
  /** mlock(2) and kin: counted, not pinned. */
  isLocked = false;
  /** mbind(2): MPOL_ mode and flags, -1 = the task's. With one memory node it is only shown. */
  memoryPolicy = -1;
  /** PROT_ bits mprotect may give: a shared mapping of a read-only file is never writable, none of noexec is executable. */
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
  /** Private and writable, not a stack that grows: what RLIMIT_DATA and VmData count. */
  get isData(): boolean {
    return (this.prot & PROT_WRITE) !== 0 && (this.flags & (MAP_SHARED | MAP_GROWSDOWN)) === 0;
  }

  /** Shared memory that its users have to be found room for: anonymous, or a file that lives in memory. */
  get isSharedMemory(): boolean {
    return this.isShared && this.backing !== null && this.backing.isMemory;
  }

  /** A copy of [start, end) of this area, which must lie within it. Holds the backing once more. */
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
    copy.memoryPolicy = this.memoryPolicy;
    copy.protMax = this.protMax;
    this.backing?.hold();
    return copy;
  }

  /** Whether `next`, which begins where this ends, could be the same area. */
  canMerge(next: Vma): boolean {
    return this.end === next.start && this.prot === next.prot && this.flags === next.flags &&
      this.name === next.name && this.isForked === next.isForked && this.isWiped === next.isWiped &&
      this.isDumped === next.isDumped && this.isLocked === next.isLocked && this.protMax === next.protMax &&
      this.memoryPolicy === next.memoryPolicy &&
      isSameBacking(this.backing, next.backing) &&
      (this.backing === null || this.offset + this.length === next.offset);
  }
}

/** Two mmap calls of one open file give memory that belongs together; two of shared anonymous memory never do. */
function isSameBacking(a: Backing | null, b: Backing | null): boolean {
  return a === b || (a !== null && b !== null && a.file !== null && a.file === b.file);
}

/** The areas of one address space in order. Totals follow every change. */
export class VmaSet {
  readonly #areas: Vma[] = [];
  readonly #heap: Budget;
  /** Sum of lengths, bytes. */
  totalBytes = 0;
  /** Of those that are data (Vma.isData), and that are locked. */
  dataBytes = 0;
  lockedBytes = 0;
  /** Data that memory may have to be found for: without MAP_NORESERVE and thread stacks. */
  committedBytes = 0;
  /** Shared memory: counted in full for each process that maps it. */
  sharedBytes = 0;
  /** Areas that #heap counts. */
  #countedAreas = 0;
  /** What the last findGapBelow has seen: from #fullAbove up to #fullTop no gap is larger than #largestGap. */
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

  /** The area that holds `address`, or null. */
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

  /** Adds an area to a free range, merged with its neighbours where they are alike. */
  insert(area: Vma): void {
    const index = this.indexAfter(area.start);
    this.#count(area, area.length);
    this.#areas.splice(index, 0, area);
    this.#mergeAround(index);
    this.#settle();
  }

  /** The number of areas has changed. */
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

  /** Makes `address` a border between areas, if it lies within one. */
  #split(address: number): void {
    const index = this.indexAfter(address);
    const area = this.#areas[index];
    if (area === undefined || area.start >= address) return;
    const tail = area.slice(address, area.end);
    area.end = address;
    this.#areas.splice(index + 1, 0, tail);
  }

  /** Takes out everything in [start, end) and drops its backings. */
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

  /** Calls `change` on every area in [start, end), split at the borders; merges again afterwards. */
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

  /** Merges those from index `first` up to `last` that can be one, in one pass: there may be thousands. */
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

  /** `bytes` of the kind of `area` come (or go, when negative). */
  #count(area: Vma, bytes: number): void {
    this.totalBytes += bytes;
    if (area.isLocked) this.lockedBytes += bytes;
    if (area.isSharedMemory) this.sharedBytes += bytes;
    if (!area.isData) return;
    this.dataBytes += bytes;
    if ((area.flags & (MAP_NORESERVE | MAP_STACK)) === 0) this.committedBytes += bytes;
  }

  /** Highest free range of `length` bytes that ends at or below `top` and starts at or above `bottom`; -1 = none. */
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

  /** Lowest free range of `length` bytes at or above `bottom` that ends at or below `top`; -1 = none. */
  findGapAbove(bottom: number, top: number, length: number): number {
    let start = bottom;
    for (let i = this.indexAfter(bottom); i < this.#areas.length; i++) {
      const area = this.#areas[i];
      if (startWithGuard(area) - start >= length) break;
      start = Math.max(start, area.end);
    }
    return start + length <= top ? start : -1;
  }

  /** Copies the set for fork: areas hold their backings once more; locks are not inherited. */
  cloneInto(other: VmaSet): void {
    for (const area of this.#areas) {
      if (!area.isForked) continue;
      const copy = area.slice(area.start, area.end);
      copy.isLocked = false;
      other.#areas.push(copy);
      other.#count(copy, copy.length);
    }
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

/** Where what lies below `area` has to end: a stack that grows down keeps a distance. */
function startWithGuard(area: Vma): number {
  return area.growsDown ? area.start - STACK_GUARD_BYTES : area.start;
}
