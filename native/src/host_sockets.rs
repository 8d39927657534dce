//! Sockets of the host's internet families, as the net process (boot/relay.ts) holds them for a sandbox, and the ends of its
//! link with the sentry. Nothing here waits. Addresses are blocks of 18 bytes: 16 of an IPv6 address, in which an IPv4
//! address is a mapped one (RFC 4291 section 2.5.5.2), and the port in network order.
//!
//! Results are >= 0 or -errno.

use crate::errno::errno;
use core::ffi::c_void;
use std::mem::zeroed;

const ADDRESS_BYTES: usize = 16;
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// What the two ends of a link hold for each other, as far as the host lets them: several packets of 64 KiB.
const LINK_BYTES: i32 = 4 << 20;

/// Kinds of sockets, as in native/host_sockets.ts.
const STREAM: u32 = 0;
const DATAGRAM: u32 = 1;

fn result(value: isize) -> i32 {
    if value < 0 { errno() } else { value as i32 }
}

/// A socket address of the host, and its size.
struct HostAddress {
    storage: libc::sockaddr_storage,
    size: libc::socklen_t,
}

impl HostAddress {
    fn empty() -> HostAddress {
        // SAFETY: all zeros is a valid address of no family.
        HostAddress { storage: unsafe { zeroed() }, size: size_of::<libc::sockaddr_storage>() as u32 }
    }

    /// SAFETY: `block` has 18 bytes.
    unsafe fn read(block: *const u8) -> HostAddress {
        let mut address = HostAddress::empty();
        // SAFETY: the storage has room for either family; the block is the caller's.
        unsafe {
            let bytes = std::slice::from_raw_parts(block, ADDRESS_BYTES + 2);
            let port = u16::from_ne_bytes([bytes[16], bytes[17]]);
            if bytes[..12] == MAPPED {
                let v4 = &raw mut address.storage as *mut libc::sockaddr_in;
                (*v4).sin_family = libc::AF_INET as u16;
                (*v4).sin_port = port;
                (*v4).sin_addr.s_addr = u32::from_ne_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
                address.size = size_of::<libc::sockaddr_in>() as u32;
            } else {
                let v6 = &raw mut address.storage as *mut libc::sockaddr_in6;
                (*v6).sin6_family = libc::AF_INET6 as u16;
                (*v6).sin6_port = port;
                (*v6).sin6_addr.s6_addr.copy_from_slice(&bytes[..16]);
                address.size = size_of::<libc::sockaddr_in6>() as u32;
            }
        }
        address
    }

    /// SAFETY: `block` has 18 bytes.
    unsafe fn write(&self, block: *mut u8) {
        // SAFETY: the storage is one of the family that it says.
        unsafe {
            let bytes = std::slice::from_raw_parts_mut(block, ADDRESS_BYTES + 2);
            if self.storage.ss_family == libc::AF_INET as u16 {
                let v4 = &raw const self.storage as *const libc::sockaddr_in;
                bytes[..12].copy_from_slice(&MAPPED);
                bytes[12..16].copy_from_slice(&(*v4).sin_addr.s_addr.to_ne_bytes());
                bytes[16..].copy_from_slice(&(*v4).sin_port.to_ne_bytes());
            } else {
                let v6 = &raw const self.storage as *const libc::sockaddr_in6;
                bytes[..16].copy_from_slice(&(*v6).sin6_addr.s6_addr);
                bytes[16..].copy_from_slice(&(*v6).sin6_port.to_ne_bytes());
            }
        }
    }

    fn pointer(&self) -> *const libc::sockaddr {
        &raw const self.storage as *const libc::sockaddr
    }

    fn family(&self) -> i32 {
        self.storage.ss_family as i32
    }
}

fn set_option(fd: i32, level: i32, name: i32, value: i32) -> i32 {
    // SAFETY: reads one integer.
    unsafe { libc::setsockopt(fd, level, name, &raw const value as *const c_void, size_of::<i32>() as u32) }
}

fn open(family: i32, kind: u32) -> i32 {
    let (kind, protocol) = match (kind, family) {
        (STREAM, _) => (libc::SOCK_STREAM, 0),
        (DATAGRAM, _) => (libc::SOCK_DGRAM, 0),
        (_, libc::AF_INET) => (libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
        _ => (libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6),
    };
    // SAFETY: passes no memory.
    result(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) } as isize)
}

/// A socket of `kind` (0 stream, 1 datagram, 2 ping) that is connected with `address`, or begins to be: -EINPROGRESS is no
/// error of a stream. The descriptor.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_connect(kind: u32, address: *const u8) -> i32 {
    // SAFETY: the block has 18 bytes (host_sockets.ts).
    let address = unsafe { HostAddress::read(address) };
    let fd = open(address.family(), kind);
    if fd < 0 {
        return fd;
    }
    if kind == STREAM {
        set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    }
    // SAFETY: the address lives over the call; the descriptor is ours.
    unsafe {
        if libc::connect(fd, address.pointer(), address.size) < 0 {
            let error = errno();
            if error != -libc::EINPROGRESS {
                libc::close(fd);
                return error;
            }
        }
    }
    fd
}

/// A socket of `kind` (0 stream, 1 datagram) that is bound to `address`, and a stream's listens. The descriptor.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_listen(kind: u32, address: *const u8) -> i32 {
    // SAFETY: the block has 18 bytes (host_sockets.ts).
    let address = unsafe { HostAddress::read(address) };
    let fd = open(address.family(), kind);
    if fd < 0 {
        return fd;
    }
    if address.family() == libc::AF_INET6 {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1);
    }
    if kind == STREAM {
        set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1);
    }
    // SAFETY: the address lives over the calls; the descriptor is ours.
    unsafe {
        if libc::bind(fd, address.pointer(), address.size) < 0 || kind == STREAM && libc::listen(fd, BACKLOG) < 0 {
            let error = errno();
            libc::close(fd);
            return error;
        }
    }
    fd
}

/// The next connection to `fd`; its peer's address goes into `address`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_accept(fd: i32, address: *mut u8) -> i32 {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let mut peer = HostAddress::empty();
    // SAFETY: the storage has the size it says; the block has 18 bytes (host_sockets.ts).
    let accepted = unsafe {
        let pointer = &raw mut peer.storage as *mut libc::sockaddr;
        let accepted = result(libc::accept4(fd, pointer, &mut peer.size, flags) as isize);
        if accepted >= 0 {
            peer.write(address);
        }
        accepted
    };
    if accepted >= 0 {
        set_option(accepted, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    }
    accepted
}

/// Own address of `fd`, into `address`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_name(fd: i32, address: *mut u8) -> i32 {
    let mut name = HostAddress::empty();
    // SAFETY: the storage has the size it says; the block has 18 bytes (host_sockets.ts).
    unsafe {
        let pointer = &raw mut name.storage as *mut libc::sockaddr;
        if libc::getsockname(fd, pointer, &mut name.size) < 0 {
            return errno();
        }
        name.write(address);
    }
    0
}

/// Receives `length` bytes at most: 0 at the end of a stream, -EAGAIN.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_receive(fd: i32, buffer: *mut u8, at: u32, length: u32) -> i32 {
    // SAFETY: the buffer has so many bytes (host_sockets.ts).
    result(unsafe { libc::recv(fd, buffer.add(at as usize) as *mut c_void, length as usize, libc::MSG_DONTWAIT) })
}

/// The same of a datagram, with its sender.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_receive_from(fd: i32, buffer: *mut u8, at: u32, length: u32, address: *mut u8) -> i32 {
    let mut sender = HostAddress::empty();
    // SAFETY: the buffer has so many bytes, the block 18 (host_sockets.ts).
    unsafe {
        let into = buffer.add(at as usize) as *mut c_void;
        let pointer = &raw mut sender.storage as *mut libc::sockaddr;
        let n = libc::recvfrom(fd, into, length as usize, libc::MSG_DONTWAIT, pointer, &mut sender.size);
        if n >= 0 {
            sender.write(address);
        }
        result(n)
    }
}

/// Sends `length` bytes, of a stream those there is room for: -EAGAIN.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_send(fd: i32, buffer: *const u8, at: u32, length: u32) -> i32 {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the buffer has so many bytes (host_sockets.ts).
    result(unsafe { libc::send(fd, buffer.add(at as usize) as *const c_void, length as usize, flags) })
}

/// The same of a datagram to `address`.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_send_to(fd: i32, buffer: *const u8, at: u32, length: u32, address: *const u8) -> i32 {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the buffer has so many bytes, the block 18 (host_sockets.ts).
    unsafe {
        let address = HostAddress::read(address);
        let from = buffer.add(at as usize) as *const c_void;
        result(libc::sendto(fd, from, length as usize, flags, address.pointer(), address.size))
    }
}

/// What has come to pass on `fd`: 0 or the number of an error, once (SO_ERROR).
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_error(fd: i32) -> i32 {
    let mut value = 0i32;
    let mut size = size_of::<i32>() as u32;
    // SAFETY: writes one integer.
    unsafe {
        let pointer = &raw mut value as *mut c_void;
        if libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, pointer, &mut size) < 0 { errno() } else { value }
    }
}

/// Our direction of a stream ends.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_shut(fd: i32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::shutdown(fd, libc::SHUT_WR) } as isize)
}

/// Closes a stream so that the peer hears a reset.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_socket_reset(fd: i32) -> i32 {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: reads one struct; the descriptor is the caller's to give up.
    unsafe {
        let size = size_of::<libc::linger>() as u32;
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, &raw const linger as *const c_void, size);
        libc::close(fd);
    }
    0
}

/// The two ends of a link: each frame a packet of a SOCK_SEQPACKET socket, so that the end of one is seen at the other.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_link_pair(pair: *mut i32) -> i32 {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: `pair` has two entries (host_sockets.ts).
    unsafe {
        if libc::socketpair(libc::AF_UNIX, kind, 0, pair) < 0 {
            return errno();
        }
        for i in 0..2 {
            // Beyond wmem_max with CAP_NET_ADMIN, up to it without.
            if set_option(*pair.add(i), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, LINK_BYTES) < 0 {
                set_option(*pair.add(i), libc::SOL_SOCKET, libc::SO_SNDBUF, LINK_BYTES);
            }
        }
    }
    0
}
