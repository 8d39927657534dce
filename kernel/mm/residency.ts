// How much of a process's memory is in RAM: what /proc/PID/status, statm, smaps and getrusage(2) tell. The host knows; it is
// asked through mincore(2), which a stopped thread of the process makes. Linux: get_mm_rss(), smaps_account().
// Linux: of a file mapping the pages of the page cache count, whether or not this process has touched them.

import { PAGE_SIZE } from "../abi/memory.ts";
import type { GuestThread } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import type { Vma } from "./vma.ts";

/** Pages asked for at a time. */
const CHUNK_PAGES = 8192;
/** Pages looked at in one area: what is beyond counts as if it were not there. */
const AREA_PAGES_MAX = 1024 * 1024;
/** An answer this old is given again. */
const FRESH_NANOS = 20_000_000;

const chunk = new Uint8Array(CHUNK_PAGES);

/** Resident pages by kind. */
export class ResidentMemory {
  anonymousPages = 0;
  filePages = 0;
  sharedPages = 0;
  /** The most there ever were. */
  peakPages = 0;
  /** Monotonic time of the last look; -Infinity = never. */
  atNanos = -Infinity;

  get pages(): number {
    return this.anonymousPages + this.filePages + this.sharedPages;
  }
}

/** What `task` has in RAM; as of the last look where all its threads are running. */
export function residentMemory(task: Task): ResidentMemory {
  const { mm } = task;
  const { resident } = mm;
  const now = task.kernel.clock.monotonic();
  if (now - resident.atNanos < FRESH_NANOS) return resident;
  const thread = stoppedThread(task);
  if (thread === null) return resident;
  resident.atNanos = now;
  resident.anonymousPages = resident.filePages = resident.sharedPages = 0;
  for (const area of mm.areas) {
    const pages = residentPages(thread, area);
    if (area.backing === null) resident.anonymousPages += pages;
    else if (area.backing.file === null) resident.sharedPages += pages;
    else resident.filePages += pages;
  }
  resident.peakPages = Math.max(resident.peakPages, resident.pages);
  return resident;
}

/** Resident pages of one area; `thread` is stopped and of that address space. */
export function residentPages(thread: GuestThread, area: Vma): number {
  // Reservations: nothing was ever touched there.
  if (area.prot === 0) return 0;
  const pages = Math.min(AREA_PAGES_MAX, area.length / PAGE_SIZE);
  let resident = 0;
  for (let done = 0; done < pages; done += CHUNK_PAGES) {
    const count = Math.min(CHUNK_PAGES, pages - done);
    const at = area.start + done * PAGE_SIZE;
    const result = thread.addressSpace.residency(thread, at, count * PAGE_SIZE, chunk, 0);
    // Stacks and areas that grow have parts the host has not mapped yet.
    if (result < 0) continue;
    for (let i = 0; i < count; i++) resident += chunk[i] & 1;
  }
  return resident;
}

/** A thread of the process that can be asked now. */
export function stoppedThread(task: Task): GuestThread | null {
  if (task.hasExited) return null;
  if (!task.thread.isRunning) return task.thread;
  for (const other of task.threadGroup.tasks) {
    if (!other.hasExited && other.mm === task.mm && !other.thread.isRunning) return other.thread;
  }
  return null;
}
