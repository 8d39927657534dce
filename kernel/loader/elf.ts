// ELF executables: reads and checks headers, says what is to be mapped where. Linux: fs/binfmt_elf.c. The file is hostile:
// every offset, size and count is checked against the file and against limits before it is used.

import { EINVAL, EIO, ENOEXEC, ENOMEM } from "../abi/errno.ts";
import { PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from "../abi/memory.ts";
import { u16, u32, u64 } from "../abi/struct.ts";
import { bytesToLatin1 } from "../util/bytes.ts";
import { USER_ADDRESS_END } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";

const EHDR_BYTES = 64;
const PHDR_BYTES = 56;
/** Program headers together fit a page, as on Linux (ELF_MIN_ALIGN). */
const PHDRS_MAX = Math.floor(PAGE_SIZE / PHDR_BYTES);
const INTERPRETER_PATH_MAX = 4096;

const ET_EXEC = 2;
const ET_DYN = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_PHDR = 6;
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
  /** Where the program headers lie in memory, before the bias; 0 when no segment has them. */
  readonly headersAddress: number;
  readonly headersCount: number;
  readonly hasExecutableStack: boolean;
}

/** First bytes of a file, as execve reads them (BINPRM_BUF_SIZE). Number = -ERRNO. */
export const HEAD_BYTES = 256;

/** Whether `head` starts an ELF file. */
export function isElf(head: Uint8Array): boolean {
  return head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

/** Reads and checks the headers of `file`. -ENOEXEC where it is not for us, -EINVAL or -EIO where it lies. */
export function readElf(task: Task, file: File): ElfImage | number {
  const header = new Uint8Array(EHDR_BYTES);
  if (readFully(task, file, header, 0, EHDR_BYTES, 0) !== EHDR_BYTES) return -ENOEXEC;
  if (!isElf(header) || header[4] !== 2 || header[5] !== 1 || header[6] !== 1) return -ENOEXEC;
  const type = u16(header, 16);
  if ((type !== ET_EXEC && type !== ET_DYN) || u16(header, 18) !== EM_X86_64) return -ENOEXEC;
  const count = u16(header, 56);
  if (u16(header, 54) !== PHDR_BYTES || count === 0 || count > PHDRS_MAX) return -ENOEXEC;
  const headersAt = u64(header, 32);
  const table = new Uint8Array(count * PHDR_BYTES);
  if (
    headersAt > Number.MAX_SAFE_INTEGER ||
    readFully(task, file, table, 0, table.length, headersAt) !== table.length
  ) {
    return -ENOEXEC;
  }
  return readSegments(task, file, type === ET_DYN, u64(header, 24), table, count, headersAt);
}

function readSegments(
  task: Task,
  file: File,
  isPositionIndependent: boolean,
  entry: number,
  table: Uint8Array,
  count: number,
  headersAt: number,
): ElfImage | number {
  const segments: Segment[] = [];
  let interpreter: string | null = null;
  let headersAddress = 0, alignment = PAGE_SIZE, hasExecutableStack = true;
  for (let i = 0; i < count; i++) {
    const at = i * PHDR_BYTES;
    const type = u32(table, at),
      flags = u32(table, at + 4),
      offset = u64(table, at + 8),
      address = u64(table, at + 16);
    const fileBytes = u64(table, at + 32), memoryBytes = u64(table, at + 40), align = u64(table, at + 48);
    if (type === PT_INTERP && interpreter === null) {
      const path = readInterpreter(task, file, offset, fileBytes);
      if (typeof path === "number") return path;
      interpreter = path;
    } else if (type === PT_GNU_STACK) {
      hasExecutableStack = (flags & PF_X) !== 0;
    } else if (type === PT_PHDR) {
      headersAddress = address;
    } else if (type === PT_LOAD) {
      if (memoryBytes === 0) continue;
      const segment = checkSegment(address, offset, fileBytes, memoryBytes, flags);
      if (typeof segment === "number") return segment;
      const before = segments[segments.length - 1];
      if (before !== undefined && address < before.address + before.memoryBytes) return -EINVAL;
      segments.push(segment);
      if (align > alignment && align <= 2 ** 30 && Number.isInteger(Math.log2(align))) alignment = align;
      if (headersAddress === 0 && offset <= headersAt && headersAt < offset + fileBytes) {
        headersAddress = address + (headersAt - offset);
      }
    }
  }
  if (segments.length === 0) return -ENOEXEC;
  const last = segments[segments.length - 1];
  return {
    isPositionIndependent,
    entry,
    segments,
    start: segments[0].address - segments[0].address % PAGE_SIZE,
    end: last.address + last.memoryBytes,
    alignment,
    interpreter,
    headersAddress,
    headersCount: count,
    hasExecutableStack,
  };
}

function checkSegment(
  address: number,
  offset: number,
  fileBytes: number,
  memoryBytes: number,
  flags: number,
): Segment | number {
  if (fileBytes > memoryBytes) return -EINVAL;
  if (address + memoryBytes > USER_ADDRESS_END || offset + fileBytes > Number.MAX_SAFE_INTEGER) {
    return -ENOMEM;
  }
  if (address % PAGE_SIZE !== offset % PAGE_SIZE) return -EINVAL;
  const prot = ((flags & PF_R) !== 0 ? PROT_READ : 0) | ((flags & PF_W) !== 0 ? PROT_WRITE : 0) |
    ((flags & PF_X) !== 0 ? PROT_EXEC : 0);
  return { address, offset, fileBytes, memoryBytes, prot };
}

function readInterpreter(task: Task, file: File, offset: number, length: number): string | number {
  if (length < 2 || length > INTERPRETER_PATH_MAX) return -ENOEXEC;
  const bytes = new Uint8Array(length);
  const n = readFully(task, file, bytes, 0, length, offset);
  if (n < 0) return n;
  if (n !== length) return -EIO;
  if (bytes[length - 1] !== 0) return -ENOEXEC;
  return bytesToLatin1(bytes, 0, bytes.indexOf(0));
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
