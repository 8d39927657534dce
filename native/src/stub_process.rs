//! Stub processes, whichever platform makes them: the first one's start, their sockets, memory, CPU time and limits, and how
//! they are interrupted, halted, ended and reaped. Results are >= 0 or -errno. Pids are those of living or unreaped children.

use crate::errno::errno;
use crate::host_loop::{host_loop, monotonic_nanos};
use crate::slot::INTERRUPT_SIGNAL;
use crate::stub_filter::{FORK_FLAGS, THREAD_FLAGS};
use crate::stub_memory::stub_memory;
use crate::orders::notary;
use crate::usage::{thread_progress, thread_state};
use core::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub"));

#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_fork_flags() -> u32 {
    FORK_FLAGS
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_thread_flags() -> u32 {
    THREAD_FLAGS
}
/// A connected pair of stream sockets into `pair`; the sentry's end is watched for hang-up under `cookie`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_socketpair(pair: *mut i32, cookie: u32) -> i32 {
    // SAFETY: `pair` holds two i32 (contract of bindings).
    unsafe {
        if libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, pair) < 0 {
            return errno();
        }
        host_loop().add_stub(*pair, cookie)
    }
}

/// Sends arena `arena`'s descriptor (if not negative) and `fd` (if not negative) over `socket`, with one byte.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_send(socket: i32, arena: i32, fd: i32) -> i32 {
    let mut fds = [0i32; 2];
    let mut count = 0;
    if arena >= 0 {
        let Some(arena_fd) = stub_memory().arena_fd(arena) else {
            return -libc::EINVAL;
        };
        fds[count] = arena_fd;
        count += 1;
    }
    if fd >= 0 {
        fds[count] = fd;
        count += 1;
    }
    let mut byte = [0u8; 1];
    let mut control = [0u64; 4];
    // SAFETY: the control buffer holds a header and two descriptors.
    unsafe {
        let mut iovec = libc::iovec { iov_base: byte.as_mut_ptr() as *mut c_void, iov_len: 1 };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut iovec;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr() as *mut c_void;
        message.msg_controllen = libc::CMSG_SPACE((count * 4) as u32) as usize;
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN((count * 4) as u32) as usize;
        std::ptr::copy_nonoverlapping(fds.as_ptr(), libc::CMSG_DATA(header) as *mut i32, count);
        if libc::sendmsg(socket, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) < 0 { errno() } else { 0 }
    }
}

struct StubStart {
    stub: i32,
    fds: [i32; 4],
    preference: i32,
}

/// Starts the first stub in arena 0 with `socket` as its descriptor 0; its nice value is `preference` above ours. Gives back its
/// pid.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_first(socket: i32, preference: i32) -> i32 {
    let memory = stub_memory();
    let Some(arena) = memory.arena_fd(0) else {
        return -libc::EINVAL;
    };
    // SAFETY: the child shares our memory until it execs (CLONE_VM | CLONE_VFORK suspends us), runs on a stack of its
    // own and makes raw system calls only.
    unsafe {
        let stub = libc::memfd_create(c"tsvisor-stub".as_ptr(), libc::MFD_CLOEXEC);
        if stub < 0 {
            return errno();
        }
        if libc::write(stub, STUB.as_ptr() as *const c_void, STUB.len()) != STUB.len() as isize {
            return errno();
        }
        let mut start = StubStart { stub, fds: [socket, host_loop().doorbell, arena, memory.common_fd], preference };
        let mut stack = vec![0u128; 4096];
        let top = stack.as_mut_ptr().add(4096) as *mut c_void;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK;
        let pid = libc::clone(become_stub, top, flags, &mut start as *mut StubStart as *mut c_void);
        let result = if pid < 0 { errno() } else { pid };
        libc::close(stub);
        result
    }
}

extern "C" fn become_stub(start: *mut c_void) -> i32 {
    // SAFETY: see tsv_stub_first.
    unsafe {
        let start = &*(start as *const StubStart);
        libc::personality(0x0040000 /* ADDR_NO_RANDOMIZE: keeps the kernel's own mappings above the stub */);
        libc::setsid();
        let none: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &none, null_mut());
        let core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &core);
        // What the sentry was given over the others is not the guests'.
        libc::setpriority(libc::PRIO_PROCESS, 0, libc::getpriority(libc::PRIO_PROCESS, 0) + start.preference);
        let mut high = [0i32; 5];
        for (n, fd) in start.fds.iter().chain([&start.stub]).enumerate() {
            high[n] = libc::fcntl(*fd, libc::F_DUPFD, 100);
            if high[n] < 0 {
                libc::_exit(80);
            }
        }
        for n in 0..4 {
            if libc::dup2(high[n], n as i32) < 0 {
                libc::_exit(81);
            }
        }
        libc::syscall(libc::SYS_close_range, 4u32, (high[4] - 1) as u32, 0);
        libc::syscall(libc::SYS_close_range, (high[4] + 1) as u32, u32::MAX, 0);
        libc::fcntl(high[4], libc::F_SETFD, libc::FD_CLOEXEC);
        let argv = [c"stub".as_ptr(), std::ptr::null()];
        let envp = [std::ptr::null::<libc::c_char>()];
        libc::syscall(libc::SYS_execveat, high[4], c"".as_ptr(), argv.as_ptr(), envp.as_ptr(), libc::AT_EMPTY_PATH);
        libc::_exit(82)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_close(fd: i32) -> i32 {
    // SAFETY: closes a descriptor that TypeScript owns.
    if unsafe { libc::close(fd) } < 0 { errno() } else { 0 }
}

/// Interrupts the host thread `tid` of process `pid`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_interrupt(pid: i32, tid: i32) -> i32 {
    // SAFETY: tgkill passes no memory.
    if unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, INTERRUPT_SIGNAL) } < 0 { errno() } else { 0 }
}

/// SIGKILLs stub process `pid`. It stays a zombie, so its number is not reused, until tsv_stub_reap.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_kill(pid: i32) -> i32 {
    // SAFETY: kill passes no memory.
    if unsafe { libc::kill(pid, libc::SIGKILL) } < 0 { errno() } else { 0 }
}

/// How far the thread that carries out commands, and the notary, had come when they were looked at.
static PROGRESS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// 1 when thread `tid` of stub process `pid`, or the notary that it may have asked, wants to run and has had no CPU since this was
/// asked before, or since it was halted: then nothing can be said of it. Else 0.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_waits(pid: i32, tid: i32) -> i32 {
    // SAFETY: passes no memory.
    let threads = [(pid, tid), (unsafe { libc::getpid() }, notary())];
    let mut waits = 0;
    for (seen, (pid, tid)) in PROGRESS.iter().zip(threads) {
        if tid == 0 {
            continue;
        }
        let progress = thread_progress(pid, tid);
        if seen.swap(progress, Relaxed) == progress && progress != 0 && thread_state(pid, tid) == b'R' {
            waits = 1;
        }
    }
    waits
}

/// Stops all threads of stub process `pid` for a moment and lets them go on. 1 when `tid` has stopped within `millis`, whatever
/// the others are at: it is in no call that the host cannot break off, so it has come to the end of the call it was in, or
/// sleeps in one that any signal ends. 0 when it has not, -ESRCH when the process is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_halt(pid: i32, tid: i32, millis: u32) -> i32 {
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
            if waited == pid || thread_state(pid, tid) == b'T' {
                break 1;
            }
            if monotonic_nanos() > end {
                break 0;
            }
            libc::poll(null_mut(), 0, 1);
        };
        PROGRESS[0].store(thread_progress(pid, tid), Relaxed);
        libc::kill(pid, libc::SIGCONT);
        result
    }
}

/// The signal that has ended stub process `pid`, which has hung up: it is about to end, within `millis`, or only pretends. 0 = none
/// has, or it runs. It stays a zombie.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_end_signal(pid: i32, millis: u32) -> i32 {
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    for _ in 0..=millis {
        // SAFETY: the kernel fills one siginfo_t; all zeros is a valid one. poll sleeps.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            if libc::waitid(libc::P_PID, pid as u32, &mut info, flags) < 0 {
                return 0;
            }
            if info.si_pid() == pid {
                return if info.si_code == libc::CLD_EXITED { 0 } else { info.si_status() };
            }
            libc::poll(null_mut(), 0, 1);
        }
    }
    0
}

/// Reaps `pid`: 1 when it has ended, 0 while it runs.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_reap(pid: i32) -> i32 {
    // SAFETY: waitpid without a status.
    let result = unsafe { libc::waitpid(pid, null_mut(), libc::__WALL | libc::WNOHANG) };
    if result == 0 { 0 } else { 1 }
}

/// process_vm_readv (direction 0) or writev (1) between `buffer + at` and the guest; bytes or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_memory(
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
pub extern "C" fn tsv_stub_limit(pid: i32, most: u32) -> i32 {
    let limit = libc::rlimit { rlim_cur: most as u64, rlim_max: most as u64 };
    // SAFETY: reads one rlimit.
    if unsafe { libc::prlimit(pid, libc::RLIMIT_NPROC, &limit, null_mut()) } < 0 { errno() } else { 0 }
}

/// CPU nanoseconds of stub process `pid`, or 0 when it is gone.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_cpu_nanos(pid: i32) -> f64 {
    let clock = (!pid << 3) | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    if unsafe { libc::clock_gettime(clock, &mut time) } < 0 {
        return 0.0;
    }
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
