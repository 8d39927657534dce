// What the kernel does with a stopped thread's registers: programs and children start, calls are answered anew. Linux:
// arch/x86/include/asm/{syscall,ptrace}.h, start_thread(), arch_do_signal_or_restart().

import { type GuestThread, REG, REGS_COUNT } from "../../../platform/platform.ts";
import { EINTR } from "../../abi/errno.ts";

/** Interrupts on, and the bit that is always set. */
const EFLAGS_START = 0x202;
export const USER_CS = 0x33;
export const USER_SS = 0x2b;
const SYS_restart_syscall = 219;
/** Of the `syscall` instruction. */
const CALL_BYTES = 2;

export function stackPointer(thread: GuestThread): number {
  return thread.get(REG.RSP);
}
export function instructionPointer(thread: GuestThread): number {
  return thread.get(REG.RIP);
}
/** Low and high word of the instruction pointer to `into`. */
export function putInstructionPointer(thread: GuestThread, into: Uint32Array, at: number): void {
  into[at] = thread.low(REG.RIP);
  into[at + 1] = thread.high(REG.RIP);
}
/** What the last call has answered. */
export function callResult(thread: GuestThread): number {
  return thread.get(REG.RAX);
}

/** execve(2): the first instruction of a program. */
export function startProgram(thread: GuestThread, entry: number, stack: number): void {
  for (let register = 0; register < REGS_COUNT; register++) thread.setWords(register, 0, 0);
  thread.set(REG.EFLAGS, EFLAGS_START);
  thread.set(REG.RSP, stack);
  thread.set(REG.RIP, entry);
  thread.set(REG.CS, USER_CS);
  thread.set(REG.SS, USER_SS);
  thread.resetFpu();
}

/** clone(2): the child's call answers 0, on `stack`; 0 = the parent's. */
export function startChild(thread: GuestThread, stack: number): void {
  thread.set(REG.RAX, 0);
  if (stack !== 0) thread.set(REG.RSP, stack);
}
/** CLONE_SETTLS. */
export function setThreadPointer(thread: GuestThread, value: number): void {
  thread.set(REG.FS_BASE, value);
}

/** The call that has answered to be made again answers -EINTR after all. */
export function interruptCall(thread: GuestThread): void {
  thread.set(REG.RAX, -EINTR);
}
/** The registers are as they were at the call: syscall_rollback(). */
export function rollBackCall(thread: GuestThread): void {
  thread.setWords(REG.RAX, thread.low(REG.ORIG_RAX), thread.high(REG.ORIG_RAX));
}
/** The call is made again when the thread resumes. */
export function repeatCall(thread: GuestThread): void {
  rollBackCall(thread);
  thread.set(REG.RIP, thread.get(REG.RIP) - CALL_BYTES);
}
/** restart_syscall(2) is made when the thread resumes. */
export function resumeCall(thread: GuestThread): void {
  thread.set(REG.RAX, SYS_restart_syscall);
  thread.set(REG.RIP, thread.get(REG.RIP) - CALL_BYTES);
}
