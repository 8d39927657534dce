// The FPU state of a guest thread that trapped: it is in the host's signal frame, on the slot's signal stack. The
// slot is untrusted: a pointer out of the stack is ignored.

import { put16, put32, u64, zero } from "../../kernel/abi/struct.ts";
import { SIGNAL_STACK, SIGNAL_STACK_BYTES, SLOT_FRAME } from "../slot.ts";

/** Control words of the FPU's initial state. */
const FCW_INITIAL = 0x37f;
const MXCSR_INITIAL = 0x1f80;
/** ucontext.uc_mcontext.fpstate in a signal frame of the host. */
const FRAME_FPSTATE = 40 + 23 * 8;

/** Offset in the slot of the XSAVE area of `size` bytes, or -1. `address`: the slot's address in the stub. */
export function frameFpuAt(bytes: Uint8Array, address: number, size: number): number {
  const frame = u64(bytes, SLOT_FRAME) - address;
  if (!(frame >= SIGNAL_STACK && frame + FRAME_FPSTATE + 8 <= STACK_END) || frame % 8 !== 0) return -1;
  const area = u64(bytes, frame + FRAME_FPSTATE) - address;
  return area >= SIGNAL_STACK && area + size <= STACK_END ? area : -1;
}

const STACK_END = SIGNAL_STACK + SIGNAL_STACK_BYTES;

/** Resets the XSAVE area at `at` to the FPU's initial state. */
export function clearFpu(bytes: Uint8Array, at: number): void {
  put16(bytes, at, FCW_INITIAL);
  put32(bytes, at + 24, MXCSR_INITIAL);
  zero(bytes, at + 512, 64);
}
