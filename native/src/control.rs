//! Frames of the control protocol as far as native code reads and writes them. boot/control/protocol.ts has the layout and
//! all kinds; the numbers stand in generated.rs, which is written from it.

use crate::generated::{FRAME_BYTES_MAX, HEADER_BYTES, VERSION};

/// A message on its way out.
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub fn new(kind: u16) -> Writer {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[0..2].copy_from_slice(&VERSION.to_le_bytes());
        bytes[2..4].copy_from_slice(&kind.to_le_bytes());
        Writer { bytes }
    }

    pub fn integer(mut self, value: i32) -> Writer {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// The whole frame.
    pub fn finish(mut self) -> Vec<u8> {
        let length = (self.bytes.len() - HEADER_BYTES) as u32;
        self.bytes[8..12].copy_from_slice(&length.to_le_bytes());
        self.bytes
    }
}

/// The fields of a message that has come, one after the other. A field that is not there is None.
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// `frame` if it is an event (it answers no request) of `kind`, and whole.
    pub fn new(frame: &'a [u8], kind: u16) -> Option<Reader<'a>> {
        let (header, left) = frame.split_at_checked(HEADER_BYTES)?;
        let expected = Writer::new(kind).bytes;
        let has_length = word(header, 8)? as usize == left.len() && frame.len() <= FRAME_BYTES_MAX;
        (header[..8] == expected[..8] && has_length && word(header, 12)? == 0).then_some(Reader { left })
    }

    pub fn integer(&mut self) -> Option<i32> {
        let value = word(self.left, 0)?;
        self.left = &self.left[4..];
        Some(value as i32)
    }

    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.integer()? as usize;
        let (text, left) = self.left.split_at_checked(length)?;
        self.left = left;
        Some(text)
    }

    /// Whether all fields have been read.
    pub fn is_at_end(&self) -> bool {
        self.left.is_empty()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Descriptor of a memfd with `frame`, for the program that this process becomes. -errno.
pub fn hand_over(frame: &[u8]) -> i32 {
    // SAFETY: the name ends with a NUL byte, `frame` is read for its length.
    unsafe {
        let fd = libc::memfd_create(c"tsvisor-handover".as_ptr(), 0);
        if fd >= 0 && libc::write(fd, frame.as_ptr() as *const libc::c_void, frame.len()) != frame.len() as isize {
            libc::close(fd);
            return -libc::EIO;
        }
        if fd < 0 { -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { fd }
    }
}

/// What has been handed over in descriptor `fd`, which keeps it.
pub fn take_over(fd: i32) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; FRAME_BYTES_MAX];
    // SAFETY: the buffer is ours.
    let n = unsafe { libc::pread(fd, bytes.as_mut_ptr() as *mut libc::c_void, bytes.len(), 0) };
    bytes.truncate(usize::try_from(n).ok()?);
    Some(bytes)
}
