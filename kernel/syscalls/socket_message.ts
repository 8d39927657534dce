// Sending and receiving on sockets: sendto(2), recvfrom(2), sendmsg(2), recvmsg(2), sendmmsg(2), recvmmsg(2). With
// one iovec, bytes move directly between socket and guest view; several are gathered or scattered around one
// transfer.

import { TimeValue } from "../time/time_value.ts";
import { EAGAIN, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, EPIPE } from "../abi/errno.ts";
import {
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTROUTE,
  MSG_DONTWAIT,
  MSG_EOR,
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  MSG_WAITFORONE,
  SO_PASSCRED,
  SO_PASSPIDFD,
  SOCK_STREAM,
} from "../abi/socket.ts";
import { PROT_WRITE } from "../abi/memory.ts";
import { SIGPIPE } from "../abi/signal.ts";
import { i32, put32, put64, u64 } from "../abi/struct.ts";
import { VIEW_MAX } from "../../platform/platform.ts";
import { raiseSignal } from "../signal/send.ts";
import { readControl, writeControl } from "../socket/control_message.ts";
import { ADDRESS_BYTES_MAX, IncomingMessage, OutgoingMessage } from "../socket/message.ts";
import type { Socket } from "../socket/socket.ts";
import { BLOCKED, LAST_SPECIAL_RESULT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { giveTurn } from "../task/wait_engine.ts";
import type { Args } from "./args.ts";
import { FILE } from "./file_wait.ts";
import { readTimespec, relativeDeadline } from "./guest_time.ts";
import { COUNT_MAX } from "./io.ts";
import { readAddress, socketOf, waitToReceive, waitToSend, writeAddress } from "./socket_call.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";
import { buffer, gather, IOVECS_MAX, readVector, scatter, vectorBase, vectorRoom } from "./iovec.ts";

const SEND_FLAGS = { MSG_OOB, MSG_DONTROUTE, MSG_DONTWAIT, MSG_EOR, MSG_MORE, MSG_NOSIGNAL };
const RECEIVE_FLAGS = {
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_WAITALL,
  MSG_ERRQUEUE,
  MSG_WAITFORONE,
  MSG_CMSG_CLOEXEC,
};
/** sizeof(struct msghdr), sizeof(struct mmsghdr), and the offset of the latter's msg_len. */
const HEADER_BYTES = 56;
const MULTI_HEADER_BYTES = 64;
const MULTI_LENGTH_AT = 56;
/** The most bytes of control messages in one call (net.core.optmem_max). */
const CONTROL_BYTES_MAX = 20_480;
/** The most bytes of one receive into several iovecs. */
const SCATTER_BYTES_MAX = 1024 * 1024;

export const SOCKET_MESSAGE_CALLS: SyscallFamily = {
  sendto: {
    nr: { x64: 44, arm64: 206 },
    args: {
      sockfd: "fd",
      buf: { inBuffer: "len" },
      len: "size",
      flags: { flags: SEND_FLAGS },
      dest_addr: { inBuffer: "addrlen" },
      addrlen: "int",
    },
    returns: "size",
    support: partial("no MSG_ZEROCOPY"),
    run: sendto,
  },
  recvfrom: {
    nr: { x64: 45, arm64: 207 },
    args: {
      sockfd: "fd",
      buf: { outBuffer: "len" },
      len: "size",
      flags: { flags: RECEIVE_FLAGS },
      src_addr: "word",
      addrlen: { inOut: 4 },
    },
    returns: "size",
    support: FULL,
    run: recvfrom,
  },
  sendmsg: {
    nr: { x64: 46, arm64: 211 },
    args: { sockfd: "fd", msg: { message: "in" }, flags: { flags: SEND_FLAGS } },
    returns: "size",
    support: partial("no MSG_ZEROCOPY"),
    run: sendmsg,
  },
  recvmsg: {
    nr: { x64: 47, arm64: 212 },
    args: { sockfd: "fd", msg: { message: "out" }, flags: { flags: RECEIVE_FLAGS } },
    returns: "size",
    support: FULL,
    run: recvmsg,
  },
  sendmmsg: {
    nr: { x64: 307, arm64: 269 },
    args: {
      sockfd: "fd",
      msgvec: { inBuffer: "vlen", unit: MULTI_HEADER_BYTES },
      vlen: "uint",
      flags: { flags: SEND_FLAGS },
    },
    returns: "int",
    support: partial("no MSG_ZEROCOPY"),
    run: sendmmsg,
  },
  recvmmsg: {
    nr: { x64: 299, arm64: 243 },
    args: {
      sockfd: "fd",
      msgvec: { inBuffer: "vlen", unit: MULTI_HEADER_BYTES },
      vlen: "uint",
      flags: { flags: RECEIVE_FLAGS },
      timeout: { inOut: 16 },
    },
    returns: "int",
    support: FULL,
    run: recvmmsg,
  },
};

const timeout = new TimeValue();
const outgoing = new OutgoingMessage();
const incoming = new IncomingMessage();
const control = new Uint8Array(CONTROL_BYTES_MAX);
// --- sending --------------------------------------------------------------------------------------------------------

function sendto(task: Task, args: Args): number {
  const socket = socketOf(task, args.i32(0));
  if (typeof socket === "number") return socket;
  let message: OutgoingMessage | null = null;
  if (args.word(4) !== 0) {
    message = outgoing;
    const read = readAddress(task, args.word(4), args.i32(5), message.address);
    if (read < 0) return read;
  }
  const length = Math.min(args.word(2), COUNT_MAX);
  const flags = args.u32(3);
  const result = sendOne(task, socket, args.word(1), length, flags, message);
  return result === BLOCKED_SEND ? waitToSend(task, socket, flags) : result;
}

/** A send that must wait; call.done has the bytes sent. No handler returns this value. */
const BLOCKED_SEND = LAST_SPECIAL_RESULT + 1;

/** Sends the rest of `length` bytes at `address`. Returns the total sent, -ERRNO, or BLOCKED_SEND. */
function sendOne(
  task: Task,
  socket: Socket,
  address: number,
  length: number,
  flags: number,
  message: OutgoingMessage | null,
): number {
  if (socket.isMessageBased && length > Math.min(socket.messageBytesMax, VIEW_MAX)) return -EMSGSIZE;
  for (;;) {
    const done = task.call.done;
    const step = Math.min(length - done, VIEW_MAX);
    const at = task.memory.inView(address + done, step);
    if (at < 0) return done > 0 ? done : -EFAULT;
    const n = socket.send(task, task.memory.view, at, step, flags, message);
    if (n < 0) return endSend(task, socket, n, flags);
    if (done + n >= length || socket.isMessageBased) return done + n;
    task.call.setDone(done + n);
    message = null;
  }
}

/** Ends a send that failed with `error`. */
function endSend(task: Task, socket: Socket, error: number, flags: number): number {
  if (error === -EAGAIN) return BLOCKED_SEND;
  if (task.call.done > 0) return task.call.done;
  if (error === -EPIPE && (flags & MSG_NOSIGNAL) === 0 && socket.socketType === SOCK_STREAM) {
    raiseSignal(task, SIGPIPE);
  }
  return error;
}

/** Scratch: the struct msghdr of the call being served. */
const header = {
  name: 0,
  nameLength: 0,
  iov: 0,
  iovCount: 0,
  control: 0,
  controlLength: 0,
};

/** Reads a struct msghdr. 0 or -ERRNO. */
function readHeader(task: Task, address: number): number {
  const at = task.memory.inView(address, HEADER_BYTES);
  if (at < 0) return -EFAULT;
  const view = task.memory.view;
  header.name = u64(view, at);
  header.nameLength = header.name === 0 ? 0 : i32(view, at + 8);
  header.iov = u64(view, at + 16);
  header.iovCount = u64(view, at + 24);
  header.control = u64(view, at + 32);
  header.controlLength = u64(view, at + 40);
  if (header.nameLength < 0) return -EINVAL;
  // No address is that long: Linux truncates the length (copy_msghdr_from_user()).
  header.nameLength = Math.min(header.nameLength, ADDRESS_BYTES_MAX);
  return header.iovCount > IOVECS_MAX ? -EMSGSIZE : 0;
}

function sendmsg(task: Task, args: Args): number {
  const socket = socketOf(task, args.i32(0));
  if (typeof socket === "number") return socket;
  const flags = args.u32(2);
  const result = sendHeader(task, socket, args.word(1), flags);
  return result === BLOCKED_SEND ? waitToSend(task, socket, flags) : result;
}

/** Sends the message of the msghdr at `address`, from byte call.done on. Results as of sendOne(). */
function sendHeader(task: Task, socket: Socket, address: number, flags: number): number {
  const read = readHeader(task, address);
  if (read < 0) return read;
  const filled = fillOutgoing(task, socket);
  const total = filled < 0 ? filled : readVector(task, header.iov, header.iovCount);
  const result = total < 0 ? total : sendVector(task, socket, total, flags);
  outgoing.clear();
  return result;
}

/** Reads address and control messages; the latter are sent with the first byte only. */
function fillOutgoing(task: Task, socket: Socket): number {
  const read = readAddress(task, header.name, header.nameLength, outgoing.address);
  if (read < 0 || task.call.done > 0 || header.controlLength === 0 || header.control === 0) return read;
  if (header.controlLength > CONTROL_BYTES_MAX) return -ENOBUFS;
  if (task.memory.copyIn(header.control, control, 0, header.controlLength) < 0) return -EFAULT;
  return readControl(task, socket, control, header.controlLength, outgoing);
}

function sendVector(task: Task, socket: Socket, total: number, flags: number): number {
  const isPlain = outgoing.address.length === 0 && outgoing.files === null && outgoing.credentials === null &&
    !outgoing.hasControl;
  const message = isPlain ? null : outgoing;
  const count = header.iovCount;
  if (count === 1) return sendOne(task, socket, vectorBase(0), total, flags, message);
  if (socket.isMessageBased && total > Math.min(socket.messageBytesMax, VIEW_MAX)) return -EMSGSIZE;
  for (;;) {
    const done = task.call.done;
    const step = Math.min(total - done, VIEW_MAX);
    if (gather(task, count, done, step) < step) return done > 0 ? done : -EFAULT;
    const n = socket.send(task, buffer.bytes, 0, step, flags, done === 0 ? message : null);
    if (n < 0) return endSend(task, socket, n, flags);
    if (done + n >= total || socket.isMessageBased) return done + n;
    task.call.setDone(done + n);
  }
}

function sendmmsg(task: Task, args: Args): number {
  const socket = socketOf(task, args.i32(0));
  if (typeof socket === "number") return socket;
  const count = Math.min(args.u32(2), IOVECS_MAX);
  const flags = args.u32(3);
  let sent = messagesDone(task);
  const from = sent;
  for (let pieces = 0; sent < count;) {
    if (pieces >= PIECES_MAX && sent > from) {
      task.call.hold(FILE, socket);
      return giveTurn(task, sent, { kind: "messages", count: sent, end: null });
    }
    const at = args.word(1) + sent * MULTI_HEADER_BYTES;
    const result = sendHeader(task, socket, at, flags);
    if (result === BLOCKED_SEND) {
      const waited = waitToSend(task, socket, flags, sent, { kind: "messages", count: sent, end: null });
      if (waited === BLOCKED) return waited;
      // A message partly sent counts as one that was sent short.
      if (task.call.done === 0) return waited;
    } else if (result < 0) {
      return sent > 0 ? sent : result;
    }
    pieces += piecesOf(result);
    put32(control, 0, result === BLOCKED_SEND ? task.call.done : result);
    if (task.call.done !== 0) task.call.setDone(0);
    if (task.memory.copyOut(at + MULTI_LENGTH_AT, control, 0, 4) < 0) return sent > 0 ? sent : -EFAULT;
    sent++;
    if (result === BLOCKED_SEND) break;
  }
  return sent;
}

/** The most pieces of memory that sendmmsg and recvmmsg move per turn; a message counts as at least one. */
const PIECES_MAX = 256;
/** This many bytes count as another piece. */
const PIECE_BYTES = 4096;

/** The pieces of the message moved last, of `bytes` bytes. */
function piecesOf(bytes: number): number {
  return 1 + header.iovCount + (bytes > 0 ? bytes / PIECE_BYTES : 0);
}

/** The number of messages done before the current wait. */
function messagesDone(task: Task): number {
  const { state } = task.call;
  return state.kind === "messages" ? state.count : 0;
}

// --- receiving ------------------------------------------------------------------------------------------------------

function recvfrom(task: Task, args: Args): number {
  const socket = socketOf(task, args.i32(0));
  if (typeof socket === "number") return socket;
  const flags = args.u32(3);
  const wantsAddress = args.word(4) !== 0;
  if (wantsAddress) incoming.clear();
  const length = Math.min(args.word(2), COUNT_MAX);
  const result = receiveOne(task, socket, args.word(1), length, flags, wantsAddress ? incoming : null);
  if (result === BLOCKED_RECEIVE) return waitToReceive(task, socket, flags);
  if (!wantsAddress) return result;
  incoming.dropFiles();
  if (result < 0) return result;
  const written = writeAddress(task, args.word(4), args.word(5), incoming.address);
  return written < 0 ? written : result;
}

/** Nothing to receive, or with MSG_WAITALL too little; call.done has the bytes received. As BLOCKED_SEND. */
const BLOCKED_RECEIVE = LAST_SPECIAL_RESULT + 2;

/** Whether a receive continues until all bytes are there: MSG_WAITALL on a stream, without MSG_PEEK. */
function waitsForAll(socket: Socket, flags: number): boolean {
  return (flags & MSG_WAITALL) !== 0 && (flags & MSG_PEEK) === 0 && !socket.isMessageBased;
}

/** Receives up to `length` bytes at `address`. Returns the total received, -ERRNO, or BLOCKED_RECEIVE. */
function receiveOne(
  task: Task,
  socket: Socket,
  address: number,
  length: number,
  flags: number,
  message: IncomingMessage | null,
): number {
  if ((flags & MSG_ERRQUEUE) !== 0 && socket.hasErrorQueue) {
    return receiveError(task, socket, address, length, flags, message);
  }
  for (;;) {
    const done = task.call.done;
    if (done > 0 && socket.isAtBoundary) return done;
    const step = Math.min(length - done, VIEW_MAX);
    const stake = socket.bytesAtStake(step);
    if (stake > 0 && task.mm.accessibleBytes(address + done, stake, PROT_WRITE) < stake) {
      return done > 0 ? done : -EFAULT;
    }
    const at = task.memory.outView(address + done, step);
    if (at < 0) return done > 0 ? done : -EFAULT;
    const n = socket.receive(task, task.memory.view, at, step, flags, message);
    if (n === -EAGAIN) return BLOCKED_RECEIVE;
    if (n < 0) return done > 0 ? done : n;
    // With MSG_TRUNC the result, the message's length, may exceed the bytes copied.
    if (task.memory.outCommit(discards(socket, flags) ? 0 : Math.min(n, step)) < 0) return -EFAULT;
    const all = done + n;
    if (n === 0 || all >= length || !waitsForAll(socket, flags)) return all;
    task.call.setDone(all);
    if (message !== null && message.files !== null) return all;
  }
}

/** tcp(7): MSG_TRUNC discards a stream's bytes without copying them. */
function discards(socket: Socket, flags: number): boolean {
  return (flags & MSG_TRUNC) !== 0 && !socket.isMessageBased;
}

/** Receives one entry of the error queue (MSG_ERRQUEUE). Never waits. */
function receiveError(
  task: Task,
  socket: Socket,
  address: number,
  length: number,
  flags: number,
  message: IncomingMessage | null,
): number {
  const step = Math.min(length, VIEW_MAX);
  const at = task.memory.outView(address, step);
  if (at < 0) return -EFAULT;
  const n = socket.receiveError(task, task.memory.view, at, step, flags, message);
  if (n < 0) return n;
  return task.memory.outCommit(Math.min(n, step)) < 0 ? -EFAULT : n;
}

function recvmsg(task: Task, args: Args): number {
  const socket = socketOf(task, args.i32(0));
  if (typeof socket === "number") return socket;
  const flags = args.u32(2);
  const result = receiveHeader(task, socket, args.word(1), flags);
  if (result !== BLOCKED_RECEIVE) return result;
  // The call may be interrupted while it waits: store the result of what has come so far.
  if (task.call.done > 0 && putHeader(task, socket, args.word(1), flags) < 0) return -EFAULT;
  return waitToReceive(task, socket, flags);
}

/**
 * Receives the message into the buffers of the msghdr at `address`, and completes the msghdr. Results as of
 * receiveOne().
 */
function receiveHeader(task: Task, socket: Socket, address: number, flags: number): number {
  const read = readHeader(task, address);
  if (read < 0) return read;
  const total = readVector(task, header.iov, header.iovCount);
  if (total < 0) return total;
  incoming.clear();
  const result = header.iovCount === 1
    ? receiveOne(task, socket, vectorBase(0), total, flags, incoming)
    : receiveVector(task, socket, header.iovCount, total, flags);
  if (result < 0) {
    incoming.dropFiles();
    return result;
  }
  const put = putHeader(task, socket, address, flags);
  return put < 0 ? put : result;
}

function receiveVector(task: Task, socket: Socket, count: number, total: number, flags: number): number {
  if ((flags & MSG_ERRQUEUE) !== 0 && socket.hasErrorQueue) {
    const step = Math.min(total, SCATTER_BYTES_MAX);
    buffer.reserve(step, VIEW_MAX);
    const n = socket.receiveError(task, buffer.bytes, 0, step, flags, incoming);
    if (n <= 0) return n;
    const copied = Math.min(n, step);
    return scatter(task, count, 0, copied) < copied ? -EFAULT : n;
  }
  for (;;) {
    const done = task.call.done;
    if (done > 0 && socket.isAtBoundary) return done;
    const step = Math.min(total - done, SCATTER_BYTES_MAX);
    const stake = socket.bytesAtStake(step);
    if (vectorRoom(task, count, done, stake) < stake) return done > 0 ? done : -EFAULT;
    buffer.reserve(step, VIEW_MAX);
    const n = socket.receive(task, buffer.bytes, 0, step, flags, incoming);
    if (n === -EAGAIN) return BLOCKED_RECEIVE;
    if (n < 0) return done > 0 ? done : n;
    const copied = discards(socket, flags) ? 0 : Math.min(n, step);
    if (scatter(task, count, done, copied) < copied) return -EFAULT;
    const all = done + n;
    if (n === 0 || all >= total || !waitsForAll(socket, flags)) return all;
    task.call.setDone(all);
    if (incoming.files !== null) return all;
  }
}

const fields = new Uint8Array(16);

/** Writes recvmsg(2)'s results into the msghdr: address, control messages, flags. */
function putHeader(task: Task, socket: Socket, address: number, flags: number): number {
  if (header.name !== 0) {
    const size = Math.min(header.nameLength, incoming.address.length);
    if (size > 0 && task.memory.copyOut(header.name, incoming.address.bytes, 0, size) < 0) return -EFAULT;
    put32(fields, 0, incoming.address.length);
    if (task.memory.copyOut(address + 8, fields, 0, 4) < 0) return -EFAULT;
  }
  let used = 0;
  if (incoming.files !== null || incoming.credentials !== null || incoming.hasControl) {
    incoming.wantsCredentials = socket.options.flag(SO_PASSCRED);
    incoming.wantsPidfd = socket.options.flag(SO_PASSPIDFD);
    const room = header.control === 0 ? 0 : Math.min(header.controlLength, CONTROL_BYTES_MAX);
    used = writeControl(task, socket, control, room, incoming, (flags & MSG_CMSG_CLOEXEC) !== 0);
    if (used > 0 && task.memory.copyOut(header.control, control, 0, used) < 0) return -EFAULT;
  }
  put64(fields, 0, used);
  put32(fields, 8, incoming.flags | (flags & MSG_CMSG_CLOEXEC));
  return task.memory.copyOut(address + 40, fields, 0, 12);
}

function recvmmsg(task: Task, args: Args): number {
  const socket = socketOf(task, args.i32(0));
  if (typeof socket === "number") return socket;
  const count = Math.min(args.u32(2), IOVECS_MAX);
  let end: number | null = null;
  const before = task.call.state;
  if (before.kind === "messages") {
    ({ end } = before);
  } else if (args.word(4) !== 0) {
    const read = readTimespec(task, args.word(4), timeout);
    if (read < 0) return read;
    end = relativeDeadline(task, timeout);
  }
  let received = messagesDone(task);
  const from = received;
  for (let pieces = 0; received < count;) {
    if (pieces >= PIECES_MAX && received > from) {
      task.call.hold(FILE, socket);
      return giveTurn(task, received, { kind: "messages", count: received, end });
    }
    // Linux: recvmmsg(2) ignores MSG_WAITALL.
    let flags = args.u32(3) & ~(MSG_WAITFORONE | MSG_WAITALL);
    if (received > 0 && (args.u32(3) & MSG_WAITFORONE) !== 0) flags |= MSG_DONTWAIT;
    const at = args.word(1) + received * MULTI_HEADER_BYTES;
    const result = receiveHeader(task, socket, at, flags);
    if (result === BLOCKED_RECEIVE) {
      return waitToReceive(task, socket, flags, received, { kind: "messages", count: received, end });
    }
    if (result < 0) {
      if (received === 0) return result;
      // The error is reported by the next call: recvmmsg(2), "BUGS".
      if (result !== -EAGAIN) socket.noteError(-result);
      return received;
    }
    pieces += piecesOf(result);
    put32(fields, 0, result);
    if (task.call.hasWaited) {
      task.call.setDone(0);
      // SO_RCVTIMEO applies to each message.
      task.call.setDeadline(Infinity);
    }
    if (task.memory.copyOut(at + MULTI_LENGTH_AT, fields, 0, 4) < 0) return received > 0 ? received : -EFAULT;
    received++;
    if (end !== null && end <= task.kernel.clock.monotonic()) break;
  }
  return received;
}
