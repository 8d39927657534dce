// Structures that system calls read and fill, as strace(1) writes them. Which one an argument points to follows from its name
// in the man page and its size, as the table of calls has them; a few calls use a name in another way.

import { AF_INET, AF_INET6, AF_UNIX } from "../abi/socket.ts";
import { i32, i64, u16, u32, u64 } from "../abi/struct.ts";
import { flagsText, pointer, quoted } from "./text.ts";
import { endText, signalName } from "./signal_text.ts";

/** Writes `length` bytes from the beginning of `bytes`. */
export type Decoder = (bytes: Uint8Array, length: number) => string;

const timespec = (b: Uint8Array, at = 0) => `{tv_sec=${i64(b, at)}, tv_nsec=${i64(b, at + 8)}}`;
const timeval = (b: Uint8Array, at = 0) => `{tv_sec=${i64(b, at)}, tv_usec=${i64(b, at + 8)}}`;
const timespecs: Decoder = (b) => `[${timespec(b)}, ${timespec(b, 16)}]`;
const timevals: Decoder = (b) => `[${timeval(b)}, ${timeval(b, 16)}]`;
const interval = (value: typeof timespec): Decoder => (b) =>
  `{it_interval=${value(b)}, it_value=${value(b, 16)}}`;
const integer: Decoder = (b) => `[${i32(b, 0)}]`;
const pair: Decoder = (b) => `[${i32(b, 0)}, ${i32(b, 4)}]`;
const offset: Decoder = (b) => `[${i64(b, 0)}]`;

const UNLIMITED = 2 ** 53;
const limit = (value: number) => value >= UNLIMITED ? "RLIM64_INFINITY" : String(value);
const rlimit: Decoder = (b) => `{rlim_cur=${limit(u64(b, 0))}, rlim_max=${limit(u64(b, 8))}}`;

/** Names without SIG; of a set with most signals those that are not in it, behind a tilde. */
const sigset: Decoder = (b) => {
  const members: string[] = [], others: string[] = [];
  for (let signal = 1; signal <= 64; signal++) {
    const word = u32(b, signal <= 32 ? 0 : 4), isIn = (word >>> ((signal - 1) & 31) & 1) === 1;
    (isIn ? members : others).push(signalName(signal).replace(/^SIG/, ""));
  }
  return members.length > 32 ? `~[${others.join(" ")}]` : `[${members.join(" ")}]`;
};

const SA_FLAGS = {
  SA_RESTORER: 0x0400_0000,
  SA_ONSTACK: 0x0800_0000,
  SA_RESTART: 0x1000_0000,
  SA_NODEFER: 0x4000_0000,
  SA_RESETHAND: 0x8000_0000 | 0,
  SA_SIGINFO: 4,
  SA_NOCLDWAIT: 2,
  SA_NOCLDSTOP: 1,
};
const sigaction: Decoder = (b) => {
  const handler = u64(b, 0), flags = u32(b, 8);
  const name = handler === 0 ? "SIG_DFL" : handler === 1 ? "SIG_IGN" : pointer(handler);
  const restorer = (flags & SA_FLAGS.SA_RESTORER) === 0 ? "" : `, sa_restorer=${pointer(u64(b, 16))}`;
  const mask = sigset(b.subarray(24), 8);
  return `{sa_handler=${name}, sa_mask=${mask}, sa_flags=${flagsText(flags, SA_FLAGS)}${restorer}}`;
};

const FILE_TYPES: Readonly<Record<number, string>> = {
  1: "S_IFIFO",
  2: "S_IFCHR",
  4: "S_IFDIR",
  6: "S_IFBLK",
  8: "S_IFREG",
  10: "S_IFLNK",
  12: "S_IFSOCK",
};
function fileMode(mode: number): string {
  return `${FILE_TYPES[mode >> 12] ?? `0${(mode & 0o170000).toString(8)}`}|0${(mode & 0o7777).toString(8)}`;
}
/** As strace without -v: what the file is and how large. */
const stat: Decoder = (b) => {
  const mode = u32(b, 24), type = mode >> 12, device = u64(b, 40);
  const isDevice = type === 2 || type === 6;
  const major = Math.floor(device / 256) & 0xfff, minor = device & 0xff;
  const size = isDevice
    ? `st_rdev=makedev(0x${major.toString(16)}, 0x${minor.toString(16)})`
    : `st_size=${u64(b, 48)}`;
  return `{st_mode=${fileMode(mode)}, ${size}, ...}`;
};
const statx: Decoder = (b) => {
  const mode = u16(b, 28);
  return `{stx_mask=0x${u32(b, 0).toString(16)}, stx_mode=${fileMode(mode)}, stx_size=${u64(b, 40)}, ...}`;
};

const waitStatus: Decoder = (b) => {
  const status = i32(b, 0);
  if (status === 0xffff) return "[{WIFCONTINUED(s)}]";
  if ((status & 0xff) === 0x7f) {
    return `[{WIFSTOPPED(s) && WSTOPSIG(s) == ${signalName(status >> 8 & 0xff)}}]`;
  }
  if ((status & 0x7f) !== 0) return `[{WIFSIGNALED(s) && WTERMSIG(s) == ${signalName(status & 0x7f)}}]`;
  return `[{WIFEXITED(s) && WEXITSTATUS(s) == ${endText(status).split(" ").at(-1)}}]`;
};

const sockaddr: Decoder = (b, length) => {
  if (length < 2) return "{}";
  const family = u16(b, 0), port = length >= 4 ? b[2] << 8 | b[3] : 0;
  if (family === AF_UNIX) {
    const isAbstract = length > 2 && b[2] === 0;
    const end = isAbstract ? length : Math.max(2, b.subarray(0, length).indexOf(0, 2));
    const name = b.subarray(isAbstract ? 3 : 2, end < 2 ? length : end);
    return `{sa_family=AF_UNIX${
      length > 2 ? `, sun_path=${isAbstract ? "@" : ""}${quoted(name, name.length)}` : ""
    }}`;
  }
  if (family === AF_INET && length >= 8) {
    const address = `${b[4]}.${b[5]}.${b[6]}.${b[7]}`;
    return `{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}`;
  }
  if (family === AF_INET6 && length >= 24) {
    const groups = Array.from({ length: 8 }, (_, i) => (b[8 + 2 * i] << 8 | b[9 + 2 * i]).toString(16));
    return `{sa_family=AF_INET6, sin6_port=htons(${port}), sin6_addr="${groups.join(":")}"}`;
  }
  return `{sa_family=${family === 16 ? "AF_NETLINK" : family}, ...}`;
};

const POLL_EVENTS = {
  POLLIN: 1,
  POLLPRI: 2,
  POLLOUT: 4,
  POLLERR: 8,
  POLLHUP: 0x10,
  POLLNVAL: 0x20,
  POLLRDNORM: 0x40,
  POLLRDHUP: 0x2000,
};
const pollfds: Decoder = (b, length) => {
  const list: string[] = [];
  for (let at = 0; at + 8 <= length; at += 8) {
    list.push(`{fd=${i32(b, at)}, events=${flagsText(u16(b, at + 4), POLL_EVENTS)}}`);
  }
  return `[${list.join(", ")}]`;
};
const EPOLL_EVENTS = {
  ...Object.fromEntries(Object.entries(POLL_EVENTS).map(([name, bit]) => [`E${name}`, bit])),
  EPOLLEXCLUSIVE: 1 << 28,
  EPOLLWAKEUP: 1 << 29,
  EPOLLONESHOT: 1 << 30,
  EPOLLET: 1 << 31,
};
const epollEvent: Decoder = (b) =>
  `{events=${flagsText(u32(b, 0) | 0, EPOLL_EVENTS)}, data=0x${u64(b, 4).toString(16)}}`;
const stack: Decoder = (b) => `{ss_sp=${pointer(u64(b, 0))}, ss_flags=${u32(b, 8)}, ss_size=${u64(b, 16)}}`;
const text = (b: Uint8Array, at: number, length: number) => {
  const end = b.indexOf(0, at);
  const part = b.subarray(at, end < 0 || end > at + length ? at + length : end);
  return quoted(part, part.length);
};
const utsname: Decoder = (b) => `{sysname=${text(b, 0, 65)}, nodename=${text(b, 65, 65)}, ...}`;
const openHow: Decoder = (b) => `{flags=0x${u64(b, 0).toString(16)}, mode=0${u64(b, 8).toString(8)}, ...}`;

/** By name and size of the argument. */
const BY_NAME: Readonly<Record<string, Decoder>> = {
  "statbuf 144": stat,
  "statxbuf 256": statx,
  "rlim 16": rlimit,
  "new_limit 16": rlimit,
  "old_limit 16": rlimit,
  "set 8": sigset,
  "oldset 8": sigset,
  "mask 8": sigset,
  "sigmask 8": sigset,
  "act 32": sigaction,
  "oldact 32": sigaction,
  "ss 24": stack,
  "old_ss 24": stack,
  "wstatus 4": waitStatus,
  "pipefd 8": pair,
  "sv 8": pair,
  "event 12": epollEvent,
  "how 24": openHow,
  "new_value 32": interval(timespec),
  "old_value 32": interval(timespec),
  "curr_value 32": interval(timespec),
  "times 32": timespecs,
  "tv 16": (b) => timeval(b),
  "offset 8": offset,
  "off_in 8": offset,
  "off_out 8": offset,
  "buf 390": utsname,
};
for (const name of ["req", "rem", "request", "remain", "tp", "res", "timeout", "tmo_p", "abs_timeout"]) {
  (BY_NAME as Record<string, Decoder>)[`${name} 16`] = (b) => timespec(b);
}
/** Calls that have another structure of that name. */
const BY_CALL: Readonly<Record<string, Decoder>> = {
  "utimes times": timevals,
  "futimesat times": timevals,
  "utime times": (b) => `{actime=${i64(b, 0)}, modtime=${i64(b, 8)}}`,
  "select timeout": (b) => timeval(b),
  "setitimer new_value": interval(timeval),
  "setitimer old_value": interval(timeval),
  "getitimer curr_value": interval(timeval),
};
/** Pointers to bytes that another argument counts. */
const BY_COUNT: Readonly<Record<string, Decoder>> = {
  "addr addrlen": sockaddr,
  "dest_addr addrlen": sockaddr,
  "fds nfds": pollfds,
};

/** How argument `name` of `call`, a structure of `size` bytes, is written; null = as its address. */
export function decoderOf(call: string, name: string, size: number): Decoder | null {
  return BY_CALL[`${call} ${name}`] ?? BY_NAME[`${name} ${size}`] ?? (size === 4 ? integer : null);
}

/** The same of bytes that argument `count` counts; null = they are text or data. */
export function countedDecoderOf(name: string, count: string): Decoder | null {
  return BY_COUNT[`${name} ${count}`] ?? null;
}
