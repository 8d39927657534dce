//! The content of regular files: what is given to the sentry to read and write them by, and transfers that it leaves to us,
//! as they may take long.

use super::host::{self, HostFd, done};
use super::requests::{Outcome, Request};
use super::tree::Node;
use std::sync::Arc;

// What WALK may bring along of the regular file at its end.
pub const WANTS_NOTHING: u8 = 0;
pub const WANTS_CONTENT: u8 = 2;
// What it has brought, and what OPEN has.
const HAS_NOTHING: u8 = 0;
const HAS_DESCRIPTOR: u8 = 1;
const HAS_CONTENT: u8 = 2;
const IS_SERVED_HERE: u8 = 3;
/// Largest file whose content comes instead of a descriptor.
const CONTENT_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of one READ or WRITE.
const TRANSFER_BYTES_MAX: usize = 60 * 1024;
/// Most bytes of one FETCH: it holds a worker.
const FETCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
// Flags of OPEN, beside the access mode, and of WRITE.
const OPEN_TO_MAP: u32 = 0x8000_0000;
const OPEN_CONTENT: u32 = 0x4000_0000;
const WRITE_APPENDS: u8 = 1;
const WRITE_DATA_SYNC: u8 = 2;
const WRITE_SYNC: u8 = 4;

/// How programs and libraries begin: they are mapped, which needs a descriptor.
pub const ELF: &[u8] = b"\x7fELF";

impl Request<'_> {
    /// What a regular file that was looked up is read by: its content where it is small, else a descriptor, or neither. A
    /// refusal of the host is OPEN's to tell.
    pub fn bring_along(&mut self, node: &Node, stat: &libc::stat, may_be_content: bool) {
        let opened = if self.tree.is_local(node, stat.st_dev) {
            host::reopen(self.proc, &node.fd, libc::O_RDONLY | libc::O_NONBLOCK).ok()
        } else {
            None
        };
        match opened {
            None => self.answer.u8(HAS_NOTHING),
            Some(fd) if may_be_content => self.give_content(fd, stat),
            Some(fd) => self.give_descriptor(fd),
        }
    }

    fn give_descriptor(&mut self, fd: HostFd) {
        self.answer.u8(HAS_DESCRIPTOR);
        self.donated = Some(fd);
    }

    /// The content of a small file instead of its descriptor.
    fn give_content(&mut self, fd: HostFd, stat: &libc::stat) {
        let size = stat.st_size as usize;
        if size > CONTENT_BYTES_MAX {
            return self.give_descriptor(fd);
        }
        // One byte more: a file that has grown, or one of /proc, is longer than it says.
        let room = &mut self.answer.room()[5..5 + size + 1];
        let n = host::pread(&fd, room, 0).unwrap_or(usize::MAX);
        if n > size || room[..n].starts_with(ELF) {
            return self.give_descriptor(fd);
        }
        self.answer.u8(HAS_CONTENT);
        self.answer.u32(n as u32);
        self.answer.grow(n);
    }

    pub fn open(&mut self) -> Outcome {
        let (number, flags) = (self.reader.u32(), self.reader.u32());
        let (is_to_map, may_be_content) = (flags & OPEN_TO_MAP != 0, flags & OPEN_CONTENT != 0);
        let access = (flags & !(OPEN_TO_MAP | OPEN_CONTENT)) as i32;
        if self.reader.is_bad || access & !libc::O_ACCMODE != 0 {
            return Err(-libc::EINVAL);
        }
        let node = self.tree.node(number)?;
        refuse_special(&node)?;
        if self.tree.is_read_only && access != libc::O_RDONLY {
            return Err(-libc::EROFS);
        }
        let stat = host::stat(&node.fd)?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFLNK {
            return Err(-libc::EINVAL);
        }
        let opened = host::reopen(self.proc, &node.fd, access | libc::O_NONBLOCK)?;
        if is_to_map {
            self.give_descriptor(opened);
        } else if self.tree.is_local(&node, stat.st_dev) {
            if may_be_content && access == libc::O_RDONLY {
                self.give_content(opened, &stat);
            } else {
                self.give_descriptor(opened);
            }
        } else {
            self.answer.u8(IS_SERVED_HERE);
            node.keep(opened, access != libc::O_RDONLY);
        }
        Ok(())
    }

    /// The file of a node for one transfer: what OPEN has kept, or opened for it.
    fn file(&self, node: &Node, is_for_writing: bool) -> Result<Arc<HostFd>, i32> {
        if let Some(kept) = node.kept(is_for_writing) {
            return Ok(kept);
        }
        refuse_special(node)?;
        let access = if is_for_writing { libc::O_RDWR } else { libc::O_RDONLY };
        Ok(Arc::new(host::reopen(self.proc, &node.fd, access | libc::O_NONBLOCK)?))
    }

    fn node_to_change(&mut self) -> Result<Arc<Node>, i32> {
        let node = self.node()?;
        if self.tree.is_read_only { Err(-libc::EROFS) } else { Ok(node) }
    }

    pub fn read(&mut self) -> Outcome {
        let node = self.node()?;
        let (offset, length) = (self.reader.u64(), self.reader.u32() as usize);
        self.checked()?;
        if length > TRANSFER_BYTES_MAX {
            return Err(-libc::EINVAL);
        }
        let file = self.file(&node, false)?;
        let n = host::pread(&file, &mut self.answer.room()[..length], offset)?;
        self.answer.grow(n);
        Ok(())
    }

    /// Has the host read what the sentry reads next.
    pub fn fetch(&mut self) -> Outcome {
        let node = self.node()?;
        let (mut offset, length) = (self.reader.u64(), self.reader.u64());
        self.checked()?;
        let file = self.file(&node, false)?;
        let end = offset.saturating_add(length.min(FETCH_BYTES_MAX));
        while offset < end {
            let room = &mut self.answer.room()[..TRANSFER_BYTES_MAX.min((end - offset) as usize)];
            match host::pread(&file, room, offset)? {
                0 => break,
                n => offset += n as u64,
            }
        }
        Ok(())
    }

    pub fn write(&mut self) -> Outcome {
        let node = self.node_to_change()?;
        let (flags, offset) = (self.reader.u8(), self.reader.u64());
        let bytes = self.reader.rest();
        self.checked()?;
        let mut how = 0;
        for (flag, meaning) in
            [(WRITE_APPENDS, libc::RWF_APPEND), (WRITE_DATA_SYNC, libc::RWF_DSYNC), (WRITE_SYNC, libc::RWF_SYNC)]
        {
            if flags & flag != 0 {
                how |= meaning;
            }
        }
        let file = self.file(&node, true)?;
        let n = host::pwrite(&file, bytes, offset, how)?;
        self.answer.u32(n as u32);
        self.put_attributes(&node.fd)
    }

    pub fn allocate(&mut self) -> Outcome {
        let node = self.node_to_change()?;
        let (mode, offset, length) = (self.reader.u32(), self.reader.u64(), self.reader.u64());
        self.checked()?;
        let file = self.file(&node, true)?;
        // SAFETY: passes no memory.
        done(unsafe { libc::fallocate(file.number(), mode as i32, offset as i64, length as i64) } as i64)?;
        self.put_attributes(&node.fd)
    }

    /// A file that was made, open for reading and writing: the sentry's, or kept here.
    pub fn give_out(&mut self, node: &Node, device: u64, opened: HostFd) -> Outcome {
        if self.tree.is_local(node, device) {
            self.give_descriptor(opened);
        } else {
            self.answer.u8(IS_SERVED_HERE);
            node.keep(opened, true);
        }
        Ok(())
    }

    pub fn sync(&mut self) -> Outcome {
        let (number, is_data_only) = (self.reader.u32(), self.reader.u8() != 0);
        self.checked()?;
        let node = self.tree.node(number)?;
        refuse_special(&node)?;
        let fd = host::reopen(self.proc, &node.fd, libc::O_RDONLY | libc::O_NONBLOCK)?;
        // SAFETY: passes no memory.
        done(unsafe { if is_data_only { libc::fdatasync(fd.number()) } else { libc::fsync(fd.number()) } } as i64)
    }
}

/// A FIFO or device of the host is not opened: the kernel has its own, and an open could block us.
pub fn refuse_special(node: &Node) -> Outcome {
    let kind = host::stat(&node.fd)?.st_mode & libc::S_IFMT;
    let is_special = [libc::S_IFIFO, libc::S_IFCHR, libc::S_IFBLK, libc::S_IFSOCK].contains(&kind);
    if is_special { Err(-libc::EINVAL) } else { Ok(()) }
}
