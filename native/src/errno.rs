//! Results of this library's functions: a value, or a negative errno.

/// -errno of the last call of libc's on this thread.
pub fn errno() -> i32 {
    -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
