// Sockets: creating, naming and connecting them, and their options. socket_message.ts sends and receives.

import {
  EAFNOSUPPORT,
  EAGAIN,
  EALREADY,
  EFAULT,
  EINPROGRESS,
  EINVAL,
  ENODATA,
  ENOPROTOOPT,
  EOPNOTSUPP,
  ERANGE,
} from "../abi/errno.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR, POLLERR, POLLHUP, POLLIN, POLLOUT } from "../abi/file.ts";
import { SOL_IP, SOL_IPV6, SOL_TCP, SOL_UDP } from "../abi/inet.ts";
import { PACKET_HDRLEN, SOL_PACKET } from "../abi/packet.ts";
import {
  AF_INET,
  AF_INET6,
  AF_MAX,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SO_ATTACH_FILTER,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_PASSCRED,
  SO_PASSPIDFD,
  SO_PASSRIGHTS,
  SO_PEERCRED,
  SO_PEERGROUPS,
  SO_PEERPIDFD,
  SO_RCVBUF,
  SO_RCVTIMEO,
  SO_REUSEADDR,
  SO_SNDBUF,
  SO_SNDTIMEO,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_PACKET,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../abi/socket.ts";
import { i32, put32 } from "../abi/struct.ts";
import { openPidfd } from "../socket/control_message.ts";
import { SOCKET_FAMILIES } from "../socket/families.ts";
import { NO_CREDENTIALS } from "../socket/message.ts";
import { InetSocket } from "../socket/inet/inet_socket.ts";
import {
  getPacketFilter,
  getsPacketFilter,
  setPacketFilter,
  setsPacketFilter,
} from "../socket/inet/packet_filter.ts";
import { showFilter } from "../socket/filter.ts";
import { getSocketOption, setSocketOption } from "../socket/options.ts";
import type { Socket } from "../socket/socket.ts";
import { UnixSocket } from "../socket/unix/unix_socket.ts";
import { BLOCKED } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import type { WaitState } from "../task/wait_state.ts";
import type { Args } from "./args.ts";
import { FILE, waitForFile } from "./file_wait.ts";
import { callAddress, isNonblocking, readAddress, socketOf, writeAddress } from "./socket_call.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const ADDRESS_FAMILIES = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET };
const SOCKET_TYPES = {
  SOCK_STREAM,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_NONBLOCK,
  SOCK_CLOEXEC,
};
const SOCKET_OPTIONS = {
  SO_REUSEADDR,
  SO_TYPE,
  SO_ERROR,
  SO_SNDBUF,
  SO_RCVBUF,
  SO_KEEPALIVE,
  SO_PASSCRED,
  SO_PASSPIDFD,
  SO_PASSRIGHTS,
  SO_PEERCRED,
  SO_PEERGROUPS,
  SO_PEERPIDFD,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
};
/** The type without SOCK_NONBLOCK and SOCK_CLOEXEC. */
const TYPE_MASK = 0xf;
/** The longest option value read or written. */
const OPTION_BYTES_MAX = 256;

const families = partial("of the families AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK");

export const SOCKET_CALLS: SyscallFamily = {
  socket: {
    nr: { x64: 41, arm64: 198 },
    args: { domain: { values: ADDRESS_FAMILIES }, type: { flags: SOCKET_TYPES }, protocol: "int" },
    returns: "fd",
    support: families,
    run: socket,
  },
  socketpair: {
    nr: { x64: 53, arm64: 199 },
    args: {
      domain: { values: ADDRESS_FAMILIES },
      type: { flags: SOCKET_TYPES },
      protocol: "int",
      sv: { out: 8 },
    },
    returns: "int",
    support: FULL,
    run: socketpair,
  },
  bind: {
    nr: { x64: 49, arm64: 200 },
    args: { sockfd: "fd", addr: { inBuffer: "addrlen" }, addrlen: "int" },
    returns: "int",
    support: FULL,
    run: bind,
  },
  listen: {
    nr: { x64: 50, arm64: 201 },
    args: { sockfd: "fd", backlog: "int" },
    returns: "int",
    support: FULL,
    run: listen,
  },
  accept: {
    nr: { x64: 43, arm64: 202 },
    args: { sockfd: "fd", addr: "word", addrlen: { inOut: 4 } },
    returns: "fd",
    support: FULL,
    run: accept,
  },
  accept4: {
    nr: { x64: 288, arm64: 242 },
    args: {
      sockfd: "fd",
      addr: "word",
      addrlen: { inOut: 4 },
      flags: { flags: { SOCK_NONBLOCK, SOCK_CLOEXEC } },
    },
    returns: "fd",
    support: FULL,
    run: accept4,
  },
  connect: {
    nr: { x64: 42, arm64: 203 },
    args: { sockfd: "fd", addr: { inBuffer: "addrlen" }, addrlen: "int" },
    returns: "int",
    support: FULL,
    run: connect,
  },
  getsockname: {
    nr: { x64: 51, arm64: 204 },
    args: { sockfd: "fd", addr: "word", addrlen: { inOut: 4 } },
    returns: "int",
    support: FULL,
    run: getsockname,
  },
  getpeername: {
    nr: { x64: 52, arm64: 205 },
    args: { sockfd: "fd", addr: "word", addrlen: { inOut: 4 } },
    returns: "int",
    support: FULL,
    run: getpeername,
  },
  shutdown: {
    nr: { x64: 48, arm64: 210 },
    args: { sockfd: "fd", how: { values: { SHUT_RD, SHUT_WR, SHUT_RDWR } } },
    returns: "int",
    support: FULL,
    run: shutdown,
  },
  setsockopt: {
    nr: { x64: 54, arm64: 208 },
    args: {
      sockfd: "fd",
      level: { values: { SOL_SOCKET, SOL_IP, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_PACKET } },
      optname: { values: SOCKET_OPTIONS },
      optval: { inBuffer: "optlen" },
      optlen: "int",
    },
    returns: "int",
    support: partial("SOL_SOCKET without filters, time stamps and network devices"),
    run: setsockopt,
  },
  getsockopt: {
    nr: { x64: 55, arm64: 209 },
    args: {
      sockfd: "fd",
      level: { values: { SOL_SOCKET, SOL_IP, SOL_TCP, SOL_UDP, SOL_IPV6, SOL_PACKET } },
      optname: { values: SOCKET_OPTIONS },
      optval: "word",
      optlen: { inOut: 4 },
    },
    returns: "int",
    support: partial("SOL_SOCKET without filters, time stamps and network devices"),
    run: getsockopt,
  },
};

const pair: [Socket | null, Socket | null] = [null, null];
const bytes = new Uint8Array(OPTION_BYTES_MAX);

const ACCEPT: WaitState = { kind: "accept" };
const CONNECT: WaitState = { kind: "connect" };
type ConnectionWait = Extract<WaitState, { kind: "connection" }>;
const CONNECTION: ConnectionWait = { kind: "connection", isBegun: false };
const SAME_CONNECTION: ConnectionWait = { kind: "connection", isBegun: true };

// --- making ---------------------------------------------------------------------------------------------------------

/** Checks domain and type; the type without flags, or -ERRNO. */
function checkType(domain: number, typeAndFlags: number): number {
  if ((typeAndFlags & ~TYPE_MASK & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
  if (domain < 0 || domain >= AF_MAX) return -EAFNOSUPPORT;
  const type = typeAndFlags & TYPE_MASK;
  return type > SOCK_PACKET ? -EINVAL : type;
}

function socket(task: Task, args: Args): number {
  const domain = args.i32(0), flags = args.u32(1);
  const type = checkType(domain, flags);
  if (type < 0) return type;
  const family = SOCKET_FAMILIES.get(domain);
  if (family === undefined) return task.kernel.coverage.unfinished(`socket AF_${domain}`, EAFNOSUPPORT);
  const made = family.create(task, type, args.i32(2), O_RDWR | (flags & O_NONBLOCK));
  if (typeof made === "number") return made;
  const fd = task.files.allocate(task, made, (flags & O_CLOEXEC) !== 0);
  if (fd < 0) made.drop();
  return fd;
}

function socketpair(task: Task, args: Args): number {
  const domain = args.i32(0), flags = args.u32(1);
  const type = checkType(domain, flags);
  if (type < 0) return type;
  const family = SOCKET_FAMILIES.get(domain);
  if (family === undefined) return task.kernel.coverage.unfinished(`socketpair AF_${domain}`, EAFNOSUPPORT);
  if (family.createPair === undefined) return -EOPNOTSUPP;
  const result = family.createPair(task, type, args.i32(2), O_RDWR | (flags & O_NONBLOCK), pair);
  if (result < 0) return result;
  const first = pair[0]!, second = pair[1]!;
  pair[0] = pair[1] = null;
  const closes = (flags & O_CLOEXEC) !== 0;
  const fd = task.files.allocate(task, first, closes);
  if (fd < 0) {
    first.drop();
    second.drop();
    return fd;
  }
  const fd2 = task.files.allocate(task, second, closes);
  if (fd2 < 0) {
    task.files.close(task, fd);
    second.drop();
    return fd2;
  }
  put32(bytes, 0, fd);
  put32(bytes, 4, fd2);
  if (task.memory.copyOut(args.word(3), bytes, 0, 8) === 0) return 0;
  task.files.close(task, fd);
  task.files.close(task, fd2);
  return -EFAULT;
}

// --- naming and connecting ------------------------------------------------------------------------------------------

function bind(task: Task, args: Args): number {
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  const read = readAddress(task, args.word(1), args.i32(2), callAddress);
  return read < 0 ? read : found.bind(task, callAddress);
}

function listen(task: Task, args: Args): number {
  const found = socketOf(task, args.i32(0));
  return typeof found === "number" ? found : found.listen(task, args.i32(1));
}

function accept(task: Task, args: Args): number {
  return acceptWith(task, args, 0);
}

function accept4(task: Task, args: Args): number {
  const flags = args.u32(3);
  if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
  return acceptWith(task, args, flags);
}

function acceptWith(task: Task, args: Args, flags: number): number {
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  // Check first: a connection taken off the queue without a free descriptor would be lost.
  const refused = task.files.refusal(task);
  if (refused < 0) return refused;
  const made = found.accept(task, flags & O_NONBLOCK);
  if (made === -EAGAIN) {
    if (isNonblocking(found, 0)) return -EAGAIN;
    return waitForFile(task, found, found.queue, POLLIN, found.readTimeoutNanos, 0, ACCEPT);
  }
  if (typeof made === "number") return made;
  if (args.word(1) !== 0) {
    callAddress.length = 0;
    made.peerAddress(callAddress);
    const written = writeAddress(task, args.word(1), args.word(2), callAddress);
    if (written < 0) {
      made.drop();
      return written;
    }
  }
  const fd = task.files.allocate(task, made, (flags & O_CLOEXEC) !== 0);
  if (fd < 0) made.drop();
  return fd;
}

function connect(task: Task, args: Args): number {
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  if (task.call.state.kind === "connection") return finishConnect(task, found, task.call.state);
  const read = readAddress(task, args.word(1), args.i32(2), callAddress);
  if (read < 0) return read;
  const result = found.connect(task, callAddress);
  const nonblocking = isNonblocking(found, 0);
  if (result === -EAGAIN) {
    if (nonblocking) return -EAGAIN;
    return waitForFile(task, found, found.connectQueue(), POLLOUT, found.writeTimeoutNanos, 0, CONNECT);
  }
  if (nonblocking) return result;
  if (result === -EINPROGRESS) return finishConnect(task, found, CONNECTION);
  // Made again after a signal, or by another thread: waits for the same connection (inet_stream_connect()).
  if (result === -EALREADY) return finishConnect(task, found, SAME_CONNECTION);
  return result;
}

/** Waits until a connection that is under way is established or has failed. */
function finishConnect(task: Task, found: Socket, state: ConnectionWait): number {
  if ((found.readiness() & (POLLOUT | POLLERR | POLLHUP)) !== 0) return found.connectResult();
  const { queue, writeTimeoutNanos } = found;
  const result = waitForFile(task, found, queue, POLLOUT, writeTimeoutNanos, 0, state);
  if (result !== -EAGAIN) return result;
  return state.isBegun ? -EALREADY : -EINPROGRESS;
}

function getsockname(task: Task, args: Args): number {
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  const result = found.localAddress(callAddress);
  return result < 0 ? result : writeAddress(task, args.word(1), args.word(2), callAddress);
}

function getpeername(task: Task, args: Args): number {
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  const result = found.peerAddress(callAddress);
  return result < 0 ? result : writeAddress(task, args.word(1), args.word(2), callAddress);
}

function shutdown(task: Task, args: Args): number {
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  const how = args.u32(1);
  return how > SHUT_RDWR ? -EINVAL : found.shutdown(how);
}

// --- options --------------------------------------------------------------------------------------------------------

function setsockopt(task: Task, args: Args): number {
  const length = args.i32(4);
  if (length < 0) return -EINVAL;
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  if (found instanceof InetSocket && setsPacketFilter(found, args.i32(1), args.i32(2))) {
    const result = setPacketFilter(task, found, args.i32(2), args.word(3), length);
    if (result === BLOCKED) task.call.hold(FILE, found);
    return result;
  }
  const size = Math.min(length, OPTION_BYTES_MAX);
  if (size > 0 && task.memory.copyIn(args.word(3), bytes, 0, size) < 0) return -EFAULT;
  const level = args.i32(1), name = args.i32(2);
  if (level !== SOL_SOCKET) return found.setOption(task, level, name, bytes, 0, size);
  const result = setSocketOption(task, found, name, bytes, 0, size);
  if (result !== -ENOPROTOOPT) return result;
  const own = found.setOption(task, level, name, bytes, 0, size);
  return own === -EOPNOTSUPP ? -ENOPROTOOPT : own;
}

function getsockopt(task: Task, args: Args): number {
  const found = socketOf(task, args.i32(0));
  if (typeof found === "number") return found;
  if (task.memory.copyIn(args.word(4), bytes, 0, 4) < 0) return -EFAULT;
  const room = i32(bytes, 0);
  if (room < 0) return -EINVAL;
  const level = args.i32(1), option = args.i32(2);
  if (level === SOL_SOCKET && found instanceof UnixSocket) {
    if (option === SO_PEERGROUPS) return getPeerGroups(task, found, args.word(3), args.word(4), room);
    if (option === SO_PEERPIDFD) return getPeerPidfd(task, found, args.word(3), args.word(4), room);
  }
  if (found instanceof InetSocket && getsPacketFilter(found, level, option)) {
    return getPacketFilter(task, found, option, args.word(3), args.word(4), room);
  }
  if (level === SOL_SOCKET && option === SO_ATTACH_FILTER) {
    const count = showFilter(task, found, args.word(3), room);
    if (count < 0) return count;
    put32(bytes, 0, count);
    return task.memory.copyOut(args.word(4), bytes, 0, 4);
  }
  // The value of these options says what is requested.
  const isQuestion = level === SOL_PACKET && option === PACKET_HDRLEN;
  if (isQuestion && task.memory.copyIn(args.word(3), bytes, 0, Math.min(room, OPTION_BYTES_MAX)) < 0) {
    return -EFAULT;
  }
  const size = readOption(task, found, level, option, Math.min(room, OPTION_BYTES_MAX));
  if (size < 0) return size;
  const length = Math.min(room, size);
  if (length > 0 && task.memory.copyOut(args.word(3), bytes, 0, length) < 0) return -EFAULT;
  put32(bytes, 0, length);
  return task.memory.copyOut(args.word(4), bytes, 0, 4);
}

/** Stores all groups or none: with too little room only the needed size. */
function getPeerGroups(
  task: Task,
  socket: UnixSocket,
  address: number,
  lengthAddress: number,
  room: number,
): number {
  const who = socket.peerCredentials;
  if (who === NO_CREDENTIALS) return -ENODATA;
  const size = who.groups.length * 4;
  put32(bytes, 0, size);
  if (task.memory.copyOut(lengthAddress, bytes, 0, 4) < 0) return -EFAULT;
  if (room < size) return -ERANGE;
  const list = new Uint8Array(size);
  who.groups.forEach((group, i) => put32(list, 4 * i, group));
  return size > 0 && task.memory.copyOut(address, list, 0, size) < 0 ? -EFAULT : 0;
}

function getPeerPidfd(
  task: Task,
  socket: UnixSocket,
  address: number,
  lengthAddress: number,
  room: number,
): number {
  const { group } = socket.peerCredentials;
  if (group === null) return -ENODATA;
  const fd = openPidfd(task, group);
  if (fd < 0) return fd;
  const length = Math.min(room, 4);
  put32(bytes, 0, fd);
  put32(bytes, 4, length);
  const isRefused = (length > 0 && task.memory.copyOut(address, bytes, 0, length) < 0) ||
    task.memory.copyOut(lengthAddress, bytes, 4, 4) < 0;
  if (isRefused) task.files.close(task, fd);
  return isRefused ? -EFAULT : 0;
}

/** Writes an option's value into `bytes` for a caller with room for `room` bytes; its size or -ERRNO. */
function readOption(task: Task, found: Socket, level: number, name: number, room: number): number {
  if (level !== SOL_SOCKET) return found.getOption(task, level, name, bytes, 0, room);
  const size = getSocketOption(task, found, name, bytes, 0);
  if (size !== -ENOPROTOOPT) return size;
  const own = found.getOption(task, level, name, bytes, 0, room);
  return own === -EOPNOTSUPP ? -ENOPROTOOPT : own;
}
