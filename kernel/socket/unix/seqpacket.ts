// SOCK_SEQPACKET over AF_UNIX: connections of messages. Linux: unix_seqpacket_sendmsg(), unix_seqpacket_recvmsg().

import { EAGAIN, EMSGSIZE, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE } from "../../abi/errno.ts";
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRBAND, POLLWRNORM } from "../../abi/file.ts";
import { MSG_OOB, SO_PASSRIGHTS, SOCK_SEQPACKET } from "../../abi/socket.ts";
import type { Task } from "../../task/task.ts";
import type { File } from "../../vfs/file.ts";
import { type IncomingMessage, messageCredentials, type OutgoingMessage } from "../message.ts";
import { ConnectionState, END_FLAGS, UnixConnection } from "./connection.ts";
import { MessageQueue, type MessageSender } from "./message_queue.ts";

/** What of SO_SNDBUF a message may take: unix_dgram_sendmsg() leaves room for its header. */
export const SEND_RESERVE_BYTES = 32;

export class UnixSeqpacket extends UnixConnection implements MessageSender {
  declare peer: UnixSeqpacket | null;
  readonly #messages: MessageQueue;
  /** What has been sent and not received, as it counts against SO_SNDBUF. */
  #onTheWay = 0;

  constructor(task: Task, flags: number) {
    super(task, SOCK_SEQPACKET, flags);
    this.#messages = new MessageQueue(this.unix);
  }

  protected override newEnd(task: Task): UnixSeqpacket {
    return new UnixSeqpacket(task, END_FLAGS);
  }
  protected override get hasData(): boolean {
    return this.#messages.count > 0;
  }
  protected override get hasRoom(): boolean {
    return this.#onTheWay * 4 <= this.options.sendBytes;
  }
  override get bytesToRead(): number {
    return this.#messages.bytes;
  }
  override get bytesOnTheWay(): number {
    return this.#onTheWay;
  }
  override get messageBytesMax(): number {
    return this.options.sendBytes - SEND_RESERVE_BYTES;
  }

  override send(
    task: Task,
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number {
    // The address of a sendto(2) is ignored: the connection says where it goes.
    if (this.error !== 0) return this.takeError();
    if (this.state !== ConnectionState.Connected) return -ENOTCONN;
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    if (length > this.messageBytesMax) return -EMSGSIZE;
    const peer = this.peer!;
    if (this.isWriteShut || peer.isReadShut) return -EPIPE;
    if (this.#onTheWay >= this.options.sendBytes) return -EAGAIN;
    const files = message === null ? null : message.files;
    if (files !== null && !peer.options.flag(SO_PASSRIGHTS)) return -EPERM;
    let credentials = message === null ? null : message.credentials;
    if (credentials === null && (this.options.passesCredentials || peer.options.passesCredentials)) {
      credentials = messageCredentials(task);
    }
    const { filter } = peer;
    const kept = filter === null ? length : filter.run(from, at, length);
    if (kept < 0) return length;
    const charge = peer.#messages.push(from, at, kept, this.name, this, credentials, files);
    if (charge < 0) return charge;
    if (message !== null) message.files = null;
    this.#onTheWay += charge;
    peer.queue.notify(POLLIN | POLLRDNORM);
    if (files !== null) this.unix.rights.collectRings();
    return length;
  }

  onDelivered(bytes: number): void {
    this.#onTheWay -= bytes;
    if (this.hasRoom && !this.isReleased) this.queue.notify(POLLOUT | POLLWRNORM | POLLWRBAND);
  }

  override receive(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if (this.state !== ConnectionState.Connected) return -ENOTCONN;
    if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
    const n = this.#messages.receive(into, at, length, flags, this.options, message);
    if (n !== -EAGAIN) return n;
    if (this.error !== 0) return this.takeError();
    return this.isReadShut ? 0 : -EAGAIN;
  }

  override forEachQueuedFile(visit: (file: File) => void): void {
    super.forEachQueuedFile(visit);
    this.#messages.forEachFile(visit);
  }
  override dropQueuedFiles(): void {
    super.dropQueuedFiles();
    this.#messages.dropFiles();
  }

  override release(): void {
    super.release();
    this.#messages.clear();
  }
}
