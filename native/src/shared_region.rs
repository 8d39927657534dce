//! The one part of the sentry's address space where it maps what others have too: the arenas of slots, the channels to gofers.
//! Its list of calls lets it map a file nowhere else, and make memory executable nowhere in here (boot/seccomp_lists.ts): so no
//! file's content becomes code.

use crate::errno::errno;
use crate::gofer::channel::CHANNEL_BYTES;
use crate::slot::ARENA_BYTES;
use core::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Mutex, OnceLock};

/// Nothing is mapped in the first so many bytes: memory that begins below the region and is shorter ends below what is mapped.
const GUARD_BYTES: usize = 4 << 30;
/// The same at the end: a mapping that begins before it and is no longer than it ends in the region.
const TAIL_BYTES: usize = 1 << 30;
const _: () = assert!(ARENA_BYTES as usize <= TAIL_BYTES && CHANNEL_BYTES <= TAIL_BYTES);
/// Connections to gofers that are open at once.
const CHANNELS_MAX: usize = 4096;

struct Region {
    start: usize,
    end: usize,
    channels: usize,
    /// Places for channels that were given back, and how many were ever taken.
    free: Mutex<(Vec<usize>, usize)>,
}

static REGION: OnceLock<Region> = OnceLock::new();

/// Reserves the region, once, with `bytes` for arenas: where those begin, or -errno.
pub fn reserve(bytes: usize) -> Result<*mut u8, i32> {
    if REGION.get().is_none() {
        let length = GUARD_BYTES + bytes + CHANNELS_MAX * CHANNEL_BYTES + TAIL_BYTES;
        // SAFETY: fresh memory that nobody can touch.
        let start = unsafe { nothing_at(null_mut(), length, 0) };
        if start == libc::MAP_FAILED {
            return Err(errno());
        }
        let start = start as usize;
        let channels = start + GUARD_BYTES + bytes;
        let _ = REGION.set(Region { start, end: start + length, channels, free: Mutex::new((Vec::new(), 0)) });
    }
    Ok((tsv_region_start() as usize + GUARD_BYTES) as *mut u8)
}

/// The same for a process that has channels alone. 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_region_reserve() -> i32 {
    reserve(0).map_or_else(|error| error, |_| 0)
}

/// The first byte of the region, and the first behind it; null where there is none.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_region_start() -> *mut u8 {
    REGION.get().map_or(0, |region| region.start) as *mut u8
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_region_end() -> *mut u8 {
    REGION.get().map_or(0, |region| region.end) as *mut u8
}

/// A place for a channel: null where there is no region, as in a gofer, and it may be anywhere.
pub fn take_channel() -> Option<*mut c_void> {
    let Some(region) = REGION.get() else {
        return Some(null_mut());
    };
    let mut free = region.free.lock().unwrap_or_else(|error| error.into_inner());
    if let Some(at) = free.0.pop() {
        return Some(at as *mut c_void);
    }
    if free.1 == CHANNELS_MAX {
        return None;
    }
    free.1 += 1;
    Some((region.channels + (free.1 - 1) * CHANNEL_BYTES) as *mut c_void)
}

/// Unmaps the channel at `at`.
pub fn give_channel(at: *mut c_void) {
    let place = REGION.get().filter(|region| (at as usize) >= region.channels && (at as usize) < region.end);
    let Some(region) = place else {
        // SAFETY: the caller's own mapping, which nobody refers to any more.
        unsafe { libc::munmap(at, CHANNEL_BYTES) };
        return;
    };
    // SAFETY: as above; the place stays taken by nothing.
    if unsafe { nothing_at(at, CHANNEL_BYTES, libc::MAP_FIXED) } != libc::MAP_FAILED {
        region.free.lock().unwrap_or_else(|error| error.into_inner()).0.push(at as usize);
    }
}

unsafe fn nothing_at(at: *mut c_void, length: usize, flags: i32) -> *mut c_void {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: the caller's.
    unsafe { libc::mmap(at, length, libc::PROT_NONE, flags, -1, 0) }
}
