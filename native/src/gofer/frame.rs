//! Frames of the gofer's protocol (gofer/protocol.ts) as the server reads and writes them, and the neutral layout in which
//! attributes travel.

use super::channel::FRAME_BYTES_MAX;

pub const NAME_BYTES_MAX: usize = 255;
pub const ATTRIBUTES_BYTES: usize = 96;

/// Reads a request; running past its end sets `is_bad` and gives zeros, so that a handler checks once.
pub struct Reader<'a> {
    bytes: &'a [u8],
    pub is_bad: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, is_bad: false }
    }
    pub fn raw(&mut self, count: usize) -> &'a [u8] {
        if count > self.bytes.len() {
            self.is_bad = true;
            return &[];
        }
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }
    fn word<const N: usize>(&mut self) -> [u8; N] {
        self.raw(N).try_into().unwrap_or([0; N])
    }
    pub fn u8(&mut self) -> u8 {
        self.word::<1>()[0]
    }
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.word())
    }
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.word())
    }
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.word())
    }
    /// A byte string of at most `max` bytes with its length before it.
    pub fn text(&mut self, max: usize) -> &'a [u8] {
        let length = self.u16() as usize;
        if length > max {
            self.is_bad = true;
            return &[];
        }
        self.raw(length)
    }
    pub fn rest(&mut self) -> &'a [u8] {
        self.raw(self.bytes.len())
    }
}

/// NUL-terminated bytes for the host, without a trip to the heap.
pub struct HostText<const N: usize>([u8; N]);

impl<const N: usize> HostText<N> {
    /// None when it does not fit or has a NUL in it.
    pub fn new(text: &[u8]) -> Option<Self> {
        if text.len() >= N || text.contains(&0) {
            return None;
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text);
        Some(HostText(bytes))
    }
    pub fn as_ptr(&self) -> *const libc::c_char {
        self.0.as_ptr() as *const libc::c_char
    }
}

pub type Name = HostText<{ NAME_BYTES_MAX + 1 }>;

/// A single component that can be looked up: no slash, no NUL, not empty, "." or "..".
pub fn component(text: &[u8]) -> Result<Name, i32> {
    if text.is_empty() || text == b"." || text == b".." || text.contains(&b'/') {
        return Err(-libc::EINVAL);
    }
    Name::new(text).ok_or(-libc::EINVAL)
}

/// Writes an answer; `bytes` has room for any.
pub struct Answer {
    bytes: Box<[u8]>,
    length: usize,
}

impl Answer {
    pub fn new() -> Self {
        Answer { bytes: vec![0; FRAME_BYTES_MAX].into_boxed_slice(), length: 0 }
    }
    pub fn start(&mut self) {
        // The result comes first.
        self.length = 4;
    }
    /// The whole frame, with its result.
    pub fn finish(&mut self, result: i32) -> &[u8] {
        if result < 0 {
            self.length = 4;
        }
        self.bytes[..4].copy_from_slice(&result.min(0).to_le_bytes());
        &self.bytes[..self.length]
    }
    pub fn length(&self) -> usize {
        self.length
    }
    pub fn left(&self) -> usize {
        FRAME_BYTES_MAX - self.length
    }
    /// What stands behind the answer so far, to be filled by the host; grow() keeps it.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.length..]
    }
    pub fn grow(&mut self, count: usize) {
        assert!(count <= self.left());
        self.length += count;
    }
    pub fn at(&self, at: usize, length: usize) -> &[u8] {
        &self.bytes[at..at + length]
    }
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
    pub fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }
    pub fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }
    pub fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }
    /// Corrects a word that stands in the answer already.
    pub fn set_u16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    pub fn set_u8(&mut self, at: usize, value: u8) {
        self.bytes[at] = value;
    }
    pub fn set_u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    pub fn attributes(&mut self, stat: &libc::stat) {
        self.put(&attributes(stat));
    }
}

/// Attributes of a file, the same on every machine: see ATTRIBUTES in gofer/protocol.ts.
pub fn attributes(stat: &libc::stat) -> [u8; ATTRIBUTES_BYTES] {
    let mut bytes = [0u8; ATTRIBUTES_BYTES];
    let mut at = 0;
    let mut put = |word: &[u8]| {
        bytes[at..at + word.len()].copy_from_slice(word);
        at += word.len();
    };
    put(&libc::major(stat.st_dev).to_le_bytes());
    put(&libc::minor(stat.st_dev).to_le_bytes());
    put(&stat.st_ino.to_le_bytes());
    for word in [stat.st_mode, stat.st_nlink as u32, stat.st_uid, stat.st_gid] {
        put(&word.to_le_bytes());
    }
    put(&libc::major(stat.st_rdev).to_le_bytes());
    put(&libc::minor(stat.st_rdev).to_le_bytes());
    put(&stat.st_size.to_le_bytes());
    put(&stat.st_blocks.to_le_bytes());
    for seconds in [stat.st_atime, stat.st_mtime, stat.st_ctime] {
        put(&seconds.to_le_bytes());
    }
    for nanos in [stat.st_atime_nsec, stat.st_mtime_nsec, stat.st_ctime_nsec] {
        put(&(nanos as u32).to_le_bytes());
    }
    bytes
}
