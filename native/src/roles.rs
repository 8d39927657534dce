//! Starts the two processes of a sandbox, sentry and gofer, in namespaces of their own, each with one socket on which it
//! hears later what it is to do. The launcher does so before the command line has read a word of its arguments, and the
//! command line itself where no launcher has.

use crate::control::Writer;
use crate::errno::errno;
use crate::generated::{HELLO, HELLO_PREFERRED, HELLO_ROOTLESS, HELLO_SYSTRAP, HELLO_USER_NAMESPACE};
use crate::generated::SENTRY_PREFERENCE;
use crate::spawn;

/// argv and environment of a process: NUL-terminated strings, one after the other.
pub struct Program<'a> {
    pub argv: &'a [u8],
    pub envp: &'a [u8],
}

/// What has been started, and our ends of the sockets.
pub struct Roles {
    pub sentry: i32,
    pub gofer: i32,
    pub control: i32,
    pub gofer_control: i32,
}

const NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
const FLAGS: u32 = spawn::FLAG_NEW_SESSION
    | spawn::FLAG_DIE_WITH_PARENT
    | spawn::FLAG_BLOCK_USR1
    | spawn::FLAG_PRIVATE_MOUNTS
    | spawn::FLAG_NO_NEW_PRIVS;
const NOBODY: u64 = 65534;
/// uid_map and gid_map of a sentry that root starts: it becomes nobody, who exists outside and may do nothing there.
const ROOT_AND_NOBODY: &[u8] = b"0 0 1\n65534 65534 1\n\x000 0 1\n65534 65534 1\n";

/// How the sandbox's processes are started.
pub struct Options {
    /// How a caller that is not root sees its files inside: as root's, or as its own.
    pub is_root_inside: bool,
    /// The platform is the default one for sure: the sentry need not wait for its configuration.
    pub is_systrap: bool,
    /// A terminal that becomes the sentry's controlling one; -1 = none.
    pub terminal: i32,
    /// What they say in an emergency goes to the caller's stderr. Not where the container has a terminal that an engine has asked
    /// for: then the engine waits until nobody has that stderr any more.
    pub has_stderr: bool,
}

/// Starts both, or none: -errno.
pub fn start(sentry: &Program, gofer: &Program, options: &Options) -> Result<Roles, i32> {
    let is_root = is_full_root();
    let ids = if is_root { all_ids() } else { caller_ids(options.is_root_inside) };
    // SAFETY: a constant path.
    let nothing = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    if nothing < 0 {
        return Err(errno());
    }
    let control = Pair::new()?;
    let gofer_control = Pair::new()?;
    let has_terminal = options.terminal >= 0;
    let stderr = if options.has_stderr { 2 } else { nothing };
    let sentry_fds = [if has_terminal { options.terminal } else { nothing }, nothing, stderr, control.theirs];
    let more = if has_terminal { spawn::FLAG_TERMINAL } else { 0 };
    let mut hello = if options.is_systrap { HELLO_SYSTRAP } else { 0 };
    if !is_root {
        hello |= HELLO_ROOTLESS;
    }
    let sentry_ids: &[u8] = if is_root { ROOT_AND_NOBODY } else { &ids };
    let mut sentry_pid = spawn_role(sentry, &sentry_fds, sentry_ids, more);
    if sentry_pid > 0 {
        hello |= HELLO_USER_NAMESPACE;
    } else if is_root {
        // A host may forbid user namespaces even to root; the others hold without.
        sentry_pid = spawn_role(sentry, &sentry_fds, &[], more);
    }
    if sentry_pid > 0 && prefer(sentry_pid) {
        hello |= HELLO_PREFERRED;
    }
    let gofer_fds = [nothing, nothing, stderr, gofer_control.theirs];
    let mut gofer_pid = if sentry_pid < 0 { sentry_pid } else { spawn_role(gofer, &gofer_fds, &ids, 0) };
    if is_root && sentry_pid > 0 && gofer_pid < 0 {
        gofer_pid = spawn_role(gofer, &gofer_fds, &[], 0);
    }
    // SAFETY: closes descriptors made here, sends one byte, ends a process made here.
    unsafe {
        libc::close(nothing);
        if gofer_pid < 0 {
            if sentry_pid > 0 {
                libc::kill(sentry_pid, libc::SIGKILL);
                libc::waitpid(sentry_pid, std::ptr::null_mut(), 0);
            }
            return Err(gofer_pid);
        }
        let hello = Writer::new(HELLO).integer(hello).finish();
        libc::send(control.ours, hello.as_ptr() as *const libc::c_void, hello.len(), libc::MSG_NOSIGNAL);
    }
    Ok(Roles {
        sentry: sentry_pid,
        gofer: gofer_pid,
        control: control.keep(),
        gofer_control: gofer_control.keep(),
    })
}

/// The sentry is one thread among all of its guests' and must not wait for its turn behind a thousand of them. True where the
/// caller may do that: root.
fn prefer(pid: i32) -> bool {
    // SAFETY: passes no memory.
    unsafe {
        let nice = libc::getpriority(libc::PRIO_PROCESS, 0) - SENTRY_PREFERENCE;
        libc::setpriority(libc::PRIO_PROCESS, pid as u32, nice) == 0
    }
}

/// Root who can become nobody: in a user namespace of one id, root is as good as any other user.
fn is_full_root() -> bool {
    // SAFETY: passes no memory.
    if unsafe { libc::geteuid() } != 0 {
        return false;
    }
    let Ok(map) = std::fs::read_to_string("/proc/self/uid_map") else { return true };
    map.lines().any(|line| {
        let fields: Vec<u64> = line.split_ascii_whitespace().filter_map(|field| field.parse().ok()).collect();
        matches!(fields[..], [inner, _, count] if (inner..inner + count).contains(&NOBODY))
    })
}

/// Starts a controller: `link` is its connection to the sentry, `listener` the socket it accepts clients of. Its pid, or
/// -errno. It does not die with us: who has asked is answered first.
pub fn spawn_controller(program: &Program, link: i32, listener: i32) -> i32 {
    spawn_beside(program, NAMESPACES, &[2, link, listener])
}

/// Starts a relay, the net process of a sandbox (boot/relay.ts), which hears over `control` what it is to do. Its pid, or
/// -errno. Its network is ours. It does not die with us, but with its link to the sentry: the command line that starts it may
/// end before the container.
pub fn spawn_relay(program: &Program, control: i32) -> i32 {
    // SAFETY: a constant path; the descriptor is closed here.
    unsafe {
        let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if nothing < 0 {
            return errno();
        }
        let pid = spawn_beside(program, NAMESPACES & !libc::CLONE_NEWNET, &[nothing, control]);
        libc::close(nothing);
        pid
    }
}

/// Starts a role that is nobody's part: `fds` are its descriptors from 2 on.
fn spawn_beside(program: &Program, namespaces: i32, fds: &[i32]) -> i32 {
    // SAFETY: a constant path; the descriptor is closed here.
    unsafe {
        let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if nothing < 0 {
            return errno();
        }
        let fds = [&[nothing, nothing], fds].concat();
        let ids = if is_full_root() { ROOT_AND_NOBODY.to_vec() } else { caller_ids(true) };
        let flags = FLAGS & !spawn::FLAG_DIE_WITH_PARENT | spawn::FLAG_AMBIENT;
        let inner = (namespaces | libc::CLONE_NEWUSER) as u32;
        let mut pid = spawn::spawn(program.argv, program.envp, &fds, inner, flags, &ids);
        if pid < 0 {
            pid = spawn::spawn(program.argv, program.envp, &fds, namespaces as u32, flags, &[]);
        }
        libc::close(nothing);
        pid
    }
}

fn spawn_role(program: &Program, fds: &[i32], ids: &[u8], more: u32) -> i32 {
    let in_user_namespace = !ids.is_empty();
    let namespaces = NAMESPACES | if in_user_namespace { libc::CLONE_NEWUSER } else { 0 };
    let flags = FLAGS | more | if in_user_namespace { spawn::FLAG_AMBIENT } else { 0 };
    spawn::spawn(program.argv, program.envp, fds, namespaces as u32, flags, ids)
}

/// All ids that root has, each under its own number. Capabilities in such a user namespace hold for the files of all of them
/// (capable_wrt_inode_uidgid() of fs/inode.c), and for nothing else of the host's.
fn all_ids() -> Vec<u8> {
    let same = |path: &str| -> Option<String> {
        let mut text = String::new();
        for line in std::fs::read_to_string(path).ok()?.lines() {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [inner, _, count] = fields[..] else { return None };
            text += &format!("{inner} {inner} {count}\n");
        }
        Some(text)
    };
    match (same("/proc/self/uid_map"), same("/proc/self/gid_map")) {
        (Some(uids), Some(gids)) => format!("{uids}\0{gids}").into_bytes(),
        // A host without user namespaces.
        _ => Vec::new(),
    }
}

/// The one user there is: root inside, or under its own number.
fn caller_ids(is_root_inside: bool) -> Vec<u8> {
    // SAFETY: passes no memory.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let (inner_uid, inner_gid) = if is_root_inside { (0, 0) } else { (uid, gid) };
    format!("{inner_uid} {uid} 1\n\0{inner_gid} {gid} 1\n").into_bytes()
}

/// A connected pair of SOCK_SEQPACKET sockets, close-on-exec. Ends that are not kept close with it.
struct Pair {
    ours: i32,
    theirs: i32,
}

impl Pair {
    fn new() -> Result<Pair, i32> {
        let mut pair = [-1; 2];
        // SAFETY: writes two descriptors.
        let result = unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr())
        };
        if result < 0 { Err(errno()) } else { Ok(Pair { ours: pair[0], theirs: pair[1] }) }
    }

    fn keep(mut self) -> i32 {
        std::mem::replace(&mut self.ours, -1)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for fd in [self.ours, self.theirs] {
            if fd >= 0 {
                // SAFETY: ours.
                unsafe { libc::close(fd) };
            }
        }
    }
}
