//! Removes the directories of a sandbox's cgroup once its processes have ended: see boot/cgroup/cgroup.ts, which makes them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often, and how long in between, one is tried whose last process has just ended.
const TRIES_MAX: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// False where directory `path` is still the one with `inode`, and is not empty in the end.
pub fn remove(path: &Path, inode: u64) -> bool {
    for _ in 0..TRIES_MAX {
        let found = std::fs::symlink_metadata(path).map_or(0, |data| data.ino());
        if found != inode || std::fs::remove_dir(path).is_ok() {
            return true;
        }
        std::thread::sleep(PAUSE);
    }
    false
}

/// Lines "INODE PATH", as boot/cgroup/removal.ts writes them.
pub fn remove_listed(lines: &[u8]) {
    for line in lines.split(|&byte| byte == b'\n') {
        let mut words = line.splitn(2, |&byte| byte == b' ');
        let inode = words.next().and_then(|word| std::str::from_utf8(word).ok()?.parse::<u64>().ok());
        let (Some(inode), Some(path)) = (inode, words.next()) else { continue };
        remove(&PathBuf::from(OsString::from_vec(path.to_vec())), inode);
    }
}
