//! Commands that a stub carries out while the sentry waits: resumes the stub, and waits for its report. Results are >= 0 or -errno. One
//! thread calls in here.

use crate::host_loop::{host_loop, monotonic_nanos};
use crate::orders::has_cloned;
use crate::slot::*;
use crate::stub_memory::{is_running, stub_memory};
use std::sync::atomic::Ordering::SeqCst;

/// As tsv_stub_await() where one of the commands is clone(2). -EAGAIN when the time is over before it was allowed.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_clone(slot: u32, socket: i32, spins: u32, millis: u32) -> i32 {
    let result = tsv_stub_await(slot, socket, spins, millis);
    if result == -libc::ETIMEDOUT && !has_cloned(slot) { -libc::EAGAIN } else { result }
}

/// Waits for the report of `slot`, which already runs: a first stub, or commands handed over before. 0, or -ETIMEDOUT after
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
