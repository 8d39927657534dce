//! Stub processes from outside, whichever platform makes them: their memory, CPU time and limits, and how they are interrupted,
//! halted, ended and reaped. Results are >= 0 or -errno. Pids are those of living or unreaped children of ours.

use crate::slot::INTERRUPT_SIGNAL;
use crate::systrap::monotonic_nanos;
use core::ffi::c_void;
use std::ptr::null_mut;

fn errno() -> i32 {
    -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Interrupts the host thread `tid` of process `pid`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_interrupt(pid: i32, tid: i32) -> i32 {
    // SAFETY: tgkill passes no memory.
    if unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, INTERRUPT_SIGNAL) } < 0 { errno() } else { 0 }
}

/// SIGKILLs stub process `pid`. It stays a zombie, so its number is not reused, until tsv_systrap_reap.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_kill(pid: i32) -> i32 {
    // SAFETY: kill passes no memory.
    if unsafe { libc::kill(pid, libc::SIGKILL) } < 0 { errno() } else { 0 }
}

/// Stops all threads of stub process `pid` for a moment and lets them go on. 1 when all have stopped within `millis`: none of
/// them is in a call that the host cannot break off, so each has come to the end of the call it was in, or sleeps in one that
/// any signal ends. 0 when they have not, -ESRCH when the process is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_halt(pid: i32, millis: u32) -> i32 {
    // SAFETY: signals and waitpid pass no memory but a status; poll sleeps.
    unsafe {
        if libc::kill(pid, libc::SIGSTOP) < 0 {
            return errno();
        }
        let end = monotonic_nanos() + millis as f64 * 1e6;
        let result = loop {
            let mut status = 0;
            let waited = libc::waitpid(pid, &mut status, libc::__WALL | libc::WUNTRACED | libc::WNOHANG);
            if waited < 0 || (waited == pid && !libc::WIFSTOPPED(status)) {
                break -libc::ESRCH;
            }
            if waited == pid {
                break 1;
            }
            if monotonic_nanos() > end {
                break 0;
            }
            libc::poll(null_mut(), 0, 1);
        };
        libc::kill(pid, libc::SIGCONT);
        result
    }
}

/// Reaps `pid`: 1 when it is gone, 0 when it still lives.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_reap(pid: i32) -> i32 {
    // SAFETY: waitpid without a status.
    let result = unsafe { libc::waitpid(pid, null_mut(), libc::__WALL | libc::WNOHANG) };
    if result == 0 { 0 } else { 1 }
}

/// process_vm_readv (direction 0) or writev (1) between `buffer + at` and the guest; bytes or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_memory(
    pid: i32,
    direction: u32,
    address_low: u32,
    address_high: u32,
    buffer: *mut u8,
    at: u32,
    length: u32,
) -> i32 {
    let address = address_low as u64 | (address_high as u64) << 32;
    // SAFETY: `buffer + at .. + length` lies in the caller's array (checked in bindings); the remote side is checked by
    // the host kernel.
    unsafe {
        let local = libc::iovec { iov_base: buffer.add(at as usize) as *mut c_void, iov_len: length as usize };
        let remote = libc::iovec { iov_base: address as *mut c_void, iov_len: length as usize };
        let n = if direction == 0 {
            libc::process_vm_readv(pid, &local, 1, &remote, 1, 0)
        } else {
            libc::process_vm_writev(pid, &local, 1, &remote, 1, 0)
        };
        if n < 0 { errno() } else { n as i32 }
    }
}

/// Processes and threads that the user of stub `pid` may have, as far as the stub itself may make any. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_limit(pid: i32, most: u32) -> i32 {
    let limit = libc::rlimit { rlim_cur: most as u64, rlim_max: most as u64 };
    // SAFETY: reads one rlimit.
    if unsafe { libc::prlimit(pid, libc::RLIMIT_NPROC, &limit, null_mut()) } < 0 { errno() } else { 0 }
}

/// CPU nanoseconds of stub process `pid`, or 0 when it is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_cpu_nanos(pid: i32) -> f64 {
    let clock = (!pid << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    if unsafe { libc::clock_gettime(clock, &mut time) } < 0 {
        return 0.0;
    }
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
