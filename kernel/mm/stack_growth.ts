// Stacks that grow downwards (MAP_GROWSDOWN): a fault below one extends it. execve reserves the main stack up to its
// limit, and the host pages it; this file serves other stacks. Linux: expand_stack(), acct_stack_growth().

import { EAGAIN } from "../abi/errno.ts";
import { pageDown, pageUp } from "../abi/memory.ts";
import { RLIMIT_STACK } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import { isReserved, mayExpand, mayLock } from "./limits.ts";
import type { MemoryMap } from "./address_space.ts";
import { carryOut } from "./mapping.ts";
import { STACK_GUARD_BYTES, Vma } from "./vma.ts";

/** A fault grows the stack by at least this, so that deep recursion does not fault page by page. */
const GROWTH_BYTES_MIN = 128 * 1024;

/** Extends the stack above `address`, if there is one. True when the address is mapped now. */
export function growStack(task: Task, mm: MemoryMap, address: number): boolean {
  const areas = mm.areas;
  const index = areas.indexAfter(address);
  if (index >= areas.count) return false;
  const stack = areas.at(index);
  if (!stack.growsDown || stack.start <= address || stack.prot === 0) return false;
  const limit = task.threadGroup.limits.soft(RLIMIT_STACK);
  const needed = pageDown(address);
  if (stack.end - needed > limit) return false;
  const floor = index > 0 ? areas.at(index - 1).end + STACK_GUARD_BYTES : STACK_GUARD_BYTES;
  if (needed < floor) return false;
  const wanted = Math.max(stack.start - GROWTH_BYTES_MIN, floor, stack.end - limit);
  const start = Math.min(needed, pageUp(wanted));
  const length = stack.start - start;
  if (isReserved(mm.layout, start, stack.start) || mayExpand(task, length, 0) < 0) return false;
  if (stack.isLocked && mayLock(task, length) === -EAGAIN) return false;
  const grown = new Vma(start, stack.start, stack.prot, stack.flags, null, 0, "");
  if (carryOut(task, grown, 0) < 0) return false;
  areas.extendDown(stack, start);
  return true;
}
