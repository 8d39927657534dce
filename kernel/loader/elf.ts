// ELF executables: reads headers, says what is to be mapped where. Linux: fs/binfmt_elf.c. The file is hostile: what is read
// by its numbers is checked here, and what is mapped by them where it is mapped (load.ts). As on Linux a program whose
// segments make no sense is found out only when the old one is gone, and dies.

import { EINVAL, EIO, ENOEXEC } from "../abi/errno.ts";
import { PAGE_SIZE, pageDown, PROT_EXEC, PROT_READ, PROT_WRITE } from "../abi/memory.ts";
import { u16, u32, u64 } from "../abi/struct.ts";
import { ELF_MACHINE } from "../arch/arch.ts";
import { bytesToLatin1 } from "../util/bytes.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import type { GuestLayout } from "../../platform/platform.ts";

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
/** All program headers together (load_elf_phdrs). */
const PHDRS_BYTES_MAX = 65536;
const INTERPRETER_PATH_MAX = 4096;
/** File offsets are signed 64-bit numbers. */
export const OFFSET_END = 2 ** 63;
/** Largest alignment of a segment that is honoured; larger ones are nonsense. */
const ALIGNMENT_MAX = 2 ** 30;
/** What is read of a file at first: enough for scripts (BINPRM_BUF_SIZE) and for the headers of most programs. */
export const HEAD_BYTES = 1024;

const ET_EXEC = 2;
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;

export interface Segment {
  readonly address: number;
  readonly offset: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly prot: number;
}

export interface ElfImage {
  readonly isPositionIndependent: boolean;
  readonly entry: number;
  readonly segments: readonly Segment[];
  /** Lowest page and end of the highest segment, before the load bias. */
  readonly start: number;
  readonly end: number;
  /** Largest p_align, for the bias. */
  readonly alignment: number;
  readonly interpreter: string | null;
  /** Where the program headers lie in memory, before the bias; 0 when no segment has them, as on Linux. */
  readonly headersAddress: number;
  readonly headersCount: number;
  readonly hasExecutableStack: boolean;
}

/** Whether `head`, of `length` bytes, starts an ELF file. */
export function isElf(head: Uint8Array, length: number): boolean {
  return length >= 4 && head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

/**
 * Checks the headers of `file`, whose first `headBytes` bytes are in `head`. -ENOEXEC where it is not a program for us or
 * is cut short, -EINVAL where its numbers make no sense, -EIO or another where it cannot be read.
 */
export function readElf(task: Task, file: File, head: Uint8Array, headBytes: number): ElfImage | number {
  if (headBytes < EHDR_BYTES || !isElf(head, headBytes)) return -ENOEXEC;
  const type = u16(head, 16);
  if ((type !== ET_EXEC && type !== ET_DYN) || u16(head, 18) !== ELF_MACHINE) return -ENOEXEC;
  const entry = u64(head, 24), headersAt = u64(head, 32), count = u16(head, 56);
  const bytes = count * PHDR_BYTES;
  if (u16(head, 54) !== PHDR_BYTES || count === 0 || bytes > PHDRS_BYTES_MAX) return -ENOEXEC;
  const stale = file.inode.refresh();
  if (stale < 0) return stale;
  if (headersAt > file.inode.size - bytes) return -ENOEXEC;
  let table = head, at = headersAt;
  if (headersAt + bytes > headBytes) {
    table = new Uint8Array(bytes);
    at = 0;
    const n = readFully(task, file, table, 0, bytes, headersAt);
    if (n !== bytes) return n < 0 ? n : -ENOEXEC;
  }
  return readSegments(task, file, { type, entry, headersAt, count, table, at, head, headBytes });
}

/** What readSegments works from. `table` holds the program headers at `at`. */
interface Headers {
  readonly type: number;
  readonly entry: number;
  readonly headersAt: number;
  readonly count: number;
  readonly table: Uint8Array;
  readonly at: number;
  readonly head: Uint8Array;
  readonly headBytes: number;
}

function readSegments(task: Task, file: File, headers: Headers): ElfImage | number {
  const { table, count, headersAt } = headers;
  const segments: Segment[] = [];
  let interpreter: string | null = null;
  let headersAddress = 0, alignment = PAGE_SIZE, hasExecutableStack = true;
  for (let i = 0; i < count; i++) {
    const at = headers.at + i * PHDR_BYTES;
    const type = u32(table, at), flags = u32(table, at + 4);
    const offset = u64(table, at + 8), address = u64(table, at + 16);
    const fileBytes = u64(table, at + 32), memoryBytes = u64(table, at + 40), align = u64(table, at + 48);
    if (type === PT_INTERP && interpreter === null) {
      const path = readInterpreter(task, file, headers, offset, fileBytes);
      if (typeof path === "number") return path;
      interpreter = path;
    } else if (type === PT_GNU_STACK) {
      hasExecutableStack = (flags & PF_X) !== 0;
    } else if (type === PT_LOAD) {
      segments.push({ address, offset, fileBytes, memoryBytes, prot: protOf(flags) });
      if (align > alignment && align <= ALIGNMENT_MAX && isPowerOfTwo(align)) alignment = align;
      if (offset <= headersAt && headersAt < offset + fileBytes) {
        headersAddress = address + (headersAt - offset);
      }
    }
  }
  let start = Infinity, end = 0;
  for (const { address, memoryBytes } of segments) {
    start = Math.min(start, pageDown(address));
    end = Math.max(end, address + memoryBytes);
  }
  return {
    isPositionIndependent: headers.type === ET_DYN,
    entry: headers.entry,
    segments,
    start,
    end,
    alignment,
    interpreter,
    headersAddress,
    headersCount: count,
    hasExecutableStack,
  };
}

function isPowerOfTwo(value: number): boolean {
  return (value & (value - 1)) === 0;
}

function protOf(flags: number): number {
  return ((flags & PF_R) !== 0 ? PROT_READ : 0) | ((flags & PF_W) !== 0 ? PROT_WRITE : 0) |
    ((flags & PF_X) !== 0 ? PROT_EXEC : 0);
}

/**
 * Whether the segments lie in the file and in the address space: for a sandbox's first program, of which the user is told
 * what is wrong with it. 0, -ENOEXEC, -EINVAL.
 */
export function checkImage(file: File, image: ElfImage, layout: GuestLayout): number {
  if (image.segments.length === 0) return -ENOEXEC;
  for (const { address, offset, fileBytes, memoryBytes } of image.segments) {
    if (!isPlausible(address, fileBytes, memoryBytes, layout)) return -EINVAL;
    if (fileBytes > 0 && address % PAGE_SIZE !== offset % PAGE_SIZE) return -EINVAL;
    if (fileBytes > 0 && offset > file.inode.size - fileBytes) return -ENOEXEC;
  }
  return image.entry >= layout.end ? -EINVAL : 0;
}

/** What load_elf_binary() asks of a segment once it is mapped. */
export function isPlausible(
  address: number,
  fileBytes: number,
  memoryBytes: number,
  { end }: GuestLayout,
): boolean {
  return address < end && fileBytes <= memoryBytes &&
    memoryBytes <= end - address;
}

function readInterpreter(
  task: Task,
  file: File,
  headers: Headers,
  offset: number,
  length: number,
): string | number {
  if (length < 2 || length > INTERPRETER_PATH_MAX) return -ENOEXEC;
  if (offset >= OFFSET_END) return -EINVAL;
  if (offset > file.inode.size - length) return -EIO;
  let bytes = headers.head, at = offset;
  if (offset + length > headers.headBytes) {
    bytes = new Uint8Array(length);
    at = 0;
    const n = readFully(task, file, bytes, 0, length, offset);
    if (n !== length) return n < 0 ? n : -EIO;
  }
  if (bytes[at + length - 1] !== 0) return -ENOEXEC;
  return bytesToLatin1(bytes, at, bytes.indexOf(0, at) - at);
}

/** Reads until `length` bytes have come or the file ends. Bytes, or -ERRNO. */
export function readFully(
  task: Task,
  file: File,
  into: Uint8Array,
  at: number,
  length: number,
  offset: number,
): number {
  let done = 0;
  while (done < length) {
    const n = file.read(task, into, at + done, length - done, offset + done);
    if (n < 0) return n;
    if (n === 0) break;
    done += n;
  }
  return done;
}
