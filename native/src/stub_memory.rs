//! The memory that sentry and stubs share: the arenas of slots, one arena for each stub process, and the page that all stubs
//! read. It moves states and bytes; what stands in a slot is untrusted.
//!
//! Results are >= 0 or -errno. One thread calls in here.

use crate::common_page::fill_common;
use crate::errno::errno;
use crate::orders::{make_orders, may_ask, open_orders};
use crate::shared_region::reserve;
use crate::slot::*;
use crate::stub_filter::Asks;
use core::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

pub struct StubMemory {
    region: *mut u8,
    common: *mut u8,
    pub common_fd: i32,
    arena_fds: Vec<i32>,
}

static mut MEMORY: Option<StubMemory> = None;

pub fn stub_memory() -> &'static mut StubMemory {
    // SAFETY: only the sentry's one thread calls this library's platform functions, after tsv_stub_start.
    unsafe { (*(&raw mut MEMORY)).as_mut().expect("there is no memory for stubs") }
}

impl StubMemory {
    pub fn slot(&self, slot: u32) -> *mut u8 {
        // SAFETY: slots come from TypeScript's own table, below ARENAS_MAX * ARENA_SLOTS; the region is reserved whole.
        unsafe { self.region.add(slot as usize * SLOT_BYTES as usize) }
    }

    pub fn state(&self, slot: u32) -> &'static AtomicU32 {
        // SAFETY: STATE is an aligned u32 of a mapped slot that is never unmapped while the sandbox lives.
        unsafe { &*(self.slot(slot).add(STATE as usize) as *const AtomicU32) }
    }

    pub fn arena_fd(&self, arena: i32) -> Option<i32> {
        usize::try_from(arena).ok().and_then(|arena| self.arena_fds.get(arena).copied())
    }

    /// Lets the stub thread of `slot` go on: it runs its commands and then guest code or reports.
    pub fn run(&self, slot: u32) {
        let before = self.state(slot).swap(STATE_RUN, SeqCst);
        if before == STATE_EVENT_ASLEEP || before == STATE_PARK {
            // SAFETY: wake on an address that is mapped; no memory is passed.
            unsafe { libc::syscall(libc::SYS_futex, self.state(slot).as_ptr(), libc::FUTEX_WAKE, 1) };
        }
    }

    /// A new memfd, mapped where arena `index` has its place in the region; its descriptor or -errno.
    fn map_arena(&self, index: u32) -> i32 {
        // SAFETY: the place lies in the reserved region and is this arena's alone.
        unsafe {
            let fd = libc::memfd_create(c"tsvisor-slots".as_ptr(), libc::MFD_CLOEXEC);
            if fd < 0 {
                return errno();
            }
            let at = self.region.add(index as usize * ARENA_BYTES as usize) as *mut c_void;
            let flags = libc::MAP_SHARED | libc::MAP_FIXED;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            if libc::ftruncate(fd, ARENA_BYTES as i64) < 0
                || libc::mmap(at, ARENA_BYTES as usize, prot, flags, fd, 0) == libc::MAP_FAILED
            {
                let error = errno();
                libc::close(fd);
                return error;
            }
            fd
        }
    }
}

/// Whether a slot with this STATE is its stub's. A value that no stub writes is a report too: what the guest says in it is its
/// own affair.
pub fn is_running(state: u32) -> bool {
    state == STATE_RUN || state == STATE_RUN_SENTRY_ASLEEP
}

/// Reserves the region of all arenas, makes the first one and the common page, whose filter has the stubs ask for what `asks`
/// says (0 nothing, 1 what is the sentry's, 2 all but what is the guest's) where the host can. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_start(asks: u32) -> i32 {
    // SAFETY: plain system calls on memory and descriptors made here; checked one by one.
    unsafe {
        let region = match reserve((ARENAS_MAX * ARENA_BYTES) as usize) {
            Ok(region) => region,
            Err(error) => return error,
        };
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        let common_fd = libc::memfd_create(c"tsvisor-common".as_ptr(), flags);
        if common_fd < 0 || libc::ftruncate(common_fd, COMMON_BYTES as i64) < 0 {
            return errno();
        }
        let common = libc::mmap(
            null_mut(),
            COMMON_BYTES as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            common_fd,
            0,
        );
        if common == libc::MAP_FAILED {
            return errno();
        }
        // We alone may write to it: a stub maps it for reading, and a guest that jumps into the stub's text cannot change
        // that. What stands there holds for all guest processes.
        if libc::fcntl(common_fd, libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE) < 0 {
            return errno();
        }
        MEMORY = Some(StubMemory { region, common: common as *mut u8, common_fd, arena_fds: Vec::new() });
        let asks = match asks {
            1 if may_ask() => Asks::ForMost,
            2 if may_ask() => Asks::ForAll,
            _ => Asks::Never,
        };
        fill_common(common as *mut u8, asks);
        let made = make_orders((ARENAS_MAX * ARENA_SLOTS) as usize);
        if made < 0 {
            return made;
        }
    }
    tsv_stub_arena(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_region() -> *mut u8 {
    stub_memory().region
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_common() -> *mut u8 {
    stub_memory().common
}

/// Makes arena `index` (they are made in order); 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_arena(index: u32) -> i32 {
    let memory = stub_memory();
    if index as usize != memory.arena_fds.len() || index as u64 >= ARENAS_MAX {
        return -libc::ENOSPC;
    }
    let opened = open_orders(index);
    let fd = if opened < 0 { opened } else { memory.map_arena(index) };
    if fd < 0 {
        return fd;
    }
    memory.arena_fds.push(fd);
    0
}

/// Puts fresh memory in the place of arena `index`, whose process is gone; 0 or -errno. The old memory is never used
/// again: a guest may have mapped it in a process that we do not know of, and would meet the next one's registers there.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stub_arena_renew(index: u32) -> i32 {
    let memory = stub_memory();
    let Some(&old) = memory.arena_fds.get(index as usize) else {
        return -libc::EINVAL;
    };
    let fd = memory.map_arena(index);
    if fd < 0 {
        return fd;
    }
    memory.arena_fds[index as usize] = fd;
    // SAFETY: ours, and nobody uses it any more.
    unsafe { libc::close(old) };
    0
}
