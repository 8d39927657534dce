//! Waiting for a container's end without the runtime. Once a container runs, the command line has nothing to do but pass on
//! signals and wait, and its runtime would keep 15 MiB for that: so the process becomes the launcher again, in this role,
//! with the same pid, children and sockets. Whatever else comes over the control socket than the end is not for here, also
//! what is no message at all: the process becomes the command line once more (boot/cli/attached.ts) and finds it still in the
//! socket.

use crate::cgroup;
use crate::control::{Reader, Writer, take_over};
use crate::controller;
use crate::errno::errno;
use crate::generated::{ATTEND, EXIT, FORWARDED, FRAME_BYTES_MAX, RESIZED, SCOPE_PROCESS, SIGNAL, WAIT_REQUEST};
use crate::programs::Place;
use core::ffi::c_void;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// What is passed on to the container's init. SIGUSR1 comes here alone: in our runtime it would open the inspector.
fn forwarded() -> libc::sigset_t {
    // SAFETY: a set of our own.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in FORWARDED {
            libc::sigaddset(&mut set, signal);
        }
        set
    }
}

/// The host's kernel has sent it.
const SI_KERNEL: i32 = 0x80;

/// Where on_signal() writes.
static DIVERTED: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_signal(signal: i32) {
    // SAFETY: one byte to a pipe of ours; errno is this thread's own and is put back.
    unsafe {
        let place = libc::__errno_location();
        let before = *place;
        libc::write(DIVERTED.load(SeqCst), [signal as u8].as_ptr() as *const c_void, 1);
        *place = before;
    }
}

/// From now on signals that are passed on go into a pipe, whichever thread they come to: its reading end, or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_divert_signals() -> i32 {
    let mut pipe = [0i32; 2];
    // SAFETY: descriptors are written to the array; the handler makes one system call.
    unsafe {
        // The reading end goes to the next program; a writer never waits.
        if libc::pipe2(pipe.as_mut_ptr(), libc::O_NONBLOCK) < 0 {
            return errno();
        }
        libc::fcntl(pipe[1], libc::F_SETFD, libc::FD_CLOEXEC);
        DIVERTED.store(pipe[1], SeqCst);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        for signal in FORWARDED {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    pipe[0]
}

/// Becomes the program `words` (NUL-terminated strings, one after the other: its path, its arguments) with the environment as
/// it is. Signals that are passed on wait until it asks for them. The first `kept` of descriptors stay open. Comes back with
/// -errno only.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_become(words: *const u8, length: u32, kept: *const i32, count: u32) -> i32 {
    // SAFETY: `words` has `length` bytes and ends with a NUL, `kept` has `count` descriptors (process.ts).
    unsafe {
        for i in 0..count as usize {
            libc::fcntl(*kept.add(i), libc::F_SETFD, 0);
        }
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, &forwarded(), &mut before);
        let words = std::slice::from_raw_parts(words, length as usize);
        let list = words.split(|&byte| byte == 0).map(|word| CString::new(word).unwrap_or_default());
        let error = execute(list.take(words.iter().filter(|&&byte| byte == 0).count()).collect());
        libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        -error
    }
}

/// The runtime has its handlers again: signals that wait, and later ones, come to them. SIGUSR1 stays blocked.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_receive_signals() -> i32 {
    let mut set = forwarded();
    // SAFETY: sets of our own.
    unsafe {
        libc::sigdelset(&mut set, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut())
    }
}

fn execute(words: Vec<CString>) -> i32 {
    let pointers: Vec<*const libc::c_char> =
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: the list ends with a null pointer and lives until the call returns.
    unsafe {
        libc::execve(pointers[0], pointers.as_ptr(), environ);
    }
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// ATTEND: whom to wait for.
pub struct Attendance {
    pub control: i32,
    pub diverted: i32,
    /// Where clients of the control API connect; -1 = nowhere.
    pub listener: i32,
    /// 0 = none: it waits for process `pid` of a container, whose end is the reply that comes.
    pub sentry: i32,
    pub gofer: i32,
    pid: i32,
    /// Process that puts the terminal's settings back when `guard_release` closes; 0 = none.
    guard: i32,
    guard_release: i32,
    pub has_terminal: bool,
    /// State directory and id of the container whose record goes with its end; empty = none.
    root: OsString,
    id: OsString,
    /// Directories of its cgroup that are removed in any case: see boot/cgroup/removal.ts.
    cgroup: OsString,
    /// The command line's, should it come back.
    log: OsString,
    log_format: OsString,
}

impl Attendance {
    /// It waits for process `pid` of a container, whose end has been asked for over `control`.
    pub fn of_process(control: i32, pid: i32) -> Attendance {
        let nothing = OsString::new;
        let (root, id, cgroup, log, log_format) = (nothing(), nothing(), nothing(), nothing(), nothing());
        let (diverted, listener, sentry, gofer, guard, guard_release) = (-1, -1, 0, 0, 0, -1);
        let has_terminal = false;
        Attendance {
            control,
            diverted,
            listener,
            sentry,
            gofer,
            pid,
            guard,
            guard_release,
            has_terminal,
            root,
            id,
            cgroup,
            log,
            log_format,
        }
    }

    /// The frame that it has been read from.
    pub fn frame(&self) -> Vec<u8> {
        let Attendance { control, diverted, listener, sentry, gofer, pid, guard, guard_release, .. } = *self;
        let numbers = [control, diverted, listener, sentry, gofer, pid, guard, guard_release, self.has_terminal as i32];
        let writer = numbers.into_iter().fold(Writer::new(ATTEND), Writer::integer);
        let texts = [&self.root, &self.id, &self.cgroup, &self.log, &self.log_format];
        texts.into_iter().fold(writer, |writer, text| writer.text(text.as_encoded_bytes())).finish()
    }
}

pub fn parse(frame: &[u8]) -> Option<Attendance> {
    let mut fields = Reader::new(frame, ATTEND)?;
    let owned = |text: &[u8]| OsString::from_vec(text.to_vec());
    Some(Attendance {
        control: fields.integer()?,
        diverted: fields.integer()?,
        listener: fields.integer()?,
        sentry: fields.integer()?,
        gofer: fields.integer()?,
        pid: fields.integer()?,
        guard: fields.integer()?,
        guard_release: fields.integer()?,
        has_terminal: fields.integer()? != 0,
        root: owned(fields.text()?),
        id: owned(fields.text()?),
        cgroup: owned(fields.text()?),
        log: owned(fields.text()?),
        log_format: owned(fields.text()?),
    })
}

/// Signals that are passed on wait from now on.
pub fn hold_signals() {
    // SAFETY: a set of our own.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &forwarded(), std::ptr::null_mut()) };
}

/// They come as they used to.
pub fn release_signals() {
    // SAFETY: a set of our own.
    unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &forwarded(), std::ptr::null_mut()) };
}

/// Waits for the end, as descriptor `handover` says: the exit code. None when there is something else for the command line to
/// do.
pub fn attend(handover: i32) -> Option<i32> {
    attend_to(&parse(&take_over(handover)?)?)
}

/// As attend(), where `attendance` says. Signals that are passed on are blocked from then on.
pub fn attend_to(attendance: &Attendance) -> Option<i32> {
    let set = forwarded();
    // SAFETY: a set of our own; plain system calls on descriptors that are ours.
    unsafe {
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        let signals = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        // Those that came while the runtime was still there; nobody writes to it any more.
        let mut early = [0u8; 256];
        let count = match attendance.diverted {
            -1 => 0,
            diverted => libc::read(diverted, early.as_mut_ptr() as *mut c_void, early.len()),
        };
        if attendance.diverted >= 0 {
            libc::close(attendance.diverted);
        }
        for &signal in early.iter().take(count.max(0) as usize) {
            pass_on(attendance, signal as i32);
        }
        // A terminal may have got another size before anybody heard of it: a change says nothing to who has no handler, and
        // nothing to an attendant before TIOCSCTTY.
        if attendance.has_terminal {
            pass_on(attendance, libc::SIGWINCH);
        }
        serve_control_api(attendance);
        loop {
            let watch = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let mut list = [watch(attendance.control), watch(signals)];
            if libc::poll(list.as_mut_ptr(), 2, -1) < 0 {
                continue;
            }
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let bytes = size_of_val(&info);
            while libc::read(signals, &mut info as *mut _ as *mut c_void, bytes) == bytes as isize {
                // An attendant's terminal that is hung up is the container's, which hears of it itself.
                let is_hangup = info.ssi_signo as i32 == libc::SIGHUP && info.ssi_code == SI_KERNEL;
                if !(is_hangup && attendance.diverted < 0) {
                    pass_on(attendance, info.ssi_signo as i32);
                }
            }
            if list[0].revents != 0 {
                libc::close(signals);
                let status = end_status(attendance)?;
                return Some(finish(attendance, status));
            }
        }
    }
}

fn serve_control_api(attendance: &Attendance) {
    let Some(place) = Place::find().ok().filter(|_| attendance.listener >= 0) else { return };
    let (Some(argv), Some(envp)) = (place.strings("controller.argv"), place.strings("roles.envp")) else { return };
    controller::serve(attendance.listener, attendance.control, argv, envp);
}

fn pass_on(attendance: &Attendance, signal: i32) {
    let is_resize = signal == libc::SIGWINCH && attendance.has_terminal;
    let pid = attendance.pid;
    let message = match is_resize {
        true => Writer::new(RESIZED).integer(pid),
        false => Writer::new(SIGNAL).integer(signal).integer(pid).integer(SCOPE_PROCESS),
    };
    let frame = message.finish();
    // SAFETY: sends bytes of our own.
    unsafe { libc::send(attendance.control, frame.as_ptr() as *const c_void, frame.len(), libc::MSG_NOSIGNAL) };
}

/// The wait(2) status of what it waits for, if that is what the next message tells. The message stays where it is. A sandbox
/// that has been killed says nothing: SIGKILL.
fn end_status(attendance: &Attendance) -> Option<i32> {
    let mut bytes = [0u8; FRAME_BYTES_MAX];
    let flags = libc::MSG_PEEK;
    // SAFETY: the buffer is ours.
    let n = unsafe { libc::recv(attendance.control, bytes.as_mut_ptr() as *mut c_void, bytes.len(), flags) };
    if n == 0 && (attendance.sentry == 0 || is_killed(attendance.sentry)) {
        return Some(libc::SIGKILL);
    }
    let frame = bytes.get(..usize::try_from(n).ok()?)?;
    let mut fields =
        if attendance.sentry == 0 { Reader::reply(frame, EXIT, WAIT_REQUEST) } else { Reader::new(frame, EXIT) }?;
    let status = fields.integer()?;
    (fields.is_at_end() && (0..=0xffff).contains(&status)).then_some(status)
}

/// Whether child `pid`, whose end is near, has been killed by SIGKILL. It stays to be reaped.
fn is_killed(pid: i32) -> bool {
    // SAFETY: writes one siginfo_t.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let result = libc::waitid(libc::P_PID, pid as u32, &mut info, libc::WEXITED | libc::WNOWAIT);
        result == 0 && info.si_code == libc::CLD_KILLED && info.si_status() == libc::SIGKILL
    }
}

/// Ends and reaps what is left, puts the terminal back, removes the container's record: the exit code.
fn finish(attendance: &Attendance, status: i32) -> i32 {
    let wait = |pid: i32| {
        // SAFETY: a child of ours.
        while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } < 0
            && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
        {}
    };
    let roles: Vec<i32> = [attendance.sentry, attendance.gofer].into_iter().filter(|&pid| pid > 0).collect();
    for &pid in &roles {
        // SAFETY: children of ours that are not reaped yet.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    if attendance.guard > 0 {
        // SAFETY: ours.
        unsafe { libc::close(attendance.guard_release) };
        wait(attendance.guard);
    }
    roles.into_iter().for_each(wait);
    cgroup::remove_listed(attendance.cgroup.as_encoded_bytes());
    if !attendance.id.is_empty() {
        remove_record(&attendance.root, &attendance.id);
    }
    controller::finish();
    if status & 0x7f == 0 { status >> 8 & 0xff } else { 128 + (status & 0x7f) }
}

/// As StateDirectory.remove() in boot/oci/state.ts.
fn remove_record(root: &OsString, id: &OsString) {
    let name = [id.as_encoded_bytes(), b".json"].concat();
    let socket = [b"runsc-", id.as_encoded_bytes(), b".sock"].concat();
    let root = CString::new(root.as_encoded_bytes());
    let (Ok(root), Ok(name), Ok(socket)) = (root, CString::new(name), CString::new(socket)) else { return };
    // SAFETY: strings that live meanwhile; a descriptor that is closed here, and the lock with it.
    unsafe {
        let directory = libc::open(root.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC);
        if directory >= 0 {
            libc::flock(directory, libc::LOCK_EX);
            libc::unlinkat(directory, socket.as_ptr(), 0);
            libc::unlinkat(directory, name.as_ptr(), 0);
            libc::close(directory);
        }
    }
}
