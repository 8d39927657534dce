// The sentry's end of a gofer connection: one synchronous call a request. Answers are untrusted too: lengths are checked,
// and a gofer that is gone or talks nonsense ends the sandbox (onLost), as files cannot be served without it.

import { EIO } from "../kernel/abi/errno.ts";
import type { Host } from "../platform/platform.ts";
import { FRAME_BYTES_MAX, FrameReader, FrameWriter } from "./protocol.ts";

/** Longest the gofer may take over one request, milliseconds: a host disk may be slow, a dead gofer hangs up at once. */
const ANSWER_MILLIS_MAX = 60_000;

export class GoferClient {
  readonly #host: Host;
  readonly #socket: number;
  readonly #in = new Uint8Array(FRAME_BYTES_MAX);
  readonly #fds = new Int32Array(1);
  /** The request being built: start(), fields, then call(). */
  readonly request = new FrameWriter();
  /** The answer's body after a call that gave 0. */
  readonly answer: FrameReader = new FrameReader(this.#in);
  /** Descriptor donated with the last answer, -1 = none. Whoever asked for it takes it over. */
  donated = -1;
  /** When the last answer came, monotonic. */
  answeredAtNanos = 0;
  /** The gofer is gone. Told once. */
  onLost: (reason: string) => void = () => {};
  /** CPU that whoever waits for answers stays on, -1 = any. */
  readonly cpu: number;
  #isLost = false;

  constructor(host: Host, socket: number, cpu: number) {
    this.#host = host;
    this.#socket = socket;
    this.cpu = cpu;
  }

  get socket(): number {
    return this.#socket;
  }

  /** Sends the request and waits for its answer: 0, or the -ERRNO it carries. */
  call(): number {
    if (this.#isLost) return -EIO;
    const { bytes, at } = this.request;
    const n = this.#host.ask(this.#socket, bytes, at, this.#in, this.#fds, ANSWER_MILLIS_MAX);
    this.donated = this.#host.receivedFds > 0 ? this.#fds[0] : -1;
    this.answeredAtNanos = this.#host.answeredAtNanos;
    if (n < 4) return this.#lose(`the answer gave ${n}`);
    this.answer.start(n);
    const result = this.answer.i32();
    if (result > 0) return this.#lose(`the answer says ${result}`);
    return result;
  }

  /** The host says that the other end has closed. */
  hangUp(): void {
    if (!this.#isLost) this.#lose("its connection has ended");
  }

  #lose(reason: string): number {
    this.#isLost = true;
    this.onLost(`The gofer is gone: ${reason}`);
    return -EIO;
  }
}
