//! Written by boot/control/launcher_table.ts: what native code has to know of the control protocol and of the command line.

// The library needs one half of it, the launcher the other.
#![allow(dead_code)]

/// See boot/control/protocol.ts.
pub const VERSION: u16 = 3;
pub const HEADER_BYTES: usize = 16;
pub const FRAME_BYTES_MAX: usize = 16384;

pub const FLAG_REPLY: u32 = 1;
/// The request whose answer says how a process has ended.
pub const WAIT_REQUEST: u32 = 2147483647;
/// In SIGNAL: to the process alone.
pub const SCOPE_PROCESS: i32 = 0;
/// To all of the container.
pub const SCOPE_ALL: i32 = 2;

/// Kinds of messages.
pub const HELLO: u16 = 1;
pub const SIGNAL: u16 = 3;
pub const RESIZED: u16 = 4;
pub const CONNECT: u16 = 6;
pub const NOTICE: u16 = 18;
pub const EXIT: u16 = 20;
pub const START: u16 = 7;
pub const EXECUTE: u16 = 8;
pub const WAIT: u16 = 9;
pub const PROCESSES: u16 = 10;
pub const PAUSE: u16 = 12;
pub const RESUME: u16 = 13;
pub const INQUIRE: u16 = 14;
pub const DONE: u16 = 21;
pub const EXECUTED: u16 = 23;
pub const DOCUMENT: u16 = 24;
pub const CONDITION: u16 = 25;
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
/// First word of the launcher that is to become another program; then its path and its arguments, its own name first.
pub const EXECUTE_WORD: &str = "--execute";
/// First word of the launcher that runs itself on a new terminal; then its columns and rows, and its own words.
pub const TERMINAL_WORD: &str = "--on-terminal";
/// Variable with the descriptor of a message STARTED.
pub const HANDOVER: &str = "TSVISOR_HANDOVER";
/// Variable with the descriptor of the socket to an attendant, and its pid.
pub const ATTENDANT: &str = "TSVISOR_ATTENDANT";

/// The version of the runtime-spec that `state` tells.
pub const OCI_VERSION: &str = "1.2.0";
/// Signals by their names.
pub const SIGNALS: &[(&str, i32)] = &[
    ("SIGABRT", 6),
    ("SIGALRM", 14),
    ("SIGBUS", 7),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGFPE", 8),
    ("SIGHUP", 1),
    ("SIGILL", 4),
    ("SIGINT", 2),
    ("SIGIO", 29),
    ("SIGKILL", 9),
    ("SIGPIPE", 13),
    ("SIGPROF", 27),
    ("SIGPWR", 30),
    ("SIGQUIT", 3),
    ("SIGRTMAX", 64),
    ("SIGRTMIN", 32),
    ("SIGSEGV", 11),
    ("SIGSTKFLT", 16),
    ("SIGSTOP", 19),
    ("SIGSYS", 31),
    ("SIGTERM", 15),
    ("SIGTRAP", 5),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGUSR1", 10),
    ("SIGUSR2", 12),
    ("SIGVTALRM", 26),
    ("SIGWINCH", 28),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
];
/// Names that a config.json may have.
pub const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];
pub const RLIMITS: &[&str] = &[
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// A flag of the command line.
pub struct Flag {
    pub name: &'static str,
    /// One letter; "" = none.
    pub short: &'static str,
    /// The next word is its value, where it has none after "=".
    pub takes_value: bool,
    /// It may come again.
    pub is_multiple: bool,
}

/// A command for which processes are started at once, or that the launcher carries out.
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
    /// The launcher carries it out itself where nothing is out of the ordinary.
    pub is_answered: bool,
    pub flags: &'static [Flag],
}

/// Flags before the command.
pub const GLOBAL_FLAGS: &[Flag] = &[
    Flag { name: "root", short: "", takes_value: true, is_multiple: false },
    Flag { name: "platform", short: "", takes_value: true, is_multiple: false },
    Flag { name: "patching", short: "", takes_value: true, is_multiple: false },
    Flag { name: "stub-calls", short: "", takes_value: true, is_multiple: false },
    Flag { name: "overlay2", short: "", takes_value: true, is_multiple: false },
    Flag { name: "file-access", short: "", takes_value: true, is_multiple: false },
    Flag { name: "oci-seccomp", short: "", takes_value: false, is_multiple: false },
    Flag { name: "watchdog-timeout", short: "", takes_value: true, is_multiple: false },
    Flag { name: "watchdog-action", short: "", takes_value: true, is_multiple: false },
    Flag { name: "watchdog-step", short: "", takes_value: true, is_multiple: false },
    Flag { name: "network", short: "", takes_value: true, is_multiple: false },
    Flag { name: "egress", short: "", takes_value: true, is_multiple: false },
    Flag { name: "publish", short: "", takes_value: true, is_multiple: true },
    Flag { name: "dns", short: "", takes_value: true, is_multiple: true },
    Flag { name: "num-network-channels", short: "", takes_value: true, is_multiple: false },
    Flag { name: "qdisc", short: "", takes_value: true, is_multiple: false },
    Flag { name: "pcap", short: "", takes_value: true, is_multiple: false },
    Flag { name: "log", short: "", takes_value: true, is_multiple: false },
    Flag { name: "log-format", short: "", takes_value: true, is_multiple: false },
    Flag { name: "debug-log", short: "", takes_value: true, is_multiple: false },
    Flag { name: "explain", short: "", takes_value: false, is_multiple: false },
    Flag { name: "strace", short: "", takes_value: false, is_multiple: false },
    Flag { name: "strace-syscalls", short: "", takes_value: true, is_multiple: false },
    Flag { name: "strace-format", short: "", takes_value: true, is_multiple: false },
    Flag { name: "strace-log-size", short: "", takes_value: true, is_multiple: false },
    Flag { name: "lenient-seccomp", short: "", takes_value: false, is_multiple: false },
    Flag { name: "pod-init-config", short: "", takes_value: true, is_multiple: false },
    Flag { name: "version", short: "v", takes_value: false, is_multiple: false },
    Flag { name: "help", short: "h", takes_value: false, is_multiple: false },
    Flag { name: "debug", short: "", takes_value: false, is_multiple: false },
    Flag { name: "systemd-cgroup", short: "", takes_value: false, is_multiple: false },
    Flag { name: "rootless", short: "", takes_value: true, is_multiple: false },
    Flag { name: "ignore-cgroups", short: "", takes_value: false, is_multiple: false },
    Flag { name: "allow-flag-override", short: "", takes_value: false, is_multiple: false },
    Flag { name: "allow-packet-socket-write", short: "", takes_value: false, is_multiple: false },
    Flag { name: "allow-suid", short: "", takes_value: false, is_multiple: false },
    Flag { name: "alsologtostderr", short: "", takes_value: false, is_multiple: false },
    Flag { name: "app-huge-pages", short: "", takes_value: false, is_multiple: false },
    Flag { name: "character-device-policy", short: "", takes_value: true, is_multiple: false },
    Flag { name: "cpu-num-from-quota", short: "", takes_value: false, is_multiple: false },
    Flag { name: "dcache", short: "", takes_value: true, is_multiple: false },
    Flag { name: "debug-command", short: "", takes_value: true, is_multiple: false },
    Flag { name: "debug-log-format", short: "", takes_value: true, is_multiple: false },
    Flag { name: "debug-to-user-log", short: "", takes_value: false, is_multiple: false },
    Flag { name: "directfs", short: "", takes_value: false, is_multiple: false },
    Flag { name: "enable-core-tags", short: "", takes_value: false, is_multiple: false },
    Flag { name: "fdlimit", short: "", takes_value: true, is_multiple: false },
    Flag { name: "file-access-mounts", short: "", takes_value: true, is_multiple: false },
    Flag { name: "fsgofer-host-uds", short: "", takes_value: false, is_multiple: false },
    Flag { name: "gso", short: "", takes_value: false, is_multiple: false },
    Flag { name: "gvisor-gro", short: "", takes_value: false, is_multiple: false },
    Flag { name: "gvisor-marker-file", short: "", takes_value: false, is_multiple: false },
    Flag { name: "host-fifo", short: "", takes_value: true, is_multiple: false },
    Flag { name: "host-settings", short: "", takes_value: true, is_multiple: false },
    Flag { name: "host-uds", short: "", takes_value: true, is_multiple: false },
    Flag { name: "iouring", short: "", takes_value: false, is_multiple: false },
    Flag { name: "lisafs", short: "", takes_value: false, is_multiple: false },
    Flag { name: "log-packets", short: "", takes_value: false, is_multiple: false },
    Flag { name: "net-disconnect-ok", short: "", takes_value: false, is_multiple: false },
    Flag { name: "net-raw", short: "", takes_value: false, is_multiple: false },
    Flag { name: "nvproxy", short: "", takes_value: false, is_multiple: false },
    Flag { name: "panic-log", short: "", takes_value: true, is_multiple: false },
    Flag { name: "panic-signal", short: "", takes_value: true, is_multiple: false },
    Flag { name: "platform_device_path", short: "", takes_value: true, is_multiple: false },
    Flag { name: "profile", short: "", takes_value: false, is_multiple: false },
    Flag { name: "ref-leak-mode", short: "", takes_value: true, is_multiple: false },
    Flag { name: "reproduce-nat", short: "", takes_value: false, is_multiple: false },
    Flag { name: "reproduce-nftables", short: "", takes_value: false, is_multiple: false },
    Flag { name: "rx-checksum-offload", short: "", takes_value: false, is_multiple: false },
    Flag { name: "software-gso", short: "", takes_value: false, is_multiple: false },
    Flag { name: "strace-event", short: "", takes_value: false, is_multiple: false },
    Flag { name: "systrap-disable-syscall-patching", short: "", takes_value: false, is_multiple: false },
    Flag { name: "traceback", short: "", takes_value: true, is_multiple: false },
    Flag { name: "tpuproxy", short: "", takes_value: false, is_multiple: false },
    Flag { name: "tx-checksum-offload", short: "", takes_value: false, is_multiple: false },
    Flag { name: "vfs2", short: "", takes_value: false, is_multiple: false },
];

pub const COMMANDS: &[Command] = &[
    Command {
        name: "do",
        takes_program: true,
        has_roles: true,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: false,
        flags: &[
            Flag { name: "bind", short: "v", takes_value: true, is_multiple: true },
            Flag { name: "rw", short: "", takes_value: true, is_multiple: true },
            Flag { name: "workdir", short: "w", takes_value: true, is_multiple: false },
            Flag { name: "cwd", short: "", takes_value: true, is_multiple: false },
            Flag { name: "user", short: "u", takes_value: true, is_multiple: false },
            Flag { name: "env", short: "e", takes_value: true, is_multiple: true },
            Flag { name: "clear-env", short: "", takes_value: false, is_multiple: false },
            Flag { name: "memory", short: "m", takes_value: true, is_multiple: false },
            Flag { name: "pids", short: "", takes_value: true, is_multiple: false },
            Flag { name: "cpus", short: "", takes_value: true, is_multiple: false },
            Flag { name: "timeout", short: "", takes_value: true, is_multiple: false },
            Flag { name: "out", short: "", takes_value: true, is_multiple: true },
            Flag { name: "root", short: "", takes_value: true, is_multiple: false },
            Flag { name: "quiet", short: "", takes_value: false, is_multiple: false },
        ],
    },
    Command {
        name: "run",
        takes_program: false,
        has_roles: true,
        is_root_inside: true,
        unless: &["console-socket"],
        attendant: Some("detach"),
        is_answered: false,
        flags: &[
            Flag { name: "bundle", short: "b", takes_value: true, is_multiple: false },
            Flag { name: "pid-file", short: "", takes_value: true, is_multiple: false },
            Flag { name: "console-socket", short: "", takes_value: true, is_multiple: false },
            Flag { name: "preserve-fds", short: "", takes_value: true, is_multiple: false },
            Flag { name: "pass-fd", short: "", takes_value: true, is_multiple: true },
            Flag { name: "user-log", short: "", takes_value: true, is_multiple: false },
            Flag { name: "no-pivot", short: "", takes_value: false, is_multiple: false },
            Flag { name: "no-new-keyring", short: "", takes_value: false, is_multiple: false },
            Flag { name: "detach", short: "d", takes_value: false, is_multiple: false },
            Flag { name: "keep", short: "", takes_value: false, is_multiple: false },
            Flag { name: "no-subreaper", short: "", takes_value: false, is_multiple: false },
        ],
    },
    Command {
        name: "create",
        takes_program: false,
        has_roles: true,
        is_root_inside: true,
        unless: &[],
        attendant: Some(""),
        is_answered: false,
        flags: &[
            Flag { name: "bundle", short: "b", takes_value: true, is_multiple: false },
            Flag { name: "pid-file", short: "", takes_value: true, is_multiple: false },
            Flag { name: "console-socket", short: "", takes_value: true, is_multiple: false },
            Flag { name: "preserve-fds", short: "", takes_value: true, is_multiple: false },
            Flag { name: "pass-fd", short: "", takes_value: true, is_multiple: true },
            Flag { name: "user-log", short: "", takes_value: true, is_multiple: false },
            Flag { name: "no-pivot", short: "", takes_value: false, is_multiple: false },
            Flag { name: "no-new-keyring", short: "", takes_value: false, is_multiple: false },
        ],
    },
    Command {
        name: "start",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[],
    },
    Command {
        name: "exec",
        takes_program: true,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: Some("detach"),
        is_answered: true,
        flags: &[
            Flag { name: "process", short: "p", takes_value: true, is_multiple: false },
            Flag { name: "cwd", short: "", takes_value: true, is_multiple: false },
            Flag { name: "env", short: "e", takes_value: true, is_multiple: true },
            Flag { name: "user", short: "u", takes_value: true, is_multiple: false },
            Flag { name: "additional-gids", short: "g", takes_value: true, is_multiple: true },
            Flag { name: "cap", short: "c", takes_value: true, is_multiple: true },
            Flag { name: "tty", short: "t", takes_value: false, is_multiple: false },
            Flag { name: "no-new-privs", short: "", takes_value: false, is_multiple: false },
            Flag { name: "detach", short: "d", takes_value: false, is_multiple: false },
            Flag { name: "pid-file", short: "", takes_value: true, is_multiple: false },
            Flag { name: "internal-pid-file", short: "", takes_value: true, is_multiple: false },
            Flag { name: "console-socket", short: "", takes_value: true, is_multiple: false },
            Flag { name: "preserve-fds", short: "", takes_value: true, is_multiple: false },
            Flag { name: "pass-fd", short: "", takes_value: true, is_multiple: true },
            Flag { name: "process-label", short: "", takes_value: true, is_multiple: false },
            Flag { name: "apparmor", short: "", takes_value: true, is_multiple: false },
            Flag { name: "cgroup", short: "", takes_value: true, is_multiple: true },
            Flag { name: "no-subreaper", short: "", takes_value: false, is_multiple: false },
            Flag { name: "ignore-paused", short: "", takes_value: false, is_multiple: false },
        ],
    },
    Command {
        name: "ps",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[
            Flag { name: "format", short: "f", takes_value: true, is_multiple: false },
        ],
    },
    Command {
        name: "pause",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[],
    },
    Command {
        name: "resume",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[],
    },
    Command {
        name: "state",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[],
    },
    Command {
        name: "list",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[
            Flag { name: "quiet", short: "q", takes_value: false, is_multiple: false },
            Flag { name: "format", short: "f", takes_value: true, is_multiple: false },
            Flag { name: "sandbox", short: "", takes_value: false, is_multiple: false },
        ],
    },
    Command {
        name: "kill",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[
            Flag { name: "all", short: "a", takes_value: false, is_multiple: false },
            Flag { name: "pid", short: "", takes_value: true, is_multiple: false },
            Flag { name: "pgid", short: "", takes_value: true, is_multiple: false },
        ],
    },
    Command {
        name: "delete",
        takes_program: false,
        has_roles: false,
        is_root_inside: false,
        unless: &[],
        attendant: None,
        is_answered: true,
        flags: &[
            Flag { name: "force", short: "f", takes_value: false, is_multiple: false },
        ],
    },
];
