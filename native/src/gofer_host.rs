//! Raw file calls for the gofer: everything by descriptor and single name, nothing by path. Results are >= 0 or -errno.
//! Names and targets come NUL-terminated from gofer_host.ts, which has checked them.

use core::ffi::c_void;

type Name = *const libc::c_char;

fn result(value: i64) -> i32 {
    if value < 0 { -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { value as i32 }
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}
/// RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH: a name leads nowhere else.
const RESOLVE: u64 = 2 | 4 | 8;

const OPEN_TREE_CLONE: u32 = 1;
const MOUNT_ATTR_RDONLY: u64 = 1;

/// A tree to serve: a mount of `path` that is our own, with the mounts below it if `is_recursive`, read-only as a whole if
/// `is_read_only`. It stays when the root directory goes, and with it what is mounted there. A host that does not let us
/// gives the path as it is.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_tree(path: Name, is_recursive: u32, is_read_only: u32) -> i32 {
    // SAFETY: `path` ends with a NUL byte; `attributes` is a struct mount_attr.
    unsafe {
        let recursive = libc::AT_RECURSIVE as u32;
        let open = |flags: u32| {
            let flags = flags | OPEN_TREE_CLONE | libc::O_CLOEXEC as u32;
            libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path, flags) as i32
        };
        let mut fd = open(if is_recursive != 0 { recursive } else { 0 });
        // In a user namespace mounts that hide others must stay together.
        if fd < 0 && is_recursive == 0 && result(-1) == -libc::EINVAL {
            fd = open(recursive);
        }
        if fd < 0 {
            return tsv_gofer_root(path, libc::O_PATH as u32);
        }
        if is_read_only != 0 {
            let attributes = [MOUNT_ATTR_RDONLY, 0, 0, 0];
            let flags = libc::AT_EMPTY_PATH as u32 | recursive;
            let empty = c"".as_ptr();
            if libc::syscall(libc::SYS_mount_setattr, fd, empty, flags, attributes.as_ptr(), size_of_val(&attributes)) < 0 {
                libc::close(fd);
                return tsv_gofer_root(path, libc::O_PATH as u32);
            }
        }
        fd
    }
}

/// openat2(2) of one name below `directory`, never through a link.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_open(directory: i32, name: Name, flags: u32, mode: u32) -> i32 {
    let how = OpenHow { flags: flags as u64, mode: mode as u64, resolve: RESOLVE };
    // SAFETY: `name` is NUL-terminated; `how` has the size passed.
    result(unsafe { libc::syscall(libc::SYS_openat2, directory, name, &how, size_of::<OpenHow>()) })
}
/// Opens an O_PATH descriptor anew through /proc/self/fd, held as `proc`; `name` is its number in decimal.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_reopen(proc: i32, name: Name, flags: u32) -> i32 {
    // SAFETY: `name` is NUL-terminated. The magic link leads to the very object of the descriptor.
    result(unsafe { libc::openat(proc, name, flags as i32 | libc::O_CLOEXEC) } as i64)
}
/// Opens a host path; for the roots the command line names.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_root(path: Name, flags: u32) -> i32 {
    // SAFETY: `path` is NUL-terminated.
    result(unsafe { libc::open(path, flags as i32 | libc::O_CLOEXEC) } as i64)
}
/// struct stat (144 bytes) of a name below a descriptor, or of the descriptor itself when the name is empty.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_stat(directory: i32, name: Name, into: *mut u8, at: u32) -> i32 {
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    // SAFETY: the caller's array has 144 bytes at `at`.
    result(unsafe { libc::syscall(libc::SYS_newfstatat, directory, name, into.add(at as usize), flags) })
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_mkdir(directory: i32, name: Name, mode: u32) -> i32 {
    // SAFETY: `name` is NUL-terminated.
    result(unsafe { libc::mkdirat(directory, name, mode) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_mknod(directory: i32, name: Name, mode: u32, major: u32, minor: u32) -> i32 {
    // SAFETY: `name` is NUL-terminated.
    result(unsafe { libc::mknodat(directory, name, mode, libc::makedev(major, minor)) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_symlink(target: Name, directory: i32, name: Name) -> i32 {
    // SAFETY: both are NUL-terminated.
    result(unsafe { libc::symlinkat(target, directory, name) } as i64)
}
/// Links the object of O_PATH descriptor `fd` at `name`; needs CAP_DAC_READ_SEARCH for AT_EMPTY_PATH.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_link(fd: i32, directory: i32, name: Name) -> i32 {
    // SAFETY: `name` is NUL-terminated.
    result(unsafe { libc::linkat(fd, c"".as_ptr(), directory, name, libc::AT_EMPTY_PATH) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_unlink(directory: i32, name: Name, flags: u32) -> i32 {
    // SAFETY: `name` is NUL-terminated.
    result(unsafe { libc::unlinkat(directory, name, flags as i32) } as i64)
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_rename(from: i32, name: Name, to: i32, new_name: Name, flags: u32) -> i32 {
    // The C library's renameat2 is renameat without flags, a call that our list does not have.
    // SAFETY: both are NUL-terminated.
    result(unsafe { libc::syscall(libc::SYS_renameat2, from, name, to, new_name, flags) })
}
/// Target of the symlink behind an O_PATH descriptor; bytes.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_readlink(fd: i32, into: *mut u8, at: u32, length: u32) -> i32 {
    // SAFETY: the caller's array has `length` bytes at `at`.
    result(unsafe { libc::readlinkat(fd, c"".as_ptr(), into.add(at as usize) as *mut libc::c_char, length as usize) } as i64)
}
/// getdents64(2).
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_getdents(fd: i32, into: *mut u8, at: u32, length: u32) -> i32 {
    // SAFETY: the caller's array has `length` bytes at `at`.
    result(unsafe { libc::syscall(libc::SYS_getdents64, fd, into.add(at as usize), length) })
}
/// As tsv_gofer_stat, of the NUL-terminated name that stands at `name_at` of the same array.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_stat_at(directory: i32, bytes: *mut u8, name_at: u32, at: u32) -> i32 {
    // SAFETY: the caller's array has a name at `name_at` and 144 bytes at `at`.
    unsafe { tsv_gofer_stat(directory, bytes.add(name_at as usize) as Name, bytes, at) }
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_rewind(fd: i32) -> i32 {
    // SAFETY: passes no memory.
    result(unsafe { libc::lseek(fd, 0, libc::SEEK_SET) })
}
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_chown(fd: i32, uid: u32, gid: u32) -> i32 {
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: passes an empty name.
    result(unsafe { libc::fchownat(fd, c"".as_ptr(), uid, gid, flags) } as i64)
}
/// chmod of the object of an O_PATH descriptor, through /proc/self/fd (`proc`, `name` = its number).
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_chmod(proc: i32, name: Name, mode: u32) -> i32 {
    // SAFETY: `name` is NUL-terminated.
    result(unsafe { libc::fchmodat(proc, name, mode, 0) } as i64)
}
/// Times of the object of an O_PATH descriptor: `times` are atime and mtime as {seconds i64, nanoseconds i64}.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_times(fd: i32, times: *const u8) -> i32 {
    // SAFETY: `times` holds two timespecs.
    result(unsafe { libc::syscall(libc::SYS_utimensat, fd, c"".as_ptr(), times, libc::AT_EMPTY_PATH) })
}
/// truncate of the object of an O_PATH descriptor, as chmod.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_truncate(proc: i32, name: Name, low: u32, high: u32) -> i32 {
    // SAFETY: `name` is NUL-terminated; the descriptor made here is closed here.
    unsafe {
        let fd = libc::openat(proc, name, libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return result(-1);
        }
        let done = result(libc::ftruncate(fd, (low as u64 | (high as u64) << 32) as i64) as i64);
        libc::close(fd);
        done
    }
}
/// struct statfs (120 bytes).
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_statfs(fd: i32, into: *mut u8) -> i32 {
    // SAFETY: the caller's array has 120 bytes.
    result(unsafe { libc::syscall(libc::SYS_fstatfs, fd, into) })
}
/// Extended attributes through /proc/self/fd: operation 0 get, 1 set, 2 list, 3 remove. Never follows a symlink's target.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_gofer_xattr(operation: u32, path: Name, name: Name, value: *mut u8, length: u32, flags: u32) -> i32 {
    // SAFETY: names are NUL-terminated; `value` holds `length` bytes.
    result(unsafe {
        match operation {
            0 => libc::getxattr(path, name, value as *mut c_void, length as usize) as i64,
            1 => libc::setxattr(path, name, value as *const c_void, length as usize, flags as i32) as i64,
            2 => libc::listxattr(path, value as *mut libc::c_char, length as usize) as i64,
            _ => libc::removexattr(path, name) as i64,
        }
    })
}
