//! What the gofer does for each request of gofer/protocol.ts: checks it, has the host do it, answers. Trusts nothing in it.

use crate::errno::errno;
use super::content::{WANTS_CONTENT, WANTS_NOTHING, refuse_special};
use super::frame::{Answer, HostText, NAME_BYTES_MAX, Name, Reader, component};
use super::host::{self, HostFd, done};
use super::tree::{Node, Tree};
use std::sync::Arc;

const LINK_BYTES_MAX: usize = 4095;
const CLOSE_COUNT_MAX: u16 = 256;
const WALK_COUNT_MAX: u8 = 16;
const VALUE_BYTES_MAX: usize = 60 * 1024;
pub const NO_NODE: u32 = 0xffff_ffff;
const UTIME_OMIT: i64 = 0x3fff_fffe;

// Requests, as in gofer/protocol.ts.
pub const ROOT: u16 = 1;
pub const WALK: u16 = 2;
pub const READ_ATTRIBUTES: u16 = 3;
pub const OPEN: u16 = 4;
pub const CREATE: u16 = 5;
pub const MKDIR: u16 = 6;
pub const MKNOD: u16 = 7;
pub const SYMLINK: u16 = 8;
pub const LINK: u16 = 9;
pub const UNLINK: u16 = 10;
pub const RENAME: u16 = 11;
pub const SET_ATTRIBUTES: u16 = 12;
pub const READLINK: u16 = 13;
pub const STAT: u16 = 14;
pub const STATFS: u16 = 15;
pub const CLOSE: u16 = 16;
pub const XATTR: u16 = 17;
pub const READ_DIRECTORY: u16 = 18;
pub const CREATE_UNNAMED: u16 = 19;
pub const SYNC: u16 = 20;
pub const READ: u16 = 21;
pub const FETCH: u16 = 22;
pub const WRITE: u16 = 23;
pub const ALLOCATE: u16 = 24;
pub const RELEASE: u16 = 25;
pub const READ_CONTENTS: u16 = 26;

// Bits of SET_ATTRIBUTES' mask.
const SET_MODE: u32 = 1;
const SET_UID: u32 = 2;
const SET_GID: u32 = 4;
const SET_SIZE: u32 = 8;
const SET_ATIME: u32 = 16;
const SET_MTIME: u32 = 32;

pub type Outcome = Result<(), i32>;

/// One request being served.
pub struct Request<'a> {
    pub tree: &'a Tree,
    /// /proc/self/fd, for what needs more than an O_PATH descriptor.
    pub proc: &'a HostFd,
    pub reader: Reader<'a>,
    pub answer: &'a mut Answer,
    /// Goes with the answer.
    pub donated: Option<HostFd>,
}

impl Request<'_> {
    /// Serves request `kind`: 0 or -errno, with the answer's body written.
    pub fn serve(&mut self, kind: u16) -> i32 {
        match self.run(kind) {
            Ok(()) => 0,
            Err(error) => {
                self.donated = None;
                error
            }
        }
    }

    fn run(&mut self, kind: u16) -> Outcome {
        match kind {
            ROOT => {
                let stat = host::stat(&self.tree.node(0)?.fd)?;
                self.put_node(0, &stat);
                Ok(())
            }
            WALK => self.walk(),
            READ_ATTRIBUTES => self.read_attributes(),
            READ_DIRECTORY => self.read_directory(),
            READ_CONTENTS => self.read_contents(),
            OPEN => self.open(),
            CREATE => self.create(),
            CREATE_UNNAMED => self.create_unnamed(),
            MKDIR | MKNOD | SYMLINK => self.make(kind),
            LINK => self.link(),
            UNLINK => self.unlink(),
            RENAME => self.rename(),
            SET_ATTRIBUTES => self.set_attributes(),
            READLINK => self.readlink(),
            STAT => {
                let node = self.node()?;
                self.put_attributes(&node.fd)
            }
            STATFS => self.statfs(),
            CLOSE => self.close(),
            XATTR => self.xattr(),
            SYNC => self.sync(),
            READ => self.read(),
            FETCH => self.fetch(),
            WRITE => self.write(),
            ALLOCATE => self.allocate(),
            RELEASE => {
                self.node()?.release();
                Ok(())
            }
            _ => Err(-libc::EOPNOTSUPP),
        }
    }

    /// The request has been read whole and was well formed.
    pub fn checked(&self) -> Outcome {
        if self.reader.is_bad { Err(-libc::EPROTO) } else { Ok(()) }
    }

    pub fn node(&mut self) -> Result<Arc<Node>, i32> {
        let number = self.reader.u32();
        self.checked()?;
        self.tree.node(number)
    }

    pub fn put_node(&mut self, number: u32, stat: &libc::stat) {
        self.answer.u32(number);
        self.answer.attributes(stat);
    }

    pub fn put_attributes(&mut self, fd: &HostFd) -> Outcome {
        let stat = host::stat(fd)?;
        self.answer.attributes(&stat);
        Ok(())
    }

    fn walk(&mut self) -> Outcome {
        let (directory, wants, count) = (self.reader.u32(), self.reader.u8(), self.reader.u8());
        if count == 0 || count > WALK_COUNT_MAX || wants > WANTS_CONTENT {
            return Err(-libc::EPROTO);
        }
        // All names are checked before the first is looked up.
        let known: Vec<u32> = (0..count).map(|_| self.reader.u32()).collect();
        let names: Vec<&[u8]> = (0..count).map(|_| self.reader.text(NAME_BYTES_MAX)).collect();
        self.checked()?;
        let mut at = self.tree.node(directory)?;
        let walked_at = self.answer.length();
        self.answer.u8(0);
        self.answer.u32(0);
        let mut walked = 0;
        for (name, known) in names.iter().zip(known) {
            match self.step(&at, name, known) {
                Ok((number, stat)) => {
                    self.put_node(number, &stat);
                    walked += 1;
                    let kind = stat.st_mode & libc::S_IFMT;
                    if walked == count && wants != WANTS_NOTHING && kind == libc::S_IFREG {
                        let node = self.tree.node(number)?;
                        self.bring_along(&node, &stat, wants == WANTS_CONTENT);
                    }
                    if kind != libc::S_IFDIR {
                        break;
                    }
                    at = self.tree.node(number)?;
                }
                Err(error) if walked == 0 => return Err(error),
                Err(error) => {
                    self.answer.set_u32(walked_at + 1, error as u32);
                    break;
                }
            }
        }
        self.answer.set_u8(walked_at, walked);
        Ok(())
    }

    /// One component: the node `known` where it is still what stands there, else a new one.
    pub fn step(&self, directory: &Node, name: &[u8], known: u32) -> Result<(u32, libc::stat), i32> {
        let name = component(name)?;
        if known != NO_NODE {
            let node = self.tree.node(known)?;
            let stat = host::stat_at(&directory.fd, name.as_ptr())?;
            let mine = host::stat(&node.fd)?;
            if (stat.st_dev, stat.st_ino) == (mine.st_dev, mine.st_ino) {
                return Ok((known, stat));
            }
        }
        let (fd, stat) = self.tree.find(directory, &name)?;
        Ok((self.tree.add(fd)?, stat))
    }

    fn create(&mut self) -> Outcome {
        let r = &mut self.reader;
        let (directory, flags, mode, uid, gid) = (r.u32(), r.u32(), r.u32(), r.u32(), r.u32());
        let text = r.text(NAME_BYTES_MAX);
        self.checked()?;
        let (node, name) = self.tree.for_change(directory, text)?;
        if flags & !(libc::O_ACCMODE as u32) != 0 {
            return Err(-libc::EINVAL);
        }
        let flags = flags as i32 | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        match host::open(&node.fd, name.as_ptr(), flags, mode & 0o7777) {
            Ok(fd) => {
                let (made, device) = self.own(&node, &name, uid, gid, Some(mode))?;
                self.put_attributes(&node.fd)?;
                self.give_out(&made, device, fd)
            }
            // For O_CREAT: answers with what exists and saves the client a WALK.
            Err(error) if error == -libc::EEXIST => {
                let (fd, stat) = self.tree.find(&node, &name)?;
                let number = self.tree.add(fd)?;
                self.put_node(number, &stat);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// O_TMPFILE: a file without a name, which LINK may give it.
    fn create_unnamed(&mut self) -> Outcome {
        let r = &mut self.reader;
        let (directory, mode, uid, gid) = (r.u32(), r.u32(), r.u32(), r.u32());
        self.checked()?;
        if self.tree.is_read_only {
            return Err(-libc::EROFS);
        }
        let node = self.tree.node(directory)?;
        let made = host::open(&node.fd, c".".as_ptr(), libc::O_TMPFILE | libc::O_RDWR, mode & 0o7777)?;
        let fd = host::reopen(self.proc, &made, libc::O_PATH)?;
        let stat = self.give(&fd, host::stat(&fd)?, uid, gid, Some(mode))?;
        let number = self.tree.add(fd)?;
        self.put_node(number, &stat);
        let node = self.tree.node(number)?;
        self.give_out(&node, stat.st_dev, made)
    }

    fn make(&mut self, kind: u16) -> Outcome {
        let r = &mut self.reader;
        let directory = r.u32();
        let mode = if kind == SYMLINK { 0o777 } else { r.u32() };
        let (uid, gid) = (r.u32(), r.u32());
        let (major, minor) = if kind == MKNOD { (r.u32(), r.u32()) } else { (0, 0) };
        let text = r.text(NAME_BYTES_MAX);
        let target = if kind == SYMLINK { r.text(LINK_BYTES_MAX) } else { &[] };
        self.checked()?;
        let (node, name) = self.tree.for_change(directory, text)?;
        let at = node.fd.number();
        // SAFETY: names and target are NUL-terminated.
        done(unsafe {
            match kind {
                MKDIR => libc::mkdirat(at, name.as_ptr(), mode & 0o7777),
                MKNOD => {
                    let type_ = mode & libc::S_IFMT;
                    // Devices of the host are not for guests to make; a whiteout is none.
                    let is_whiteout = type_ == libc::S_IFCHR && major == 0 && minor == 0;
                    if !is_whiteout && ![libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK].contains(&type_) {
                        return Err(-libc::EINVAL);
                    }
                    libc::mknodat(at, name.as_ptr(), mode, libc::makedev(major, minor))
                }
                _ => {
                    let target = HostText::<{ LINK_BYTES_MAX + 1 }>::new(target).ok_or(-libc::EINVAL)?;
                    libc::symlinkat(target.as_ptr(), at, name.as_ptr())
                }
            }
        } as i64)?;
        self.own(&node, &name, uid, gid, (kind != SYMLINK).then_some(mode))?;
        self.put_attributes(&node.fd)
    }

    /// Gives what was made to its owner and answers with its node; that, and the device it is on. On failure it is removed again.
    fn own(
        &mut self,
        directory: &Node,
        name: &Name,
        uid: u32,
        gid: u32,
        mode: Option<u32>,
    ) -> Result<(Arc<Node>, u64), i32> {
        let (fd, made) = self.tree.find(directory, name)?;
        let given = self.give(&fd, made, uid, gid, mode);
        if given.is_err() {
            let flags = if made.st_mode & libc::S_IFMT == libc::S_IFDIR { libc::AT_REMOVEDIR } else { 0 };
            // SAFETY: the name is NUL-terminated.
            unsafe { libc::unlinkat(directory.fd.number(), name.as_ptr(), flags) };
        }
        let stat = given?;
        let number = self.tree.add(fd)?;
        self.put_node(number, &stat);
        Ok((self.tree.node(number)?, stat.st_dev))
    }

    /// Owner of a new object with attributes `stat`, and its mode where that has taken bits away; its attributes then.
    fn give(&self, fd: &HostFd, stat: libc::stat, uid: u32, gid: u32, mode: Option<u32>) -> Result<libc::stat, i32> {
        let mut stat = stat;
        if stat.st_uid != uid || stat.st_gid != gid {
            chown(fd, uid, gid)?;
            stat = host::stat(fd)?;
        }
        // chown(2) clears setuid and setgid. The umask of this process is 0: what else differs is a default ACL's doing.
        if let Some(mode) = mode.filter(|mode| mode & 0o6000 != 0 && (stat.st_mode ^ mode) & 0o7777 != 0) {
            self.change_mode(fd, mode)?;
            stat = host::stat(fd)?;
        }
        Ok(stat)
    }

    fn change_mode(&self, fd: &HostFd, mode: u32) -> Outcome {
        // SAFETY: the name is NUL-terminated.
        done(unsafe { libc::fchmodat(self.proc.number(), host::number_name(fd).as_ptr(), mode & 0o7777, 0) } as i64)
    }

    fn link(&mut self) -> Outcome {
        let (number, directory) = (self.reader.u32(), self.reader.u32());
        let text = self.reader.text(NAME_BYTES_MAX);
        self.checked()?;
        let (into, name) = self.tree.for_change(directory, text)?;
        let source = self.tree.node(number)?;
        let flags = libc::AT_EMPTY_PATH;
        // Needs CAP_DAC_READ_SEARCH.
        // SAFETY: the name is NUL-terminated.
        done(unsafe { libc::linkat(source.fd.number(), c"".as_ptr(), into.fd.number(), name.as_ptr(), flags) } as i64)?;
        self.put_attributes(&source.fd)?;
        self.put_attributes(&into.fd)
    }

    fn unlink(&mut self) -> Outcome {
        let (directory, flags) = (self.reader.u32(), self.reader.u32());
        let text = self.reader.text(NAME_BYTES_MAX);
        self.checked()?;
        if flags & !(libc::AT_REMOVEDIR as u32) != 0 {
            return Err(-libc::EINVAL);
        }
        let (node, name) = self.tree.for_change(directory, text)?;
        // SAFETY: the name is NUL-terminated.
        done(unsafe { libc::unlinkat(node.fd.number(), name.as_ptr(), flags as i32) } as i64)?;
        self.put_attributes(&node.fd)
    }

    fn rename(&mut self) -> Outcome {
        let r = &mut self.reader;
        let (from, to, flags) = (r.u32(), r.u32(), r.u32());
        let (old, new) = (r.text(NAME_BYTES_MAX), r.text(NAME_BYTES_MAX));
        self.checked()?;
        if flags & !(libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE) != 0 {
            return Err(-libc::EINVAL);
        }
        let (from, old) = self.tree.for_change(from, old)?;
        let (to, new) = self.tree.for_change(to, new)?;
        // The C library's renameat2 is renameat without flags, a call that our list does not have.
        // SAFETY: both names are NUL-terminated.
        done(unsafe {
            libc::syscall(libc::SYS_renameat2, from.fd.number(), old.as_ptr(), to.fd.number(), new.as_ptr(), flags)
        })?;
        self.put_attributes(&from.fd)?;
        self.put_attributes(&to.fd)
    }

    fn set_attributes(&mut self) -> Outcome {
        let r = &mut self.reader;
        let (number, mask, mode, uid, gid, size) = (r.u32(), r.u32(), r.u32(), r.u32(), r.u32(), r.u64());
        let times: [u64; 4] = std::array::from_fn(|_| r.u64());
        self.checked()?;
        if self.tree.is_read_only {
            return Err(-libc::EROFS);
        }
        let node = self.tree.node(number)?;
        if mask & SET_SIZE != 0 {
            refuse_special(&node)?;
            let fd = host::reopen(self.proc, &node.fd, libc::O_WRONLY | libc::O_NONBLOCK)?;
            // SAFETY: passes no memory.
            done(unsafe { libc::ftruncate(fd.number(), size as i64) } as i64)?;
        }
        if mask & (SET_UID | SET_GID) != 0 {
            let none = 0xffff_ffff;
            chown(
                &node.fd,
                if mask & SET_UID != 0 { uid } else { none },
                if mask & SET_GID != 0 { gid } else { none },
            )?;
        }
        if mask & SET_MODE != 0 {
            self.change_mode(&node.fd, mode)?;
        }
        if mask & (SET_ATIME | SET_MTIME) != 0 {
            let time = |at: usize, bit: u32| libc::timespec {
                tv_sec: times[at] as i64,
                tv_nsec: if mask & bit != 0 { times[at + 1] as i64 } else { UTIME_OMIT },
            };
            let both = [time(0, SET_ATIME), time(2, SET_MTIME)];
            let (at, flags) = (node.fd.number(), libc::AT_EMPTY_PATH);
            // SAFETY: two timespecs.
            done(unsafe { libc::syscall(libc::SYS_utimensat, at, c"".as_ptr(), both.as_ptr(), flags) })?;
        }
        self.put_attributes(&node.fd)
    }

    fn readlink(&mut self) -> Outcome {
        let node = self.node()?;
        let room = self.answer.room();
        let (into, length) = (room.as_mut_ptr() as *mut libc::c_char, LINK_BYTES_MAX);
        // SAFETY: the answer has room for a frame.
        let n = unsafe { libc::readlinkat(node.fd.number(), c"".as_ptr(), into, length) };
        if n < 0 {
            // What is no link answers ENOENT to an empty name.
            return Err(if errno() == -libc::ENOENT { -libc::EINVAL } else { errno() });
        }
        self.answer.grow(n as usize);
        Ok(())
    }

    fn statfs(&mut self) -> Outcome {
        let node = self.node()?;
        // SAFETY: struct statfs is plain data, which the call fills.
        let found = unsafe {
            let mut found: libc::statfs = std::mem::zeroed();
            done(libc::fstatfs(node.fd.number(), &mut found) as i64)?;
            found
        };
        let words = [
            found.f_type as u64,
            found.f_bsize as u64,
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            found.f_namelen as u64,
        ];
        for word in words {
            self.answer.put(&word.to_le_bytes());
        }
        Ok(())
    }

    fn close(&mut self) -> Outcome {
        let count = self.reader.u16();
        if count > CLOSE_COUNT_MAX {
            return Err(-libc::EINVAL);
        }
        for _ in 0..count {
            let number = self.reader.u32();
            self.checked()?;
            self.tree.close(number);
        }
        Ok(())
    }

    fn xattr(&mut self) -> Outcome {
        let r = &mut self.reader;
        let (operation, flags, number, name) = (r.u8(), r.u8(), r.u32(), r.text(NAME_BYTES_MAX));
        let value = r.rest();
        if self.reader.is_bad || operation > 3 {
            return Err(-libc::EPROTO);
        }
        let node = self.tree.node(number)?;
        let name = Name::new(name).ok_or(-libc::EINVAL)?;
        let is_change = operation == 1 || operation == 3;
        if is_change && self.tree.is_read_only {
            return Err(-libc::EROFS);
        }
        let path = HostText::<32>::new(format!("/proc/self/fd/{}", node.fd.number()).as_bytes()).ok_or(-libc::EIO)?;
        let (path, name) = (path.as_ptr(), name.as_ptr());
        let into = self.answer.room().as_mut_ptr();
        // SAFETY: names are NUL-terminated; the answer has room for VALUE_BYTES_MAX.
        let n = unsafe {
            match operation {
                0 => libc::getxattr(path, name, into as *mut libc::c_void, VALUE_BYTES_MAX),
                1 => {
                    let from = value.as_ptr() as *const libc::c_void;
                    libc::setxattr(path, name, from, value.len(), flags as i32) as isize
                }
                2 => libc::listxattr(path, into as *mut libc::c_char, VALUE_BYTES_MAX),
                _ => libc::removexattr(path, name) as isize,
            }
        };
        if n < 0 {
            return Err(if errno() == -libc::EIO { -libc::EOPNOTSUPP } else { errno() });
        }
        if !is_change {
            self.answer.grow(n as usize);
        }
        Ok(())
    }
}

fn chown(fd: &HostFd, uid: u32, gid: u32) -> Outcome {
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: passes an empty name.
    done(unsafe { libc::fchownat(fd.number(), c"".as_ptr(), uid, gid, flags) } as i64)
}
