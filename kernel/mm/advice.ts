// madvise(2) on the areas of a memory map. Advice that changes content or fork goes to the host and the VMA tree,
// paging hints go to the host, the rest has no effect. Linux: mm/madvise.c.

import { EACCES, EINVAL, ENOMEM, EPERM } from "../abi/errno.ts";
import {
  isPageAligned,
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_HWPOISON,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_SOFT_OFFLINE,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MAP_SHARED,
  pageUp,
  PROT_EXEC,
  PROT_WRITE,
} from "../abi/memory.ts";
import { CAP_SYS_ADMIN } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import type { Vma, VmaSet } from "./vma.ts";

/** Advice passed on to the platform. Other advice changes the tree only, or nothing. */
const HOST_ADVICE = new Set([
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
]);
/**
 * Accepted without effect. Linux: MADV_MERGEABLE merges equal pages; here never, as merging reveals a neighbour's
 * content by its timing.
 */
/** Advice after which memory is not what it was: is_discard() of mm/madvise.c. */
const DISCARDS = new Set([
  MADV_FREE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_WIPEONFORK,
]);
const NO_EFFECT = new Set([MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_MERGEABLE, MADV_UNMERGEABLE]);
/** Advice that changes an area's fields in the tree. */
const TREE_ADVICE = new Set([
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_DONTDUMP,
  MADV_DODUMP,
]);

/** madvise(2). Areas are advised in order; a hole is reported after the rest is done, as on Linux. */
export function adviseMemory(task: Task, address: number, length: number, advice: number): number {
  const isPoison = advice === MADV_HWPOISON || advice === MADV_SOFT_OFFLINE;
  if (isPoison) return task.credentials.has(CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
  // Linux without huge pages does not have MADV_COLLAPSE either.
  const isKnown = HOST_ADVICE.has(advice) || TREE_ADVICE.has(advice) || NO_EFFECT.has(advice);
  if (!isKnown || !isPageAligned(address)) return -EINVAL;
  if (length > task.mm.layout.end) return -EINVAL;
  const end = address + pageUp(length);
  if (end > task.mm.layout.end) return address > task.mm.layout.end ? -EINVAL : -ENOMEM;
  if (end === address) return 0;
  const areas = task.mm.areas;
  let hasHole = false;
  for (let at = address; at < end;) {
    const index = areas.indexAfter(at);
    if (index >= areas.count || areas.at(index).start >= end) {
      hasHole = true;
      break;
    }
    const first = areas.at(index);
    if (first.start > at) {
      hasHole = true;
      if (isPopulate(advice)) break;
    }
    const from = Math.max(at, first.start);
    const to = runEnd(areas, index, end, advice);
    if (to <= from) return refusal(first, advice);
    const result = adviseRun(task, from, to, advice);
    if (result < 0) return result;
    at = to;
  }
  return hasHole ? -ENOMEM : 0;
}

/** The end of the run of adjacent areas from `index` on that allow the advice: one command advises them. */
function runEnd(areas: VmaSet, index: number, end: number, advice: number): number {
  const { start } = areas.at(index);
  let to = start;
  for (let i = index; i < areas.count && to < end; i++) {
    const area = areas.at(i);
    if (area.start !== to || refusal(area, advice) < 0) break;
    to = area.end;
  }
  return Math.min(to, end);
}

function isPopulate(advice: number): boolean {
  return advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE;
}

function adviseRun(task: Task, from: number, to: number, advice: number): number {
  const { areas, space } = task.mm;
  // What a thread does to its stack when it ends (glibc): no round trip to the stub for it.
  if (advice === MADV_DONTNEED && isPlain(areas, from, to)) {
    if (space.discardLater(task.thread, from, to - from)) return 0;
  }
  if (HOST_ADVICE.has(advice)) {
    const given = advice === MADV_DONTNEED_LOCKED ? MADV_DONTNEED : advice;
    const result = space.advise(task.thread, from, to - from, given);
    // A hint that the host does not support is not the guest's error.
    if (result < 0 && !isHint(advice)) return result;
  }
  if (TREE_ADVICE.has(advice)) areas.update(from, to, changeOf(advice));
  return 0;
}

/** Whether [from, to), all of it mapped, is private anonymous memory that holds no code. */
function isPlain(areas: VmaSet, from: number, to: number): boolean {
  for (let i = areas.indexAfter(from); i < areas.count && areas.at(i).start < to; i++) {
    const area = areas.at(i);
    if (area.backing !== null || (area.flags & MAP_SHARED) !== 0 || (area.prot & PROT_EXEC) !== 0) {
      return false;
    }
  }
  return true;
}

/** Why an advice does not apply to an area; 0 if it does. */
function refusal(area: Vma, advice: number): number {
  const isAnonymous = area.backing === null;
  // can_madv_modify(): what a sealed area holds is not thrown away unless it could be written.
  if (area.isSealed && DISCARDS.has(advice) && !area.isShared && (area.prot & PROT_WRITE) === 0) {
    return -EPERM;
  }
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_COLD:
    case MADV_PAGEOUT:
      return area.isLocked ? -EINVAL : 0;
    case MADV_FREE:
    case MADV_WIPEONFORK:
      return isAnonymous ? 0 : -EINVAL;
    case MADV_REMOVE:
      if (isAnonymous || area.isLocked) return -EINVAL;
      // It suffices that the area could be made writable: vma_is_shared_maywrite().
      return area.isShared && (area.protMax & PROT_WRITE) !== 0 ? 0 : -EACCES;
    default:
      return 0;
  }
}

function isHint(advice: number): boolean {
  return advice === MADV_WILLNEED || advice === MADV_HUGEPAGE || advice === MADV_NOHUGEPAGE ||
    advice === MADV_COLD || advice === MADV_PAGEOUT;
}

function changeOf(advice: number): (area: Vma) => void {
  switch (advice) {
    case MADV_DONTFORK:
    case MADV_DOFORK:
      return (area) => area.isForked = advice === MADV_DOFORK;
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
      return (area) => area.isWiped = advice === MADV_WIPEONFORK;
    default:
      return (area) => area.isDumped = advice === MADV_DODUMP;
  }
}
