// What x86-64 adds to address spaces: the error code of page faults, and the vsyscall page that every process has.

import type { Fault } from "../../../platform/platform.ts";

const TRAP_PAGE_FAULT = 14;
/** Bit 0 of a page fault's error code: the page was present (X86_PF_PROT). */
const FAULT_PRESENT = 1;

/** A page fault at an address where no page is present. */
export function isUnmappedAccess(fault: Fault): boolean {
  return fault.trap === TRAP_PAGE_FAULT && (fault.error & FAULT_PRESENT) === 0;
}

/** Last line of /proc/PID/maps: the host's page at a fixed address. */
export const FIXED_MAPPINGS =
  "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
