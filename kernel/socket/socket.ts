// Sockets as files: what all protocols share, and what a protocol has to bring. Linux: struct socket, struct proto_ops,
// net/core/sock.c. Methods never wait: they answer -EAGAIN, and the system calls wait on `queue`.

import { EAGAIN, EOPNOTSUPP } from "../abi/errno.ts";
import { POLLOUT } from "../abi/file.ts";
import { SOCK_STREAM } from "../abi/socket.ts";
import { newSocketInode } from "../fs/anonymous/filesystem.ts";
import type { Task } from "../task/task.ts";
import type { WaitQueue } from "../util/wait_queue.ts";
import { File } from "../vfs/file.ts";
import type { SocketFile } from "../vfs/file_kinds.ts";
import type { SocketFilter } from "./filter.ts";
import { interfaceIoctl, isInterfaceIoctl } from "./inet/interface_ioctl.ts";
import { type Network, networkOf } from "./inet/network.ts";
import type { IncomingMessage, OutgoingMessage, SocketAddress } from "./message.ts";
import { SocketOptions } from "./options.ts";

export abstract class Socket extends File implements SocketFile {
  readonly domain: number;
  /** SOCK_STREAM, SOCK_DGRAM ... */
  readonly socketType: number;
  readonly protocol: number;
  readonly options = new SocketOptions();
  /** SO_RCVTIMEO and SO_SNDTIMEO. */
  readTimeoutNanos = Infinity;
  writeTimeoutNanos = Infinity;
  /** An errno that has come to pass and nobody has been told yet: SO_ERROR. */
  error = 0;
  /** SO_ATTACH_FILTER; null = all is received. */
  filter: SocketFilter | null = null;
  /** SO_LOCK_FILTER: it stays as it is. */
  isFilterLocked = false;

  constructor(task: Task, domain: number, type: number, protocol: number, flags: number) {
    super(newSocketInode(task), flags);
    this.domain = domain;
    this.socketType = type;
    this.protocol = protocol;
  }

  override asSocket(): SocketFile {
    return this;
  }

  bind(_task: Task, _address: SocketAddress): number {
    return -EOPNOTSUPP;
  }
  listen(_task: Task, _backlog: number): number {
    return -EOPNOTSUPP;
  }
  /** It has SO_PEEK_OFF. */
  get hasPeekOffset(): boolean {
    return false;
  }
  /** It listens: SO_ACCEPTCONN. */
  get isListening(): boolean {
    return false;
  }
  /** The next connection, or -EAGAIN. */
  accept(_task: Task, _flags: number): Socket | number {
    return -EOPNOTSUPP;
  }
  /**
   * 0, -EAGAIN to wait on connectQueue() and ask again, or -EINPROGRESS to wait until this socket is writable and then
   * take the result from takeError().
   */
  connect(_task: Task, _address: SocketAddress): number {
    return -EOPNOTSUPP;
  }
  /** Where a connect() that answered -EAGAIN waits for POLLOUT. */
  connectQueue(): WaitQueue {
    return this.queue;
  }
  localAddress(_into: SocketAddress): number {
    return -EOPNOTSUPP;
  }
  peerAddress(_into: SocketAddress): number {
    return -EOPNOTSUPP;
  }
  /** `how`: SHUT_RD, SHUT_WR, SHUT_RDWR, checked. */
  shutdown(_how: number): number {
    return -EOPNOTSUPP;
  }
  /** Takes in what fits; bytes, -EAGAIN, -ERRNO. `message` is null when there are only bytes. */
  abstract send(
    task: Task,
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number;
  /** Gives what is there; bytes, 0 at the end, -EAGAIN, -ERRNO. With MSG_TRUNC a datagram's full length. */
  abstract receive(
    task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number;
  /** What it would give next does not belong to what it has given: MSG_WAITALL ends before it. */
  get isAtBoundary(): boolean {
    return false;
  }
  /** Whether MSG_ERRQUEUE means anything to it; Unix sockets receive as without. */
  get hasErrorQueue(): boolean {
    return true;
  }
  /** MSG_ERRQUEUE: as receive(), of what went wrong with earlier sends. */
  receiveError(
    _task: Task,
    _into: Uint8Array,
    _at: number,
    _length: number,
    _flags: number,
    _message: IncomingMessage | null,
  ): number {
    return -EAGAIN;
  }
  /** Its control messages are its own: takeControl() and putControl(), not those of Unix sockets. */
  get hasOwnControl(): boolean {
    return false;
  }
  /** A control message of the send that follows, `length` bytes of data at `at`. 0 or -ERRNO. */
  takeControl(
    _task: Task,
    _level: number,
    _type: number,
    _bytes: Uint8Array,
    _at: number,
    _length: number,
  ): number {
    return 0;
  }
  /** Writes the control messages of the last receive to the beginning of `bytes`; where they end. */
  putControl(_task: Task, _bytes: Uint8Array): number {
    return 0;
  }
  /** Largest datagram that can be sent; Infinity for streams. */
  get messageBytesMax(): number {
    return Infinity;
  }
  /** Options of the protocol's own levels; `length` bytes at `at`. 0 or -ERRNO. */
  setOption(
    _task: Task,
    _level: number,
    _name: number,
    _from: Uint8Array,
    _at: number,
    _length: number,
  ): number {
    return -EOPNOTSUPP;
  }
  /** Writes the option's value, at most `length` bytes; gives back its size or -ERRNO. */
  getOption(
    _task: Task,
    _level: number,
    _name: number,
    _into: Uint8Array,
    _at: number,
    _length: number,
  ): number {
    return -EOPNOTSUPP;
  }
  /** A number of SOL_SOCKET is about to change to `value`, which has been checked: 0 to take it over, or -ERRNO. */
  onOption(_name: number, _value: number): number {
    return 0;
  }
  /** What an option of SOL_SOCKET reads as, where the protocol knows better than what was set. */
  optionValue(_name: number, stored: number): number {
    return stored;
  }
  /** Takes over a filter, which is the socket's to release. */
  setFilter(filter: SocketFilter | null): void {
    this.filter?.release();
    this.filter = filter;
    this.onFilterChange();
  }
  /** Whoever receives for the socket asks another filter from now on. */
  protected onFilterChange(): void {}
  /** SO_SNDBUF has changed. */
  onSendBufferChange(): void {
    this.queue.notify(POLLOUT);
  }

  /** -errno of what has come to pass, once; 0 = nothing. */
  takeError(): number {
    const error = this.error;
    this.error = 0;
    return -error;
  }
  /** The next call is to be told of `errno`. */
  noteError(errno: number): void {
    this.error = errno;
  }
  /** How a connect() that answered -EINPROGRESS has ended, once it has. */
  connectResult(): number {
    return this.takeError();
  }

  /** Data comes in messages, each of which is one call. */
  get isMessageBased(): boolean {
    return this.socketType !== SOCK_STREAM;
  }

  override read(task: Task, into: Uint8Array, at: number, length: number): number {
    // sock_read_iter(): reading nothing never waits, receiving nothing does.
    return length === 0 ? 0 : this.receive(task, into, at, length, 0, null);
  }
  override write(task: Task, from: Uint8Array, at: number, length: number): number {
    return this.send(task, from, at, length, 0, null);
  }
  /** Any socket may ask about interfaces: sock_ioctl(). */
  override ioctl(task: Task, request: number, argument: number): number {
    return isInterfaceIoctl(request)
      ? interfaceIoctl(task, this.networkFor(task), request, argument)
      : super.ioctl(task, request, argument);
  }
  /** Whose interfaces those are. */
  protected networkFor(task: Task): Network {
    return networkOf(task.kernel, task.namespaces.net);
  }
  override release(): void {
    this.filter?.release();
    this.filter = null;
    super.release();
  }
  override get linkText(): string {
    return `socket:[${this.inode.ino}]`;
  }
}

/** One address family. New ones are entered in families.ts. */
export interface SocketFamily {
  /** A socket of `type`, with the O_ flags of its file. */
  create(task: Task, type: number, protocol: number, flags: number): Socket | number;
  /** Two connected sockets into `pair`; 0 or -ERRNO. */
  createPair?(
    task: Task,
    type: number,
    protocol: number,
    flags: number,
    pair: [Socket | null, Socket | null],
  ): number;
}
