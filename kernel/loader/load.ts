// Puts a checked ELF image into a fresh address space: segments, bss, the program's break. Linux: elf_map, set_brk.

import { EIO, ENOMEM } from "../abi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  PAGE_SIZE,
  pageDown,
  pageUp,
  PROT_EXEC,
  PROT_WRITE,
} from "../abi/memory.ts";
import { USER_ADDRESS_END } from "../../platform/platform.ts";
import { mapMemory } from "../mm/mapping.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import { type ElfImage, readFully, type Segment } from "./elf.ts";

const zeros = new Uint8Array(PAGE_SIZE);
const tail = new Uint8Array(PAGE_SIZE);

/** Maps `image` of `file` with load bias `bias` into task.mm. 0, or -ERRNO: some of it is mapped then. */
export function loadImage(task: Task, file: File, image: ElfImage, bias: number): number {
  // The bias is a guess for an image that may be larger than what is left of the space.
  if (image.end + bias > USER_ADDRESS_END) return -ENOMEM;
  for (const segment of image.segments) {
    const result = loadSegment(task, file, segment, bias);
    if (result < 0) return result;
  }
  return 0;
}

function loadSegment(task: Task, file: File, segment: Segment, bias: number): number {
  const address = segment.address + bias;
  const start = pageDown(address);
  const inPage = address - start;
  const fileEnd = address + segment.fileBytes;
  const end = address + segment.memoryBytes;
  let mappedEnd = start;
  if (segment.fileBytes > 0) {
    const result = mapFile(task, file, start, fileEnd - start, segment.prot, segment.offset - inPage);
    if (result < 0) return result;
    mappedEnd = pageUp(fileEnd);
    // Only a writable segment has its bss in the last file page; Linux leaves a read-only one alone too.
    const partial = mappedEnd - fileEnd;
    if (segment.memoryBytes > segment.fileBytes && partial > 0 && (segment.prot & PROT_WRITE) !== 0) {
      if (task.mm.space.write(fileEnd, zeros, 0, partial) !== partial) return -ENOMEM;
    }
  }
  if (pageUp(end) <= mappedEnd) return 0;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  const result = mapMemory(task, mappedEnd, pageUp(end) - mappedEnd, segment.prot, flags, null, 0);
  return result < 0 ? result : 0;
}

/** Maps file pages, or copies them where the file system has no descriptor to map. */
function mapFile(
  task: Task,
  file: File,
  start: number,
  length: number,
  prot: number,
  offset: number,
): number {
  const flags = MAP_PRIVATE | (task.mm.areas.isFree(start, start + length) ? MAP_FIXED_NOREPLACE : MAP_FIXED);
  const result = mapMemory(task, start, length, prot, flags, file, offset);
  if (result >= 0 || file.mappable(false, prot) instanceof Object) return result;
  const copied = mapMemory(task, start, length, prot | PROT_WRITE, flags | MAP_ANONYMOUS, null, 0);
  if (copied < 0) return copied;
  for (let done = 0; done < length; done += PAGE_SIZE) {
    const n = readFully(task, file, tail, 0, Math.min(PAGE_SIZE, length - done), offset + done);
    if (n < 0) return -EIO;
    if (n > 0 && task.mm.space.write(start + done, tail, 0, n) !== n) return -ENOMEM;
  }
  if ((prot & PROT_WRITE) === 0) {
    task.mm.areas.update(start, pageUp(start + length), (area) => area.prot = prot);
    return task.mm.space.protect(task.thread, start, pageUp(length), prot);
  }
  return 0;
}

/** Where the code and the data of an image lie, as /proc/PID/stat shows them: start_code, end_code, start_data, end_data. */
export function imageRanges(image: ElfImage, bias: number): {
  readonly codeStart: number;
  readonly codeEnd: number;
  readonly dataStart: number;
  readonly dataEnd: number;
} {
  let codeStart = 0, codeEnd = 0;
  for (const { prot, address, fileBytes } of image.segments) {
    if ((prot & PROT_EXEC) === 0) continue;
    if (codeStart === 0) codeStart = address + bias;
    codeEnd = address + fileBytes + bias;
  }
  const last = image.segments[image.segments.length - 1];
  const dataStart = last.address + bias;
  return { codeStart, codeEnd, dataStart, dataEnd: dataStart + last.fileBytes };
}
