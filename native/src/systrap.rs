//! The sentry's end of the systrap platform: the shared arenas of slots, the first stub, the wait for events. It moves
//! states and bytes; what an event means is decided in TypeScript (platform/systrap). One thread calls in here.
//!
//! Results are >= 0 or -errno. Every value read from a slot is untrusted: only STATE words are read here.

use crate::clone_question::{CommandedClone, answer, may_ask, prefer_one_cpu};
use crate::common_page::fill_common;
use crate::slot::*;
use crate::stub_filter::{FORK_FLAGS, THREAD_FLAGS};
use core::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

static STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub"));

/// Address spaces that can be alive at once: bounded by reserved address space (8192 x 256 MiB = 2 TiB).
const ARENAS_MAX: usize = 8192;
/// Events handed over in one turn.
const EVENTS_MAX: usize = 1024;
/// Events that make a turn a long one.
const CROWD_EVENTS: usize = 16;
/// Host descriptors reported in one turn.
const HOST_EVENTS_MAX: usize = 256;

// Control block, u32 words, read and written by TypeScript.
const C_EVENTS: usize = 0;
const C_HOST_EVENTS: usize = 1;
/// 1 when this turn had to wait, 2 when it also saw that another ran on its CPU meanwhile, 3 when nothing came in `sleep_nanos`.
const C_WAITED: usize = 2;
/// Slots that run after this turn.
const C_RUNNING: usize = 3;
/// Two words, an f64: CLOCK_MONOTONIC at the end of a turn that had to wait.
const C_NOW: usize = 4;
const C_RESUME: usize = 16;
const C_EVENT_LIST: usize = C_RESUME + EVENTS_MAX;
const C_HOST_LIST: usize = C_EVENT_LIST + EVENTS_MAX;
const C_WORDS: usize = C_HOST_LIST + HOST_EVENTS_MAX * 3;

struct Sentry {
    region: *mut u8,
    control: *mut u32,
    common: *mut u8,
    common_fd: i32,
    doorbell: i32,
    epoll: i32,
    /// What the stubs' filter asks: clone(2). -1 = it does not ask, or there is no stub yet.
    listener: i32,
    arena_fds: Vec<i32>,
    /// Slots that run guest code: their STATE is a running value until they post an event.
    running: Vec<u32>,
    /// Of those, the ones the host waited for a futex for when we last slept: they ring when they post, and are looked at
    /// less often.
    dormant: Vec<u32>,
    turns: u32,
    /// The CPUs we were started on: all of them, the one the sentry takes, the rest.
    cpus: [libc::cpu_set_t; 3],
}

/// Marks the listener in epoll.
const LISTENER_COOKIE: u64 = u64::MAX - 1;

/// With more slots than this the busy sentry sorts out those that wait.
const MANY_RUNNING: usize = 4;
/// Pauses between looks at the clock while spinning.
const PAUSES_A_LOOK: u32 = 32;
/// Two looks at the clock are further apart than this only when another ran on our CPU in between.
const GAP_NANOS: f64 = 500_000.0;

/// By how much the sentry's nice value is below that of guests.
static PREFERENCE: AtomicI32 = AtomicI32::new(0);

static mut SENTRY: Option<Sentry> = None;

fn sentry() -> &'static mut Sentry {
    // SAFETY: only the sentry's one thread calls this library's systrap functions, after tsv_systrap_start.
    unsafe { (*(&raw mut SENTRY)).as_mut().expect("systrap is not started") }
}

fn errno() -> i32 {
    -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

impl Sentry {
    fn slot(&self, slot: u32) -> *mut u8 {
        // SAFETY: slots come from TypeScript's own table, below ARENAS_MAX * ARENA_SLOTS; the region is reserved whole.
        unsafe { self.region.add(slot as usize * SLOT_BYTES as usize) }
    }

    fn state(&self, slot: u32) -> &'static AtomicU32 {
        // SAFETY: STATE is an aligned u32 of a mapped slot that is never unmapped while the sandbox lives.
        unsafe { &*(self.slot(slot).add(STATE as usize) as *const AtomicU32) }
    }

    /// Fetches the call line of `slot` as our CPU's own: the answer is then written without asking for it again. While the
    /// guest runs it does not touch the line.
    fn claim(&self, slot: u32) {
        // SAFETY: a hint, on memory that is mapped.
        unsafe {
            std::arch::asm!("prefetchw [{}]", in(reg) self.slot(slot), options(nostack, preserves_flags, readonly))
        };
    }

    /// Lets the stub thread of `slot` go on: it runs its commands and then guest code or reports.
    fn run(&mut self, slot: u32, value: u32) {
        let before = self.state(slot).swap(value, SeqCst);
        if before == STATE_EVENT_ASLEEP || before == STATE_PARK {
            // SAFETY: wake on an address that is mapped; no memory is passed.
            unsafe { libc::syscall(libc::SYS_futex, self.state(slot).as_ptr(), libc::FUTEX_WAKE, 1) };
        }
    }

    /// Moves running slots with an event to the event list; gives back how many.
    fn collect(&mut self) -> usize {
        let mut found = 0;
        let mut at = 0;
        while at < self.running.len() && found < EVENTS_MAX {
            let slot = self.running[at];
            self.claim(slot);
            let state = self.state(slot).load(SeqCst);
            if !is_running(state) {
                self.running.swap_remove(at);
                self.put(C_EVENT_LIST + found, slot);
                found += 1;
            } else {
                at += 1;
            }
        }
        found
    }

    /// Running slots that wait for a futex go to the dormant ones.
    fn sort_out_dormant(&mut self) {
        let mut at = 0;
        while at < self.running.len() {
            let slot = self.running[at];
            let asleep = self.state(slot).compare_exchange(STATE_RUN, STATE_RUN_SENTRY_ASLEEP, SeqCst, SeqCst);
            if self.is_waiting(slot) && matches!(asleep, Ok(_) | Err(STATE_RUN_SENTRY_ASLEEP)) {
                self.running.swap_remove(at);
                self.dormant.push(slot);
            } else {
                at += 1;
            }
        }
    }

    fn is_waiting(&self, slot: u32) -> bool {
        // SAFETY: an aligned word of a mapped slot.
        unsafe { (self.slot(slot).add(WAITING as usize) as *const u32).read_volatile() != 0 }
    }

    /// Dormant slots that have posted, or run guest code again, go back to the running ones.
    fn rouse(&mut self) {
        let mut at = 0;
        while at < self.dormant.len() {
            let slot = self.dormant[at];
            if self.is_waiting(slot) && self.state(slot).load(SeqCst) == STATE_RUN_SENTRY_ASLEEP {
                at += 1;
            } else {
                let _ = self.state(slot).compare_exchange(STATE_RUN_SENTRY_ASLEEP, STATE_RUN, SeqCst, SeqCst);
                self.dormant.swap_remove(at);
                self.running.push(slot);
            }
        }
    }

    /// A new memfd, mapped where arena `index` has its place in the region; its descriptor or -errno.
    fn map_arena(&self, index: u32) -> i32 {
        // SAFETY: the place lies in the reserved region and is this arena's alone.
        unsafe {
            let fd = libc::memfd_create(c"tsvisor-slots".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return errno();
            }
            let at = self.region.add(index as usize * ARENA_BYTES as usize) as *mut c_void;
            let flags = libc::MAP_SHARED | libc::MAP_FIXED;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            if libc::ftruncate(fd, ARENA_BYTES as i64) < 0
                || libc::mmap(at, ARENA_BYTES as usize, prot, flags, fd, 0) == libc::MAP_FAILED
            {
                let error = errno();
                libc::close(fd);
                return error;
            }
            fd
        }
    }

    fn put(&self, word: usize, value: u32) {
        // SAFETY: `word` < C_WORDS by construction of the callers.
        unsafe { self.control.add(word).write_volatile(value) }
    }
    fn get(&self, word: usize) -> u32 {
        // SAFETY: as put.
        unsafe { self.control.add(word).read_volatile() }
    }

    /// epoll; host events go to the control block. The doorbell is drained and not reported.
    fn poll(&mut self, timeout_nanos: f64) -> usize {
        // SAFETY: all zeros is a valid epoll_event.
        let mut events: [libc::epoll_event; 64] = unsafe { std::mem::zeroed() };
        let n = if timeout_nanos == 0.0 {
            // SAFETY: the buffer holds 64 events.
            unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), 64, 0) }
        } else {
            let limit = timeout_nanos.min(3.6e12);
            let time = libc::timespec { tv_sec: (limit / 1e9) as i64, tv_nsec: (limit % 1e9) as i64 };
            let time = if timeout_nanos.is_finite() { &time as *const _ } else { std::ptr::null() };
            // SAFETY: as above; epoll_pwait2 with no mask.
            unsafe { libc::syscall(libc::SYS_epoll_pwait2, self.epoll, events.as_mut_ptr(), 64, time, 0, 8) as i32 }
        };
        let mut host = 0;
        for event in events.iter().take(n.max(0) as usize) {
            let (data, bits) = (event.u64, event.events);
            if data == LISTENER_COOKIE {
                // Nobody has been told to clone.
                answer(self.listener, None);
                continue;
            }
            if data == u64::MAX {
                let mut count = 0u64;
                // SAFETY: reads the 8-byte counter of a non-blocking eventfd.
                unsafe { libc::read(self.doorbell, &mut count as *mut u64 as *mut c_void, 8) };
                continue;
            }
            self.put(C_HOST_LIST + host * 3, data as u32);
            self.put(C_HOST_LIST + host * 3 + 1, (data >> 32) as u32);
            self.put(C_HOST_LIST + host * 3 + 2, bits);
            host += 1;
        }
        host
    }
}

/// Sets up the control block, the arena region, the first arena and the first stub (not yet waited for).
/// `socket`: the stub's end of a SOCK_STREAM pair. `xsave_mask`: XCR0 bits to carry. Gives back the stub's pid.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_start(asks_clone: u32, preference: i32) -> i32 {
    PREFERENCE.store(preference, SeqCst);
    // SAFETY: plain system calls on memory and descriptors made here; checked one by one.
    unsafe {
        let region_bytes = ARENAS_MAX * ARENA_BYTES as usize;
        let region = libc::mmap(
            null_mut(),
            region_bytes,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        );
        if region == libc::MAP_FAILED {
            return errno();
        }
        let control = libc::mmap(
            null_mut(),
            C_WORDS * 4,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if control == libc::MAP_FAILED {
            return errno();
        }
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        let common_fd = libc::memfd_create(c"tsvisor-common".as_ptr(), flags);
        if common_fd < 0 || libc::ftruncate(common_fd, COMMON_BYTES as i64) < 0 {
            return errno();
        }
        let common = libc::mmap(
            null_mut(),
            COMMON_BYTES as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            common_fd,
            0,
        );
        if common == libc::MAP_FAILED {
            return errno();
        }
        // We alone may write to it: a stub maps it for reading, and a guest that jumps into the stub's text cannot change
        // that. What stands there holds for all guest processes.
        if libc::fcntl(common_fd, libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE) < 0 {
            return errno();
        }
        let doorbell = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if doorbell < 0 || epoll < 0 {
            return errno();
        }
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: u64::MAX };
        if libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, doorbell, &mut event) < 0 {
            return errno();
        }
        SENTRY = Some(Sentry {
            region: region as *mut u8,
            control: control as *mut u32,
            common: common as *mut u8,
            common_fd,
            listener: -1,
            doorbell,
            epoll,
            arena_fds: Vec::new(),
            running: Vec::new(),
            dormant: Vec::new(),
            turns: 0,
            cpus: own_cpus(),
        });
        fill_common(common as *mut u8, asks_clone != 0 && may_ask());
    }
    tsv_systrap_arena(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_fork_flags() -> u32 {
    FORK_FLAGS
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_thread_flags() -> u32 {
    THREAD_FLAGS
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_region() -> *mut u8 {
    sentry().region
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_control() -> *mut u32 {
    sentry().control
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_common() -> *mut u8 {
    sentry().common
}

/// Makes arena `index` (they are made in order); 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_arena(index: u32) -> i32 {
    let sentry = sentry();
    if index as usize != sentry.arena_fds.len() || index as usize >= ARENAS_MAX {
        return -libc::ENOSPC;
    }
    let fd = sentry.map_arena(index);
    if fd < 0 {
        return fd;
    }
    sentry.arena_fds.push(fd);
    0
}

/// Puts fresh memory in the place of arena `index`, whose process is gone; 0 or -errno. The old memory is never used
/// again: a guest may have mapped it in a process that we do not know of, and would meet the next one's registers there.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_arena_renew(index: u32) -> i32 {
    let sentry = sentry();
    let Some(&old) = sentry.arena_fds.get(index as usize) else {
        return -libc::EINVAL;
    };
    let fd = sentry.map_arena(index);
    if fd < 0 {
        return fd;
    }
    sentry.arena_fds[index as usize] = fd;
    tsv_systrap_close(old)
}

/// A connected pair of stream sockets into `pair`; the sentry's end is watched for hang-up under `cookie`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_socketpair(pair: *mut i32, cookie: u32) -> i32 {
    // SAFETY: `pair` holds two i32 (contract of bindings).
    unsafe {
        if libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, pair) < 0 {
            return errno();
        }
        let mut event = libc::epoll_event { events: libc::EPOLLRDHUP as u32, u64: cookie as u64 | 1 << 32 };
        if libc::epoll_ctl(sentry().epoll, libc::EPOLL_CTL_ADD, *pair, &mut event) < 0 {
            return errno();
        }
    }
    0
}

/// Sends arena `arena`'s descriptor (if not negative) and `fd` (if not negative) over `socket`, with one byte.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_send(socket: i32, arena: i32, fd: i32) -> i32 {
    let mut fds = [0i32; 2];
    let mut count = 0;
    if arena >= 0 {
        let Some(&arena_fd) = sentry().arena_fds.get(arena as usize) else {
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
}

/// Starts the first stub in arena 0 with `socket` as its descriptor 0. Gives back its pid.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_zygote(socket: i32) -> i32 {
    let sentry = sentry();
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
        let mut start = StubStart { stub, fds: [socket, sentry.doorbell, sentry.arena_fds[0], sentry.common_fd] };
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
    // SAFETY: see tsv_systrap_zygote.
    unsafe {
        let start = &*(start as *const StubStart);
        libc::personality(0x0040000 /* ADDR_NO_RANDOMIZE: keeps the kernel's own mappings above the stub */);
        libc::setsid();
        let none: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &none, null_mut());
        let core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &core);
        // What the sentry was given over the others is not the guests'.
        libc::setpriority(libc::PRIO_PROCESS, 0, libc::getpriority(libc::PRIO_PROCESS, 0) + PREFERENCE.load(SeqCst));
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

/// Watches `fd` (level-triggered) under `cookie`; events 0 stops watching.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_watch(fd: i32, events: u32, cookie: u32) -> i32 {
    let sentry = sentry();
    let mut event = libc::epoll_event { events, u64: cookie as u64 };
    // SAFETY: plain epoll_ctl.
    unsafe {
        if events == 0 {
            return if libc::epoll_ctl(sentry.epoll, libc::EPOLL_CTL_DEL, fd, &mut event) < 0 { errno() } else { 0 };
        }
        if libc::epoll_ctl(sentry.epoll, libc::EPOLL_CTL_MOD, fd, &mut event) == 0 {
            return 0;
        }
        if libc::epoll_ctl(sentry.epoll, libc::EPOLL_CTL_ADD, fd, &mut event) < 0 { errno() } else { 0 }
    }
}

/// Resumes the `resumes` slots listed in the control block.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_resume(resumes: u32) -> i32 {
    let sentry = sentry();
    for n in 0..(resumes as usize).min(EVENTS_MAX) {
        let slot = sentry.get(C_RESUME + n);
        sentry.run(slot, STATE_RUN);
        sentry.running.push(slot);
    }
    0
}

/// Resumes the `resumes` slots listed in the control block, then waits for events until `deadline` (CLOCK_MONOTONIC
/// nanoseconds; infinite = none; 0 = do not wait; negative = spin only). Spins at most `spin_nanos` first, and sleeps at most
/// `sleep_nanos` where guests may be running. Gives back the number of events; they and the host events stand in the control
/// block, and how the wait went.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_wait(resumes: u32, deadline: f64, spin_nanos: f64, sleep_nanos: f64) -> u32 {
    tsv_systrap_resume(resumes);
    let sentry = sentry();
    sentry.turns = sentry.turns.wrapping_add(1);
    sentry.put(C_WAITED, 0);
    if sentry.turns & 63 == 0 {
        sentry.rouse();
        if sentry.running.len() > MANY_RUNNING && sentry.turns & 1023 == 0 {
            sentry.sort_out_dormant();
        }
    }
    let mut found = sentry.collect();
    if found == 0 && deadline != 0.0 && spin_nanos > 0.0 && !sentry.running.is_empty() {
        found = sentry.spin(spin_nanos);
    }
    if found == 0 && deadline > 0.0 {
        return sentry.sleep(deadline, sleep_nanos);
    }
    // Busy guests must not starve host descriptors: look at them every few turns, and in each that serves many.
    let is_due = sentry.turns & 63 == 0 || found >= CROWD_EVENTS;
    let host = if deadline == 0.0 || is_due { sentry.poll(0.0) } else { 0 };
    sentry.put(C_HOST_EVENTS, host as u32);
    sentry.put(C_EVENTS, found as u32);
    found as u32
}

impl Sentry {
    fn spin(&mut self, nanos: f64) -> usize {
        let mut last = 0.0;
        let mut end = f64::INFINITY;
        loop {
            for _ in 0..PAUSES_A_LOOK {
                std::hint::spin_loop();
                let found = self.collect();
                if found != 0 {
                    if last != 0.0 {
                        self.note_time(monotonic_nanos());
                    }
                    return found;
                }
            }
            self.rouse();
            let now = monotonic_nanos();
            if last == 0.0 {
                end = now + nanos;
                self.put(C_WAITED, 1);
            } else if now - last > GAP_NANOS {
                self.put(C_WAITED, 2);
            }
            if now >= end {
                return 0;
            }
            last = now;
        }
    }

    fn note_time(&self, now: f64) {
        let bits = now.to_bits();
        self.put(C_NOW, bits as u32);
        self.put(C_NOW + 1, (bits >> 32) as u32);
        self.put(C_RUNNING, self.running.len() as u32);
    }

    fn sleep(&mut self, deadline: f64, most: f64) -> u32 {
        self.rouse();
        let mut rang = false;
        for &slot in &self.running {
            let state = self.state(slot);
            rang |= state.compare_exchange(STATE_RUN, STATE_RUN_SENTRY_ASLEEP, SeqCst, SeqCst).is_err()
                && state.load(SeqCst) != STATE_RUN_SENTRY_ASLEEP;
        }
        let timeout = if rang {
            0.0
        } else if deadline.is_finite() {
            (deadline - monotonic_nanos()).max(0.0)
        } else {
            f64::INFINITY
        };
        self.sort_out_dormant();
        let running = self.running.len() as u32;
        let is_capped = most < timeout && !(self.running.is_empty() && self.dormant.is_empty());
        let host = self.poll(if is_capped { most } else { timeout });
        self.rouse();
        for &slot in &self.running {
            let _ = self.state(slot).compare_exchange(STATE_RUN_SENTRY_ASLEEP, STATE_RUN, SeqCst, SeqCst);
        }
        let found = self.collect();
        self.put(C_HOST_EVENTS, host as u32);
        self.put(C_EVENTS, found as u32);
        let is_quiet = is_capped && found == 0 && host == 0;
        self.put(C_WAITED, if is_quiet { 3 } else { self.get(C_WAITED).max(1) });
        self.note_time(monotonic_nanos());
        self.put(C_RUNNING, running);
        found as u32
    }
}

/// All CPUs of this thread's affinity, the one it runs on, the rest.
fn own_cpus() -> [libc::cpu_set_t; 3] {
    // SAFETY: the kernel fills one set; the macros index within a set, as CPU numbers come from it.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut all);
        let own = libc::sched_getcpu().max(0) as usize;
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(own, &mut one);
        let mut rest = all;
        libc::CPU_CLR(own, &mut rest);
        [all, one, rest]
    }
}

/// How many CPUs we may use.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_cpus() -> u32 {
    // SAFETY: counts the bits of a set.
    unsafe { libc::CPU_COUNT(&sentry().cpus[0]) as u32 }
}

/// The CPU that CPU set 1 of tsv_systrap_place holds.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_own_cpu() -> i32 {
    let set = &sentry().cpus[1];
    // SAFETY: looks at bits within the set.
    (0..8 * size_of_val(set)).find(|&cpu| unsafe { libc::CPU_ISSET(cpu, set) }).map_or(-1, |cpu| cpu as i32)
}

/// Lets thread `tid` (0 = the caller) run on CPU set `which`: 0 all, 1 the sentry's one, 2 the rest.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_place(tid: i32, which: u32) -> i32 {
    let Some(set) = sentry().cpus.get(which as usize) else {
        return -libc::EINVAL;
    };
    // SAFETY: passes one set.
    if unsafe { libc::sched_setaffinity(tid, size_of::<libc::cpu_set_t>(), set) } < 0 { errno() } else { 0 }
}

/// The doorbell's descriptor, for the ptrace platform's SIGCHLD handler. Never closed.
pub fn doorbell() -> i32 {
    sentry().doorbell
}

/// Sleeps until `deadline`, the doorbell or a host descriptor; host events go to the control block, their count is returned.
pub fn sleep_for_descriptors(deadline: f64) -> u32 {
    let timeout = if deadline == 0.0 {
        0.0
    } else if deadline.is_finite() {
        (deadline - monotonic_nanos()).max(0.0)
    } else {
        f64::INFINITY
    };
    let sentry = sentry();
    let host = sentry.poll(timeout);
    sentry.put(C_HOST_EVENTS, host as u32);
    host as u32
}

pub fn monotonic_nanos() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Takes the listener of the stubs' filter, descriptor `fd` of the first stub `pid`. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_listen(pid: i32, fd: i32) -> i32 {
    let sentry = sentry();
    // SAFETY: plain calls on descriptors; epoll_ctl reads one event.
    unsafe {
        let process = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        if process < 0 {
            return errno();
        }
        let listener = libc::syscall(libc::SYS_pidfd_getfd, process, fd, 0) as i32;
        let error = errno();
        libc::close(process);
        if listener < 0 {
            return error;
        }
        sentry.listener = listener;
        prefer_one_cpu(listener);
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: LISTENER_COOKIE };
        if libc::epoll_ctl(sentry.epoll, libc::EPOLL_CTL_ADD, listener, &mut event) < 0 { errno() } else { 0 }
    }
}

/// As tsv_systrap_await() where one of the commands is clone(2) by thread `tid` with `flags`, for the child whose slot stands
/// at `child`: answers the host's question for it. -EAGAIN when that has not come in `millis`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_clone(
    slot: u32,
    socket: i32,
    spins: u32,
    millis: u32,
    tid: i32,
    flags: u32,
    child_low: u32,
    child_high: u32,
) -> i32 {
    let sentry = sentry();
    let child = child_low as u64 | (child_high as u64) << 32;
    let clone = CommandedClone { tid, flags: flags as u64, stack: child + STACK_END, tid_address: child + TID };
    if sentry.listener >= 0 {
        let is_done = || !is_running(sentry.state(slot).load(SeqCst));
        let end = monotonic_nanos() + millis as f64 * 1e6;
        let spun = monotonic_nanos() + if spins > 0 { CLONE_SPIN_NANOS } else { 0.0 };
        // A command before it may fail: then there is no question.
        while !is_done() {
            let now = monotonic_nanos();
            let mut fds = [
                libc::pollfd { fd: sentry.listener, events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: socket, events: libc::POLLRDHUP, revents: 0 },
            ];
            // SAFETY: polls two descriptors.
            unsafe { libc::poll(fds.as_mut_ptr(), 2, if now < spun { 0 } else { 1 }) };
            if fds[0].revents != 0 && answer(sentry.listener, Some(&clone)) {
                break;
            }
            if fds[1].revents != 0 {
                return -libc::EPIPE;
            }
            if now > end {
                return -libc::EAGAIN;
            }
        }
    }
    tsv_systrap_await(slot, socket, spins, millis)
}

/// A value that no stub writes is a report too: what the guest says in it is its own affair.
fn is_running(state: u32) -> bool {
    state == STATE_RUN || state == STATE_RUN_SENTRY_ASLEEP
}

/// How long the sentry looks for the question of a clone before it sleeps.
const CLONE_SPIN_NANOS: f64 = 100_000.0;

/// Waits for the report of `slot`, which already runs: a first stub, or commands let go before. 0, or -ETIMEDOUT after
/// `millis`, or -EPIPE when `socket` (the sentry's end) has hung up.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_await(slot: u32, socket: i32, spins: u32, millis: u32) -> i32 {
    let sentry = sentry();
    let state = sentry.state(slot);
    for _ in 0..spins {
        if !is_running(state.load(SeqCst)) {
            return 0;
        }
        std::hint::spin_loop();
    }
    let asleep = state.compare_exchange(STATE_RUN, STATE_RUN_SENTRY_ASLEEP, SeqCst, SeqCst);
    if !matches!(asleep, Ok(_) | Err(STATE_RUN_SENTRY_ASLEEP)) {
        return 0;
    }
    let end = monotonic_nanos() + millis as f64 * 1e6;
    loop {
        let mut fds = [
            libc::pollfd { fd: sentry.doorbell, events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: socket, events: libc::POLLRDHUP, revents: 0 },
        ];
        // SAFETY: polls two descriptors; reads the eventfd's 8 bytes.
        unsafe {
            libc::poll(fds.as_mut_ptr(), 2, millis.min(100) as i32);
            let mut count = 0u64;
            libc::read(sentry.doorbell, &mut count as *mut u64 as *mut c_void, 8);
        }
        if !is_running(state.load(SeqCst)) {
            return 0;
        }
        if fds[1].revents != 0 {
            return -libc::EPIPE;
        }
        if monotonic_nanos() > end {
            return -libc::ETIMEDOUT;
        }
    }
}

/// Lets `slot` carry out its commands without waiting and without counting it as running (a thread that ends).
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_let_go(slot: u32) -> i32 {
    sentry().run(slot, STATE_RUN);
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_close(fd: i32) -> i32 {
    // SAFETY: closes a descriptor that TypeScript owns.
    if unsafe { libc::close(fd) } < 0 { errno() } else { 0 }
}

/// Takes a slot out of the running set (its process is dead); 1 when it was in it.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_systrap_forget(slot: u32) -> u32 {
    let sentry = sentry();
    let before = sentry.running.len() + sentry.dormant.len();
    sentry.running.retain(|&running| running != slot);
    sentry.dormant.retain(|&dormant| dormant != slot);
    (before != sentry.running.len() + sentry.dormant.len()) as u32
}
