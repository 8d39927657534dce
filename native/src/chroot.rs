//! Out of a chroot and in again, for what asks that the root directory be a mount: a program may run in one that is none.
//! chroot(2) tells how root leaves one. /proc is a directory that exists wherever we can run.

/// Directories that a chroot is deep at most.
const DEPTH_MAX: usize = 64;

/// The root directory as it was.
#[must_use]
pub struct Root(i32);

/// The root directory of this process becomes that of its mount namespace. None where it may not.
///
/// SAFETY: a process that shares the root directory with the caller (CLONE_FS) changes it too. Allocates nothing.
pub unsafe fn leave() -> Option<Root> {
    // SAFETY: constant strings.
    unsafe {
        let root = libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
        if root < 0 || libc::chroot(c"/proc".as_ptr()) < 0 || libc::fchdir(root) < 0 {
            return None;
        }
        for _ in 0..DEPTH_MAX {
            libc::chdir(c"..".as_ptr());
        }
        (libc::chroot(c".".as_ptr()) == 0).then_some(Root(root))
    }
}

/// Enters it again.
///
/// SAFETY: as leave().
pub unsafe fn enter(root: Root) -> bool {
    // SAFETY: a constant string.
    unsafe { libc::fchdir(root.0) == 0 && libc::chroot(c".".as_ptr()) == 0 && libc::close(root.0) == 0 }
}
