// SOL_SOCKET options, which all sockets have. Linux: sk_setsockopt(), sk_getsockopt() of net/core/sock.c, socket(7).

import { EDOM, EINVAL, ENOPROTOOPT, EOPNOTSUPP, EPERM } from "../abi/errno.ts";
import {
  AF_UNIX,
  SO_ACCEPTCONN,
  SO_ATTACH_FILTER,
  SO_BINDTODEVICE,
  SO_BROADCAST,
  SO_BSDCOMPAT,
  SO_COOKIE,
  SO_DEBUG,
  SO_DETACH_FILTER,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LOCK_FILTER,
  SO_MARK,
  SO_NO_CHECK,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PASSPIDFD,
  SO_PASSRIGHTS,
  SO_PASSSEC,
  SO_PEEK_OFF,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVLOWAT,
  SO_RCVTIMEO_NEW,
  SO_RCVTIMEO_OLD,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_RXQ_OVFL,
  SO_SELECT_ERR_QUEUE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SO_SNDLOWAT,
  SO_SNDTIMEO_NEW,
  SO_SNDTIMEO_OLD,
  SO_TIMESTAMP_OLD,
  SO_TIMESTAMPNS_OLD,
  SO_TYPE,
} from "../abi/socket.ts";
import { i32, i64, put32, put64 } from "../abi/struct.ts";
import { CAP_NET_ADMIN } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import { attachFilter, detachFilter } from "./filter.ts";
import type { Socket } from "./socket.ts";

/** net.core.wmem_default and rmem_default, which are also the most that may be asked for (doubled as always). */
export const BUFFER_BYTES = 212_992;
const SEND_BYTES_MIN = 4608;
const RECEIVE_BYTES_MIN = 2304;
const INT_MAX = 0x7fff_ffff;
/** Longest timeout that is counted, seconds. */
const TIMEOUT_SECONDS_MAX = 1e9;

/** Options that are a flag and nothing else here, by their number: their place in SocketOptions.flags. */
const FLAG_OPTIONS = [
  SO_DEBUG,
  SO_REUSEADDR,
  SO_DONTROUTE,
  SO_BROADCAST,
  SO_KEEPALIVE,
  SO_OOBINLINE,
  SO_NO_CHECK,
  SO_BSDCOMPAT,
  SO_REUSEPORT,
  SO_PASSCRED,
  SO_PASSSEC,
  SO_TIMESTAMP_OLD,
  SO_TIMESTAMPNS_OLD,
  SO_RXQ_OVFL,
  SO_SELECT_ERR_QUEUE,
  SO_PASSPIDFD,
  SO_PASSRIGHTS,
];
/** Of those, the ones that Unix sockets alone have. */
const UNIX_OPTIONS = [SO_PASSPIDFD, SO_PASSRIGHTS];

export class SocketOptions {
  /** Bits in the order of FLAG_OPTIONS. */
  #flags = 1 << FLAG_OPTIONS.indexOf(SO_PASSRIGHTS);
  /** As getsockopt(2) shows them: twice what was asked for. */
  sendBytes = BUFFER_BYTES;
  receiveBytes = BUFFER_BYTES;
  receiveLow = 1;
  isLingering = false;
  lingerSeconds = 0;
  priority = 0;
  mark = 0;
  /** SO_PASSCRED or SO_PASSPIDFD, read on every message. */
  passesCredentials = false;
  /** SO_PEEK_OFF: where MSG_PEEK looks, counted from the next byte to be received; -1 = always there. */
  peekOffset = -1;
  /** SO_COOKIE, given out on first use. */
  cookie = 0;

  flag(name: number): boolean {
    return (this.#flags >>> FLAG_OPTIONS.indexOf(name) & 1) !== 0;
  }
  setFlag(name: number, value: boolean): void {
    const bit = 1 << FLAG_OPTIONS.indexOf(name);
    if (value) this.#flags |= bit;
    else this.#flags &= ~bit;
    // sock_set_timestamp(): the one takes the place of the other.
    if (value && name === SO_TIMESTAMP_OLD) this.setFlag(SO_TIMESTAMPNS_OLD, false);
    if (value && name === SO_TIMESTAMPNS_OLD) this.setFlag(SO_TIMESTAMP_OLD, false);
    if (name === SO_PASSCRED || name === SO_PASSPIDFD) {
      this.passesCredentials = this.flag(SO_PASSCRED) || this.flag(SO_PASSPIDFD);
    }
  }
  /** `count` bytes have been looked at: sk_peek_offset_fwd(). */
  notePeeked(count: number): void {
    if (this.peekOffset >= 0) this.peekOffset += count;
  }
  /** `count` bytes have been received: sk_peek_offset_bwd(). */
  noteReceived(count: number): void {
    if (this.peekOffset > 0) this.peekOffset = Math.max(0, this.peekOffset - count);
  }
  /** What an accepted socket takes over from the one that listens. */
  inherit(other: SocketOptions): void {
    this.#flags = other.#flags;
    this.passesCredentials = other.passesCredentials;
    this.sendBytes = other.sendBytes;
    this.receiveBytes = other.receiveBytes;
  }
  /** The same where it is a copy of the one that listens: TCP's. */
  inheritAll(other: SocketOptions): void {
    this.inherit(other);
    this.receiveLow = other.receiveLow;
    this.isLingering = other.isLingering;
    this.lingerSeconds = other.lingerSeconds;
    this.priority = other.priority;
    this.mark = other.mark;
  }
}

/** setsockopt(SOL_SOCKET): the value is `length` bytes at `at`. */
export function setSocketOption(
  task: Task,
  socket: Socket,
  name: number,
  from: Uint8Array,
  at: number,
  length: number,
): number {
  // A name of any length: the protocol's.
  if (name === SO_BINDTODEVICE) return -ENOPROTOOPT;
  if (length < 4) return -EINVAL;
  const options = socket.options;
  const value = i32(from, at);
  if (FLAG_OPTIONS.includes(name)) {
    if (UNIX_OPTIONS.includes(name) && socket.domain !== AF_UNIX) return -EOPNOTSUPP;
    const refused = socket.onOption(name, value !== 0 ? 1 : 0);
    if (refused < 0) return refused;
    options.setFlag(name, value !== 0);
    return 0;
  }
  switch (name) {
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      if (name === SO_SNDBUFFORCE && !task.credentials.has(CAP_NET_ADMIN)) return -EPERM;
      socket.onOption(name, value);
      options.sendBytes = bufferBytes(value, SEND_BYTES_MIN, name === SO_SNDBUFFORCE);
      socket.onSendBufferChange();
      return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      if (name === SO_RCVBUFFORCE && !task.credentials.has(CAP_NET_ADMIN)) return -EPERM;
      socket.onOption(name, value);
      options.receiveBytes = bufferBytes(value, RECEIVE_BYTES_MIN, name === SO_RCVBUFFORCE);
      return 0;
    case SO_RCVLOWAT:
      options.receiveLow = value < 0 ? INT_MAX : value === 0 ? 1 : value;
      socket.onOption(name, options.receiveLow);
      return 0;
    case SO_LINGER:
      if (length < 8) return -EINVAL;
      options.isLingering = value !== 0;
      options.lingerSeconds = i32(from, at + 4);
      socket.onOption(name, options.isLingering ? Math.max(0, options.lingerSeconds) : -1);
      return 0;
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW: {
      const nanos = length < 16 ? -EINVAL : timeoutNanos(i64(from, at), i64(from, at + 8));
      if (nanos < 0) return nanos;
      if (name === SO_RCVTIMEO_OLD || name === SO_RCVTIMEO_NEW) socket.readTimeoutNanos = nanos;
      else socket.writeTimeoutNanos = nanos;
      return 0;
    }
    case SO_PRIORITY:
      if ((value < 0 || value > 6) && !task.credentials.has(CAP_NET_ADMIN)) return -EPERM;
      options.priority = value;
      return 0;
    case SO_PEEK_OFF:
      if (!socket.hasPeekOffset) return -EOPNOTSUPP;
      options.peekOffset = Math.max(-1, value);
      return socket.onOption(name, options.peekOffset);
    case SO_ATTACH_FILTER:
      return attachFilter(task, socket, from, at, length);
    case SO_DETACH_FILTER:
      return detachFilter(socket);
    case SO_LOCK_FILTER:
      if (socket.isFilterLocked && value === 0) return -EPERM;
      socket.isFilterLocked = value !== 0;
      return 0;
    case SO_MARK:
      if (!task.credentials.has(CAP_NET_ADMIN)) return -EPERM;
      options.mark = value;
      return socket.onOption(name, value);
    default:
      return -ENOPROTOOPT;
  }
}

function bufferBytes(asked: number, least: number, isForced: boolean): number {
  const bytes = isForced ? Math.max(0, Math.min(asked, INT_MAX / 2)) : Math.min(asked >>> 0, BUFFER_BYTES);
  return Math.max(2 * Math.floor(bytes), least);
}

/** Nanoseconds of a timeval; zero means no timeout. */
function timeoutNanos(seconds: number, micros: number): number {
  if (micros < 0 || micros >= 1e6) return -EDOM;
  // A negative time is no time at all.
  if (seconds < 0) return 0;
  if ((seconds === 0 && micros === 0) || seconds > TIMEOUT_SECONDS_MAX) return Infinity;
  return seconds * 1e9 + micros * 1e3;
}

/** getsockopt(SOL_SOCKET): writes the value, which may have up to 16 bytes; its size or -ERRNO. */
export function getSocketOption(
  task: Task,
  socket: Socket,
  name: number,
  into: Uint8Array,
  at: number,
): number {
  const options = socket.options;
  if (UNIX_OPTIONS.includes(name) && socket.domain !== AF_UNIX) return -EOPNOTSUPP;
  if (FLAG_OPTIONS.includes(name)) return putInt(into, at, options.flag(name) ? 1 : 0);
  switch (name) {
    case SO_TYPE:
      return putInt(into, at, socket.socketType);
    case SO_DOMAIN:
      return putInt(into, at, socket.domain);
    case SO_PROTOCOL:
      return putInt(into, at, socket.protocol);
    case SO_ERROR:
      return putInt(into, at, -socket.takeError());
    case SO_ACCEPTCONN:
      return putInt(into, at, socket.isListening ? 1 : 0);
    case SO_SNDBUF:
      return putInt(into, at, socket.optionValue(name, options.sendBytes));
    case SO_RCVBUF:
      return putInt(into, at, socket.optionValue(name, options.receiveBytes));
    case SO_RCVLOWAT:
      return putInt(into, at, options.receiveLow);
    case SO_SNDLOWAT:
      return putInt(into, at, 1);
    case SO_PRIORITY:
      return putInt(into, at, options.priority);
    case SO_PEEK_OFF:
      if (!socket.hasPeekOffset) return -EOPNOTSUPP;
      return putInt(into, at, socket.optionValue(name, options.peekOffset));
    case SO_MARK:
      return putInt(into, at, options.mark);
    case SO_LOCK_FILTER:
      return putInt(into, at, socket.isFilterLocked ? 1 : 0);
    case SO_LINGER:
      putInt(into, at, options.isLingering ? 1 : 0);
      putInt(into, at + 4, options.lingerSeconds);
      return 8;
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
      return putTimeout(into, at, socket.readTimeoutNanos);
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
      return putTimeout(into, at, socket.writeTimeoutNanos);
    case SO_COOKIE:
      if (options.cookie === 0) options.cookie = task.kernel.socketCookies.next();
      put64(into, at, options.cookie);
      return 8;
    default:
      return -ENOPROTOOPT;
  }
}

function putInt(into: Uint8Array, at: number, value: number): number {
  put32(into, at, value);
  return 4;
}

function putTimeout(into: Uint8Array, at: number, nanos: number): number {
  const isSet = nanos !== Infinity;
  put64(into, at, isSet ? Math.floor(nanos / 1e9) : 0);
  put64(into, at + 8, isSet ? Math.floor(nanos % 1e9 / 1e3) : 0);
  return 16;
}
