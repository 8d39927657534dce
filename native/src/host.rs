//! Raw host calls for the sentry's Host (platform/platform.ts): descriptors, clocks, messages with descriptors.
//! Results are >= 0 or -errno. File offsets travel as two u32 halves; buffers as (pointer, at, length), checked in host.ts.

use crate::errno::errno;
use core::ffi::c_void;

fn result(value: i64) -> i32 {
    if value < 0 { errno() } else { value as i32 }
}

fn offset(low: u32, high: u32) -> i64 {
    (low as u64 | (high as u64) << 32) as i64
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_pread(fd: i32, buffer: *mut u8, at: u32, length: u32, low: u32, high: u32) -> i32 {
    // SAFETY: buffer + at .. + length lies in the caller's array.
    result(unsafe { libc::pread(fd, buffer.add(at as usize) as *mut c_void, length as usize, offset(low, high)) } as i64)
}
/// As tsv_host_pread, of what the host has in memory: -EAGAIN, or fewer bytes, where it would have to wait for more.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_pread_now(fd: i32, buffer: *mut u8, at: u32, length: u32, low: u32, high: u32) -> i32 {
    // SAFETY: as tsv_host_pread; one iovec.
    result(unsafe {
        let iovec = libc::iovec { iov_base: buffer.add(at as usize) as *mut c_void, iov_len: length as usize };
        libc::preadv2(fd, &iovec, 1, offset(low, high), libc::RWF_NOWAIT)
    } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_pwrite(fd: i32, buffer: *const u8, at: u32, length: u32, low: u32, high: u32) -> i32 {
    // SAFETY: as tsv_host_pread.
    result(unsafe { libc::pwrite(fd, buffer.add(at as usize) as *const c_void, length as usize, offset(low, high)) }
        as i64)
}
/// How often this thread has slept (getrusage(2), ru_nvcsw), or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_sleeps() -> f64 {
    // SAFETY: all zeros is a valid rusage, which the kernel fills.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_THREAD, &mut usage) < 0 { errno() as f64 } else { usage.ru_nvcsw as f64 }
    }
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_read(fd: i32, buffer: *mut u8, at: u32, length: u32) -> i32 {
    // SAFETY: as tsv_host_pread.
    result(unsafe { libc::read(fd, buffer.add(at as usize) as *mut c_void, length as usize) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_write(fd: i32, buffer: *const u8, at: u32, length: u32) -> i32 {
    // SAFETY: as tsv_host_pread.
    result(unsafe { libc::write(fd, buffer.add(at as usize) as *const c_void, length as usize) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_close(fd: i32) -> i32 {
    // SAFETY: closes a descriptor that the caller owns.
    result(unsafe { libc::close(fd) } as i64)
}
/// Descriptors that this process may have at once.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_descriptors_max() -> u32 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is there to be written.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur.min(u32::MAX as u64) as u32
}
/// Opens what `fd` is open on anew, for reading only, by way of the own /proc; a descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_reopen(fd: i32) -> i32 {
    let path = format!("/proc/self/fd/{fd}\0");
    // SAFETY: `path` ends with a NUL.
    result(unsafe { libc::open(path.as_ptr() as *const libc::c_char, libc::O_RDONLY | libc::O_CLOEXEC) } as i64)
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_dup(fd: i32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_ftruncate(fd: i32, low: u32, high: u32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::ftruncate(fd, offset(low, high)) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_fallocate(
    fd: i32,
    mode: i32,
    low: u32,
    high: u32,
    length_low: u32,
    length_high: u32,
) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::fallocate(fd, mode, offset(low, high), offset(length_low, length_high)) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_fsync(fd: i32, data_only: u32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { if data_only != 0 { libc::fdatasync(fd) } else { libc::fsync(fd) } } as i64)
}
/// The new offset as f64, or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_lseek(fd: i32, low: u32, high: u32, whence: i32) -> f64 {
    // SAFETY: passes no memory.
    let value = unsafe { libc::lseek(fd, offset(low, high), whence) };
    if value < 0 { errno() as f64 } else { value as f64 }
}
/// struct stat (144 bytes) into buffer + at.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_fstat(fd: i32, buffer: *mut u8, at: u32) -> i32 {
    // SAFETY: the caller's array has 144 bytes there; alignment is not needed by the kernel.
    result(unsafe { libc::syscall(libc::SYS_fstat, fd, buffer.add(at as usize)) })
}
/// Attributes of a descriptor, in the neutral layout of gofer/protocol.ts, into buffer + at.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_attributes(fd: i32, buffer: *mut u8, at: u32) -> i32 {
    // SAFETY: the caller's array has ATTRIBUTES_BYTES there.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        // The C library's fstat is newfstatat, a call that the sentry's list does not have.
        if libc::syscall(libc::SYS_fstat, fd, &mut stat) < 0 {
            return errno();
        }
        let bytes = crate::gofer::attributes(&stat);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.add(at as usize), crate::gofer::ATTRIBUTES_BYTES);
    }
    0
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_memfd(name: *const u8, flags: u32) -> i32 {
    // SAFETY: `name` ends with a NUL byte (host.ts).
    result(unsafe { libc::memfd_create(name as *const libc::c_char, flags) } as i64)
}
/// Ready events of one descriptor, waiting at most `millis`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_poll(fd: i32, events: u32, millis: i32) -> i32 {
    let mut poll = libc::pollfd { fd, events: events as i16, revents: 0 };
    // SAFETY: one pollfd.
    let n = unsafe { libc::poll(&mut poll, 1, millis) };
    if n < 0 { errno() } else { poll.revents as u16 as i32 }
}
/// Opens a host path for reading and appending, made with mode 0600 if missing.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_open_append(path: *const u8) -> i32 {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: `path` ends with a NUL byte (host.ts).
    result(unsafe { libc::open(path as *const libc::c_char, flags, 0o600) } as i64)
}
/// Descriptors that one wait looks at.
const POLL_MAX: usize = 256;
/// Sleeps until one of `count` descriptors (of which the first POLL_MAX are looked at) has input or hangs up: its index,
/// the first from `from` on, around.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_poll_many(fds: *const i32, count: u32, from: u32, millis: i32) -> i32 {
    let count = (count as usize).min(POLL_MAX);
    let mut polls = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; POLL_MAX];
    for n in 0..count {
        // SAFETY: `fds` has `count` entries.
        polls[n].fd = unsafe { *fds.add(n) };
    }
    // SAFETY: `polls` has POLL_MAX entries.
    let ready = unsafe { libc::poll(polls.as_mut_ptr(), count as u64, millis) };
    if ready < 0 {
        return errno();
    }
    if ready == 0 {
        return -libc::ETIMEDOUT;
    }
    let first = (0..count).map(|n| (from as usize + n) % count).find(|&n| polls[n].revents != 0);
    first.map_or(-libc::EAGAIN, |n| n as i32)
}
/// Keeps the calling thread on `cpu`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_pin(cpu: u32) -> i32 {
    // SAFETY: one set, whose size bounds the number.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if cpu as usize >= 8 * size_of_val(&set) {
            return -libc::EINVAL;
        }
        libc::CPU_SET(cpu as usize, &mut set);
        result(libc::sched_setaffinity(0, size_of_val(&set), &set) as i64)
    }
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_ioctl(fd: i32, request: u32, buffer: *mut u8, at: u32) -> i32 {
    // SAFETY: host.ts lets through only requests whose argument fits the array.
    result(unsafe { libc::ioctl(fd, request as libc::c_ulong, buffer.add(at as usize)) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_fcntl(fd: i32, command: i32, argument: i32) -> i32 {
    // SAFETY: commands with integer arguments only (host.ts).
    result(unsafe { libc::fcntl(fd, command, argument) } as i64)
}
/// CLOCK nanoseconds as one number.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_clock(clock: i32) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
/// CLOCK seconds and nanoseconds into two f64.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_clock_split(clock: i32, into: *mut f64) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec and two f64 of the caller's array.
    unsafe {
        libc::clock_gettime(clock, &mut time);
        *into = time.tv_sec as f64;
        *into.add(1) = time.tv_nsec as f64;
    }
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_random(buffer: *mut u8, at: u32, length: u32) -> i32 {
    // SAFETY: as tsv_host_pread.
    result(unsafe { libc::getrandom(buffer.add(at as usize) as *mut c_void, length as usize, 0) } as i64)
}

/// Descriptors in one message at most (SCM_MAX_FD is 253).
const FDS_MAX: usize = 136;
/// Words of a control buffer for FDS_MAX descriptors and its header.
const CONTROL_WORDS: usize = FDS_MAX / 2 + 4;

/// Sends one message with `count` descriptors of `fds`; bytes sent.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_send(fd: i32, buffer: *const u8, at: u32, length: u32, fds: *const i32, count: u32) -> i32 {
    // SAFETY: the arrays are the caller's (host.ts).
    unsafe { send_message(fd, buffer.add(at as usize), length, fds, count, libc::MSG_NOSIGNAL) }
}

/// sendmsg(2) of `length` bytes at `bytes` with `count` descriptors of `fds`; bytes sent, or -errno.
///
/// # Safety
/// `bytes` holds `length` bytes, `fds` holds `count` descriptors.
pub unsafe fn send_message(fd: i32, bytes: *const u8, length: u32, fds: *const i32, count: u32, flags: i32) -> i32 {
    if count as usize > FDS_MAX {
        return -libc::EINVAL;
    }
    let mut control = [0u64; CONTROL_WORDS];
    // SAFETY: the control buffer holds a header and FDS_MAX descriptors; the rest is the caller's contract.
    unsafe {
        let mut iovec = libc::iovec { iov_base: bytes as *mut c_void, iov_len: length as usize };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut iovec;
        message.msg_iovlen = 1;
        if count > 0 {
            message.msg_control = control.as_mut_ptr() as *mut c_void;
            message.msg_controllen = libc::CMSG_SPACE(count * 4) as usize;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(count * 4) as usize;
            std::ptr::copy_nonoverlapping(fds, libc::CMSG_DATA(header) as *mut i32, count as usize);
        }
        result(libc::sendmsg(fd, &message, flags) as i64)
    }
}

/// Receives one message, waiting at most `millis` (-1 = for ever) after `spins` polls; bytes, 0 at the end of the stream,
/// -ETIMEDOUT. Descriptors go to `fds` (FDS_MAX), their count to fds[FDS_MAX].
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_receive(
    fd: i32,
    buffer: *mut u8,
    at: u32,
    length: u32,
    fds: *mut i32,
    millis: i32,
    spins: u32,
) -> i32 {
    let mut control = [0u64; CONTROL_WORDS];
    let mut left = spins;
    let mut is_early = spins == 0 && millis != 0;
    // SAFETY: as tsv_host_send; `fds` has FDS_MAX + 1 entries (host.ts).
    unsafe {
        *fds.add(FDS_MAX) = 0;
        loop {
            let mut iovec = libc::iovec { iov_base: buffer.add(at as usize) as *mut c_void, iov_len: length as usize };
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &mut iovec;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr() as *mut c_void;
            message.msg_controllen = size_of_val(&control);
            // Who is ready to wait has most often just asked: there is nothing to be had at once.
            let n = if is_early {
                -1
            } else {
                libc::recvmsg(fd, &mut message, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC)
            };
            if n < 0 {
                let error = if is_early { -libc::EAGAIN } else { errno() };
                is_early = false;
                if error == -libc::EINTR {
                    continue;
                }
                if error != -libc::EAGAIN {
                    return error;
                }
                if left > 0 {
                    left -= 1;
                    std::hint::spin_loop();
                    continue;
                }
                let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
                if libc::poll(&mut poll, 1, millis) == 0 {
                    return -libc::ETIMEDOUT;
                }
                continue;
            }
            let mut header = libc::CMSG_FIRSTHDR(&message);
            while !header.is_null() {
                if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                    let count = ((*header).cmsg_len - libc::CMSG_LEN(0) as usize) / 4;
                    let data = libc::CMSG_DATA(header) as *const i32;
                    for i in 0..count {
                        let held = *fds.add(FDS_MAX) as usize;
                        if held < FDS_MAX {
                            *fds.add(held) = data.add(i).read_unaligned();
                            *fds.add(FDS_MAX) += 1;
                        } else {
                            libc::close(data.add(i).read_unaligned());
                        }
                    }
                }
                header = libc::CMSG_NXTHDR(&message, header);
            }
            return n as i32;
        }
    }
}
