//! What the one-file form of tsvisor carries: the runtime, the bundles, the native library, the runtime's own libraries.
//! boot/one_file.ts writes it. Small parts stand in an archive that `deno compile` has put into a note of the executable;
//! the runtime stands in the file itself, aligned for mmap(2), before everything that `deno compile` has appended.
//!
//! The archive: MAGIC, u32 length of the list, the list, contents. A line of the list: name, place, length, CRC-32 in hex; the
//! place counts from the archive's beginning, for `deno` from that of the file.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

const MAGIC: &[u8; 16] = b"tsvisor parts 1\n";
/// The runtime, which stands outside the archive.
pub const RUNTIME: &str = "deno";
/// Where parts seem to be: what a path below it names is opened by the process that starts the runtime (runtime.rs).
pub const DIRECTORY: &str = "/proc/self/exe";
/// Descriptors of parts have numbers from here, clear of those that roles have at fixed places.
const FDS_FROM: i32 = 110;
const PROGRAM_HEADERS_MAX: usize = 64;
const PT_NOTE: u32 = 4;
const NOTE_NAME: &[u8] = b"SUI\0";

/// A part, by its place in the archive or in the file.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    name: String,
    place: usize,
    length: usize,
    crc: u32,
}

/// The parts of the executable that runs.
pub struct Parts {
    file: File,
    /// The note, mapped.
    note: &'static [u8],
    /// Where the archive begins in it.
    start: usize,
    list: Vec<Entry>,
    build: String,
}

impl Parts {
    /// None where this executable carries none. An error says what is wrong with those it carries.
    pub fn own() -> Option<Result<Parts, String>> {
        let file = File::open(DIRECTORY).ok()?;
        let (offset, length) = note_of(&file)?;
        let note = map(&file, offset, length)?;
        let start = memchr::memmem::find(note, MAGIC)?;
        Some(match parse(&note[start..]) {
            Some((list, build)) => Ok(Parts { file, note, start, list, build }),
            None => Err("The executable is damaged: its list of parts cannot be read".to_string()),
        })
    }

    /// Another for each build.
    pub fn build(&self) -> &str {
        &self.build
    }

    /// Whether there is such a part.
    pub fn has(&self, name: &str) -> bool {
        self.list.iter().any(|entry| entry.name == name)
    }

    /// The content of a part of the archive, checked.
    pub fn bytes(&self, name: &str) -> Result<&'static [u8], String> {
        let entry = self.entry(name)?;
        let from = self.start + entry.place;
        let bytes = self.note.get(from..from + entry.length).ok_or_else(|| damaged(name))?;
        if crc32fast::hash(bytes) == entry.crc { Ok(bytes) } else { Err(damaged(name)) }
    }

    /// A sealed file in memory with the content of a part of the archive, close-on-exec.
    pub fn open(&self, name: &str) -> Result<OwnedFd, String> {
        let bytes = self.bytes(name)?;
        // Each has a number of its own: compiled code is kept by path.
        let index = self.list.iter().position(|entry| entry.name == name).unwrap_or(0) as i32;
        let failed = |what: &str| format!("Cannot {what} for {name}: {}", std::io::Error::last_os_error());
        let label = CString::new(format!("tsvisor-{name}")).map_err(|_| damaged(name))?;
        // SAFETY: a NUL-terminated name; the descriptors are owned from here on.
        let (low, fd) = unsafe {
            let low = libc::memfd_create(label.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING);
            if low < 0 {
                return Err(failed("have a file in memory"));
            }
            let low = OwnedFd::from_raw_fd(low);
            let fd = libc::fcntl(low.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FDS_FROM + index);
            if fd < 0 {
                return Err(failed("have a descriptor"));
            }
            (low, OwnedFd::from_raw_fd(fd))
        };
        drop(low);
        let file = File::from(fd);
        file.write_all_at(bytes, 0).map_err(|error| format!("Cannot write {name} to memory: {error}"))?;
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: passes no memory.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
        Ok(file.into())
    }

    /// The executable, and where in it the runtime stands.
    pub fn runtime(&self) -> Result<(&File, u64), String> {
        let entry = self.entry(RUNTIME)?;
        Ok((&self.file, entry.place as u64))
    }

    fn entry(&self, name: &str) -> Result<&Entry, String> {
        self.list.iter().find(|entry| entry.name == name).ok_or_else(|| damaged(name))
    }
}

fn damaged(name: &str) -> String {
    format!("The executable is damaged: its part {name} is not what was built")
}

/// Place and length of the note in an ELF file that `deno compile` has made.
fn note_of(file: &File) -> Option<(u64, usize)> {
    let mut header = [0u8; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    let word = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let half = |bytes: &[u8], at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
    let (place, size, count) = (word(&header, 32), half(&header, 54), half(&header, 56));
    if header[..4] != *b"\x7fELF" || size != 56 || count > PROGRAM_HEADERS_MAX {
        return None;
    }
    let mut table = vec![0u8; size * count];
    file.read_exact_at(&mut table, place).ok()?;
    // It is the last one.
    table.chunks_exact(size).rev().find_map(|program| {
        let kind = u32::from_le_bytes(program[..4].try_into().unwrap());
        let (offset, length) = (word(program, 8), word(program, 32) as usize);
        let mut start = [0u8; 16];
        let is_ours = kind == PT_NOTE
            && length > start.len()
            && file.read_exact_at(&mut start, offset).is_ok()
            && start[12..16] == *NOTE_NAME;
        is_ours.then_some((offset, length))
    })
}

fn map(file: &File, offset: u64, length: usize) -> Option<&'static [u8]> {
    let end = offset.checked_add(length as u64)?;
    if end > file.metadata().ok()?.len() {
        return None;
    }
    let aside = (offset % 4096) as usize;
    // SAFETY: a new mapping that stays; nobody can write an executable that runs.
    unsafe {
        let from = (offset - aside as u64) as i64;
        let kind = libc::MAP_PRIVATE;
        let at = libc::mmap(std::ptr::null_mut(), length + aside, libc::PROT_READ, kind, file.as_raw_fd(), from);
        if at == libc::MAP_FAILED {
            return None;
        }
        Some(std::slice::from_raw_parts((at as *const u8).add(aside), length))
    }
}

/// The list and the name of the build.
fn parse(archive: &[u8]) -> Option<(Vec<Entry>, String)> {
    let length = u32::from_le_bytes(archive.get(16..20)?.try_into().ok()?) as usize;
    let text = std::str::from_utf8(archive.get(20..20usize.checked_add(length)?)?).ok()?;
    let (first, rest) = text.split_once('\n')?;
    let mut list = Vec::new();
    for line in rest.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, place, length, crc] = fields[..] else { return None };
        list.push(Entry {
            name: name.to_string(),
            place: place.parse().ok()?,
            length: length.parse().ok()?,
            crc: u32::from_str_radix(crc, 16).ok()?,
        });
    }
    Some((list, first.to_string()))
}

/// For the bundles: a descriptor of a part's content, or -errno. -ENOENT where this is no one-file form.
#[unsafe(no_mangle)]
pub extern "C" fn tsv_open_part(name: *const u8, length: u32) -> i32 {
    // SAFETY: has this length (native/parts.ts).
    let name = unsafe { std::slice::from_raw_parts(name, length as usize) };
    let Ok(name) = std::str::from_utf8(name) else { return -libc::EINVAL };
    match Parts::own() {
        None => -libc::ENOENT,
        Some(Err(_)) => -libc::EBADMSG,
        Some(Ok(parts)) => parts.open(name).map_or(-libc::EBADMSG, IntoRawFd::into_raw_fd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(list: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((list.len() as u32).to_le_bytes());
        bytes.extend(list.as_bytes());
        bytes
    }

    #[test]
    fn lists_are_read() {
        let (list, build) = parse(&archive("abc123\na.js 40 3 00ff00ff\ndeno 4096 9 1\n")).unwrap();
        assert_eq!(build, "abc123");
        assert_eq!(list[0], Entry { name: "a.js".into(), place: 40, length: 3, crc: 0xff00ff });
        assert_eq!(list[1].place, 4096);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert!(parse(&archive("abc123\na.js 40 3\n")).is_none());
        assert!(parse(&archive("abc123\na.js x 3 0\n")).is_none());
        assert!(parse(&archive("abc123")).is_none());
        let mut cut = archive("abc123\na.js 40 3 0\n");
        cut.truncate(30);
        assert!(parse(&cut).is_none());
        assert!(parse(MAGIC).is_none());
    }
}
