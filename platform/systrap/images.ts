// Much-used program code with its system calls patched from the start: a copy of a file's code in a memfd, which is mapped
// privately in the file's place. A program that starts anew would otherwise trap at each call of its loader again, as
// patches.ts patches what one process runs often. Two things are patched, and only in code as compilers write it:
//
//   mov $number,%eax; syscall    becomes a jump to a piece of code behind the program's own, in what is left of the last
//                                page, which goes on into the stub. Nothing of the process is involved: no table of
//                                sites, no address of ours in the code but that of the patch table's first entry.
//   mov $leaf,%eax; cpuid        a hypervisor traps each CPUID (4 to 16 us), and ld.so asks some forty times. What is the
//                                same on all CPUs is answered by constants.
//
// The instruction that was jumped over stands where it stood: who jumps to it directly makes the call or the CPUID. A
// thread that is stopped within such a piece is seen at its site (siteOf).

import type { SystrapCalls } from "../../native/systrap.ts";
import { PATCH_TABLE } from "../slot.ts";

/** A copy is made when code has been mapped this often, and once more for each 64 KiB of it: it has to pay for itself. */
const MAPPINGS_MIN = 3;
const BYTES_A_MAPPING = 64 * 1024;
/** Code longer than this is mapped from its file. */
const IMAGE_BYTES_MAX = 4 * 1024 * 1024;
const IMAGES_MAX = 16;
/** Files counted; when there are more, all are counted anew. */
const COUNTED_MAX = 256;
/** A file that was written within this time may be written again through the same mapping, unseen by its times. */
const QUIET_SECONDS_MIN = 60;
/** What is read of a file to find its program headers. */
const HEAD_BYTES = 4096;
const PAGE = 4096;
const PT_LOAD = 1;
const PF_X = 1;

const SITE_BYTES = 7;
const CALL_BYTES = 19;
const CPUID_BYTES = 25;
/** System call numbers that a site may have. */
const NUMBERS = 512;
/** CPUID leaves (with subleaf 0) that say the same on every CPU and at any time. */
const CONSTANT_LEAVES = new Set([
  0,
  0x8000_0000,
  0x8000_0001,
  0x8000_0005,
  0x8000_0006,
  0x8000_0007,
  0x8000_0008,
]);

/** A patched place: offset in the image, what stood there, and where its piece of code begins and ends. */
export interface ImageSite {
  readonly at: number;
  readonly before: Uint8Array;
  readonly piece: number;
  readonly pieceEnd: number;
}

export interface Image {
  /** Sealed memfd whose byte 0 is the first of the mapping. Kept as long as the sandbox lives. */
  readonly fd: number;
  readonly sites: readonly ImageSite[];
}

/** What is known of one range of one file. */
interface Counted {
  /** Size and times: another state of the file is counted anew. */
  readonly state: string;
  mappings: number;
  /** null: none (yet). */
  image: Image | null;
  /** Nothing is to be gained, or it cannot be had. */
  isRefused: boolean;
}

export class Images {
  readonly #calls: SystrapCalls;
  readonly #counted = new Map<string, Counted>();
  readonly #identity = new Float64Array(6);
  #made = 0;

  constructor(calls: SystrapCalls) {
    this.#calls = calls;
  }

  /** What to map instead of `length` bytes at `offset` of the file `fd`, which are to be executed; or null. */
  find(fd: number, offset: number, length: number): Image | null {
    if (length > IMAGE_BYTES_MAX || this.#calls.tsv_image_identify(fd, this.#identity) < 0) return null;
    const [device, inode, size, modified, changed, quietSeconds] = this.#identity;
    const key = `${device}:${inode}:${offset}:${length}`;
    const state = `${size}:${modified}:${changed}`;
    let counted = this.#counted.get(key);
    if (counted === undefined || counted.state !== state) {
      if (this.#counted.size >= COUNTED_MAX) this.#forgetUnmade();
      const isRefused = this.#calls.tsv_image_is_memory(fd) !== 0;
      counted = { state, mappings: 0, image: null, isRefused };
      this.#counted.set(key, counted);
    }
    if (counted.image !== null || counted.isRefused) return counted.image;
    if (++counted.mappings < MAPPINGS_MIN + length / BYTES_A_MAPPING || quietSeconds < QUIET_SECONDS_MIN) {
      return null;
    }
    if (this.#made < IMAGES_MAX) counted.image = this.#make(fd, offset, length);
    counted.isRefused = counted.image === null;
    return counted.image;
  }

  #forgetUnmade(): void {
    for (const [key, { image }] of this.#counted) if (image === null) this.#counted.delete(key);
  }

  #make(fd: number, offset: number, length: number): Image | null {
    const codeEnd = this.#codeEnd(fd, offset, length);
    if (codeEnd < 0) return null;
    const code = new Uint8Array(length);
    if (this.#calls.tsv_image_read(fd, code, length, offset) < codeEnd) return null;
    const sites = patchCode(code, codeEnd, (leaf) => this.#cpuid(leaf));
    if (sites.length === 0) return null;
    const copy = this.#calls.tsv_image_make(code, length);
    if (copy < 0) return null;
    this.#made++;
    return { fd: copy, sites };
  }

  /** Where the segment of an ELF file that is mapped at `offset` ends, counted from there; -1 where that is not known. */
  #codeEnd(fd: number, offset: number, length: number): number {
    const head = new Uint8Array(HEAD_BYTES);
    const n = this.#calls.tsv_image_read(fd, head, HEAD_BYTES, 0);
    const view = new DataView(head.buffer);
    if (n < 64 || view.getUint32(0) !== 0x7f454c46) return -1;
    const headers = Number(view.getBigUint64(32, true)), count = view.getUint16(56, true);
    if (view.getUint16(54, true) !== 56 || headers + count * 56 > n) return -1;
    for (let i = 0; i < count; i++) {
      const at = headers + i * 56;
      const from = Number(view.getBigUint64(at + 8, true)), bytes = Number(view.getBigUint64(at + 32, true));
      const isCode = view.getUint32(at, true) === PT_LOAD && (view.getUint32(at + 4, true) & PF_X) !== 0;
      if (!isCode || from - from % PAGE !== offset) continue;
      const end = from + bytes - offset;
      // What lies behind the segment in its last page belongs to nobody; of a part of a segment that is not known.
      return Math.ceil(end / PAGE) * PAGE === length ? end : -1;
    }
    return -1;
  }

  #cpuid(leaf: number): Uint32Array {
    const answer = new Uint32Array(4);
    this.#calls.tsv_image_cpuid(leaf, 0, answer);
    return answer;
  }
}

/** Patches `code`, whose own bytes end at `codeEnd`, as far as there is room behind them. Gives back what was patched. */
export function patchCode(
  code: Uint8Array,
  codeEnd: number,
  cpuid: (leaf: number) => Uint32Array,
): ImageSite[] {
  const sites: ImageSite[] = [];
  let end = Math.ceil(codeEnd / 16) * 16;
  for (let i = code.indexOf(0x0f, 5); i >= 0 && i + 2 <= codeEnd; i = code.indexOf(0x0f, i + 1)) {
    const isCall = code[i + 1] === 0x05;
    if ((!isCall && code[i + 1] !== 0xa2) || code[i - 5] !== 0xb8) continue;
    if (isPartOfAnother(code, i - 5)) continue;
    const value = (code[i - 4] | code[i - 3] << 8 | code[i - 2] << 16 | code[i - 1] << 24) >>> 0;
    if (isCall ? value >= NUMBERS : !CONSTANT_LEAVES.has(value)) continue;
    const length = isCall ? CALL_BYTES : CPUID_BYTES;
    if (end + length > code.length) continue;
    const at = i - 5;
    const before = code.slice(at, at + SITE_BYTES);
    if (isCall) putCall(code, end, value, i + 2);
    else putConstants(code, end, cpuid(value), i + 2);
    code[at] = 0xe9; // jmp to the piece; `syscall` or `cpuid` stays behind it
    put32(code, at + 1, end - (at + 5));
    sites.push({ at, before, piece: end, pieceEnd: end + length });
    end += length;
  }
  return sites;
}

/** Opcodes with an immediate of 32 bits behind an operand in memory: mov, the arithmetic ones, test, imul. */
const WITH_IMMEDIATE = [0xc7, 0x81, 0xf7, 0x69];

/**
 * Whether the 0xb8 at `at` may belong to the instruction before: with a prefix it is a mov of another register or of 64
 * bits; as displacement -72 the number behind it would be stored. No other instruction ends in such a number, can be
 * followed by a call at once, and leaves RAX to it.
 */
function isPartOfAnother(code: Uint8Array, at: number): boolean {
  if (at < 3) return true;
  const before = code[at - 1];
  if ((before & 0xf0) === 0x40) return true;
  if ((before & 0xc7) !== 0x44 && (before & 0xc0) === 0x40 && WITH_IMMEDIATE.includes(code[at - 2])) {
    return true;
  }
  return (code[at - 2] & 0xc7) === 0x44 && WITH_IMMEDIATE.includes(code[at - 3]);
}

/** mov $number,%eax; lea back(%rip),%rcx; jmp *PATCH_TABLE: as a trampoline of patches.ts, wherever it is mapped. */
function putCall(code: Uint8Array, at: number, number: number, back: number): void {
  code[at] = 0xb8;
  put32(code, at + 1, number);
  code[at + 5] = 0x48;
  code[at + 6] = 0x8d;
  code[at + 7] = 0x0d;
  put32(code, at + 8, back - (at + 12));
  code[at + 12] = 0xff;
  code[at + 13] = 0x24;
  code[at + 14] = 0x25;
  put32(code, at + 15, PATCH_TABLE);
}

/** mov of the four answers, in no case touching the flags, as CPUID does not; jmp back. */
function putConstants(code: Uint8Array, at: number, [eax, ebx, ecx, edx]: Uint32Array, back: number): void {
  const loads: [number, number][] = [[0xb8, eax], [0xbb, ebx], [0xb9, ecx], [0xba, edx]];
  loads.forEach(([opcode, value], n) => {
    code[at + n * 5] = opcode;
    put32(code, at + n * 5 + 1, value);
  });
  code[at + 20] = 0xe9;
  put32(code, at + 21, back - (at + CPUID_BYTES));
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
