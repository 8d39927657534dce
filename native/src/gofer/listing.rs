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

/// The same for entries with content.
const CONTENT_DIRENTS_BYTES: usize = 1024;
const CONTENT_DIRENTS_ANSWER_BYTES: usize = CONTENT_DIRENTS_BYTES / 24 * (ATTRIBUTES_BYTES + 8) + CONTENT_DIRENTS_BYTES;
/// Largest file whose content goes with its directory.
const AHEAD_BYTES_MAX: usize = 8 * 1024;
const NO_CONTENT: u16 = 0xffff;
/// Entries of such a frame once there is no room for more content.
const ATTRIBUTES_ALONE_MAX: u16 = 16;

/// Flags of READ_ATTRIBUTES: read from the start; the client reads ahead, its caller has not asked for all of them.
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
        let node = self.tree.node(number)?;
        // A stat(2) of any one of the files might block a caller that has asked for another.
        if how & IS_AHEAD != 0 && !self.tree.is_local(&node, host::stat(&node.fd)?.st_dev) {
            return Err(-libc::EOPNOTSUPP);
        }
        self.list::<DIRENTS_BYTES>(&node, how & RESTART != 0, DIRENTS_ANSWER_BYTES, |_, _, _, _| true)
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
        let room = CONTENT_DIRENTS_ANSWER_BYTES;
        self.list::<CONTENT_DIRENTS_BYTES>(&node, is_restart, room, |request, name, stat, count| {
            let length_at = request.answer.length();
            request.answer.u16(NO_CONTENT);
            let size = stat.st_size as usize;
            let is_small = stat.st_mode & libc::S_IFMT == libc::S_IFREG && size <= AHEAD_BYTES_MAX;
            if has_contents && is_small && stat.st_dev == directory.st_dev {
                // Where there is no room, the next frame has it for those that follow.
                has_contents = request.answer.left() >= size + 1 + CONTENT_DIRENTS_ANSWER_BYTES;
                if has_contents {
                    request.put_content(&node, name, size, length_at);
                }
            }
            has_contents || count < ATTRIBUTES_ALONE_MAX
        })
    }

    /// The content of file `name` where it has `size` bytes, all of them in the host's memory, and is no program; its length
    /// goes to `length_at` in the answer.
    fn put_content(&mut self, directory: &Node, name: &Name, size: usize, length_at: usize) {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let room = &mut self.answer.room()[..size + 1];
        let read = host::open(&directory.fd, name.as_ptr(), flags, 0).and_then(|file| host::pread_now(&file, room));
        if read == Ok(size) && !room.starts_with(ELF) {
            self.answer.set_u16(length_at, size as u16);
            self.answer.grow(size);
        }
    }

    /// Answers the number of entries, whether they are the last, and the entries: attributes, name, and what `add` puts behind.
    /// Host records are read `BYTES` at a time, while the answer has `room` for what they become and `add`, which gets the
    /// number of entries so far, says that there should be more.
    fn list<const BYTES: usize>(
        &mut self,
        node: &Node,
        mut is_restart: bool,
        room: usize,
        mut add: impl FnMut(&mut Self, &Name, &libc::stat, u16) -> bool,
    ) -> Outcome {
        let mut stream = node.stream.lock().unwrap();
        let head = self.answer.length();
        self.answer.u16(0);
        self.answer.u8(0);
        let mut entries = [0u8; BYTES];
        let (mut count, mut wants_more) = (0, true);
        while wants_more && self.answer.left() >= room {
            let n = read_directory(&mut stream, node, is_restart, &mut entries)?;
            is_restart = false;
            if n == 0 {
                *stream = None;
                self.answer.set_u8(head + 2, 1);
                break;
            }
            for entry in Entries(&entries[..n]) {
                // Removed meanwhile, or a name that is not served.
                let Ok(name) = component(entry.name) else { continue };
                let Ok(stat) = host::stat_at(&node.fd, name.as_ptr()) else { continue };
                self.answer.attributes(&stat);
                self.answer.u16(entry.name.len() as u16);
                self.answer.put(entry.name);
                count += 1;
                wants_more = add(self, &name, &stat, count);
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
