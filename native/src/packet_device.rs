//! A device of whole ethernet frames for the network stack: an AF_PACKET socket bound to an interface, or a TAP. Frames
//! travel many a call between the stack's packet arena and the host; with virtio-net headers the host does checksums, GSO
//! and GRO. Linux: packet(7), Documentation/networking/tuntap.rst.

use crate::errno::errno;
use crate::network_namespace::in_namespace;
use core::ffi::{c_char, c_void};
use core::mem::{size_of, zeroed};

/// Frames in one call.
const BATCH_MAX: usize = 64;
/// Receive and send buffers of the socket: trains of 64 KiB count with twice their size.
const BUFFER_BYTES: i32 = 32 << 20;

const PACKET_IGNORE_OUTGOING: i32 = 23;
const TUN_F_CSUM: u32 = 1;
const TUN_F_TSO4: u32 = 2;
const TUN_F_TSO6: u32 = 4;
const TUN_F_TSO_ECN: u32 = 8;
const TUNSETOFFLOAD: u64 = 0x4004_54d0;
const TUNSETIFF: u64 = 0x4004_54ca;
const TUNSETVNETHDRSZ: u64 = 0x4004_54d8;

/// struct ifreq with the interface's name, or None when it is too long.
///
/// # Safety
/// `name` ends with a NUL byte.
unsafe fn request_for(name: *const c_char) -> Option<libc::ifreq> {
    // SAFETY: ifreq is plain data; strlen stops at the NUL byte the caller has promised.
    unsafe {
        let mut request: libc::ifreq = zeroed();
        let length = libc::strlen(name);
        if length == 0 || length >= request.ifr_name.len() {
            return None;
        }
        core::ptr::copy_nonoverlapping(name, request.ifr_name.as_mut_ptr(), length);
        Some(request)
    }
}

fn set_option(fd: i32, level: i32, option: i32, value: i32) -> i32 {
    // SAFETY: the value is an int that outlives the call.
    unsafe { libc::setsockopt(fd, level, option, &raw const value as *const c_void, size_of::<i32>() as u32) }
}

/// Opens interface `name` (NUL-terminated) of network namespace `namespace` (< 0 = the caller's) by AF_PACKET, non-blocking,
/// for frames of any protocol. `offload` != 0 asks for virtio-net headers; `fanout` != 0 (a number of its own) shares the
/// interface's frames with the others of that number, flow by flow. Writes to `facts`: MTU (u32), interface flags (u32),
/// hardware address (6 bytes). A descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_packet_open(
    namespace: i32,
    name: *const c_char,
    offload: u32,
    fanout: u32,
    facts: *mut u8,
) -> i32 {
    // SAFETY: `name` is NUL-terminated (packet_device.ts).
    let Some(request) = (unsafe { request_for(name) }) else { return -libc::EINVAL };
    let fd = in_namespace(namespace, || {
        // SAFETY: passes no memory. Protocol 0 hears nothing until it is bound.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 { errno() } else { fd }
    });
    if fd < 0 {
        return fd;
    }
    let result = set_up(fd, request, offload, fanout, facts);
    if result < 0 {
        // SAFETY: ours.
        unsafe { libc::close(fd) };
        return result;
    }
    fd
}

/// Has packet socket `fd`, which stays in the namespace it was made in, carry the frames of the interface `request` names.
fn set_up(fd: i32, mut request: libc::ifreq, offload: u32, fanout: u32, facts: *mut u8) -> i32 {
    // SAFETY: `facts` has 14 bytes (packet_device.ts); the structs live over each call.
    unsafe {
        if libc::ioctl(fd, libc::SIOCGIFMTU, &mut request) < 0 {
            return errno();
        }
        facts.cast::<u32>().write_unaligned(request.ifr_ifru.ifru_mtu as u32);
        if libc::ioctl(fd, libc::SIOCGIFFLAGS, &mut request) < 0 {
            return errno();
        }
        facts.add(4).cast::<u32>().write_unaligned(request.ifr_ifru.ifru_flags as u16 as u32);
        if libc::ioctl(fd, libc::SIOCGIFHWADDR, &mut request) < 0 {
            return errno();
        }
        core::ptr::copy_nonoverlapping(request.ifr_ifru.ifru_hwaddr.sa_data.as_ptr() as *const u8, facts.add(8), 6);
        if libc::ioctl(fd, libc::SIOCGIFINDEX, &mut request) < 0 {
            return errno();
        }
        let index = request.ifr_ifru.ifru_ifindex;
        // Beyond rmem_max with CAP_NET_ADMIN, up to it without.
        for (force, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
            if set_option(fd, libc::SOL_SOCKET, force, BUFFER_BYTES) < 0 {
                set_option(fd, libc::SOL_SOCKET, plain, BUFFER_BYTES);
            }
        }
        set_option(fd, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
        if offload != 0 && set_option(fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1) < 0 {
            return errno();
        }
        // Frames for other stations too: the stack's hardware address need not be the interface's.
        let membership = libc::packet_mreq {
            mr_ifindex: index,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        let size = size_of::<libc::packet_mreq>() as u32;
        if libc::setsockopt(
            fd,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &raw const membership as *const c_void,
            size,
        ) < 0
        {
            return errno();
        }
        let mut address: libc::sockaddr_ll = zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index;
        if libc::bind(fd, &raw const address as *const libc::sockaddr, size_of::<libc::sockaddr_ll>() as u32) < 0 {
            return errno();
        }
        // Hash of the flow, as PACKET_FANOUT_HASH is 0 and has no flags.
        if fanout != 0 && set_option(fd, libc::SOL_PACKET, libc::PACKET_FANOUT, (fanout & 0xffff) as i32) < 0 {
            return errno();
        }
        0
    }
}

/// Opens (or makes) TAP `name`, non-blocking; `offload` as above (the header then has ten bytes). A descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_packet_tap(name: *const c_char, offload: u32) -> i32 {
    // SAFETY: as tsv_packet_open.
    unsafe {
        let Some(mut request) = request_for(name) else { return -libc::EINVAL };
        let fd = libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK);
        if fd < 0 {
            return errno();
        }
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
        if offload != 0 {
            flags |= libc::IFF_VNET_HDR;
        }
        request.ifr_ifru.ifru_flags = flags as i16;
        let fail = || {
            let code = errno();
            libc::close(fd);
            code
        };
        if libc::ioctl(fd, TUNSETIFF as libc::Ioctl, &mut request) < 0 {
            return fail();
        }
        if offload != 0 {
            let size: i32 = 10;
            let bits = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
            if libc::ioctl(fd, TUNSETVNETHDRSZ as libc::Ioctl, &size) < 0
                || libc::ioctl(fd, TUNSETOFFLOAD as libc::Ioctl, bits as libc::c_ulong) < 0
            {
                return fail();
            }
        }
        fd
    }
}

/// Receives up to `count` frames. Frame i goes to arena + places[i], at most room[i] bytes; its length comes back in
/// room[i]. The number of frames, 0 = none there, -errno. `is_tap` != 0 reads one by one.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_packet_receive(
    fd: i32,
    arena: *mut u8,
    places: *const u32,
    room: *mut u32,
    count: u32,
    is_tap: u32,
) -> i32 {
    let count = (count as usize).min(BATCH_MAX);
    // SAFETY: packet_device.ts has checked that places and room hold `count` entries within the arena.
    unsafe {
        if is_tap != 0 {
            for i in 0..count {
                let n = libc::read(fd, arena.add(*places.add(i) as usize) as *mut c_void, *room.add(i) as usize);
                if n < 0 {
                    return if i > 0 { i as i32 } else { none_or_errno() };
                }
                *room.add(i) = n as u32;
            }
            return count as i32;
        }
        let mut vectors: [libc::iovec; BATCH_MAX] = zeroed();
        let mut messages: [libc::mmsghdr; BATCH_MAX] = zeroed();
        for i in 0..count {
            vectors[i].iov_base = arena.add(*places.add(i) as usize) as *mut c_void;
            vectors[i].iov_len = *room.add(i) as usize;
            messages[i].msg_hdr.msg_iov = &mut vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        let n = libc::recvmmsg(fd, messages.as_mut_ptr(), count as u32, libc::MSG_DONTWAIT, core::ptr::null_mut());
        if n < 0 {
            return none_or_errno();
        }
        // No frame is empty: the other end of a link between two processes has closed.
        if n > 0 && messages[0].msg_len == 0 {
            return -libc::EPIPE;
        }
        for i in 0..n as usize {
            *room.add(i) = messages[i].msg_len;
        }
        n
    }
}

/// Sends up to `count` frames of lengths[i] bytes at arena + places[i]. The number taken, 0 = no room now, -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_packet_send(
    fd: i32,
    arena: *const u8,
    places: *const u32,
    lengths: *const u32,
    count: u32,
    is_tap: u32,
) -> i32 {
    let count = (count as usize).min(BATCH_MAX);
    // SAFETY: as tsv_packet_receive.
    unsafe {
        if is_tap != 0 {
            for i in 0..count {
                let n = libc::write(fd, arena.add(*places.add(i) as usize) as *const c_void, *lengths.add(i) as usize);
                if n < 0 {
                    let code = none_or_errno();
                    // A frame the device refuses for itself is lost; the others go on.
                    if code == -libc::EINVAL || code == -libc::EMSGSIZE {
                        continue;
                    }
                    return if i > 0 { i as i32 } else { code };
                }
            }
            return count as i32;
        }
        let mut vectors: [libc::iovec; BATCH_MAX] = zeroed();
        let mut messages: [libc::mmsghdr; BATCH_MAX] = zeroed();
        for i in 0..count {
            vectors[i].iov_base = arena.add(*places.add(i) as usize) as *mut c_void;
            vectors[i].iov_len = *lengths.add(i) as usize;
            messages[i].msg_hdr.msg_iov = &mut vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let n = libc::sendmmsg(fd, messages.as_mut_ptr(), count as u32, flags);
        if n >= 0 {
            return n;
        }
        match errno() {
            code if code == -libc::EAGAIN || code == -libc::EINTR || code == -libc::ENOBUFS => 0,
            // The first frame is refused for itself: it counts as taken, and is lost.
            code if code == -libc::EINVAL || code == -libc::EMSGSIZE => 1,
            // The interface is down, or gone: what is sent is lost, as on a cable that is not plugged in.
            code if code == -libc::ENETDOWN || code == -libc::ENXIO => count as i32,
            code => code,
        }
    }
}

/// -errno, or 0 where the device has nothing or takes nothing just now.
fn none_or_errno() -> i32 {
    match errno() {
        code if code == -libc::EAGAIN || code == -libc::EINTR || code == -libc::ENOBUFS => 0,
        // An interface that is down for now is one that gives nothing.
        code if code == -libc::ENETDOWN => 0,
        code => code,
    }
}

/// Waits until `fd` is readable (or `also`, >= 0, is), at most `micros`; < 0 = as long as it takes. 1 = ready, 0 = not.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_packet_wait(fd: i32, also: i32, micros: f64) -> i32 {
    let mut fds = [
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: also, events: libc::POLLIN, revents: 0 },
    ];
    let time = libc::timespec { tv_sec: (micros / 1e6) as i64, tv_nsec: ((micros % 1e6) * 1e3) as i64 };
    let timeout = if micros < 0.0 { core::ptr::null() } else { &raw const time };
    // SAFETY: the array and the time live over the call.
    let n = unsafe { libc::ppoll(fds.as_mut_ptr(), if also >= 0 { 2 } else { 1 }, timeout, core::ptr::null()) };
    (n > 0) as i32
}
