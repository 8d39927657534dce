// Messages that wait at a Unix datagram or sequenced-packet socket. Linux: sk_receive_queue of sk_buffs. The sender pays
// for a message until it has been received: that is what SO_SNDBUF limits.

import { MSG_PEEK, MSG_TRUNC } from "../../abi/socket.ts";
import { EAGAIN, ENOBUFS } from "../../abi/errno.ts";
import { copyBytes } from "../../util/bytes.ts";
import type { File } from "../../vfs/file.ts";
import { type IncomingMessage, NO_CREDENTIALS, type SocketCredentials } from "../message.ts";
import type { SocketOptions } from "../options.ts";
import type { UnixRoom } from "./room.ts";
import { putUnixName } from "./unix_socket.ts";

/** Who pays for messages on their way. */
export interface MessageSender {
  readonly name: string;
  /** `bytes` of what it had on the way have arrived or are lost. */
  onDelivered(bytes: number): void;
}

/** Messages that are kept for the next one, and how large they may be for that. */
const SPARE_MAX = 64;
const SPARE_BYTES = 2048;
/** What an sk_buff and its data's frame cost in Linux beside the data. */
const FRAME_BYTES = 320;
const HEAD_BYTES = 256;
const DATA_BYTES_MIN = 512;

class UnixMessage {
  bytes = new Uint8Array(SPARE_BYTES);
  length = 0;
  /** Name of the socket it came from. */
  name = "";
  credentials: SocketCredentials | null = null;
  files: File[] | null = null;
  sender: MessageSender | null = null;
  charge = 0;
  next: UnixMessage | null = null;
}

/** Empty messages that wait for their next use. */
export class SpareMessages {
  #first: UnixMessage | null = null;
  #count = 0;

  take(length: number): UnixMessage {
    const message = this.#first;
    if (message === null) {
      const fresh = new UnixMessage();
      if (length > SPARE_BYTES) fresh.bytes = new Uint8Array(length);
      return fresh;
    }
    this.#first = message.next;
    this.#count--;
    message.next = null;
    if (length > message.bytes.length) message.bytes = new Uint8Array(length);
    return message;
  }

  give(message: UnixMessage): void {
    message.credentials = null;
    message.files = null;
    message.sender = null;
    message.name = "";
    message.next = null;
    if (this.#count >= SPARE_MAX || message.bytes.length > SPARE_BYTES) return;
    message.next = this.#first;
    this.#first = message;
    this.#count++;
  }
}

/** What a message of `length` bytes counts against SO_SNDBUF: its truesize in Linux. */
function messageCharge(length: number): number {
  let data = DATA_BYTES_MIN;
  while (data < length + FRAME_BYTES) data *= 2;
  return data + HEAD_BYTES;
}

export class MessageQueue {
  readonly #room: UnixRoom;
  count = 0;
  #first: UnixMessage | null = null;
  #last: UnixMessage | null = null;

  constructor(room: UnixRoom) {
    this.#room = room;
  }

  /** Length of the next message; 0 when there is none. */
  get nextBytes(): number {
    return this.#first === null ? 0 : this.#first.length;
  }

  /** Bytes of all messages. */
  get bytes(): number {
    let bytes = 0;
    for (let message = this.#first; message !== null; message = message.next) bytes += message.length;
    return bytes;
  }

  /** Adds a message; gives back what it counts against the sender's buffer, or -ENOBUFS. */
  push(
    from: Uint8Array,
    at: number,
    length: number,
    name: string,
    sender: MessageSender,
    credentials: SocketCredentials | null,
    files: File[] | null,
  ): number {
    const charge = messageCharge(length);
    if (!this.#room.heap.take(Math.max(charge, SPARE_BYTES))) return -ENOBUFS;
    const message = this.#room.spares.take(length);
    copyBytes(message.bytes, 0, from, at, length);
    message.length = length;
    message.name = name;
    message.sender = sender;
    message.charge = charge;
    message.credentials = credentials;
    message.files = files;
    if (files !== null) this.#room.rights.enter(files);
    if (this.#last === null) this.#first = message;
    else this.#last.next = message;
    this.#last = message;
    this.count++;
    return message.charge;
  }

  /**
   * The next message, or with MSG_PEEK the one that SO_PEEK_OFF leads to: the bytes that fit, or with MSG_TRUNC its full
   * length. -EAGAIN where there is none.
   */
  receive(
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    options: SocketOptions,
    incoming: IncomingMessage | null,
  ): number {
    const isPeek = (flags & MSG_PEEK) !== 0;
    let message = this.#first, skip = isPeek ? Math.max(0, options.peekOffset) : 0;
    // __skb_try_recv_from_queue().
    while (message !== null && skip > 0 && skip >= message.length) {
      skip -= message.length;
      message = message.next;
    }
    if (message === null) return -EAGAIN;
    const size = message.length - skip;
    const n = Math.min(length, size);
    copyBytes(into, at, message.bytes, skip, n);
    if (incoming !== null) {
      // The name that the sender has by now; unix_copy_addr().
      const name = message.sender?.name || message.name;
      if (name !== "") putUnixName(incoming.address, name);
      if (n < size) incoming.flags |= MSG_TRUNC;
      if (options.passesCredentials) incoming.credentials = message.credentials ?? NO_CREDENTIALS;
      this.#giveFiles(message, isPeek, incoming);
    }
    if (isPeek) {
      options.notePeeked(n);
    } else {
      options.noteReceived(message.length);
      this.#drop();
    }
    return (flags & MSG_TRUNC) !== 0 ? size : n;
  }

  #giveFiles(message: UnixMessage, isPeek: boolean, incoming: IncomingMessage): void {
    const files = message.files;
    if (files === null) return;
    if (isPeek) {
      for (const file of files) file.hold();
      incoming.files = files.slice();
      return;
    }
    this.#room.rights.leave(files);
    incoming.files = files;
    message.files = null;
  }

  #drop(): void {
    const message = this.#first!;
    this.#first = message.next;
    if (this.#first === null) this.#last = null;
    this.count--;
    const { sender, charge, files } = message;
    this.#room.heap.give(Math.max(charge, SPARE_BYTES));
    this.#room.spares.give(message);
    if (files !== null) this.#room.rights.drop(files);
    sender?.onDelivered(charge);
  }

  clear(): void {
    while (this.#first !== null) this.#drop();
  }

  forEachFile(visit: (file: File) => void): void {
    for (let message = this.#first; message !== null; message = message.next) message.files?.forEach(visit);
  }

  /** Drops the descriptors that wait here and leaves the messages. */
  dropFiles(): void {
    for (let message = this.#first; message !== null; message = message.next) {
      const files = message.files;
      message.files = null;
      if (files !== null) this.#room.rights.drop(files);
    }
  }
}
