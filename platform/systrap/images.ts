// Much-used program code with its system calls patched from the start: a copy of a file's code in a memfd, which is mapped
// privately in the file's place. A program that starts anew would otherwise trap at each call of its loader again, as
// patches.ts patches what one process runs often. Copies are made of what the program interpreter (ld.so) is and maps, never
// of the program itself or of what a guest maps on its own: that reads what its file holds. Two things are patched:
//
//   system calls                 those that were seen to be made, in earlier processes: what only looks like a call is
//                                left alone. The pieces (pieces.ts) stand behind the program's own code, in what is left
//                                of the last page.
//   mov $leaf,%eax; cpuid        of the interpreter alone. A hypervisor traps each CPUID (4 to 16 us), and ld.so asks some
//                                forty times. What is the same on all CPUs is answered by constants.

import { u32 } from "../../kernel/abi/struct.ts";
import { type ImageCalls, loadImages } from "../../native/image.ts";
import {
  isPartOfAnother,
  JUMP_BYTES,
  KIND_CMP,
  KIND_CPUID,
  KIND_MOV,
  mayPlace,
  pieceBytes,
  putConstants,
  putJump,
  putPiece,
  type Site,
  siteKind,
} from "./pieces.ts";

/** A copy is made once code has been mapped this often, and once more for each 64 KiB: it must repay its cost. */
const MAPPINGS_MIN = 3;
const BYTES_A_MAPPING = 64 * 1024;
/** Longer code is mapped from its file. */
const IMAGE_BYTES_MAX = 4 * 1024 * 1024;
const IMAGES_MAX = 16;
/** The most files counted; beyond it all counts restart. */
const COUNTED_MAX = 256;
/**
 * A file written within this time may be written again through an existing mapping, which does not show in its times.
 */
const QUIET_SECONDS_MIN = 60;
/** Bytes read of a file to find its program headers. */
const HEAD_BYTES = 4096;
const PAGE = 4096;
const PT_LOAD = 1;
const PF_X = 1;

/** Sites remembered for one file's code. */
const SEEN_MAX = 256;
/**
 * A copy is made again after this many new sites were seen and it was mapped twice as often; and a limited number of
 * times.
 */
const NEW_SITES_MIN = 8;
const REMADE_MAX = 3;
/** CPUID leaves (with subleaf 0) whose result is the same on every CPU and at any time. */
const CONSTANT_LEAVES = new Set([
  0,
  0x8000_0000,
  0x8000_0001,
  0x8000_0005,
  0x8000_0006,
  0x8000_0007,
  0x8000_0008,
]);

export interface Image {
  /** Sealed memfd whose byte 0 is the first of the mapping; kept until the sandbox ends or the copy is made again. */
  readonly fd: number;
  /** Its patched sites, as offsets in the mapping. */
  readonly sites: readonly Site[];
}

/** The counts of one range of one file. */
export class CountedCode {
  /** Size and times: a changed file is counted anew. */
  readonly state: string;
  /** It belongs to the program interpreter. */
  readonly isInterpreter: boolean;
  mappings = 0;
  /** The mapping count at which the copy is made (again). */
  makeAt: number;
  made = 0;
  /** null: no copy (yet). */
  image: Image | null = null;
  /** A copy is impossible or not worth it. */
  isRefused: boolean;
  /** Return offsets of calls that trapped, with the call's number. */
  readonly seen = new Map<number, number>();
  /** How many of `seen` the copy includes. */
  seenWhenMade = 0;

  constructor(state: string, isInterpreter: boolean, makeAt: number, isRefused: boolean) {
    this.state = state;
    this.isInterpreter = isInterpreter;
    this.makeAt = makeAt;
    this.isRefused = isRefused;
  }

  /** Records that a process made call `number` by a trap that returns to `offset`. */
  note(offset: number, number: number): void {
    if (this.seen.size < SEEN_MAX && !this.seen.has(offset)) this.seen.set(offset, number);
  }

  get isDue(): boolean {
    if (this.isRefused || this.mappings < this.makeAt) return false;
    return this.image === null ||
      this.made <= REMADE_MAX && this.seen.size >= this.seenWhenMade + NEW_SITES_MIN;
  }
}

export class Images {
  readonly #calls: ImageCalls = loadImages();
  readonly #closeFd: (fd: number) => void;
  readonly #counted = new Map<string, CountedCode>();
  readonly #identity = new Float64Array(6);
  #images = 0;

  constructor(closeFd: (fd: number) => void) {
    this.#closeFd = closeFd;
  }

  /**
   * The record of the code of `length` bytes at `offset` of the file `fd`, which is being mapped once more; its
   * `image` is to be mapped instead. null if there never will be one.
   */
  find(fd: number, offset: number, length: number, isInterpreter: boolean): CountedCode | null {
    if (length > IMAGE_BYTES_MAX || this.#calls.tsv_image_identify(fd, this.#identity) < 0) return null;
    const [device, inode, size, modified, changed, quietSeconds] = this.#identity;
    const key = `${device}:${inode}:${offset}:${length}`;
    const state = `${size}:${modified}:${changed}`;
    let counted = this.#counted.get(key);
    if (counted === undefined || counted.state !== state) {
      if (counted !== undefined) this.#drop(counted);
      if (this.#counted.size >= COUNTED_MAX) this.#forgetUnmade();
      const isRefused = this.#calls.tsv_image_is_memory(fd) !== 0;
      counted = new CountedCode(state, isInterpreter, MAPPINGS_MIN + length / BYTES_A_MAPPING, isRefused);
      this.#counted.set(key, counted);
    }
    if (counted.isRefused) return null;
    counted.mappings++;
    if (counted.isDue && quietSeconds >= QUIET_SECONDS_MIN) this.#makeDue(counted, fd, offset, length);
    return counted;
  }

  #makeDue(counted: CountedCode, fd: number, offset: number, length: number): void {
    if (counted.image === null && this.#images >= IMAGES_MAX) {
      counted.isRefused = true;
      return;
    }
    counted.makeAt = counted.mappings * 2;
    counted.seenWhenMade = counted.seen.size;
    counted.made++;
    const image = this.#make(counted, fd, offset, length);
    if (image === null) {
      counted.isRefused = counted.image === null && counted.made > REMADE_MAX;
      return;
    }
    this.#drop(counted);
    counted.image = image;
    this.#images++;
  }

  /** Processes that have mapped it keep it. */
  #drop(counted: CountedCode): void {
    if (counted.image === null) return;
    this.#closeFd(counted.image.fd);
    counted.image = null;
    this.#images--;
  }

  #forgetUnmade(): void {
    for (const [key, { image }] of this.#counted) if (image === null) this.#counted.delete(key);
  }

  #make(counted: CountedCode, fd: number, offset: number, length: number): Image | null {
    const codeEnd = this.#codeEnd(fd, offset, length);
    if (codeEnd < 0) return null;
    const code = new Uint8Array(length);
    if (this.#calls.tsv_image_read(fd, code, length, offset) < codeEnd) return null;
    const sites = patchCode(
      code,
      codeEnd,
      counted.seen,
      counted.isInterpreter ? (leaf) => this.#cpuid(leaf) : null,
    );
    if (sites.length === 0) return null;
    const copy = this.#calls.tsv_image_make(code, length);
    return copy < 0 ? null : { fd: copy, sites };
  }

  /** The end of the ELF segment that is mapped at `offset`, relative to it; -1 if unknown. */
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
      // The rest of the segment's last page is unused; of a part of a segment that is not certain.
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

/**
 * Patches `code`, whose own bytes end at `codeEnd`, as far as the room behind allows: the calls that return to the
 * offsets in `seen`, and CPUID where `cpuid` answers it. Returns the patched sites.
 */
export function patchCode(
  code: Uint8Array,
  codeEnd: number,
  seen: ReadonlyMap<number, number>,
  cpuid: ((leaf: number) => Uint32Array) | null,
): Site[] {
  const sites: Site[] = [];
  let end = Math.ceil(codeEnd / 16) * 16;
  const enter = (kind: number, start: number) => {
    const length = pieceBytes(kind);
    let piece = end;
    while (piece + length <= code.length && !mayPlace(kind, start, piece)) piece++;
    if (piece + length > code.length) return -1;
    end = piece + length;
    sites.push({ kind, start, before: code.slice(start, start + JUMP_BYTES), piece });
    return piece;
  };
  // Those of KIND_CMP last, as their alignment may leave gaps.
  const compared: number[] = [];
  const patchCall = (kind: number, back: number) => {
    const start = kind === KIND_MOV ? back - 7 : back - 2;
    const piece = enter(kind, start);
    if (piece < 0) return;
    putPiece(code, piece, kind, piece, back, code, back);
    putJump(code, start, start, piece);
  };
  for (const [back, number] of seen) {
    if (back < 16 || back + 8 > codeEnd) continue;
    const kind = siteKind(code, back, number);
    if (kind === KIND_MOV) patchCall(kind, back);
    else if (kind !== 0) compared.push(back);
  }
  if (cpuid !== null) patchCpuid(code, codeEnd, cpuid, enter);
  for (const back of compared) patchCall(KIND_CMP, back);
  return sites;
}

function patchCpuid(
  code: Uint8Array,
  codeEnd: number,
  cpuid: (leaf: number) => Uint32Array,
  enter: (kind: number, start: number) => number,
): void {
  for (let i = code.indexOf(0x0f, 5); i >= 0 && i + 2 <= codeEnd; i = code.indexOf(0x0f, i + 1)) {
    if (code[i + 1] !== 0xa2 || code[i - 5] !== 0xb8 || isPartOfAnother(code, i - 5)) continue;
    const leaf = u32(code, i - 4);
    if (!CONSTANT_LEAVES.has(leaf)) continue;
    const start = i - 5, piece = enter(KIND_CPUID, start);
    if (piece < 0) return;
    putConstants(code, piece, piece, i + 2, cpuid(leaf));
    putJump(code, start, start, piece);
  }
}
