// mremap(2): grows, shrinks and moves mappings. Linux: mm/mremap.c.

import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from "../abi/errno.ts";
import {
  isPageAligned,
  MAP_NORESERVE,
  MAP_STACK,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  pageDown,
  pageUp,
} from "../abi/memory.ts";
import type { Task } from "../task/task.ts";
import { isReserved, mayCommit, mayExpand, mayLock } from "./limits.ts";
import { carryOut, findFree, unmapMemory } from "./mapping.ts";
import type { Vma } from "./vma.ts";

const FLAGS_KNOWN = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
/** Splits that a move may cause, with a reserve, as in mremap_to(). */
const SPARE_MAPPINGS = 5;

/** What refuses mremap(2) before it takes anything away: 0 or -ERRNO. */
export function checkRemap(
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  target: number,
): number {
  const isFixed = (flags & MREMAP_FIXED) !== 0, mayMove = (flags & MREMAP_MAYMOVE) !== 0;
  const keepsOld = (flags & MREMAP_DONTUNMAP) !== 0;
  if (keepsOld && oldLength !== newLength) return -EINVAL;
  oldLength = pageUp(oldLength);
  newLength = pageUp(newLength);
  if ((flags & ~FLAGS_KNOWN) !== 0 || ((isFixed || keepsOld) && !mayMove)) return -EINVAL;
  if (!isPageAligned(address) || newLength === 0) return -EINVAL;
  const { areas, layout } = task.mm;
  if (areas.find(address)?.isSealed) return -EPERM;
  if (!isFixed && !keepsOld) return areas.find(address) === null ? -EFAULT : 0;
  if (!isPageAligned(target)) return -EINVAL;
  if (newLength > layout.end || target > layout.end - newLength) return -EINVAL;
  if (address + oldLength > target && target + newLength > address) return -EINVAL;
  if (areas.count >= task.kernel.parameters.mappingsMax - SPARE_MAPPINGS) return -ENOMEM;
  if (isFixed && isReserved(layout, target, target + newLength)) return -EINVAL;
  // check_prep_vma(), since Linux 6.17: a call that is refused anyway takes nothing away from the target.
  const whole = areas.find(address);
  return whole === null || Math.min(oldLength, newLength) > whole.end - address ? -EFAULT : 0;
}

/**
 * mremap(2). Returns the new address, or -ERRNO. `target` is used with MREMAP_FIXED, and as a hint with
 * MREMAP_DONTUNMAP.
 */
export function remapMemory(
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  target: number,
): number {
  const isFixed = (flags & MREMAP_FIXED) !== 0, mayMove = (flags & MREMAP_MAYMOVE) !== 0;
  const keepsOld = (flags & MREMAP_DONTUNMAP) !== 0;
  const wrong = checkRemap(task, address, oldLength, newLength, flags, target);
  if (wrong < 0) return wrong;
  oldLength = pageUp(oldLength);
  newLength = pageUp(newLength);
  if (isFixed || keepsOld) {
    return moveTo(task, address, oldLength, newLength, target, isFixed, keepsOld);
  }
  const { areas } = task.mm;
  const area = areas.find(address);
  if (area === null) return -EFAULT;

  if (newLength <= oldLength) {
    const cut = newLength < oldLength ? unmapMemory(task, address + newLength, oldLength - newLength) : 0;
    return cut < 0 ? cut : address;
  }
  const refused = checkResize(task, area, address, oldLength, newLength);
  if (refused < 0) return refused;
  const end = address + newLength;
  const canGrow = address + oldLength === area.end && end <= task.mm.layout.end &&
    !isReserved(task.mm.layout, area.end, end) &&
    areas.findGapAbove(area.end, end, end - area.end) === area.end;
  if (oldLength > 0 && canGrow) {
    const grown = task.mm.space.remap(task.thread, address, oldLength, newLength, address);
    if (grown === 0) {
      areas.extend(area, end);
      return address;
    }
    // The host may have a mapping of its own there, or two mappings where this kernel has one: moving may still
    // succeed.
  }
  if (!mayMove) return -ENOMEM;
  const place = findFree(task.mm, newLength);
  return place < 0 ? place : move(task, area, address, oldLength, newLength, place, false);
}

/** MREMAP_FIXED and MREMAP_DONTUNMAP: mremap_to(). */
function moveTo(
  task: Task,
  address: number,
  oldLength: number,
  newLength: number,
  target: number,
  isFixed: boolean,
  keepsOld: boolean,
): number {
  const { areas } = task.mm;
  if (isFixed) {
    const cleared = unmapMemory(task, target, newLength);
    if (cleared < 0) return cleared;
  }
  if (oldLength > newLength) {
    const cut = unmapMemory(task, address + newLength, oldLength - newLength);
    if (cut < 0) return cut;
    oldLength = newLength;
  }
  // Unmapping the target may have split the area.
  const area = areas.find(address);
  if (area === null) return -EFAULT;
  const refused = checkResize(task, area, address, oldLength, newLength);
  if (refused < 0) return refused;
  if (keepsOld) {
    const expands = mayExpand(task, oldLength, area.isData ? oldLength : 0);
    if (expands < 0) return expands;
  }
  let place = target;
  if (!isFixed) {
    const hint = pageDown(target);
    const isHintFree = hint !== 0 && !isReserved(task.mm.layout, hint, hint + newLength) &&
      areas.findGapAbove(hint, hint + newLength, newLength) === hint;
    place = isHintFree ? hint : findFree(task.mm, newLength);
    if (place < 0) return place;
  }
  return move(task, area, address, oldLength, newLength, place, keepsOld);
}

/** vma_to_resize(). */
function checkResize(task: Task, area: Vma, address: number, oldLength: number, newLength: number): number {
  if (oldLength === 0 && !area.isShared) return -EINVAL;
  if (oldLength > area.end - address) return -EFAULT;
  const growth = newLength - oldLength;
  if (growth <= 0) return 0;
  if (area.isLocked && mayLock(task, growth) < 0) return -EAGAIN;
  const expands = mayExpand(task, growth, area.isData ? growth : 0);
  if (expands < 0) return expands;
  if (!area.isData || (area.flags & (MAP_NORESERVE | MAP_STACK)) !== 0) return 0;
  return mayCommit(task, growth);
}

/** Moves the area's [address, +oldLength) to `place`, which is free, and makes it `newLength` long. */
function move(
  task: Task,
  area: Vma,
  address: number,
  oldLength: number,
  newLength: number,
  place: number,
  keepsOld: boolean,
): number {
  const { areas, space } = task.mm;
  const moved = area.slice(address, address + oldLength);
  moved.start = place;
  moved.end = place + newLength;
  // Nothing is moved: a second mapping of the same shared memory is made.
  const isDuplicate = oldLength === 0;
  const result = isDuplicate
    ? carryOut(task, moved, 0)
    : space.remap(task.thread, address, oldLength, newLength, place);
  if (result < 0) {
    moved.backing?.drop();
    return result;
  }
  if (keepsOld) {
    const rest = area.slice(address, address + oldLength);
    const kept = carryOut(task, rest, 0);
    rest.backing?.drop();
    if (kept < 0) areas.remove(address, address + oldLength);
    else if (area.isLocked) areas.update(address, address + oldLength, unlock);
  } else if (!isDuplicate) {
    areas.remove(address, address + oldLength);
  }
  areas.insert(moved);
  return place;
}

function unlock(area: Vma): void {
  area.isLocked = false;
}
