//! What a role gives up once it has started: its root directory, its ids and capabilities, most system calls. The order
//! and the lists are data in boot/confinement.ts and boot/seccomp_lists.ts.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter_all_threads,
};
use std::collections::BTreeMap;

fn errno() -> i32 {
    -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Makes an empty, read-only tmpfs the root of this process (in its own mount namespace), with /proc in it if `keeps_proc`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_root(keeps_proc: u32) -> i32 {
    // SAFETY: mounts and pivots with constant strings; each step is checked.
    unsafe {
        let place = c"/tmp".as_ptr();
        let none = c"none".as_ptr();
        let tmpfs = c"tmpfs".as_ptr();
        let options = c"size=4k,mode=0555".as_ptr() as *const libc::c_void;
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        if libc::mount(none, place, tmpfs, flags, options) < 0 || libc::chdir(place) < 0 {
            return errno();
        }
        if keeps_proc != 0 {
            if libc::mkdir(c"proc".as_ptr(), 0o555) < 0 {
                return errno();
            }
            if libc::mount(none, c"proc".as_ptr(), c"proc".as_ptr(), flags, std::ptr::null()) < 0 {
                return errno();
            }
        }
        if libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) < 0 {
            return errno();
        }
        if libc::umount2(c".".as_ptr(), libc::MNT_DETACH) < 0 || libc::chdir(c"/".as_ptr()) < 0 {
            return errno();
        }
        let flags = flags | libc::MS_REMOUNT | libc::MS_RDONLY;
        if libc::mount(none, c"/".as_ptr(), std::ptr::null(), flags, options) < 0 {
            return errno();
        }
    }
    0
}

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
        // Not dumpable any more after the change; our children, the stubs, are read by process_vm_readv and must be.
        if libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 {
            return errno();
        }
    }
    0
}

/// Keeps only the capabilities of `low`/`high` words in every set of the calling thread; other threads of Deno have been
/// started before and are held by seccomp.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_capabilities(low: u32, high: u32) -> i32 {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let data = [low, low, 0u32, high, high, 0];
    // SAFETY: header and data have the layout of version 3.
    unsafe {
        for capability in 0..41u32 {
            let kept = if capability < 32 { low >> capability & 1 } else { high >> (capability - 32) & 1 };
            if kept == 0 {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
        }
        if libc::syscall(libc::SYS_capset, &header, data.as_ptr()) < 0 { errno() } else { 0 }
    }
}

/// In the place of the argument: the call gives EPERM instead of killing.
const REFUSED: u32 = 0xff;

/// Installs an allow-list on every thread. `rules` are `count` entries of 4 words: call number, argument + 1 (0 = any),
/// mask, value: the call is allowed when (argument & mask) == value. Other calls kill the process, or give EPERM when
/// `is_lenient`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_calls(rules: *const u32, count: u32, is_lenient: u32) -> i32 {
    // SAFETY: `rules` has 4 * count words (process.ts).
    let words = unsafe { std::slice::from_raw_parts(rules, count as usize * 4) };
    let mut map: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for rule in words.chunks(4) {
        let list = map.entry(rule[0] as i64).or_default();
        if rule[1] == REFUSED {
            refused.entry(rule[0] as i64).or_default();
            continue;
        }
        if rule[1] == 0 {
            continue;
        }
        let operator = SeccompCmpOp::MaskedEq(rule[2] as u64);
        let condition =
            SeccompCondition::new((rule[1] - 1) as u8, SeccompCmpArgLen::Dword, operator, rule[3] as u64);
        let Some(rule) = condition.ok().and_then(|condition| SeccompRule::new(vec![condition]).ok()) else {
            return -libc::EINVAL;
        };
        list.push(rule);
    }
    let otherwise =
        if is_lenient != 0 { SeccompAction::Errno(libc::EPERM as u32) } else { SeccompAction::KillProcess };
    let filter = SeccompFilter::new(map, otherwise, SeccompAction::Allow, TargetArch::x86_64);
    let Some(program) = filter.ok().and_then(|filter| BpfProgram::try_from(filter).ok()) else {
        return -libc::EINVAL;
    };
    // Of two filters the stricter verdict counts: calls the runtime tries and can do without get EPERM.
    let errno = SeccompAction::Errno(libc::EPERM as u32);
    let second = SeccompFilter::new(refused, SeccompAction::Allow, errno, TargetArch::x86_64);
    let Some(second) = second.ok().and_then(|filter| BpfProgram::try_from(filter).ok()) else {
        return -libc::EINVAL;
    };
    match apply_filter_all_threads(&second).and_then(|()| apply_filter_all_threads(&program)) {
        Ok(()) => 0,
        Err(_) => -libc::EPERM,
    }
}
