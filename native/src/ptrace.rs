//! The sentry's end of the ptrace platform: PTRACE_SYSEMU on stub processes, system calls injected into stopped stubs,
//! and one wait for their stops together with host descriptors. The wait and the first stub are host_loop.rs and stub_process.rs.
//! Results are >= 0 or -errno. Tracees belong to the one thread that calls in here.

use crate::errno::errno;
use core::ffi::c_void;
use std::ptr::null_mut;

const PTRACE_SEIZE: u32 = 0x4206;
const PTRACE_INTERRUPT: u32 = 0x4207;
const PTRACE_GETREGSET: u32 = 0x4204;
const PTRACE_SETREGSET: u32 = 0x4205;
const PTRACE_SYSEMU: u32 = 31;
const OPTIONS: usize = 1 /* TRACESYSGOOD */ | 8 /* TRACECLONE */ | 2 /* TRACEFORK */ | 0x10_0000 /* EXITKILL */;
const PTRACE_GET_SYSCALL_INFO: u32 = 0x420e;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const NT_X86_XSTATE: usize = 0x202;
const ORIG_RAX: usize = 15;
const RIP: usize = 16;
const RSP: usize = 19;
/// Of a `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

// What tsv_ptrace_next reports in `out`: pid, kind, then the siginfo's fields.
const KIND_SYSCALL: i32 = 1;
const KIND_SIGNAL: i32 = 2;
const KIND_EXIT: i32 = 3;

unsafe fn ptrace(request: u32, pid: i32, address: usize, data: usize) -> i64 {
    unsafe { libc::syscall(libc::SYS_ptrace, request as i64, pid, address, data) }
}

extern "C" fn on_child(_: i32) {
    let one = 1u64;
    // SAFETY: write(2) is async-signal-safe; the doorbell is a non-blocking eventfd that lives as long as the process.
    unsafe { libc::write(crate::host_loop::host_loop().doorbell, &one as *const u64 as *const c_void, 8) };
}

/// Takes over the first stub `pid`, which waits in its own text: seizes and stops it, and has SIGCHLD ring the doorbell.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_start(pid: i32) -> i32 {
    // SAFETY: installs a handler that only writes; ptrace passes no memory.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_child as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        if libc::sigaction(libc::SIGCHLD, &action, null_mut()) < 0 {
            return errno();
        }
        if ptrace(PTRACE_SEIZE, pid, 0, OPTIONS) < 0 {
            return errno();
        }
        if ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 {
            return errno();
        }
        let mut status = 0;
        if libc::waitpid(pid, &mut status, libc::__WALL) != pid { errno() } else { 0 }
    }
}

/// Takes the SIGCHLD handler away again: the library may be unloaded after this.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_stop() -> i32 {
    // SAFETY: restores the default action.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    0
}

/// PTRACE_GETREGS into 27 x u64, or SETREGS from there.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_registers(pid: i32, direction: u32, registers: *mut u64) -> i32 {
    let request = if direction == 0 { libc::PTRACE_GETREGS } else { libc::PTRACE_SETREGS };
    // SAFETY: `registers` holds a user_regs_struct (contract of bindings).
    if unsafe { ptrace(request as u32, pid, 0, registers as usize) } < 0 { errno() } else { 0 }
}

/// XSAVE area of `pid`: direction 0 reads up to `length` bytes into `area` and gives back how many, 1 writes `length`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_fpu(pid: i32, direction: u32, area: *mut u8, length: u32) -> i32 {
    let mut vector = libc::iovec { iov_base: area as *mut c_void, iov_len: length as usize };
    let request = if direction == 0 { PTRACE_GETREGSET } else { PTRACE_SETREGSET };
    // SAFETY: `area` holds `length` bytes (contract of bindings).
    if unsafe { ptrace(request, pid, NT_X86_XSTATE, &mut vector as *mut _ as usize) } < 0 {
        return errno();
    }
    vector.iov_len as i32
}

/// Lets a stopped `pid` run guest code until its next call or signal.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_resume(pid: i32) -> i32 {
    // SAFETY: passes no memory.
    if unsafe { ptrace(PTRACE_SYSEMU, pid, 0, 0) } < 0 { errno() } else { 0 }
}

/// Threads whose end a call made in them has met: it is reported by the next tsv_ptrace_next, as they are reaped already.
static mut ENDED: Vec<i32> = Vec::new();

/// Signals that the CPU raises (SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV), and for which stubs have a handler.
const FAULTS: [i32; 5] = [libc::SIGILL, libc::SIGTRAP, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV];
/// Places in the kernel's struct rt_sigframe of x86-64: the error code and the trap number of its struct sigcontext.
const FRAME_ERROR: usize = 200;
const FRAME_TRAP: usize = 208;
const FPU_BYTES_MAX: usize = 16 * 1024;

/// Trap number and error code of the fault that has stopped `pid` with `signal`. The host shows them (thread.trap_nr,
/// thread.error_code) in signal frames only, so it writes one: the thread is let into its stub's handler for no instruction,
/// on the signal stack that the platform has given it, and gets its registers back. None where it has ended meanwhile.
unsafe fn trap_of(pid: i32, signal: i32) -> Option<(i32, i32)> {
    static mut FPU: [u8; FPU_BYTES_MAX] = [0; FPU_BYTES_MAX];
    // SAFETY: all arrays hold what the requests write; FPU is used by the one thread that calls in here.
    unsafe {
        let mut user = [0u64; 27];
        let mut fpu = libc::iovec { iov_base: &raw mut FPU as *mut c_void, iov_len: FPU_BYTES_MAX };
        let fpu_at = &mut fpu as *mut _ as usize;
        if ptrace(libc::PTRACE_GETREGS as u32, pid, 0, user.as_mut_ptr() as usize) < 0
            || ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, fpu_at) < 0
            || ptrace(libc::PTRACE_SINGLESTEP as u32, pid, 0, signal as usize) < 0
        {
            return None;
        }
        let mut status = 0;
        if libc::waitpid(pid, &mut status, libc::__WALL) != pid || !libc::WIFSTOPPED(status) {
            return None;
        }
        let mut inside = [0u64; 27];
        ptrace(libc::PTRACE_GETREGS as u32, pid, 0, inside.as_mut_ptr() as usize);
        let frame = inside[RSP] as usize;
        let (mut error, mut trap) = (0u64, 0u64);
        // The system call, not glibc's function, stores the word where `data` points to.
        ptrace(libc::PTRACE_PEEKDATA as u32, pid, frame + FRAME_ERROR, &raw mut error as usize);
        ptrace(libc::PTRACE_PEEKDATA as u32, pid, frame + FRAME_TRAP, &raw mut trap as usize);
        ptrace(libc::PTRACE_SETREGS as u32, pid, 0, user.as_ptr() as usize);
        ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, fpu_at);
        Some((trap as i32, error as i32))
    }
}

/// The next stop of any stub into `out` (9 x i32: pid, kind, signal, code, address low, high, call number of a SIGSYS; of a
/// call whether it came by the 32-bit gate; of a fault trap number and error code).
/// 1 when there was one, 0 when not.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_next(out: *mut i32) -> i32 {
    // SAFETY: `out` holds 9 i32; siginfo is read through its documented layout.
    unsafe {
        let out = std::slice::from_raw_parts_mut(out, 9);
        if let Some(pid) = (*(&raw mut ENDED)).pop() {
            out.fill(0);
            out[0] = pid;
            out[1] = KIND_EXIT;
            return 1;
        }
        loop {
            let mut status = 0;
            let pid = libc::waitpid(-1, &mut status, libc::__WALL | libc::WNOHANG);
            if pid <= 0 {
                return 0;
            }
            out.fill(0);
            out[0] = pid;
            if !libc::WIFSTOPPED(status) {
                out[1] = KIND_EXIT;
                return 1;
            }
            let signal = libc::WSTOPSIG(status);
            if signal == libc::SIGTRAP | 0x80 {
                out[1] = KIND_SYSCALL;
                let mut info = [0u32; 22];
                let got = ptrace(PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), info.as_mut_ptr() as usize);
                out[6] = (got > 0 && info[1] != AUDIT_ARCH_X86_64) as i32;
                return 1;
            }
            if status >> 16 != 0 {
                // A stop of ptrace's own (group stop, a child's first stop that nobody waited for): go on.
                ptrace(PTRACE_SYSEMU, pid, 0, 0);
                continue;
            }
            let mut info: libc::siginfo_t = std::mem::zeroed();
            ptrace(libc::PTRACE_GETSIGINFO as u32, pid, 0, &mut info as *mut _ as usize);
            let address = info.si_addr() as u64;
            out[1] = KIND_SIGNAL;
            out[2] = signal;
            out[3] = info.si_code;
            out[4] = address as u32 as i32;
            out[5] = (address >> 32) as i32;
            out[6] = *(&info as *const _ as *const i32).add(6);
            // A code above 0 is the kernel's own: nobody has sent it.
            if FAULTS.contains(&signal) && info.si_code > 0 {
                let Some((trap, error)) = trap_of(pid, signal) else {
                    out[1] = KIND_EXIT;
                    return 1;
                };
                out[7] = trap;
                out[8] = error;
            }
            return 1;
        }
    }
}

/// Makes a stopped `pid` execute `syscall` at `instruction` with `arguments` (7 x u64: number, six arguments) and stop
/// again; the result is left in arguments[0]. `registers` are those of its last stop and are not restored here. A clone
/// leaves the child's pid, stopped, as result.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_inject(pid: i32, registers: *const u64, instruction: *const u64, arguments: *mut u64) -> i32 {
    // SAFETY: the arrays hold 27, 1 and 7 u64 (contract of bindings).
    unsafe {
        let mut user: [u64; 27] = *(registers as *const [u64; 27]);
        let arguments = std::slice::from_raw_parts_mut(arguments, 7);
        let is_clone = arguments[0] == libc::SYS_clone as u64;
        user[10] = arguments[0];
        for (register, n) in [(14, 1), (13, 2), (12, 3), (7, 4), (9, 5), (8, 6)] {
            user[register] = arguments[n];
        }
        user[ORIG_RAX] = u64::MAX;
        user[RIP] = *instruction;
        user[18] &= !0x100;
        if ptrace(libc::PTRACE_SETREGS as u32, pid, 0, user.as_ptr() as usize) < 0 {
            return errno();
        }
        let mut child = 0u64;
        loop {
            // One stop for one call: behind the `syscall` stands ud2. A step would stop twice where the thread is in a
            // SYSEMU stop, as the first one only ends the call that was emulated.
            if ptrace(libc::PTRACE_CONT as u32, pid, 0, 0) < 0 {
                return errno();
            }
            let mut status = 0;
            if libc::waitpid(pid, &mut status, libc::__WALL) != pid {
                return -libc::ESRCH;
            }
            if !libc::WIFSTOPPED(status) {
                (*(&raw mut ENDED)).push(pid);
                return -libc::ESRCH;
            }
            if status >> 16 == 1 || status >> 16 == 3 {
                ptrace(libc::PTRACE_GETEVENTMSG as u32, pid, 0, &mut child as *mut u64 as usize);
                let mut child_status = 0;
                libc::waitpid(child as i32, &mut child_status, libc::__WALL);
                continue;
            }
            let signal = libc::WSTOPSIG(status);
            if signal == libc::SIGILL {
                if ptrace(libc::PTRACE_GETREGS as u32, pid, 0, user.as_mut_ptr() as usize) < 0 {
                    return errno();
                }
                if user[RIP] == *instruction + SYSCALL_BYTES {
                    break;
                }
                return -libc::EFAULT;
            }
            if signal == crate::slot::INTERRUPT_SIGNAL || signal == libc::SIGSTOP {
                continue; // not now: the thread is stopped for us anyway
            }
            return -libc::EFAULT;
        }
        arguments[0] = if is_clone && child != 0 { child } else { user[10] };
        0
    }
}

/// Ends thread `tid` (stopped) with exit(2), without waiting; tsv_ptrace_next reaps it.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_ptrace_end(tid: i32, registers: *mut u64, instruction: *const u64) -> i32 {
    // SAFETY: as above.
    unsafe {
        let user = std::slice::from_raw_parts_mut(registers, 27);
        user[10] = libc::SYS_exit as u64;
        user[14] = 0;
        user[ORIG_RAX] = u64::MAX;
        user[RIP] = *instruction;
        if ptrace(libc::PTRACE_SETREGS as u32, tid, 0, user.as_ptr() as usize) < 0 {
            return errno();
        }
        if ptrace(libc::PTRACE_CONT as u32, tid, 0, 0) < 0 { errno() } else { 0 }
    }
}
