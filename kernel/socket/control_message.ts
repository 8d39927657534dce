// Control messages of sendmsg(2) and recvmsg(2): their form, and those of Unix sockets (SCM_RIGHTS and SCM_CREDENTIALS).
// Linux: net/core/scm.c, cmsg(3). Families with others read and write them by Socket.takeControl() and putControl().

import { EBADF, EINVAL, EPERM, ESRCH, ETOOMANYREFS } from "../abi/errno.ts";
import { AF_UNIX, MSG_CTRUNC, SCM_CREDENTIALS, SCM_PIDFD, SCM_RIGHTS, SOL_SOCKET } from "../abi/socket.ts";
import { i32, put32, put64, u32, u64 } from "../abi/struct.ts";
import { CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, RLIMIT_NOFILE } from "../abi/task.ts";
import { newPidfd } from "../fs/anonymous/pidfd.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import type { File } from "../vfs/file.ts";
import {
  type IncomingMessage,
  type OutgoingMessage,
  RIGHTS_MAX,
  SocketCredentials,
  UNKNOWN_ID,
} from "./message.ts";
import type { Socket } from "./socket.ts";

/** sizeof(struct cmsghdr). */
const HEADER_BYTES = 16;
/** sizeof(struct ucred). */
const UCRED_BYTES = 12;

/** Reads `length` bytes of control messages into `message`, whose files are held then. 0 or -ERRNO. */
export function readControl(
  task: Task,
  socket: Socket,
  bytes: Uint8Array,
  length: number,
  message: OutgoingMessage,
): number {
  let at = 0;
  while (at + HEADER_BYTES <= length) {
    const size = u64(bytes, at);
    if (size < HEADER_BYTES || size > length - at) return -EINVAL;
    const level = i32(bytes, at + 8);
    let result = 0;
    if (socket.hasOwnControl) {
      const data = at + HEADER_BYTES;
      result = socket.takeControl(task, level, i32(bytes, at + 12), bytes, data, size - HEADER_BYTES);
      message.hasControl = true;
    } else if (level === SOL_SOCKET) {
      result = readOne(task, socket, bytes, at, size, message);
    }
    if (result < 0) return result;
    at += align(size);
  }
  return 0;
}

function readOne(
  task: Task,
  socket: Socket,
  bytes: Uint8Array,
  at: number,
  size: number,
  message: OutgoingMessage,
): number {
  switch (i32(bytes, at + 12)) {
    case SCM_RIGHTS:
      if (socket.domain !== AF_UNIX) return -EINVAL;
      return readRights(task, bytes, at + HEADER_BYTES, Math.floor((size - HEADER_BYTES) / 4), message);
    case SCM_CREDENTIALS:
      if (size !== HEADER_BYTES + UCRED_BYTES) return -EINVAL;
      return readCredentials(task, bytes, at + HEADER_BYTES, message);
    default:
      return -EINVAL;
  }
}

function readRights(
  task: Task,
  bytes: Uint8Array,
  at: number,
  count: number,
  message: OutgoingMessage,
): number {
  const files: File[] = message.files ?? [];
  if (files.length + count > RIGHTS_MAX) return -EINVAL;
  if (count === 0) return 0;
  const who = task.credentials;
  // Linux: counts what everybody has on the way, not each user apart.
  if (
    task.kernel.unix.rights.files > task.threadGroup.limits.soft(RLIMIT_NOFILE) &&
    !who.has(CAP_SYS_RESOURCE) &&
    !who.has(CAP_SYS_ADMIN)
  ) return -ETOOMANYREFS;
  message.files = files;
  for (let i = 0; i < count; i++) {
    const file = task.files.get(i32(bytes, at + 4 * i));
    if (file === null) return -EBADF;
    file.hold();
    files.push(file);
  }
  return 0;
}

function readCredentials(task: Task, bytes: Uint8Array, at: number, message: OutgoingMessage): number {
  const pid = i32(bytes, at), uid = u32(bytes, at + 4), gid = u32(bytes, at + 8);
  const who = task.credentials;
  const namespace = task.pid.namespace;
  const own = task.threadGroup.pid;
  if (pid !== own.in(namespace) && !who.has(CAP_SYS_ADMIN)) return -EPERM;
  if (uid !== who.uid && uid !== who.euid && uid !== who.suid && !who.has(CAP_SETUID)) return -EPERM;
  if (gid !== who.gid && gid !== who.egid && gid !== who.sgid && !who.has(CAP_SETGID)) return -EPERM;
  const named = pid === own.in(namespace) ? own : namespace.pids.get(pid);
  if (named === undefined) return -ESRCH;
  message.credentials = new SocketCredentials(named, uid, gid);
  return 0;
}

/**
 * Writes the control messages of `message` into `bytes`, at most `length`; gives back how many bytes it took. Descriptors
 * are installed; what does not fit is dropped with MSG_CTRUNC.
 */
export function writeControl(
  task: Task,
  socket: Socket,
  bytes: Uint8Array,
  length: number,
  message: IncomingMessage,
  closesOnExec: boolean,
): number {
  if (socket.hasOwnControl) return cut(bytes, socket.putControl(task, bytes), length, message);
  let at = 0;
  if (message.credentials !== null && message.wantsCredentials) {
    at = writeCredentials(task, bytes, length, message);
  }
  if (message.files !== null) at += writeRights(task, bytes, at, length, message, closesOnExec);
  if (message.credentials !== null && message.wantsPidfd) at += writePidfd(task, bytes, at, length, message);
  return Math.min(at, length);
}

/** Cuts messages that end at `end` to `length` bytes, as put_cmsg() does: one that is cut says the length it has. */
function cut(bytes: Uint8Array, end: number, length: number, message: IncomingMessage): number {
  if (end <= length) return end;
  message.flags |= MSG_CTRUNC;
  let at = 0;
  while (at + HEADER_BYTES <= length) {
    const size = u64(bytes, at);
    if (size > length - at) {
      put64(bytes, at, length - at);
      return length;
    }
    at += align(size);
  }
  return Math.min(at, length);
}

/** Begins a control message with `size` bytes of data at `at` of a large enough buffer; where the data go. */
export function beginControl(
  bytes: Uint8Array,
  at: number,
  level: number,
  type: number,
  size: number,
): number {
  put64(bytes, at, HEADER_BYTES + size);
  put32(bytes, at + 8, level);
  put32(bytes, at + 12, type);
  return at + HEADER_BYTES;
}

/** Where the message after that one begins; the bytes between are zeroed. */
export function endControl(bytes: Uint8Array, at: number, size: number): number {
  const end = at + HEADER_BYTES + size;
  const next = align(end);
  for (let i = end; i < next; i++) bytes[i] = 0;
  return next;
}

function writeCredentials(task: Task, bytes: Uint8Array, length: number, message: IncomingMessage): number {
  const size = HEADER_BYTES + UCRED_BYTES;
  if (length < size) message.flags |= MSG_CTRUNC;
  if (length < HEADER_BYTES) return 0;
  const who = message.credentials!;
  // As much as fits: put_cmsg().
  putHeader(bytes, 0, Math.min(size, length), SCM_CREDENTIALS);
  put32(bytes, HEADER_BYTES, who.pid === null ? 0 : who.pid.in(task.pid.namespace));
  put32(bytes, HEADER_BYTES + 4, who.pid === null ? UNKNOWN_ID : who.uid);
  put32(bytes, HEADER_BYTES + 8, who.pid === null ? UNKNOWN_ID : who.gid);
  put32(bytes, size, 0);
  return Math.min(align(size), length);
}

function writeRights(
  task: Task,
  bytes: Uint8Array,
  at: number,
  length: number,
  message: IncomingMessage,
  closesOnExec: boolean,
): number {
  const files = message.files!;
  message.files = null;
  const room = Math.floor((length - at - HEADER_BYTES) / 4);
  let count = 0;
  while (count < files.length && count < room) {
    const fd = task.files.allocate(task, files[count], closesOnExec);
    if (fd < 0) break;
    put32(bytes, at + HEADER_BYTES + 4 * count, fd);
    count++;
  }
  if (count < files.length) {
    message.flags |= MSG_CTRUNC;
    for (let i = count; i < files.length; i++) files[i].drop();
  }
  if (count === 0) return 0;
  const size = HEADER_BYTES + 4 * count;
  putHeader(bytes, at, size, SCM_RIGHTS);
  put32(bytes, at + size, 0);
  return align(size);
}

/** The sender as a descriptor; without a sender, or a free number for it, the errno is put there instead. */
function writePidfd(
  task: Task,
  bytes: Uint8Array,
  at: number,
  length: number,
  message: IncomingMessage,
): number {
  const size = HEADER_BYTES + 4;
  if (length - at < size) {
    message.flags |= MSG_CTRUNC;
    return 0;
  }
  const { group } = message.credentials!;
  putHeader(bytes, at, size, SCM_PIDFD);
  put32(bytes, at + HEADER_BYTES, group === null ? -ESRCH : openPidfd(task, group));
  put32(bytes, at + size, 0);
  return align(size);
}

/** A new pidfd of `group` for `task`, or -ERRNO. */
export function openPidfd(task: Task, group: ThreadGroup): number {
  const file = newPidfd(group);
  const fd = task.files.allocate(task, file, true);
  if (fd < 0) file.drop();
  return fd;
}

function putHeader(bytes: Uint8Array, at: number, size: number, type: number): void {
  beginControl(bytes, at, SOL_SOCKET, type, size - HEADER_BYTES);
}

function align(size: number): number {
  return Math.ceil(size / 8) * 8;
}
