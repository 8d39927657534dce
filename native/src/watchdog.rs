//! A thread of the sentry's that sees whether its loop turns. A sentry that is at one thing for long serves nobody, and hears no
//! signal either: the thread reports it, and ends the sandbox where it is configured to, or where the command line wants its end.

use crate::control::{Reader, Writer};
use crate::generated::{EXIT, FRAME_BYTES_MAX, NOTICE, SIGNAL};
use core::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// What the loop writes (kernel/task/heartbeat.ts), one after the other.
#[repr(C)]
struct Page {
    /// Turns so far, with a carry that is lost.
    turns: AtomicU32,
    /// 1 while it waits for something to happen: then it need not turn.
    is_waiting: AtomicU32,
    /// Task and number of its call, as of the last that it has begun; 0 = none.
    task: AtomicU32,
    call: AtomicU32,
}

static PAGE: Page =
    Page { turns: AtomicU32::new(0), is_waiting: AtomicU32::new(0), task: AtomicU32::new(0), call: AtomicU32::new(0) };

/// How often the thread looks, also while the loop waits and need not turn. Looks are counted, not time: what stops the process
/// stops the thread too.
const LOOK_MILLIS: u64 = 100;
const WAITING_LOOK_MILLIS: u64 = 500;
/// After this a loop does not answer, and for so long somebody must have wanted the end.
const STUCK_MILLIS: u64 = 1000;
const WANTED_MILLIS: u64 = 500;

struct Watchdog {
    /// 0 = a stuck loop is not reported.
    timeout_seconds: u64,
    kills: bool,
    control: i32,
    log: i32,
    /// By number.
    names: Vec<String>,
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_watchdog_page() -> *const c_void {
    &raw const PAGE as *const c_void
}

/// Starts the thread. `names` are the names of the calls by number, each with a NUL behind it. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_watchdog_start(
    timeout_seconds: u32,
    kills: u32,
    control: i32,
    log: i32,
    names: *const u8,
    length: u32,
) -> i32 {
    // SAFETY: `names` has `length` bytes (native/watchdog.ts); they are copied.
    let names = unsafe { std::slice::from_raw_parts(names, length as usize) };
    let names = names.split(|&byte| byte == 0).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let watchdog =
        Watchdog { timeout_seconds: timeout_seconds.into(), kills: kills != 0, control, log, names };
    let thread = std::thread::Builder::new().name("watchdog".into()).stack_size(64 * 1024);
    match thread.spawn(move || watchdog.watch()) {
        Ok(_) => 0,
        Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
    }
}

impl Watchdog {
    fn watch(self) {
        let mut last = PAGE.turns.load(Relaxed);
        let (mut idle, mut stuck, mut wanted, mut is_reported) = (0u64, 0u64, 0u64, false);
        loop {
            let look = if PAGE.is_waiting.load(Relaxed) == 0 { LOOK_MILLIS } else { WAITING_LOOK_MILLIS };
            std::thread::sleep(Duration::from_millis(look));
            let turns = PAGE.turns.load(Relaxed);
            if turns != last {
                last = turns;
                (idle, stuck, wanted, is_reported) = (0, 0, 0, false);
                continue;
            }
            idle += look;
            stuck = if PAGE.is_waiting.load(Relaxed) == 0 { stuck + look } else { 0 };
            // A loop that waits would have read a message by now.
            if idle >= STUCK_MILLIS {
                let signal = self.wanted_end();
                wanted = if signal != 0 { wanted + look } else { 0 };
                if wanted > WANTED_MILLIS {
                    self.report(idle, "it is ended as signal ", &signal.to_string());
                    self.end(signal);
                }
            }
            if self.timeout_seconds == 0 || is_reported || stuck < self.timeout_seconds * 1000 {
                continue;
            }
            is_reported = true;
            let text = self.report(stuck, if self.kills { "it is killed" } else { "" }, "");
            // The launcher and the command line tell their user.
            self.tell(Writer::new(NOTICE).text(text.as_bytes()).finish());
            if self.kills {
                self.end(libc::SIGKILL);
            }
        }
    }

    /// A signal that waits in the control socket and is to end the sandbox, SIGKILL when the other end is closed; or 0.
    fn wanted_end(&self) -> i32 {
        let mut bytes = [0u8; FRAME_BYTES_MAX];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: the buffer is ours. recvfrom(2) leaves the message, and descriptors with it, for the loop.
        let n = unsafe { libc::recv(self.control, bytes.as_mut_ptr() as *mut c_void, bytes.len(), flags) };
        if n == 0 {
            return libc::SIGKILL;
        }
        let frame = bytes.get(..usize::try_from(n).unwrap_or(0)).unwrap_or(&[]);
        let mut fields = Reader::new(frame, SIGNAL);
        let mut next = || fields.as_mut().and_then(|fields| fields.integer());
        // Process 0 is the init.
        let (Some(signal), Some(0)) = (next(), next()) else { return 0 };
        let ends = [libc::SIGTERM, libc::SIGKILL, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];
        if ends.contains(&signal) { signal } else { 0 }
    }

    /// Logs what the loop is at; the text.
    fn report(&self, millis: u64, what: &str, detail: &str) -> String {
        let (task, call) = (PAGE.task.load(Relaxed), PAGE.call.load(Relaxed));
        let seconds = millis / 1000;
        let name = self.names.get(call as usize).map_or("no call", |name| name.as_str());
        let place = if task == 0 { "between calls".into() } else { format!("task {task}, call {call} ({name})") };
        let comma = if what.is_empty() { "" } else { "; " };
        let text = format!("Watchdog: the sentry's loop has not turned for {seconds} s: {place}{comma}{what}{detail}");
        let line = format!("{text}\n");
        // SAFETY: bytes of our own.
        unsafe { libc::write(self.log, line.as_ptr() as *const c_void, line.len()) };
        text
    }

    fn tell(&self, mut frame: Vec<u8>) {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: bytes of our own. sendmsg(2) is on the sentry's list, send(2) is not.
        unsafe {
            let mut part = libc::iovec { iov_base: frame.as_mut_ptr() as *mut c_void, iov_len: frame.len() };
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &mut part;
            message.msg_iovlen = 1;
            libc::sendmsg(self.control, &message, flags);
        }
    }

    /// Ends the sandbox, whose processes die with this one, as if its init had died of `signal`.
    fn end(&self, signal: i32) -> ! {
        self.tell(Writer::new(EXIT).integer(signal).finish());
        // SAFETY: nothing is left to be done.
        unsafe { libc::_exit(0) }
    }
}
