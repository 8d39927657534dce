//! What a role gives up once it has started: the files that the runtime has opened, its root directory, most system calls
//! (ids and capabilities: capabilities.rs). The order and the lists are data in boot/confinement.ts and
//! boot/seccomp_lists.ts.

use crate::errno::errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
    apply_filter_all_threads,
};
use std::collections::BTreeMap;

/// Takes away the host files that the runtime has opened for itself, all descriptors from `first` on that are files or
/// directories, and the shared mappings of such: its compiled-code cache is read by the unconfined command line too.
/// They become /dev/null and private copies, as the runtime still holds them. To be called before the root goes.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_files(first: i32) -> i32 {
    // SAFETY: replaces descriptors by number and mappings by copies of the same content.
    unsafe {
        let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        if nothing < 0 {
            return errno();
        }
        let Ok(list) = std::fs::read_dir("/proc/self/fd") else { return -libc::ENOENT };
        // Collected first: the list is read through a descriptor of its own, closed by then.
        let open: Vec<i32> = list.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        for fd in open.into_iter().filter(|&fd| fd >= first) {
            let mut stat: libc::stat = std::mem::zeroed();
            let is_file = fd != nothing && libc::fstat(fd, &mut stat) == 0;
            let kind = stat.st_mode & libc::S_IFMT;
            if is_file
                && (kind == libc::S_IFREG || kind == libc::S_IFDIR)
                && libc::dup3(nothing, fd, libc::O_CLOEXEC) < 0
            {
                return errno();
            }
        }
        libc::close(nothing);
    }
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return -libc::ENOENT };
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [range, rights, _, _, _, path, ..] = fields[..] else { continue };
        if !rights.contains('s') || !path.starts_with('/') || path.starts_with("/memfd:") {
            continue;
        }
        let bounds = range.split_once('-').and_then(|(from, to)| {
            Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
        });
        let Some((from, to)) = bounds else { return -libc::EINVAL };
        let result = make_private(from, to - from, rights.contains('w'));
        if result < 0 {
            return result;
        }
    }
    0
}

/// A mapping that is read only is of the runtime's code cache: by now it has been read, its descriptor is closed, and nobody
/// looks at it again. It becomes zeros, which take no memory (a copy took 4 MiB of each role). What is written, the indices of
/// the same databases, is copied.
fn make_private(from: usize, length: usize, is_writable: bool) -> i32 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let place = from as *mut libc::c_void;
    // SAFETY: the new memory takes the place of the mapping at once; the file may have become shorter than the mapping, so it is
    // read by a call that fails instead of faulting.
    unsafe {
        if !is_writable {
            let zeros = libc::mmap(place, length, libc::PROT_READ, flags | libc::MAP_FIXED, -1, 0);
            return if zeros == libc::MAP_FAILED { errno() } else { 0 };
        }
        let copy = libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if copy == libc::MAP_FAILED {
            return errno();
        }
        let local = libc::iovec { iov_base: copy, iov_len: length };
        let remote = libc::iovec { iov_base: place, iov_len: length };
        libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0);
        let moved = libc::mremap(copy, length, length, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, place);
        if moved == libc::MAP_FAILED { errno() } else { 0 }
    }
}

/// Makes an empty, read-only tmpfs the root of this process (in its own mount namespace), with /proc in it if `keeps_proc`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_root(keeps_proc: u32) -> i32 {
    // SAFETY: mounts and pivots with constant strings; each step is checked.
    unsafe {
        // Of all directories the one that exists on every host that we can run on.
        let place = c"/proc".as_ptr();
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
            // Processes only: the files of the host's /proc (sysctls, sysrq-trigger) obey the user id, not capabilities. A
            // kernel before 5.8 does not know the option.
            let pids = c"subset=pid".as_ptr() as *const libc::c_void;
            let flags = flags | libc::MS_RDONLY;
            let proc = c"proc".as_ptr();
            if libc::mount(none, proc, proc, flags, pids) < 0
                && (errno() != -libc::EINVAL || libc::mount(none, proc, proc, flags, std::ptr::null()) < 0)
            {
                return errno();
            }
        }
        let is_pivoted = || libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) == 0;
        if !is_pivoted() {
            // In a chroot, which ends here.
            let here = libc::open(c".".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
            let is_out = here >= 0 && crate::chroot::leave().is_some() && libc::fchdir(here) == 0;
            if !is_out || !is_pivoted() {
                return errno();
            }
            libc::close(here);
        }
        if libc::umount2(c".".as_ptr(), libc::MNT_DETACH) < 0 || libc::chdir(c"/".as_ptr()) < 0 {
            return errno();
        }
        let flags = flags | libc::MS_REMOUNT | libc::MS_RDONLY;
        // Another thread of the runtime may write to it just now, if only the time of a look at it.
        let mut tries = 0;
        while libc::mount(none, c"/".as_ptr(), std::ptr::null(), flags, options) < 0 {
            if errno() != -libc::EBUSY || tries == REMOUNT_TRIES {
                return errno();
            }
            tries += 1;
            libc::usleep(1000);
        }
    }
    0
}

/// Milliseconds until nobody writes to an empty file system any more, at most.
const REMOUNT_TRIES: u32 = 1000;

/// In the place of the argument: the call gives EPERM instead of killing.
const REFUSED: u32 = 0xff;

/// What is compared with an argument: bits of its low word, or the whole of it with a bound.
const MASKED: u32 = 0;
const BELOW: u32 = 1;
const FROM: u32 = 2;

/// Installs an allow-list on every thread. `rules` are `count` entries of 6 words: call number, 1 = a further condition of the
/// entry before, argument + 1 (0 = any), what is compared, and two words for that: mask and value, or the bound. The call is
/// allowed when all conditions of an entry hold. Other calls kill the process, or give EPERM when `is_lenient`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_confine_calls(rules: *const u32, count: u32, is_lenient: u32) -> i32 {
    // SAFETY: `rules` has 6 * count words (process.ts).
    let words = unsafe { std::slice::from_raw_parts(rules, count as usize * 6) };
    let mut map: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut entries = words.chunks(6).peekable();
    while let Some(entry) = entries.next() {
        let list = map.entry(entry[0] as i64).or_default();
        if entry[2] == REFUSED {
            refused.entry(entry[0] as i64).or_default();
            continue;
        }
        if entry[2] == 0 {
            continue;
        }
        let mut conditions = vec![condition(entry)];
        while let Some(further) = entries.next_if(|further| further[1] == 1) {
            conditions.push(condition(further));
        }
        let rule = conditions.into_iter().collect::<Option<Vec<_>>>().and_then(|all| SeccompRule::new(all).ok());
        let Some(rule) = rule else {
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

fn condition(entry: &[u32]) -> Option<SeccompCondition> {
    let [_, _, argument, compared, low, high] = entry[..] else { return None };
    let whole = low as u64 | (high as u64) << 32;
    let (length, operator, value) = match compared {
        MASKED => (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(low as u64), high as u64),
        BELOW => (SeccompCmpArgLen::Qword, SeccompCmpOp::Lt, whole),
        FROM => (SeccompCmpArgLen::Qword, SeccompCmpOp::Ge, whole),
        _ => return None,
    };
    SeccompCondition::new((argument - 1) as u8, length, operator, value).ok()
}
