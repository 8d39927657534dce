// Calls that populate or free much memory at once. The host does that while the sentry waits, so they do it in
// pieces, with turns for other tasks in between; only SIGKILL ends them early, as on Linux. Linux: mm_populate() of
// mm/gup.c, mm/madvise.c.

import { ENOMEM, EPERM } from "../abi/errno.ts";
import {
  isPageAligned,
  MADV_COLD,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_WILLNEED,
  MAP_FIXED,
  MAP_NONBLOCK,
  MAP_POPULATE,
  MREMAP_FIXED,
  pageDown,
  pageUp,
} from "../abi/memory.ts";
import { adviseMemory } from "../mm/advice.ts";
import { POPULATE_PIECE_BYTES } from "../mm/limits.ts";
import { populateAdvice } from "../mm/locking.ts";
import { changeBreak, mapMemory, planMapping, unmapMemory } from "../mm/mapping.ts";
import { checkRemap, remapMemory } from "../mm/remap.ts";
import { checkRemapFilePages, remapFilePages } from "../mm/sealing.ts";
import { type Continuation, continuation } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { giveTurnKillable, suspendKillable } from "../task/wait_engine.ts";
import type { File } from "../vfs/file.ts";

/** Bytes of pages freed or unmapped per turn: 1 to 4 ms of the host's time. */
export const GIVE_BACK_PIECE_BYTES = 32 << 20;
/** The same of what a fixed mapping replaces: giving it back is extra work, so less of it at once costs nobody more. */
const REPLACED_PIECE_BYTES = 16 << 20;

/** Bytes per turn, by advice. Other advice changes the areas only. */
const PIECE_BYTES: ReadonlyMap<number, number> = new Map([
  [MADV_POPULATE_READ, POPULATE_PIECE_BYTES],
  [MADV_POPULATE_WRITE, POPULATE_PIECE_BYTES],
  [MADV_WILLNEED, GIVE_BACK_PIECE_BYTES],
  [MADV_DONTNEED, GIVE_BACK_PIECE_BYTES],
  [MADV_DONTNEED_LOCKED, GIVE_BACK_PIECE_BYTES],
  [MADV_FREE, GIVE_BACK_PIECE_BYTES],
  [MADV_REMOVE, GIVE_BACK_PIECE_BYTES],
  [MADV_COLD, GIVE_BACK_PIECE_BYTES],
  [MADV_PAGEOUT, GIVE_BACK_PIECE_BYTES],
]);

/** Areas that one turn changes at most. */
const PIECE_AREAS = 512;

/** munmap(2). Linux: other threads see all memory vanish at once; here piece by piece. */
export function unmap(task: Task, start: number, length: number): number {
  if (length <= GIVE_BACK_PIECE_BYTES || !isPageAligned(start) || length > task.mm.layout.end - start) {
    return unmapMemory(task, start, length);
  }
  const { areas } = task.mm, { call } = task, end = start + pageUp(length);
  if (call.done === 0 && areas.hasSealed(start, end)) return -EPERM;
  const index = areas.indexAfter(start + call.done);
  if (index >= areas.count || areas.at(index).start >= end) return 0;
  const from = Math.max(start + call.done, areas.at(index).start);
  const to = Math.min(end, from + GIVE_BACK_PIECE_BYTES);
  const result = unmapMemory(task, from, to - from);
  if (result < 0 || to === end) return result;
  call.setDone(to - start);
  return giveTurnKillable(task);
}

/**
 * mmap(2). What a fixed mapping replaces is given back first, in pieces. Linux: it goes at once; here other threads may read
 * zeros, or the content of a private mapping's file, before they see the new mapping.
 */
export function map(
  task: Task,
  address: number,
  length: number,
  prot: number,
  flags: number,
  file: File | null,
  offset: number,
): number {
  if ((flags & MAP_FIXED) !== 0 && length > REPLACED_PIECE_BYTES) {
    const plan = planMapping(task, address, length, prot, flags, file, offset);
    if (typeof plan === "number") return plan;
    if (giveBack(task, address, plan.length, 0)) return giveTurnKillable(task);
  }
  const result = mapMemory(task, address, length, prot, flags, file, offset);
  return populateMapping(task, result, length, flags);
}

/** mremap(2). What is cut off, and what is mapped at the target, is given back as in map(). */
export function remap(
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  target: number,
): number {
  const from = pageUp(oldLength), to = pageUp(newLength);
  const cut = Math.max(0, from - to), covered = (flags & MREMAP_FIXED) !== 0 ? to : 0;
  if (cut > REPLACED_PIECE_BYTES || covered > REPLACED_PIECE_BYTES) {
    const refused = checkRemap(task, address, oldLength, newLength, flags, target);
    if (refused < 0) return refused;
    if (giveBack(task, address + to, cut, 0) || giveBack(task, target, covered, cut)) {
      return giveTurnKillable(task);
    }
  }
  return remapMemory(task, address, oldLength, newLength, flags, target);
}

/** remap_file_pages(2). What is replaced is given back as in map(), and the new pages are brought in. */
export function remapPages(task: Task, address: number, size: number, prot: number, page: number): number {
  const first = checkRemapFilePages(task, address, size, prot, page);
  if (typeof first === "number") return first;
  const start = pageDown(address), length = pageDown(size);
  if (length > REPLACED_PIECE_BYTES && giveBack(task, start, length, 0)) return giveTurnKillable(task);
  const result = remapFilePages(task, first, address, size, page);
  return result < 0 ? result : populate(task, start, start + length, 0);
}

/**
 * Gives back a piece of [start, +length), which is what the call has to do beyond `before` bytes. Returns false when nothing
 * is left to do.
 */
function giveBack(task: Task, start: number, length: number, before: number): boolean {
  const { call, mm: { areas } } = task;
  const end = start + length, at = start + Math.max(0, call.done - before);
  const index = areas.indexAfter(at);
  if (at >= end || index >= areas.count || areas.at(index).start >= end) return false;
  const from = Math.max(at, areas.at(index).start);
  const last = areas.at(Math.min(areas.count, index + PIECE_AREAS) - 1);
  const to = Math.min(end, last.end, from + REPLACED_PIECE_BYTES);
  // The content is about to go anyway: it does not matter whether the host follows.
  adviseMemory(task, from, to - from, MADV_DONTNEED_LOCKED);
  call.setDone(before + to - start);
  return true;
}

/** brk(2): frees from the top down, so that the break is correct after each piece. */
export function setBreak(task: Task, wanted: number): number {
  const { mm } = task, { brk } = mm;
  const piece = brk - GIVE_BACK_PIECE_BYTES;
  if (wanted < mm.brkStart || wanted >= piece) return changeBreak(task, wanted);
  return changeBreak(task, piece) === piece ? giveTurnKillable(task) : mm.brk;
}

/** madvise(2). */
export function advise(task: Task, start: number, length: number, advice: number): number {
  if (length > task.mm.layout.end || start + pageUp(length) > task.mm.layout.end || !isPageAligned(start)) {
    return adviseMemory(task, start, length, advice);
  }
  const { call } = task, { areas } = task.mm;
  let piece = PIECE_BYTES.get(advice) ?? Infinity;
  const last = areas.indexAfter(start + call.done) + PIECE_AREAS - 1;
  if (last < areas.count) piece = Math.min(piece, areas.at(last).end - start - call.done);
  if (call.done === 0 && length <= piece) return adviseMemory(task, start, length, advice);
  const count = Math.min(length - call.done, piece);
  const result = adviseMemory(task, start + call.done, count, advice);
  // madvise(2) reports a hole after the rest is done; populating ends at it.
  const isPopulate = advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE;
  if (result < 0 && (result !== -ENOMEM || isPopulate)) return result;
  call.setDone(call.done + count);
  if (call.done < length) return giveTurnKillable(task);
  return task.mm.areas.isCovered(start, start + pageUp(length)) ? 0 : -ENOMEM;
}

/** mmap(2) has returned `address`: populates what mapMemory() left out because of its size. */
export function populateMapping(task: Task, address: number, length: number, flags: number): number {
  if (address < 0 || length <= POPULATE_PIECE_BYTES) return address;
  const isWanted = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
  const { areas } = task.mm;
  if (!isWanted && !areas.at(areas.indexAfter(address)).isLocked) return address;
  return populate(task, address, address + pageUp(length), address);
}

/** mlock(2) has returned `result`: as above. */
export function populateLocked(task: Task, start: number, length: number, result: number): number {
  const from = pageDown(start), to = pageUp(start + length);
  return result < 0 || to - from <= POPULATE_PIECE_BYTES ? result : populate(task, from, to, result);
}

/** mlockall(2) has returned `result`: as above, for all mappings. */
export function populateAll(task: Task, result: number): number {
  return result < 0 ? result : populate(task, 0, task.mm.layout.end, result);
}

/** Populates the mappings in [start, end) as far as possible; then the call returns `answer`. */
function populate(task: Task, start: number, end: number, answer: number): number {
  const { areas } = task.mm;
  const index = areas.indexAfter(start);
  if (index >= areas.count || areas.at(index).start >= end) return answer;
  const area = areas.at(index);
  const from = Math.max(start, area.start);
  const to = Math.min(end, area.end, from + POPULATE_PIECE_BYTES);
  const advice = populateAdvice(area);
  if (advice !== 0) task.mm.space.advise(task.thread, from, to - from, advice);
  if (to >= end) return answer;
  const result = suspendKillable(task, { kind: "populate", start: to, end, answer }, POPULATE_ON);
  task.call.wake();
  return result;
}

function populateOn(task: Task): number {
  const { state } = task.call;
  if (state.kind !== "populate") throw new Error(`populate goes on in a wait of kind ${state.kind}`);
  return populate(task, state.start, state.end, state.answer);
}

const POPULATE_ON = continuation("populate", populateOn);
export const PAGING_CONTINUATIONS: readonly Continuation[] = [POPULATE_ON];
