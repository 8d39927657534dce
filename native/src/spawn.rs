//! Starts a role's process: descriptors by number, namespaces, parent-death signal, no_new_privs, and the signals that
//! Deno must not handle blocked, all before exec.

use core::ffi::c_void;
use std::ptr::null_mut;

/// Descriptors handed to a child at most.
const FDS_MAX: usize = 128;
/// Strings of argv and envp together at most.
const STRINGS_MAX: usize = 4096;

struct Start {
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    fds: *const i32,
    count: usize,
    flags: u32,
}

/// The child is in a session of its own: the caller's terminal does not signal it.
const FLAG_NEW_SESSION: u32 = 1;
/// It dies with the thread that made it.
const FLAG_DIE_WITH_PARENT: u32 = 2;
/// SIGUSR1 stays blocked: Deno opens its inspector on it.
const FLAG_BLOCK_USR1: u32 = 4;
/// Mounts it makes stay its own (with CLONE_NEWNS).
const FLAG_PRIVATE_MOUNTS: u32 = 8;
const FLAG_NO_NEW_PRIVS: u32 = 16;
/// Descriptor 0 is a terminal of nobody and becomes its controlling terminal: SIGWINCH stays blocked, to be read from a
/// descriptor; a hang-up does not end it (with FLAG_NEW_SESSION).
const FLAG_TERMINAL: u32 = 32;

fn strings(buffer: *const u8, length: u32, pointers: &mut Vec<*const libc::c_char>) -> bool {
    let mut at = 0usize;
    // SAFETY: `buffer` has `length` bytes and ends with a NUL (process.ts).
    unsafe {
        while at < length as usize {
            if pointers.len() >= STRINGS_MAX {
                return false;
            }
            pointers.push(buffer.add(at) as *const libc::c_char);
            while *buffer.add(at) != 0 {
                at += 1;
            }
            at += 1;
        }
    }
    pointers.push(std::ptr::null());
    true
}

/// Starts argv[0] with argv and envp (NUL-terminated strings one after the other), fds[i] as descriptor i, in new
/// namespaces `clone_flags`. Gives back its pid, or -errno of the clone; an exec that fails ends the child with 127.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_spawn(
    argv: *const u8,
    argv_length: u32,
    envp: *const u8,
    envp_length: u32,
    fds: *const i32,
    count: u32,
    clone_flags: u32,
    flags: u32,
) -> i32 {
    let (mut argv_list, mut envp_list) = (Vec::new(), Vec::new());
    if !strings(argv, argv_length, &mut argv_list)
        || !strings(envp, envp_length, &mut envp_list)
        || count as usize > FDS_MAX
    {
        return -libc::E2BIG;
    }
    let mut start = Start {
        argv: argv_list.as_ptr(),
        envp: envp_list.as_ptr(),
        fds,
        count: count as usize,
        flags,
    };
    let mut stack = vec![0u128; 8192];
    // SAFETY: CLONE_VM | CLONE_VFORK: we sleep until the child has exec'ed or ended; it runs on its own stack and makes
    // system calls only.
    unsafe {
        let top = stack.as_mut_ptr().add(8192) as *mut c_void;
        let clone_flags = clone_flags as i32 | libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let pid = libc::clone(become_program, top, clone_flags, &mut start as *mut Start as *mut c_void);
        if pid < 0 { -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { pid }
    }
}

extern "C" fn become_program(start: *mut c_void) -> i32 {
    // SAFETY: see tsv_spawn.
    unsafe {
        let start = &*(start as *const Start);
        if start.flags & FLAG_NEW_SESSION != 0 {
            libc::setsid();
        }
        if start.flags & FLAG_DIE_WITH_PARENT != 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        if start.flags & FLAG_PRIVATE_MOUNTS != 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) < 0
        {
            libc::_exit(126);
        }
        if start.flags & FLAG_NO_NEW_PRIVS != 0 {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        }
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut mask);
        if start.flags & FLAG_BLOCK_USR1 != 0 {
            libc::sigaddset(&mut mask, libc::SIGUSR1);
        }
        if start.flags & FLAG_TERMINAL != 0 {
            libc::sigaddset(&mut mask, libc::SIGWINCH);
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &mask, null_mut());
        // First out of the way, then to their places: a source may be another's target.
        let mut high = [0i32; FDS_MAX];
        for i in 0..start.count {
            high[i] = libc::fcntl(*start.fds.add(i), libc::F_DUPFD, 300);
            if high[i] < 0 {
                libc::_exit(126);
            }
        }
        for i in 0..start.count {
            if libc::dup2(high[i], i as i32) < 0 {
                libc::_exit(126);
            }
        }
        if start.flags & FLAG_TERMINAL != 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
            libc::_exit(126);
        }
        libc::syscall(libc::SYS_close_range, start.count as u32, u32::MAX, 0);
        libc::execve(*start.argv, start.argv, start.envp);
        libc::_exit(127)
    }
}

/// waitpid of a child: its status, -EAGAIN while it lives (with WNOHANG in options), -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_wait(pid: i32, options: i32) -> i32 {
    let mut status = 0;
    // SAFETY: writes one int.
    match unsafe { libc::waitpid(pid, &mut status, options) } {
        0 => -libc::EAGAIN,
        n if n < 0 => -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::ECHILD),
        _ => status,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_kill(pid: i32, signal: i32) -> i32 {
    // SAFETY: passes no memory.
    if unsafe { libc::kill(pid, signal) } < 0 { -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { 0 }
}

/// A connected pair of SOCK_SEQPACKET sockets, close-on-exec.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socketpair(pair: *mut i32) -> i32 {
    // SAFETY: `pair` holds two i32.
    let result =
        unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair) };
    if result < 0 { -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { 0 }
}

/// The process dies with the thread that made it; needed again after a change of ids, which clears it.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_die_with_parent() -> i32 {
    // SAFETY: passes no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }
}
