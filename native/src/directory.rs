//! Files of one directory by its descriptor, without following links: for state that must be the caller's own. And processes by
//! descriptors that name them for certain.

use crate::errno::errno;

fn result(n: i64) -> i32 {
    if n < 0 { errno() } else { n as i32 }
}

/// openat(2), close-on-exec and never through a link; `directory` may be -1 for a whole path.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_open_at(directory: i32, name: *const u8, flags: u32, mode: u32) -> i32 {
    let directory = if directory < 0 { libc::AT_FDCWD } else { directory };
    let flags = flags as i32 | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: `name` ends with a NUL byte (directory.ts).
    result(unsafe { libc::openat(directory, name as *const libc::c_char, flags, mode) } as i64)
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_rename_at(directory: i32, from: *const u8, to: *const u8) -> i32 {
    // SAFETY: as above.
    result(unsafe { libc::renameat(directory, from as *const libc::c_char, directory, to as *const libc::c_char) } as i64)
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_unlink_at(directory: i32, name: *const u8) -> i32 {
    // SAFETY: as above.
    result(unsafe { libc::unlinkat(directory, name as *const libc::c_char, 0) } as i64)
}

/// Takes the lock on what `fd` is, and waits for it; it goes with the descriptor.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_lock(fd: i32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::flock(fd, libc::LOCK_EX) } as i64)
}

/// A descriptor of process `pid`, or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_process_open(pid: i32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends a signal to the process that descriptor `process` names.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_process_signal(process: i32, signal: i32) -> i32 {
    // SAFETY: no siginfo is passed.
    result(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process, signal, std::ptr::null::<libc::siginfo_t>(), 0)
    })
}

/// A copy of descriptor `fd` of that process (pidfd_getfd(2)): the caller must be allowed to trace it.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_process_borrow(process: i32, fd: i32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, fd, 0) })
}
