// Unix sockets with connections: listening, accepting, connecting, hanging up. Linux: unix_stream_connect(),
// unix_listen(), unix_accept(), unix_shutdown(), unix_poll(). Streams and sequenced packets differ in their queues only.

import { EAGAIN, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN } from "../../abi/errno.ts";
import {
  O_NONBLOCK,
  O_RDWR,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "../../abi/file.ts";
import { SHUT_RD, SHUT_RDWR, SHUT_WR, SOMAXCONN } from "../../abi/socket.ts";
import type { Task } from "../../task/task.ts";
import { WaitQueue } from "../../util/wait_queue.ts";
import type { File } from "../../vfs/file.ts";
import { peerCredentials, type SocketAddress } from "../message.ts";
import type { Socket } from "../socket.ts";
import { UnixSocket } from "./unix_socket.ts";

export const enum ConnectionState {
  Unconnected,
  Listening,
  Connected,
}

export abstract class UnixConnection extends UnixSocket {
  declare peer: UnixConnection | null;
  state: ConnectionState = ConnectionState.Unconnected;
  /** Listening: connections nobody has accepted yet, each with the one reference of this queue. */
  readonly #pending: UnixConnection[] = [];
  #backlog = 0;
  /** Listening: who waits for room in #pending; null until somebody does. */
  #connectQueue: WaitQueue | null = null;
  /** The listener whose room connect() waits for. */
  #busyListener: UnixConnection | null = null;
  /** It is in a listener's #pending. */
  #isEmbryo = false;

  /** A socket of the same kind for the other end of a connection. */
  protected abstract newEnd(task: Task): UnixConnection;
  /** Something can be received. */
  protected abstract get hasData(): boolean;
  /** Something would be lost if it closed now. */
  protected get hasUnread(): boolean {
    return this.hasData;
  }
  /** There is an urgent byte to be taken. */
  protected get isUrgent(): boolean {
    return false;
  }
  /** There is room enough for poll(2) to say so. */
  protected abstract get hasRoom(): boolean;

  /** Makes two fresh sockets the ends of one connection. */
  connectTo(other: UnixConnection): void {
    this.peer = other;
    other.peer = this;
    this.state = other.state = ConnectionState.Connected;
    this.onSendBufferChange();
    other.onSendBufferChange();
  }

  override get isListening(): boolean {
    return this.state === ConnectionState.Listening;
  }

  override listen(task: Task, backlog: number): number {
    if (this.name === "" || this.state === ConnectionState.Connected) return -EINVAL;
    const before = this.#backlog;
    this.#backlog = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog;
    this.state = ConnectionState.Listening;
    this.peerCredentials = peerCredentials(task);
    if (this.#backlog > before) this.#connectQueue?.notify(POLLOUT);
    return 0;
  }

  override accept(_task: Task, flags: number): Socket | number {
    if (this.state !== ConnectionState.Listening) return -EINVAL;
    const next = this.#pending.shift();
    if (next === undefined) return this.isReadShut ? -EINVAL : -EAGAIN;
    next.#isEmbryo = false;
    next.flags |= flags & O_NONBLOCK;
    this.#connectQueue?.notify(POLLOUT);
    return next;
  }

  override connect(task: Task, address: SocketAddress): number {
    const found = this.find(task, address);
    if (typeof found === "number") return found;
    const listener = found as UnixConnection;
    if (listener.state !== ConnectionState.Listening || listener.isReadShut) return -ECONNREFUSED;
    if (listener.#pending.length > listener.#backlog) {
      this.#busyListener = listener;
      return -EAGAIN;
    }
    if (this.state === ConnectionState.Connected) return -EISCONN;
    if (this.state === ConnectionState.Listening) return -EINVAL;
    if (this.options.passesCredentials) this.autobind();
    const end = listener.newEnd(task);
    end.options.inherit(listener.options);
    end.name = listener.name;
    end.#isEmbryo = true;
    end.peerCredentials = peerCredentials(task);
    this.peerCredentials = listener.peerCredentials;
    this.connectTo(end);
    listener.#pending.push(end);
    listener.queue.notify(POLLIN | POLLRDNORM);
    return 0;
  }

  override connectQueue(): WaitQueue {
    const listener = this.#busyListener;
    return listener === null ? this.queue : (listener.#connectQueue ??= new WaitQueue());
  }

  override shutdown(how: number): number {
    const shutsRead = how === SHUT_RD || how === SHUT_RDWR;
    const shutsWrite = how === SHUT_WR || how === SHUT_RDWR;
    if (shutsRead) this.isReadShut = true;
    if (shutsWrite) this.isWriteShut = true;
    this.notifyChange();
    const peer = this.peer;
    if (peer === null || peer.isReleased) return 0;
    if (shutsRead) peer.isWriteShut = true;
    if (shutsWrite) peer.isReadShut = true;
    peer.notifyChange();
    return 0;
  }

  override onPeerRelease(isReset: boolean): void {
    this.isReadShut = true;
    this.isWriteShut = true;
    if (isReset) this.error = ECONNRESET;
    this.notifyChange();
  }

  override readiness(): number {
    let events = 0;
    if (this.error !== 0) events |= POLLERR;
    if (this.isReadShut) {
      events |= POLLRDHUP | POLLIN | POLLRDNORM;
      if (this.isWriteShut) events |= POLLHUP;
    }
    switch (this.state) {
      case ConnectionState.Unconnected:
        return events | POLLHUP | POLLOUT | POLLWRNORM | POLLWRBAND;
      case ConnectionState.Listening:
        return this.#pending.length > 0 ? events | POLLIN | POLLRDNORM : events;
      case ConnectionState.Connected:
        if (this.hasData) events |= POLLIN | POLLRDNORM;
        if (this.isUrgent) events |= POLLPRI;
        if (this.hasRoom) events |= POLLOUT | POLLWRNORM | POLLWRBAND;
        return events;
    }
  }

  override forEachQueuedFile(visit: (file: File) => void): void {
    for (const end of this.#pending) end.forEachQueuedFile(visit);
  }
  override dropQueuedFiles(): void {
    for (const end of this.#pending) end.dropQueuedFiles();
  }

  override release(): void {
    const isReset = this.hasUnread || this.#isEmbryo;
    for (const end of this.#pending) end.drop();
    this.#pending.length = 0;
    this.#connectQueue?.notify(POLLOUT | POLLERR);
    const peer = this.peer;
    super.release();
    if (peer !== null && !peer.isReleased) peer.onPeerRelease(isReset);
  }
}

/** Flags of the file of a new end: O_NONBLOCK comes from accept4(2). */
export const END_FLAGS = O_RDWR;
