//! Ids and capabilities of a role, on all of its threads. capset(2) and prctl(2) change the calling thread alone, and Deno
//! has started its threads before any of our code runs: each of them is made to do it by a signal.

use crate::errno::errno;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

/// Thread ids looked at, at most: in a pid namespace of our own they are small.
const THREAD_IDS_MAX: i32 = 4096;
/// Rounds until no thread is found that has come into being meanwhile.
const ROUNDS_MAX: u32 = 100;
/// How often we look whether all threads have answered, and how many times at most (some seconds).
const LOOK_MICROS: u32 = 20;
const ANSWER_LOOKS_MAX: u32 = 50_000;
const CAPABILITY_LAST: u32 = 40;

static KEPT: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
static ANSWERS: AtomicU32 = AtomicU32::new(0);
static FAILURE: AtomicI32 = AtomicI32::new(0);

/// Becomes `uid` and `gid` without groups on every thread (libc tells all of them); root's capabilities go with it.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_ids(uid: u32, gid: u32) -> i32 {
    // SAFETY: passes no memory but an empty list.
    unsafe {
        if libc::setgroups(0, std::ptr::null()) < 0
            || libc::setresgid(gid, gid, gid) < 0
            || libc::setresuid(uid, uid, uid) < 0
        {
            return errno();
        }
    }
    0
}

/// No process of the same user may trace us or read our memory, and nothing of ours lands in a core file.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_dumps() -> i32 {
    // SAFETY: passes no memory.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } < 0 { errno() } else { 0 }
}

/// Processes and threads of this user at most, from now on: a second line behind the kernel's own count of tasks.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_processes(most: u32) -> i32 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes and reads one rlimit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NPROC, &mut limit) < 0 {
            return errno();
        }
        // Only who has rights that we have given up may raise it: where the caller has less, that is what there is.
        limit.rlim_max = limit.rlim_max.min(most as u64);
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NPROC, &limit) < 0 { errno() } else { 0 }
    }
}

/// Keeps the capabilities of `low`/`high` words, permitted and effective, on every thread; the other sets become empty. For a process that is the first of its pid namespace.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_capabilities(low: u32, high: u32) -> i32 {
    KEPT[0].store(low, SeqCst);
    KEPT[1].store(high, SeqCst);
    ANSWERS.store(0, SeqCst);
    FAILURE.store(0, SeqCst);
    let signal = libc::SIGRTMIN() + 6;
    // SAFETY: the handler makes raw system calls and touches atomics only.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let mut before: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_request as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        if libc::sigaction(signal, &action, &mut before) < 0 {
            return errno();
        }
        let process = libc::getpid();
        let me = libc::syscall(libc::SYS_gettid) as i32;
        let mut asked = 0;
        // Ids are given in order, so none is above the newest thread's. A thread made while we ask has its rights from one
        // that may not have answered yet: the next round finds it.
        let mut next = 1;
        for _ in 0..ROUNDS_MAX {
            let newest = newest_thread();
            let before_round = asked;
            for thread in next..newest.min(THREAD_IDS_MAX) {
                if thread != me && libc::syscall(libc::SYS_tgkill, process, thread, signal) == 0 {
                    asked += 1;
                }
            }
            next = newest;
            let mut waited = 0;
            while ANSWERS.load(SeqCst) < asked && waited < ANSWER_LOOKS_MAX {
                libc::usleep(LOOK_MICROS);
                waited += 1;
            }
            if asked == before_round || ANSWERS.load(SeqCst) < asked {
                break;
            }
        }
        libc::sigaction(signal, &before, std::ptr::null_mut());
        if ANSWERS.load(SeqCst) < asked {
            return -libc::ETIMEDOUT;
        }
        let result = drop_capabilities();
        if result < 0 { result } else { FAILURE.load(SeqCst) }
    }
}

/// Id of a thread made for the purpose, which has ended; THREAD_IDS_MAX where none can be made.
fn newest_thread() -> i32 {
    // SAFETY: passes no memory.
    let id = std::thread::Builder::new().spawn(|| unsafe { libc::syscall(libc::SYS_gettid) } as i32);
    id.ok().and_then(|thread| thread.join().ok()).unwrap_or(THREAD_IDS_MAX)
}

extern "C" fn on_request(_: i32) {
    // SAFETY: errno is this thread's own; the interrupted code finds it as it was.
    unsafe {
        let place = libc::__errno_location();
        let before = *place;
        let result = drop_capabilities();
        if result < 0 {
            FAILURE.store(result, SeqCst);
        }
        *place = before;
    }
    ANSWERS.fetch_add(1, SeqCst);
}

/// On the calling thread. Without CAP_SETPCAP the bounding set stays: with no_new_privs and execve(2) forbidden it gives
/// nothing.
unsafe fn drop_capabilities() -> i32 {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    // Effective, permitted, inheritable: the low words, then the high ones.
    let mut had = [0u32; 6];
    // SAFETY: header and data have the layout of version 3; the rest passes no memory.
    unsafe {
        if libc::syscall(libc::SYS_capget, &header, had.as_mut_ptr()) < 0 {
            return errno();
        }
        // Root of a container has fewer than we would keep.
        let (low, high) = (KEPT[0].load(SeqCst) & had[1], KEPT[1].load(SeqCst) & had[4]);
        let data = [low, low, 0u32, high, high, 0];
        libc::syscall(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        for capability in 0..=CAPABILITY_LAST {
            libc::syscall(libc::SYS_prctl, libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        if libc::syscall(libc::SYS_capset, &header, data.as_ptr()) < 0 { errno() } else { 0 }
    }
}
