// Forwards a socket of the host into a container: to a TCP port of its loopback or a Unix socket of its files, both ways. What
// one side sends and the other does not take yet stays where it is but for one buffer, so that a slow side slows down the other.

import { EAGAIN, EINPROGRESS } from "../kernel/abi/errno.ts";
import { O_NONBLOCK, O_RDWR } from "../kernel/abi/file.ts";
import { AF_INET, AF_UNIX, SHUT_WR, SOCK_STREAM } from "../kernel/abi/socket.ts";
import type { Container } from "../kernel/container.ts";
import type { HostDescriptor } from "../kernel/host/host_descriptor.ts";
import type { HostWatch } from "../kernel/host/host_watch.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { SOCKET_FAMILIES } from "../kernel/socket/families.ts";
import { SocketAddress } from "../kernel/socket/message.ts";
import type { Socket } from "../kernel/socket/socket.ts";
import type { Task } from "../kernel/task/task.ts";
import { latin1ToBytes, utf8ToByteString } from "../kernel/util/bytes.ts";
import type { Deadlined } from "../kernel/util/deadline_heap.ts";
import { Waiter, type WaitListener } from "../kernel/util/wait_queue.ts";

const POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16;
const BUFFER_BYTES = 16 * 1024;
/** Pieces that one side is given in one turn: the others are served too. */
const PIECES_MAX = 16;
/** sockaddr_un of unix(7). */
const PATH_BYTES_MAX = 107;

/** Where a forward leads: a TCP port of 127.0.0.1, or a Unix socket by its path. */
export type ForwardTarget = { readonly port: number } | { readonly path: string };

/** Half of a forward: bytes on their way from one side to the other. */
class Way {
  readonly bytes = new Uint8Array(BUFFER_BYTES);
  at = 0;
  length = 0;
  /** Its source will send nothing more. */
  isOver = false;
}

export class Forward implements WaitListener, Deadlined {
  /** When it goes on with what it has left to the others' turn. */
  deadline = 0;
  deadlineIndex = -1;
  readonly #kernel: Kernel;
  readonly #task: Task;
  readonly #socket: Socket;
  readonly #host: HostDescriptor;
  readonly #watch: HostWatch;
  readonly #waiter = new Waiter(this);
  readonly #inward = new Way();
  readonly #outward = new Way();
  readonly #onEnd: (forward: Forward) => void;
  /** Called once with the result of connecting: 0 or -ERRNO; null = it has been called. */
  #onConnected: ((result: number) => void) | null;
  #address: SocketAddress | null;
  #isInProgress = false;
  #isPumping = false;
  /** The socket reported an event during a call of ours. */
  #isTold = false;
  #isClosed = false;

  /**
   * Connects `host`, a stream socket that is taken over, with `target` in `container`, whose init lives. `onConnected` is told
   * how that went, `onEnd` when the forward is over.
   */
  constructor(
    container: Container,
    target: ForwardTarget,
    host: HostDescriptor,
    onConnected: (result: number) => void,
    onEnd: (forward: Forward) => void,
  ) {
    this.#kernel = container.kernel;
    this.#task = container.initTask!;
    this.#onConnected = onConnected;
    this.#onEnd = onEnd;
    this.#host = host;
    const domain = "port" in target ? AF_INET : AF_UNIX;
    const family = SOCKET_FAMILIES.get(domain)!;
    const socket = family.create(this.#task, SOCK_STREAM, 0, O_RDWR | O_NONBLOCK);
    if (typeof socket === "number") throw new Error(`Cannot make a socket: ${socket}`);
    this.#socket = socket;
    this.#address = "port" in target ? loopbackAddress(target.port) : unixAddress(target.path);
    this.#watch = this.#kernel.watches.add(host, 0, { onHostEvents: () => this.#pump() });
    socket.queue.add(this.#waiter, POLLIN | POLLOUT);
    this.#connect();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  onReady(): void {
    // We are called in the middle of a call of the socket's own, which is to end first.
    if (this.#isPumping) this.#isTold = true;
    else this.#pump();
  }

  onDeadline(): void {
    this.#pump();
  }

  #connect(): void {
    this.#isPumping = true;
    let result = this.#isInProgress ? this.#progress() : this.#socket.connect(this.#task, this.#address!);
    if (result === -EINPROGRESS && !this.#isInProgress) {
      this.#isInProgress = true;
      // Over loopback it may be done by now.
      result = this.#progress();
    }
    this.#isPumping = false;
    if (result === -EINPROGRESS) return;
    const tell = this.#onConnected!;
    this.#onConnected = null;
    this.#address = null;
    if (result < 0) this.close();
    tell(result);
    this.#pump();
  }

  #progress(): number {
    const isDone = (this.#socket.readiness() & (POLLOUT | POLLERR | POLLHUP)) !== 0;
    return isDone ? this.#socket.connectResult() : -EINPROGRESS;
  }

  #pump(): void {
    if (this.#isPumping || this.#isClosed) return;
    if (this.#onConnected !== null) {
      if (this.#isInProgress) this.#connect();
      return;
    }
    this.#isPumping = true;
    this.#isTold = false;
    const isAlive = this.#moveInward() && this.#moveOutward();
    this.#isPumping = false;
    const { length: inward, isOver } = this.#inward;
    if (!isAlive || this.#outward.isOver && this.#outward.length === 0) return this.close();
    const wantsInput = !isOver && inward === 0;
    this.#watch.set((wantsInput ? POLLIN : 0) | (this.#outward.length > 0 ? POLLOUT : 0));
    if (!this.#isTold || this.deadlineIndex >= 0) return;
    this.deadline = this.#kernel.clock.monotonic();
    this.#kernel.deadlines.add(this);
  }

  /** From the host into the container. False when nobody takes it any more. */
  #moveInward(): boolean {
    const way = this.#inward;
    for (let piece = 0;; piece++) {
      if (piece === PIECES_MAX) return this.#isTold = true;
      if (way.length === 0) {
        if (way.isOver || this.#host.poll(POLLIN) === 0) return true;
        const n = this.#host.read(way.bytes, 0, BUFFER_BYTES);
        if (n === -EAGAIN) return true;
        if (n <= 0) {
          way.isOver = true;
          return n === 0 && this.#socket.shutdown(SHUT_WR) >= 0;
        }
        way.at = 0;
        way.length = n;
      }
      const n = this.#socket.send(this.#task, way.bytes, way.at, way.length, 0, null);
      if (n === -EAGAIN) return true;
      if (n < 0) return false;
      way.at += n;
      way.length -= n;
    }
  }

  /** From the container to the host. False when nobody takes it any more. */
  #moveOutward(): boolean {
    const way = this.#outward;
    for (let piece = 0;; piece++) {
      if (piece === PIECES_MAX) return this.#isTold = true;
      if (way.length === 0) {
        if (way.isOver) return true;
        const n = this.#socket.receive(this.#task, way.bytes, 0, BUFFER_BYTES, 0, null);
        if (n === -EAGAIN) return true;
        if (n <= 0) {
          way.isOver = true;
          return n === 0;
        }
        way.at = 0;
        way.length = n;
      }
      if (this.#host.poll(POLLOUT) === 0) return true;
      const n = this.#host.write(way.bytes, way.at, way.length);
      if (n === -EAGAIN) return true;
      if (n < 0) return false;
      way.at += n;
      way.length -= n;
    }
  }

  /** Both ends close. Safe to call again. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.deadlineIndex >= 0) this.#kernel.deadlines.remove(this);
    this.#socket.queue.remove(this.#waiter);
    this.#watch.end();
    this.#socket.drop();
    this.#host.drop();
    this.#onEnd(this);
  }
}

function loopbackAddress(port: number): SocketAddress {
  const address = new SocketAddress();
  address.bytes.set([AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1]);
  address.length = 16;
  return address;
}

function unixAddress(path: string): SocketAddress {
  const address = new SocketAddress();
  const bytes = latin1ToBytes(utf8ToByteString(path)).subarray(0, PATH_BYTES_MAX);
  address.bytes[0] = AF_UNIX;
  address.bytes.set(bytes, 2);
  address.length = 2 + bytes.length + 1;
  return address;
}
