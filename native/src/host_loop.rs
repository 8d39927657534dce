//! The one place where the sentry waits, whichever platform runs: an epoll of host descriptors, and the doorbell that stubs
//! ring. What is ready stands in a block that TypeScript reads (platform/host). One thread calls in here.
//!
//! Results are >= 0 or -errno.

use crate::errno::errno;
use core::ffi::c_void;
use std::ptr::null_mut;

/// Host descriptors reported in one turn.
const HOST_EVENTS_MAX: usize = 64;
/// Words of the block: cookie, its high word, poll events, of each descriptor.
const EVENT_WORDS: usize = 3;
/// Cookies of stubs have bit 0 of the high word set (stub_process.rs).
const DOORBELL_COOKIE: u64 = u64::MAX;

pub struct HostLoop {
    events: *mut u32,
    epoll: i32,
    /// An eventfd, never closed.
    pub doorbell: i32,
}

static mut LOOP: Option<HostLoop> = None;

pub fn host_loop() -> &'static mut HostLoop {
    // SAFETY: only the sentry's one thread calls this library's platform functions, after tsv_host_start.
    unsafe { (*(&raw mut LOOP)).as_mut().expect("the host loop is not started") }
}

/// Makes the epoll, the doorbell and the block. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_start() -> i32 {
    // SAFETY: plain system calls on memory and descriptors made here; checked one by one.
    unsafe {
        let events = libc::mmap(
            null_mut(),
            HOST_EVENTS_MAX * EVENT_WORDS * 4,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if events == libc::MAP_FAILED {
            return errno();
        }
        let doorbell = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if doorbell < 0 || epoll < 0 {
            return errno();
        }
        LOOP = Some(HostLoop { events: events as *mut u32, epoll, doorbell });
    }
    host_loop().add(host_loop().doorbell, libc::EPOLLIN, DOORBELL_COOKIE)
}

/// The block.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_events() -> *mut u32 {
    host_loop().events
}

impl HostLoop {
    fn add(&self, fd: i32, events: i32, cookie: u64) -> i32 {
        let mut event = libc::epoll_event { events: events as u32, u64: cookie };
        // SAFETY: reads one event.
        if unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, fd, &mut event) } < 0 { errno() } else { 0 }
    }

    /// Watches the sentry's end of a stub's socket for hang-up, reported with `cookie`.
    pub fn add_stub(&self, socket: i32, cookie: u32) -> i32 {
        self.add(socket, libc::EPOLLRDHUP, cookie as u64 | 1 << 32)
    }

    /// Waits at most `timeout_nanos`; what is ready goes to the block, its count is given back. The doorbell is drained and not
    /// reported.
    pub fn poll(&self, timeout_nanos: f64) -> usize {
        // SAFETY: all zeros is a valid epoll_event.
        let mut events: [libc::epoll_event; HOST_EVENTS_MAX] = unsafe { std::mem::zeroed() };
        let most = HOST_EVENTS_MAX as i32;
        let n = if timeout_nanos == 0.0 {
            // SAFETY: the buffer holds so many events.
            unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), most, 0) }
        } else {
            let limit = timeout_nanos.min(3.6e12);
            let time = libc::timespec { tv_sec: (limit / 1e9) as i64, tv_nsec: (limit % 1e9) as i64 };
            let time = if timeout_nanos.is_finite() { &time as *const _ } else { std::ptr::null() };
            // SAFETY: as above; epoll_pwait2 with no mask.
            unsafe { libc::syscall(libc::SYS_epoll_pwait2, self.epoll, events.as_mut_ptr(), most, time, 0, 8) as i32 }
        };
        let mut host = 0;
        for event in events.iter().take(n.max(0) as usize) {
            let (data, bits) = (event.u64, event.events);
            if data == DOORBELL_COOKIE {
                self.drain_doorbell();
                continue;
            }
            // SAFETY: the block has room for as many events as epoll was asked for.
            unsafe {
                let at = self.events.add(host * EVENT_WORDS);
                at.write_volatile(data as u32);
                at.add(1).write_volatile((data >> 32) as u32);
                at.add(2).write_volatile(bits);
            }
            host += 1;
        }
        host
    }

    pub fn drain_doorbell(&self) {
        let mut count = 0u64;
        // SAFETY: reads the 8-byte counter of a non-blocking eventfd.
        unsafe { libc::read(self.doorbell, &mut count as *mut u64 as *mut c_void, 8) };
    }
}

/// Watches `fd` (level-triggered) under `cookie`; events 0 stops watching.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_watch(fd: i32, events: u32, cookie: u32) -> i32 {
    let epoll = host_loop().epoll;
    let mut event = libc::epoll_event { events, u64: cookie as u64 };
    // SAFETY: plain epoll_ctl.
    unsafe {
        if events == 0 {
            return if libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, &mut event) < 0 { errno() } else { 0 };
        }
        if libc::epoll_ctl(epoll, libc::EPOLL_CTL_MOD, fd, &mut event) == 0 {
            return 0;
        }
        if libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) < 0 { errno() } else { 0 }
    }
}

/// Nanoseconds from now until `deadline` (CLOCK_MONOTONIC; infinite = none).
pub fn nanos_until(deadline: f64) -> f64 {
    if deadline.is_finite() { (deadline - monotonic_nanos()).max(0.0) } else { f64::INFINITY }
}

/// Sleeps until `deadline` (0 = does not), the doorbell or a host descriptor. What is ready goes to the block, its count is
/// given back.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_host_sleep(deadline: f64) -> u32 {
    host_loop().poll(if deadline == 0.0 { 0.0 } else { nanos_until(deadline) }) as u32
}

pub fn monotonic_nanos() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
