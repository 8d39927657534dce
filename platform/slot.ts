// The shared memory of a stub thread and the sentry, mirrored from native/src/slot.rs (slot_test.ts compares the two).
// Offsets are bytes within a slot; a slot's words are read as Uint32Array at offset / 4. Everything a stub writes here is
// untrusted: read once, check, use.

// Where the stub is mapped in every guest process. Guest addresses end below STUB_TEXT (GUEST_END in stub/layout.ts).
export const STUB_TEXT = 0x7fe0_0000_0000;
export const STUB_TEXT_BYTES = 0x1_0000;
/** Offsets in the text: a lone syscall instruction, and where the pieces of patched call sites go (systrap/pieces.ts). */
export const STUB_SYSCALL = 0x20;
export const STUB_CALL_TAIL = 0x30;
export const STUB_CALL = 0x70;
/** Read-only page(s) shared by all stubs: parameters and the marshalling table. */
export const COMMON = 0x7fe0_0010_0000;
export const COMMON_BYTES = 0x4000;
/** Slots of this process. */
export const ARENAS = 0x7fe1_0000_0000;
export const ARENA_POSITIONS = 48;
export const SLOT_BYTES = 0x4_0000;
export const ARENA_SLOTS = 4096;
export const ARENA_BYTES = SLOT_BYTES * ARENA_SLOTS;
/** Arenas of a sandbox, one for each address space that is alive. */
export const ARENAS_MAX = 8192;
export const DIRECT_READ_FD = 4;
export const DIRECT_WRITE_FD = 5;
export const DIRECT_WINDOWS = 0x7fee_0000_0000;
export const DIRECT_WINDOW_BYTES = 0x40_0000;
// COMMON page: u32 words, then the BPF program, then the table.
export const COMMON_FLAGS = 0;
export const COMMON_FILTER_LENGTH = 4;
export const COMMON_XSAVE_MASK = 8;
/** Bytes of an XSAVE area in the standard format with the components of the mask. */
export const COMMON_XSAVE_BYTES = 12;
/** An XSAVE area of the initial state. */
export const COMMON_FPU = 0x1000;
export const COMMON_FILTER = 0x100;
export const COMMON_TABLE = 0x2000;
export const COMMON_HAS_FSGSBASE = 1;
/** RDGSBASE and RORX are there, which the way from patched call sites needs. */
export const COMMON_CAN_PATCH = 2;
/** Host calls of a stub ask the sentry: the filter has a listener. */
export const COMMON_ASKS = 4;
export const MARSHAL_CALLS = 512;
export const MARSHAL_ITEMS = 4;
// Offsets in a slot.
//
// The first line of 64 bytes is all that a call needs to go over and its answer to come back: every further line that one
// CPU writes and the other reads costs a transfer between them.
export const SLOT_STATE = 0x00;
/** Number of the call (CALL_NUMBER; all ones = look at NUMBER), what stopped the guest and how it came, entries of IN_ENTRIES. */
export const SLOT_CALL = 0x04;
/** The six arguments, 6 x u64: copies of RDI, RSI, RDX, R10, R8, R9 for the sentry. What it changes it changes in REGS too. */
export const SLOT_ARGUMENTS = 0x08;
/** Register RAX: here alone while the guest is stopped. */
export const SLOT_RESULT = 0x38;
// The stub's own.
export const SLOT_PENDING = 0x40;
export const SLOT_FLAGS = 0x44;
export const SLOT_FRAME = 0x48;
/** Host thread id; zeroed by the host when the thread has ended. */
export const SLOT_TID = 0x54;
/** Where the guest continues: at RIP, or in the piece of a patched call site. Filled at entry, and by the sentry with RIP. */
export const LEAVE_RIP = 0x58;
export const SLOT_SELF = 0x70;
export const STACK_TOP = 0x78;
/** Register ORIG_RAX: the number of the call, whole. */
export const SLOT_NUMBER = 0x80;
/** 23 x u64, order of user_regs_struct. The places of ORIG_RAX and, while the guest is stopped, of RAX are unused. */
export const SLOT_REGS = 0x88;
/** ENTRY_TRAP or ENTRY_CALL, for the stub itself. */
export const SLOT_ENTRY = 0x140;
/** Set by a new thread once it can take signals; until then the sentry interrupts it through PENDING. */
export const SLOT_READY = 0x144;
/** First of the commands that failed, u32::MAX = none. */
export const SLOT_FAILED = 0x148;
/** Nonzero while the host waits for a futex for the guest. */
export const SLOT_WAITING = 0x14c;
export const SLOT_VDSO = 0x150;
/** struct timespec: CPU time of the host thread when this guest thread began, and when it was asked last. */
export const CPU_START = 0x158;
export const CPU_NOW = 0x168;
/** IN_MAX x {address u64, length u32, offset u32} */
export const IN_ENTRIES = 0x180;
export const IN_MAX = 24;
// Written by the sentry, when there is something to write.
export const OUT_COUNT = 0x300;
export const COMMANDS_COUNT = 0x304;
/** What follows COMMANDS: THEN_RESUME or THEN_REPORT. */
export const SLOT_THEN = 0x308;
export const SLOT_SPIN = 0x30c;
/** Nonzero: private futexes are the host's, without asking. */
export const HOST_FUTEX = 0x310;
/** OUT_MAX x the same */
export const OUT_ENTRIES = 0x318;
export const OUT_MAX = 24;
/** struct timespec, or struct iovec, for a command. */
export const SLOT_TIME = 0x498;
/** COMMANDS_MAX x {op u32, must u32, result i64, args 6 x u64} */
export const SLOT_COMMANDS = 0x4c0;
export const COMMAND_BYTES = 64;
export const COMMANDS_MAX = 40;
/** 24 bytes around the call site: 8 before RIP, 16 after */
export const SLOT_CODE = 0xec0;
export const SLOT_SIGNAL = 0xed8;
export const SIGNAL_CODE = 0xedc;
export const SLOT_TRAP = 0xee0;
export const TRAP_ERROR = 0xee4;
export const FAULT_ADDRESS = 0xee8;
export const SLOT_FPU = 0x1000;
export const FPU_BYTES = 0x1000;
export const SLOT_STACK = 0x2000;
export const STACK_END = 0x4000;
export const SIGNAL_STACK = 0x4000;
export const SIGNAL_STACK_BYTES = 0xc000;
export const STAGING_IN = 0x1_0000;
export const STAGING_IN_BYTES = 0x1_8000;
export const STAGING_OUT = 0x2_8000;
export const STAGING_OUT_BYTES = 0x1_8000;
// STATE values. Every change is an exchange; the side that reads the other's sleeping value wakes it.
export const STATE_RUN = 0;
export const STATE_EVENT = 1;
export const STATE_EVENT_ASLEEP = 2;
export const STATE_RUN_SENTRY_ASLEEP = 3;
/** Sentry to a spinning stub: the call will take long, sleep now. */
export const STATE_PARK = 4;
// EVENT values (platform.ts EVENT), plus CMD_DONE.
export const EVENT_SYSCALL = 1;
export const EVENT_FAULT = 2;
export const EVENT_INTERRUPTED = 3;
export const EVENT_COMMANDS_DONE = 5;
export const ENTRY_TRAP = 0;
export const ENTRY_CALL = 1;
// Bits of SLOT_CALL.
export const CALL_NUMBER = 0xffff;
export const CALL_EVENT_SHIFT = 16;
export const CALL_EVENT_MASK = 15;
export const CALL_ENTRY_SHIFT = 20;
/** The call was the host's already: an interrupt has ended its wait. */
export const CALL_BACK = 0x20_0000;
export const CALL_IN_SHIFT = 24;
export const FLAG_FS_DIRTY = 1;
/** The guest has a GS base of its own (REGS): calls come by the trap alone, as the patched way needs GS. */
export const FLAG_GS = 2;
export const THEN_RESUME = 0;
export const THEN_REPORT = 1;
// Command codes. A plain host call is the usual one: the filter holds for it too.
export const OP_SYSCALL = 0;
export const OP_RECEIVE_FDS = 1;
export const OP_FORK = 2;
export const OP_CLONE = 3;
/** args: to, from, length */
export const OP_COPY = 4;
export const OP_XSAVE = 5;
/** args: area */
export const OP_XRSTOR = 6;
/** args: address of the 16-byte line, old lo, old hi, new lo, new hi */
export const OP_PATCH = 7;
export const OP_EXIT = 8;
/** As OP_SYSCALL, the last of its commands: its result is the guest's. An interrupt ends it; then the guest's call is posted. */
export const OP_WAIT = 9;
/** The first of a new thread: gives it its signal stack, and notes that it can take signals. */
export const OP_BEGIN = 10;
/**
 * What a thread that ends leaves in memory others still use: gives up its rseq(2) area, then zeroes its clear_child_tid
 * word. Does neither, and answers -EBUSY, where the robust list is not empty. args: rseq area (0 = none), its length and
 * signature, head of the robust list (0 = none), the word.
 */
export const OP_LEAVE = 11;
// Marshalling item: kind | argument << 4 | length argument << 7 | size or unit << 10.
export const ITEM_END = 0;
export const ITEM_STRING = 1;
export const ITEM_FIXED = 2;
export const ITEM_BUFFER = 3;
export const ITEM_IOVEC_CONTENT = 4;
export const ITEM_IOVEC = 5;
export const ITEM_MSGHDR_CONTENT = 6;
export const ITEM_MSGHDR = 7;
/** A list of strings that ends with a null pointer, as execve(2) takes it. */
export const ITEM_STRINGS = 8;
/** Of no argument: `size` bytes at the stack pointer, and as many more as an XSAVE area has. */
export const ITEM_FRAME = 9;
/** Signal the sentry interrupts a running guest thread with. */
export const INTERRUPT_SIGNAL = 23;
