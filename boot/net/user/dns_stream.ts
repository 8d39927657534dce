// Questions over TCP to the name server that a sandbox sees, as resolvers ask again whose answer was cut (RFC 7766): each goes
// to the host's name servers over TCP, and the policy hears of the answer as of one over UDP. One at a time in a connection.

import { EAGAIN } from "../../../kernel/abi/errno.ts";
import { SocketKind } from "../../../native/host_sockets.ts";
import {
  type PendingSyn,
  POLLIN,
  POLLOUT,
  type ReadinessQueue,
  type TcpEndpoint,
} from "../../../netstack/mod.ts";
import type { RelayContext, Served } from "./context.ts";
import { isBelieved, type NameServer } from "./dns_forwarder.ts";
import { NameServerQuery, type OnAnswer } from "./dns_query.ts";
import { type Question, questionOf, RCODE_REFUSED, refuse } from "./dns_message.ts";
import { type Flow, FlowTable } from "./flow_table.ts";

const STREAMS_MAX = 64;
const BACKLOG = 64;
/** A connection without a question, and a question without an answer, from all name servers. */
const IDLE_NANOS = 30e9;
/** Before each message stands its length. */
const LENGTH_BYTES = 2;
const MESSAGE_BYTES_MAX = 65_535;

export class DnsStreams implements ReadinessQueue, Served {
  isEntered = false;
  readonly #context: RelayContext;
  readonly #servers: readonly NameServer[];
  readonly #takers: readonly TcpEndpoint[];
  readonly #streams = new FlowTable<DnsStream>(STREAMS_MAX, IDLE_NANOS);
  #next = 0;

  constructor(context: RelayContext, servers: readonly NameServer[]) {
    this.#context = context;
    this.#servers = servers;
    this.#takers = [true, false].map((isV4) => {
      const taker = context.stack.newTcpEndpoint(isV4);
      taker.listenDetached(BACKLOG);
      taker.queue = this;
      return taker;
    });
  }

  /** A connection to the port of ours that answers questions. */
  take(syn: PendingSyn): void {
    syn.accept(this.#takers[syn.destination.isV4 ? 0 : 1]);
  }

  notify(_events: number): void {
    this.#context.turns.enter(this);
  }

  serve(): void {
    for (const taker of this.#takers) {
      for (;;) {
        const endpoint = taker.accept();
        if (typeof endpoint === "number") break;
        const key = String(this.#next++);
        const onUse = (one: DnsStream) => this.#streams.touch(key, one, this.#context.stack.now);
        const onEnd = () => this.#streams.remove(key);
        const stream = new DnsStream(this.#context, this.#servers, endpoint, onUse, onEnd);
        this.#streams.add(key, stream, this.#context.stack.now);
      }
    }
  }

  sweep(now: number): boolean {
    return this.#streams.sweep(now);
  }
}

/** A connection of the sandbox's. */
class DnsStream implements Flow, ReadinessQueue, Served {
  isEntered = false;
  usedAt = 0;
  readonly #context: RelayContext;
  readonly #servers: readonly NameServer[];
  readonly #endpoint: TcpEndpoint;
  readonly #onUse: (stream: DnsStream) => void;
  readonly #onEnd: () => void;
  readonly #input = new Uint8Array(LENGTH_BYTES + MESSAGE_BYTES_MAX);
  #inputBytes = 0;
  /** What the sandbox has not taken of an answer yet. */
  #output: Uint8Array = new Uint8Array(0);
  /** While there is one nothing more is read. */
  #query: StreamQuery | null = null;
  #isClosed = false;

  constructor(
    context: RelayContext,
    servers: readonly NameServer[],
    endpoint: TcpEndpoint,
    onUse: (stream: DnsStream) => void,
    onEnd: () => void,
  ) {
    this.#context = context;
    this.#servers = servers;
    this.#endpoint = endpoint;
    this.#onUse = onUse;
    this.#onEnd = onEnd;
    endpoint.queue = this;
    context.turns.enter(this);
  }

  notify(_events: number): void {
    this.#context.turns.enter(this);
  }

  serve(): void {
    if (this.#isClosed) return;
    while (this.#output.length > 0) {
      const n = this.#endpoint.write(this.#output, 0, this.#output.length, 0, null);
      if (n === -EAGAIN) return;
      if (n < 0) return this.#onEnd();
      this.#output = this.#output.subarray(n);
    }
    if (this.#query !== null) return;
    const input = this.#input;
    for (;;) {
      const hasLength = this.#inputBytes >= LENGTH_BYTES;
      const length = LENGTH_BYTES + (hasLength ? input[0] << 8 | input[1] : 0);
      if (hasLength && this.#inputBytes === length) break;
      const n = this.#endpoint.read(input, this.#inputBytes, length - this.#inputBytes, 0, null);
      if (n === -EAGAIN) return;
      if (n <= 0) return this.#onEnd();
      this.#inputBytes += n;
    }
    const message = input.slice(LENGTH_BYTES, this.#inputBytes);
    this.#inputBytes = 0;
    this.#onUse(this);
    this.#ask(message);
  }

  #ask(message: Uint8Array): void {
    const question = questionOf(message, message.length);
    if (question === null) return this.#onEnd();
    if (!this.#context.policy.mayAsk(question.name)) {
      return this.#answer(message, refuse(message, question, RCODE_REFUSED));
    }
    this.#query = new StreamQuery(this.#context, this.#servers, message, question, (answer, length) => {
      this.#query = null;
      this.#answer(answer, length);
    });
    this.#query.askNext();
  }

  #answer(message: Uint8Array, length: number): void {
    this.#output = framed(message, length);
    this.#context.turns.enter(this);
  }

  close(): void {
    this.#isClosed = true;
    this.#query?.close();
    this.#endpoint.close();
  }
}

/** A question on its way to a name server, in a connection of its own. */
class StreamQuery extends NameServerQuery {
  #isSent = false;
  #input: Uint8Array = new Uint8Array(0);
  #inputBytes = 0;

  constructor(
    context: RelayContext,
    servers: readonly NameServer[],
    message: Uint8Array,
    question: Question,
    onAnswer: OnAnswer,
  ) {
    super(context, servers, message, question, onAnswer, SocketKind.Stream, POLLOUT);
  }

  protected override begin(_fd: number): boolean {
    this.#isSent = false;
    this.#input = new Uint8Array(LENGTH_BYTES + MESSAGE_BYTES_MAX);
    this.#inputBytes = 0;
    return true;
  }

  override onHost(_events: number): void {
    if (!this.#isSent) this.#send();
    else this.#receive();
  }

  #send(): void {
    const { sockets } = this.context;
    if (sockets.error(this.fd) !== 0) return this.askNext();
    const bytes = framed(this.message, this.message.length);
    // A new connection has room for a question; where it has not the name server is of no use.
    if (sockets.send(this.fd, bytes, 0, bytes.length) !== bytes.length) return this.askNext();
    this.#isSent = true;
    this.watch?.set(POLLIN);
  }

  #receive(): void {
    const { sockets } = this.context, input = this.#input;
    const n = sockets.receive(this.fd, input, this.#inputBytes, input.length - this.#inputBytes);
    if (n === -EAGAIN) return;
    if (n <= 0) return this.askNext();
    this.#inputBytes += n;
    const length = input[0] << 8 | input[1];
    if (this.#inputBytes < LENGTH_BYTES || this.#inputBytes < LENGTH_BYTES + length) return;
    const answer = input.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
    if (!isBelieved(this.context, answer, length, this.message, this.question)) return this.askNext();
    this.close();
    this.onAnswer(answer, length);
  }
}

/** A message as it stands in a connection: behind its length. */
function framed(message: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES + length);
  bytes[0] = length >> 8;
  bytes[1] = length & 0xff;
  bytes.set(message.subarray(0, length), LENGTH_BYTES);
  return bytes;
}
