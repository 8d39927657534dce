// /proc/PID/mem, smaps and smaps_rollup: the memory of a process, and how much of each mapping is in RAM. Linux:
// fs/proc/task_mmu.c, mem_rw() of fs/proc/base.c.

import { EACCES, EINVAL, EIO } from "../../abi/errno.ts";
import { S_IFREG, SEEK_CUR, SEEK_SET } from "../../abi/file.ts";
import {
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../../abi/memory.ts";
import { mapsLine } from "../../mm/address_space.ts";
import { residentPages, stoppedThread } from "../../mm/residency.ts";
import type { Vma } from "../../mm/vma.ts";
import type { Task } from "../../task/task.ts";
import { File } from "../../vfs/file.ts";
import { VirtualInode } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";

/** /proc/PID/mem: who may trace the process may read it, and write it whatever its pages allow. */
export class ProcessMemoryInode extends VirtualInode {
  readonly task: Task;
  readonly #mayOpen: (reader: Task) => boolean;

  constructor(fs: ProcFilesystem, task: Task, mayOpen: (reader: Task) => boolean, uid: number, gid: number) {
    super(fs, S_IFREG | 0o600, uid, gid);
    this.task = task;
    this.#mayOpen = mayOpen;
  }
  override open(reader: Task, flags: number): File | number {
    return this.#mayOpen(reader) ? new ProcessMemoryFile(this, flags) : -EACCES;
  }
}

class ProcessMemoryFile extends File {
  declare readonly inode: ProcessMemoryInode;
  /** The address space it was opened on: a later execve(2) leaves it behind. */
  readonly #mm: Task["mm"];

  constructor(inode: ProcessMemoryInode, flags: number) {
    super(inode, flags);
    this.#mm = inode.task.mm;
  }
  override get isSeekable(): boolean {
    return true;
  }
  get #isGone(): boolean {
    const { task } = this.inode;
    return task.hasExited || task.mm !== this.#mm;
  }
  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    if (this.#isGone || length === 0) return 0;
    // Up to the first page that cannot be read.
    for (let done = 0; done < length;) {
      const place = offset + done;
      const n = Math.min(length - done, PAGE_SIZE - place % PAGE_SIZE);
      const got = this.#mm.space.read(place, into, at + done, n);
      if (got <= 0) return done > 0 ? done : -EIO;
      done += got;
      if (got < n || done === length) return done;
    }
    return 0;
  }
  override write(_task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    if (this.#isGone || length === 0) return 0;
    const n = this.#mm.space.forceWrite(offset, from, at, length);
    return n < 0 ? -EIO : n;
  }
  override seek(offset: number, whence: number): number {
    const position = whence === SEEK_SET ? offset : whence === SEEK_CUR ? this.position + offset : -1;
    if (position < 0) return -EINVAL;
    this.position = position;
    return position;
  }
}

/** Sizes of one mapping, or of all, in KiB. */
interface Sizes {
  readonly size: number;
  readonly rss: number;
  readonly anonymous: number;
}

export function smapsText(task: Task, pathOf: (file: File) => string): string {
  if (task.hasExited) return "";
  let text = "";
  for (const area of task.mm.areas) {
    const sizes = sizesOf(task, area);
    text += mapsLine(area, pathOf) + line("Size", sizes.size) + line("KernelPageSize", PAGE_SIZE / 1024) +
      line("MMUPageSize", PAGE_SIZE / 1024) + sizeLines(sizes) +
      `THPeligible:           0\nVmFlags: ${flagsOf(area)}\n`;
  }
  return text;
}

export function smapsRollupText(task: Task): string {
  if (task.hasExited) return "";
  let size = 0, rss = 0, anonymous = 0, start = 0, end = 0;
  for (const area of task.mm.areas) {
    const sizes = sizesOf(task, area);
    size += sizes.size;
    rss += sizes.rss;
    anonymous += sizes.anonymous;
    if (start === 0) start = area.start;
    end = area.end;
  }
  const range = `${start.toString(16).padStart(8, "0")}-${end.toString(16).padStart(8, "0")}`;
  return `${`${range} ---p 00000000 00:00 0 `.padEnd(73)}[rollup]\n${sizeLines({ size, rss, anonymous })}`;
}

function sizesOf(task: Task, area: Vma): Sizes {
  const thread = stoppedThread(task);
  const rss = thread === null ? 0 : residentPages(thread, area) * (PAGE_SIZE / 1024);
  return { size: area.length / 1024, rss, anonymous: area.backing === null ? rss : 0 };
}

/** Linux: who shares which page is the host's knowledge: all that is resident counts as the process's own. */
function sizeLines({ rss, anonymous }: Sizes): string {
  return line("Rss", rss) + line("Pss", rss) + line("Pss_Dirty", anonymous) + line("Shared_Clean", 0) +
    line("Shared_Dirty", 0) + line("Private_Clean", rss - anonymous) + line("Private_Dirty", anonymous) +
    line("Referenced", rss) + line("Anonymous", anonymous) + line("KSM", 0) + line("LazyFree", 0) +
    line("AnonHugePages", 0) + line("ShmemPmdMapped", 0) + line("FilePmdMapped", 0) +
    line("Shared_Hugetlb", 0) +
    line("Private_Hugetlb", 0) + line("Swap", 0) + line("SwapPss", 0) + line("Locked", 0);
}

function line(name: string, kib: number): string {
  return `${`${name}:`.padEnd(16)}${String(kib).padStart(8)} kB\n`;
}

/** The two-letter names of proc(5), each with a blank behind it. */
function flagsOf(area: Vma): string {
  const isShared = (area.flags & MAP_SHARED) !== 0;
  const flags = [
    (area.prot & PROT_READ) !== 0 && "rd",
    (area.prot & PROT_WRITE) !== 0 && "wr",
    (area.prot & PROT_EXEC) !== 0 && "ex",
    isShared && "sh",
    (area.protMax & PROT_READ) !== 0 && "mr",
    (area.protMax & PROT_WRITE) !== 0 && "mw",
    (area.protMax & PROT_EXEC) !== 0 && "me",
    isShared && "ms",
    (area.flags & MAP_GROWSDOWN) !== 0 && "gd",
    area.isLocked && "lo",
    (area.flags & MAP_NORESERVE) !== 0 && "nr",
    !area.isForked && "dc",
    area.isWiped && "wf",
    !area.isDumped && "dd",
  ];
  return flags.filter((flag) => flag !== false).map((flag) => `${flag} `).join("");
}
