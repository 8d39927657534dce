//! Starts a role's process: descriptors by number, namespaces, parent-death signal, no_new_privs, and the signals that
//! Deno must not handle blocked, all before exec.

use crate::chroot;
use crate::errno::errno;
use core::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// Descriptors handed to a child at most.
const FDS_MAX: usize = 8;
/// Strings of argv and envp together at most.
const STRINGS_MAX: usize = 4096;

struct Start {
    argv: *const *const libc::c_char,
    envp: *const *const libc::c_char,
    fds: *const i32,
    count: usize,
    flags: u32,
    /// Pipe whose end says that the user namespace has its ids; -1 = there is none.
    mapped: i32,
    mapped_writer: i32,
}

/// The child is in a session of its own: the caller's terminal does not signal it.
pub const FLAG_NEW_SESSION: u32 = 1;
/// It dies with the thread that made it.
pub const FLAG_DIE_WITH_PARENT: u32 = 2;
/// SIGUSR1 stays blocked: Deno opens its inspector on it.
pub const FLAG_BLOCK_USR1: u32 = 4;
/// Mounts it makes stay its own (with CLONE_NEWNS).
pub const FLAG_PRIVATE_MOUNTS: u32 = 8;
pub const FLAG_NO_NEW_PRIVS: u32 = 16;
/// Descriptor 0 is a terminal of nobody and becomes its controlling terminal: SIGWINCH stays blocked, to be read from a
/// descriptor; a hang-up does not end it (with FLAG_NEW_SESSION).
pub const FLAG_TERMINAL: u32 = 32;
/// It keeps the capabilities it has in its new user namespace although it is not root there.
pub const FLAG_AMBIENT: u32 = 64;

fn strings(buffer: &[u8], pointers: &mut Vec<*const libc::c_char>) -> bool {
    if buffer.last().is_some_and(|&last| last != 0) {
        return false;
    }
    for text in buffer.split_inclusive(|&byte| byte == 0) {
        if pointers.len() >= STRINGS_MAX {
            return false;
        }
        pointers.push(text.as_ptr() as *const libc::c_char);
    }
    pointers.push(std::ptr::null());
    true
}

/// Starts argv[0] with argv and envp (NUL-terminated strings one after the other), fds[i] as descriptor i, in new
/// namespaces `clone_flags`; with CLONE_NEWUSER `ids` is what goes into uid_map and, after a NUL, into gid_map.
/// Gives back its pid, or -errno of the clone or of the map; an exec that fails ends the child with 127.
pub fn spawn(argv: &[u8], envp: &[u8], fds: &[i32], clone_flags: u32, flags: u32, ids: &[u8]) -> i32 {
    let (mut argv_list, mut envp_list) = (Vec::new(), Vec::new());
    if !strings(argv, &mut argv_list) || !strings(envp, &mut envp_list) || argv.is_empty() || fds.len() > FDS_MAX {
        return -libc::E2BIG;
    }
    let mut mapped = [-1; 2];
    let has_user_namespace = clone_flags & libc::CLONE_NEWUSER as u32 != 0;
    // SAFETY: the pipe's descriptors are written to the array.
    if has_user_namespace && unsafe { libc::pipe2(mapped.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return errno();
    }
    let mut start = Start {
        argv: argv_list.as_ptr(),
        envp: envp_list.as_ptr(),
        fds: fds.as_ptr(),
        count: fds.len(),
        flags,
        mapped: mapped[0],
        mapped_writer: mapped[1],
    };
    let pid_of_child = AtomicI32::new(0);
    let mut stack = vec![0u128; 8192];
    let mut pid = 0;
    // We sleep until the child has exec'ed, and the child until somebody has written its ids: a thread does.
    let map_result = std::thread::scope(|scope| {
        let mut writer = None;
        if has_user_namespace {
            match std::thread::Builder::new().spawn_scoped(scope, || write_ids(&pid_of_child, ids, mapped[1])) {
                Ok(thread) => writer = Some(thread),
                Err(error) => {
                    pid = -error.raw_os_error().unwrap_or(libc::EAGAIN);
                    // SAFETY: ours, which the thread would have closed.
                    unsafe { libc::close(mapped[1]) };
                    return 0;
                }
            }
        }
        // SAFETY: CLONE_VM | CLONE_VFORK: we sleep until the child has exec'ed or ended; it runs on its own stack and
        // makes system calls only. CLONE_PARENT_SETTID writes the child's pid before it runs.
        unsafe {
            let top = stack.as_mut_ptr().add(8192) as *mut c_void;
            let flags = clone_flags as i32
                | libc::CLONE_VM
                | libc::CLONE_VFORK
                | libc::CLONE_PARENT_SETTID
                | libc::SIGCHLD;
            let start = &mut start as *mut Start as *mut c_void;
            pid = libc::clone(become_program, top, flags, start, pid_of_child.as_ptr());
            if pid < 0 {
                pid = errno();
                pid_of_child.store(-1, SeqCst);
            }
        }
        writer.map_or(0, |writer: std::thread::ScopedJoinHandle<i32>| writer.join().unwrap_or(-libc::EIO))
    });
    if has_user_namespace {
        // SAFETY: ours; the writer has closed the other end.
        unsafe { libc::close(mapped[0]) };
    }
    if pid > 0 && map_result < 0 {
        // The child has ended without running the program.
        // SAFETY: reaps a child of ours.
        unsafe { libc::waitpid(pid, null_mut(), 0) };
        return map_result;
    }
    pid
}

/// Milliseconds for the child to come into being.
const CHILD_MILLIS_MAX: u32 = 10_000;

/// Gives the user namespace of the child its ids and tells it so with one byte on `mapped`; without, the child ends.
fn write_ids(pid: &AtomicI32, ids: &[u8], mapped: i32) -> i32 {
    let mut waited = 0;
    while pid.load(SeqCst) == 0 && waited < CHILD_MILLIS_MAX * 20 {
        std::thread::sleep(std::time::Duration::from_micros(50));
        waited += 1;
    }
    let pid = pid.load(SeqCst);
    let mut result = -libc::ESRCH;
    if pid > 0 {
        // SAFETY: passes no memory.
        let is_root = unsafe { libc::geteuid() } == 0;
        let put = |name: &str, text: &[u8]| std::fs::write(format!("/proc/{pid}/{name}"), text);
        let denied = if is_root { Ok(()) } else { put("setgroups", b"deny") };
        let (uids, gids) = ids.split_at(ids.iter().position(|&byte| byte == 0).unwrap_or(ids.len()));
        let gids = gids.get(1..).unwrap_or_default();
        result = match denied.and_then(|()| put("uid_map", uids)).and_then(|()| put("gid_map", gids)) {
            Ok(()) => 0,
            Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
        };
    }
    // SAFETY: writes one byte to a pipe of ours, and closes it.
    unsafe {
        if result == 0 {
            libc::write(mapped, [1u8].as_ptr() as *const c_void, 1);
        }
        libc::close(mapped);
    }
    result
}

extern "C" fn become_program(start: *mut c_void) -> i32 {
    // SAFETY: see tsv_spawn.
    unsafe {
        let start = &*(start as *const Start);
        if start.mapped >= 0 {
            let mut byte = 0u8;
            // Our copy of the other end would keep the pipe open should its writer fail.
            libc::syscall(libc::SYS_close, start.mapped_writer);
            if libc::read(start.mapped, &mut byte as *mut u8 as *mut c_void, 1) != 1 {
                libc::_exit(125);
            }
        }
        if start.flags & FLAG_AMBIENT != 0 && !keep_capabilities() {
            libc::_exit(126);
        }
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        if start.flags & FLAG_NEW_SESSION != 0 {
            libc::setsid();
        }
        if start.flags & FLAG_DIE_WITH_PARENT != 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
        if start.flags & FLAG_PRIVATE_MOUNTS != 0 && !has_private_mounts() && !has_private_mounts_outside() {
            libc::_exit(126);
        }
        if start.flags & FLAG_NO_NEW_PRIVS != 0 {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        }
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut mask);
        if start.flags & FLAG_BLOCK_USR1 != 0 {
            libc::sigaddset(&mut mask, libc::SIGUSR1);
        }
        if start.flags & FLAG_TERMINAL != 0 {
            libc::sigaddset(&mut mask, libc::SIGWINCH);
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &mask, null_mut());
        // First out of the way, then to their places: a source may be another's target.
        let mut high = [0i32; FDS_MAX];
        for i in 0..start.count {
            high[i] = libc::fcntl(*start.fds.add(i), libc::F_DUPFD, start.count as i32);
            if high[i] < 0 {
                libc::_exit(126);
            }
        }
        for i in 0..start.count {
            if libc::dup2(high[i], i as i32) < 0 {
                libc::_exit(126);
            }
        }
        if start.flags & FLAG_TERMINAL != 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
            libc::_exit(126);
        }
        libc::syscall(libc::SYS_close_range, start.count as u32, u32::MAX, 0);
        libc::execve(*start.argv, start.argv, start.envp);
        libc::_exit(127)
    }
}

/// All mounts are private from now on. False where the root directory is no mount: in a chroot.
unsafe fn has_private_mounts() -> bool {
    let none = std::ptr::null();
    // SAFETY: constant strings.
    unsafe { libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, std::ptr::null()) == 0 }
}

/// The same from a chroot, which is left for that.
unsafe fn has_private_mounts_outside() -> bool {
    // SAFETY: the child has a root directory of its own.
    unsafe {
        let Some(root) = chroot::leave() else { return false };
        let is_private = has_private_mounts();
        chroot::enter(root) && is_private
    }
}

/// All capabilities become ambient: execve(2) keeps them.
unsafe fn keep_capabilities() -> bool {
    let header = [0x2008_0522u32, 0];
    let mut data = [0u32; 6];
    // SAFETY: header and data have the layout of version 3 (effective, permitted, inheritable, twice).
    unsafe {
        if libc::syscall(libc::SYS_capget, header.as_ptr(), data.as_mut_ptr()) < 0 {
            return false;
        }
        data[2] = data[1];
        data[5] = data[4];
        if libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) < 0 {
            return false;
        }
        for capability in 0..64usize {
            let word = data[if capability < 32 { 1 } else { 4 }];
            if word >> (capability % 32) & 1 != 0 {
                libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0);
            }
        }
    }
    true
}
