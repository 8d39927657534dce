// mmap(2), munmap(2), mprotect(2), mremap(2), brk(2) on a memory map: checks as Linux makes them, the change of the VMA
// tree, and the one or two platform commands that carry it out.

import {
  EACCES,
  EAGAIN,
  EEXIST,
  EFAULT,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
} from "../abi/errno.ts";
import {
  isPageAligned,
  MAP_32BIT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_SYNC,
  MAP_TYPE,
  MFD_CLOEXEC,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  pageUp,
  PROT_EXEC,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK } from "../abi/task.ts";
import { CAP_IPC_LOCK } from "../abi/task.ts";
import { USER_ADDRESS_END, USER_ADDRESS_START } from "../../platform/platform.ts";
import type { Host } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import type { File, Mappable } from "../vfs/file.ts";
import { MAPPINGS_MAX, MemoryMap } from "./address_space.ts";
import { type Backing, STACK_GUARD_BYTES, Vma } from "./vma.ts";

const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC;
/** Lowest address chosen without a hint. */
const MMAP_BOTTOM = 0x10_0000;
const OFFSET_END = 2 ** 53;

/** Memory of a file as a backing: one per mmap, shared by the slices of its area. */
export class FileBacking implements Backing {
  readonly file: File;
  readonly #mappable: Mappable;
  constructor(file: File, mappable: Mappable) {
    this.file = file;
    this.#mappable = mappable;
  }
  hostFd(): number {
    return this.#mappable.hostFd();
  }
  get hostOffset(): number {
    return this.#mappable.hostOffset;
  }
  hold(): void {
    this.file.hold();
  }
  drop(): void {
    this.file.drop();
  }
}

/** Shared anonymous memory: a memfd, so that forks share it. */
export class SharedMemory implements Backing {
  readonly file = null;
  readonly hostOffset = 0;
  readonly #host: Host;
  readonly #fd: number;
  #references = 1;
  constructor(host: Host, fd: number) {
    this.#host = host;
    this.#fd = fd;
  }
  hostFd(): number {
    return this.#fd;
  }
  hold(): void {
    this.#references++;
  }
  drop(): void {
    if (--this.#references === 0) this.#host.close(this.#fd);
  }
}

/** mmap(2). The address, or -ERRNO. `file` is null for anonymous memory. */
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
  if (length === 0) return -EINVAL;
  length = pageUp(length);
  if (length > USER_ADDRESS_END) return -ENOMEM;
  const type = flags & MAP_TYPE;
  if (type !== MAP_PRIVATE && type !== MAP_SHARED && type !== MAP_SHARED_VALIDATE) return -EINVAL;
  const isShared = type !== MAP_PRIVATE;
  if (type === MAP_SHARED_VALIDATE && (flags & MAP_SYNC) !== 0) return -EOPNOTSUPP;
  if (file !== null && offset + length > OFFSET_END) return -EOVERFLOW;
  prot &= PROT_ALL;
  const mm = task.mm;
  const isFixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if (isFixed && !isPageAligned(hint)) return -EINVAL;
  if (isFixed && hint + length > USER_ADDRESS_END) return -ENOMEM;
  if (isFixed && MemoryMap.isReserved(hint, hint + length)) {
    return hint < USER_ADDRESS_START ? -EPERM : -ENOMEM;
  }
  if ((flags & MAP_FIXED_NOREPLACE) !== 0 && !mm.areas.isFree(hint, hint + length)) return -EEXIST;
  const refused = checkLimits(task, mm, length, prot, isShared);
  if (refused < 0) return refused;

  const backing = backingFor(task, file, isShared, prot, length);
  if (typeof backing === "number") return backing;
  const address = isFixed ? hint : choose(mm, hint, length, flags);
  if (address < 0) {
    backing?.drop();
    return address;
  }
  const result = carryOut(task, address, length, prot, flags, backing, offset);
  if (result < 0) {
    backing?.drop();
    return result;
  }
  if (!mm.areas.isFree(address, address + length)) mm.areas.remove(address, address + length);
  const kept = (isShared ? MAP_SHARED : MAP_PRIVATE) | flags & (MAP_GROWSDOWN | MAP_NORESERVE);
  const area = new Vma(address, address + length, prot, kept, backing, file === null ? 0 : offset, name);
  if (file !== null && isShared && !file.isWritable) area.protMax = PROT_READ | PROT_EXEC;
  if ((flags & MAP_LOCKED) !== 0 || mm.lockFuture) {
    area.isLocked = true;
    mm.lockedBytes += length;
  }
  mm.areas.insert(area);
  return address;
}

function checkLimits(task: Task, mm: MemoryMap, length: number, prot: number, isShared: boolean): number {
  const limits = task.threadGroup.limits;
  if (mm.areas.count >= MAPPINGS_MAX) return -ENOMEM;
  if (mm.areas.totalBytes + length > limits.soft(RLIMIT_AS)) return -ENOMEM;
  if (!isShared && (prot & PROT_WRITE) !== 0) {
    const limit = limits.soft(RLIMIT_DATA);
    if (limit !== Infinity && mm.dataBytes + length > limit) return -ENOMEM;
  }
  if (
    mm.lockFuture && !task.credentials.effective.has(CAP_IPC_LOCK) &&
    mm.lockedBytes + length > limits.soft(RLIMIT_MEMLOCK)
  ) {
    return -EAGAIN;
  }
  return 0;
}

/** The backing of a new mapping, held once; null for private anonymous memory. */
function backingFor(
  task: Task,
  file: File | null,
  isShared: boolean,
  prot: number,
  length: number,
): Backing | null | number {
  if (file === null) {
    if (!isShared) return null;
    const host = task.mm.host;
    const fd = host.memfdCreate("shared", MFD_CLOEXEC);
    if (fd < 0) return -ENOMEM;
    if (host.ftruncate(fd, length) < 0) {
      host.close(fd);
      return -ENOMEM;
    }
    return new SharedMemory(host, fd);
  }
  if (!file.isReadable) return -EACCES;
  if (isShared && (prot & PROT_WRITE) !== 0 && !file.isWritable) return -EACCES;
  const mappable = file.mappable(isShared, prot);
  if (typeof mappable === "number") return mappable;
  file.hold();
  return new FileBacking(file, mappable);
}

/** Where a mapping without MAP_FIXED goes, or -ENOMEM. */
function choose(mm: MemoryMap, hint: number, length: number, flags: number): number {
  if (hint !== 0) {
    const at = pageUp(hint);
    if (!MemoryMap.isReserved(at, at + length) && mm.areas.isFree(at, at + length)) return at;
  }
  if ((flags & MAP_32BIT) !== 0) {
    const low = mm.areas.findGapAbove(0x4000_0000, 0x8000_0000, length);
    return low < 0 ? -ENOMEM : low;
  }
  const address = mm.areas.findGapBelow(mm.mmapTop, MMAP_BOTTOM, length, STACK_GUARD_BYTES);
  if (address >= 0) return address;
  const above = mm.areas.findGapAbove(MMAP_BOTTOM, USER_ADDRESS_END, length);
  return above < 0 ? -ENOMEM : above;
}

/** The platform command of a mapping. */
function carryOut(
  task: Task,
  address: number,
  length: number,
  prot: number,
  flags: number,
  backing: Backing | null,
  offset: number,
): number {
  const space = task.mm.space;
  const kind = (flags & MAP_TYPE) === MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
  const extra = flags & (MAP_NORESERVE | MAP_POPULATE);
  if (backing === null) {
    return space.map(task.thread, address, length, prot, kind | MAP_ANONYMOUS | extra, -1, 0);
  }
  const fd = backing.hostFd();
  if (fd < 0) return fd;
  return space.map(task.thread, address, length, prot, kind | extra, fd, backing.hostOffset + offset);
}

/** munmap(2). */
export function unmapMemory(task: Task, address: number, length: number): number {
  if (!isPageAligned(address) || length === 0) return -EINVAL;
  length = pageUp(length);
  if (address + length > USER_ADDRESS_END || length > USER_ADDRESS_END) return -EINVAL;
  const mm = task.mm;
  if (mm.areas.isFree(address, address + length)) return 0;
  if (mm.areas.count >= MAPPINGS_MAX) return -ENOMEM;
  // Only what is mapped: the patch table lies between mappings of the guest.
  const end = address + length;
  for (let i = mm.areas.indexAfter(address); i < mm.areas.count && mm.areas.at(i).start < end; i++) {
    const from = Math.max(address, mm.areas.at(i).start);
    let to = Math.min(end, mm.areas.at(i).end);
    while (i + 1 < mm.areas.count && mm.areas.at(i + 1).start === to && to < end) {
      to = Math.min(end, mm.areas.at(++i).end);
    }
    const result = mm.space.unmap(task.thread, from, to - from);
    if (result < 0) return result;
  }
  noteUnlocked(mm, address, end);
  mm.areas.remove(address, end);
  return 0;
}

function noteUnlocked(mm: MemoryMap, start: number, end: number): void {
  if (mm.lockedBytes === 0) return;
  for (let i = mm.areas.indexAfter(start); i < mm.areas.count && mm.areas.at(i).start < end; i++) {
    const area = mm.areas.at(i);
    if (area.isLocked) mm.lockedBytes -= Math.min(end, area.end) - Math.max(start, area.start);
  }
}

/** mprotect(2). Areas before a hole or a refusal stay changed, as on Linux. */
export function protectMemory(task: Task, address: number, length: number, prot: number): number {
  const grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
  if (grows === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
  prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP);
  if (!isPageAligned(address)) return -EINVAL;
  if (length === 0) return 0;
  length = pageUp(length);
  if (address + length > USER_ADDRESS_END) return -ENOMEM;
  if ((prot & ~(PROT_ALL | 8)) !== 0) return -EINVAL;
  prot &= PROT_ALL;
  const mm = task.mm;
  const end = address + length;
  let at = address;
  if (grows === PROT_GROWSDOWN) {
    const area = mm.areas.find(address);
    if (area === null) return -ENOMEM;
    if (!area.growsDown) return -EINVAL;
    at = area.start;
  }
  while (at < end) {
    const area = mm.areas.find(at);
    if (area === null) return -ENOMEM;
    if ((prot & ~area.protMax) !== 0) return -EACCES;
    const to = Math.min(end, area.end);
    if (area.prot !== prot) {
      const result = mm.space.protect(task.thread, at, to - at, prot);
      if (result < 0) return result;
      mm.areas.update(at, to, (part) => part.prot = prot);
    }
    at = to;
  }
  return 0;
}

/** mremap(2). The new address, or -ERRNO. */
export function remapMemory(
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  target: number,
): number {
  const mm = task.mm;
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) return -EINVAL;
  const isFixed = (flags & MREMAP_FIXED) !== 0, mayMove = (flags & MREMAP_MAYMOVE) !== 0;
  const keepsOld = (flags & MREMAP_DONTUNMAP) !== 0;
  if ((isFixed || keepsOld) && !mayMove) return -EINVAL;
  if (keepsOld && oldLength !== newLength) return -EINVAL;
  if (!isPageAligned(address)) return -EINVAL;
  oldLength = pageUp(oldLength);
  newLength = pageUp(newLength);
  if (newLength === 0) return -EINVAL;
  if (newLength > USER_ADDRESS_END) return -ENOMEM;
  if (isFixed) {
    if (!isPageAligned(target) || target + newLength > USER_ADDRESS_END) return -EINVAL;
    if (target < address + oldLength && address < target + newLength) return -EINVAL;
    if (MemoryMap.isReserved(target, target + newLength)) return -EINVAL;
  }
  const area = mm.areas.find(address);
  if (area === null) return -EFAULT;
  if (oldLength === 0) return -EINVAL; // Linux: duplicating a shared mapping this way is not offered
  if (address + oldLength > area.end) return -EFAULT;
  if (
    newLength > oldLength &&
    mm.areas.totalBytes + newLength - oldLength > task.threadGroup.limits.soft(RLIMIT_AS)
  ) {
    return -ENOMEM;
  }
  if (!isFixed && !keepsOld && newLength <= oldLength) {
    if (newLength < oldLength) {
      const cut = unmapMemory(task, address + newLength, oldLength - newLength);
      if (cut < 0) return cut;
    }
    return address;
  }
  const growth = newLength - oldLength;
  const canGrow = address + oldLength === area.end && area.end + growth <= USER_ADDRESS_END &&
    !MemoryMap.isReserved(area.end, area.end + growth) && mm.areas.isFree(area.end, area.end + growth);
  if (!isFixed && !keepsOld && canGrow) {
    const result = growBacking(mm, area, growth) ??
      mm.space.remap(task.thread, address, oldLength, newLength, address);
    if (result < 0) return result;
    area.end += growth;
    mm.areas.totalBytes += growth;
    mm.areas.mergeAround(mm.areas.indexAfter(address));
    return address;
  }
  if (!mayMove) return -ENOMEM;
  return move(task, area, address, oldLength, newLength, isFixed ? target : -1, keepsOld);
}

/** Shared anonymous memory that grows needs a larger memfd: undefined where there is nothing to do. */
function growBacking(mm: MemoryMap, area: Vma, growth: number): number | undefined {
  if (!(area.backing instanceof SharedMemory)) return undefined;
  const result = mm.host.ftruncate(area.backing.hostFd(), area.offset + area.length + growth);
  return result < 0 ? -ENOMEM : undefined;
}

function move(
  task: Task,
  area: Vma,
  address: number,
  oldLength: number,
  newLength: number,
  fixed: number,
  keepsOld: boolean,
): number {
  const mm = task.mm;
  let target = fixed;
  if (fixed < 0) {
    target = mm.areas.findGapBelow(mm.mmapTop, MMAP_BOTTOM, newLength, STACK_GUARD_BYTES);
    if (target < 0) return -ENOMEM;
  }
  const moved = area.slice(address, address + Math.min(oldLength, newLength));
  if (newLength < oldLength) unmapMemory(task, address + newLength, oldLength - newLength);
  const length = Math.min(oldLength, newLength);
  const grown = newLength > oldLength ? growBacking(mm, area, newLength - oldLength) : undefined;
  const result = grown ?? mm.space.remap(task.thread, address, length, newLength, target);
  if (result < 0) {
    moved.backing?.drop();
    return result;
  }
  if (keepsOld) mm.space.map(task.thread, address, length, area.prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  else mm.areas.remove(address, address + length);
  mm.areas.remove(target, target + newLength);
  moved.start = target;
  moved.end = target + newLength;
  mm.areas.insert(moved);
  return target;
}

/** brk(2): the new break, or the old one when it cannot be. */
export function changeBreak(task: Task, wanted: number): number {
  const mm = task.mm;
  if (wanted < mm.brkStart || wanted > USER_ADDRESS_END) return mm.brk;
  const limit = task.threadGroup.limits.soft(RLIMIT_DATA);
  if (wanted - mm.brkStart > limit) return mm.brk;
  const oldEnd = pageUp(mm.brk), newEnd = pageUp(wanted);
  if (newEnd > oldEnd) {
    const length = newEnd - oldEnd;
    if (!mm.areas.isFree(oldEnd, newEnd) || MemoryMap.isReserved(oldEnd, newEnd)) return mm.brk;
    if (mm.areas.totalBytes + length > task.threadGroup.limits.soft(RLIMIT_AS)) return mm.brk;
    const prot = PROT_READ | PROT_WRITE;
    if (mm.space.map(task.thread, oldEnd, length, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) < 0) {
      return mm.brk;
    }
    mm.areas.insert(new Vma(oldEnd, newEnd, prot, MAP_PRIVATE, null, 0, "[heap]"));
  } else if (newEnd < oldEnd) {
    if (unmapMemory(task, newEnd, oldEnd - newEnd) < 0) return mm.brk;
  }
  mm.brk = wanted;
  return wanted;
}

/** A file that cannot be mapped. */
export const NOT_MAPPABLE = -ENODEV;
