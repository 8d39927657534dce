//! Sockets in another network namespace: the command line opens the interfaces of a container's there and stays where it is.
//! A thread enters the namespace and ends, as setns(2) concerns the thread that calls it. Linux: network_namespaces(7).

use crate::errno::errno;
use core::ffi::c_char;

/// What `work` gives back in network namespace `namespace` (a descriptor; < 0 = the caller's own), or -errno.
pub fn in_namespace(namespace: i32, work: impl FnOnce() -> i32 + Send + 'static) -> i32 {
    if namespace < 0 {
        return work();
    }
    let thread = std::thread::Builder::new().spawn(move || {
        // SAFETY: passes no memory.
        if unsafe { libc::setns(namespace, libc::CLONE_NEWNET) } < 0 { errno() } else { work() }
    });
    match thread {
        Ok(thread) => thread.join().unwrap_or(-libc::EIO),
        Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
    }
}

/// Opens what stands for a network namespace, as /proc/PID/ns/net or /run/netns/NAME. A descriptor or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_namespace_open(path: *const c_char) -> i32 {
    // SAFETY: `path` ends with a NUL byte (network_namespace.ts).
    let fd = unsafe { libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK) };
    if fd < 0 { errno() } else { fd }
}

/// A rtnetlink socket of `namespace`, bound to a port of its own: reads and writes on it are answered at once. -errno.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_namespace_netlink(namespace: i32) -> i32 {
    in_namespace(namespace, || {
        // SAFETY: passes no memory.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
        if fd < 0 { errno() } else { fd }
    })
}
