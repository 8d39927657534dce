// Stacks that grow downwards (MAP_GROWSDOWN). The main stack is reserved whole at exec and paged by the host, so this
// serves mappings that a program makes itself. Linux: expand_stack.

import { MAP_ANONYMOUS, MAP_PRIVATE, pageDown } from "../abi/memory.ts";
import type { Task } from "../task/task.ts";
import type { MemoryMap } from "./address_space.ts";
import { STACK_GUARD_BYTES } from "./vma.ts";

/** Farthest below its start that one fault grows a stack: one page on Linux; we allow a frame that skips some. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;

/** Grows the stack above `address`, if one is meant to. True when memory is there now. */
export function growStack(task: Task, mm: MemoryMap, address: number): boolean {
  const index = mm.areas.indexAfter(address);
  if (index >= mm.areas.count) return false;
  const area = mm.areas.at(index);
  if (!area.growsDown || area.start <= address) return false;
  const start = pageDown(address);
  if (area.start - start > GROWTH_BYTES_MAX) return false;
  const below = index > 0 ? mm.areas.at(index - 1) : null;
  if (below !== null && start - below.end < STACK_GUARD_BYTES) return false;
  const length = area.start - start;
  if (mm.space.map(task.thread, start, length, area.prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) < 0) {
    return false;
  }
  area.start = start;
  mm.areas.totalBytes += length;
  return true;
}
