//! The caller's terminal: opened anew, guarded while it is raw, watched for changes of its size; a pseudo-terminal of the
//! host for --console-socket.

use crate::errno::errno;
use core::ffi::c_void;
use std::ptr::null_mut;

/// Opens `path` (ends with a NUL byte) with open(2) flags, close-on-exec.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_open(path: *const u8, flags: u32) -> i32 {
    // SAFETY: `path` ends with a NUL byte (terminal.ts).
    let fd = unsafe { libc::open(path as *const libc::c_char, flags as i32 | libc::O_CLOEXEC) };
    if fd < 0 { errno() } else { fd }
}

/// A new pseudo-terminal of the host: pair[0] is the master, pair[1] the slave, nonblocking. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_open_pseudo_terminal(pair: *mut i32) -> i32 {
    const TIOCGPTPEER: libc::c_ulong = 0x5441;
    let unlock = 0i32;
    // SAFETY: `pair` holds two i32; `unlock` is read for the time of the call.
    unsafe {
        let master = libc::open(c"/dev/ptmx".as_ptr(), libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        if master < 0 {
            return errno();
        }
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
        let mut slave = libc::ioctl(master, libc::TIOCSPTLCK, &unlock as *const i32);
        if slave == 0 {
            slave = libc::ioctl(master, TIOCGPTPEER, flags);
        }
        if slave < 0 {
            let error = errno();
            libc::close(master);
            return error;
        }
        *pair = master;
        *pair.add(1) = slave;
    }
    0
}

/// A signalfd of `signal`, which the process has blocked since its start (spawn.rs). The descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_signal_descriptor(signal: i32) -> i32 {
    // SAFETY: the set is ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        let fd = libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
        if fd < 0 { errno() } else { fd }
    }
}

/// A process that puts the settings of terminal `fd`, as they are now, back when we end without having done so, however
/// that happens. result[0] is its pid; a byte written to result[1] ends it without effect. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_guard_terminal(fd: i32, result: *mut i32) -> i32 {
    // SAFETY: the child of this fork makes system calls only, as other threads' locks may be held in its copy of memory.
    unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(fd, &mut settings) < 0 {
            return errno();
        }
        let mut pipe = [0i32; 2];
        if libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) < 0 {
            return errno();
        }
        let pid = libc::fork();
        if pid < 0 {
            let error = errno();
            libc::close(pipe[0]);
            libc::close(pipe[1]);
            return error;
        }
        if pid == 0 {
            let mut all: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &all, null_mut());
            libc::prctl(libc::PR_SET_NAME, c"tsvisor-guard".as_ptr());
            libc::dup2(fd, 0);
            libc::dup2(pipe[0], 1);
            libc::syscall(libc::SYS_close_range, 2u32, u32::MAX, 0);
            let mut byte = 0u8;
            if libc::read(1, &mut byte as *mut u8 as *mut c_void, 1) == 0 {
                libc::tcsetattr(0, libc::TCSANOW, &settings);
            }
            libc::_exit(0);
        }
        libc::close(pipe[0]);
        *result = pid;
        *result.add(1) = pipe[1];
    }
    0
}
