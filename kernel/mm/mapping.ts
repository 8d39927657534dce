// mmap(2), munmap(2), mprotect(2), brk(2) on a memory map: checks in Linux's order, the change of the VMA tree, and
// the platform command that carries it out. mremap(2) is in remap.ts. Linux: mm/mmap.c, mm/mprotect.c.

import {
  EACCES,
  EAGAIN,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
} from "../abi/errno.ts";
import { MS_NOEXEC } from "../abi/file.ts";
import {
  isPageAligned,
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_EXECUTABLE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_TYPE,
  PAGE_SIZE,
  pageDown,
  pageUp,
  PROT_EXEC,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  PROT_READ,
  PROT_SEM,
  PROT_WRITE,
} from "../abi/memory.ts";
import { RLIMIT_DATA } from "../abi/task.ts";
import { instructionPointer, LAYOUT } from "../arch/arch.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import type { MemoryMap } from "./address_space.ts";
import { AREA_COST } from "../util/kernel_memory.ts";
import { FileBacking, newSharedMemory } from "./backing.ts";
import { isReserved, mayCommit, mayExpand, mayLock, POPULATE_PIECE_BYTES } from "./limits.ts";
import { type Backing, Vma } from "./vma.ts";

const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC;
/** Above it a number is not exact. */
const OFFSET_END = 2 ** 53;
/** Flags that MAP_SHARED_VALIDATE accepts (LEGACY_MAP_MASK); the size bits of huge pages only with MAP_HUGETLB. */
const LEGACY_FLAGS = MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE |
  MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |
  MAP_32BIT;
/** The flags that an area keeps. */
const KEPT_FLAGS = MAP_GROWSDOWN | MAP_NORESERVE | MAP_STACK;

/** mmap(2). Returns the address, or -ERRNO. `file` is null for anonymous memory. */
export function mapMemory(
  task: Task,
  hint: number,
  length: number,
  prot: number,
  flags: number,
  file: File | null,
  offset: number,
  name = "",
): number {
  const area = planMapping(task, hint, length, prot, flags, file, offset, name);
  if (typeof area === "number") return area;
  const { mm } = task, { start: address, isLocked, isShared } = area;
  length = area.length;
  const backing = backingFor(task, file, isShared, area.prot, length);
  if (typeof backing === "number") return backing;
  area.backing = backing;
  if (file !== null) area.protMax = protMaxOf(file, isShared);
  // The calling system call populates large ranges in pieces (syscalls/paging.ts).
  const isAtOnce = length <= POPULATE_PIECE_BYTES;
  const populate = !isAtOnce ? 0 : isLocked ? MAP_POPULATE : flags & MAP_POPULATE;
  const isCode = file !== null && (area.prot & PROT_EXEC) !== 0;
  const result = carryOut(
    task,
    area,
    populate | (isCode ? mm.interpreterFlag(instructionPointer(task.thread)) : 0),
  );
  if (result < 0) {
    backing?.drop();
    return result;
  }
  if (isFixed(flags)) mm.areas.remove(address, address + length);
  mm.areas.insert(area);
  if (area.isSharedMemory) task.kernel.memory.grow(length);
  return address;
}

/** The checks of mapMemory(). Returns the area that it would make, without its memory, or -ERRNO. */
export function planMapping(
  task: Task,
  hint: number,
  length: number,
  prot: number,
  flags: number,
  file: File | null,
  offset: number,
  name = "",
): Vma | number {
  if (length === 0) return -EINVAL;
  length = pageUp(length);
  const mm = task.mm;
  if (mm.areas.count >= task.kernel.parameters.mappingsMax || length > mm.layout.end) return -ENOMEM;
  if (mm.heap.isExhausted(AREA_COST)) return -ENOMEM;
  const address = isFixed(flags) ? checkFixed(mm, hint, length, flags) : choose(mm, hint, length, flags);
  if (address < 0) return address;
  if (isFixed(flags) && mm.areas.hasSealed(address, address + length)) return -EPERM;
  prot &= PROT_ALL;
  const isLocked = (flags & MAP_LOCKED) !== 0 || mm.lockFuture;
  if (isLocked) {
    const refused = mayLock(task, length);
    if (refused < 0) return (flags & MAP_LOCKED) !== 0 ? refused : -EAGAIN;
  }
  const checked = file === null ? checkAnonymous(flags) : checkFile(file, length, prot, flags, offset);
  if (checked < 0) return checked;
  const isShared = (flags & MAP_TYPE) !== MAP_PRIVATE;
  const kept = (isShared ? MAP_SHARED : MAP_PRIVATE) | flags & KEPT_FLAGS;
  const area = new Vma(address, address + length, prot, kept, null, file === null ? 0 : offset, name);
  area.isLocked = isLocked;
  return checkLimits(task, area, isFixed(flags), file === null) || area;
}

function isFixed(flags: number): boolean {
  return (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
}

/** Checks a fixed address: the address, or -ERRNO. */
function checkFixed(mm: MemoryMap, address: number, length: number, flags: number): number {
  if (address + length > mm.layout.end) return -ENOMEM;
  if (!isPageAligned(address)) return -EINVAL;
  if (address < mm.layout.start) return -EPERM;
  if (isReserved(mm.layout, address, address + length)) return -ENOMEM;
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && !mm.areas.isFree(address, address + length)) return -EEXIST;
  return address;
}

/** Chooses the place of a mapping without MAP_FIXED, or -ENOMEM. */
function choose(mm: MemoryMap, hint: number, length: number, flags: number): number {
  if ((flags & MAP_32BIT) !== 0) {
    const low = mm.areas.findGapAbove(LAYOUT.lowStart, LAYOUT.lowEnd, length);
    return low < 0 ? -ENOMEM : low;
  }
  if (hint !== 0 && hint <= mm.layout.end - length) {
    const at = pageDown(hint);
    if (!isReserved(mm.layout, at, at + length) && mm.areas.findGapAbove(at, at + length, length) === at) {
      return at;
    }
  }
  return findFree(mm, length);
}

/** A place for memory without a hint: below the mmap base, else anywhere. */
export function findFree(mm: MemoryMap, length: number): number {
  const address = mm.areas.findGapBelow(mm.mmapTop, LAYOUT.mappingsBottom, length);
  if (address >= 0) return address;
  const above = mm.areas.findGapAbove(LAYOUT.mappingsBottom, mm.layout.end, length);
  return above < 0 ? -ENOMEM : above;
}

function checkAnonymous(flags: number): number {
  const type = flags & MAP_TYPE;
  if (type === MAP_SHARED) return (flags & MAP_GROWSDOWN) !== 0 ? -EINVAL : 0;
  return type === MAP_PRIVATE ? 0 : -EINVAL;
}

function checkFile(file: File, length: number, prot: number, flags: number, offset: number): number {
  if (offset + length > OFFSET_END) return -EOVERFLOW;
  const type = flags & MAP_TYPE;
  if (type === MAP_SHARED || type === MAP_SHARED_VALIDATE) {
    if (type === MAP_SHARED_VALIDATE && (flags & ~(LEGACY_FLAGS | MAP_SHARED_VALIDATE)) !== 0) {
      return -EOPNOTSUPP;
    }
    if ((prot & PROT_WRITE) !== 0 && !file.isWritable) return -EACCES;
  } else if (type !== MAP_PRIVATE) {
    return -EINVAL;
  }
  if (!file.isReadable) return -EACCES;
  if ((prot & PROT_EXEC) !== 0 && isOnNoexecMount(file)) return -EPERM;
  return (flags & MAP_GROWSDOWN) !== 0 ? -EINVAL : 0;
}

function isOnNoexecMount(file: File): boolean {
  return file.path !== null && (file.path.mount.flags & MS_NOEXEC) !== 0;
}

function protMaxOf(file: File, isShared: boolean): number {
  let prot = PROT_ALL;
  if (isShared && file.asMappable()?.isSharedWritable !== true) prot &= ~PROT_WRITE;
  if (isOnNoexecMount(file)) prot &= ~PROT_EXEC;
  return prot;
}

/** Checks the limits of the process and the sandbox; memory that a fixed mapping replaces is subtracted. */
function checkLimits(task: Task, area: Vma, replaces: boolean, isAnonymous: boolean): number {
  const bytes = area.length - (replaces ? task.mm.areas.mappedBytes(area.start, area.end) : 0);
  const expands = mayExpand(task, bytes, area.isData ? bytes : 0);
  if (expands < 0) return expands;
  const isReservation = (area.flags & (MAP_NORESERVE | MAP_STACK)) !== 0;
  return !isReservation && (area.isData || area.isShared && isAnonymous) ? mayCommit(task, bytes) : 0;
}

/** The backing of a new mapping, held once; null for private anonymous memory. */
function backingFor(
  task: Task,
  file: File | null,
  isShared: boolean,
  prot: number,
  length: number,
): Backing | null | number {
  if (file === null) return isShared ? newSharedMemory(task.kernel.descriptors, length) : null;
  // A later mprotect(2) may add PROT_WRITE: the host's mapping must allow it from the start.
  const kind = file.asMappable();
  if (kind === null) return -ENODEV;
  const mappable = kind.mappable(isShared, isShared && kind.isSharedWritable ? prot | PROT_WRITE : prot);
  if (typeof mappable === "number") return mappable;
  return new FileBacking(file, mappable, isShared);
}

/** Has the platform map `area`, which is not in the tree yet, replacing existing mappings. 0 or -ERRNO. */
export function carryOut(task: Task, area: Vma, extraFlags: number): number {
  const space = task.mm.space;
  const backing = area.backing;
  const flags = hostType(area) | area.flags & (MAP_NORESERVE | MAP_STACK) | extraFlags;
  if (backing === null) return space.map(task.thread, area.start, area.length, area.prot, flags, -1, 0);
  const fd = backing.hostFd();
  if (fd < 0) return fd;
  const offset = backing.hostOffset + area.offset;
  return space.map(task.thread, area.start, area.length, area.prot, flags, fd, offset);
}

/**
 * Whether the host maps an area shared. An area that can never be writable is mapped private, with the same pages: a
 * guest that jumps into the stub and makes it writable then writes to its own copy.
 */
function hostType(area: Vma): number {
  return area.isShared && (area.protMax & PROT_WRITE) !== 0 ? MAP_SHARED : MAP_PRIVATE;
}

/** munmap(2). */
export function unmapMemory(task: Task, address: number, length: number): number {
  if (!isPageAligned(address) || length === 0) return -EINVAL;
  if (address > task.mm.layout.end || length > task.mm.layout.end - address) return -EINVAL;
  const end = address + pageUp(length);
  const { areas, space } = task.mm;
  const first = areas.indexAfter(address);
  if (first >= areas.count || areas.at(first).start >= end) return 0;
  if (areas.hasSealed(address, end)) return -EPERM;
  const area = areas.at(first);
  if (areas.count >= task.kernel.parameters.mappingsMax && area.start < address && end < area.end) {
    return -ENOMEM;
  }
  const from = Math.max(address, area.start);
  const result = space.unmap(task.thread, from, end - from);
  if (result < 0) return result;
  areas.remove(address, end);
  return 0;
}

/** mprotect(2). Areas before a hole or a refusal are changed, as on Linux. */
export function protectMemory(task: Task, address: number, length: number, prot: number): number {
  const grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
  prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP);
  if (!isPageAligned(address)) return -EINVAL;
  if (length === 0) return 0;
  if (length > task.mm.layout.end || address + pageUp(length) > task.mm.layout.end) return -ENOMEM;
  if ((prot & ~(PROT_ALL | PROT_SEM)) !== 0) return -EINVAL;
  prot &= PROT_ALL;
  const areas = task.mm.areas;
  const end = address + pageUp(length);
  let start = address;
  if (grows !== 0) {
    const first = areas.indexAfter(address);
    if (first >= areas.count || areas.at(first).start >= end) return -ENOMEM;
    // No mapping here grows up.
    if (grows === PROT_GROWSUP || !areas.at(first).growsDown) return -EINVAL;
    start = areas.at(first).start;
  }
  let at = start, newData = 0, refused = 0, isSame = true;
  for (let i = areas.indexAfter(start); at < end; i++) {
    if (i >= areas.count || areas.at(i).start > at) {
      refused = -ENOMEM;
      break;
    }
    const area = areas.at(i);
    if (area.isSealed || (prot & ~area.protMax) !== 0) {
      refused = area.isSealed ? -EPERM : -EACCES;
      break;
    }
    const to = Math.min(end, area.end);
    if (area.prot !== prot) isSame = false;
    if ((prot & PROT_WRITE) !== 0 && !area.isData && !area.isShared && !area.growsDown) {
      const fits = mayBecomeData(task, area, newData += to - at);
      if (fits < 0) {
        refused = fits;
        break;
      }
    }
    at = to;
  }
  if (at > start && !isSame) {
    const result = task.mm.space.protect(task.thread, start, at - start, prot);
    if (result < 0) return result;
    areas.update(start, at, (area) => area.prot = prot);
  }
  return refused;
}

/** Private memory that becomes writable counts as data and must be committed. */
function mayBecomeData(task: Task, area: Vma, bytes: number): number {
  const expands = mayExpand(task, 0, bytes);
  if (expands < 0 || (area.flags & (MAP_NORESERVE | MAP_STACK)) !== 0) return expands;
  return mayCommit(task, bytes);
}

/** brk(2): the new break, or the old one on failure. */
export function changeBreak(task: Task, wanted: number): number {
  const mm = task.mm;
  if (wanted < mm.brkStart || wanted >= mm.layout.end) return mm.brk;
  const limit = task.threadGroup.limits.soft(RLIMIT_DATA);
  if (wanted - mm.brkStart + (mm.dataEnd - mm.dataStart) > limit) return mm.brk;
  const oldEnd = pageUp(mm.brk), newEnd = pageUp(wanted);
  if (newEnd > oldEnd && !growHeap(task, oldEnd, newEnd)) return mm.brk;
  if (newEnd < oldEnd && unmapMemory(task, newEnd, oldEnd - newEnd) < 0) return mm.brk;
  mm.brk = wanted;
  return wanted;
}

function growHeap(task: Task, from: number, to: number): boolean {
  const { areas, lockFuture } = task.mm;
  const length = to - from;
  // A page stays free between the heap and the mapping above.
  if (
    isReserved(task.mm.layout, from, to) ||
    areas.findGapAbove(from, to + PAGE_SIZE, length + PAGE_SIZE) !== from
  ) {
    return false;
  }
  if (areas.count >= task.kernel.parameters.mappingsMax) return false;
  if (mayExpand(task, length, length) < 0 || mayCommit(task, length) < 0) return false;
  if (lockFuture && mayLock(task, length) === -EAGAIN) return false;
  const heap = new Vma(from, to, PROT_READ | PROT_WRITE, MAP_PRIVATE, null, 0, "[heap]");
  heap.isLocked = lockFuture;
  if (carryOut(task, heap, lockFuture ? MAP_POPULATE : 0) < 0) return false;
  areas.insert(heap);
  return true;
}
