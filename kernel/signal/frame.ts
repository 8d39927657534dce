// A handler's frame: which stack it goes to, whether there is room, and what a handler may bring back by sigreturn(2). The
// frame itself is the architecture's (arch/). Linux: get_sigframe(), setup_rt_frame(), rt_sigreturn().

import { EFAULT } from "../abi/errno.ts";
import { PROT_WRITE } from "../abi/memory.ts";
import { SA_ONSTACK, SA_SIGINFO, SI_KERNEL, SIGSEGV, SS_DISABLE, SS_ONSTACK } from "../abi/signal.ts";
import { i32, u32, u64 } from "../abi/struct.ts";
import {
  canReturn,
  enterHandler,
  fillFrame,
  FRAME_INFO,
  FRAME_MASK,
  FRAME_STACK,
  frameBytes,
  frameEnd,
  frameStart,
  RED_ZONE_BYTES,
  restoreFrame,
  stackPointer,
  writeFrame,
} from "../arch/arch.ts";
import { growStack } from "../mm/stack_growth.ts";
import { NO_RESULT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { changeAltStack, SS_AUTODISARM } from "./alt_stack.ts";
import { forceSignal } from "./send.ts";
import { putSignalInfo, SignalInfo } from "./signal_info.ts";
import type { TaskSignals } from "./task_signals.ts";

/** Puts a frame for `info` on the stack and the handler into the registers. 0, or -EFAULT when the stack cannot take it. */
export function pushSignalFrame(
  task: Task,
  info: SignalInfo,
  handler: number,
  flags: number,
  restorer: number,
): number {
  if (!canReturn(flags)) return -EFAULT;
  const { thread, signals } = task;
  const sp = stackPointer(thread);
  let top = sp - RED_ZONE_BYTES;
  let isOnAlternate = isOnAltStack(signals, sp);
  if ((flags & SA_ONSTACK) !== 0 && signals.altStackSize !== 0 && !isOnAltStack(signals, top)) {
    top = signals.altStackAddress + signals.altStackSize;
    isOnAlternate = true;
  }
  const frame = frameStart(thread, top), end = frameEnd(thread, top);
  if (frame < 0 || end > task.mm.layout.end) return -EFAULT;
  if (isOnAlternate && !isWithinAltStack(signals, frame)) return -EFAULT;
  if (!canWrite(task, frame, end - frame)) return -EFAULT;
  const maskLow = signals.hasSavedMask ? signals.savedLow : signals.maskLow;
  const maskHigh = signals.hasSavedMask ? signals.savedHigh : signals.maskHigh;
  fillFrame(task, top, restorer, maskLow, maskHigh);
  if ((flags & SA_SIGINFO) !== 0) putSignalInfo(frameBytes, FRAME_INFO, info);
  const written = writeFrame(task, top);
  if (written < 0) return written;
  if ((signals.altStackFlags & SS_AUTODISARM) !== 0) signals.dropAltStack();
  enterHandler(thread, handler, info.signal, frame);
  return 0;
}

/** rt_sigreturn(2): registers, mask and alternate stack come from the frame. NO_RESULT in any case. */
export function popSignalFrame(task: Task): number {
  const { signals } = task;
  if (!restoreFrame(task)) {
    forceSignal(task, new SignalInfo(SIGSEGV, SI_KERNEL));
    return NO_RESULT;
  }
  signals.hasSavedMask = false;
  signals.setMask(u32(frameBytes, FRAME_MASK), u32(frameBytes, FRAME_MASK + 4));
  changeAltStack(
    signals,
    stackPointer(task.thread),
    u64(frameBytes, FRAME_STACK),
    i32(frameBytes, FRAME_STACK + 8),
    u64(frameBytes, FRAME_STACK + 16),
  );
  task.restartCall = null;
  return NO_RESULT;
}

/** Whether `sp` lies on the alternate stack; with SS_AUTODISARM nobody is ever on it. */
function isOnAltStack(signals: TaskSignals, sp: number): boolean {
  return (signals.altStackFlags & SS_AUTODISARM) === 0 && isWithinAltStack(signals, sp);
}

function isWithinAltStack(signals: TaskSignals, sp: number): boolean {
  return sp > signals.altStackAddress && sp - signals.altStackAddress <= signals.altStackSize;
}

/** Flags sigaltstack(2) shows: SS_DISABLE, SS_ONSTACK or 0. */
export function altStackState(signals: TaskSignals, sp: number): number {
  if (signals.altStackSize === 0) return SS_DISABLE;
  return isOnAltStack(signals, sp) ? SS_ONSTACK : 0;
}

/** Whether [address, +length) can be written; a stack that has to grow for it does. */
function canWrite(task: Task, address: number, length: number): boolean {
  const { mm } = task;
  if (mm.checkRange(address, length, PROT_WRITE) === 0) return true;
  return growStack(task, mm, address) && mm.checkRange(address, length, PROT_WRITE) === 0;
}
