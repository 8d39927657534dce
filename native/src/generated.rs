//! Written by boot/control/launcher_table.ts: what native code has to know of the control protocol and of the command line.

// The library needs one half of it, the launcher the other.
#![allow(dead_code)]

/// See boot/control/protocol.ts.
pub const VERSION: u16 = 2;
pub const HEADER_BYTES: usize = 16;
pub const FRAME_BYTES_MAX: usize = 16384;

pub const FLAG_REPLY: u32 = 1;
/// The request whose answer says how a process has ended.
pub const WAIT_REQUEST: u32 = 2147483647;
/// In SIGNAL: to the process alone.
pub const SCOPE_PROCESS: i32 = 0;

/// Kinds of messages.
pub const HELLO: u16 = 1;
pub const SIGNAL: u16 = 3;
pub const RESIZED: u16 = 4;
pub const CONNECT: u16 = 6;
pub const NOTICE: u16 = 18;
pub const EXIT: u16 = 20;
pub const STARTED: u16 = 32;
pub const ATTEND: u16 = 33;
pub const UNSTARTED: u16 = 34;

/// Bits of the facts in HELLO.
pub const HELLO_USER_NAMESPACE: i32 = 1;
pub const HELLO_ROOTLESS: i32 = 2;
pub const HELLO_SYSTRAP: i32 = 4;
pub const HELLO_PREFERRED: i32 = 8;

/// By how much the sentry's nice value is below its caller's where PREFERRED holds.
pub const SENTRY_PREFERENCE: i32 = 10;

/// Signals that are passed on to the container's init.
pub const FORWARDED: [i32; 7] = [1, 2, 3, 10, 12, 15, 28];
/// First word of the launcher that waits for a container; then the descriptor of a message ATTEND.
pub const ATTEND_WORD: &str = "--attend";
/// Variable with the descriptor of a message STARTED.
pub const HANDOVER: &str = "TSVISOR_HANDOVER";
/// Variable with the descriptor of the socket to an attendant, and its pid.
pub const ATTENDANT: &str = "TSVISOR_ATTENDANT";

/// A flag of the command line.
pub struct Flag {
    pub name: &'static str,
    /// One letter; "" = none.
    pub short: &'static str,
    /// The next word is its value, where it has none after "=".
    pub takes_value: bool,
}

/// A command for which processes are started at once.
pub struct Command {
    pub name: &'static str,
    /// Its first word that is no flag is a program; what follows is the program's.
    pub takes_program: bool,
    /// It makes a sandbox.
    pub has_roles: bool,
    pub is_root_inside: bool,
    /// Flags with which the roles must be started in another way.
    pub unless: &'static [&'static str],
    /// What it starts outlives it: always (""), or with this flag.
    pub attendant: Option<&'static str>,
    pub flags: &'static [Flag],
}

/// Flags before the command.
pub const GLOBAL_FLAGS: &[Flag] = &[
    Flag { name: "root", short: "", takes_value: true },
    Flag { name: "platform", short: "", takes_value: true },
    Flag { name: "patching", short: "", takes_value: true },
    Flag { name: "overlay2", short: "", takes_value: true },
    Flag { name: "file-access", short: "", takes_value: true },
    Flag { name: "watchdog-timeout", short: "", takes_value: true },
    Flag { name: "watchdog-action", short: "", takes_value: true },
    Flag { name: "log", short: "", takes_value: true },
    Flag { name: "log-format", short: "", takes_value: true },
    Flag { name: "debug-log", short: "", takes_value: true },
    Flag { name: "strace", short: "", takes_value: false },
    Flag { name: "strace-syscalls", short: "", takes_value: true },
    Flag { name: "lenient-seccomp", short: "", takes_value: false },
    Flag { name: "version", short: "v", takes_value: false },
    Flag { name: "help", short: "h", takes_value: false },
    Flag { name: "debug", short: "", takes_value: false },
    Flag { name: "systemd-cgroup", short: "", takes_value: false },
    Flag { name: "rootless", short: "", takes_value: true },
    Flag { name: "network", short: "", takes_value: true },
    Flag { name: "ignore-cgroups", short: "", takes_value: false },
];

pub const COMMANDS: &[Command] = &[
    Command {
        name: "do",
        takes_program: true,
        has_roles: true,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        flags: &[
            Flag { name: "cwd", short: "", takes_value: true },
            Flag { name: "env", short: "e", takes_value: true },
            Flag { name: "root", short: "", takes_value: true },
            Flag { name: "quiet", short: "", takes_value: false },
        ],
    },
    Command {
        name: "run",
        takes_program: false,
        has_roles: true,
        is_root_inside: true,
        unless: &["console-socket"],
        attendant: Some("detach"),
        flags: &[
            Flag { name: "bundle", short: "b", takes_value: true },
            Flag { name: "pid-file", short: "", takes_value: true },
            Flag { name: "console-socket", short: "", takes_value: true },
            Flag { name: "preserve-fds", short: "", takes_value: true },
            Flag { name: "no-pivot", short: "", takes_value: false },
            Flag { name: "no-new-keyring", short: "", takes_value: false },
            Flag { name: "detach", short: "d", takes_value: false },
            Flag { name: "keep", short: "", takes_value: false },
            Flag { name: "no-subreaper", short: "", takes_value: false },
        ],
    },
    Command {
        name: "create",
        takes_program: false,
        has_roles: true,
        is_root_inside: true,
        unless: &[],
        attendant: Some(""),
        flags: &[
            Flag { name: "bundle", short: "b", takes_value: true },
            Flag { name: "pid-file", short: "", takes_value: true },
            Flag { name: "console-socket", short: "", takes_value: true },
            Flag { name: "preserve-fds", short: "", takes_value: true },
            Flag { name: "no-pivot", short: "", takes_value: false },
            Flag { name: "no-new-keyring", short: "", takes_value: false },
        ],
    },
    Command {
        name: "exec",
        takes_program: true,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: Some("detach"),
        flags: &[
            Flag { name: "process", short: "p", takes_value: true },
            Flag { name: "cwd", short: "", takes_value: true },
            Flag { name: "env", short: "e", takes_value: true },
            Flag { name: "user", short: "u", takes_value: true },
            Flag { name: "additional-gids", short: "g", takes_value: true },
            Flag { name: "cap", short: "c", takes_value: true },
            Flag { name: "tty", short: "t", takes_value: false },
            Flag { name: "no-new-privs", short: "", takes_value: false },
            Flag { name: "detach", short: "d", takes_value: false },
            Flag { name: "pid-file", short: "", takes_value: true },
            Flag { name: "internal-pid-file", short: "", takes_value: true },
            Flag { name: "console-socket", short: "", takes_value: true },
            Flag { name: "preserve-fds", short: "", takes_value: true },
            Flag { name: "process-label", short: "", takes_value: true },
            Flag { name: "apparmor", short: "", takes_value: true },
            Flag { name: "cgroup", short: "", takes_value: true },
            Flag { name: "no-subreaper", short: "", takes_value: false },
            Flag { name: "ignore-paused", short: "", takes_value: false },
        ],
    },
];
