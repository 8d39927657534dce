// Which addresses stubs leave to guests: systrap's and ptrace's layout. Above lie the stub's text, slots and stack (slot.ts).

import type { GuestLayout } from "../platform.ts";

/** mmap_min_addr as Linux' distributions set it. */
export const GUEST_START = 0x1_0000;
export const GUEST_END = 0x7fe0_0000_0000;

export const STUB_LAYOUT: GuestLayout = { start: GUEST_START, end: GUEST_END };
