// What the machine adds to address spaces: how page faults are told, and the page that every process has.

import type { Fault } from "../../../platform/platform.ts";

const TRAP_PAGE_FAULT = 14;
/** Of a page fault's error code: the page was there. */
const FAULT_PRESENT = 1;

/** Nothing was mapped where it happened. */
export function isUnmappedAccess(fault: Fault): boolean {
  return fault.trap === TRAP_PAGE_FAULT && (fault.error & FAULT_PRESENT) === 0;
}

/** Last line of /proc/PID/maps: the host's page at a fixed address. */
export const FIXED_MAPPINGS =
  "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
