// The host calls each role may make once it runs, with the reason. Numbers are x86-64's. What is not here kills the role.

import type { AddressRange } from "../native/process.ts";

/** What an argument must be: (its low word & mask) == value; or, the whole of it, below or from a bound on. */
export type Condition =
  | { readonly argument: number; readonly mask: number; readonly value: number }
  | { readonly argument: number; readonly below: number }
  | { readonly argument: number; readonly from: number };

export interface AllowedCall {
  readonly nr: number;
  readonly name: string;
  readonly reason: string;
  /** Allowed only where all of these hold. */
  readonly when?: readonly Condition[];
  /** The runtime tries it and can do without: EPERM instead of death. */
  readonly isRefused?: boolean;
}

const call = (nr: number, name: string, reason: string, ...when: Condition[]): AllowedCall =>
  when.length === 0 ? { nr, name, reason } : { nr, name, reason, when };

const PROT_RW = 3, PROT_EXEC = 4, MAP_SHARED = 1, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MREMAP_MAYMOVE = 1;
const FUTEX_WAIT = 0,
  FUTEX_WAKE = 1,
  FUTEX_WAIT_BITSET = 9,
  FUTEX_PRIVATE_FLAG = 128,
  FUTEX_CLOCK_REALTIME = 256;
const MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000;
const WHOLE = 0xffff_ffff;

const refused = (nr: number, name: string, reason: string): AllowedCall => ({
  nr,
  name,
  reason,
  isRefused: true,
});

/** Calls that the runtime's threads try now and then and that need not succeed. */
const TRIED: readonly AllowedCall[] = [
  refused(21, "access", "malloc tuning"),
  refused(435, "clone3", "thread pools that would grow"),
];

/** What V8 and Deno's threads need whatever we do (measured; shared/deno.md). */
const RUNTIME: readonly AllowedCall[] = [
  call(202, "futex", "V8 and tokio threads", {
    argument: 1,
    mask: FUTEX_PRIVATE_FLAG,
    value: FUTEX_PRIVATE_FLAG,
  }),
  call(202, "futex", "thread pools join threads that have ended", {
    argument: 1,
    mask: WHOLE,
    value: FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME,
  }),
  call(9, "mmap", "V8 heap and code; never from a file", {
    argument: 3,
    mask: MAP_ANONYMOUS,
    value: MAP_ANONYMOUS,
  }),
  call(11, "munmap", "V8 heap"),
  call(10, "mprotect", "V8 heap", { argument: 2, mask: PROT_EXEC, value: 0 }),
  call(28, "madvise", "V8 heap"),
  call(12, "brk", "malloc"),
  call(232, "epoll_wait", "event loops"),
  call(281, "epoll_pwait", "event loops"),
  call(441, "epoll_pwait2", "the sentry's wait"),
  call(233, "epoll_ctl", "descriptors that are watched"),
  call(0, "read", "descriptors we hold"),
  call(1, "write", "descriptors we hold"),
  call(3, "close", "descriptors we hold"),
  call(334, "rseq", "threads that start late: glibc ends the process when it fails"),
  call(273, "set_robust_list", "threads that start late"),
  call(45, "recvfrom", "tokio's signal pipe, when the runtime wakes late"),
  call(186, "gettid", "V8"),
  call(39, "getpid", "V8"),
  call(204, "sched_getaffinity", "V8 platform"),
  call(143, "sched_getparam", "thread pools"),
  call(145, "sched_getscheduler", "thread pools"),
  call(24, "sched_yield", "spin locks"),
  call(131, "sigaltstack", "thread exit"),
  call(13, "rt_sigaction", "signal set-up of the runtime"),
  call(14, "rt_sigprocmask", "signal set-up of the runtime"),
  call(15, "rt_sigreturn", "signal handlers"),
  call(228, "clock_gettime", "clocks the vDSO does not serve"),
  call(229, "clock_getres", "clocks"),
  call(230, "clock_nanosleep", "timers of threads"),
  call(35, "nanosleep", "timers of threads"),
  call(318, "getrandom", "random bytes"),
  call(60, "exit", "threads that end"),
  call(231, "exit_group", "the end"),
  call(219, "restart_syscall", "after a stop"),
  call(7, "poll", "waiting for one descriptor"),
  ...[
    [1, "F_GETFD"],
    [2, "F_SETFD"],
    [3, "F_GETFL"],
    [4, "F_SETFL: nonblocking"],
    [1030, "F_DUPFD_CLOEXEC"],
    [1033, "F_ADD_SEALS: copies of code that nobody changes"],
    [1034, "F_GET_SEALS"],
  ].map(([command, reason]) =>
    call(72, "fcntl", String(reason), { argument: 1, mask: WHOLE, value: Number(command) })
  ),
  call(5, "fstat", "descriptors we hold"),
  call(8, "lseek", "descriptors we hold"),
  call(157, "prctl", "thread and VMA names", { argument: 0, mask: WHOLE, value: 15 }),
  call(157, "prctl", "VMA names", { argument: 0, mask: WHOLE, value: 0x53564d41 }),
  call(324, "membarrier", "V8 code patching"),
  call(309, "getcpu", "malloc arenas"),
  call(234, "tgkill", "the sentry interrupts guests; V8 its own threads"),
];

/** No more than realloc has use for: a mapping goes to no place that is chosen for it, and leaves no copy. */
const realloc = (...when: Condition[]) =>
  call(
    25,
    "mremap",
    "realloc of large blocks",
    { argument: 3, mask: WHOLE - MREMAP_MAYMOVE, value: 0 },
    ...when,
  );

/** Of a process that maps no file. */
const OWN_MEMORY: readonly AllowedCall[] = [
  call(10, "mprotect", "V8 code pages", { argument: 2, mask: PROT_EXEC, value: PROT_EXEC }),
  realloc(),
];

/** As GUARD_BYTES and TAIL_BYTES in native/src/shared_region.rs. */
const GUARD_BYTES = 2 ** 32, TAIL_BYTES = 2 ** 30;

/**
 * Of a process that maps files in `region` alone: nothing in there becomes executable, and no mapping leaves it. Code may be
 * shorter than the guard before the region, and lie before it, or lie behind.
 */
function sharedMemory({ from, end }: AddressRange): readonly AllowedCall[] {
  const address = 0, length = 1;
  return [
    call(
      9,
      "mmap",
      "memory shared with stubs or gofer",
      { argument: 3, mask: WHOLE, value: MAP_SHARED | MAP_FIXED },
      { argument: 2, mask: WHOLE, value: PROT_RW },
      { argument: address, from: from + GUARD_BYTES },
      { argument: address, below: end - TAIL_BYTES },
      { argument: length, below: TAIL_BYTES + 1 },
    ),
    call(10, "mprotect", "V8 code pages", { argument: address, below: from }, {
      argument: length,
      below: GUARD_BYTES,
    }),
    call(10, "mprotect", "V8 code pages", { argument: address, from: end }),
    realloc({ argument: address, below: from }),
    realloc({ argument: address, from: end }),
    call(202, "futex", "wake stubs and the gofer, in shared memory", {
      argument: 1,
      mask: WHOLE,
      value: FUTEX_WAKE,
    }),
    call(202, "futex", "wait for the other side", { argument: 1, mask: WHOLE, value: FUTEX_WAIT }),
  ];
}

/** At once or after a wait, and never with a signal. (On sockets that we hold.) */
const sendmsg = (reason: string) =>
  call(46, "sendmsg", reason, { argument: 2, mask: WHOLE - MSG_DONTWAIT, value: MSG_NOSIGNAL });

const ioctl = (request: number, reason: string): AllowedCall =>
  call(16, "ioctl", reason, { argument: 1, mask: WHOLE, value: request });

/** On stdio. Above all not TIOCSTI, which types into the caller's terminal. */
/** O_RDONLY | O_CLOEXEC and nothing else. */
const openForReading = (reason: string): AllowedCall =>
  call(257, "openat", reason, { argument: 2, mask: WHOLE, value: 0x80000 });

const TERMINAL_REQUESTS: readonly AllowedCall[] = [
  ioctl(0x5401, "TCGETS: whether stdio is a terminal"),
  ioctl(0x5402, "TCSETS"),
  ioctl(0x5403, "TCSETSW"),
  ioctl(0x5404, "TCSETSF"),
  ioctl(0x5409, "TCSBRK: drain"),
  ioctl(0x540a, "TCXONC: stop and start"),
  ioctl(0x540b, "TCFLSH"),
  ioctl(0x5413, "TIOCGWINSZ"),
  ioctl(0x5414, "TIOCSWINSZ"),
  ioctl(0x541b, "FIONREAD of a pipe"),
];

/** The sentry: its platform, memory files, messages to gofer and CLI. No open but for reading, no socket, no exec, no fork. */
export const sentryCalls = (region: AddressRange): readonly AllowedCall[] => [
  ...RUNTIME,
  ...TRIED,
  ...sharedMemory(region),
  openForReading(
    "memory files anew, for stubs that may only read them; what the host counts of stubs; the root holds nothing but the own /proc",
  ),
  sendmsg("gofer, stubs, CLI"),
  call(47, "recvmsg", "gofer, CLI"),
  call(299, "recvmmsg", "frames of the interfaces it was given"),
  call(307, "sendmmsg", "frames of the interfaces it was given"),
  call(53, "socketpair", "a socket for each stub", { argument: 0, mask: WHOLE, value: 1 }),
  call(319, "memfd_create", "slots, shared memory, tmpfs files"),
  call(77, "ftruncate", "memory files, donated files"),
  call(285, "fallocate", "memory given back; fallocate of donated files"),
  call(17, "pread64", "files"),
  call(327, "preadv2", "files, of what the host has in memory"),
  call(18, "pwrite64", "files"),
  call(98, "getrusage", "whether a slow write has waited for the disk, or for a CPU", {
    argument: 0,
    mask: WHOLE,
    value: 1,
  }),
  call(74, "fsync", "files"),
  call(75, "fdatasync", "files"),
  call(310, "process_vm_readv", "guest memory; the host checks that it is a stub's"),
  call(311, "process_vm_writev", "guest memory"),
  call(62, "kill", "ending stubs, in the own pid namespace"),
  call(61, "wait4", "reaping stubs"),
  call(247, "waitid", "which signal has ended a stub"),
  ...TERMINAL_REQUESTS,
  ioctl(0xc0502100, "SECCOMP_IOCTL_NOTIF_RECV: a stub asks for a clone"),
  ioctl(0xc0182101, "SECCOMP_IOCTL_NOTIF_SEND"),
  call(32, "dup", "descriptors"),
  call(203, "sched_setaffinity", "sentry and guests on CPUs of their own"),
];

const S_IFMT = 0o170000;
const node = (type: number, reason: string): AllowedCall =>
  call(259, "mknodat", reason, { argument: 2, mask: S_IFMT, value: type });

/** No block device: through one the host's disks would be open. Of the character devices the host allows whiteouts only. */
const NODES: readonly AllowedCall[] = [
  node(0, "files"),
  node(0o100000, "files"),
  node(0o010000, "FIFOs"),
  node(0o140000, "sockets"),
  node(0o020000, "whiteouts, which need no capability"),
];

/** On platform ptrace besides. */
export const PTRACE_CALLS: readonly AllowedCall[] = [
  call(101, "ptrace", "own children: nothing else is in the pid namespace"),
];

/** The gofer: file calls below descriptors it holds. */
export const goferCalls = (region: AddressRange): readonly AllowedCall[] => [
  ...RUNTIME,
  ...TRIED,
  ...sharedMemory(region),
  sendmsg("answers"),
  call(47, "recvmsg", "requests"),
  call(437, "openat2", "one name below a node"),
  call(257, "openat", "a node opened anew through /proc/self/fd"),
  call(262, "newfstatat", "attributes"),
  call(258, "mkdirat", "mkdir"),
  ...NODES,
  call(266, "symlinkat", "symlink"),
  call(265, "linkat", "link"),
  call(263, "unlinkat", "unlink and rmdir"),
  call(316, "renameat2", "rename"),
  call(267, "readlinkat", "readlink"),
  call(217, "getdents64", "reading directories"),
  call(260, "fchownat", "owners"),
  call(268, "fchmodat", "modes"),
  call(280, "utimensat", "times"),
  call(77, "ftruncate", "truncate"),
  call(138, "fstatfs", "statfs"),
  call(17, "pread64", "content that goes with an answer"),
  call(327, "preadv2", "content of what the host has in memory"),
  call(328, "pwritev2", "writes that may take long"),
  call(285, "fallocate", "fallocate"),
  call(191, "getxattr", "extended attributes through /proc/self/fd"),
  call(188, "setxattr", "extended attributes"),
  call(194, "listxattr", "extended attributes"),
  call(197, "removexattr", "extended attributes"),
  call(74, "fsync", "fsync"),
  call(75, "fdatasync", "fdatasync"),
  call(203, "sched_setaffinity", "the CPU of the sentry that waits for it"),
];

/** The controller: its clients, and its connection to the sentry. It connects to nobody, and its root is empty. */
export const CONTROLLER_CALLS: readonly AllowedCall[] = [
  ...RUNTIME,
  ...TRIED,
  ...OWN_MEMORY,
  openForReading("the runtime looks for the processor's frequency when threads meet; the root holds nothing"),
  call(288, "accept4", "clients"),
  sendmsg("answers, queries"),
  call(47, "recvmsg", "calls, the sentry's answers"),
  call(319, "memfd_create", "arguments of calls"),
  call(17, "pread64", "the sentry's answers"),
  call(18, "pwrite64", "arguments of calls"),
];

const AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOCK_CLOEXEC_NONBLOCK = 0x80800;
const socket = (family: number, type: number, reason: string) =>
  call(
    41,
    "socket",
    reason,
    { argument: 0, mask: WHOLE, value: family },
    { argument: 1, mask: WHOLE, value: type | SOCK_CLOEXEC_NONBLOCK },
  );
const option = (nr: number, name: string, level: number, optionNumber: number, reason: string) =>
  call(
    nr,
    name,
    reason,
    { argument: 1, mask: WHOLE, value: level },
    { argument: 2, mask: WHOLE, value: optionNumber },
  );

/**
 * The relay: connections and datagrams to the host's network, as its policy says. It binds nothing, so that nobody is served in
 * the host's name but at the ports it was given; raw sockets and other families are not to be had.
 */
export const RELAY_CALLS: readonly AllowedCall[] = [
  ...RUNTIME,
  ...TRIED,
  ...OWN_MEMORY,
  openForReading("the runtime looks for the processor's frequency when threads meet; the root holds nothing"),
  socket(AF_INET, SOCK_STREAM, "TCP"),
  socket(AF_INET6, SOCK_STREAM, "TCP"),
  socket(AF_INET, SOCK_DGRAM, "UDP and ping sockets"),
  socket(AF_INET6, SOCK_DGRAM, "UDP and ping sockets"),
  call(42, "connect", "where the sandbox goes"),
  call(288, "accept4", "published ports"),
  call(44, "sendto", "what the sandbox sends"),
  call(48, "shutdown", "the end of one direction"),
  option(54, "setsockopt", 6, 1, "TCP_NODELAY"),
  option(54, "setsockopt", 1, 13, "SO_LINGER: a reset"),
  option(55, "getsockopt", 1, 4, "SO_ERROR: how connect(2) has ended"),
  call(299, "recvmmsg", "packets of the sandbox"),
  call(307, "sendmmsg", "packets for the sandbox"),
  sendmsg("to the command line, that it is ready"),
];

/** As in native/src/confine.rs. */
const REFUSED = 0xff;

/** What is compared, as in native/src/confine.rs. */
const MASKED = 0, BELOW = 1, FROM = 2;
const TWO_32 = 2 ** 32;

/** Rules as tsv_confine_calls wants them. */
export function packRules(calls: readonly AllowedCall[]): Uint32Array<ArrayBuffer> {
  const words: number[] = [];
  for (const { nr, isRefused, when } of calls) {
    if (isRefused || when === undefined) {
      words.push(nr, 0, isRefused ? REFUSED : 0, 0, 0, 0);
      continue;
    }
    when.forEach((condition, n) =>
      words.push(nr, n === 0 ? 0 : 1, condition.argument + 1, ...comparison(condition))
    );
  }
  return Uint32Array.from(words);
}

function comparison(condition: Condition): readonly number[] {
  if ("mask" in condition) return [MASKED, condition.mask, condition.value];
  const [compared, bound] = "below" in condition ? [BELOW, condition.below] : [FROM, condition.from];
  return [compared, bound % TWO_32, Math.floor(bound / TWO_32)];
}
