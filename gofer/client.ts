// The sentry's end of the gofer: requests of one mount over the channel that all mounts share. Answers are untrusted too:
// lengths are checked, and a gofer that is gone or talks nonsense ends the sandbox (onLost), as files cannot be served
// without it.

import { EIO, ETIMEDOUT } from "../kernel/abi/errno.ts";
import type { GoferChannel } from "../platform/platform.ts";
import { FRAME_BYTES_MAX, FrameReader, FrameWriter } from "./protocol.ts";

/** Longest the gofer may take over one request, microseconds: a host disk may be slow, a dead gofer is noticed at once. */
const ANSWER_MICROS_MAX = 60e6;

/** Late answers in a row that make a mount a slow one. */
const LATE_MEANS_SLOW = 4;

/** What becomes of requests whose answers are late; kernel/fs/gofer/late_requests.ts. */
export interface LateAnswers {
  /** How long `client` waits on the spot, microseconds (Infinity: as long as it takes); -1 = it asks later. */
  patience(client: GoferClient): number;
  /** Bytes of the answer, into `into`, to the request of `client`, if that has been late; -1 = it has not. */
  take(client: GoferClient, into: Uint8Array): number;
  /** The request of `client` is late in `slot`, or is to be sent later (-1): what its caller answers meanwhile. */
  park(client: GoferClient, slot: number): number;
  /** Nobody waits for the answer in `slot`. */
  ignore(slot: number): void;
  /** When the call that is being served first waited for an answer, CLOCK_MONOTONIC; Infinity = it has not. */
  readonly beganAt: number;
  /** Looks for answers that have come. */
  collect(): void;
}

/** What all mounts of a sandbox have in common. */
export class GoferConnection {
  readonly channel: GoferChannel;
  /** The gofer is gone. Told once. */
  onLost: (reason: string) => void = () => {};
  /** null: every request waits for its answer. */
  late: LateAnswers | null = null;
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
  /** Descriptor donated with the last answer, -1 = none or taken. */
  donated = -1;
  /** When the last answer came, monotonic. */
  answeredAtNanos = 0;

  /** For mount number `mount` of the gofer. */
  constructor(connection: GoferConnection, mount: number) {
    this.connection = connection;
    this.request = new FrameWriter(mount);
  }

  /** Answers that were late although the gofer had begun in time, one after the other. */
  #lateInARow = 0;
  /** A node that a late answer has made, and that nobody has use for. */
  onUnwanted: (node: number) => void = () => {};

  /** Its files take long, and not because the machine was busy for a moment. */
  get isSlow(): boolean {
    return this.#lateInARow >= LATE_MEANS_SLOW;
  }

  /** Sends the request and waits for its answer: 0, the -ERRNO it carries, or what LateAnswers.park() says. */
  call(): number {
    const { connection } = this, { late } = connection;
    if (late === null) return this.callNow();
    if (connection.isLost) return -EIO;
    const taken = late.take(this, this.#in);
    if (taken !== -1) return taken < 0 ? taken : this.#read(taken);
    const patience = late.patience(this);
    if (patience < 0) return late.park(this, -1);
    if (patience === Infinity) return this.callNow();
    const n = this.#ask(patience);
    if (n === -ETIMEDOUT) {
      // Else the machine is busy, which says nothing of the files.
      if (connection.channel.hasBegun) this.#lateInARow++;
      return late.park(this, connection.channel.slot);
    }
    this.#lateInARow = 0;
    return this.#read(n);
  }

  /** As call(), however long the answer takes: for callers that cannot be asked again. */
  callNow(): number {
    if (this.connection.isLost) return -EIO;
    return this.#read(this.#ask(ANSWER_MICROS_MAX));
  }

  /** Sends a request whose answer does not matter. */
  send(): void {
    const { late } = this.connection;
    if (late === null || late.patience(this) < 0) this.callNow();
    else if (!this.connection.isLost) {
      const n = this.#ask(0);
      if (n === -ETIMEDOUT) late.ignore(this.connection.channel.slot);
    }
  }

  /** The descriptor of the last answer, -1 = none; the caller takes it over. */
  takeDonated(): number {
    const fd = this.donated;
    this.donated = -1;
    return fd;
  }

  #ask(micros: number): number {
    const { channel, late } = this.connection;
    const n = channel.ask(this.request.bytes, this.request.at, this.#in, micros);
    this.donated = channel.donated;
    this.answeredAtNanos = channel.answeredAtNanos;
    // Their message may have been read with ours.
    if (channel.hasOthers) late?.collect();
    return n;
  }

  #read(n: number): number {
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
