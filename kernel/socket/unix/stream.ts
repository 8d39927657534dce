// SOCK_STREAM over AF_UNIX. Linux: unix_stream_sendmsg(), unix_stream_read_generic(). The bytes are in a ring at the
// receiver; descriptors and credentials are marks at places in that stream.

import { EAGAIN, EINVAL, EISCONN, ENOBUFS, ENOTCONN, EOPNOTSUPP, EPERM, EPIPE } from "../../abi/errno.ts";
import { POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRBAND, POLLWRNORM } from "../../abi/file.ts";
import { MSG_OOB, MSG_PEEK, SIOCATMARK, SO_OOBINLINE, SO_PASSRIGHTS, SOCK_STREAM } from "../../abi/socket.ts";
import { putIntResult } from "../../fs/anonymous/filesystem.ts";
import { ByteRing } from "../../ipc/byte_ring.ts";
import type { Task } from "../../task/task.ts";
import type { File } from "../../vfs/file.ts";
import {
  type IncomingMessage,
  messageCredentials,
  NO_CREDENTIALS,
  type OutgoingMessage,
  type SocketCredentials,
} from "../message.ts";
import { BUFFER_BYTES } from "../options.ts";
import { ConnectionState, END_FLAGS, UnixConnection } from "./connection.ts";
import { putUnixName } from "./unix_socket.ts";
import { UrgentBytes } from "./urgent.ts";

/** Something that goes with the bytes from `start` up to `end`, both counted from the beginning of the stream. */
interface Mark {
  readonly start: number;
  end: number;
  files: File[] | null;
  readonly credentials: SocketCredentials | null;
}

export class UnixStream extends UnixConnection {
  declare peer: UnixStream | null;
  /** What can be received; its capacity follows the sender's SO_SNDBUF. */
  readonly #ring: ByteRing;
  /** Bytes received so far: where the ring begins. */
  #received = 0;
  readonly #urgent = new UrgentBytes();
  /** Whose bytes were received last, while SO_PASSCRED or its like tells. */
  #sender: SocketCredentials | null = null;
  /** In the order of the stream, not overlapping. Nearly always empty. */
  readonly #marks: Mark[] = [];

  constructor(task: Task, flags: number) {
    super(task, SOCK_STREAM, flags);
    this.#ring = new ByteRing(this.unix.heap, BUFFER_BYTES);
  }

  protected override newEnd(task: Task): UnixStream {
    return new UnixStream(task, END_FLAGS);
  }
  protected override get hasData(): boolean {
    return this.#ring.used > 0;
  }
  protected override get hasUnread(): boolean {
    return this.#ring.used > this.#urgent.gapCount;
  }
  protected override get isUrgent(): boolean {
    return this.#urgent.at >= 0;
  }
  protected override get hasRoom(): boolean {
    const peer = this.peer;
    return peer === null || peer.#ring.used * 4 <= this.options.sendBytes;
  }
  override get bytesToRead(): number {
    return this.#ring.used - this.#urgent.gapCount;
  }
  override get bytesOnTheWay(): number {
    return this.peer === null ? 0 : this.peer.#ring.used;
  }

  override onSendBufferChange(): void {
    if (this.peer !== null) this.peer.#ring.capacity = this.options.sendBytes;
    super.onSendBufferChange();
  }

  override send(
    task: Task,
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number {
    const isUrgent = (flags & MSG_OOB) !== 0;
    if (isUrgent && length === 0) return -EOPNOTSUPP;
    if (message !== null && message.address.length > 0) {
      return this.state === ConnectionState.Connected ? -EISCONN : -EOPNOTSUPP;
    }
    const peer = this.peer;
    if (peer === null) return -ENOTCONN;
    if (this.isWriteShut || peer.isReadShut) return -EPIPE;
    if (this.error !== 0) return this.takeError();
    if (length === 0) return 0;
    const ring = peer.#ring;
    if (ring.free === 0) return -EAGAIN;
    if (message !== null && message.files !== null && !peer.options.flag(SO_PASSRIGHTS)) return -EPERM;
    // The last byte is the urgent one: it goes when all the others have gone.
    if (isUrgent && length > ring.free) length = Math.min(length - 1, ring.free);
    else if (isUrgent) return this.#sendUrgent(task, peer, from, at, length, message);
    const n = ring.push(from, at, length);
    if (n === 0) return -ENOBUFS;
    if (message !== null || this.options.passesCredentials || peer.options.passesCredentials) {
      this.#mark(task, peer, n, message);
    }
    peer.queue.notify(POLLIN | POLLRDNORM);
    return n;
  }

  #sendUrgent(
    task: Task,
    peer: UnixStream,
    from: Uint8Array,
    at: number,
    length: number,
    message: OutgoingMessage | null,
  ): number {
    const n = peer.#ring.push(from, at, length);
    if (n === 0) return -ENOBUFS;
    if (message !== null || this.options.passesCredentials || peer.options.passesCredentials) {
      this.#mark(task, peer, n, message);
    }
    peer.queue.notify(n < length ? POLLIN | POLLRDNORM : POLLIN | POLLRDNORM | POLLPRI);
    if (n < length) return n;
    peer.#urgent.at = peer.#received + peer.#ring.used - 1;
    peer.owner?.onUrgent?.();
    return n;
  }

  /** Notes what goes with the last `length` bytes that were pushed to `peer`. */
  #mark(task: Task, peer: UnixStream, length: number, message: OutgoingMessage | null): void {
    const end = peer.#received + peer.#ring.used;
    const files = message === null ? null : message.files;
    let credentials = message === null ? null : message.credentials;
    if (credentials === null && (this.options.passesCredentials || peer.options.passesCredentials)) {
      credentials = messageCredentials(task);
    }
    if (files === null && credentials === null) return;
    const last = peer.#marks.length === 0 ? null : peer.#marks[peer.#marks.length - 1];
    if (files === null && last !== null && last.end === end - length && last.files === null) {
      if (credentials!.equals(last.credentials)) {
        last.end = end;
        return;
      }
    }
    peer.#marks.push({ start: end - length, end, files, credentials });
    if (files === null) return;
    message!.files = null;
    this.unix.rights.enter(files);
    this.unix.rights.collectRings();
  }

  override bytesAtStake(length: number): number {
    return Math.min(length, this.#ring.used);
  }

  override receive(
    _task: Task,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: IncomingMessage | null,
  ): number {
    if (this.state !== ConnectionState.Connected) return -EINVAL;
    if ((flags & MSG_OOB) !== 0) return this.#receiveUrgent(into, at, flags, message);
    const ring = this.#ring;
    if (ring.used === 0) {
      if (this.error !== 0) return this.takeError();
      return this.isReadShut ? 0 : -EAGAIN;
    }
    const isPeek = (flags & MSG_PEEK) !== 0;
    const skip = isPeek ? Math.max(0, this.options.peekOffset) : 0;
    if (skip >= ring.used) return this.isReadShut ? 0 : -EAGAIN;
    if (this.#marks.length > 0) length = this.#meetMarks(this.#received + skip, length, flags, message);
    if (message !== null) this.#addSender(message);
    if (isPeek && this.#urgent.isQuiet) {
      const n = ring.peek(into, at, length, skip);
      this.options.notePeeked(n);
      return n;
    }
    const sendBytes = ring.capacity;
    const wasFull = ring.used * 4 > sendBytes;
    let n: number;
    if (this.#urgent.isQuiet) {
      n = ring.pop(into, at, length);
      this.#received += n;
    } else {
      n = this.#receiveAround(into, at, length, isPeek);
      if (isPeek) return n;
    }
    this.options.noteReceived(n);
    if (this.#marks.length > 0) this.#passMarks();
    if (wasFull && ring.used * 4 <= sendBytes) this.#tellRoom();
    return n > 0 || length === 0 || this.isReadShut ? n : -EAGAIN;
  }

  /** MSG_OOB: the urgent byte, out of turn. */
  #receiveUrgent(into: Uint8Array, at: number, flags: number, message: IncomingMessage | null): number {
    const urgent = this.#urgent;
    if (urgent.at < 0 || this.options.flag(SO_OOBINLINE)) return -EINVAL;
    this.#ring.peek(into, at, 1, urgent.at - this.#received);
    if ((flags & MSG_PEEK) === 0) urgent.take();
    if (message !== null) {
      message.flags |= MSG_OOB;
      this.#addSender(message);
    }
    return 1;
  }

  /** Ordinary bytes while there is an urgent one in the stream: up to it, or from behind it. Moves #received. */
  #receiveAround(into: Uint8Array, at: number, length: number, isPeek: boolean): number {
    const ring = this.#ring, urgent = this.#urgent;
    const isInline = this.options.flag(SO_OOBINLINE);
    const start = this.#received, end = start + ring.used;
    let place = start, done = 0;
    while (done < length && place < end) {
      if (urgent.isGap(place)) {
        if (done > 0 && urgent.at < 0) break;
        place++;
        continue;
      }
      let stop = urgent.nextFrom(place, end);
      if (place === urgent.at) {
        if (done > 0) break;
        if (!isPeek) urgent.at = -1;
        if (!isInline) {
          place++;
          continue;
        }
        stop = urgent.nextFrom(place + 1, end);
      }
      const n = Math.min(stop - place, length - done);
      ring.peek(into, at + done, n, place - start);
      place += n;
      done += n;
    }
    if (isPeek) return done === 0 ? -EAGAIN : done;
    ring.skip(place - start);
    this.#received = place;
    urgent.passTo(place);
    return done;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    if (request !== SIOCATMARK) return super.ioctl(task, request, argument);
    const isMark = this.#urgent.isMark(this.#received, this.#received + this.#ring.used);
    return putIntResult(task, argument, isMark ? 1 : 0);
  }

  #tellRoom(): void {
    const peer = this.peer;
    if (peer !== null && !peer.isReleased) peer.queue.notify(POLLOUT | POLLWRNORM | POLLWRBAND);
  }

  #addSender(message: IncomingMessage): void {
    if (this.peer !== null && this.peer.name !== "") putUnixName(message.address, this.peer.name);
    if (this.options.passesCredentials && message.credentials === null) message.credentials = NO_CREDENTIALS;
  }

  /**
   * Takes descriptors and credentials of the next `length` bytes from `place` on; gives back how many of these one call may
   * give. One that gives none takes them as well: unix_stream_read_generic() comes to the first of them.
   */
  #meetMarks(place: number, length: number, flags: number, message: IncomingMessage | null): number {
    const checksSender = this.options.passesCredentials;
    const end = place + Math.max(1, length);
    let sender: SocketCredentials | null = null;
    for (const mark of this.#marks) {
      if (mark.start >= end) break;
      if (mark.end <= place) continue;
      if (checksSender) {
        const who = mark.credentials ?? NO_CREDENTIALS;
        if (sender === null) {
          this.#sender = sender = mark.start <= place ? who : NO_CREDENTIALS;
          if (message !== null) message.credentials = sender;
        }
        if (!who.equals(sender)) return mark.start - place;
      }
      if (mark.files === null) continue;
      this.#takeFiles(mark, flags, message);
      return Math.min(length, mark.end - place);
    }
    return length;
  }

  /** The next bytes are another's than those that were received last. */
  override get isAtBoundary(): boolean {
    if (!this.options.passesCredentials || this.#marks.length === 0 || this.#ring.used === 0) return false;
    const mark = this.#marks[0];
    const who = mark.start <= this.#received ? mark.credentials : null;
    return !(who ?? NO_CREDENTIALS).equals(this.#sender);
  }

  #takeFiles(mark: Mark, flags: number, message: IncomingMessage | null): void {
    const files = mark.files!;
    if ((flags & MSG_PEEK) !== 0) {
      if (message === null) return;
      for (const file of files) file.hold();
      message.files = files.slice();
      return;
    }
    mark.files = null;
    if (message === null) {
      // read(2) loses them.
      this.unix.rights.drop(files);
      return;
    }
    this.unix.rights.leave(files);
    message.files = files;
  }

  #passMarks(): void {
    while (this.#marks.length > 0 && this.#marks[0].end <= this.#received) this.#marks.shift();
  }

  override forEachQueuedFile(visit: (file: File) => void): void {
    super.forEachQueuedFile(visit);
    for (const mark of this.#marks) if (mark.files !== null) mark.files.forEach(visit);
  }

  override dropQueuedFiles(): void {
    super.dropQueuedFiles();
    for (const mark of this.#marks) {
      const files = mark.files;
      mark.files = null;
      if (files !== null) this.unix.rights.drop(files);
    }
  }

  override release(): void {
    super.release();
    this.#ring.clear();
  }
}
