// A TCP connection of a sandbox and one of the host's, as one: bytes, ends and resets pass both ways. Neither side is read
// faster than the other takes it, so that a slow peer is felt at the other end, and what is held is bounded by the buffers of
// the two sockets and one chunk.

import {
  POLLERR,
  POLLIN,
  POLLOUT,
  type ReadinessQueue,
  SHUTDOWN_WRITE,
  type TcpEndpoint,
} from "../../../netstack/mod.ts";
import { EAGAIN } from "../../../kernel/abi/errno.ts";
import {
  BUFFER_BYTES_MAX,
  CHUNK_BYTES,
  type HostListener,
  type RelayContext,
  type Served,
  type Watch,
} from "./context.ts";

/** Pieces that one connection moves each way before the others have their turn. */
const CHUNKS_PER_TURN = 4;
const NOTHING = new Uint8Array(0);

export class TcpFlow implements HostListener, ReadinessQueue, Served {
  isEntered = false;
  readonly #context: RelayContext;
  readonly #endpoint: TcpEndpoint;
  readonly #fd: number;
  readonly #watch: Watch;
  /** Called once. */
  readonly #onEnd: () => void;
  /** Read from the sandbox, and the host had no room for it yet. Until it is written nothing more is read. */
  #unsent: Uint8Array = NOTHING;
  /** Each side has said that nothing more comes from it. */
  #hasGuestEnded = false;
  #hasHostEnded = false;
  #isOver = false;

  /** Both are open. `endpoint` and `fd` are ours from now on. */
  constructor(context: RelayContext, endpoint: TcpEndpoint, fd: number, onEnd: () => void) {
    this.#context = context;
    this.#endpoint = endpoint;
    this.#fd = fd;
    this.#onEnd = onEnd;
    this.#watch = context.watches.add(fd, POLLIN, this);
    endpoint.queue = this;
    context.turns.enter(this);
  }

  notify(_events: number): void {
    this.#context.turns.enter(this);
  }
  onHost(_events: number): void {
    this.#context.turns.enter(this);
  }

  serve(): void {
    if (this.#isOver) return;
    const isFailed = (this.#endpoint.readiness() & POLLERR) !== 0 ||
      this.#context.stack.rings.held > 2 * BUFFER_BYTES_MAX || !this.#toHost() || !this.#toGuest();
    if (isFailed) return this.#abort();
    const hasUnsent = this.#unsent.length > 0;
    if (this.#hasGuestEnded && this.#hasHostEnded && !hasUnsent) return this.#finish();
    const wantsMore = !this.#hasHostEnded && this.#endpoint.writableBytes > 0;
    this.#watch.set((wantsMore ? POLLIN : 0) | (hasUnsent ? POLLOUT : 0));
  }

  /** False where the connection is broken on either side. */
  #toHost(): boolean {
    const { sockets, chunk, turns } = this.#context;
    for (let i = 0; i < CHUNKS_PER_TURN; i++) {
      if (this.#unsent.length > 0) {
        const sent = sockets.send(this.#fd, this.#unsent, 0, this.#unsent.length);
        if (sent < 0) return sent === -EAGAIN;
        this.#unsent = this.#unsent.subarray(sent);
        if (this.#unsent.length > 0) return true;
        this.#unsent = NOTHING;
      }
      if (this.#hasGuestEnded) return true;
      const n = this.#endpoint.read(chunk, 0, CHUNK_BYTES, 0, null);
      if (n < 0) return n === -EAGAIN;
      if (n === 0) {
        this.#hasGuestEnded = true;
        // Where that fails the host's side is broken, which is read there.
        sockets.shut(this.#fd);
        return true;
      }
      const sent = sockets.send(this.#fd, chunk, 0, n);
      if (sent < 0 && sent !== -EAGAIN) return false;
      if (sent < n) this.#unsent = chunk.slice(Math.max(sent, 0), n);
    }
    turns.enter(this);
    return true;
  }

  #toGuest(): boolean {
    const { sockets, chunk, turns } = this.#context;
    const endpoint = this.#endpoint;
    for (let i = 0; i < CHUNKS_PER_TURN; i++) {
      if (this.#hasHostEnded) return true;
      const room = Math.min(endpoint.writableBytes, CHUNK_BYTES);
      if (room === 0) return true;
      const n = sockets.receive(this.#fd, chunk, 0, room);
      if (n < 0) return n === -EAGAIN;
      if (n === 0) {
        this.#hasHostEnded = true;
        endpoint.shutdown(SHUTDOWN_WRITE);
        return true;
      }
      if (endpoint.write(chunk, 0, n, 0, null) !== n) return false;
    }
    turns.enter(this);
    return true;
  }

  #finish(): void {
    this.#isOver = true;
    this.#watch.end();
    this.#context.sockets.close(this.#fd);
    this.#endpoint.close();
    this.#onEnd();
  }

  /** Each side hears a reset, unless it was the one to send it. */
  #abort(): void {
    this.#isOver = true;
    this.#watch.end();
    this.#context.sockets.reset(this.#fd);
    this.#endpoint.disconnect();
    this.#endpoint.close();
    this.#onEnd();
  }
}
