//! Starts the controller of a sandbox (boot/controller.ts) when somebody connects to its control API, and again after it has
//! ended: a sandbox that nobody asks anything has no such process. A thread does this, in whatever process waits for the
//! container: it has the listening socket and the sentry's control socket.

use crate::control::{self, Writer};
use crate::generated::CONNECT;
use crate::roles::{Program, spawn_controller};
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The controller that runs now; 0 = none.
static RUNNING: AtomicI32 = AtomicI32::new(0);
/// How long it may take to give the last answers once the sandbox has ended; it gives itself less.
const DRAIN: Duration = Duration::from_millis(2500);
/// Between two tries where one cannot be started: those who have connected wait meanwhile.
const RETRY: Duration = Duration::from_secs(1);

/// Has a thread serve `listener` for the sandbox behind `control` from now on. Signals that this thread blocks it blocks too.
pub fn serve(listener: i32, control: i32, argv: Vec<u8>, envp: Vec<u8>) {
    let serve = move || {
        loop {
            let mut watch = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd of our own.
            if unsafe { libc::poll(&mut watch, 1, -1) } <= 0 {
                continue;
            }
            if !run(listener, control, &Program { argv: &argv, envp: &envp }) {
                std::thread::sleep(RETRY);
            }
        }
    };
    // Without a thread nobody is served; the container runs all the same.
    let _ = std::thread::Builder::new().stack_size(256 * 1024).spawn(serve);
}

/// Starts one and waits for its end. False when it could not start, or ended as it should not.
fn run(listener: i32, control: i32, program: &Program) -> bool {
    let mut pair = [-1; 2];
    // SAFETY: writes two descriptors, which are closed here.
    unsafe {
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        if libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) < 0 {
            return false;
        }
        let [ours, theirs] = pair;
        let is_sent = send_connect(control, theirs);
        libc::close(theirs);
        let pid = if is_sent { spawn_controller(program, ours, listener) } else { -libc::EPIPE };
        libc::close(ours);
        if pid < 0 {
            return false;
        }
        RUNNING.store(pid, SeqCst);
        let mut status = 0;
        while libc::waitpid(pid, &mut status, 0) < 0
            && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
        {}
        RUNNING.store(0, SeqCst);
        status == 0
    }
}

/// The sentry gets `fd`, one more connection for requests.
fn send_connect(socket: i32, fd: i32) -> bool {
    control::send(socket, &Writer::new(CONNECT).finish(), &[fd])
}

/// The sandbox has ended: its controller answers those who have asked, and ends. Comes back when it has, or is made to.
pub fn finish() {
    let end = Instant::now() + DRAIN;
    loop {
        let pid = RUNNING.load(SeqCst);
        if pid == 0 {
            return;
        }
        if Instant::now() >= end {
            // SAFETY: a child of ours; the other thread reaps it.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// As serve(), for the command line where no launcher waits in its place.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_serve_controller(
    listener: i32,
    control: i32,
    argv: *const u8,
    argv_length: u32,
    envp: *const u8,
    envp_length: u32,
) {
    // SAFETY: both have their lengths (controller.ts).
    let (argv, envp) = unsafe {
        let bytes = |start, length| std::slice::from_raw_parts(start, length as usize).to_vec();
        (bytes(argv, argv_length), bytes(envp, envp_length))
    };
    serve(listener, control, argv, envp);
}

/// See finish().
#[unsafe(no_mangle)]
pub extern "C" fn tsv_finish_controller() {
    finish();
}
