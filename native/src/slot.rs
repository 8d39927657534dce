// The memory that a stub thread and the sentry share: one slot per guest thread. Included by the stub and by the cdylib,
// and mirrored by platform/slot.ts, whose test compares the numbers. Everything a stub writes here is untrusted.

// Where the stub is mapped in every guest process. Guest addresses end below STUB_TEXT (USER_ADDRESS_END in platform.ts).
pub const STUB_TEXT: u64 = 0x7fe0_0000_0000;
pub const STUB_TEXT_BYTES: u64 = 0x1_0000;
/// Offsets in the text: a lone syscall instruction, and where the pieces of patched call sites go (systrap/pieces.ts).
pub const STUB_SYSCALL: u64 = 0x20;
pub const STUB_CALL_TAIL: u64 = 0x30;
pub const STUB_CALL: u64 = 0x70;
/// Read-only page(s) shared by all stubs: parameters and the marshalling table.
pub const COMMON: u64 = 0x7fe0_0010_0000;
pub const COMMON_BYTES: u64 = 0x4000;
/// Slots of this process.
pub const ARENAS: u64 = 0x7fe1_0000_0000;
pub const ARENA_POSITIONS: u64 = 48;
pub const SLOT_BYTES: u64 = 0x4_0000;
pub const ARENA_SLOTS: u64 = 4096;
pub const ARENA_BYTES: u64 = SLOT_BYTES * ARENA_SLOTS;
/// Arenas of a sandbox, one for each address space that is alive: the sentry reserves 8 TiB for them.
pub const ARENAS_MAX: u64 = 8192;
/// What a thread reads and writes large pieces of by itself: a descriptor for each, or a window on a memory file for each.
pub const DIRECT_READ_FD: u32 = 4;
pub const DIRECT_WRITE_FD: u32 = 5;
pub const DIRECT_WINDOWS: u64 = 0x7fee_0000_0000;
pub const DIRECT_WINDOW_BYTES: u64 = 0x40_0000;
const _: () = assert!(ARENAS + ARENA_POSITIONS * ARENA_BYTES <= DIRECT_WINDOWS);

// COMMON page: u32 words, then the BPF program, then the table.
pub const COMMON_FLAGS: u64 = 0;
pub const COMMON_FILTER_LENGTH: u64 = 4;
pub const COMMON_XSAVE_MASK: u64 = 8;
/// Bytes of an XSAVE area in the standard format with the components of the mask.
pub const COMMON_XSAVE_BYTES: u64 = 12;
/// An XSAVE area of the initial state.
pub const COMMON_FPU: u64 = 0x1000;
pub const COMMON_FILTER: u64 = 0x100;
pub const COMMON_TABLE: u64 = 0x2000;
pub const COMMON_HAS_FSGSBASE: u32 = 1;
/// RDGSBASE and RORX are there, which the way from patched call sites needs.
pub const COMMON_CAN_PATCH: u32 = 2;
/// Host calls of a stub ask the sentry: the filter has a listener.
pub const COMMON_ASKS: u32 = 4;
pub const MARSHAL_CALLS: u64 = 512;
pub const MARSHAL_ITEMS: u64 = 4;

// Offsets in a slot.
//
// The first line of 64 bytes is all that a call needs to go over and its answer to come back: every further line that one
// CPU writes and the other reads costs a transfer between them.
pub const STATE: u64 = 0x00;
/// Number of the call (CALL_NUMBER; all ones = look at NUMBER), what stopped the guest and how it came, entries of IN_ENTRIES.
pub const CALL: u64 = 0x04;
/// The six arguments, 6 x u64: copies of RDI, RSI, RDX, R10, R8, R9 for the sentry. What it changes it changes in REGS too.
pub const ARGUMENTS: u64 = 0x08;
/// Register RAX: here alone while the guest is stopped.
pub const RESULT: u64 = 0x38;
// The stub's own.
pub const PENDING: u64 = 0x40;
pub const FLAGS: u64 = 0x44;
pub const FRAME: u64 = 0x48;
/// Host thread id; zeroed by the host when the thread has ended.
pub const TID: u64 = 0x54;
/// Where the guest continues: at RIP, or in the piece of a patched call site. Filled at entry, and by the sentry with RIP.
pub const LEAVE_RIP: u64 = 0x58;
pub const SELF: u64 = 0x70;
pub const STACK_TOP: u64 = 0x78;
/// Register ORIG_RAX: the number of the call, whole.
pub const NUMBER: u64 = 0x80;
/// 23 x u64, order of user_regs_struct. The places of ORIG_RAX and, while the guest is stopped, of RAX are unused.
pub const REGS: u64 = 0x88;
/// ENTRY_TRAP or ENTRY_CALL, for the stub itself.
pub const ENTRY: u64 = 0x140;
/// Set by a new thread once it can take signals; until then the sentry interrupts it through PENDING.
pub const READY: u64 = 0x144;
/// First of the commands that failed, u32::MAX = none.
pub const FAILED: u64 = 0x148;
/// Nonzero while the host waits for a futex for the guest.
pub const WAITING: u64 = 0x14c;
pub const VDSO: u64 = 0x150;
/// struct timespec: CPU time of the host thread when this guest thread began, and when it was asked last.
pub const CPU_START: u64 = 0x158;
pub const CPU_NOW: u64 = 0x168;
pub const IN_ENTRIES: u64 = 0x180; // IN_MAX x {address u64, length u32, offset u32}
pub const IN_MAX: u64 = 24;
// Written by the sentry, when there is something to write.
pub const OUT_COUNT: u64 = 0x300;
pub const COMMANDS_COUNT: u64 = 0x304;
/// What follows COMMANDS: THEN_RESUME or THEN_REPORT.
pub const THEN: u64 = 0x308;
pub const SPIN: u64 = 0x30c;
/// Nonzero: private futexes are the host's, without asking.
pub const HOST_FUTEX: u64 = 0x310;
pub const OUT_ENTRIES: u64 = 0x318; // OUT_MAX x the same
pub const OUT_MAX: u64 = 24;
/// struct timespec, or struct iovec, for a command.
pub const TIME: u64 = 0x498;
pub const COMMANDS: u64 = 0x4c0; // COMMANDS_MAX x {op u32, must u32, result i64, args 6 x u64}
pub const COMMAND_BYTES: u64 = 64;
pub const COMMANDS_MAX: u64 = 40;
pub const CODE: u64 = 0xec0; // 24 bytes around the call site: 8 before RIP, 16 after
pub const SIGNAL: u64 = 0xed8;
pub const SIGNAL_CODE: u64 = 0xedc;
pub const TRAP: u64 = 0xee0;
pub const TRAP_ERROR: u64 = 0xee4;
pub const FAULT_ADDRESS: u64 = 0xee8;
pub const FPU: u64 = 0x1000;
pub const FPU_BYTES: u64 = 0x1000;
pub const STACK: u64 = 0x2000;
pub const STACK_END: u64 = 0x4000;
pub const SIGNAL_STACK: u64 = 0x4000;
pub const SIGNAL_STACK_BYTES: u64 = 0xc000;
pub const STAGING_IN: u64 = 0x1_0000;
pub const STAGING_IN_BYTES: u64 = 0x1_8000;
pub const STAGING_OUT: u64 = 0x2_8000;
pub const STAGING_OUT_BYTES: u64 = 0x1_8000;

// STATE values. Every change is an exchange; the side that sees the other's sleeping value wakes it.
pub const STATE_RUN: u32 = 0;
pub const STATE_EVENT: u32 = 1;
pub const STATE_EVENT_ASLEEP: u32 = 2;
pub const STATE_RUN_SENTRY_ASLEEP: u32 = 3;
/// Sentry to a spinning stub: the call will take long, sleep now.
pub const STATE_PARK: u32 = 4;

// EVENT values (platform.ts EVENT), plus CMD_DONE.
pub const EVENT_SYSCALL: u32 = 1;
pub const EVENT_FAULT: u32 = 2;
pub const EVENT_INTERRUPTED: u32 = 3;
pub const EVENT_COMMANDS_DONE: u32 = 5;

pub const ENTRY_TRAP: u32 = 0;
pub const ENTRY_CALL: u32 = 1;

// Bits of CALL.
pub const CALL_NUMBER: u32 = 0xffff;
pub const CALL_EVENT_SHIFT: u32 = 16;
pub const CALL_EVENT_MASK: u32 = 15;
pub const CALL_ENTRY_SHIFT: u32 = 20;
/// The call was the host's already: an interrupt has ended its wait.
pub const CALL_BACK: u32 = 0x20_0000;
pub const CALL_IN_SHIFT: u32 = 24;

pub const FLAG_FS_DIRTY: u32 = 1;
/** The guest has a GS base of its own (REGS): calls come by the trap alone, as the patched way needs GS. */
pub const FLAG_GS: u32 = 2;

pub const THEN_RESUME: u32 = 0;
pub const THEN_REPORT: u32 = 1;

// Command codes. A plain host call is the usual one: the filter holds for it too.
pub const OP_SYSCALL: u32 = 0;
pub const OP_RECEIVE_FDS: u32 = 1;
pub const OP_FORK: u32 = 2;
pub const OP_CLONE: u32 = 3;
pub const OP_COPY: u32 = 4; // args: to, from, length
pub const OP_XSAVE: u32 = 5;
pub const OP_XRSTOR: u32 = 6; // args: area
pub const OP_PATCH: u32 = 7; // args: address of the 16-byte line, old lo, old hi, new lo, new hi
pub const OP_EXIT: u32 = 8;
/// As OP_SYSCALL, the last of its commands: its result is the guest's. An interrupt ends it; then the guest's call is posted.
pub const OP_WAIT: u32 = 9;

/// The first of a new thread: gives it its signal stack, and notes that it can take signals.
pub const OP_BEGIN: u32 = 10;
/// What a thread that ends leaves in memory others still use: gives up its rseq(2) area, then zeroes its clear_child_tid word.
/// Does neither, and answers -EBUSY, where the robust list is not empty. args: rseq area (0 = none), its length and signature,
/// head of the robust list (0 = none), the word.
pub const OP_LEAVE: u32 = 11;

// Marshalling item: kind | argument << 4 | length argument << 7 | size or unit << 10.
pub const ITEM_END: u32 = 0;
pub const ITEM_STRING: u32 = 1;
pub const ITEM_FIXED: u32 = 2;
pub const ITEM_BUFFER: u32 = 3;
pub const ITEM_IOVEC_CONTENT: u32 = 4;
pub const ITEM_IOVEC: u32 = 5;
pub const ITEM_MSGHDR_CONTENT: u32 = 6;
pub const ITEM_MSGHDR: u32 = 7;
/// A list of strings that ends with a null pointer, as execve(2) takes it.
pub const ITEM_STRINGS: u32 = 8;
/// Of no argument: `size` bytes at the stack pointer, and as many more as an XSAVE area has.
pub const ITEM_FRAME: u32 = 9;

/// Signal the sentry interrupts a running guest thread with.
pub const INTERRUPT_SIGNAL: i32 = 23; // SIGURG: ignored where no handler stands
