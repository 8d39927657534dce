// The memory of a process as the kernel sees it: the VMA tree, brk, and policy. The platform's AddressSpace carries out
// what is decided here; the host does the paging. Linux: struct mm_struct. Its operations are in mm/mapping.ts.

import { EFAULT, ENOMEM } from "../abi/errno.ts";
import { MAP_NORESERVE, MAP_PRIVATE, PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from "../abi/memory.ts";
import {
  type AddressSpace,
  type Fault,
  type GuestAreas,
  type GuestThread,
  type Host,
  MAP_BY_INTERPRETER,
  MAP_INTERPRETER,
} from "../../platform/platform.ts";
import { SIGSEGV } from "../abi/signal.ts";
import type { FutexHome, FutexTable } from "../task/futex_queue.ts";
import { isUnmappedAccess, LAYOUT } from "../arch/arch.ts";
import type { Task } from "../task/task.ts";
import type { Budget } from "../util/kernel_memory.ts";
import type { File } from "../vfs/file.ts";
import { ResidentMemory } from "./residency.ts";
import { growStack } from "./stack_growth.ts";
import { MAPPINGS_MAX } from "./limits.ts";
import { STACK_GUARD_BYTES, Vma, VmaSet } from "./vma.ts";
import type { GuestLayout } from "../../platform/platform.ts";

/** How far mapNear() goes, and pages of randomness there. */
const NEAR_BYTES = 2 ** 30;
const NEAR_RANDOM_PAGES = 2 ** 12;
const randomWords = new Uint32Array(1);
const randomBytes = new Uint8Array(randomWords.buffer);

export class MemoryMap implements GuestAreas {
  readonly space: AddressSpace;
  /** Which addresses are the guest's. */
  readonly layout: GuestLayout;
  readonly host: Host;
  /** What its areas count in: kernel.account.heap. */
  readonly heap: Budget;
  readonly areas: VmaSet;
  /** Tasks that use it; a vfork child and threads share it. */
  #references = 1;
  /** Heap: [brkStart, brk). */
  brkStart = 0;
  brk = 0;
  /** Where mmap without a hint starts looking downwards. */
  mmapTop: number;
  /** mlockall(MCL_FUTURE): what is mapped from now on is locked. */
  lockFuture = false;
  /** Queues of futexes that lie here alone; owned by task/futex_queue.ts. */
  futexes: FutexTable | null = null;
  /** The kernel itself has had waiters for private futexes of this memory, where the host keeps the queues of such. */
  hasFutexWaiters = false;
  /** The program's file; nobody may write it while it runs. Set by setExecutable. */
  exe: File | null = null;
  /** For /proc: where the loader put things. */
  argStart = 0;
  argEnd = 0;
  envStart = 0;
  envEnd = 0;
  codeStart = 0;
  codeEnd = 0;
  dataStart = 0;
  dataEnd = 0;
  stackStart = 0;
  auxv: Uint8Array = new Uint8Array(0);
  /** Where the program interpreter lies that execve has loaded: [start, end); empty = there is none. */
  interpreterStart = 0;
  interpreterEnd = 0;
  /** execve is mapping it. */
  isMappingInterpreter = false;
  /** /proc/PID/coredump_filter. */
  coredumpFilter = 0x33;
  /** The largest the address space was seen, for VmPeak. */
  peakBytes = 0;
  /** What is in RAM; kept by mm/residency.ts. */
  readonly resident = new ResidentMemory();
  /** prctl(PR_SET_DUMPABLE). */
  dumpable = 1;

  constructor(space: AddressSpace, host: Host, heap: Budget) {
    this.heap = heap;
    this.areas = new VmaSet(heap);
    this.space = space;
    this.layout = space.layout;
    this.mmapTop = this.layout.end;
    this.host = host;
    space.areas = this;
  }

  hold(): void {
    this.#references++;
  }

  get references(): number {
    return this.#references;
  }

  /** One task less; the last one gives the memory back. */
  drop(): void {
    if (--this.#references > 0) return;
    this.leave();
    this.space.release();
  }

  /** Drops all areas and the program's file, and keeps the platform's address space: execve(2) gives that to a new map. */
  leave(): void {
    this.areas.clear();
    this.setExecutable(null);
  }

  /** Makes `file` what /proc/PID/exe shows. Writers are kept away as vfs/write_access.ts says: ETXTBSY. */
  setExecutable(file: File | null): void {
    const old = this.exe;
    if (file !== null) {
      file.hold();
      file.inode.writers--;
    }
    this.exe = file;
    if (old === null) return;
    old.inode.writers++;
    old.drop();
  }

  /** The map of a forked process, whose first thread is `thread`: the host has copied the memory already. */
  fork(thread: GuestThread): MemoryMap {
    const copy = new MemoryMap(thread.addressSpace, this.host, this.heap);
    this.areas.cloneInto(copy.areas);
    copy.brkStart = this.brkStart;
    copy.brk = this.brk;
    copy.mmapTop = this.mmapTop;
    copy.setExecutable(this.exe);
    copy.argStart = this.argStart;
    copy.argEnd = this.argEnd;
    copy.envStart = this.envStart;
    copy.envEnd = this.envEnd;
    copy.codeStart = this.codeStart;
    copy.codeEnd = this.codeEnd;
    copy.dataStart = this.dataStart;
    copy.dataEnd = this.dataEnd;
    copy.stackStart = this.stackStart;
    copy.auxv = this.auxv;
    copy.interpreterStart = this.interpreterStart;
    copy.interpreterEnd = this.interpreterEnd;
    copy.dumpable = this.dumpable;
    return copy;
  }

  /** The map() flag that tells the platform whether the program interpreter makes the call that returns to `rip`. */
  interpreterFlag(rip: number): number {
    if (this.isMappingInterpreter) return MAP_INTERPRETER;
    return rip >= this.interpreterStart && rip < this.interpreterEnd ? MAP_BY_INTERPRETER : 0;
  }

  // GuestAreas.

  protectionOf(address: number): number {
    return this.areas.find(address)?.prot ?? -1;
  }
  isOwnCode(address: number, end: number): boolean {
    const area = this.areas.find(address);
    return area !== null && area.end >= end && !area.isShared;
  }
  /** At random, so that nobody learns from one place where another is. */
  mapNear(thread: GuestThread, near: number, length: number, prot: number): number {
    if (this.areas.count >= MAPPINGS_MAX) return -ENOMEM;
    const start = this.#placeNear(near, length);
    if (start < 0) return -ENOMEM;
    const flags = MAP_PRIVATE | MAP_NORESERVE;
    const result = this.space.map(thread, start, length, prot, flags, -1, 0);
    if (result < 0) return result;
    this.areas.insert(new Vma(start, start + length, prot, flags, null, 0, "[patches]"));
    return start;
  }

  /** A free place within reach of `near`: above where mmap begins, as no mapping goes there, else below `near`. */
  #placeNear(near: number, length: number): number {
    this.host.random(randomBytes, 0, randomBytes.length);
    const random = (pages: number) => PAGE_SIZE * (randomWords[0] % Math.max(1, pages));
    if (near < this.mmapTop && near >= this.mmapTop - NEAR_BYTES) {
      const start = this.mmapTop + random(NEAR_RANDOM_PAGES);
      const below = Math.min(start + length + STACK_GUARD_BYTES, this.layout.end);
      if (this.areas.findGapAbove(start, below, length) === start) return start;
    }
    const lowest = Math.max(LAYOUT.mappingsBottom, near - NEAR_BYTES);
    const pages = Math.floor((near - lowest - length) / PAGE_SIZE);
    const start = this.areas.findGapBelow(near - random(Math.min(pages, NEAR_RANDOM_PAGES)), lowest, length);
    return start >= 0 ? start : this.areas.findGapAbove(near, near + NEAR_BYTES, length);
  }

  /** A fault that is not the guest's: a stack that grows. True when the task just goes on. */
  handleFault(task: Task, fault: Fault): boolean {
    return isUnmappedAccess(fault) && fault.signal === SIGSEGV && growStack(task, this, fault.address);
  }

  /** 0 when [address, +length) is mapped with `prot`, else -EFAULT. What access_ok and a page walk would say. */
  checkRange(address: number, length: number, prot: number): number {
    if (address < 0 || address + length > this.layout.end) return -EFAULT;
    const end = address + length;
    for (let i = this.areas.indexAfter(address); address < end; i++) {
      if (i >= this.areas.count) return -EFAULT;
      const area = this.areas.at(i);
      if (area.start > address || (area.prot & prot) !== prot) return -EFAULT;
      address = area.end;
    }
    return 0;
  }

  /** Bytes from `address` on, `length` at most, that are mapped with `prot`: how far a copy would come. */
  accessibleBytes(address: number, length: number, prot: number): number {
    if (address < 0 || address >= this.layout.end) return 0;
    let end = address;
    for (let i = this.areas.indexAfter(address); end < address + length && i < this.areas.count; i++) {
      const area = this.areas.at(i);
      if (area.start > end || (area.prot & prot) !== prot) break;
      end = area.end;
    }
    return Math.min(end - address, length);
  }

  /**
   * What a futex at `address` is known by across processes: the shared memory and the offset in it, or null for private
   * memory, where the address in this map is the key. futex(2), "FUTEX_PRIVATE_FLAG".
   */
  futexObject(address: number): { home: FutexHome; offset: number } | null {
    const area = this.areas.find(address);
    if (area === null || !area.isShared || area.backing === null) return null;
    return { home: area.backing.file?.inode ?? area.backing, offset: area.offset + (address - area.start) };
  }

  /** Adds an area that the platform has mapped already. */
  enter(area: Vma): void {
    this.areas.insert(area);
  }
}

/** One line of /proc/PID/maps, proc(5). */
export function mapsLine(area: Vma, pathOf: (file: File) => string): string {
  const hex = (value: number, width: number) => value.toString(16).padStart(width, "0");
  const file = area.backing?.file ?? null;
  const inode = file?.inode ?? null;
  const bits = (area.prot & PROT_READ ? "r" : "-") + (area.prot & PROT_WRITE ? "w" : "-") +
    (area.prot & PROT_EXEC ? "x" : "-") + ((area.flags & MAP_PRIVATE) !== 0 ? "p" : "s");
  const device = inode === null ? "00:00" : `00:${hex(inode.fs.device, 2)}`;
  const offset = area.backing === null ? 0 : area.offset;
  const head = `${hex(area.start, 8)}-${hex(area.end, 8)} ${bits} ${hex(offset, 8)} ${device} ${
    inode?.ino ?? 0
  } `;
  let name = area.name;
  if (name === "" && area.backing !== null) name = file !== null ? pathOf(file) : "/dev/zero (deleted)";
  return name === "" ? `${head}\n` : `${head.padEnd(73)}${name}\n`;
}
