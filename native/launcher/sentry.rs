//! A connection of our own to the sentry of a container, as boot/cli/control_connection.ts makes it, and what is asked over it.
//! None: there is no answer, or another than was hoped for.

use crate::control::{Reader, Writer, receive, send};
use crate::generated::{CONDITION, CONNECT, DOCUMENT, DONE, INQUIRE};
use crate::json::Json;
use crate::states::Record;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

const ANSWER: Duration = Duration::from_secs(60);
const DOCUMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;
const REQUEST: u32 = 1;

pub struct Sentry {
    socket: OwnedFd,
}

impl Sentry {
    pub fn connect(record: &Record) -> Option<Sentry> {
        if record.control_fd < 0 {
            return None;
        }
        let process = record.runner.open()?;
        let mut pair = [-1; 2];
        // SAFETY: passes no memory but two descriptors, which are new; so is the one that is borrowed.
        let (borrowed, ours, theirs) = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), record.control_fd, 0);
            if fd < 0 {
                return None;
            }
            let borrowed = OwnedFd::from_raw_fd(fd as i32);
            if libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) < 0 {
                return None;
            }
            (borrowed, OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1]))
        };
        let is_sent = send(borrowed.as_raw_fd(), &Writer::new(CONNECT).finish(), &[theirs.as_raw_fd()]);
        is_sent.then_some(Sentry { socket: ours })
    }

    pub fn socket(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    /// The answer to `message`, of kind `kind`, and its descriptors.
    pub fn ask(&self, message: Writer, fds: &[i32], kind: u16, wait: Duration) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        set_timeout(self.socket(), wait);
        if !send(self.socket(), &message.request(REQUEST).finish(), fds) {
            return None;
        }
        let (frame, fds) = receive(self.socket())?;
        // SAFETY: new descriptors of ours.
        let fds = fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
        set_timeout(self.socket(), Duration::ZERO);
        Reader::reply(&frame, kind, REQUEST)?;
        Some((frame, fds))
    }

    /// Has something done.
    pub fn request(&self, message: Writer) -> Option<()> {
        let (frame, _) = self.ask(message, &[], DONE, ANSWER)?;
        Reader::reply(&frame, DONE, REQUEST)?.is_at_end().then_some(())
    }

    /// Asks for an answer that is a document.
    pub fn document(&self, kind: u16) -> Option<Json> {
        let (_, mut fds) = self.ask(Writer::new(kind), &[], DOCUMENT, ANSWER)?;
        let mut file = std::fs::File::from(fds.pop().filter(|_| fds.is_empty())?);
        let mut bytes = Vec::new();
        use std::io::Seek;
        file.rewind().ok()?;
        file.take(DOCUMENT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Json::read(&bytes)
    }
}

/// `record`, with the status that the sentry says: "created" and "paused" may be out of date (boot/cli/condition.ts).
pub fn true_status(record: &mut Record) -> Option<()> {
    if !["created", "paused"].contains(&record.status.as_str()) {
        return Some(());
    }
    let (frame, _) = Sentry::connect(record)?.ask(Writer::new(INQUIRE), &[], CONDITION, ANSWER)?;
    let mut fields = Reader::reply(&frame, CONDITION, REQUEST)?;
    record.status = match (fields.integer()?, fields.integer()?) {
        (0, _) => "created".into(),
        (1, 1) => "paused".into(),
        (1, 0) => "running".into(),
        _ => return None,
    };
    fields.is_at_end().then_some(())
}

fn set_timeout(socket: i32, wait: Duration) {
    let time = libc::timeval { tv_sec: wait.as_secs() as i64, tv_usec: 0 };
    // SAFETY: reads one timeval.
    unsafe {
        let value = (&raw const time).cast();
        libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, value, size_of_val(&time) as u32);
    }
}
