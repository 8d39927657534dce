// The machine code of a patched call site. A site keeps every instruction boundary it had, so that a thread which returns
// from the call, or a jump from anywhere, always finds valid code there, whenever the patch was made:
//
//   mov $number,%eax; syscall    The five bytes of the mov become `jmp piece`. The syscall stays behind it: a thread that
//                                jumps to it, or is stopped at it, makes the call by the trap, with the number in EAX.
//   syscall; cmp $imm,%rax       `jmp piece` covers the syscall and half of the cmp. The piece is placed so that the third
//                                byte of the jump, where a thread comes back from the trap, is no instruction of 64-bit
//                                mode: it raises SIGILL, and the sentry continues at the piece's copy of the cmp.
//
// A piece lies within 2 GiB of its site and goes on into the stub; it refers to nothing else. It uses RCX and R11 alone,
// which SYSCALL changes anyway, and neither flags nor stack.

import { put32, u32 } from "../../kernel/abi/struct.ts";
import { STUB_CALL, STUB_CALL_TAIL, STUB_TEXT } from "../slot.ts";

const TWO_32 = 4294967296;

/** `mov $nr,%eax; syscall`: starts at the mov, returns at +7. */
export const KIND_MOV = 1;
/** `syscall; cmp $imm32,%rax`: starts at the syscall, returns at +2, goes on at +8. */
export const KIND_CMP = 2;

/** `mov $leaf,%eax; cpuid`, of images alone: the piece loads constants. */
export const KIND_CPUID = 3;

/** What a patch overwrites: `jmp rel32`. */
export const JUMP_BYTES = 5;
export const MOV_PIECE_BYTES = 25;
export const CMP_PIECE_BYTES = 33;
export const CPUID_PIECE_BYTES = 25;
/** Where a piece of KIND_MOV takes the number from EAX. */
const MOV_PIECE_AGAIN = 5;
/** Offset in a piece of KIND_CMP of its compare and the jump back; its own `syscall` is before that. */
export const CMP_PIECE_TAIL = 22;
const CMP_PIECE_BACK = 28;

/** Single-byte opcodes that raise #UD in 64-bit mode on every CPU (Intel SDM vol. 2, table A-2). */
const INVALID_OPCODES = new Set([
  ...[0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f],
  ...[0x60, 0x61, 0x9a, 0xce, 0xea],
]);

/** Opcodes with an immediate of 32 bits behind an operand in memory: mov, the arithmetic ones, test, imul. */
const WITH_IMMEDIATE = [0xc7, 0x81, 0xf7, 0x69];

export interface Site {
  readonly kind: number;
  /** Address of the first byte that the patch overwrites. */
  readonly start: number;
  /** The bytes that stood there, JUMP_BYTES of them. */
  readonly before: Uint8Array;
  /** Address of the piece. */
  readonly piece: number;
}

/** Where the call of a site returns to. */
export function returnOf(site: Site): number {
  return site.start + (site.kind === KIND_CMP ? 2 : 7);
}

export function pieceBytes(kind: number): number {
  if (kind === KIND_CPUID) return CPUID_PIECE_BYTES;
  return kind === KIND_MOV ? MOV_PIECE_BYTES : CMP_PIECE_BYTES;
}

/**
 * Kind of the site whose call returns to `bytes[at]`, 0 = none that can be patched. `number` is that of the call just made
 * there, -1 when it is not known. Needs 10 bytes before `at` and 6 behind; bytes that are not there count as 0.
 */
export function siteKind(bytes: Uint8Array, at: number, number: number): number {
  if (bytes[at - 2] !== 0x0f || bytes[at - 1] !== 0x05) return 0;
  const isMov = bytes[at - 7] === 0xb8 && !isPartOfAnother(bytes, at - 7);
  if (isMov && (number < 0 || number === u32(bytes, at - 6))) return KIND_MOV;
  return bytes[at] === 0x48 && bytes[at + 1] === 0x3d ? KIND_CMP : 0;
}

/**
 * Whether the 0xb8 at `at` may belong to the instruction before: with a prefix it is a mov of another register or of 64
 * bits; as displacement -72 the number behind it would be stored. No other instruction ends in such a number, can be
 * followed by a call at once, and leaves RAX to it.
 */
export function isPartOfAnother(code: Uint8Array, at: number): boolean {
  if (at < 3) return true;
  const before = code[at - 1];
  if ((before & 0xf0) === 0x40 || before === 0x66) return true;
  if ((before & 0xc7) !== 0x44 && (before & 0xc0) === 0x40 && WITH_IMMEDIATE.includes(code[at - 2])) {
    return true;
  }
  return (code[at - 2] & 0xc7) === 0x44 && WITH_IMMEDIATE.includes(code[at - 3]);
}

/** Whether a site of `kind` at `start` may have its piece at `piece`. */
export function mayPlace(kind: number, start: number, piece: number): boolean {
  const distance = piece - (start + JUMP_BYTES);
  if (distance !== (distance | 0)) return false;
  // The second byte of the distance is the third one of the jump.
  return kind !== KIND_CMP || INVALID_OPCODES.has(distance >> 8 & 0xff);
}

/** Writes the jump from `start` to `piece`. */
export function putJump(bytes: Uint8Array, at: number, start: number, piece: number): void {
  bytes[at] = 0xe9;
  put32(bytes, at + 1, piece - (start + JUMP_BYTES));
}

/**
 * Writes the piece of a site of `kind` that returns to `back`, to be run at `address`. `code[codeAt]` is the byte at `back`
 * and what is around it: the number of a KIND_MOV and the constant of a KIND_CMP are taken from there.
 */
export function putPiece(
  bytes: Uint8Array,
  at: number,
  kind: number,
  address: number,
  back: number,
  code: Uint8Array,
  codeAt: number,
): void {
  if (kind === KIND_MOV) {
    bytes[at] = 0xb8; // mov $number, %eax
    for (let i = 0; i < 4; i++) bytes[at + 1 + i] = code[codeAt - 6 + i];
    putEntry(bytes, at + 5, back - (address + 12), STUB_TEXT + STUB_CALL);
    return;
  }
  putEntry(bytes, at, CMP_PIECE_TAIL - 7, STUB_TEXT + STUB_CALL_TAIL);
  bytes[at + 20] = 0x0f; // syscall: the call is made here where the stub cannot be entered
  bytes[at + 21] = 0x05;
  for (let i = 0; i < 6; i++) bytes[at + CMP_PIECE_TAIL + i] = code[codeAt + i]; // cmp $imm32, %rax
  bytes[at + CMP_PIECE_BACK] = 0xe9; // jmp to what follows the cmp; the stub finds the way back by it
  put32(bytes, at + CMP_PIECE_BACK + 1, back + 6 - (address + CMP_PIECE_BYTES));
}

/**
 * Writes the piece of a KIND_CPUID that goes on at `back`: mov of the four answers, in no case touching the flags, as CPUID
 * does not.
 */
export function putConstants(
  bytes: Uint8Array,
  at: number,
  address: number,
  back: number,
  [eax, ebx, ecx, edx]: Uint32Array,
): void {
  const loads: [number, number][] = [[0xb8, eax], [0xbb, ebx], [0xb9, ecx], [0xba, edx]];
  loads.forEach(([opcode, value], n) => {
    bytes[at + n * 5] = opcode;
    put32(bytes, at + n * 5 + 1, value);
  });
  bytes[at + 20] = 0xe9;
  put32(bytes, at + 21, back - (address + CPUID_PIECE_BYTES));
}

/** lea distance(%rip), %rcx; movabs $entry, %r11; jmp *%r11 */
function putEntry(bytes: Uint8Array, at: number, distance: number, entry: number): void {
  bytes[at] = 0x48;
  bytes[at + 1] = 0x8d;
  bytes[at + 2] = 0x0d;
  put32(bytes, at + 3, distance);
  bytes[at + 7] = 0x49;
  bytes[at + 8] = 0xbb;
  put32(bytes, at + 9, entry % TWO_32);
  put32(bytes, at + 13, Math.floor(entry / TWO_32));
  bytes[at + 17] = 0x41;
  bytes[at + 18] = 0xff;
  bytes[at + 19] = 0xe3;
}

/**
 * The place in the program that `address` in the piece of `site` is for: at the site, where the call is
 * made again, or behind it.
 */
export function placeInProgram(site: Site, address: number): number {
  if (site.kind !== KIND_CMP) return site.start;
  const offset = address - site.piece;
  if (offset < CMP_PIECE_TAIL) return site.start;
  return offset < CMP_PIECE_BACK ? site.start + 2 : site.start + 8;
}

/** Where in the piece the program goes on that is to continue at `rip`, an address within or behind the site; 0 = at `rip`. */
export function placeInPiece(site: Site, rip: number): number {
  if (site.kind === KIND_CMP) return rip === site.start + 2 ? site.piece + CMP_PIECE_TAIL : 0;
  // At the syscall itself: the call is to be made again with the number in RAX.
  return site.kind === KIND_MOV && rip === site.start + 5 ? site.piece + MOV_PIECE_AGAIN : 0;
}
