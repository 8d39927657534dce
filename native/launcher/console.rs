//! The terminal of a process in the background: a new pseudo-terminal, whose master goes to the process that listens at
//! --console-socket, as terminalOfSocket() in boot/terminal.ts.

use crate::control::send;
use crate::json::{Json, object};
use crate::terminal::tsv_open_pseudo_terminal;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// What goes with the master, as boot/terminal.ts has it.
const NAME: &[u8] = b"/dev/ptmx";

/// process.consoleSize of a config.json.
#[derive(Clone, Copy)]
pub struct Size {
    rows: u16,
    columns: u16,
}

impl Size {
    /// None where boot/oci/spec.ts would find something wrong with it.
    pub fn of(size: &Json) -> Option<Size> {
        let length = |name: &str| u16::try_from(size.member(name)?.whole(u16::MAX.into())?).ok();
        Some(Size { rows: length("height")?, columns: length("width")? })
    }

    /// None of anything but two numbers.
    pub fn parse(columns: &str, rows: &str) -> Option<Size> {
        Some(Size { rows: rows.parse().ok()?, columns: columns.parse().ok()? })
    }

    /// Makes it the size of the terminal of `fd`.
    pub fn give(self, fd: RawFd) {
        let size = libc::winsize { ws_row: self.rows, ws_col: self.columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: a struct of our own is read.
        unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, &size) };
    }
}

/// In the form that the sentry gets: TerminalConfig in boot/sentry_config.ts.
pub fn config_of(size: Option<Size>) -> Json {
    let whole = |number: u16| Json::Whole(number.into());
    object([
        ("fds", Json::List((0..3).map(Json::Whole).collect())),
        (
            "size",
            size.map_or(Json::Null, |size| object([("rows", whole(size.rows)), ("columns", whole(size.columns))])),
        ),
        ("settings", Json::Null),
        ("isOwn", Json::Bool(false)),
    ])
}

pub struct Console {
    master: OwnedFd,
    slave: OwnedFd,
}

impl Console {
    pub fn open(size: Option<Size>) -> Option<Console> {
        let mut pair = [-1; 2];
        if tsv_open_pseudo_terminal(pair.as_mut_ptr()) < 0 {
            return None;
        }
        // SAFETY: new descriptors of ours.
        let console = unsafe {
            let [master, slave] = pair.map(|fd| OwnedFd::from_raw_fd(fd));
            Console { master, slave }
        };
        let slave = console.slave();
        // SAFETY: structs of our own are written and read.
        unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(slave, &mut settings) < 0 {
                return None;
            }
            libc::cfmakeraw(&mut settings);
            if libc::tcsetattr(slave, libc::TCSADRAIN, &settings) < 0 {
                return None;
            }
        }
        if let Some(size) = size {
            size.give(slave);
        }
        Some(console)
    }

    pub fn slave(&self) -> i32 {
        self.slave.as_raw_fd()
    }

    /// The master alone: without the other end in our hands the program's end of it is the last.
    pub fn into_master(self) -> OwnedFd {
        self.master
    }

    /// Hands the master over to the listener at `path`.
    pub fn send_master(&self, path: &str) -> Option<()> {
        let socket = UnixStream::connect(path).ok()?;
        send(socket.as_raw_fd(), NAME, &[self.master.as_raw_fd()]).then_some(())
    }
}
