// Calls that change attributes: chmod, chown, utimes and related ones, umask. vfs/attributes.ts has the rules.

import { EBADF, EINVAL } from "../abi/errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_PATH, PATH_MAX, S_IFLNK } from "../abi/file.ts";
import { EOPNOTSUPP } from "../abi/errno.ts";
import { i64 } from "../abi/struct.ts";
import { UTIME_NOW, UTIME_OMIT } from "../abi/time.ts";
import type { Task } from "../task/task.ts";
import { changeMode, changeOwner, changeTimes, type Target, TimeChange } from "../vfs/attributes.ts";
import { ATTR_ATIME, ATTR_MTIME } from "../vfs/inode.ts";
import type { Path } from "../vfs/path.ts";
import { EMPTY, FOLLOW, resolve } from "../vfs/path_walk.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";

const AT_FLAGS = { AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH };
const NANOS_PER_SECOND = 1_000_000_000;
const MICROS_PER_SECOND = 1_000_000;

export const ATTRIBUTE_CALLS: SyscallFamily = {
  chmod: {
    nr: { x64: 90 },
    args: { pathname: "path", mode: "mode" },
    returns: "int",
    support: FULL,
    run: chmod,
  },
  fchmod: {
    nr: { x64: 91, arm64: 52 },
    args: { fd: "fd", mode: "mode" },
    returns: "int",
    support: FULL,
    run: fchmod,
  },
  chown: {
    nr: { x64: 92 },
    args: { pathname: "path", owner: "uid", group: "gid" },
    returns: "int",
    support: FULL,
    run: chown,
  },
  fchown: {
    nr: { x64: 93, arm64: 55 },
    args: { fd: "fd", owner: "uid", group: "gid" },
    returns: "int",
    support: FULL,
    run: fchown,
  },
  lchown: {
    nr: { x64: 94 },
    args: { pathname: "path", owner: "uid", group: "gid" },
    returns: "int",
    support: FULL,
    run: lchown,
  },
  umask: { nr: { x64: 95, arm64: 166 }, args: { mask: "mode" }, returns: "int", support: FULL, run: umask },
  utime: {
    nr: { x64: 132 },
    args: { filename: "path", times: { in: 16 } },
    returns: "int",
    support: FULL,
    run: utime,
  },
  utimes: {
    nr: { x64: 235 },
    args: { filename: "path", times: { in: 32 } },
    returns: "int",
    support: FULL,
    run: utimes,
  },
  fchownat: {
    nr: { x64: 260, arm64: 54 },
    args: { dirfd: "dirfd", pathname: "path", owner: "uid", group: "gid", flags: { flags: AT_FLAGS } },
    returns: "int",
    support: FULL,
    run: fchownat,
  },
  futimesat: {
    nr: { x64: 261 },
    args: { dirfd: "dirfd", pathname: "path", times: { in: 32 } },
    returns: "int",
    support: FULL,
    run: futimesat,
  },
  fchmodat: {
    nr: { x64: 268, arm64: 53 },
    args: { dirfd: "dirfd", pathname: "path", mode: "mode" },
    returns: "int",
    support: FULL,
    run: fchmodat,
  },
  utimensat: {
    nr: { x64: 280, arm64: 88 },
    args: { dirfd: "dirfd", pathname: "path", times: { in: 32 }, flags: { flags: AT_FLAGS } },
    returns: "int",
    support: FULL,
    run: utimensat,
  },
  fchmodat2: {
    nr: { x64: 452, arm64: 452 },
    args: { dirfd: "dirfd", pathname: "path", mode: "mode", flags: { flags: AT_FLAGS } },
    returns: "int",
    support: FULL,
    run: fchmodat2,
  },
};

/** The object that a path argument with AT_ flags refers to. */
function resolveAt(task: Task, dirfd: number, address: number, flags: number): Path | number {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return -EINVAL;
  const name = task.memory.readString(address, PATH_MAX);
  if (typeof name === "number") return name;
  const follow = (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : FOLLOW;
  return resolve(task, dirfd, name, follow | ((flags & AT_EMPTY_PATH) !== 0 ? EMPTY : 0));
}

/** The object that an open descriptor refers to. */
function targetOf(task: Task, fd: number): Target | number {
  const file = task.files.get(fd);
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  return file.path ?? file.inode;
}

function chmod(task: Task, args: Args): number {
  return chmodAt(task, AT_FDCWD, args.word(0), args.u32(1), 0);
}
function fchmodat(task: Task, args: Args): number {
  return chmodAt(task, args.i32(0), args.word(1), args.u32(2), 0);
}
function fchmodat2(task: Task, args: Args): number {
  return chmodAt(task, args.i32(0), args.word(1), args.u32(2), args.u32(3));
}
function chmodAt(task: Task, dirfd: number, address: number, mode: number, flags: number): number {
  const path = resolveAt(task, dirfd, address, flags);
  if (typeof path === "number") return path;
  // fchmodat2(2) with AT_SYMLINK_NOFOLLOW: a symlink has no mode of its own.
  return path.inode.type === S_IFLNK ? -EOPNOTSUPP : changeMode(task, path, mode);
}
function fchmod(task: Task, args: Args): number {
  const target = targetOf(task, args.i32(0));
  return typeof target === "number" ? target : changeMode(task, target, args.u32(1));
}

function chown(task: Task, args: Args): number {
  return chownAt(task, AT_FDCWD, args.word(0), args.u32(1), args.u32(2), 0);
}
function lchown(task: Task, args: Args): number {
  return chownAt(task, AT_FDCWD, args.word(0), args.u32(1), args.u32(2), AT_SYMLINK_NOFOLLOW);
}
function fchownat(task: Task, args: Args): number {
  return chownAt(task, args.i32(0), args.word(1), args.u32(2), args.u32(3), args.u32(4));
}
function chownAt(
  task: Task,
  dirfd: number,
  address: number,
  uid: number,
  gid: number,
  flags: number,
): number {
  const path = resolveAt(task, dirfd, address, flags);
  return typeof path === "number" ? path : changeOwner(task, path, uid, gid);
}
function fchown(task: Task, args: Args): number {
  const target = targetOf(task, args.i32(0));
  return typeof target === "number" ? target : changeOwner(task, target, args.u32(1), args.u32(2));
}

function umask(task: Task, args: Args): number {
  const before = task.fs.umask;
  task.fs.umask = args.u32(0) & 0o777;
  return before;
}

/** Scratch: the times of the call being served. */
const times = new TimeChange();

function timesAreNow(task: Task): void {
  times.mask = ATTR_ATIME | ATTR_MTIME;
  times.isNow = true;
  times.atimeSec = times.mtimeSec = task.kernel.clock.realtime();
  times.atimeNsec = times.mtimeNsec = task.kernel.clock.nanoseconds;
}

function setTimes(atimeSec: number, atimeNsec: number, mtimeSec: number, mtimeNsec: number): void {
  times.mask = ATTR_ATIME | ATTR_MTIME;
  times.isNow = false;
  times.atimeSec = atimeSec;
  times.atimeNsec = atimeNsec;
  times.mtimeSec = mtimeSec;
  times.mtimeNsec = mtimeNsec;
}

function utime(task: Task, args: Args): number {
  const address = args.word(1);
  if (address === 0) {
    timesAreNow(task);
  } else {
    const at = task.memory.inView(address, 16);
    if (at < 0) return at;
    const view = task.memory.view;
    setTimes(i64(view, at), 0, i64(view, at + 8), 0);
  }
  return changeTimesAt(task, AT_FDCWD, args.word(0), 0);
}

function utimes(task: Task, args: Args): number {
  const read = readTimevals(task, args.word(1));
  return read < 0 ? read : changeTimesAt(task, AT_FDCWD, args.word(0), 0);
}

function futimesat(task: Task, args: Args): number {
  const read = readTimevals(task, args.word(2));
  if (read < 0) return read;
  return args.word(1) === 0
    ? changeTimesOf(task, args.i32(0))
    : changeTimesAt(task, args.i32(0), args.word(1), 0);
}

/** Reads two struct timeval at `address` into `times`; address 0 means the current time. */
function readTimevals(task: Task, address: number): number {
  if (address === 0) {
    timesAreNow(task);
    return 0;
  }
  const at = task.memory.inView(address, 32);
  if (at < 0) return at;
  const view = task.memory.view;
  const atimeMicros = i64(view, at + 8), mtimeMicros = i64(view, at + 24);
  if (
    atimeMicros < 0 || atimeMicros >= MICROS_PER_SECOND || mtimeMicros < 0 ||
    mtimeMicros >= MICROS_PER_SECOND
  ) return -EINVAL;
  setTimes(i64(view, at), atimeMicros * 1000, i64(view, at + 16), mtimeMicros * 1000);
  return 0;
}

function utimensat(task: Task, args: Args): number {
  const read = readTimespecs(task, args.word(2));
  if (read === -EINVAL) {
    // An invalid file is reported before an invalid time: vfs_utimes().
    const named = args.word(1) !== 0;
    const found = named
      ? resolveAt(task, args.i32(0), args.word(1), args.u32(3))
      : targetOf(task, args.i32(0));
    return typeof found === "number" ? found : read;
  }
  if (read < 0) return read;
  // Both are UTIME_OMIT: nothing to change, and the file is not looked up.
  if (times.mask === 0) return 0;
  const flags = args.u32(3);
  if (args.word(1) !== 0) return changeTimesAt(task, args.i32(0), args.word(1), flags);
  return flags !== 0 ? -EINVAL : changeTimesOf(task, args.i32(0));
}

/**
 * Reads two struct timespec at `address`, with UTIME_NOW and UTIME_OMIT, into `times`; address 0 means the current
 * time.
 */
function readTimespecs(task: Task, address: number): number {
  timesAreNow(task);
  if (address === 0) return 0;
  const at = task.memory.inView(address, 32);
  if (at < 0) return at;
  const view = task.memory.view;
  const atimeNsec = i64(view, at + 8), mtimeNsec = i64(view, at + 24);
  if (!isNanos(atimeNsec) || !isNanos(mtimeNsec)) return -EINVAL;
  times.isNow = atimeNsec === UTIME_NOW && mtimeNsec === UTIME_NOW;
  if (atimeNsec === UTIME_OMIT) {
    times.mask &= ~ATTR_ATIME;
  } else if (atimeNsec !== UTIME_NOW) {
    times.atimeSec = i64(view, at);
    times.atimeNsec = atimeNsec;
  }
  if (mtimeNsec === UTIME_OMIT) {
    times.mask &= ~ATTR_MTIME;
  } else if (mtimeNsec !== UTIME_NOW) {
    times.mtimeSec = i64(view, at + 16);
    times.mtimeNsec = mtimeNsec;
  }
  return 0;
}

function isNanos(value: number): boolean {
  return (value >= 0 && value < NANOS_PER_SECOND) || value === UTIME_NOW || value === UTIME_OMIT;
}

function changeTimesAt(task: Task, dirfd: number, address: number, flags: number): number {
  const path = resolveAt(task, dirfd, address, flags);
  return typeof path === "number" ? path : changeTimes(task, path, times);
}

function changeTimesOf(task: Task, fd: number): number {
  const target = targetOf(task, fd);
  return typeof target === "number" ? target : changeTimes(task, target, times);
}
