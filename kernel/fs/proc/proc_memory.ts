// /proc/PID/smaps, smaps_rollup, numa_maps, mem and pagemap: the memory of a process. Linux: fs/proc/task_mmu.c, base.c.
// What is resident says mm/residency.ts.

import { EACCES, EINVAL, EIO, ENOMEM, ESRCH } from "../../abi/errno.ts";
import { O_ACCMODE, O_RDONLY, O_WRONLY, S_IFREG } from "../../abi/file.ts";
import { PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from "../../abi/memory.ts";
import { MAP_GROWSDOWN, MAP_NORESERVE } from "../../abi/memory.ts";
import { put32, zero } from "../../abi/struct.ts";
import { mapsLine } from "../../mm/address_space.ts";
import { residentPages, stoppedThread } from "../../mm/residency.ts";
import type { Vma } from "../../mm/vma.ts";
import type { Task } from "../../task/task.ts";
import { File, seekWithin } from "../../vfs/file.ts";
import type { Inode } from "../../vfs/inode.ts";
import { VirtualInode } from "../virtual.ts";
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

/** Private pages of its own, as far as one can tell. */
function isAnonymous(area: Vma): boolean {
  return !area.isShared && (area.backing === null || (area.prot & PROT_WRITE) !== 0);
}

/** Resident KiB of one mapping. */
function residentKib(task: Task, area: Vma): number {
  const thread = stoppedThread(task);
  return thread === null ? 0 : residentPages(thread, area) * PAGE_KIB;
}

export function smapsText(task: Task, nameOf: NameOf): string {
  let text = "";
  for (const area of task.mm.areas) {
    const sizes = new Sizes();
    sizes.add(area, residentKib(task, area));
    text += mapsLine(area, nameOf) + line("Size", area.length / 1024) +
      line("KernelPageSize", PAGE_SIZE / 1024) +
      line("MMUPageSize", PAGE_SIZE / 1024) + counters(sizes, false) +
      `THPeligible:           0\nVmFlags: ${flagNames(area)}\n`;
  }
  return text;
}

export function smapsRollupText(task: Task): string {
  const sizes = new Sizes();
  let start = 0, end = 0;
  for (const area of task.mm.areas) {
    sizes.add(area, residentKib(task, area));
    if (end === 0) start = area.start;
    end = area.end;
  }
  const head = `${hex(start)}-${hex(end)} ---p 00000000 00:00 0 `;
  return `${head.padEnd(73)}[rollup]\n${counters(sizes, true)}`;
}

function counters(sizes: Sizes, isRollup: boolean): string {
  const { rss, anonymous, file, shared, locked } = sizes;
  const kinds = isRollup
    ? line("Pss_Anon", anonymous) + line("Pss_File", file) + line("Pss_Shmem", shared)
    : "";
  return line("Rss", rss) + line("Pss", rss) + line("Pss_Dirty", anonymous) + kinds +
    line("Shared_Clean", 0) +
    line("Shared_Dirty", shared) + line("Private_Clean", file) + line("Private_Dirty", anonymous) +
    line("Referenced", rss) + line("Anonymous", anonymous) + line("KSM", 0) + line("LazyFree", 0) +
    line("AnonHugePages", 0) + line("ShmemPmdMapped", 0) + line("FilePmdMapped", 0) +
    line("Shared_Hugetlb", 0) +
    line("Private_Hugetlb", 0) + line("Swap", 0) + line("SwapPss", 0) + line("Locked", locked);
}

function line(name: string, kib: number): string {
  return `${`${name}:`.padEnd(16)}${String(kib).padStart(8)} kB\n`;
}

function hex(address: number): string {
  return address.toString(16).padStart(8, "0");
}

/** The two-letter names of proc_pid_smaps(5). */
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

/** One memory node has everything: proc_pid_numa_maps(5). */
export function numaMapsText(task: Task, nameOf: NameOf): string {
  let text = "";
  for (const area of task.mm.areas) {
    const pages = residentKib(task, area) / PAGE_KIB;
    const file = area.backing?.file ?? null;
    const what = file !== null
      ? ` file=${nameOf(file)}`
      : area.name === "[heap]"
      ? " heap"
      : area.name === "[stack]"
      ? " stack"
      : "";
    const count = pages === 0
      ? ""
      : ` ${isAnonymous(area) ? `anon=${pages} dirty=${pages}` : `mapped=${pages}`} N0=${pages}`;
    text += `${hex(area.start)} default${what}${count}${pages === 0 ? "" : " kernelpagesize_kB=4"}\n`;
  }
  return text;
}

// --- mem and pagemap ----------------------------------------------------------------------------------------------------

/** /proc/PID/mem: reads and writes at addresses, whatever mappings allow; for who may trace it. */
export function memoryFile(fs: ProcFilesystem, task: Task): Inode {
  return new MemoryInode(fs, task, 0o600, (inode, flags) => new MemoryFile(inode, flags, task));
}

/** /proc/PID/pagemap: 64 bits a page, of which we tell what is mapped to a file or shared. */
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
  /** The memory it was opened on: what another program has after execve(2) is not seen. */
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
    // Up to the first page that cannot be read.
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
/** High words of an entry: the page is there; it is of a file or shared. */
const PRESENT = 1 << 31;
const IS_FILE = 1 << 29;

class PagemapFile extends AddressFile {
  override read(task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    if ((this.flags & O_ACCMODE) === O_WRONLY || offset % ENTRY_BYTES !== 0 || length % ENTRY_BYTES !== 0) {
      return -EINVAL;
    }
    if (this.isGone) return 0;
    if (task.mm !== this.mm) return -ENOMEM;
    zero(into, at, length);
    const state = new Uint8Array(1);
    for (let done = 0; done < length; done += ENTRY_BYTES) {
      const address = (offset + done) / ENTRY_BYTES * PAGE_SIZE;
      const area = this.mm.areas.find(address);
      if (area === null || address < area.start) continue;
      if (this.mm.space.residency(task.thread, address, PAGE_SIZE, state, 0) < 0 || (state[0] & 1) === 0) {
        continue;
      }
      put32(into, at + done + 4, PRESENT | (area.backing === null ? 0 : IS_FILE));
    }
    return length;
  }
}
