// The kernel's view of a process's memory: the VMA tree, brk, and policy. The platform's AddressSpace carries out
// what is decided here; the host does the paging. Linux: struct mm_struct. The operations are in mm/mapping.ts.

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

/** The reach of mapNear(), and the pages of randomness there. */
const NEAR_BYTES = 2 ** 30;
const NEAR_RANDOM_PAGES = 2 ** 12;
const randomWords = new Uint32Array(1);
const randomBytes = new Uint8Array(randomWords.buffer);

export class MemoryMap implements GuestAreas {
  readonly space: AddressSpace;
  /** The addresses that guests may use. */
  readonly layout: GuestLayout;
  readonly host: Host;
  /** The budget that its areas count in: kernel.account.heap. */
  readonly heap: Budget;
  readonly areas: VmaSet;
  /** Tasks that use it: threads and a vfork child share it. */
  #references = 1;
  /** Heap: [brkStart, brk). */
  brkStart = 0;
  brk = 0;
  /** mmap(2) without a hint searches downwards from here. */
  mmapTop: number;
  /** mlockall(MCL_FUTURE): new mappings are locked. */
  lockFuture = false;
  /** Queues of private futexes; owned by task/futex_queue.ts. */
  futexes: FutexTable | null = null;
  /**
   * The kernel has had waiters for private futexes of this memory although the host keeps their queues (futex_waitv,
   * PI).
   */
  hasFutexWaiters = false;
  /** The program's file; writing it fails while the program runs (ETXTBSY). Set by setExecutable. */
  exe: File | null = null;
  /** Addresses that the loader chose, shown in /proc. */
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
  /** The program interpreter loaded by execve: [start, end); empty without one. */
  interpreterStart = 0;
  interpreterEnd = 0;
  /** True while execve maps the interpreter. */
  isMappingInterpreter = false;
  /** /proc/PID/coredump_filter. */
  coredumpFilter = 0x33;
  /** The largest size so far, for VmPeak. */
  peakBytes = 0;
  /** Pages in RAM; updated by mm/residency.ts. */
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

  /** One task fewer; the last one frees the memory. */
  drop(): void {
    if (--this.#references > 0) return;
    this.leave();
    this.space.release();
  }

  /**
   * Drops all areas and the program's file but keeps the platform's address space, which execve(2) moves to a new
   * map.
   */
  leave(): void {
    this.areas.clear();
    this.setExecutable(null);
  }

  /**
   * Sets the file that /proc/PID/exe shows. It cannot be opened for writing meanwhile (vfs/write_access.ts): ETXTBSY.
   */
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

  /** The map of a forked process, whose first thread is `thread`; the host has copied the memory already. */
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

  // The interface GuestAreas.

  protectionOf(address: number): number {
    return this.areas.find(address)?.prot ?? -1;
  }
  isOwnCode(address: number, end: number): boolean {
    const area = this.areas.find(address);
    return area !== null && area.end >= end && !area.isShared;
  }
  /** The place is random, so that knowing one reveals no other. */
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

  /**
   * A free place within reach of `near`: above the top of the mmap area, where no mapping is placed, else below
   * `near`.
   */
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

  /** Handles a fault that is no error of the guest's: a stack that grows. True if the task can continue. */
  handleFault(task: Task, fault: Fault): boolean {
    return isUnmappedAccess(fault) && fault.signal === SIGSEGV && growStack(task, this, fault.address);
  }

  /** 0 if [address, +length) is mapped with `prot`, else -EFAULT: what access_ok() and a page walk find on Linux. */
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

  /**
   * The number of bytes from `address` on, at most `length`, that are mapped with `prot`: where a copy would fault.
   */
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
   * The identity of a futex at `address` across processes: the shared memory and the offset in it; null for private
   * memory, whose key is the address in this map. futex(2), "FUTEX_PRIVATE_FLAG".
   */
  futexObject(address: number): { home: FutexHome; offset: number } | null {
    const area = this.areas.find(address);
    if (area === null || !area.isShared || area.backing === null) return null;
    return { home: area.backing.file?.inode ?? area.backing, offset: area.offset + (address - area.start) };
  }

  /** Adds an area that the platform has already mapped. */
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
