// Puts a checked ELF image into a fresh address space: segments, bss, the program's break. Linux: elf_map, set_brk.

import { EINVAL, EIO, ENODEV, ENOMEM } from "../abi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  PAGE_SIZE,
  pageDown,
  pageUp,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { mapMemory, protectMemory } from "../mm/mapping.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import { type ElfImage, isPlausible, OFFSET_END, readFully, type Segment } from "./elf.ts";

const zeros = new Uint8Array(PAGE_SIZE);
const page = new Uint8Array(PAGE_SIZE);

/**
 * Loads the images of one program into task.mm, whose address space is new. Mappings are collected and carried out
 * together, as each one by itself costs a round trip to the stub: they are there after finish().
 */
export class ImageLoader {
  readonly #task: Task;
  /** Starts of the bss in the last file page of a segment: to be zeroed up to the page's end. */
  readonly #partialPages: number[] = [];

  constructor(task: Task) {
    this.#task = task;
    task.mm.space.beginBatch(task.thread);
  }

  /** Maps `image` of `file` with load bias `bias`. 0 or -ERRNO. */
  load(file: File, image: ElfImage, bias: number): number {
    const { layout } = this.#task.mm;
    if (image.segments.length === 0) return -EINVAL;
    // The bias is a guess for an image that may be larger than what is left of the space.
    if (image.isPositionIndependent && image.end + bias > layout.end) return -ENOMEM;
    for (const segment of image.segments) {
      const result = this.#loadSegment(file, segment, bias);
      if (result < 0) return result;
      if (!isPlausible(segment.address, segment.fileBytes, segment.memoryBytes, layout)) return -EINVAL;
    }
    return 0;
  }

  /** Carries out what was collected. 0, or -ERRNO past repair. */
  finish(): number {
    const { space } = this.#task.mm;
    for (const start of this.#partialPages) {
      const length = pageUp(start) - start;
      if (space.write(start, zeros, 0, length) !== length) return -ENOMEM;
    }
    return space.endBatch();
  }

  #loadSegment(file: File, segment: Segment, bias: number): number {
    const task = this.#task;
    const address = segment.address + bias;
    const start = pageDown(address);
    const inPage = address - start;
    const fileEnd = address + segment.fileBytes;
    const end = address + segment.memoryBytes;
    // A segment that begins in the last page of the one before replaces it, bss and all.
    const last = this.#partialPages.length - 1;
    if (last >= 0 && pageUp(this.#partialPages[last]) > start && this.#partialPages[last] < end) {
      this.#partialPages.pop();
    }
    let mappedEnd = start;
    if (segment.fileBytes > 0) {
      const offset = segment.offset - inPage;
      if (offset % PAGE_SIZE !== 0 || offset < 0 || offset >= OFFSET_END) return -EINVAL;
      if (segment.fileBytes > task.mm.layout.end) return -ENOMEM;
      const result = this.#mapFile(file, start, fileEnd - start, segment.prot, offset);
      if (result < 0) return result;
      mappedEnd = pageUp(fileEnd);
      // Only a writable segment has its bss in the last file page; Linux leaves a read-only one alone too.
      const hasPartial = segment.memoryBytes > segment.fileBytes && mappedEnd > fileEnd;
      if (hasPartial && (segment.prot & PROT_WRITE) !== 0) this.#partialPages.push(fileEnd);
    }
    if (pageUp(end) <= mappedEnd || segment.memoryBytes <= segment.fileBytes) return 0;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    // vm_brk_flags(): whatever the segment says, what is behind its file can be written.
    const prot = PROT_READ | PROT_WRITE | (segment.prot & PROT_EXEC);
    const result = mapMemory(task, mappedEnd, pageUp(end) - mappedEnd, prot, flags, null, 0);
    return result < 0 ? result : 0;
  }

  /** Maps file pages, or copies them where the file system has no descriptor to map. */
  #mapFile(file: File, start: number, length: number, prot: number, offset: number): number {
    const task = this.#task;
    if (typeof (file.asMappable()?.mappable(false, prot) ?? -ENODEV) === "number") {
      return this.#copyFile(file, start, length, prot, offset);
    }
    const result = mapMemory(task, start, length, prot, MAP_PRIVATE | MAP_FIXED, file, offset);
    return result < 0 ? result : 0;
  }

  #copyFile(file: File, start: number, length: number, prot: number, offset: number): number {
    const task = this.#task;
    const { space } = task.mm;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const mapped = mapMemory(task, start, length, prot | PROT_WRITE, flags, null, 0);
    if (mapped < 0) return mapped;
    const ran = space.endBatch();
    if (ran < 0) return ran;
    for (let done = 0; done < length; done += PAGE_SIZE) {
      const n = readFully(task, file, page, 0, Math.min(PAGE_SIZE, length - done), offset + done);
      if (n < 0) return -EIO;
      if (n > 0 && space.write(start + done, page, 0, n) !== n) return -ENOMEM;
    }
    const result = protectMemory(task, start, length, prot);
    space.beginBatch(task.thread);
    return result;
  }
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
