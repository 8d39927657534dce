// The vDSO: clock_gettime, gettimeofday, time, getcpu and clock_getres without a system call. It is the host's own, which
// the stub has in its address space anyway: guests see the host's clocks (time/clock.ts), so nothing has to be
// translated, and the host keeps its data page current. It is mapped above the guest's addresses, where no call of a
// guest can unmap it. Linux: arch/x86/entry/vdso/vma.c.

import { MAP_PRIVATE, PROT_EXEC, PROT_READ } from "../abi/memory.ts";
import type { MemoryMap } from "../mm/address_space.ts";
import { Vma } from "../mm/vma.ts";

/** Its text; what lies behind it belongs to the host. */
const VDSO_BYTES = 0x2000;

/** Enters the vDSO into the map for /proc/PID/maps; its address for AT_SYSINFO_EHDR, 0 where the platform has none. */
export function enterVdso(mm: MemoryMap): number {
  const address = mm.space.vdsoAddress;
  if (address !== 0) {
    mm.enter(
      new Vma(address, address + VDSO_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, null, 0, "[vdso]"),
    );
  }
  return address;
}
