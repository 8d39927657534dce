// SOCK_DGRAM over AF_UNIX. Linux: unix_dgram_sendmsg(), unix_dgram_recvmsg(), unix_dgram_connect(), unix_dgram_poll().
// Datagrams are neither lost nor reordered: a sender waits while the receiver's queue is full.

import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EMSGSIZE,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
} from "../../abi/errno.ts";
import {
  O_NONBLOCK,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "../../abi/file.ts";
import {
  AF_UNSPEC,
  MSG_DONTWAIT,
  MSG_OOB,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SO_PASSRIGHTS,
  SOCK_DGRAM,
} from "../../abi/socket.ts";
import type { Task } from "../../task/task.ts";
import { Waiter, type WaitListener, WaitQueue } from "../../util/wait_queue.ts";
import type { File } from "../../vfs/file.ts";
import {
  type IncomingMessage,
  messageCredentials,
  type OutgoingMessage,
  peerCredentials,
  type SocketAddress,
} from "../message.ts";
import { MessageQueue, type MessageSender } from "./message_queue.ts";
import { SEND_RESERVE_BYTES } from "./seqpacket.ts";
import { UnixSocket } from "./unix_socket.ts";

/** net.unix.max_dgram_qlen: beyond so many waiting datagrams a sender waits, unless the receiver is connected to it. */
const DATAGRAMS_MAX = 10;
const WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND;

export class UnixDatagram extends UnixSocket implements MessageSender, WaitListener {
  declare peer: UnixDatagram | null;
  readonly #messages: MessageQueue;
  #onTheWay = 0;
  /** Sockets that wait for room in #messages; null until one does. */
  #senders: WaitQueue | null = null;
  /** Its place among the senders of a socket whose queue was full. */
  readonly #roomWaiter = new Waiter(this);

  constructor(task: Task, flags: number) {
    super(task, SOCK_DGRAM, flags);
    this.#messages = new MessageQueue(this.unix);
  }

  override get bytesToRead(): number {
    return this.#messages.nextBytes;
  }
  override get bytesOnTheWay(): number {
    return this.#onTheWay;
  }
  override get messageBytesMax(): number {
    return this.options.sendBytes - SEND_RESERVE_BYTES;
  }

  /** Makes two sockets each other's peers: socketpair(2). */
  connectTo(other: UnixDatagram): void {
    this.peer = other;
    other.peer = this;
  }

  override connect(task: Task, address: SocketAddress): number {
    if (address.family === AF_UNSPEC && address.length >= 2) {
      this.#disconnect();
      return 0;
    }
    const found = this.find(task, address);
    if (typeof found === "number") return found;
    const other = found as UnixDatagram;
    if (this.options.passesCredentials) this.autobind();
    if (!other.#accepts(this)) return -EPERM;
    if (this.peer !== other) this.#disconnect();
    this.peer = other;
    this.peerCredentials = peerCredentials(task);
    this.notifyChange();
    return 0;
  }

  /** Who is connected takes datagrams from its peer only. */
  #accepts(sender: UnixDatagram): boolean {
    return this.peer === null || this.peer === sender;
  }

  /** What the old peer had sent and nobody has received is gone. */
  #disconnect(): void {
    const peer = this.peer;
    if (peer === null) return;
    this.peer = null;
    this.#roomWaiter.queue?.remove(this.#roomWaiter);
    // Linux reports it only to a peer whose messages are lost: unix_dgram_disconnected().
    const isLost = this.#messages.count > 0;
    this.#messages.clear();
    if (isLost && peer.peer === this && !peer.isReleased) {
      peer.error = ECONNRESET;
      peer.notifyChange();
    }
  }

  override send(
    task: Task,
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number {
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    const isNamed = message !== null && message.address.length > 0;
    if (!isNamed && this.peer === null) return -ENOTCONN;
    if (this.options.passesCredentials) this.autobind();
    if (length > this.messageBytesMax) return -EMSGSIZE;
    if (this.error !== 0) return this.takeError();
    if (this.isWriteShut) return -EPIPE;
    if (this.#onTheWay >= this.options.sendBytes) return -EAGAIN;
    const found = isNamed ? this.find(task, message.address) : this.peer!;
    if (typeof found === "number") return found;
    const other = found as UnixDatagram;
    if (other.isReleased) {
      if (this.peer === other) this.#disconnect();
      return -ECONNREFUSED;
    }
    if (!other.#accepts(this)) return -EPERM;
    if (other.isReadShut) return -EPIPE;
    if (other.#isFullFor(this)) {
      this.#waitForRoom(other);
      return -EAGAIN;
    }
    const files = message === null ? null : message.files;
    if (files !== null && !other.options.flag(SO_PASSRIGHTS)) return -EPERM;
    let credentials = message === null ? null : message.credentials;
    if (credentials === null && (this.options.passesCredentials || other.options.passesCredentials)) {
      credentials = messageCredentials(task);
    }
    const { filter } = other;
    const kept = filter === null ? length : filter.run(from, at, length);
    // unix_dgram_sendmsg(): it is lost, and its sender is not told.
    if (kept < 0) return length;
    const charge = other.#messages.push(from, at, kept, this.name, this, credentials, files);
    if (charge < 0) return charge;
    if (message !== null) message.files = null;
    this.#onTheWay += charge;
    other.queue.notify(POLLIN | POLLRDNORM);
    if (files !== null) this.unix.rights.collectRings();
    return length;
  }

  #isFullFor(sender: UnixDatagram): boolean {
    return this.peer !== sender && this !== sender && this.#messages.count > DATAGRAMS_MAX;
  }

  /** When `other` has room again, this socket tells those who wait on it. */
  #waitForRoom(other: UnixDatagram): void {
    const queue = other.#senders ??= new WaitQueue();
    if (this.#roomWaiter.queue === queue) return;
    this.#roomWaiter.queue?.remove(this.#roomWaiter);
    queue.add(this.#roomWaiter, POLLOUT);
  }

  onReady(waiter: Waiter): void {
    waiter.queue?.remove(waiter);
    this.queue.notify(WRITABLE);
  }

  onDelivered(bytes: number): void {
    this.#onTheWay -= bytes;
    if (!this.isReleased && this.#onTheWay * 4 <= this.options.sendBytes) this.queue.notify(WRITABLE);
  }

  override receive(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    const n = this.#messages.receive(into, at, length, flags, this.options, message);
    if (n === -EAGAIN) {
      if (this.error !== 0) return this.takeError();
      // A wait ends at a shutdown, but who does not wait is not told of it: __skb_wait_for_more_packets().
      const waits = ((flags & MSG_DONTWAIT) | (this.flags & O_NONBLOCK)) === 0;
      return this.isReadShut && waits ? 0 : -EAGAIN;
    }
    if (this.#senders !== null && this.#messages.count <= DATAGRAMS_MAX) this.#senders.notify(POLLOUT);
    return n;
  }

  override shutdown(how: number): number {
    if (how === SHUT_RD || how === SHUT_RDWR) this.isReadShut = true;
    if (how === SHUT_WR || how === SHUT_RDWR) this.isWriteShut = true;
    this.notifyChange();
    this.#senders?.notify(POLLOUT);
    return 0;
  }

  override readiness(): number {
    let events = 0;
    if (this.error !== 0) events |= POLLERR;
    if (this.isReadShut) {
      events |= POLLRDHUP | POLLIN | POLLRDNORM;
      if (this.isWriteShut) events |= POLLHUP;
    }
    if (this.#messages.count > 0) events |= POLLIN | POLLRDNORM;
    if (this.#onTheWay * 4 > this.options.sendBytes) return events;
    const peer = this.peer;
    if (peer !== null && !peer.isReleased && peer.#isFullFor(this)) {
      this.#waitForRoom(peer);
      return events;
    }
    return events | WRITABLE;
  }

  override onPeerRelease(_isReset: boolean): void {}

  override forEachQueuedFile(visit: (file: File) => void): void {
    this.#messages.forEachFile(visit);
  }
  override dropQueuedFiles(): void {
    this.#messages.dropFiles();
  }

  override release(): void {
    this.#roomWaiter.queue?.remove(this.#roomWaiter);
    const peer = this.peer;
    super.release();
    this.#messages.clear();
    this.#senders?.notify(POLLOUT);
    if (peer !== null && peer.peer === this && !peer.isReleased) {
      peer.notifyChange();
    }
  }
}
