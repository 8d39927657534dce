//! Frames of the control protocol as far as native code reads and writes them. boot/control/protocol.ts has the layout and
//! all kinds; the numbers stand in generated.rs, which is written from it.

use crate::errno::errno;
use crate::generated::{FLAG_REPLY, FRAME_BYTES_MAX, HEADER_BYTES, VERSION};

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

    pub fn text(mut self, value: &[u8]) -> Writer {
        self = self.integer(value.len() as i32);
        self.bytes.extend_from_slice(value);
        self
    }

    /// It asks for an answer, which has this id as well.
    pub fn request(mut self, id: u32) -> Writer {
        self.bytes[4..8].copy_from_slice(&id.to_le_bytes());
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
        Reader::checked(frame, kind, 0, 0)
    }

    /// `frame` if it is a reply of `kind` to `request`, and whole.
    pub fn reply(frame: &'a [u8], kind: u16, request: u32) -> Option<Reader<'a>> {
        Reader::checked(frame, kind, request, FLAG_REPLY)
    }

    fn checked(frame: &'a [u8], kind: u16, request: u32, flags: u32) -> Option<Reader<'a>> {
        let (header, left) = frame.split_at_checked(HEADER_BYTES)?;
        let has_kind = header[..4] == Writer::new(kind).bytes[..4] && word(header, 4)? == request;
        let has_length = word(header, 8)? as usize == left.len() && frame.len() <= FRAME_BYTES_MAX;
        (has_kind && has_length && word(header, 12)? == flags).then_some(Reader { left })
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

/// Descriptors beside one message here.
const FDS_MAX: usize = 4;
/// Room for a control message of them.
#[repr(align(8))]
struct Ancillary([u8; 64]);

/// Sends one message with descriptors; false when nobody takes it.
pub fn send(socket: i32, frame: &[u8], fds: &[i32]) -> bool {
    assert!(fds.len() <= FDS_MAX);
    let mut room = Ancillary([0; 64]);
    let bytes = size_of_val(fds) as u32;
    // SAFETY: header, vector and room live until the call returns, and the room holds FDS_MAX descriptors.
    unsafe {
        let mut part = libc::iovec { iov_base: frame.as_ptr() as *mut libc::c_void, iov_len: frame.len() };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        if !fds.is_empty() {
            header.msg_control = room.0.as_mut_ptr() as *mut libc::c_void;
            header.msg_controllen = libc::CMSG_SPACE(bytes) as usize;
            let message = libc::CMSG_FIRSTHDR(&header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(bytes) as usize;
            std::ptr::copy_nonoverlapping(fds.as_ptr() as *const u8, libc::CMSG_DATA(message), bytes as usize);
        }
        libc::sendmsg(socket, &header, libc::MSG_NOSIGNAL) == frame.len() as isize
    }
}

/// The next message and its descriptors; None at the end.
pub fn receive(socket: i32) -> Option<(Vec<u8>, Vec<i32>)> {
    let mut bytes = vec![0u8; FRAME_BYTES_MAX];
    let mut room = Ancillary([0; 64]);
    let mut fds = Vec::new();
    // SAFETY: header, vector and room live until the call returns; what is read of the room, the kernel has written.
    let n = unsafe {
        let mut part = libc::iovec { iov_base: bytes.as_mut_ptr() as *mut libc::c_void, iov_len: bytes.len() };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        header.msg_control = room.0.as_mut_ptr() as *mut libc::c_void;
        header.msg_controllen = libc::CMSG_SPACE(size_of::<[i32; FDS_MAX]>() as u32) as usize;
        let mut n = libc::recvmsg(socket, &mut header, libc::MSG_CMSG_CLOEXEC);
        while n < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) {
            n = libc::recvmsg(socket, &mut header, libc::MSG_CMSG_CLOEXEC);
        }
        let message = libc::CMSG_FIRSTHDR(&header);
        if n > 0 && !message.is_null() && (*message).cmsg_type == libc::SCM_RIGHTS {
            let count = ((*message).cmsg_len - libc::CMSG_LEN(0) as usize) / size_of::<i32>();
            let data = libc::CMSG_DATA(message) as *const i32;
            fds.extend((0..count).map(|i| data.add(i).read_unaligned()));
        }
        n
    };
    if n <= 0 {
        return None;
    }
    bytes.truncate(n as usize);
    Some((bytes, fds))
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
        if fd < 0 { errno() } else { fd }
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
