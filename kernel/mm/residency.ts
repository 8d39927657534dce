// How much of a process's memory is in RAM: shown by /proc/PID/status, statm, smaps and getrusage(2). Only the host
// knows: a stopped thread of the process calls mincore(2). Linux: get_mm_rss(), smaps_account(). Linux: counts the
// pages that the process has mapped; here all pages of a file mapping in the page cache count.

import { PAGE_SIZE } from "../abi/memory.ts";
import type { GuestThread } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import type { Vma, VmaSet } from "./vma.ts";

/** Pages per request. */
const CHUNK_PAGES = 8192;
/** Pages counted in one area; pages beyond count as not resident. */
const AREA_PAGES_MAX = 1024 * 1024;
/** Areas counted per turn; the next turn continues there, since all guests wait during a request. */
const LOOK_AREAS = 256;
const LOOK_PAGES = 1024 * 1024;
/** A result is returned again until it is this old. */
const FRESH_NANOS = 20_000_000;

const chunk = new Uint8Array(CHUNK_PAGES);

/** Resident pages by kind. */
export class ResidentMemory {
  anonymousPages = 0;
  filePages = 0;
  sharedPages = 0;
  /** The largest total so far. */
  peakPages = 0;
  /** Monotonic time of the last count; -Infinity: never. */
  atNanos = -Infinity;

  // The count under way: the address to continue at (0: none), and its numbers so far.
  nextAddress = 0;
  nextAnonymous = 0;
  nextFile = 0;
  nextShared = 0;

  /**
   * Publishes the numbers: a count is complete, or the first one takes long and part of it is better than nothing.
   */
  publish(): void {
    this.anonymousPages = this.nextAnonymous;
    this.filePages = this.nextFile;
    this.sharedPages = this.nextShared;
    this.peakPages = Math.max(this.peakPages, this.pages);
  }

  get nextPages(): number {
    return this.nextAnonymous + this.nextFile + this.nextShared;
  }
  get pages(): number {
    return this.anonymousPages + this.filePages + this.sharedPages;
  }
}

/**
 * The memory of `task` in RAM; the last result while all its threads run. Linux: always complete; here a process with
 * very many areas or pages takes several calls for one count.
 */
export function residentMemory(task: Task): ResidentMemory {
  const { mm } = task;
  const { resident } = mm;
  const now = task.kernel.clock.monotonic();
  if (now - resident.atNanos < FRESH_NANOS) return resident;
  if (stoppedThread(task) === null) return resident;
  resident.atNanos = now;
  if (resident.nextAddress === 0) resident.nextAnonymous = resident.nextFile = resident.nextShared = 0;
  const isComplete = look(task, resident);
  if (isComplete || resident.peakPages === 0 || resident.pages < resident.nextPages) resident.publish();
  return resident;
}

/** Continues the count where the last turn ended; false if it is not complete yet. */
function look(task: Task, resident: ResidentMemory): boolean {
  const { areas } = task.mm;
  const residents = new ResidentPages(task);
  let areasLeft = LOOK_AREAS, pagesLeft = LOOK_PAGES;
  for (let i = areas.indexAfter(resident.nextAddress); i < areas.count; i++) {
    if (areasLeft-- === 0 || pagesLeft <= 0) return false;
    const area = areas.at(i);
    const pages = residents.of(i);
    pagesLeft -= area.prot === 0 ? 0 : area.length / PAGE_SIZE;
    if (area.backing === null) resident.nextAnonymous += pages;
    else if (area.backing.file === null) resident.nextShared += pages;
    else resident.nextFile += pages;
    resident.nextAddress = area.end;
  }
  resident.nextAddress = 0;
  return true;
}

/** Resident pages of the areas of an address space, in order: one request covers adjacent areas. */
export class ResidentPages {
  readonly #task: Task;
  readonly #areas: VmaSet;
  /** The host's answer for the pages from #from up to #to; it may be some turns old. */
  readonly #pages = new Uint8Array(CHUNK_PAGES);
  #from = 0;
  #to = 0;

  constructor(task: Task) {
    this.#task = task;
    this.#areas = task.mm.areas;
  }

  /** Resident pages of the area at `index`. */
  of(index: number): number {
    const area = this.#areas.at(index);
    if (area.prot === 0) return 0;
    if (area.start < this.#from || area.end > this.#to) {
      const thread = stoppedThread(this.#task);
      if (thread === null) return 0;
      if (!this.#ask(thread, index)) return residentPages(thread, area);
    }
    let resident = 0;
    const first = (area.start - this.#from) / PAGE_SIZE, end = first + area.length / PAGE_SIZE;
    for (let i = first; i < end; i++) resident += this.#pages[i] & 1;
    return resident;
  }

  /** Requests the area at `index` and the following ones; false if that is too much, or the host has a gap there. */
  #ask(thread: GuestThread, index: number): boolean {
    const areas = this.#areas, { start } = areas.at(index);
    const top = start + CHUNK_PAGES * PAGE_SIZE;
    let end = start;
    for (let i = index; i < areas.count; i++) {
      const area = areas.at(i);
      if (area.start !== end || area.end > top) break;
      end = area.end;
    }
    if (end === start) return false;
    if (thread.addressSpace.residency(thread, start, end - start, this.#pages, 0) < 0) return false;
    this.#from = start;
    this.#to = end;
    return true;
  }
}

/** Resident pages of one area; `thread` is a stopped thread of its address space. */
function residentPages(thread: GuestThread, area: Vma): number {
  // Nothing was ever touched in a reservation.
  if (area.prot === 0) return 0;
  const pages = Math.min(AREA_PAGES_MAX, area.length / PAGE_SIZE);
  let resident = 0;
  for (let done = 0; done < pages; done += CHUNK_PAGES) {
    const count = Math.min(CHUNK_PAGES, pages - done);
    const at = area.start + done * PAGE_SIZE;
    const result = thread.addressSpace.residency(thread, at, count * PAGE_SIZE, chunk, 0);
    // The host has not mapped all of a stack or a growing area yet.
    if (result < 0) continue;
    for (let i = 0; i < count; i++) resident += chunk[i] & 1;
  }
  return resident;
}

/** A thread of the process that can make the call now. */
function stoppedThread(task: Task): GuestThread | null {
  if (task.hasExited) return null;
  if (!task.thread.isRunning) return task.thread;
  for (const other of task.threadGroup.tasks) {
    if (!other.hasExited && other.mm === task.mm && !other.thread.isRunning) return other.thread;
  }
  return null;
}
