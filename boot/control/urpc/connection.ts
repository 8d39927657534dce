// One client of the control API: a call, its answer, the next call. gVisor's urpc: a message is one JSON object without a
// frame around it; descriptors come beside its first byte. While a call is carried out nothing is read, so a client that floods
// fills its own socket, and everything it can make us hold is counted.

import { EAGAIN } from "../../../kernel/abi/errno.ts";
import type { Budget } from "../../../kernel/util/kernel_memory.ts";
import type { NativeHost } from "../../../native/host.ts";
import { type NativeStreams, STREAM_FDS_MAX } from "../../../native/stream.ts";
import { DocumentScanner, NOT_AN_OBJECT, parse, stringify, TOO_DEEP } from "./json.ts";

/** Bytes of a call, and of an answer. */
export const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
export const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
/** What each connection may hold without asking. */
const BUFFER_BYTES_MIN = 16 * 1024;
/** A message that has begun ends within this time, and an answer is read within it. */
export const STALL_MILLIS_MAX = 30_000;

const POLLIN = 1, POLLOUT = 4;
const NO_FDS = new Int32Array(0);
const encoder = new TextEncoder(), decoder = new TextDecoder();

export const UNKNOWN_METHOD = "unknown method";
const TOO_MANY_FILES = "too many files";

/** A call that waits for its answer; `files` are closed when it has come. */
export interface Call {
  readonly method: string;
  /** undefined where there is none. */
  readonly argument: unknown;
  readonly files: readonly number[];
  /** Answers; `files` are taken over. */
  succeed(result: unknown, files?: readonly number[]): void;
  fail(text: string): void;
  /** Called when the client disconnects before its answer; set by the service that carries out the call. */
  onGone: () => void;
}

export const enum Phase {
  Reading,
  Calling,
  Writing,
  Closed,
}

export class Connection {
  readonly fd: number;
  phase = Phase.Reading;
  /** When something must have happened, in milliseconds; Infinity where the client may take its time. */
  deadline = Infinity;
  /** When it last did something. */
  activeAt: number;
  readonly #host: NativeHost;
  readonly #streams: NativeStreams;
  readonly #budget: Budget;
  readonly #now: () => number;
  readonly #handle: (call: Call) => void;
  #buffer = new Uint8Array(BUFFER_BYTES_MIN);
  /** Of #buffer: what has come, and how far it has been scanned. */
  #filled = 0;
  #scanned = 0;
  #scanner = new DocumentScanner();
  /** Of the message that comes now. */
  #files: number[] = [];
  #hasTooManyFiles = false;
  /** The answer on its way, and how much of it is gone. */
  #answer = new Uint8Array(0);
  #sent = 0;
  #answerFiles: readonly number[] = [];
  #call: Call | null = null;
  /** The stream cannot be read any further: it ends with the answer. */
  #isLast = false;

  constructor(
    host: NativeHost,
    streams: NativeStreams,
    fd: number,
    budget: Budget,
    now: () => number,
    handle: (call: Call) => void,
  ) {
    this.#host = host;
    this.#streams = streams;
    this.fd = fd;
    this.#budget = budget;
    this.#now = now;
    this.activeAt = now();
    this.#handle = handle;
  }

  /** Poll events that it waits for; a hang-up is always reported. */
  get events(): number {
    return this.phase === Phase.Reading ? POLLIN : this.phase === Phase.Writing ? POLLOUT : 0;
  }

  /** It has begun nothing, and nothing is owed to it. */
  get isIdle(): boolean {
    return this.phase === Phase.Reading && this.#filled === 0;
  }

  /** More has come than the last message: proceed() takes the next, in another turn, as others wait too. */
  get hasMore(): boolean {
    return this.phase === Phase.Reading && this.#filled > this.#scanned;
  }

  proceed(): void {
    this.activeAt = this.#now();
    this.#scan([]);
  }

  /** It is ready for what it waits for, or has hung up. */
  onReady(): void {
    this.activeAt = this.#now();
    if (this.phase === Phase.Reading) this.#read();
    else if (this.phase === Phase.Writing) this.#write();
    // It has hung up while its call was carried out: the answer has nowhere to go.
    else this.close();
  }

  /** Gives back everything. A call that is on its way is not stopped, its answer is dropped. */
  close(): void {
    if (this.phase === Phase.Closed) return;
    const call = this.#call;
    this.phase = Phase.Closed;
    this.deadline = Infinity;
    this.#call = null;
    this.#closeAll(this.#files);
    this.#closeAll(this.#answerFiles);
    this.#files = [];
    this.#answerFiles = [];
    this.#budget.give(this.#buffer.length - BUFFER_BYTES_MIN + this.#answer.length);
    this.#buffer = new Uint8Array(0);
    this.#answer = new Uint8Array(0);
    this.#host.close(this.fd);
    call?.onGone();
  }

  #read(): void {
    const isStart = this.#filled === 0;
    if (!this.#makeRoom()) return;
    const fds = new Int32Array(STREAM_FDS_MAX);
    const room = this.#buffer.length - this.#filled;
    const n = this.#streams.receive(this.fd, this.#buffer, this.#filled, room, fds);
    if (n === -EAGAIN) return;
    if (n <= 0) return this.close();
    const count = this.#streams.receivedFds;
    const received = count < 0 ? [] : [...fds.subarray(0, count)];
    this.#filled += n;
    if (isStart) {
      this.#files = received;
      this.#hasTooManyFiles = count < 0;
      this.deadline = this.activeAt + STALL_MILLIS_MAX;
    }
    this.#scan(isStart ? [] : received);
  }

  /** Looks for the end of the message. `later` came beside other bytes than its first. */
  #scan(later: readonly number[]): void {
    const end = this.#scanner.scan(this.#buffer, this.#scanned, this.#filled);
    if (end < 0) {
      this.#closeAll(later);
      this.#scanned = this.#filled;
      if (end === NOT_AN_OBJECT) this.#refuse("invalid character looking for beginning of object");
      else if (end === TOO_DEEP) this.#refuse("exceeded max depth");
      else if (this.#scanner.isAtStart) this.#forgetSpace();
      return;
    }
    const text = decoder.decode(this.#buffer.subarray(0, end));
    this.#buffer.copyWithin(0, end, this.#filled);
    this.#filled -= end;
    this.#scanned = 0;
    this.#scanner = new DocumentScanner();
    this.deadline = Infinity;
    const files = this.#files;
    // The kernel gives descriptors with the last bytes of a read: those are the next message's.
    this.#files = this.#filled > 0 ? [...later] : [];
    if (this.#filled === 0) this.#closeAll(later);
    this.#begin(text, files);
  }

  /** White space between messages is no message that has begun. */
  #forgetSpace(): void {
    this.#closeAll(this.#files);
    this.#files = [];
    this.#filled = this.#scanned = 0;
    this.deadline = Infinity;
  }

  #begin(text: string, files: readonly number[]): void {
    this.phase = Phase.Calling;
    const call = this.#makeCall(text, files);
    if (typeof call === "string") {
      this.#closeAll(files);
      this.#refuse(call);
      return;
    }
    this.#call = call;
    if (this.#hasTooManyFiles) {
      this.#hasTooManyFiles = false;
      call.fail(TOO_MANY_FILES);
      return;
    }
    this.#handle(call);
  }

  /** The call in `text`, or what is wrong with it. */
  #makeCall(text: string, files: readonly number[]): Call | string {
    let document: unknown;
    try {
      document = parse(text);
    } catch (error) {
      return `invalid request: ${(error as Error).message}`;
    }
    const fields = new Map(
      Object.entries(document as object).map(([key, value]) => [key.toLowerCase(), value]),
    );
    const method = fields.get("method") ?? "";
    if (typeof method !== "string") {
      return `json: cannot unmarshal ${typeof method} into Go struct field .method of type string`;
    }
    const call: Call = {
      method,
      argument: fields.get("arg"),
      files,
      onGone: () => {},
      succeed: (result, own = []) => this.#finish(call, { success: true, err: "", result }, own),
      fail: (err) => this.#finish(call, { success: false, err, result: null }, []),
    };
    return call;
  }

  #finish(call: Call, answer: object, files: readonly number[]): void {
    this.#closeAll(call.files);
    // It has disconnected, or has been answered.
    if (this.#call !== call) return this.#closeAll(files);
    this.#call = null;
    let bytes = encoder.encode(stringify(answer));
    let own = files;
    const isTooLarge = bytes.length > ANSWER_BYTES_MAX || !this.#budget.take(bytes.length);
    if (isTooLarge || files.length > STREAM_FDS_MAX) {
      if (!isTooLarge) this.#budget.give(bytes.length);
      this.#closeAll(files);
      const err = isTooLarge ? `the answer of ${bytes.length} bytes is too large` : TOO_MANY_FILES;
      bytes = encoder.encode(stringify({ success: false, err, result: null }));
      own = [];
      this.#budget.force(bytes.length);
    }
    this.#startAnswer(bytes, own);
  }

  /** Answers what cannot be read, and ends the connection: where the next message begins is not known. */
  #refuse(err: string): void {
    this.#isLast = true;
    const bytes = encoder.encode(stringify({ success: false, err, result: null }));
    this.#budget.force(bytes.length);
    this.#startAnswer(bytes, []);
  }

  #startAnswer(bytes: Uint8Array<ArrayBuffer>, files: readonly number[]): void {
    this.phase = Phase.Writing;
    this.#answer = bytes;
    this.#sent = 0;
    this.#answerFiles = files;
    this.deadline = this.#now() + STALL_MILLIS_MAX;
    this.#write();
  }

  #write(): void {
    while (this.#sent < this.#answer.length) {
      const fds = this.#answerFiles.length === 0 ? NO_FDS : Int32Array.from(this.#answerFiles);
      const n = this.#streams.send(this.fd, this.#answer, this.#sent, this.#answer.length - this.#sent, fds);
      if (n === -EAGAIN) return;
      if (n <= 0) return this.close();
      this.#sent += n;
      this.#closeAll(this.#answerFiles);
      this.#answerFiles = [];
    }
    if (this.#isLast) return this.close();
    this.#budget.give(this.#answer.length);
    this.#answer = new Uint8Array(0);
    this.phase = Phase.Reading;
    this.deadline = this.#filled > 0 ? this.#now() + STALL_MILLIS_MAX : Infinity;
    this.#shrink();
  }

  /** Room for more of the message. False when it has ended the connection. */
  #makeRoom(): boolean {
    if (this.#filled < this.#buffer.length) return true;
    const grown = Math.min(this.#buffer.length * 2, MESSAGE_BYTES_MAX);
    if (grown === this.#buffer.length || !this.#budget.take(grown - this.#buffer.length)) {
      this.#closeAll(this.#files);
      this.#files = [];
      this.#refuse(grown === this.#buffer.length ? "the request is too large" : "too many requests at once");
      return false;
    }
    const buffer = new Uint8Array(grown);
    buffer.set(this.#buffer);
    this.#buffer = buffer;
    return true;
  }

  #shrink(): void {
    if (this.#buffer.length === BUFFER_BYTES_MIN || this.#filled > BUFFER_BYTES_MIN) return;
    const buffer = new Uint8Array(BUFFER_BYTES_MIN);
    buffer.set(this.#buffer.subarray(0, this.#filled));
    this.#budget.give(this.#buffer.length - BUFFER_BYTES_MIN);
    this.#buffer = buffer;
  }

  #closeAll(fds: readonly number[]): void {
    for (const fd of fds) this.#host.close(fd);
  }
}
