//! Reading directories for the gofer: names with the attributes of all, or of the directories among them.

use super::content::ELF;
use super::frame::{ATTRIBUTES_BYTES, NAME_BYTES_MAX, Name, component};
use super::host;
use super::requests::{NO_NODE, Outcome, Request};
use super::tree::{Node, read_directory};

/// Bytes of host entries read at once.
const DIRENTS_BYTES: usize = 4 * 1024;
/// What those may become in an answer: 24 bytes are one entry at least, and it adds its attributes.
const DIRENTS_ANSWER_BYTES: usize = DIRENTS_BYTES / 24 * (ATTRIBUTES_BYTES + 8) + DIRENTS_BYTES;

/// The same where content goes with them.
const CONTENT_DIRENTS_BYTES: usize = 1024;
const CONTENT_DIRENTS_ANSWER_BYTES: usize = CONTENT_DIRENTS_BYTES / 24 * (ATTRIBUTES_BYTES + 8) + CONTENT_DIRENTS_BYTES;
/// Largest file whose content goes with its directory.
const AHEAD_BYTES_MAX: usize = 8 * 1024;
const NO_CONTENT: u16 = 0xffff;
/// Entries of such a frame once there is no room for more content.
const ATTRIBUTES_ALONE_MAX: u16 = 16;

/// Bits of what READ_ATTRIBUTES is told: from the start; nobody has asked for all of them.
const RESTART: u8 = 1;
const IS_AHEAD: u8 = 2;

/// struct linux_dirent64 one after the other, from the host.
struct Entries<'a>(&'a [u8]);

struct Entry<'a> {
    name: &'a [u8],
    size: usize,
    kind: u8,
}

impl Entry<'_> {
    fn is_directory(&self) -> bool {
        self.kind == libc::DT_DIR
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;
    fn next(&mut self) -> Option<Entry<'a>> {
        let bytes = self.0;
        let size = u16::from_le_bytes([*bytes.get(16)?, *bytes.get(17)?]) as usize;
        if size < 20 || size > bytes.len() {
            return None;
        }
        self.0 = &bytes[size..];
        let name = &bytes[19..size];
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        Some(Entry { name: &name[..length], size, kind: bytes[18] })
    }
}

impl Request<'_> {
    /// Entries with their attributes, as many as fit a frame. Reading goes on where the last answer ended.
    pub fn read_attributes(&mut self) -> Outcome {
        let (number, how) = (self.reader.u32(), self.reader.u8());
        self.checked()?;
        let is_restart = how & RESTART != 0;
        let node = self.tree.node(number)?;
        // Any one of the files might hold up whoever has asked for another.
        if how & IS_AHEAD != 0 && !self.tree.is_local(&node, host::stat(&node.fd)?.st_dev) {
            return Err(-libc::EOPNOTSUPP);
        }
        let mut stream = node.stream.lock().unwrap();
        let head = self.answer.length();
        self.answer.u16(0);
        self.answer.u8(0);
        let mut entries = [0u8; DIRENTS_BYTES];
        let (mut count, mut is_restart) = (0, is_restart);
        while self.answer.left() >= DIRENTS_ANSWER_BYTES {
            let n = read_directory(&mut stream, &node, is_restart, &mut entries)?;
            is_restart = false;
            if n == 0 {
                *stream = None;
                self.answer.set_u8(head + 2, 1);
                break;
            }
            for entry in Entries(&entries[..n]) {
                // Gone meanwhile, or a name we would not serve.
                let Ok(name) = component(entry.name) else { continue };
                let Ok(stat) = host::stat_at(&node.fd, name.as_ptr()) else { continue };
                self.answer.attributes(&stat);
                self.answer.u16(entry.name.len() as u16);
                self.answer.put(entry.name);
                count += 1;
            }
        }
        self.answer.set_u16(head, count);
        Ok(())
    }

    /// As read_attributes(), with the content of small files that the host has in memory: nothing that takes long.
    pub fn read_contents(&mut self) -> Outcome {
        let (number, is_restart) = (self.reader.u32(), self.reader.u8() != 0);
        self.checked()?;
        let node = self.tree.node(number)?;
        let directory = host::stat(&node.fd)?;
        if !self.tree.is_local(&node, directory.st_dev) {
            return Err(-libc::EOPNOTSUPP);
        }
        let mut has_contents = true;
        let mut stream = node.stream.lock().unwrap();
        let head = self.answer.length();
        self.answer.u16(0);
        self.answer.u8(0);
        let mut entries = [0u8; CONTENT_DIRENTS_BYTES];
        let (mut count, mut is_restart) = (0, is_restart);
        while self.answer.left() >= CONTENT_DIRENTS_ANSWER_BYTES {
            let n = read_directory(&mut stream, &node, is_restart, &mut entries)?;
            is_restart = false;
            if n == 0 {
                *stream = None;
                self.answer.set_u8(head + 2, 1);
                break;
            }
            for entry in Entries(&entries[..n]) {
                let Ok(name) = component(entry.name) else { continue };
                let Ok(stat) = host::stat_at(&node.fd, name.as_ptr()) else { continue };
                self.answer.attributes(&stat);
                self.answer.u16(entry.name.len() as u16);
                self.answer.put(entry.name);
                let length_at = self.answer.length();
                self.answer.u16(NO_CONTENT);
                count += 1;
                let size = stat.st_size as usize;
                let is_small = stat.st_mode & libc::S_IFMT == libc::S_IFREG && size <= AHEAD_BYTES_MAX;
                if !has_contents || !is_small || stat.st_dev != directory.st_dev {
                    continue;
                }
                if self.answer.left() < size + 1 + CONTENT_DIRENTS_ANSWER_BYTES {
                    // The next frame has room for those that follow.
                    has_contents = false;
                    continue;
                }
                let room = &mut self.answer.room()[..size + 1];
                let read = host::open(&node.fd, name.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW, 0)
                    .and_then(|file| host::pread_now(&file, room));
                if let Ok(read) = read
                    && read == size
                    && !room.starts_with(ELF)
                {
                    self.answer.set_u16(length_at, read as u16);
                    self.answer.grow(read);
                }
            }
            if !has_contents && count >= ATTRIBUTES_ALONE_MAX {
                break;
            }
        }
        self.answer.set_u16(head, count);
        Ok(())
    }

    /// Entries as the host gives them, as many as fit a frame, then the attributes of the directories among them.
    pub fn read_directory(&mut self) -> Outcome {
        let (mut number, is_restart) = (self.reader.u32(), self.reader.u8() != 0);
        let name = self.reader.text(NAME_BYTES_MAX);
        self.checked()?;
        if !name.is_empty() {
            let (made, stat) = self.step(&*self.tree.node(number)?, name, NO_NODE)?;
            self.put_node(made, &stat);
            number = made;
        }
        let node = self.tree.node(number)?;
        let read = self.read_records(&node, is_restart);
        if read.is_err() && !name.is_empty() {
            self.tree.close(number);
        }
        read
    }

    fn read_records(&mut self, node: &Node, is_restart: bool) -> Outcome {
        let mut stream = node.stream.lock().unwrap();
        let head = self.answer.length();
        self.answer.u8(0);
        self.answer.u32(0);
        let from = self.answer.length();
        let (mut directories, mut is_restart) = (0, is_restart);
        while self.answer.left() >= directories * ATTRIBUTES_BYTES + DIRENTS_ANSWER_BYTES {
            let n = read_directory(&mut stream, node, is_restart, &mut self.answer.room()[..DIRENTS_BYTES])?;
            is_restart = false;
            if n == 0 {
                *stream = None;
                self.answer.set_u8(head, 1);
                break;
            }
            directories += Entries(&self.answer.room()[..n]).filter(|entry| entry.is_directory()).count();
            self.answer.grow(n);
        }
        let length = self.answer.length() - from;
        self.answer.set_u32(head + 1, length as u32);
        // The records are read again while attributes are written behind them.
        let mut at = from;
        while at < from + length {
            let (size, attributes) = {
                let Some(entry) = Entries(self.answer.at(at, from + length - at)).next() else { break };
                let wants = entry.is_directory() && entry.name != b"." && entry.name != b"..";
                let stat = match Name::new(entry.name) {
                    Some(name) if wants => host::stat_at(&node.fd, name.as_ptr()).ok(),
                    _ => None,
                };
                (entry.size, wants.then(|| stat.map_or([0; ATTRIBUTES_BYTES], |stat| super::frame::attributes(&stat))))
            };
            if let Some(attributes) = attributes {
                self.answer.put(&attributes);
            }
            at += size;
        }
        Ok(())
    }
}
