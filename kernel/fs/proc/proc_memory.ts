// /proc/PID/smaps, smaps_rollup, numa_maps, mem and pagemap: the memory of a process. Linux: fs/proc/task_mmu.c,
// base.c. Residency is from mm/residency.ts.

import { EACCES, EINVAL, EIO, ENOMEM, ESRCH } from "../../abi/errno.ts";
import { O_ACCMODE, O_RDONLY, O_WRONLY, S_IFREG } from "../../abi/file.ts";
import { PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from "../../abi/memory.ts";
import { MAP_GROWSDOWN, MAP_NORESERVE } from "../../abi/memory.ts";
import { put32, zero } from "../../abi/struct.ts";
import { FIXED_MAPPINGS } from "../../arch/arch.ts";
import { mapsLine } from "../../mm/address_space.ts";
import { ResidentPages } from "../../mm/residency.ts";
import type { Vma } from "../../mm/vma.ts";
import type { Task } from "../../task/task.ts";
import { File, seekWithin } from "../../vfs/file.ts";
import type { Inode } from "../../vfs/inode.ts";
import { type TextSource, VirtualInode } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";
import { mayInspect, ownerOf } from "./proc_access.ts";

type NameOf = (file: File) => string;

const PAGE_KIB = PAGE_SIZE / 1024;

class Sizes {
  rss = 0;
  anonymous = 0;
  file = 0;
  shared = 0;
  locked = 0;

  add(area: Vma, kib: number): void {
    this.rss += kib;
    if (area.isShared) this.shared += kib;
    else if (isAnonymous(area)) this.anonymous += kib;
    else this.file += kib;
    if (area.isLocked) this.locked += kib;
  }
}

/** Whether the area's resident pages are private to the process, as far as the kernel can determine. */
function isAnonymous(area: Vma): boolean {
  return !area.isShared && (area.backing === null || (area.prot & PROT_WRITE) !== 0);
}

/** Areas and pages covered by one piece of a text. */
const PIECE_AREAS = 16;
const PIECE_PAGES = 128 * 1024;

/**
 * Text about each area of a process in order, one piece a turn; areas that appear or vanish meanwhile may be included
 * or not.
 */
abstract class AreaText implements TextSource {
  protected readonly task: Task;
  #from = 0;
  #isAtEnd = false;
  #residents: ResidentPages | null = null;

  constructor(task: Task) {
    this.task = task;
  }

  /** The text for an area; `index` is its place in the piece. */
  protected abstract textOf(area: Vma, index: number): string;

  /** Resident KiB of the piece's area at `index`. */
  protected residentKib(index: number): number {
    this.#residents ??= new ResidentPages(this.task);
    return this.#residents.of(index) * PAGE_KIB;
  }

  /** Text after the last area. */
  protected get end(): string {
    return "";
  }

  next(): string | null {
    if (this.#isAtEnd) return null;
    const { areas } = this.task.mm;
    let text = "", areasLeft = PIECE_AREAS, pagesLeft = PIECE_PAGES;
    if (!this.task.hasExited) {
      for (let i = areas.indexAfter(this.#from); i < areas.count; i++) {
        if (areasLeft-- === 0 || pagesLeft <= 0) return text;
        const area = areas.at(i);
        pagesLeft -= area.length / PAGE_SIZE;
        text += this.textOf(area, i);
        this.#from = area.end;
      }
    }
    this.#isAtEnd = true;
    return text + this.end;
  }
}

/** /proc/PID/maps. */
export class MapsText extends AreaText {
  readonly #nameOf: NameOf;

  constructor(task: Task, nameOf: NameOf) {
    super(task);
    this.#nameOf = nameOf;
  }
  protected override textOf(area: Vma): string {
    return mapsLine(area, this.#nameOf);
  }
  protected override get end(): string {
    return FIXED_MAPPINGS;
  }
}

export class SmapsText extends AreaText {
  readonly #nameOf: NameOf;

  constructor(task: Task, nameOf: NameOf) {
    super(task);
    this.#nameOf = nameOf;
  }
  protected override textOf(area: Vma, index: number): string {
    const sizes = new Sizes();
    sizes.add(area, this.residentKib(index));
    return mapsLine(area, this.#nameOf) + line("Size", area.length / 1024) +
      PAGE_SIZES + counters(sizes, false) +
      `THPeligible:           0\nVmFlags: ${flagNames(area)}\n`;
  }
}

export class SmapsRollupText extends AreaText {
  readonly #sizes = new Sizes();
  #start = -1;
  #end = 0;

  protected override textOf(area: Vma, index: number): string {
    this.#sizes.add(area, this.residentKib(index));
    if (this.#start < 0) this.#start = area.start;
    this.#end = area.end;
    return "";
  }
  protected override get end(): string {
    const head = `${hex(Math.max(0, this.#start))}-${hex(this.#end)} ---p 00000000 00:00 0 `;
    return `${head.padEnd(73)}[rollup]\n${counters(this.#sizes, true)}`;
  }
}

function counters(sizes: Sizes, isRollup: boolean): string {
  const { rss, anonymous, file, shared, locked } = sizes;
  const kinds = isRollup
    ? line("Pss_Anon", anonymous) + line("Pss_File", file) + line("Pss_Shmem", shared)
    : "";
  return line("Rss", rss) + line("Pss", rss) + line("Pss_Dirty", anonymous) + kinds + SHARED_CLEAN +
    line("Shared_Dirty", shared) + line("Private_Clean", file) + line("Private_Dirty", anonymous) +
    line("Referenced", rss) + line("Anonymous", anonymous) + UNKNOWN + line("Locked", locked);
}

function line(name: string, kib: number): string {
  return `${`${name}:`.padEnd(16)}${String(kib).padStart(8)} kB\n`;
}

const SHARED_CLEAN = line("Shared_Clean", 0);
/** Fields that are always 0 here. */
const UNKNOWN = ["KSM", "LazyFree", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb"]
  .concat("Private_Hugetlb", "Swap", "SwapPss").map((name) => line(name, 0)).join("");
const PAGE_SIZES = line("KernelPageSize", PAGE_KIB) + line("MMUPageSize", PAGE_KIB);

function hex(address: number): string {
  return address.toString(16).padStart(8, "0");
}

/** VmFlags: the two-letter names of proc_pid_smaps(5). */
function flagNames(area: Vma): string {
  const names: string[] = [];
  const may = (bit: number, name: string, all: string) => {
    if ((area.prot & bit) !== 0) names.push(name);
    if ((area.protMax & bit) !== 0) maximum.push(all);
  };
  const maximum: string[] = [];
  may(PROT_READ, "rd", "mr");
  may(PROT_WRITE, "wr", "mw");
  may(PROT_EXEC, "ex", "me");
  if (area.isShared) names.push("sh");
  names.push(...maximum);
  if (area.isShared) names.push("ms");
  if ((area.flags & MAP_GROWSDOWN) !== 0 || area.name === "[stack]") names.push("gd");
  if (area.isLocked) names.push("lo");
  if (!area.isForked) names.push("dc");
  if ((area.flags & MAP_NORESERVE) !== 0) names.push("nr");
  if (!area.isDumped) names.push("dd");
  if (area.isWiped) names.push("wf");
  return names.map((name) => `${name} `).join("");
}

/** numa_maps: one memory node has all pages: proc_pid_numa_maps(5). */
export class NumaMapsText extends AreaText {
  readonly #nameOf: NameOf;

  constructor(task: Task, nameOf: NameOf) {
    super(task);
    this.#nameOf = nameOf;
  }
  protected override textOf(area: Vma, index: number): string {
    const pages = this.residentKib(index) / PAGE_KIB;
    const file = area.backing?.file ?? null;
    const what = file !== null
      ? ` file=${this.#nameOf(file)}`
      : area.name === "[heap]"
      ? " heap"
      : area.name === "[stack]"
      ? " stack"
      : "";
    const count = pages === 0
      ? ""
      : ` ${isAnonymous(area) ? `anon=${pages} dirty=${pages}` : `mapped=${pages}`} N0=${pages}`;
    return `${hex(area.start)} default${what}${count}${pages === 0 ? "" : " kernelpagesize_kB=4"}\n`;
  }
}

// --- mem and pagemap ----------------------------------------------------------------------------------------------------

/** /proc/PID/mem: reads and writes memory regardless of page protection; for processes that may ptrace it. */
export function memoryFile(fs: ProcFilesystem, task: Task): Inode {
  return new MemoryInode(fs, task, 0o600, (inode, flags) => new MemoryFile(inode, flags, task));
}

/** /proc/PID/pagemap: 64 bits a page, with the present and file-or-shared bits only. */
export function pagemapFile(fs: ProcFilesystem, task: Task): Inode {
  return new MemoryInode(fs, task, 0o400, (inode, flags) => new PagemapFile(inode, flags, task));
}

class MemoryInode extends VirtualInode {
  readonly #task: Task;
  readonly #make: (inode: Inode, flags: number) => File;

  constructor(
    fs: ProcFilesystem,
    task: Task,
    mode: number,
    make: (inode: Inode, flags: number) => File,
  ) {
    super(fs, S_IFREG | mode, ...ownerOf(task));
    this.#task = task;
    this.#make = make;
  }
  override open(opener: Task, flags: number): File | number {
    if (this.#task.pid.task === null) return -ESRCH;
    if (!mayInspect(opener, this.#task)) return -EACCES;
    return this.#make(this, flags);
  }
}

abstract class AddressFile extends File {
  protected readonly task: Task;
  /** The memory at the time of open(2): the file does not follow an execve(2). */
  protected readonly mm: Task["mm"];

  constructor(inode: Inode, flags: number, task: Task) {
    super(inode, flags);
    this.task = task;
    this.mm = task.mm;
  }
  override get isSeekable(): boolean {
    return true;
  }
  protected get isGone(): boolean {
    return this.task.hasExited || this.task.mm !== this.mm;
  }
  override seek(offset: number, whence: number): number {
    return seekWithin(this, offset, whence, -1);
  }
}

class MemoryFile extends AddressFile {
  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    if (this.isGone) return 0;
    // Reads up to the first unreadable page.
    let done = 0;
    while (done < length) {
      const place = offset + done;
      const n = Math.min(length - done, PAGE_SIZE - place % PAGE_SIZE);
      const got = this.mm.space.read(place, into, at + done, n);
      if (got <= 0) return done > 0 ? done : -EIO;
      done += got;
      if (got < n) break;
    }
    return done;
  }
  override write(_task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    if ((this.flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
    if (this.isGone || length === 0) return 0;
    const n = this.mm.space.forceWrite(offset, from, at, length);
    return n < 0 ? -EIO : n;
  }
}

const ENTRY_BYTES = 8;
/** High words of an entry: page present; page of a file or shared. */
const PRESENT = 1 << 31;
const IS_FILE = 1 << 29;

/** Pages whose residency is requested from the host at once. */
const PAGES_AT_ONCE = 4096;
const states = new Uint8Array(PAGES_AT_ONCE);

class PagemapFile extends AddressFile {
  override read(task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    if ((this.flags & O_ACCMODE) === O_WRONLY || offset % ENTRY_BYTES !== 0 || length % ENTRY_BYTES !== 0) {
      return -EINVAL;
    }
    if (this.isGone) return 0;
    if (task.mm !== this.mm) return -ENOMEM;
    zero(into, at, length);
    const { areas, space } = this.mm;
    const start = offset / ENTRY_BYTES * PAGE_SIZE;
    const end = start + length / ENTRY_BYTES * PAGE_SIZE;
    for (let i = areas.indexAfter(start); i < areas.count && areas.at(i).start < end; i++) {
      const area = areas.at(i), to = Math.min(end, area.end);
      const high = PRESENT | (area.backing === null ? 0 : IS_FILE);
      for (let from = Math.max(start, area.start); from < to; from += PAGES_AT_ONCE * PAGE_SIZE) {
        const pages = Math.min(PAGES_AT_ONCE, (to - from) / PAGE_SIZE);
        if (space.residency(task.thread, from, pages * PAGE_SIZE, states, 0) < 0) continue;
        const first = at + (from - start) / PAGE_SIZE * ENTRY_BYTES;
        for (let n = 0; n < pages; n++) {
          if ((states[n] & 1) !== 0) put32(into, first + n * ENTRY_BYTES + 4, high);
        }
      }
    }
    return length;
  }
}
