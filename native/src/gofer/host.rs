//! Raw file calls of the gofer: everything by descriptor and single name, nothing by path but what the command line names.

use crate::errno::errno;
use super::frame::HostText;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

type Text = *const libc::c_char;

/// A descriptor of a host object that closes with it.
pub struct HostFd(OwnedFd);

impl HostFd {
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }
    /// # Safety
    /// `number` is an open descriptor that nobody else closes.
    pub unsafe fn taken(number: i32) -> HostFd {
        // SAFETY: as above.
        HostFd(unsafe { OwnedFd::from_raw_fd(number) })
    }
    pub fn into_number(self) -> i32 {
        self.0.into_raw_fd()
    }
    fn of(result: i64) -> Result<HostFd, i32> {
        // SAFETY: the host has just made it for us.
        if result < 0 { Err(errno()) } else { Ok(HostFd(unsafe { OwnedFd::from_raw_fd(result as i32) })) }
    }
}

pub fn done(result: i64) -> Result<(), i32> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}
/// RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH: a name leads nowhere else.
const RESOLVE: u64 = 2 | 4 | 8;

/// openat2(2) of one name below `directory`, never through a link.
pub fn open(directory: &HostFd, name: Text, flags: i32, mode: u32) -> Result<HostFd, i32> {
    let how = OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: mode as u64, resolve: RESOLVE };
    // SAFETY: `name` is NUL-terminated; `how` has the size passed.
    HostFd::of(unsafe { libc::syscall(libc::SYS_openat2, directory.number(), name, &how, size_of::<OpenHow>()) })
}

/// The number of `fd` as its name in /proc/self/fd.
pub fn number_name(fd: &HostFd) -> HostText<16> {
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut rest = fd.number() as u32;
    while rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    HostText::new(&digits[at..]).expect("ten digits fit")
}

/// Opens an O_PATH descriptor anew through /proc/self/fd, held as `proc`: the magic link leads to the very object.
pub fn reopen(proc: &HostFd, fd: &HostFd, flags: i32) -> Result<HostFd, i32> {
    // SAFETY: the name is NUL-terminated.
    HostFd::of(unsafe { libc::openat(proc.number(), number_name(fd).as_ptr(), flags | libc::O_CLOEXEC) } as i64)
}

/// Bytes at `offset`, as many as there are up to the length of `into`.
pub fn pread(fd: &HostFd, into: &mut [u8], offset: u64) -> Result<usize, i32> {
    let mut done = 0;
    while done < into.len() {
        let rest = &mut into[done..];
        // SAFETY: `rest` is ours.
        let n = unsafe {
            libc::pread(fd.number(), rest.as_mut_ptr() as *mut libc::c_void, rest.len(), (offset + done as u64) as i64)
        };
        match n {
            0 => break,
            n if n > 0 => done += n as usize,
            _ if done > 0 => break,
            _ => return Err(errno()),
        }
    }
    Ok(done)
}

/// The file from its start, if the host has it in memory or its file system cannot tell: Err(-EAGAIN).
pub fn pread_now(fd: &HostFd, into: &mut [u8]) -> Result<usize, i32> {
    let iovec = libc::iovec { iov_base: into.as_mut_ptr() as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: one iovec over `into`.
    let n = unsafe { libc::preadv2(fd.number(), &iovec, 1, 0, libc::RWF_NOWAIT) };
    if n >= 0 {
        return Ok(n as usize);
    }
    match errno() {
        error if error == -libc::EOPNOTSUPP => pread(fd, into, 0),
        error => Err(error),
    }
}

/// Writes `bytes` at `offset` with RWF_ flags, in one call: an append is one.
pub fn pwrite(fd: &HostFd, bytes: &[u8], offset: u64, flags: i32) -> Result<usize, i32> {
    let iovec = libc::iovec { iov_base: bytes.as_ptr() as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: one iovec over `bytes`, which the call only reads.
    let n = unsafe { libc::pwritev2(fd.number(), &iovec, 1, offset as i64, flags) };
    if n < 0 { Err(errno()) } else { Ok(n as usize) }
}

/// File systems of which the host's own memory and disks are behind: a call on one of their files takes as long as those
/// take. Of all others (FUSE, network file systems, what is not known) a call may take as long as somebody else likes.
const LOCAL_FILE_SYSTEMS: [i64; 24] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xca45_1a4e, // bcachefs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlay
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // erofs
    0x9660,      // iso9660
    0x1501_3346, // udf
    0x4d44,      // vfat
    0x2011_bab0, // exfat
    0x3153_464a, // jfs
    0x7366_746e, // ntfs3
    0x3434,      // nilfs
    0x9584_58f6, // hugetlbfs
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
];

/// Whether the file system of an object is one of LOCAL_FILE_SYSTEMS.
pub fn is_local(fd: &HostFd) -> bool {
    // SAFETY: struct statfs is plain data, which the call fills.
    unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        libc::fstatfs(fd.number(), &mut found) == 0 && LOCAL_FILE_SYSTEMS.contains(&found.f_type)
    }
}

/// Of the object behind a descriptor.
pub fn stat(fd: &HostFd) -> Result<libc::stat, i32> {
    stat_at(fd, c"".as_ptr())
}

/// Of a name below a descriptor; an empty one is the descriptor itself.
pub fn stat_at(fd: &HostFd, name: Text) -> Result<libc::stat, i32> {
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    // SAFETY: struct stat is plain data, which the call fills.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        done(libc::syscall(libc::SYS_newfstatat, fd.number(), name, &mut stat, flags))?;
        Ok(stat)
    }
}

const OPEN_TREE_CLONE: u32 = 1;

/// struct mount_attr of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}
const MOUNT_ATTR_RDONLY: u64 = 1;

/// A tree to serve: a mount of `path` that is nobody else's, with the mounts below it if `is_recursive`, read-only as a whole
/// if `is_read_only`. It stays when the root directory goes, and with it what is mounted there.
pub fn open_tree(path: &CString, is_recursive: bool, is_read_only: bool) -> Result<HostFd, i32> {
    let recursive = libc::AT_RECURSIVE as u32;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | if is_recursive { recursive } else { 0 };
    // What the host mounts later does not come into it.
    let attributes = MountAttributes {
        set: if is_read_only { MOUNT_ATTR_RDONLY } else { 0 },
        propagation: libc::MS_PRIVATE,
        ..Default::default()
    };
    // SAFETY: `path` ends with a NUL byte; `attributes` has the size passed.
    unsafe {
        let tree = HostFd::of(libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags))?;
        done(libc::syscall(
            libc::SYS_mount_setattr,
            tree.number(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as u32 | recursive,
            &attributes,
            size_of::<MountAttributes>(),
        ))?;
        Ok(tree)
    }
}

/// The same for a gofer whose caller could not: in a user namespace mounts that hide others must stay together. A host that
/// does not let us gives the path as it is.
pub fn open_own_tree(path: &CString, is_recursive: bool, is_read_only: bool) -> Result<HostFd, i32> {
    let mut tree = open_tree(path, is_recursive, is_read_only);
    if !is_recursive && matches!(tree, Err(error) if error == -libc::EINVAL) {
        tree = open_tree(path, true, is_read_only);
    }
    tree.or_else(|_| open_path(path.as_ptr(), libc::O_PATH))
}

/// Opens a host path; for the roots the command line names.
pub fn open_path(path: Text, flags: i32) -> Result<HostFd, i32> {
    // SAFETY: `path` is NUL-terminated.
    HostFd::of(unsafe { libc::open(path, flags | libc::O_CLOEXEC) } as i64)
}
