//! The process of a container, or of one more process in it, for a caller that has started it in the background: an engine has its
//! number, sees it end with the status, and reaps it. The launcher makes it before it becomes the command line: so it is the
//! parent of sentry and gofer, which end with it, and outlives the command line. What it is to wait for it hears over a
//! socket once that is certain; should the command line end before, nothing stays.

use crate::attend::{self, Attendance};
use crate::control::{Writer, hand_over, receive, send};
use crate::errno::errno;
use crate::generated::{STARTED, UNSTARTED};
use crate::roles::{Options, Program, Roles, start};

/// What the command line gets when its process could not start.
const EXIT_FAILED: i32 = 128;

/// Of the launcher, before anything else runs in it.
pub struct Attendant {
    /// The launcher's end of the socket.
    pub link: i32,
    pub pid: i32,
}

/// What the attendant is left with when there is more to do than to wait: the descriptor to hand over to the command line.
pub enum Forked {
    Launcher(Attendant),
    MoreToDo(i32),
}

/// Makes the attendant; with `roles` it starts these. Comes back in the attendant too, if that has more to do than to wait.
pub fn fork(roles: Option<(&Program, &Program, &Options)>) -> Result<Forked, i32> {
    let mut pair = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: two descriptors are written; the process has one thread.
    let pid = unsafe {
        if libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) < 0 {
            return Err(errno());
        }
        libc::fork()
    };
    if pid < 0 {
        return Err(errno());
    }
    let [ours, theirs] = pair;
    if pid > 0 {
        // SAFETY: ours; the other one goes to the next program.
        unsafe {
            libc::close(theirs);
            libc::fcntl(ours, libc::F_SETFD, 0);
        }
        return Ok(Forked::Launcher(Attendant { link: ours, pid }));
    }
    // SAFETY: ours.
    unsafe {
        // The caller may have left descriptors for the container (--preserve-fds); they are none of ours.
        libc::syscall(libc::SYS_close_range, 3, theirs as u32 - 1, 0);
        libc::syscall(libc::SYS_close_range, theirs as u32 + 1, u32::MAX, 0);
        libc::setsid();
        // The runtimes of the roles keep copies of their stderr, and an engine that has made a pipe of it waits for the last one.
        leave(2..=2);
    }
    match run(theirs, roles) {
        Ok(code) => std::process::exit(code),
        Err(handover) => Ok(Forked::MoreToDo(handover)),
    }
}

/// The exit code, or what to hand over.
fn run(link: i32, roles: Option<(&Program, &Program, &Options)>) -> Result<i32, i32> {
    let mut started = None;
    if let Some((sentry, gofer, options)) = roles {
        match start(sentry, gofer, options) {
            Ok(roles) => {
                enter_network(roles.sentry);
                tell(link, &roles, options);
                started = Some(roles);
            }
            Err(error) => {
                send(link, &Writer::new(UNSTARTED).integer(-error).finish(), &[]);
                return Ok(EXIT_FAILED);
            }
        }
    }
    let told = receive(link).and_then(|(frame, fds)| Some((attend::parse(&frame)?, fds)));
    let Some((mut attendance, fds)) = told else {
        end(started);
        return Ok(EXIT_FAILED);
    };
    let mut fds = fds.into_iter();
    match started {
        Some(roles) if attendance.sentry == 0 => join(&mut attendance, roles, fds.next()),
        Some(roles) => {
            attendance.control = roles.control;
            attendance.sentry = roles.sentry;
            attendance.gofer = roles.gofer;
            // SAFETY: ours; the gofer serves by now.
            unsafe { libc::close(roles.gofer_control) };
        }
        None => attendance.control = fds.next().unwrap_or(-1),
    }
    if attendance.listener >= 0 {
        attendance.listener = fds.next().unwrap_or(-1);
    }
    // SAFETY: ours. The command line hears that everything is in its place.
    unsafe { libc::close(link) };
    take_terminal(&attendance, fds.next());
    leave_stdio();
    match attend::attend_to(&attendance) {
        Some(code) => Ok(code),
        None => {
            for fd in [attendance.control, attendance.listener] {
                // SAFETY: ours, which the next program gets.
                unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
            }
            Err(hand_over(&attendance.frame()))
        }
    }
}

/// Moves to the sentry's network namespace. An engine identifies the container by our pid, and puts interfaces into the namespace
/// that it finds there; the host's would be the wrong one. A caller without the right to enter could not do that either.
fn enter_network(sentry: i32) {
    let Ok(path) = std::ffi::CString::new(format!("/proc/{sentry}/ns/net")) else { return };
    // SAFETY: the path ends with a NUL byte; the descriptor is ours.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::setns(fd, libc::CLONE_NEWNET);
            libc::close(fd);
        }
    }
}

fn tell(link: i32, roles: &Roles, options: &Options) {
    let Roles { sentry, gofer, control, gofer_control } = *roles;
    let message = Writer::new(STARTED).integer(sentry).integer(gofer).integer(control).integer(gofer_control);
    send(link, &message.integer(options.is_root_inside as i32).finish(), &[control, gofer_control]);
}

/// The container is in another one's sandbox: of what has been started it needs the gofer. `socket`, over which it has been
/// made, takes the number that others know as that of the control socket.
fn join(attendance: &mut Attendance, roles: Roles, socket: Option<i32>) {
    attendance.control = roles.control;
    attendance.gofer = roles.gofer;
    // SAFETY: a child and descriptors of ours.
    unsafe {
        libc::kill(roles.sentry, libc::SIGKILL);
        libc::waitpid(roles.sentry, std::ptr::null_mut(), 0);
        libc::close(roles.gofer_control);
        if let Some(fd) = socket {
            libc::dup3(fd, roles.control, libc::O_CLOEXEC);
            libc::close(fd);
        }
    }
}

/// Ends and reaps what has been started.
fn end(started: Option<Roles>) {
    let Some(roles) = started else { return };
    for pid in [roles.sentry, roles.gofer] {
        // SAFETY: children of ours.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
}

/// The terminal outside becomes ours: its size changes come as SIGWINCH then.
fn take_terminal(attendance: &Attendance, terminal: Option<i32>) {
    let Some(fd) = terminal.filter(|_| attendance.has_terminal) else { return };
    // SAFETY: passes no memory.
    unsafe {
        libc::ioctl(fd, libc::TIOCSCTTY, 0);
        libc::close(fd);
    }
}

/// Stdio is the container's: a reader outside waits until the last writer has closed it.
fn leave_stdio() {
    leave(0..=2);
}

fn leave(fds: std::ops::RangeInclusive<i32>) {
    // SAFETY: a constant path, descriptors of ours.
    unsafe {
        let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for fd in fds {
            libc::dup2(nothing, fd);
        }
        libc::close(nothing);
    }
}
