//! The stub: the little of us that runs inside every guest process. It turns system calls and faults of the guest into
//! events in the thread's slot, and carries out the sentry's commands (map, fork, ...) there. No libc, no TLS, no
//! SSE (guest FPU registers are live), no data: text only, at STUB_TEXT. It does not depend on what a system call means.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};

#[path = "../src/slot.rs"]
#[allow(dead_code)]
mod slot;
use slot::*;

mod marshal;
use marshal::*;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: does not go on.
    unsafe { asm!("ud2", options(noreturn)) }
}

// Order of user_regs_struct.
const RBP: u64 = 4;
const R10: u64 = 7;
const R9: u64 = 8;
const R8: u64 = 9;
const RAX: u64 = 10;
const RDX: u64 = 12;
const RSI: u64 = 13;
const RDI: u64 = 14;
const RIP: u64 = 16;
const EFLAGS: u64 = 18;
const RSP: u64 = 19;
const FS_BASE: u64 = 21;
const GS_BASE: u64 = 22;

/// Order of gregs in ucontext, as indices of user_regs_struct: r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, efl.
const GREGS: [u8; 18] = [9, 8, 7, 6, 3, 2, 1, 0, 14, 13, RBP as u8, 5, 12, 10, 11, 19, 16, 18];
const G_RAX: usize = 13;
const G_RIP: usize = 16;
const G_ERR: usize = 19;
const G_TRAPNO: usize = 20;

global_asm!(
    r#"
    .section .stub.head,"ax"
    .globl _start
_start:
    mov rdi, rsp
    and rsp, -16
    call {zygote}
    ud2

    // At offset 0x20: where the ptrace platform has a stopped stub make a host call.
    .balign 32
    .globl stub_syscall
stub_syscall:
    syscall
    ud2

    // At offset 0x30: a patched call whose piece goes on itself (platform/systrap/pieces.ts): rcx = where, behind a `syscall`
    // and before a cmp of six bytes and the jump back to the program. At offset 0x70: any other; rcx = return address.
    // rax = number, r11 is free, everything else is the guest's, its flags too. Where GS is not ours (nothing of ours lies
    // below 0x7fe000000000: bits 37..46 are all ones) the call is made by the `syscall` before rcx, by the trap.
    .balign 16
    .globl stub_call_tail
stub_call_tail:
    rdgsbase r11
    xchg r11, rcx
    rorx rcx, rcx, 37
    movzx ecx, cx
    lea rcx, [rcx-0x3ff]
    jrcxz 8f
    lea rcx, [r11-2]
    jmp rcx
8:
    mov gs:[{LEAVE_RIP}], r11
    movsxd rcx, dword ptr [r11+7]
    lea rcx, [rcx+r11+5]
    jmp stub_registers
    .balign 16
    .globl stub_call
stub_call:
    rdgsbase r11
    xchg r11, rcx
    rorx rcx, rcx, 37
    movzx ecx, cx
    lea rcx, [rcx-0x3ff]
    jrcxz 9f
    lea rcx, [r11-2]
    jmp rcx
9:
    mov gs:[{LEAVE_RIP}], r11
    mov rcx, r11
stub_registers:
    mov gs:[{REGS}+19*8], rsp
    mov gs:[{REGS}+16*8], rcx
    mov gs:[{REGS}+11*8], rcx
    mov gs:[{NUMBER}], rax
    mov gs:[{REGS}+0*8], r15
    mov gs:[{REGS}+1*8], r14
    mov gs:[{REGS}+2*8], r13
    mov gs:[{REGS}+3*8], r12
    mov gs:[{REGS}+4*8], rbp
    mov gs:[{REGS}+5*8], rbx
    mov gs:[{REGS}+7*8], r10
    mov gs:[{REGS}+8*8], r9
    mov gs:[{REGS}+9*8], r8
    mov gs:[{REGS}+12*8], rdx
    mov gs:[{REGS}+13*8], rsi
    mov gs:[{REGS}+14*8], rdi
    mov rsp, gs:[{STACK_TOP}]
    pushfq
    pop rax
    cld
    mov gs:[{REGS}+18*8], rax
    mov gs:[{REGS}+6*8], rax
    mov rdi, gs:[{SELF}]
    call {fast_entry}

    // --- back to the guest with all registers from the slot. Restartable from stub_leave up to stub_leave_end: an
    // interrupt that lands here starts it again, so none is lost between the check and the jump. ---
    .globl stub_leave
    .globl stub_leave_end
stub_leave:
    cmp dword ptr gs:[{PENDING}], 0
    jne 2f
    mov rsp, gs:[{STACK_TOP}]
    push qword ptr gs:[{REGS}+18*8]
    popfq
    mov r15, gs:[{REGS}+0*8]
    mov r14, gs:[{REGS}+1*8]
    mov r13, gs:[{REGS}+2*8]
    mov r12, gs:[{REGS}+3*8]
    mov rbp, gs:[{REGS}+4*8]
    mov rbx, gs:[{REGS}+5*8]
    mov r11, gs:[{REGS}+6*8]
    mov r10, gs:[{REGS}+7*8]
    mov r9, gs:[{REGS}+8*8]
    mov r8, gs:[{REGS}+9*8]
    mov rax, gs:[{REGS}+10*8]
    mov rcx, gs:[{REGS}+11*8]
    mov rdx, gs:[{REGS}+12*8]
    mov rsi, gs:[{REGS}+13*8]
    mov rdi, gs:[{REGS}+14*8]
    mov rsp, gs:[{REGS}+19*8]
    jmp qword ptr gs:[{LEAVE_RIP}]
stub_leave_end:
2:
    mov rsp, gs:[{STACK_TOP}]
    mov rdi, gs:[{SELF}]
    call {fast_interrupted}
    jmp stub_leave

    // --- on to the trap: a thread that is to leave with a GS base of its own cannot leave by the way above ---
    .globl stub_regain
stub_regain:
    ud2

    // --- return from a signal handler; the same window, the same cure ---
    .globl stub_restorer
    .globl stub_sigreturn
    .globl stub_sigreturn_end
stub_restorer:
stub_sigreturn:
    mov rax, rsp
    and rax, -{SLOT_BYTES}
    cmp dword ptr [rax+{PENDING}], 0
    jne 3f
6:  mov eax, 15
    syscall
stub_sigreturn_end:
    ud2
3:
    // A frame that leads back into our own text holds none of the guest's registers; we look at PENDING later.
    cmp dword ptr [rsp+40+16*8+4], {STUB_HIGH}
    jne 7f
    cmp dword ptr [rsp+40+16*8], {STUB_TEXT_BYTES}
    jb 6b
7:
    mov rbp, rsp
    mov rdi, rax
    mov rsi, rsp
    and rsp, -16
    call {trap_interrupted}
    mov rsp, rbp
    jmp stub_sigreturn

    // --- copies that may fault. rdi to, rsi from, rdx length; rax = bytes not copied ---
    .globl stub_copy
    .globl stub_copy_end
    .globl stub_copy_fixup
stub_copy:
    mov rcx, rdx
    rep movsb
stub_copy_end:
stub_copy_fixup:
    mov rax, rcx
    ret

    // rdi to, rsi from, rdx most; rax = bytes up to and with the NUL, or 0 when none came or it faulted
    .globl stub_copy_string
    .globl stub_copy_string_end
    .globl stub_copy_string_fixup
stub_copy_string:
    xor ecx, ecx
4:  cmp rcx, rdx
    jae stub_copy_string_fixup
    mov al, [rsi+rcx]
    mov [rdi+rcx], al
    inc rcx
    test al, al
    jnz 4b
    mov rax, rcx
    ret
stub_copy_string_end:
stub_copy_string_fixup:
    xor eax, eax
    ret

    // rdi address of an aligned line, rsi old lo, rdx old hi, rcx new lo, r8 new hi; rax = 1 when exchanged
    .globl stub_patch
    .globl stub_patch_end
    .globl stub_patch_fixup
stub_patch:
    push rbx
    mov rax, rsi
    mov rbx, rcx
    mov rcx, r8
    lock cmpxchg16b [rdi]
    sete al
    movzx eax, al
    pop rbx
    ret
stub_patch_end:
stub_patch_fixup:
    pop rbx
    xor eax, eax
    ret

    // A host call that may sleep: rdi slot, rsi number, rdx six arguments; rax = result. An interrupt that lands before the
    // call is made, too late for the look at PENDING, is answered as one that lands in it.
    .globl stub_wait
    .globl stub_wait_look
    .globl stub_wait_end
    .globl stub_wait_interrupted
stub_wait:
    push r12
    mov r12, rdi
    mov rax, rsi
    mov rcx, rdx
    mov rdi, [rcx]
    mov rsi, [rcx+8]
    mov rdx, [rcx+16]
    mov r10, [rcx+24]
    mov r8, [rcx+32]
    mov r9, [rcx+40]
stub_wait_look:
    cmp dword ptr [r12+{PENDING}], 0
    jne stub_wait_interrupted
    syscall
stub_wait_end:
    pop r12
    ret
stub_wait_interrupted:
    mov rax, -4
    pop r12
    ret

    // clone(2): rdi flags, rsi child stack, rdx slot of the child, rcx child tid address
    .globl stub_clone
stub_clone:
    push r12
    mov r12, rdx
    xor edx, edx
    mov r10, rcx
    xor r8d, r8d
    mov eax, 56
    syscall
    test rax, rax
    jz 5f
    pop r12
    ret
5:
    xor ebp, ebp
    mov rdi, r12
    call {child}
    jmp stub_leave
"#,
    zygote = sym zygote,
    fast_entry = sym fast_entry,
    fast_interrupted = sym fast_interrupted,
    trap_interrupted = sym trap_interrupted,
    child = sym child,
    REGS = const REGS,
    NUMBER = const NUMBER,
    STACK_TOP = const STACK_TOP,
    SELF = const SELF,
    PENDING = const PENDING,
    LEAVE_RIP = const LEAVE_RIP,
    SLOT_BYTES = const SLOT_BYTES,
    STUB_HIGH = const STUB_TEXT >> 32,
    STUB_TEXT_BYTES = const STUB_TEXT_BYTES,
);

unsafe extern "C" {
    fn stub_leave();
    fn stub_leave_end();
    fn stub_regain();
    fn stub_sigreturn();
    fn stub_sigreturn_end();
    fn stub_restorer();
    fn stub_copy(to: u64, from: u64, length: u64) -> u64;
    fn stub_copy_end();
    fn stub_copy_fixup();
    fn stub_copy_string(to: u64, from: u64, most: u64) -> u64;
    fn stub_copy_string_end();
    fn stub_copy_string_fixup();
    fn stub_patch(line: u64, old_low: u64, old_high: u64, new_low: u64, new_high: u64) -> u64;
    fn stub_patch_end();
    fn stub_patch_fixup();
    fn stub_wait(slot: u64, number: u64, arguments: u64) -> i64;
    fn stub_wait_look();
    fn stub_wait_end();
    fn stub_wait_interrupted();
    fn stub_clone(flags: u64, stack: u64, slot: u64, tid: u64) -> i64;
}

#[inline(always)]
unsafe fn syscall(nr: u64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> i64 {
    let result: i64;
    unsafe {
        asm!("syscall", inlateout("rax") nr => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
            in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

// The slot is shared with the sentry: every access is volatile, so that each value is read once and in order.
#[inline(always)]
unsafe fn get32(slot: u64, at: u64) -> u32 {
    unsafe { ((slot + at) as *const u32).read_volatile() }
}
#[inline(always)]
unsafe fn put32(slot: u64, at: u64, value: u32) {
    unsafe { ((slot + at) as *mut u32).write_volatile(value) }
}
#[inline(always)]
unsafe fn get64(slot: u64, at: u64) -> u64 {
    unsafe { ((slot + at) as *const u64).read_volatile() }
}
#[inline(always)]
unsafe fn put64(slot: u64, at: u64, value: u64) {
    unsafe { ((slot + at) as *mut u64).write_volatile(value) }
}
#[inline(always)]
unsafe fn word<'a>(slot: u64, at: u64) -> &'a AtomicU32 {
    unsafe { &*((slot + at) as *const AtomicU32) }
}
#[inline(always)]
unsafe fn reg(slot: u64, index: u64) -> u64 {
    unsafe { get64(slot, REGS + index * 8) }
}
#[inline(always)]
unsafe fn put_reg(slot: u64, index: u64, value: u64) {
    unsafe { put64(slot, REGS + index * 8, value) }
}
#[inline(always)]
fn has_fsgsbase() -> bool {
    // SAFETY: the common page is mapped, read-only, before the first of our code runs.
    unsafe { get32(COMMON, COMMON_FLAGS) & COMMON_HAS_FSGSBASE != 0 }
}

// ---------------------------------------------------------------------------------------------------------------------
// Events and commands

/// Posts `event` and serves commands until the sentry lets the guest go on. Of a system call, its `number` and what else
/// CALL has to say of it.
#[inline(always)]
unsafe fn report(slot: u64, event: u32, entry: u32, number: u64, more: u32) {
    unsafe {
        put32(slot, PENDING, 0);
        put32(slot, ENTRY, entry);
        // The line of the call is written in one go, last of all: the sentry is looking at it.
        let mut n = 0;
        while n < 6 {
            put64(slot, ARGUMENTS + n as u64 * 8, argument(slot, n));
            n += 1;
        }
        put64(slot, RESULT, reg(slot, RAX));
        put32(slot, CALL, call_word(event, entry, number) | more);
        serve_all(slot);
    }
}

/// CALL without what else there is to say. A number that has no place in it is looked up in NUMBER.
#[inline(always)]
fn call_word(event: u32, entry: u32, number: u64) -> u32 {
    let short = if number < CALL_NUMBER as u64 { number as u32 } else { CALL_NUMBER };
    short | event << CALL_EVENT_SHIFT | entry << CALL_ENTRY_SHIFT
}

unsafe fn serve_all(slot: u64) {
    unsafe {
        loop {
            let before = word(slot, STATE).swap(STATE_EVENT, SeqCst);
            if before == STATE_RUN_SENTRY_ASLEEP {
                let one: u64 = 1;
                syscall(1, 1, &one as *const u64 as u64, 8, 0, 0, 0);
            }
            wait_run(slot);
            if serve(slot) {
                break;
            }
        }
        leave(slot, get64(slot, RESULT));
    }
}

/// Waits until the sentry sets STATE to a running value.
#[inline(always)]
unsafe fn wait_run(slot: u64) {
    unsafe {
        let state = word(slot, STATE);
        let mut spins = get32(slot, SPIN);
        if spins > 0 {
            // No answer comes sooner, and a look before it takes the line away from the sentry.
            let mut n = 0;
            while n < 4 {
                asm!("pause", options(nomem, nostack));
                n += 1;
            }
        }
        loop {
            let now = state.load(SeqCst);
            if now == STATE_RUN || now == STATE_RUN_SENTRY_ASLEEP {
                return;
            }
            if now == STATE_EVENT && spins > 0 {
                spins -= 1;
                asm!("pause", options(nomem, nostack));
                continue;
            }
            if now == STATE_EVENT && state.compare_exchange(STATE_EVENT, STATE_EVENT_ASLEEP, SeqCst, SeqCst).is_err() {
                continue;
            }
            let expected = if now == STATE_PARK { STATE_PARK } else { STATE_EVENT_ASLEEP };
            syscall(202, slot + STATE, 0, expected as u64, 0, 0, 0);
        }
    }
}

/// Runs the commands in the slot. True when the guest may go on, false when the result must be reported first.
#[inline(always)]
unsafe fn serve(slot: u64) -> bool {
    unsafe {
        let count = get32(slot, COMMANDS_COUNT);
        if count == 0 {
            return true;
        }
        put32(slot, COMMANDS_COUNT, 0);
        let mut failed = u32::MAX;
        let mut index = 0;
        while index < count && (index as u64) < COMMANDS_MAX {
            let at = COMMANDS + index as u64 * COMMAND_BYTES;
            if get32(slot, at) == OP_WAIT {
                return wait_for_host(slot, at);
            }
            let must_succeed = get32(slot, at + 4) != 0;
            let result = execute(slot, at);
            put64(slot, at + 8, result as u64);
            if must_succeed && result < 0 && result > -4096 {
                failed = index;
                break;
            }
            index += 1;
        }
        put32(slot, FAILED, failed);
        if failed == u32::MAX && get32(slot, THEN) == THEN_RESUME {
            return true;
        }
        put32(slot, CALL, EVENT_COMMANDS_DONE << CALL_EVENT_SHIFT);
        false
    }
}

/// Command OP_WAIT. False when an interrupt has ended it, which is then posted as the guest's call.
#[inline(never)]
unsafe fn wait_for_host(slot: u64, at: u64) -> bool {
    unsafe {
        let result = waited(slot, get64(slot, at + 8), slot + at + 16);
        if result == INTERRUPTED {
            post_again(slot);
            return false;
        }
        put64(slot, RESULT, result as u64);
        true
    }
}

/// What waited() gives back when the sentry wants the thread. No result of a call.
const INTERRUPTED: i64 = i64::MIN;

#[inline(always)]
unsafe fn waited(slot: u64, number: u64, arguments: u64) -> i64 {
    unsafe {
        put32(slot, WAITING, 1);
        let result = stub_wait(slot, number, arguments);
        put32(slot, WAITING, 0);
        if result == -4 { INTERRUPTED } else { result }
    }
}

/// Fills in the word of the guest's call anew.
unsafe fn post_again(slot: u64) {
    unsafe {
        put32(slot, PENDING, 0);
        put32(slot, CALL, call_word(EVENT_SYSCALL, get32(slot, ENTRY), get64(slot, NUMBER)) | CALL_BACK);
    }
}

/// Whether the call in the registers is one of futex(2) on the guest's own memory that the host may carry out as it is.
#[inline(always)]
unsafe fn is_host_futex(slot: u64) -> bool {
    unsafe {
        let operation = reg(slot, RSI) as u32;
        let is_simple = operation == FUTEX_WAKE_PRIVATE
            || operation == FUTEX_WAIT_BITSET_PRIVATE
            || operation == FUTEX_WAIT_PRIVATE && reg(slot, R10) == 0
            || operation == FUTEX_WAIT_BITSET_PRIVATE_REALTIME
            || operation == FUTEX_WAKE_BITSET_PRIVATE;
        if !is_simple || reg(slot, RDI) >= STUB_TEXT || reg(slot, R10) >= STUB_TEXT {
            return false;
        }
        // The guest's store to the word comes before our look: the sentry clears HOST_FUTEX, then reads the word.
        asm!("mfence", options(nostack, preserves_flags));
        get32(slot, HOST_FUTEX) != 0
    }
}

/// Carries out such a call. False when an interrupt has ended it.
#[inline(never)]
unsafe fn host_futex(slot: u64) -> bool {
    unsafe {
        let arguments =
            [reg(slot, RDI), reg(slot, RSI), reg(slot, RDX), reg(slot, R10), reg(slot, R8), reg(slot, R9)];
        let result = waited(slot, SYS_FUTEX, arguments.as_ptr() as u64);
        if result == INTERRUPTED {
            return false;
        }
        leave(slot, result as u64);
        true
    }
}

const SYS_CLONE: u64 = 56;
const SYS_CLONE3: u64 = 435;
const SYS_FUTEX: u64 = 202;
const SYS_RSEQ: u64 = 334;
const RSEQ_FLAG_UNREGISTER: u64 = 1;
const FUTEX_WAIT_PRIVATE: u32 = 128;
const FUTEX_WAKE_PRIVATE: u32 = 129;
const FUTEX_WAIT_BITSET_PRIVATE: u32 = 137;
const FUTEX_WAKE_BITSET_PRIVATE: u32 = 138;
const FUTEX_WAIT_BITSET_PRIVATE_REALTIME: u32 = 137 | 256;

#[inline(never)]
unsafe fn execute(slot: u64, at: u64) -> i64 {
    unsafe {
        let arg = |n: u64| get64(slot, at + 16 + n * 8);
        let op = get32(slot, at);
        if op == OP_SYSCALL {
            // The number travels in the result field, so that six arguments fit.
            return syscall(get64(slot, at + 8), arg(0), arg(1), arg(2), arg(3), arg(4), arg(5));
        }
        if op == OP_RECEIVE_FDS {
            return receive_fds();
        }
        if op == OP_FORK || op == OP_CLONE {
            // FPU registers must be the guest's for the child to inherit them; in a signal handler they are not.
            if get32(slot, ENTRY) == ENTRY_TRAP {
                restore_frame_fpu(slot);
            }
            let child = arg(1);
            return stub_clone(arg(0), child + STACK_END, child, child + TID);
        }
        if op == OP_COPY {
            return -(stub_copy(arg(0), arg(1), arg(2)) as i64);
        }
        if op == OP_XSAVE {
            xsave(slot);
            return 0;
        }
        if op == OP_XRSTOR {
            xrstor(arg(0));
            return 0;
        }
        if op == OP_LEAVE {
            return leave_memory(arg(0), arg(1), arg(2), arg(3), arg(4));
        }
        if op == OP_PATCH {
            return stub_patch(arg(0), arg(1), arg(2), arg(3), arg(4)) as i64;
        }
        if op == OP_BEGIN {
            let result = set_signal_stack(slot);
            word(slot, READY).swap(1, SeqCst);
            return result;
        }
        if op == OP_EXIT {
            syscall(60, 0, 0, 0, 0, 0, 0);
        }
        -38
    }
}

/// Command OP_LEAVE. The head (struct robust_list_head) is empty where it leads back to itself and names no lock that was
/// about to be taken; bit 0 of that name marks a PI lock.
#[inline(never)]
unsafe fn leave_memory(area: u64, length: u64, signature: u64, head: u64, word: u64) -> i64 {
    unsafe {
        if head != 0 {
            let mut list: [u64; 3] = [0; 3];
            let is_readable = stub_copy(list.as_mut_ptr() as u64, head, 24) == 0;
            if is_readable && (list[0] & !1 != head || list[2] & !1 != 0) {
                return -16;
            }
        }
        if area != 0 {
            syscall(SYS_RSEQ, area, length, RSEQ_FLAG_UNREGISTER, signature, 0, 0);
        }
        let zero: u64 = 0;
        if stub_copy(word, &zero as *const u64 as u64, 4) == 0 { 0 } else { -14 }
    }
}

/// Saves the FPU into the slot.
unsafe fn xsave(slot: u64) {
    unsafe {
        let mut n = 0;
        while n < 64 {
            put64(slot, FPU + 512 + n, 0);
            n += 8;
        }
        asm!("xsave64 [{}]", in(reg) slot + FPU, in("eax") get32(COMMON, COMMON_XSAVE_MASK), in("edx") 0);
        // x87 and SSE are written even in their initial state: a signal handler may look at them and change them.
        put64(slot, FPU + 512, get64(slot, FPU + 512) | 3);
    }
}

unsafe fn xrstor(area: u64) {
    unsafe {
        asm!("xrstor64 [{}]", in(reg) area, in("eax") get32(COMMON, COMMON_XSAVE_MASK), in("edx") 0);
    }
}

/// Loads the FPU state that the host saved in the signal frame (ucontext.uc_mcontext.fpstate).
unsafe fn restore_frame_fpu(slot: u64) {
    unsafe {
        let frame = get64(slot, FRAME);
        if frame != 0 {
            let area = get64(frame, 40 + 23 * 8);
            if area != 0 {
                xrstor(area);
            }
        }
    }
}

/// Receives the descriptors the sentry has sent; they take the lowest free numbers. Gives back how many bytes came.
unsafe fn receive_fds() -> i64 {
    unsafe {
        let mut byte: u64 = 0;
        let mut control: [u64; 8] = [0; 8];
        let mut iovec: [u64; 2] = [&mut byte as *mut u64 as u64, 1];
        let mut message: [u64; 7] = [0, 0, iovec.as_mut_ptr() as u64, 1, control.as_mut_ptr() as u64, 64, 0];
        syscall(47, 0, message.as_mut_ptr() as u64, 0, 0, 0, 0)
    }
}

/// Last steps before the guest goes on with `result` in RAX: copies results out, sets FS, works out where to continue.
#[inline(always)]
unsafe fn leave(slot: u64, result: u64) {
    unsafe {
        let count = get32(slot, OUT_COUNT);
        let is_bad = count != 0 && !copy_out(slot, count);
        if get32(slot, FLAGS) & FLAG_FS_DIRTY != 0 {
            put32(slot, FLAGS, get32(slot, FLAGS) & FLAG_GS);
            set_fs(reg(slot, FS_BASE));
        }
        put_reg(slot, RAX, if is_bad { -14i64 as u64 } else { result });
        // Single-stepping would trap in here, and the guest must not switch it on by a crafted frame.
        put_reg(slot, EFLAGS, (reg(slot, EFLAGS) & 0x0024_0cd5) | 0x202);
    }
}

/// False when an address was bad.
unsafe fn copy_out(slot: u64, count: u32) -> bool {
    unsafe {
        put32(slot, OUT_COUNT, 0);
        let mut is_whole = true;
        let mut index = 0;
        while index < count as u64 && index < OUT_MAX {
            let at = OUT_ENTRIES + index * 16;
            let length = get32(slot, at + 8) as u64;
            let offset = get32(slot, at + 12) as u64;
            if stub_copy(get64(slot, at), slot + offset, length) != 0 {
                is_whole = false;
            }
            index += 1;
        }
        is_whole
    }
}

unsafe fn set_fs(base: u64) {
    unsafe {
        if has_fsgsbase() {
            asm!("wrfsbase {}", in(reg) base, options(nomem, nostack));
        } else {
            syscall(158, 0x1002, base, 0, 0, 0, 0);
        }
    }
}

#[inline(always)]
unsafe fn note_fs(slot: u64) {
    unsafe {
        if has_fsgsbase() {
            let base: u64;
            asm!("rdfsbase {}", out(reg) base, options(nomem, nostack));
            put_reg(slot, FS_BASE, base);
        }
    }
}

/// At a trap: notes a GS base that is not ours. It stays loaded, as nothing but the patched way looks at GS.
#[inline(always)]
unsafe fn note_gs(slot: u64) {
    unsafe {
        if has_fsgsbase() {
            let base: u64;
            asm!("rdgsbase {}", out(reg) base, options(nomem, nostack));
            if base != slot {
                put_reg(slot, GS_BASE, base);
                put32(slot, FLAGS, get32(slot, FLAGS) | FLAG_GS);
            }
        }
    }
}

/// Before the return from a trap: loads the guest's GS base where it has one.
#[inline(always)]
unsafe fn give_gs(slot: u64) {
    unsafe {
        if get32(slot, FLAGS) & FLAG_GS != 0 {
            let base = reg(slot, GS_BASE);
            if has_fsgsbase() {
                asm!("wrgsbase {}", in(reg) base, options(nomem, nostack));
            } else {
                syscall(158, 0x1001, base, 0, 0, 0, 0);
            }
        }
    }
}

/// On the way out of a patched call, or of a new thread: leaves by a trap where the guest has a GS base of its own.
#[inline(always)]
unsafe fn regain_if_gs(slot: u64) {
    unsafe {
        if get32(slot, FLAGS) & FLAG_GS != 0 {
            asm!("jmp stub_regain", options(noreturn));
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Ways in

unsafe extern "C" fn fast_entry(slot: u64) {
    unsafe {
        let number = get64(slot, NUMBER);
        let mut back = 0;
        if number == SYS_FUTEX && is_host_futex(slot) {
            if host_futex(slot) {
                return;
            }
            back = CALL_BACK;
        }
        // What the child begins with, where the sentry has a host thread for it already.
        if number == SYS_CLONE || number == SYS_CLONE3 {
            xsave(slot);
        }
        note_fs(slot);
        let copied = marshal(slot, number);
        report(slot, EVENT_SYSCALL, ENTRY_CALL, number, copied << CALL_IN_SHIFT | back);
        regain_if_gs(slot);
    }
}

/// An interrupt came while we were on our way out of a patched call: report before the guest runs.
unsafe extern "C" fn fast_interrupted(slot: u64) {
    unsafe {
        report(slot, EVENT_INTERRUPTED, ENTRY_CALL, 0, 0);
        regain_if_gs(slot);
    }
}

unsafe extern "C" fn trap_interrupted(slot: u64, context: u64) {
    unsafe {
        let registers = context + 40;
        take_registers(slot, registers);
        put64(slot, FRAME, context);
        report(slot, EVENT_INTERRUPTED, ENTRY_TRAP, 0, 0);
        give_registers(slot, registers);
        give_gs(slot);
    }
}

unsafe fn take_registers(slot: u64, registers: u64) {
    unsafe {
        let mut n = 0;
        while n < 18 {
            put_reg(slot, GREGS[n] as u64, get64(registers, n as u64 * 8));
            n += 1;
        }
        put64(slot, LEAVE_RIP, reg(slot, RIP));
        note_fs(slot);
    }
}

unsafe fn give_registers(slot: u64, registers: u64) {
    unsafe {
        let mut n = 0;
        while n < 18 {
            put64(registers, n as u64 * 8, reg(slot, GREGS[n] as u64));
            n += 1;
        }
        put64(registers, G_RIP as u64 * 8, get64(slot, LEAVE_RIP));
    }
}

#[inline(always)]
fn lies(rip: u64, from: unsafe extern "C" fn(), to: unsafe extern "C" fn()) -> bool {
    rip >= from as u64 && rip < to as u64
}

/// The one handler for SIGSYS, the CPU's faults and the sentry's interrupt. Runs on the slot's signal stack.
unsafe extern "C" fn on_signal(signal: i32, info: u64, context: u64) {
    unsafe {
        let slot = context & !(SLOT_BYTES - 1);
        let registers = context + 40;
        let rip = get64(registers, G_RIP as u64 * 8);
        let in_stub = rip >= STUB_TEXT && rip < STUB_TEXT + STUB_TEXT_BYTES;
        if signal == INTERRUPT_SIGNAL {
            if in_stub {
                put32(slot, PENDING, 1);
                if lies(rip, stub_leave, stub_leave_end) {
                    put64(registers, G_RIP as u64 * 8, stub_leave as *const () as u64);
                } else if lies(rip, stub_sigreturn, stub_sigreturn_end) {
                    put64(registers, G_RIP as u64 * 8, stub_sigreturn as *const () as u64);
                } else if lies(rip, stub_wait_look, stub_wait_end) {
                    put64(registers, G_RIP as u64 * 8, stub_wait_interrupted as *const () as u64);
                }
                return;
            }
        } else if in_stub && fix_copy(registers, rip) {
            return;
        }
        if signal == 4 && rip == stub_regain as *const () as u64 {
            give_registers(slot, registers);
            give_gs(slot);
            return;
        }
        note_gs(slot);
        take_registers(slot, registers);
        put64(slot, FRAME, context);
        let mut event = EVENT_INTERRUPTED;
        let mut number = 0;
        let mut copied = 0;
        if signal == 31 {
            event = EVENT_SYSCALL;
            // By the 32-bit gate (si_arch) come numbers of another table: they match no call.
            number = if get32(info, 28) == 0xc000_003e { get64(registers, G_RAX as u64 * 8) } else { u64::MAX };
            put64(slot, NUMBER, number);
            // Code around the site, for the sentry to decide on a patch. A fault leaves zeros, which match nothing.
            put64(slot, CODE, 0);
            put64(slot, CODE + 8, 0);
            put64(slot, CODE + 16, 0);
            if rip < STUB_TEXT && rip > 8 {
                stub_copy(slot + CODE, rip - 8, 24);
            }
            copied = marshal(slot, number);
        } else if signal != INTERRUPT_SIGNAL {
            event = EVENT_FAULT;
            put32(slot, SIGNAL, signal as u32);
            put32(slot, SIGNAL_CODE, get32(info, 8));
            put64(slot, FAULT_ADDRESS, get64(info, 16));
            put32(slot, TRAP, get64(registers, G_TRAPNO as u64 * 8) as u32);
            put32(slot, TRAP_ERROR, get64(registers, G_ERR as u64 * 8) as u32);
        }
        report(slot, event, ENTRY_TRAP, number, copied << CALL_IN_SHIFT);
        give_registers(slot, registers);
        give_gs(slot);
    }
}

/// A fault in one of our copies is the guest's bad pointer: continue at the copy's fixup.
unsafe fn fix_copy(registers: u64, rip: u64) -> bool {
    let target = if rip >= stub_copy as *const () as u64 && rip < stub_copy_end as *const () as u64 {
        stub_copy_fixup as *const () as u64
    } else if rip >= stub_copy_string as *const () as u64 && rip < stub_copy_string_end as *const () as u64 {
        stub_copy_string_fixup as *const () as u64
    } else if rip >= stub_patch as *const () as u64 && rip < stub_patch_end as *const () as u64 {
        stub_patch_fixup as *const () as u64
    } else {
        return false;
    };
    unsafe { put64(registers, G_RIP as u64 * 8, target) };
    true
}

// ---------------------------------------------------------------------------------------------------------------------
// Beginnings

/// First code of a new thread or a forked process, on its own slot's stack. Returns into stub_leave.
unsafe extern "C" fn child(slot: u64) {
    unsafe {
        set_gs(slot);
        // The sentry has filled the slot as if we had reported: wait to be resumed, then leave. The first commands are what a
        // new thread or process begins with; it makes no host call before.
        loop {
            wait_run(slot);
            if serve(slot) {
                break;
            }
            let before = word(slot, STATE).swap(STATE_EVENT, SeqCst);
            if before == STATE_RUN_SENTRY_ASLEEP {
                let one: u64 = 1;
                syscall(1, 1, &one as *const u64 as u64, 8, 0, 0, 0);
            }
        }
        leave(slot, get64(slot, RESULT));
        regain_if_gs(slot);
    }
}

unsafe fn set_gs(slot: u64) {
    unsafe {
        put64(slot, SELF, slot);
        put64(slot, STACK_TOP, slot + STACK_END);
        if has_fsgsbase() {
            asm!("wrgsbase {}", in(reg) slot, options(nomem, nostack));
        } else {
            syscall(158, 0x1001, slot, 0, 0, 0, 0);
        }
    }
}

unsafe fn set_signal_stack(slot: u64) -> i64 {
    unsafe {
        let stack: [u64; 3] = [slot + SIGNAL_STACK, 0, SIGNAL_STACK_BYTES];
        syscall(131, stack.as_ptr() as u64, 0, 0, 0, 0, 0)
    }
}

/// Start of the first stub, from which all others are forked. Descriptors: 0 socket, 1 doorbell, 2 arena, 3 common page.
/// The slot's memory before this point holds nothing; failures end the process, which the sentry sees.
unsafe extern "C" fn zygote(stack: u64) -> ! {
    unsafe {
        let slot = ARENAS;
        let vdso = auxiliary(stack, 33);
        must(syscall(9, COMMON, COMMON_BYTES, 1, 0x11, 3, 0), 90);
        must(syscall(9, ARENAS, ARENA_BYTES, 3, 0x11, 2, 0), 91);
        must(syscall(28, ARENAS, ARENA_BYTES, 10, 0, 0, 0), 94);
        syscall(3, 2, 0, 0, 0, 0, 0);
        syscall(3, 3, 0, 0, 0, 0, 0);
        set_gs(slot);
        set_signal_stack(slot);
        for signal in [4u64, 5, 7, 8, 11, 31, INTERRUPT_SIGNAL as u64] {
            // SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESTORER: a trap may come while we handle another, and an
            // interrupt that comes while a call asks the sentry does not end it.
            let action: [u64; 4] =
                [on_signal as *const () as u64, 0x5c00_0004, stub_restorer as *const () as u64, 0];
            must(syscall(13, signal, action.as_ptr() as u64, 0, 8, 0, 0), 95);
        }
        must(syscall(157, 38, 1, 0, 0, 0, 0), 96);
        must(syscall(157, 1, 9, 0, 0, 0, 0), 97);
        put64(slot, VDSO, vdso);
        put32(slot, SPIN, 0);
        let program: [u64; 2] = [get32(COMMON, COMMON_FILTER_LENGTH) as u64, COMMON + COMMON_FILTER];
        // SECCOMP_FILTER_FLAG_NEW_LISTENER, and once the sentry has a question nothing but SIGKILL ends the wait.
        let flags = if get32(COMMON, COMMON_FLAGS) & COMMON_ASKS != 0 { 8 | 32 } else { 0 };
        let listener = syscall(317, 1, flags, program.as_ptr() as u64, 0, 0, 0);
        must(listener, 98);
        // The sentry takes the listener from here and has us close it.
        put_reg(slot, RAX, listener as u64);
        loop {
            report(slot, EVENT_COMMANDS_DONE, ENTRY_CALL, 0, 0);
        }
    }
}

unsafe fn auxiliary(stack: u64, key: u64) -> u64 {
    unsafe {
        let mut at = 8 + get64(stack, 0) * 8 + 8; // past argc, argv and its null
        while get64(stack, at) != 0 {
            at += 8; // past the environment
        }
        at += 8;
        while get64(stack, at) != 0 {
            if get64(stack, at) == key {
                return get64(stack, at + 8);
            }
            at += 16;
        }
        0
    }
}

unsafe fn must(result: i64, code: u64) {
    if result < 0 && result > -4096 {
        unsafe { syscall(231, code, 0, 0, 0, 0, 0) };
    }
}

// The compiler may ask for these; they must not use SSE either.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, length: usize) -> *mut u8 {
    unsafe { asm!("rep stosb", inout("rdi") to => _, in("al") value as u8, inout("rcx") length => _, options(nostack)) };
    to
}
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the compiler calls this with ranges that are its own to copy.
    unsafe { asm!("rep movsb", inout("rdi") to => _, inout("rsi") from => _, inout("rcx") length => _, options(nostack)) };
    to
}
