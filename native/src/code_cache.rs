//! Where the one file keeps compiled code between starts: a directory of the caller's own below its cache. The runtime runs
//! what it finds there, so nobody else may have put it there: under sudo HOME can be another user's.

use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// The path for this build, made if need be. None where there is no place that is the caller's alone.
pub fn directory(build: &str) -> Option<Vec<u8>> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let base = base.or_else(|| {
        let home = std::env::var_os("HOME").filter(|path| !path.is_empty())?;
        Some(OsString::from_vec([home.into_vec(), b"/.cache".to_vec()].concat()))
    })?;
    let base = base.into_vec();
    if base.first() != Some(&b'/') {
        return None;
    }
    let parent = open_own(libc::AT_FDCWD, &base, false)?;
    let ours = open_own(parent.as_raw_fd(), b"tsvisor", true)?;
    open_own(ours.as_raw_fd(), build.as_bytes(), true)?;
    Some([&base[..], b"/tsvisor/", build.as_bytes()].concat())
}

/// A directory that the caller owns and nobody else can write, opened without following a link at its end. With `is_made` it
/// is made where there is none, and nobody else may read it either.
fn open_own(parent: i32, name: &[u8], is_made: bool) -> Option<OwnedFd> {
    let path = CString::new(name).ok()?;
    // SAFETY: a NUL-terminated path; the descriptor is owned from here on; fstat writes one struct.
    unsafe {
        if is_made {
            libc::mkdirat(parent, path.as_ptr(), 0o700);
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let fd = libc::openat(parent, path.as_ptr(), flags);
        if fd < 0 {
            return None;
        }
        let fd = OwnedFd::from_raw_fd(fd);
        let mut status: libc::stat = std::mem::zeroed();
        let refused = if is_made { 0o077 } else { 0o022 };
        let is_own = libc::fstat(fd.as_raw_fd(), &mut status) == 0
            && status.st_uid == libc::geteuid()
            && status.st_mode & refused == 0;
        is_own.then_some(fd)
    }
}
