//! Commands that a stub carries out while the sentry waits: let go, wait for the report, and answer the host where one of them is
//! clone(2), which the stubs' filter asks for. Results are >= 0 or -errno. One thread calls in here.

use crate::clone_question::{CommandedClone, answer, prefer_one_cpu};
use crate::host_loop::{host_loop, monotonic_nanos};
use crate::slot::*;
use crate::stub_memory::{is_running, stub_memory};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// What the stubs' filter asks: clone(2). -1 = it does not ask, or there is no stub yet.
static LISTENER: AtomicI32 = AtomicI32::new(-1);
/// Its number in the host loop.
const LISTENER_NUMBER: u32 = 0;

fn errno() -> i32 {
    -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Takes the listener of the stubs' filter, descriptor `fd` of the first stub `pid`. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_listen(pid: i32, fd: i32) -> i32 {
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
        LISTENER.store(listener, SeqCst);
        prefer_one_cpu(listener);
        host_loop().add_own(listener, LISTENER_NUMBER)
    }
}

/// After each poll of the host loop: a stub that asks now has not been told to clone, and dies.
pub fn refuse_clones() {
    if host_loop().take_own(LISTENER_NUMBER) {
        answer(LISTENER.load(SeqCst), None);
    }
}

/// As tsv_stub_await() where one of the commands is clone(2) by thread `tid` with `flags`, for the child whose slot stands
/// at `child`: answers the host's question for it. -EAGAIN when that has not come in `millis`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_clone(
    slot: u32,
    socket: i32,
    spins: u32,
    millis: u32,
    tid: i32,
    flags: u32,
    child_low: u32,
    child_high: u32,
) -> i32 {
    let memory = stub_memory();
    let listener = LISTENER.load(SeqCst);
    let child = child_low as u64 | (child_high as u64) << 32;
    let clone = CommandedClone { tid, flags: flags as u64, stack: child + STACK_END, tid_address: child + TID };
    if listener >= 0 {
        let is_done = || !is_running(memory.state(slot).load(SeqCst));
        let end = monotonic_nanos() + millis as f64 * 1e6;
        let spun = monotonic_nanos() + if spins > 0 { CLONE_SPIN_NANOS } else { 0.0 };
        // A command before it may fail: then there is no question.
        while !is_done() {
            let now = monotonic_nanos();
            let mut fds = [
                libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 },
                libc::pollfd { fd: socket, events: libc::POLLRDHUP, revents: 0 },
            ];
            // SAFETY: polls two descriptors.
            unsafe { libc::poll(fds.as_mut_ptr(), 2, if now < spun { 0 } else { 1 }) };
            if fds[0].revents != 0 && answer(listener, Some(&clone)) {
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
    tsv_stub_await(slot, socket, spins, millis)
}

/// How long the sentry looks for the question of a clone before it sleeps.
const CLONE_SPIN_NANOS: f64 = 100_000.0;

/// Waits for the report of `slot`, which already runs: a first stub, or commands let go before. 0, or -ETIMEDOUT after
/// `millis`, or -EPIPE when `socket` (the sentry's end) has hung up.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_await(slot: u32, socket: i32, spins: u32, millis: u32) -> i32 {
    let memory = stub_memory();
    let state = memory.state(slot);
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
            libc::pollfd { fd: host_loop().doorbell, events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: socket, events: libc::POLLRDHUP, revents: 0 },
        ];
        // SAFETY: polls two descriptors.
        unsafe { libc::poll(fds.as_mut_ptr(), 2, millis.min(100) as i32) };
        host_loop().drain_doorbell();
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
pub extern "C" fn tsv_stub_let_go(slot: u32) -> i32 {
    stub_memory().run(slot);
    0
}
