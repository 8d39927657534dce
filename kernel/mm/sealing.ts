// mseal(2), remap_file_pages(2) on a memory map. Linux: mm/mseal.c, mm/mmap.c.

import { EINVAL, ENOMEM } from "../abi/errno.ts";
import { isPageAligned, PAGE_SIZE, pageDown, pageUp } from "../abi/memory.ts";
import type { Task } from "../task/task.ts";
import { carryOut } from "./mapping.ts";
import type { Vma } from "./vma.ts";

/** mseal(2): all of [address, +length) keeps its place, size and protection from now on. */
export function sealMemory(task: Task, address: number, length: number, flags: number): number {
  if (flags !== 0 || !isPageAligned(address)) return -EINVAL;
  if (length > task.mm.layout.end || address > task.mm.layout.end - length) return length === 0 ? 0 : -ENOMEM;
  const end = address + pageUp(length);
  if (end === address) return 0;
  const { areas } = task.mm;
  if (!areas.isCovered(address, end)) return -ENOMEM;
  areas.hasSeals = true;
  areas.update(address, end, (area) => area.isSealed = true);
  return 0;
}

/** The mapping whose part [address, +size) remap_file_pages(2) may change, or -EINVAL. */
export function checkRemapFilePages(
  task: Task,
  address: number,
  size: number,
  prot: number,
  page: number,
): Vma | number {
  const start = pageDown(address), bytes = pageDown(size);
  if (prot !== 0 || bytes === 0 || bytes > task.mm.layout.end || page > 2 ** 52) return -EINVAL;
  const { areas } = task.mm;
  const first = areas.find(start);
  if (first === null || !first.isShared || first.backing === null) return -EINVAL;
  // The part may reach over neighbours of the same file.
  const end = start + bytes;
  for (let i = areas.indexAfter(start), at = start; at < end; i++) {
    const area = i < areas.count ? areas.at(i) : null;
    const isSame = area !== null && area.start <= at && area.backing?.file === first.backing.file &&
      area.prot === first.prot && area.flags === first.flags;
    if (!isSame) return -EINVAL;
    at = area.end;
  }
  return first;
}

/**
 * remap_file_pages(2), once it has been checked: other pages of a shared mapping's file in a part of it. Linux does it by mmap(2)
 * too. The caller brings the pages in.
 */
export function remapFilePages(task: Task, first: Vma, address: number, size: number, page: number): number {
  const { areas } = task.mm;
  const start = pageDown(address), end = start + pageDown(size);
  const part = first.slice(start, Math.min(end, first.end));
  part.end = end;
  part.offset = page * PAGE_SIZE;
  const result = carryOut(task, part, 0);
  if (result < 0) {
    part.backing!.drop();
    return result;
  }
  areas.remove(start, end);
  areas.insert(part);
  return 0;
}
