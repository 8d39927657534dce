// Signal frames on the guest's stack, as Linux x86-64 lays them out: arch/x86/kernel/signal_64.c, fpu/signal.c;
// sigreturn(2). From low to high: return address, ucontext, siginfo, and above, aligned to 64, the XSAVE area. Which stack
// it goes to, and what of it the kernel believes, is decided in signal/frame.ts.

import { FPU_STATE_MAX, type GuestThread, REG } from "../../../platform/platform.ts";
import { EFAULT } from "../../abi/errno.ts";
import { SA_RESTORER } from "../../abi/signal.ts";
import { put16, put32, put64, u32, u64, zero } from "../../abi/struct.ts";
import type { Task } from "../../task/task.ts";
import { USER_CS, USER_SS } from "./registers.ts";

// struct rt_sigframe: offsets in bytes.
const FRAME_UC = 8;
const UC_FLAGS = FRAME_UC;
const UC_STACK = FRAME_UC + 16;
const UC_MCONTEXT = FRAME_UC + 40;
const UC_SIGMASK = FRAME_UC + 296;
/** Where siginfo_t is. */
export const FRAME_INFO = FRAME_UC + 304;
const FRAME_BYTES = FRAME_INFO + 128;
// struct sigcontext_64 after its 18 registers.
const SC_EFLAGS = UC_MCONTEXT + 17 * 8;
const SC_CS = UC_MCONTEXT + 144;
const SC_SS = UC_MCONTEXT + 150;
const SC_ERR = UC_MCONTEXT + 152;
const SC_TRAPNO = UC_MCONTEXT + 160;
const SC_OLDMASK = UC_MCONTEXT + 168;
const SC_CR2 = UC_MCONTEXT + 176;
const SC_FPSTATE = UC_MCONTEXT + 184;
/** Registers in the order of struct sigcontext_64. */
const SC_REGS: readonly number[] = [
  REG.R8,
  REG.R9,
  REG.R10,
  REG.R11,
  REG.R12,
  REG.R13,
  REG.R14,
  REG.R15,
  REG.RDI,
  REG.RSI,
  REG.RBP,
  REG.RBX,
  REG.RDX,
  REG.RAX,
  REG.RCX,
  REG.RSP,
  REG.RIP,
  REG.EFLAGS,
];

const UC_FP_XSTATE = 1;
const UC_SIGCONTEXT_SS = 2;
const UC_STRICT_RESTORE_SS = 4;
/** Below the stack pointer, the guest's own (System V ABI). */
export const RED_ZONE_BYTES = 128;
/** Flags a handler may change by sigreturn: FIX_EFLAGS. */
const EFLAGS_FIXABLE = 0x50dd5;
const EFLAGS_DF = 0x400;
const EFLAGS_RF = 0x1_0000;
const EFLAGS_TF = 0x100;

// The XSAVE area: legacy part, the kernel's own words in it, header.
const FXSAVE_BYTES = 512;
const XSAVE_HEADER_BYTES = 64;
const FX_MXCSR = 24;
const FX_SW = 464;
const FP_XSTATE_MAGIC1 = 0x46505853;
const FP_XSTATE_MAGIC2 = 0x46505845;
const MXCSR_VALID = 0xffff;
const MXCSR_INITIAL = 0x1f80;
const FCW_INITIAL = 0x37f;

/** stack_t and sigset_t in it. */
export const FRAME_STACK = UC_STACK;
export const FRAME_MASK = UC_SIGMASK;

/** A frame, and at sigreturn what may follow it: the gap to the XSAVE area (at most 87 bytes), the area and its end mark. */
export const frameBytes = new Uint8Array(FRAME_BYTES + 88 + FPU_STATE_MAX + 8);

/**
 * A frame as pushSignalFrame() makes it, without its return address and XSAVE area: with the gap between them, which
 * alignment makes always the same, and the mark behind the area.
 */
export const FRAME_REST_BYTES = FRAME_BYTES + (16 - FRAME_BYTES % 16) % 16 + 4;

/** x86-64 has no other way back than the program's own. */
export function canReturn(flags: number): boolean {
  return (flags & SA_RESTORER) !== 0;
}

/** Where the XSAVE area of a frame below `top` begins. */
function fpuAddress(thread: GuestThread, top: number): number {
  return Math.floor((top - thread.fpuBytes - 4) / 64) * 64;
}
/** First byte of a frame below `top`, and the stack pointer of its handler. */
export function frameStart(thread: GuestThread, top: number): number {
  return Math.floor((fpuAddress(thread, top) - FRAME_BYTES) / 16) * 16 - 8;
}
/** First byte behind it. */
export function frameEnd(thread: GuestThread, top: number): number {
  return fpuAddress(thread, top) + thread.fpuBytes + 4;
}

/** Fills frameBytes with a frame below `top`, but for its siginfo, which stays zero. `maskLow` and `maskHigh` are to come back. */
export function fillFrame(
  task: Task,
  top: number,
  restorer: number,
  maskLow: number,
  maskHigh: number,
): void {
  const { thread, signals } = task;
  zero(frameBytes, 0, FRAME_BYTES);
  put64(frameBytes, 0, restorer);
  put64(frameBytes, UC_FLAGS, UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS);
  put64(frameBytes, UC_STACK, signals.altStackAddress);
  put32(frameBytes, UC_STACK + 8, signals.altStackFlags);
  put64(frameBytes, UC_STACK + 16, signals.altStackSize);
  for (let i = 0; i < SC_REGS.length; i++) {
    put32(frameBytes, UC_MCONTEXT + 8 * i, thread.low(SC_REGS[i]));
    put32(frameBytes, UC_MCONTEXT + 8 * i + 4, thread.high(SC_REGS[i]));
  }
  put16(frameBytes, SC_CS, USER_CS);
  put16(frameBytes, SC_SS, USER_SS);
  put64(frameBytes, SC_ERR, signals.trapError);
  put64(frameBytes, SC_TRAPNO, signals.trapNumber);
  put32(frameBytes, SC_OLDMASK, maskLow);
  put32(frameBytes, SC_OLDMASK + 4, maskHigh);
  put64(frameBytes, SC_CR2, signals.faultAddress);
  put64(frameBytes, SC_FPSTATE, fpuAddress(thread, top));
  put32(frameBytes, UC_SIGMASK, maskLow);
  put32(frameBytes, UC_SIGMASK + 4, maskHigh);
}

/** Writes frameBytes and the FPU state below `top`. 0 or -EFAULT. */
export function writeFrame(task: Task, top: number): number {
  const { thread } = task;
  const fpu = fpuAddress(thread, top);
  if (thread.pushFpu(fpu) < 0) return -EFAULT;
  if (task.memory.copyOut(frameStart(thread, top), frameBytes, 0, FRAME_BYTES) < 0) return -EFAULT;
  return markFpu(task, fpu) < 0 ? -EFAULT : 0;
}

/** The thread goes on in `handler`, on the frame at `frame`. */
export function enterHandler(thread: GuestThread, handler: number, signal: number, frame: number): void {
  thread.set(REG.RDI, signal);
  thread.set(REG.RSI, frame + FRAME_INFO);
  thread.set(REG.RDX, frame + FRAME_UC);
  thread.set(REG.RAX, 0);
  thread.set(REG.RSP, frame);
  thread.set(REG.RIP, handler);
  thread.setWords(REG.EFLAGS, thread.low(REG.EFLAGS) & ~(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF), 0);
}

/**
 * rt_sigreturn(2): reads the frame at the stack pointer into frameBytes, and takes registers and FPU state from it. False when
 * it is not a valid one; the registers are untouched then.
 */
export function restoreFrame(task: Task): boolean {
  const { thread } = task;
  // The return address has been popped.
  const frame = thread.get(REG.RSP) - 8;
  if (frame < 0) return false;
  const read = readFrame(task, frame);
  if (read < FRAME_INFO || !loadFpu(task, frame, read)) return false;
  const flags = thread.low(REG.EFLAGS);
  for (let i = 0; i < SC_REGS.length - 1; i++) {
    const at = UC_MCONTEXT + 8 * i;
    thread.setWords(SC_REGS[i], u32(frameBytes, at), u32(frameBytes, at + 4));
  }
  thread.setWords(REG.EFLAGS, flags & ~EFLAGS_FIXABLE | u32(frameBytes, SC_EFLAGS) & EFLAGS_FIXABLE, 0);
  return true;
}

/** Reads the frame at `frame`, and what may follow it, into frameBytes: how much that is, or -EFAULT. */
function readFrame(task: Task, frame: number): number {
  const { memory } = task;
  const ahead = FRAME_REST_BYTES + task.thread.fpuBytes;
  const at = memory.known(frame + 8, ahead);
  if (at >= 0) {
    frameBytes.set(memory.view.subarray(at, at + ahead), 8);
    return 8 + ahead;
  }
  const room = Math.min(frameBytes.length, task.mm.layout.end - frame);
  return task.mm.space.read(frame, frameBytes, 0, room);
}

/** The kernel's marks in the XSAVE area at `address`: struct _fpx_sw_bytes, and the second magic behind it. */
function markFpu(task: Task, address: number): number {
  const { fpuBytes, fpuFeatures } = task.thread;
  zero(marks, 0, FXSAVE_BYTES - FX_SW);
  put32(marks, 0, FP_XSTATE_MAGIC1);
  put32(marks, 4, fpuBytes + 4);
  put32(marks, 8, fpuFeatures);
  put32(marks, 16, fpuBytes);
  const marked = task.memory.copyOut(address + FX_SW, marks, 0, FXSAVE_BYTES - FX_SW);
  if (marked < 0) return marked;
  put32(marks, 0, FP_XSTATE_MAGIC2);
  return task.memory.copyOut(address + fpuBytes, marks, 0, 4);
}

const marks = new Uint8Array(FXSAVE_BYTES - FX_SW);

/** Loads the FPU state that the frame in frameBytes points at; false when it is not a valid one. fpu__restore_sig(). */
function loadFpu(task: Task, frame: number, read: number): boolean {
  const address = u64(frameBytes, SC_FPSTATE);
  if (address === 0) return loadInitialFpu(task);
  if (address % 64 !== 0 || address + FXSAVE_BYTES > task.mm.layout.end) return false;
  let from = frameBytes;
  let at = address - frame;
  let have = read - at;
  if (at < FRAME_INFO || have < FXSAVE_BYTES) {
    // A guest may have put it elsewhere.
    from = area;
    at = 0;
    have = task.mm.space.read(address, area, 0, Math.min(FPU_STATE_MAX, task.mm.layout.end - address));
    if (have < FXSAVE_BYTES) return false;
  }
  if ((u32(from, at + FX_MXCSR) & ~MXCSR_VALID) !== 0) return false;
  const bytes = xsaveBytes(from, at, have);
  if (bytes === 0) {
    // Only the legacy part counts, the rest is initial.
    zero(initial, FXSAVE_BYTES, XSAVE_HEADER_BYTES);
    initial.set(from.subarray(at, at + FXSAVE_BYTES));
    initial[FXSAVE_BYTES] = 3;
    return task.thread.loadFpu(initial, 0, initial.length) >= 0;
  }
  if (!isHeaderValid(from, at + FXSAVE_BYTES, task.thread.fpuFeatures)) return false;
  return task.thread.loadFpu(from, at, bytes) >= 0;
}

const area = new Uint8Array(FPU_STATE_MAX);
const initial = new Uint8Array(FXSAVE_BYTES + XSAVE_HEADER_BYTES);

function loadInitialFpu(task: Task): boolean {
  initial.fill(0);
  put16(initial, 0, FCW_INITIAL);
  put32(initial, FX_MXCSR, MXCSR_INITIAL);
  return task.thread.loadFpu(initial, 0, initial.length) >= 0;
}

/** Size of the XSAVE area by the kernel's marks in it, 0 when they are not (or no longer) ours. */
function xsaveBytes(from: Uint8Array, at: number, have: number): number {
  const sw = at + FX_SW;
  if (u32(from, sw) !== FP_XSTATE_MAGIC1) return 0;
  const extended = u32(from, sw + 4);
  const bytes = u32(from, sw + 16);
  if (bytes < FXSAVE_BYTES + XSAVE_HEADER_BYTES || bytes + 4 > have || bytes > extended) return 0;
  return u32(from, at + bytes) === FP_XSTATE_MAGIC2 ? bytes : 0;
}

/** XRSTOR faults on unknown components, on the compacted format and on reserved bytes. */
function isHeaderValid(from: Uint8Array, at: number, features: number): boolean {
  if ((u32(from, at) & ~features) !== 0 || u32(from, at + 4) !== 0) return false;
  for (let i = 8; i < XSAVE_HEADER_BYTES; i += 4) {
    if (u32(from, at + i) !== 0) return false;
  }
  return true;
}
