//! The memory that sentry and gofer share, and how each wakes the other. One channel serves all mounts of a sandbox: slots,
//! each with one request and then its answer, and two doorbells. The socket beside it carries descriptors, and the wake-up of
//! a sentry that no longer waits for an answer. Each end takes the other for hostile: the memory is sealed against shrinking,
//! a frame is copied out once before it is looked at, and no index and no length comes from the other side unchecked.

use crate::errno::errno;
use crate::shared_region::{give_channel, take_channel};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

/// As in gofer/protocol.ts, which tests/gofer_test.ts compares.
pub const VERSION: u32 = 3;
pub const SLOTS: usize = 32;
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

const HEADER_BYTES: usize = 4096;
pub const CHANNEL_BYTES: usize = HEADER_BYTES + SLOTS * FRAME_BYTES_MAX;
/// Places in the header: the doorbell of requests, that of late answers, and the slots' control words.
const REQUESTS_AT: usize = 0;
const LATE_AT: usize = 64;
const SLOT_AT: usize = 128;
const SLOT_STRIDE: usize = 64;
/// Seals that keep the memory as large as it is: a read past its end would kill the reader.
pub const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

// States of a slot. The sentry moves FREE to POSTED and ANSWERED to FREE, the gofer POSTED to TAKEN to ANSWERED. LATE beside
// the first two says that the sentry waits no more and wants a message.
pub const FREE: u32 = 0;
pub const POSTED: u32 = 1;
pub const TAKEN: u32 = 2;
pub const ANSWERED: u32 = 3;
pub const LATE: u32 = 0x100;

/// The mapped memory; the other end writes it at any time, so it is only touched by atomics and copies.
pub struct Shared {
    base: *mut u8,
}
// SAFETY: all access goes through atomics and raw copies, which tolerate other writers.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

/// Control words of one slot.
pub struct Slot<'a> {
    pub state: &'a AtomicU32,
    pub length: &'a AtomicU32,
    /// The request's number: with the slot it names a request for good.
    pub sequence: &'a AtomicU32,
    /// A descriptor goes with the answer.
    pub has_descriptor: &'a AtomicU32,
    data: *mut u8,
}

impl Shared {
    /// Maps `fd`, which must be large enough and sealed.
    pub fn map(fd: i32) -> Result<Shared, i32> {
        // SAFETY: asks about a descriptor, and maps what is known to stay as large.
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            if libc::syscall(libc::SYS_fstat, fd, &mut stat) < 0 {
                return Err(errno());
            }
            let seals = libc::fcntl(fd, libc::F_GET_SEALS);
            if seals < 0 || seals & SEALS != SEALS || stat.st_size < CHANNEL_BYTES as i64 {
                return Err(-libc::EPROTO);
            }
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let Some(place) = take_channel() else { return Err(-libc::ENOMEM) };
            let flags = if place.is_null() { libc::MAP_SHARED } else { libc::MAP_SHARED | libc::MAP_FIXED };
            let base = libc::mmap(place, CHANNEL_BYTES, rights, flags, fd, 0);
            if base == libc::MAP_FAILED { Err(errno()) } else { Ok(Shared { base: base as *mut u8 }) }
        }
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at + 4 <= HEADER_BYTES && at % 4 == 0);
        // SAFETY: inside the header, aligned; mapped as long as self exists.
        unsafe { &*(self.base.add(at) as *const AtomicU32) }
    }
    pub fn requests(&self) -> &AtomicU32 {
        self.word(REQUESTS_AT)
    }
    pub fn late(&self) -> &AtomicU32 {
        self.word(LATE_AT)
    }
    /// `index` is below SLOTS.
    pub fn slot(&self, index: usize) -> Slot<'_> {
        assert!(index < SLOTS);
        let at = SLOT_AT + index * SLOT_STRIDE;
        Slot {
            state: self.word(at),
            length: self.word(at + 4),
            sequence: self.word(at + 8),
            has_descriptor: self.word(at + 12),
            // SAFETY: inside the mapping.
            data: unsafe { self.base.add(HEADER_BYTES + index * FRAME_BYTES_MAX) },
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // What map() has mapped; no reference outlives self.
        give_channel(self.base as *mut libc::c_void);
    }
}

impl Slot<'_> {
    /// Copies out the frame that is said to stand here; None when its length is nonsense.
    pub fn read<'b>(&self, into: &'b mut [u8]) -> Option<&'b [u8]> {
        let length = self.length.load(Ordering::Acquire) as usize;
        if length > FRAME_BYTES_MAX || length > into.len() {
            return None;
        }
        // SAFETY: both ends have `length` bytes; what a hostile writer changes meanwhile is only seen as other bytes.
        unsafe { std::ptr::copy_nonoverlapping(self.data, into.as_mut_ptr(), length) };
        Some(&into[..length])
    }
    /// Two bytes of the frame before it is read: a hint only.
    pub fn peek_u16(&self, at: usize) -> u16 {
        assert!(at + 2 <= FRAME_BYTES_MAX);
        // SAFETY: inside the slot.
        unsafe { std::ptr::read_volatile(self.data.add(at) as *const u16) }
    }
    pub fn write(&self, from: &[u8]) {
        assert!(from.len() <= FRAME_BYTES_MAX);
        // SAFETY: as read().
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), self.data, from.len()) };
        self.length.store(from.len() as u32, Ordering::Release);
    }
}

/// Sleeps while `word` is `value`, at most `nanos` (None = for ever). True when that time has passed; spurious returns happen.
pub fn futex_wait(word: &AtomicU32, value: u32, nanos: Option<u64>) -> bool {
    let time = nanos.map(|n| libc::timespec { tv_sec: (n / 1_000_000_000) as i64, tv_nsec: (n % 1_000_000_000) as i64 });
    let time = time.as_ref().map_or(std::ptr::null(), |time| time as *const libc::timespec);
    // SAFETY: the word is in mapped memory. Not FUTEX_PRIVATE: two processes share it.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, time) };
    result < 0 && errno() == -libc::ETIMEDOUT
}

pub fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: as futex_wait.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// Bytes of every message on the socket: slot and sequence; at the connection, version and CPU (the sentry's) or errno.
const MESSAGE_BYTES: usize = 8;
const CONTROL_WORDS: usize = 8;

/// Sends two words, with a descriptor where `fd` is one.
pub fn send(socket: i32, words: [u32; 2], fd: i32) -> i32 {
    let mut control = [0u64; CONTROL_WORDS];
    let mut bytes = [0u8; MESSAGE_BYTES];
    bytes[..4].copy_from_slice(&words[0].to_le_bytes());
    bytes[4..].copy_from_slice(&words[1].to_le_bytes());
    // SAFETY: one iovec over `bytes`; the control buffer holds a header and one descriptor.
    unsafe {
        let mut iovec = libc::iovec { iov_base: bytes.as_mut_ptr() as *mut libc::c_void, iov_len: bytes.len() };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut iovec;
        message.msg_iovlen = 1;
        if fd >= 0 {
            message.msg_control = control.as_mut_ptr() as *mut libc::c_void;
            message.msg_controllen = libc::CMSG_SPACE(4) as usize;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as usize;
            (libc::CMSG_DATA(header) as *mut i32).write_unaligned(fd);
        }
        loop {
            let n = libc::sendmsg(socket, &message, libc::MSG_NOSIGNAL);
            if n >= 0 {
                return 0;
            }
            if errno() != -libc::EINTR {
                return errno();
            }
        }
    }
}

/// One message: its words, and the descriptor that came with it. Err(-EAGAIN) when there is none, Err(0) at the end.
pub fn receive(socket: i32, waits: bool) -> Result<([u32; 2], Option<OwnedFd>), i32> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut bytes = [0u8; MESSAGE_BYTES];
    // SAFETY: as send(). Descriptors that do not fit the control buffer are dropped by the host.
    unsafe {
        let mut iovec = libc::iovec { iov_base: bytes.as_mut_ptr() as *mut libc::c_void, iov_len: bytes.len() };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut iovec;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr() as *mut libc::c_void;
        message.msg_controllen = size_of_val(&control);
        let flags = libc::MSG_CMSG_CLOEXEC | if waits { 0 } else { libc::MSG_DONTWAIT };
        let n = loop {
            let n = libc::recvmsg(socket, &mut message, flags);
            if n >= 0 || errno() != -libc::EINTR {
                break n;
            }
        };
        if n < 0 {
            return Err(errno());
        }
        let mut first = None;
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let count = ((*header).cmsg_len - libc::CMSG_LEN(0) as usize) / 4;
                for i in 0..count {
                    let fd = (libc::CMSG_DATA(header) as *const i32).add(i).read_unaligned();
                    // All but the first are closed at once.
                    let owned = OwnedFd::from_raw_fd(fd);
                    if first.is_none() {
                        first = Some(owned);
                    }
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
        if n == 0 {
            return Err(0);
        }
        if n as usize != MESSAGE_BYTES {
            return Err(-libc::EPROTO);
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Ok(([word(0), word(4)], first))
    }
}

/// A new memory for a channel, sealed.
pub fn create() -> Result<OwnedFd, i32> {
    // SAFETY: makes a descriptor that is ours.
    unsafe {
        let fd = libc::memfd_create(c"tsvisor-gofer".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
        if fd < 0 {
            return Err(errno());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        if libc::ftruncate(fd.as_raw_fd(), CHANNEL_BYTES as i64) < 0
            || libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SEALS) < 0
        {
            return Err(errno());
        }
        Ok(fd)
    }
}
