// The sentry's end of the gofer: requests of one mount over the channel that all mounts share. Answers are untrusted too:
// lengths are checked, and a gofer that is gone or talks nonsense ends the sandbox (onLost), as files cannot be served
// without it.

import { EIO } from "../kernel/abi/errno.ts";
import type { GoferChannel } from "../platform/platform.ts";
import { FRAME_BYTES_MAX, FrameReader, FrameWriter } from "./protocol.ts";

/** Longest the gofer may take over one request, microseconds: a host disk may be slow, a dead gofer is noticed at once. */
const ANSWER_MICROS_MAX = 60e6;

/** What all mounts of a sandbox have in common. */
export class GoferConnection {
  readonly channel: GoferChannel;
  /** The gofer is gone. Told once. */
  onLost: (reason: string) => void = () => {};
  #isLost = false;

  constructor(channel: GoferChannel) {
    this.channel = channel;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** The host says that the other end has closed. */
  hangUp(): void {
    this.lose("its connection has ended");
  }

  lose(reason: string): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.onLost(`The gofer is gone: ${reason}`);
  }
}

export class GoferClient {
  readonly connection: GoferConnection;
  readonly #in = new Uint8Array(FRAME_BYTES_MAX);
  /** The request being built: start(), fields, then call(). */
  readonly request: FrameWriter;
  /** The answer's body after a call that gave 0. */
  readonly answer: FrameReader = new FrameReader(this.#in);
  /** Descriptor donated with the last answer, -1 = none. Whoever asked for it takes it over. */
  donated = -1;
  /** When the last answer came, monotonic. */
  answeredAtNanos = 0;

  /** For mount number `mount` of the gofer. */
  constructor(connection: GoferConnection, mount: number) {
    this.connection = connection;
    this.request = new FrameWriter(mount);
  }

  /** Sends the request and waits for its answer: 0, or the -ERRNO it carries. */
  call(): number {
    const { connection } = this, { channel } = connection;
    if (connection.isLost) return -EIO;
    const { bytes, at } = this.request;
    const n = channel.ask(bytes, at, this.#in, ANSWER_MICROS_MAX);
    this.donated = channel.donated;
    this.answeredAtNanos = channel.answeredAtNanos;
    if (n < 4) return this.#lose(`the answer gave ${n}`);
    this.answer.start(n);
    const result = this.answer.i32();
    if (result > 0) return this.#lose(`the answer says ${result}`);
    return result;
  }

  #lose(reason: string): number {
    this.connection.lose(reason);
    return -EIO;
  }
}
