//! Stream sockets of the control API (URPC): a listening Unix socket, its connections, and one wait for all of them. Nothing
//! here waits but tsv_stream_poll(). boot/control/urpc/ has the protocol.

use crate::errno::errno;
use crate::host::send_message;
use core::ffi::c_void;

/// Descriptors that travel with one message; Linux' SCM_MAX_FD is 253.
const FDS_MAX: usize = 128;
/// Words of a control buffer for FDS_MAX descriptors and its header.
const CONTROL_WORDS: usize = FDS_MAX / 2 + 8;
/// Clients that wait to be accepted: gVisor's server has 16, but it runs all the time, and ours is started by the first.
const BACKLOG: i32 = 128;

/// The address of the Unix socket at `path` and its size (unix(7), "Pathname sockets"); None where the path is too long.
///
/// # Safety
/// `path` has `length` bytes.
unsafe fn unix_address(path: *const u8, length: u32) -> Option<(libc::sockaddr_un, u32)> {
    // SAFETY: all zeros is a valid address; the path fits with a NUL byte behind it.
    unsafe {
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        if length as usize >= address.sun_path.len() {
            return None;
        }
        address.sun_family = libc::AF_UNIX as u16;
        std::ptr::copy_nonoverlapping(path, address.sun_path.as_mut_ptr() as *mut u8, length as usize);
        Some((address, size_of::<libc::sa_family_t>() as u32 + length + 1))
    }
}

/// A socket that listens at `path` (`length` bytes), for its owner alone. The descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_listen(path: *const u8, length: u32) -> i32 {
    // SAFETY: `path` has `length` bytes (stream.ts); the address lives until the calls return.
    unsafe {
        let Some((address, size)) = unix_address(path, length) else { return -libc::ENAMETOOLONG };
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        if fd < 0 {
            return errno();
        }
        // The mode of the socket is that of the file that bind() makes: there is no moment at which others may connect.
        if libc::fchmod(fd, 0o600) < 0
            || libc::bind(fd, &address as *const libc::sockaddr_un as *const libc::sockaddr, size) < 0
            || libc::listen(fd, BACKLOG) < 0
        {
            let error = errno();
            libc::close(fd);
            return error;
        }
        fd
    }
}

/// A socket that listens on TCP port `port` of 127.0.0.1 (0 = one that is free). The descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_listen_local(port: u32) -> i32 {
    // SAFETY: the address and the option live until the calls return.
    unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_port = (port as u16).to_be();
        address.sin_addr.s_addr = u32::from_be_bytes([127, 0, 0, 1]).to_be();
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0);
        if fd < 0 {
            return errno();
        }
        let one = 1i32;
        let size = size_of::<i32>() as u32;
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &one as *const i32 as *const c_void, size);
        let size = size_of::<libc::sockaddr_in>() as u32;
        if libc::bind(fd, &address as *const libc::sockaddr_in as *const libc::sockaddr, size) < 0
            || libc::listen(fd, BACKLOG) < 0
        {
            let error = errno();
            libc::close(fd);
            return error;
        }
        fd
    }
}

/// The port that TCP socket `fd` is bound to, or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_port(fd: i32) -> i32 {
    // SAFETY: the address lives until the call returns.
    unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        let mut size = size_of::<libc::sockaddr_in>() as u32;
        let result = libc::getsockname(fd, &mut address as *mut libc::sockaddr_in as *mut libc::sockaddr, &mut size);
        if result < 0 { errno() } else { u16::from_be(address.sin_port) as i32 }
    }
}

/// A socket of `kind` (SOCK_STREAM, SOCK_SEQPACKET) connected with the Unix socket at `path` (`length` bytes). It waits for the
/// other end to have room for one more. The descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_connect(path: *const u8, length: u32, kind: i32) -> i32 {
    // SAFETY: `path` has `length` bytes (stream.ts); the address lives until the calls return.
    unsafe {
        let Some((address, size)) = unix_address(path, length) else { return -libc::ENAMETOOLONG };
        let fd = libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return errno();
        }
        if libc::connect(fd, &address as *const libc::sockaddr_un as *const libc::sockaddr, size) < 0 {
            let error = errno();
            libc::close(fd);
            return error;
        }
        fd
    }
}

/// The next connection to `fd`: its descriptor, -EAGAIN where there is none, -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_accept(fd: i32) -> i32 {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: asks for no address.
    let result = unsafe { libc::accept4(fd, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
    if result < 0 { errno() } else { result }
}

/// Receives what is there, `length` bytes at most: their count, 0 at the end, -EAGAIN, -errno. Descriptors go to `fds`, their
/// count to fds[FDS_MAX]: -1 where more came than fit, which are closed, all of them.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_receive(fd: i32, buffer: *mut u8, at: u32, length: u32, fds: *mut i32) -> i32 {
    let mut control = [0u64; CONTROL_WORDS];
    // SAFETY: `buffer` has `at` + `length` bytes, `fds` FDS_MAX + 1 entries (stream.ts).
    unsafe {
        *fds.add(FDS_MAX) = 0;
        let mut iovec = libc::iovec { iov_base: buffer.add(at as usize) as *mut c_void, iov_len: length as usize };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut iovec;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr() as *mut c_void;
        message.msg_controllen = size_of_val(&control);
        let n = libc::recvmsg(fd, &mut message, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC);
        if n < 0 {
            return errno();
        }
        let mut is_cut = message.msg_flags & libc::MSG_CTRUNC != 0;
        let mut held = 0;
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let count = ((*header).cmsg_len - libc::CMSG_LEN(0) as usize) / 4;
                let data = libc::CMSG_DATA(header) as *const i32;
                for i in 0..count {
                    let received = data.add(i).read_unaligned();
                    if held < FDS_MAX {
                        *fds.add(held) = received;
                        held += 1;
                    } else {
                        libc::close(received);
                        is_cut = true;
                    }
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
        if is_cut {
            (0..held).for_each(|i| {
                libc::close(*fds.add(i));
            });
        }
        *fds.add(FDS_MAX) = if is_cut { -1 } else { held as i32 };
        n as i32
    }
}

/// Sends what the other end has room for, with `count` descriptors: bytes, -EAGAIN, -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_send(
    fd: i32,
    buffer: *const u8,
    at: u32,
    length: u32,
    fds: *const i32,
    count: u32,
) -> i32 {
    if count as usize > FDS_MAX {
        return -libc::EINVAL;
    }
    // SAFETY: the arrays are the caller's (stream.ts).
    unsafe { send_message(fd, buffer.add(at as usize), length, fds, count, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) }
}

/// Sleeps until one of `count` descriptors is ready, `millis` at most (-1 = for ever): how many are. `entries` is an array of
/// struct pollfd.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_stream_poll(entries: *mut u8, count: u32, millis: i32) -> i32 {
    // SAFETY: `entries` has `count` entries of 8 bytes (stream.ts), aligned as the words of an Int32Array are.
    let n = unsafe { libc::poll(entries as *mut libc::pollfd, count as libc::nfds_t, millis) };
    if n < 0 { errno() } else { n }
}
