// The controller's end of its connection to the sentry: queries with ids of their own, as many at a time as there are, each
// answered in its turn or out of it. Neither end waits for the other: the caller polls `fd`.

import { jsonDescriptor, readText } from "../../descriptors.ts";
import type { NativeHost } from "../../../native/host.ts";
import { receive, send } from "../channel.ts";
import type { MessageFrom } from "../protocol.ts";
import type { Call } from "./connection.ts";
import { parse, stringify } from "./json.ts";

/** Queries that wait for their answers. */
const IN_FLIGHT_MAX = 1024;
const REQUEST_MAX = 0x7fff_ffff;
/** Answers taken in one turn. */
const ANSWERS_MAX = 16;

export class SentryLink {
  /** -1 once the sentry has hung up. */
  fd: number;
  /** No answer will come any more. */
  hasEnded = false;
  readonly #host: NativeHost;
  readonly #waiting = new Map<number, Call>();
  #lastRequest = 0;

  constructor(host: NativeHost, fd: number) {
    this.#host = host;
    this.fd = fd;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Has the sentry carry out `call` with an argument that has been checked. */
  query(call: Call, argument: unknown): void {
    if (this.hasEnded) return call.fail("the sandbox has ended");
    if (this.#waiting.size >= IN_FLIGHT_MAX) return call.fail("too many calls wait for their answers");
    const request = this.#nextRequest();
    const document = jsonDescriptor(this.#host, argument, stringify);
    const fds = Int32Array.from([document, ...call.files]);
    const isSent = send(this.#host, this.fd, { kind: "query", method: call.method }, { request, fds });
    this.#host.close(document);
    if (!isSent) return call.fail("the sandbox does not listen");
    this.#waiting.set(request, call);
    call.onGone = () => {
      this.#waiting.delete(request);
      send(this.#host, this.fd, { kind: "forget", target: request });
    };
  }

  /** Takes answers that have come. */
  onReady(): void {
    for (let count = 0; count < ANSWERS_MAX && !this.hasEnded; count++) {
      if (this.#host.poll(this.fd, 1) <= 0) return;
      const received = receive(this.#host, this.fd, "role", 0);
      if (received === null || received.frame === null || !received.frame.isReply) return this.#end();
      this.#take(received.frame.message, received.frame.request, received.fds);
    }
  }

  #take(message: MessageFrom<"role">, request: number, fds: readonly number[]): void {
    const call = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (call === undefined || message.kind !== "report" || fds.length === 0) {
      for (const fd of fds) this.#host.close(fd);
      if (call === undefined) return;
      return call.fail(message.kind === "refusal" ? message.message : "the sandbox answers nonsense");
    }
    const [document, ...files] = fds;
    let result: unknown;
    try {
      result = parse(readText(this.#host, document));
    } catch {
      for (const fd of files) this.#host.close(fd);
      return call.fail("the sandbox answers nonsense");
    } finally {
      this.#host.close(document);
    }
    call.succeed(result, files);
  }

  #end(): void {
    this.hasEnded = true;
    this.#host.close(this.fd);
    this.fd = -1;
    const calls = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const call of calls) call.fail("the sandbox has ended");
  }

  #nextRequest(): number {
    do this.#lastRequest = this.#lastRequest % REQUEST_MAX + 1; while (this.#waiting.has(this.#lastRequest));
    return this.#lastRequest;
  }
}
