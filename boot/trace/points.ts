// Points that a trace session can subscribe to: by name, with the optional fields that each has. Calls have two
// points, at entry and at exit; any call has a raw form by its number.

import { AT_FDCWD } from "../../kernel/abi/file.ts";
import { SYSCALLS_MAX } from "../../kernel/syscalls/table.ts";
import type { Task } from "../../kernel/task/task.ts";
import { byteStringToUtf8 } from "../../kernel/util/bytes.ts";
import { pathName } from "../../kernel/vfs/path.ts";
import { MESSAGE, type MessageType } from "./messages.ts";

type Values = Record<string, unknown>;

/** A call with fields of its own. */
export interface CallPoint {
  readonly type: MessageType;
  readonly optional: readonly string[];
  /** What is said of the call of `task`; `wants` are optional fields that were asked for. */
  read(task: Task, wants: ReadonlySet<string>): Values;
}

const PATH_BYTES_MAX = 4096;
/** sizeof(struct sockaddr_storage). */
const ADDRESS_BYTES_MAX = 128;
const STRINGS_MAX = 256;

function path(task: Task, n: number): string {
  const text = task.memory.readString(task.args.word(n), PATH_BYTES_MAX);
  return typeof text === "number" ? "" : byteStringToUtf8(text);
}

/** Descriptor `n` of the call, and where it leads if that is asked for. */
function file(task: Task, n: number, wants: ReadonlySet<string>): Values {
  const fd = task.args.i32(n);
  return { fd, ...(wants.has("fd_path") ? { fd_path: pathOfDescriptor(task, fd) } : {}) };
}

function pathOfDescriptor(task: Task, fd: number): string {
  if (fd === AT_FDCWD) return byteStringToUtf8(pathName(task.fs.cwd, task.fs.root));
  const found = fd < 0 ? null : task.files.get(fd);
  if (found === null || found === undefined) return "";
  return byteStringToUtf8(found.path === null ? found.linkText : pathName(found.path, task.fs.root));
}

function strings(task: Task, n: number): string[] {
  const list: string[] = [];
  const pointer = new Uint8Array(8);
  for (let at = task.args.word(n); list.length < STRINGS_MAX; at += 8) {
    if (at === 0 || task.memory.copyIn(at, pointer, 0, 8) < 0) break;
    const view = new DataView(pointer.buffer);
    const address = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
    if (address === 0) break;
    const text = task.memory.readString(address, PATH_BYTES_MAX);
    if (typeof text === "number") break;
    list.push(byteStringToUtf8(text));
  }
  return list;
}

const FD_PATH = ["fd_path"];

function openPoint(dirfd: number, pathname: number, flags: number, mode: number): CallPoint {
  return {
    type: MESSAGE.SYSCALL_OPEN,
    optional: FD_PATH,
    read: (task, wants) => ({
      ...(dirfd < 0 ? { fd: AT_FDCWD } : file(task, dirfd, wants)),
      pathname: path(task, pathname),
      flags: flags < 0 ? 0 : task.args.u32(flags),
      mode: task.args.u32(mode),
    }),
  };
}

/** `count` is the argument with a size, -1 = a vector's; `offset` the one with an offset, -1 = none. */
function readPoint(count: number, offset: number, flags = -1): CallPoint {
  return {
    type: MESSAGE.SYSCALL_READ,
    optional: FD_PATH,
    read: (task, wants) => ({
      ...file(task, 0, wants),
      count: count < 0 ? 0 : task.args.word(count),
      has_offset: offset >= 0,
      offset: offset < 0 ? 0 : task.args.i53(offset),
      flags: flags < 0 ? 0 : task.args.u32(flags),
    }),
  };
}

function executePoint(dirfd: number, pathname: number, flags: number): CallPoint {
  return {
    type: MESSAGE.SYSCALL_EXECVE,
    optional: [...FD_PATH, "envv"],
    read: (task, wants) => ({
      ...(dirfd < 0 ? { fd: AT_FDCWD } : file(task, dirfd, wants)),
      pathname: path(task, pathname),
      argv: strings(task, pathname + 1),
      ...(wants.has("envv") ? { envv: strings(task, pathname + 2) } : {}),
      flags: flags < 0 ? 0 : task.args.u32(flags),
    }),
  };
}

/** By the call's name. */
export const CALL_POINTS: Readonly<Record<string, CallPoint>> = {
  open: openPoint(-1, 0, 1, 2),
  openat: openPoint(0, 1, 2, 3),
  creat: openPoint(-1, 0, -1, 1),
  close: {
    type: MESSAGE.SYSCALL_CLOSE,
    optional: FD_PATH,
    read: (task, wants) => file(task, 0, wants),
  },
  read: readPoint(2, -1),
  readv: readPoint(-1, -1),
  pread64: readPoint(2, 3),
  preadv: readPoint(-1, 3),
  preadv2: readPoint(-1, 3, 5),
  connect: {
    type: MESSAGE.SYSCALL_CONNECT,
    optional: FD_PATH,
    read: (task, wants) => {
      const bytes = new Uint8Array(Math.min(task.args.u32(2), ADDRESS_BYTES_MAX));
      const isRead = task.memory.copyIn(task.args.word(1), bytes, 0, bytes.length) >= 0;
      return { ...file(task, 0, wants), address: isRead ? bytes : new Uint8Array() };
    },
  },
  execve: executePoint(-1, 0, -1),
  execveat: executePoint(0, 1, 4),
  socket: {
    type: MESSAGE.SYSCALL_SOCKET,
    optional: [],
    read: ({ args }) => ({ domain: args.i32(0), type: args.i32(1), protocol: args.i32(2) }),
  },
  chdir: {
    type: MESSAGE.SYSCALL_CHDIR,
    optional: FD_PATH,
    read: (task) => ({ fd: AT_FDCWD, pathname: path(task, 0) }),
  },
  fchdir: {
    type: MESSAGE.SYSCALL_CHDIR,
    optional: FD_PATH,
    read: (task, wants) => file(task, 0, wants),
  },
};

/** Any call: its arguments as they are. */
const RAW_POINT: CallPoint = {
  type: MESSAGE.SYSCALL_RAW,
  optional: [],
  read: ({ args }) => ({
    arg1: args.i53(0),
    arg2: args.i53(1),
    arg3: args.i53(2),
    arg4: args.i53(3),
    arg5: args.i53(4),
    arg6: args.i53(5),
  }),
};

/** Points that are no calls, with their optional fields. */
export const SENTRY_POINTS = {
  "container/start": ["env"],
  "sentry/clone": [],
  "sentry/execve": ["binary_info", "env"],
  "sentry/exit_notify_parent": [],
  "sentry/task_exit": [],
} as const satisfies Readonly<Record<string, readonly string[]>>;
export type SentryPoint = keyof typeof SENTRY_POINTS;

/** A point of a call by its name: which call, at which end. */
export interface NamedCall {
  /** Number of the call. */
  readonly number: number;
  readonly isEntry: boolean;
  readonly point: CallPoint;
}

/** "syscall/openat/enter", "syscall/sysno/257/exit"; null where there is no such point. */
export function findCallPoint(name: string, numberOf: (call: string) => number): NamedCall | null {
  const match = /^syscall\/(?:sysno\/(\d{1,4})|([a-z0-9_]+))\/(enter|exit)$/.exec(name);
  if (match === null) return null;
  const [, digits, call, end] = match, isEntry = end === "enter";
  if (digits !== undefined) {
    const number = Number(digits);
    return number < SYSCALLS_MAX ? { number, isEntry, point: RAW_POINT } : null;
  }
  if (!Object.hasOwn(CALL_POINTS, call)) return null;
  return { number: numberOf(call), isEntry, point: CALL_POINTS[call] };
}
