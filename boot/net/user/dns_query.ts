// A question on its way to the host's name servers, one after the other until one answers.

import { addressBlock, type HostListener, type RelayContext, type Watch } from "./context.ts";
import type { NameServer } from "./dns_forwarder.ts";
import { type Question, RCODE_SERVER_FAILURE, refuse } from "./dns_message.ts";

/** `bytes` is the answer, of `length`. */
export type OnAnswer = (bytes: Uint8Array, length: number) => void;

export abstract class NameServerQuery implements HostListener {
  protected readonly context: RelayContext;
  protected readonly message: Uint8Array;
  protected readonly question: Question;
  protected readonly onAnswer: OnAnswer;
  /** Our socket to the name server that is asked; -1 = none. */
  protected fd = -1;
  protected watch: Watch | null = null;
  readonly #servers: readonly NameServer[];
  readonly #kind: number;
  readonly #events: number;
  #server = -1;

  /** Over sockets of `kind`, which are watched for `events` first. */
  constructor(
    context: RelayContext,
    servers: readonly NameServer[],
    message: Uint8Array,
    question: Question,
    onAnswer: OnAnswer,
    kind: number,
    events: number,
  ) {
    this.context = context;
    this.message = message;
    this.question = question;
    this.onAnswer = onAnswer;
    this.#servers = servers;
    this.#kind = kind;
    this.#events = events;
  }

  /** The first name server, or the next one; without one the answer is that it has failed. */
  askNext(): void {
    const { sockets, watches } = this.context;
    this.close();
    while (++this.#server < this.#servers.length) {
      const { address, port } = this.#servers[this.#server];
      const fd = sockets.connect(this.#kind, addressBlock(address, port));
      if (fd < 0) continue;
      if (!this.begin(fd)) {
        sockets.close(fd);
        continue;
      }
      this.fd = fd;
      this.watch = watches.add(fd, this.#events, this);
      return;
    }
    this.fail(RCODE_SERVER_FAILURE);
  }

  /** A new socket is there. False: it is of no use. */
  protected abstract begin(fd: number): boolean;

  abstract onHost(events: number): void;

  /** Answers without having been answered. */
  fail(code: number): void {
    const { message } = this;
    this.onAnswer(message, Math.min(message.length, refuse(message, this.question, code)));
  }

  close(): void {
    if (this.fd < 0) return;
    this.watch?.end();
    this.context.sockets.close(this.fd);
    this.fd = -1;
  }
}
