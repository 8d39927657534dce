// The name server that a sandbox sees: it asks the host's name servers, and tells the policy which addresses a name has, so
// that a rule for the name lets the sandbox go there. RFC 1035, RFC 5452 (what an answer must match to be believed).

import { EAGAIN } from "../../../kernel/abi/errno.ts";
import {
  type Address,
  EndpointAddress,
  IncomingControl,
  OutgoingControl,
  POLLIN,
  type ReadinessQueue,
  type UdpEndpoint,
} from "../../../netstack/mod.ts";
import { SocketKind } from "../../../native/host_sockets.ts";
import type { RelayContext, Served } from "./context.ts";
import {
  addressesOf,
  identifierOf,
  isAnswer,
  type Question,
  questionOf,
  RCODE_REFUSED,
} from "./dns_message.ts";
import { NameServerQuery, type OnAnswer } from "./dns_query.ts";
import { type Flow, FlowTable } from "./flow_table.ts";

export const DNS_PORT = 53;
/** Questions under way. */
const QUERIES_MAX = 512;
/** For one name server, and for all: a resolver inside asks again after 5 s. */
const ANSWER_NANOS = 4e9;
const QUERY_NANOS = 30e9;
const MESSAGE_BYTES_MAX = 65_535;
const MESSAGES_PER_TURN = 32;

export interface NameServer {
  readonly address: Address;
  readonly port: number;
}

export class DnsForwarder implements ReadinessQueue, Served {
  isEntered = false;
  readonly #context: RelayContext;
  readonly #servers: readonly NameServer[];
  readonly #endpoints: readonly UdpEndpoint[];
  /** By number: the oldest goes first. */
  readonly #queries = new FlowTable<Query>(QUERIES_MAX, QUERY_NANOS);
  #next = 0;
  readonly #incoming = new IncomingControl();
  readonly #outgoing = new OutgoingControl();

  /** Listens at `addresses`, which are the stack's. */
  constructor(context: RelayContext, addresses: readonly Address[], servers: readonly NameServer[]) {
    this.#context = context;
    this.#servers = servers;
    this.#endpoints = addresses.map((address) => {
      const endpoint = context.stack.newUdpEndpoint(address.isV4);
      const at = new EndpointAddress();
      at.address.copy(address);
      at.port = DNS_PORT;
      const result = endpoint.bind(at);
      if (result < 0) throw new Error(`Cannot serve names at ${address}: ${result}`);
      endpoint.queue = this;
      return endpoint;
    });
  }

  notify(_events: number): void {
    this.#context.turns.enter(this);
  }

  serve(): void {
    for (const endpoint of this.#endpoints) {
      for (let i = 0; i < MESSAGES_PER_TURN; i++) {
        const { chunk } = this.#context;
        this.#incoming.clear();
        const n = endpoint.read(chunk, 0, MESSAGE_BYTES_MAX, 0, this.#incoming);
        if (n < 0) break;
        this.#ask(endpoint, chunk.slice(0, n));
        if (i === MESSAGES_PER_TURN - 1) this.#context.turns.enter(this);
      }
    }
  }

  #ask(endpoint: UdpEndpoint, message: Uint8Array): void {
    const question = questionOf(message, message.length);
    if (question === null || isAnswer(message)) return;
    const from = new EndpointAddress().copy(this.#incoming.from);
    const key = String(this.#next++);
    const query = new Query(this.#context, this.#servers, message, question, (answer, length) => {
      this.#queries.remove(key);
      this.#outgoing.clear();
      this.#outgoing.to = from;
      endpoint.write(answer, 0, length, 0, this.#outgoing);
    });
    if (!this.#context.policy.mayAsk(question.name)) return query.fail(RCODE_REFUSED);
    this.#queries.add(key, query, this.#context.stack.now);
    query.askNext();
  }

  /** Asks the next name server where one does not answer. True while there are questions. */
  sweep(now: number): boolean {
    for (const query of this.#queries.all()) query.checkTime(now);
    return this.#queries.sweep(now);
  }
}

/** A question of the sandbox's on its way. */
class Query extends NameServerQuery implements Flow {
  usedAt = 0;
  /** The sandbox's; ours goes out, as nobody can guess it. */
  readonly #identifier: number;
  #askedAt = 0;

  constructor(
    context: RelayContext,
    servers: readonly NameServer[],
    message: Uint8Array,
    question: Question,
    onAnswer: OnAnswer,
  ) {
    super(context, servers, message, question, onAnswer, SocketKind.Datagram, POLLIN);
    this.#identifier = identifierOf(message);
  }

  checkTime(now: number): void {
    if (now - this.#askedAt >= ANSWER_NANOS) this.askNext();
  }

  override fail(code: number): void {
    putIdentifier(this.message, this.#identifier);
    super.fail(code);
  }

  protected override begin(fd: number): boolean {
    const { stack, sockets } = this.context;
    putIdentifier(this.message, stack.random.word() & 0xffff);
    this.#askedAt = stack.now;
    return sockets.send(fd, this.message, 0, this.message.length) >= 0;
  }

  override onHost(_events: number): void {
    const { chunk, sockets } = this.context;
    const n = sockets.receive(this.fd, chunk, 0, MESSAGE_BYTES_MAX);
    if (n === -EAGAIN) return;
    // Nobody is there: the next one may be.
    if (n < 0) return this.askNext();
    if (!isBelieved(this.context, chunk, n, this.message, this.question)) return;
    putIdentifier(chunk, this.#identifier);
    this.onAnswer(chunk, n);
  }
}

/**
 * `answer` is one to `query`, which asked `question`; then the policy knows the addresses that it gives. (RFC 5452 section 3: from
 * whom it came the connected socket has seen to.)
 */
export function isBelieved(
  { policy, stack }: RelayContext,
  answer: Uint8Array,
  length: number,
  query: Uint8Array,
  { name, type, kind }: Question,
): boolean {
  const found = questionOf(answer, length);
  if (found === null || !isAnswer(answer) || identifierOf(answer) !== identifierOf(query)) return false;
  if (found.name !== name || found.type !== type || found.kind !== kind) return false;
  for (const { address, seconds } of addressesOf(answer, length, found)) {
    policy.bind(name, address, seconds, stack.now);
  }
  return true;
}

function putIdentifier(bytes: Uint8Array, value: number): void {
  bytes[0] = value >> 8;
  bytes[1] = value & 0xff;
}
