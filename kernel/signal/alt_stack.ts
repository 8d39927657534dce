// The alternate signal stack's rules: sigaltstack(2). Linux: do_sigaltstack().

import { EINVAL, ENOMEM, EPERM } from "../abi/errno.ts";
import { SS_DISABLE, SS_ONSTACK } from "../abi/signal.ts";
import type { TaskSignals } from "./task_signals.ts";

export const SS_AUTODISARM = 0x8000_0000 | 0;
/** MINSIGSTKSZ of the x86-64 ABI: what the kernel has always taken, though frames of today are larger. */
const ALT_STACK_BYTES_MIN = 2048;

/** Sets the alternate stack of a task whose stack pointer is `sp`. 0 or -ERRNO. */
export function changeAltStack(
  signals: TaskSignals,
  sp: number,
  address: number,
  flags: number,
  size: number,
): number {
  const isOn = (signals.altStackFlags & SS_AUTODISARM) === 0 && sp > signals.altStackAddress &&
    sp - signals.altStackAddress <= signals.altStackSize;
  if (isOn) return -EPERM;
  const mode = flags & ~SS_AUTODISARM;
  if (mode !== SS_DISABLE && mode !== SS_ONSTACK && mode !== 0) return -EINVAL;
  if (mode === SS_DISABLE) {
    size = 0;
    address = 0;
  } else if (size < ALT_STACK_BYTES_MIN) {
    return -ENOMEM;
  }
  signals.altStackAddress = address;
  signals.altStackSize = size;
  signals.altStackFlags = flags;
  return 0;
}
