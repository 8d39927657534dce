//! What the command line does with processes: starting the roles, waiting, signals, descriptors of another.

use crate::errno::errno;
use crate::roles::{self, Options, Program};

/// Starts sentry and gofer with the programs `sentry` and `gofer` (argv) and `envp`: NUL-terminated strings one after the
/// other. `is_root_inside` and `terminal`: see roles::Options. Writes pid of the sentry, of the gofer, our ends of their
/// sockets to `result`. -errno when the host refuses.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_start_roles(
    sentry: *const u8,
    sentry_length: u32,
    gofer: *const u8,
    gofer_length: u32,
    envp: *const u8,
    envp_length: u32,
    is_root_inside: u32,
    terminal: i32,
    result: *mut i32,
) -> i32 {
    // SAFETY: buffers have these lengths, `result` four words (process.ts).
    unsafe {
        let envp = std::slice::from_raw_parts(envp, envp_length as usize);
        let sentry = Program { argv: std::slice::from_raw_parts(sentry, sentry_length as usize), envp };
        let gofer = Program { argv: std::slice::from_raw_parts(gofer, gofer_length as usize), envp };
        let options = Options { is_root_inside: is_root_inside != 0, is_systrap: false, terminal, has_stderr: true };
        match roles::start(&sentry, &gofer, &options) {
            Err(error) => error,
            Ok(started) => {
                for (i, word) in
                    [started.sentry, started.gofer, started.control, started.gofer_control].into_iter().enumerate()
                {
                    *result.add(i) = word;
                }
                0
            }
        }
    }
}

/// See roles::spawn_relay(): its pid or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_start_relay(
    argv: *const u8,
    argv_length: u32,
    envp: *const u8,
    envp_length: u32,
    control: i32,
) -> i32 {
    // SAFETY: buffers have these lengths (process.ts).
    let (argv, envp) = unsafe {
        (std::slice::from_raw_parts(argv, argv_length as usize), std::slice::from_raw_parts(envp, envp_length as usize))
    };
    roles::spawn_relay(&Program { argv, envp }, control)
}

/// waitpid of a child: its status, -EAGAIN while it runs (with WNOHANG in options), -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_wait(pid: i32, options: i32) -> i32 {
    let mut status = 0;
    // SAFETY: writes one int.
    match unsafe { libc::waitpid(pid, &mut status, options) } {
        0 => -libc::EAGAIN,
        n if n < 0 => errno(),
        _ => status,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_kill(pid: i32, signal: i32) -> i32 {
    // SAFETY: passes no memory.
    if unsafe { libc::kill(pid, signal) } < 0 { errno() } else { 0 }
}

/// A connected pair of SOCK_SEQPACKET sockets, close-on-exec.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socketpair(pair: *mut i32) -> i32 {
    // SAFETY: `pair` holds two i32.
    let result = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair) };
    if result < 0 { errno() } else { 0 }
}

/// The process dies with the thread that made it; needed again after a change of ids, which clears it.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_die_with_parent() -> i32 {
    // SAFETY: passes no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }
}

/// Descriptor `to` becomes what `from` is. -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_copy_to(from: i32, to: i32) -> i32 {
    // SAFETY: passes no memory.
    if unsafe { libc::dup2(from, to) } < 0 { errno() } else { 0 }
}
