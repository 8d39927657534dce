//! This program anew on a pseudo-terminal, for a caller that can make none: the library (boot/library/process.ts), whose
//! runtimes neither open one nor take a descriptor that is passed. Standard input and output are what is typed and shown, and
//! descriptor 3 says the terminal's size, "COLUMNS ROWS" and a newline; its end is the caller's, and hangs up.

use crate::console::{Console, Size};
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};

const SIZES: RawFd = 3;
/// What is on its way in each direction.
const BUFFER_BYTES: usize = 64 * 1024;
/// "65535 65535".
const LINE_BYTES_MAX: usize = 11;
/// Between two looks for the end of the program, where the terminal has nothing to say.
const LOOK_MILLIS: i32 = 20;
/// A program that has been hung up ends within this many looks, or is left alone.
const HUNG_UP_LOOKS: u32 = 250;
/// End of transmission, as a person types it: termios(3), VEOF.
const END_OF_INPUT: u8 = 4;

/// Runs this program with the words after `COLUMNS ROWS`: its exit code. None where the words are no such.
pub fn run(words: &[OsString]) -> Option<i32> {
    let [columns, rows, words @ ..] = words else { return None };
    let size = Size::parse(columns.to_str()?, rows.to_str()?)?;
    // SAFETY: a number is all that is asked.
    if unsafe { libc::fcntl(SIZES, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return None;
    }
    let console = Console::open(Some(size))?;
    let program = start(&console, words)?;
    Some(Passage::new(console.into_master()).carry(program))
}

/// In a session of its own, whose terminal is the new one.
fn start(console: &Console, words: &[OsString]) -> Option<Child> {
    let slave = console.slave();
    let mut command = Command::new("/proc/self/exe");
    // The one file becomes the runtime where it is called by that path.
    command.arg0("tsvisor").args(words);
    // SAFETY: system calls only, between fork and exec; `slave` is open until then.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            libc::ioctl(slave, libc::TIOCSCTTY, 0);
            for fd in 0..3 {
                if libc::dup2(slave, fd) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn().ok()
}

/// Bytes that are on their way.
struct Buffer {
    bytes: Vec<u8>,
    at: usize,
}

impl Buffer {
    fn new() -> Buffer {
        Buffer { bytes: Vec::new(), at: 0 }
    }

    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.at = 0;
    }

    /// Reads where it is empty. False at the end of `fd`.
    fn fill(&mut self, fd: RawFd) -> bool {
        self.bytes.resize(BUFFER_BYTES, 0);
        self.at = 0;
        // SAFETY: the buffer has BUFFER_BYTES.
        let n = unsafe { libc::read(fd, self.bytes.as_mut_ptr().cast(), BUFFER_BYTES) };
        self.bytes.truncate(n.max(0) as usize);
        n > 0 || n < 0 && is_transient()
    }

    /// False where `fd` takes nothing any more.
    fn drain(&mut self, fd: RawFd) -> bool {
        let left = &self.bytes[self.at..];
        // SAFETY: `left` is what is written.
        let n = unsafe { libc::write(fd, left.as_ptr().cast(), left.len()) };
        self.at += n.max(0) as usize;
        n >= 0 || is_transient()
    }
}

fn is_transient() -> bool {
    matches!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN | libc::EINTR))
}

struct Passage {
    /// None: it has been hung up.
    master: Option<OwnedFd>,
    typed: Buffer,
    shown: Buffer,
    line: Vec<u8>,
    has_input: bool,
    has_output: bool,
}

impl Passage {
    fn new(master: OwnedFd) -> Passage {
        for fd in [0, 1, SIZES, master.as_raw_fd()] {
            // SAFETY: flags of descriptors that are ours.
            unsafe { libc::fcntl(fd, libc::F_SETFL, libc::fcntl(fd, libc::F_GETFL) | libc::O_NONBLOCK) };
        }
        Passage {
            master: Some(master),
            typed: Buffer::new(),
            shown: Buffer::new(),
            line: Vec::new(),
            has_input: true,
            has_output: true,
        }
    }

    /// Until the program has ended and what it has shown is out.
    fn carry(mut self, mut program: Child) -> i32 {
        let mut looks_left = HUNG_UP_LOOKS;
        loop {
            let code = match program.try_wait() {
                Ok(Some(status)) => Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))),
                Ok(None) => None,
                Err(_) => Some(1),
            };
            // What it has written before its end is there by now.
            let is_still = self.turn(if code.is_some() { 0 } else { LOOK_MILLIS });
            match code {
                Some(code) if is_still || self.master.is_none() => return code,
                None if self.master.is_none() => {
                    looks_left -= 1;
                    if looks_left == 0 {
                        return 128 + libc::SIGHUP;
                    }
                }
                _ => {}
            }
        }
    }

    /// Waits for something and passes it on. True where there was nothing.
    fn turn(&mut self, millis: i32) -> bool {
        let Some(master) = self.master.as_ref().map(AsRawFd::as_raw_fd) else {
            std::thread::sleep(std::time::Duration::from_millis(LOOK_MILLIS as u64));
            return true;
        };
        let wanted = |is_wanted: bool, fd: RawFd| if is_wanted { fd } else { -1 };
        let entry = |fd: RawFd, events: i16| libc::pollfd { fd, events, revents: 0 };
        let mut entries = [
            entry(wanted(self.has_input && self.typed.is_empty(), 0), libc::POLLIN),
            entry(wanted(!self.shown.is_empty(), 1), libc::POLLOUT),
            entry(SIZES, libc::POLLIN),
            entry(wanted(self.shown.is_empty(), master), libc::POLLIN),
            entry(wanted(!self.typed.is_empty(), master), libc::POLLOUT),
        ];
        // SAFETY: entries of our own.
        let ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, millis) };
        if ready <= 0 {
            return true;
        }
        let [input, output, sizes, from_master, to_master] = entries.map(|entry| entry.revents != 0);
        if sizes && !self.resize(master) {
            self.master = None;
            return false;
        }
        if input && !self.typed.fill(0) {
            self.has_input = false;
            self.typed.put(&[END_OF_INPUT]);
        }
        if to_master && !self.typed.drain(master) {
            self.typed.put(&[]);
        }
        // EIO: nobody has the terminal open, as when the program has ended.
        let is_closed = from_master && !self.shown.fill(master);
        if output && !self.shown.drain(1) {
            self.has_output = false;
        }
        if !self.has_output {
            self.shown.put(&[]);
        }
        if is_closed {
            // It is polled no more until the program's end is seen.
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        is_closed && self.shown.is_empty()
    }

    /// Takes sizes that have come. False at the caller's end.
    fn resize(&mut self, master: RawFd) -> bool {
        let mut bytes = [0u8; 256];
        // SAFETY: the array is what is read into.
        let n = unsafe { libc::read(SIZES, bytes.as_mut_ptr().cast(), bytes.len()) };
        if n <= 0 {
            return n < 0 && is_transient();
        }
        for &byte in &bytes[..n as usize] {
            if byte != b'\n' {
                if self.line.len() <= LINE_BYTES_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            let size = std::str::from_utf8(&self.line).ok().and_then(|line| line.split_once(' '));
            if let Some(size) = size.and_then(|(columns, rows)| Size::parse(columns, rows)) {
                size.give(master);
            }
            self.line.clear();
        }
        true
    }
}
