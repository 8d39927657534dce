// The sentry's end of the control protocol. The first connection is the command line's: events go there, and the sandbox ends
// with it. Each `connect` brings one more connection (of `tsvisor kill`, of a controller), which asks and is answered; several
// requests may be on their way, and each answer has its request's id. One that has made a container (`join`) is about that
// from then on, and so are those that are made over it.

import { EBUSY, EINVAL } from "../../kernel/abi/errno.ts";
import type { Container } from "../../kernel/container.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { HOST_READ, HOST_WRITE, type HostDescriptor } from "../../kernel/host/host_descriptor.ts";
import type { HostWatch } from "../../kernel/host/host_watch.ts";
import type { NativeHost } from "../../native/host.ts";
import { receive, send } from "./channel.ts";
import type { Message, MessageFrom } from "./protocol.ts";
import { Queries } from "./services/queries.ts";
import type { Sandbox } from "./services/query.ts";

const POLLIN = 1;
/** Connections besides the first: each `exec` has one until its end. */
export const CONNECTIONS_MAX = 256;

/** Who asks, over one connection. */
export interface Caller {
  readonly isFirst: boolean;
  /** What its requests concern; null = the root container. */
  container: Container | null;
  /** It has made that container, which ends with the connection. */
  isMaker: boolean;
}

/**
 * What the sentry does with a message, whose descriptors it takes over: 0, -ERRNO, an answer, or null: it answers later, by
 * `answer`, which does nothing where nobody waits for it any more.
 */
export type Serve = (
  message: MessageFrom<"caller">,
  fds: readonly number[],
  answer: Answer,
  caller: Caller,
) => number | MessageFrom<"role"> | null;
/** What it does at the end of a connection besides the first. */
export type HangUp = (caller: Caller) => void;
/** `fds` stay the sentry's. */
export type Answer = (message: MessageFrom<"role"> | number, fds?: readonly number[]) => void;

export class ControlServer {
  readonly #kernel: Kernel;
  readonly #host: NativeHost;
  readonly #first: HostDescriptor;
  readonly #serve: Serve;
  readonly #hangUp: HangUp;
  readonly #callers = new Map<HostDescriptor, Caller>();
  /** Connections besides the first. */
  readonly #others = new Map<HostDescriptor, HostWatch>();
  /** What the control API's calls work on; null = there is none yet. */
  #sandbox: Sandbox | null = null;
  /** Of connections that have asked for one. */
  readonly #queries = new Map<HostDescriptor, Queries>();

  /** Listens on socket `first` from now on; `onEnd` is called when it ends. */
  constructor(
    kernel: Kernel,
    host: NativeHost,
    first: number,
    serve: Serve,
    hangUp: HangUp,
    onEnd: () => void,
  ) {
    this.#kernel = kernel;
    this.#host = host;
    this.#first = kernel.descriptors.own(first, "donated", HOST_READ | HOST_WRITE, "control");
    this.#serve = serve;
    this.#hangUp = hangUp;
    this.#callers.set(this.#first, { isFirst: true, container: null, isMaker: false });
    const onHostEvents = () => {
      if (!this.#take(this.#first)) onEnd();
    };
    kernel.watches.add(this.#first, POLLIN, { onHostEvents });
  }

  /** All of them, for as long as the sandbox runs. */
  get connections(): HostDescriptor[] {
    return [this.#first, ...this.#others.keys()];
  }

  /** Carries out calls of the control API from now on. */
  serveQueries(sandbox: Sandbox): void {
    this.#sandbox = sandbox;
  }

  /** Tells the command line. */
  tell(message: MessageFrom<"role">): void {
    send(this.#host, this.#first.fd, message);
  }

  /** Takes one message from `socket`. False when there will be no more. */
  #take(socket: HostDescriptor): boolean {
    const received = receive(this.#host, socket.fd, "caller", 0);
    if (received === null) return false;
    if (received.frame === null) {
      this.#kernel.log(`Control: ${received.reason}`);
      // Others may ask over the command line's connection to be connected, in a version that we do not know.
      return socket === this.#first;
    }
    const { frame: { message, request }, fds } = received;
    if (message.kind === "query") {
      this.#query(socket, request, message.method, fds);
      return true;
    }
    if (message.kind === "forget") {
      this.#queries.get(socket)?.forget(message.target);
      return true;
    }
    if (message.kind === "connect") {
      const result = this.#connect(socket, fds);
      return request === 0 || this.#answer(socket, request, result);
    }
    const later: Answer = (result, answerFds) => {
      if (!this.#isConnected(socket) || request === 0) return;
      if (!this.#answer(socket, request, result, answerFds)) this.#end(socket);
    };
    const result = this.#serve(message, fds, later, this.#callers.get(socket)!);
    return result === null || request === 0 || this.#answer(socket, request, result);
  }

  #isConnected(socket: HostDescriptor): boolean {
    return socket === this.#first || this.#others.has(socket);
  }

  /** Those who ask have to read what they are answered: we do not wait for them. */
  #answer(
    socket: HostDescriptor,
    request: number,
    result: number | MessageFrom<"role">,
    fds: readonly number[] = [],
  ): boolean {
    const answer: Message = typeof result !== "number"
      ? result
      : result < 0
      ? { kind: "refused", errno: -result }
      : { kind: "done" };
    const options = { request, isReply: true, fds: Int32Array.from(fds) };
    return send(this.#host, socket.fd, answer, options) || socket === this.#first;
  }

  #query(socket: HostDescriptor, request: number, method: string, fds: readonly number[]): void {
    if (this.#sandbox === null) {
      for (const fd of fds) this.#host.close(fd);
      this.#answer(socket, request, -EINVAL);
      return;
    }
    let queries = this.#queries.get(socket);
    if (queries === undefined) this.#queries.set(socket, queries = new Queries(this.#sandbox));
    queries.serve(request, method, fds, (message, own) => {
      if (!socket.isOpen) return;
      const options = { request, isReply: true, fds: Int32Array.from(own) };
      const isSent = send(this.#host, socket.fd, message, options);
      // Who asks and does not read what it is answered goes; the first connection is the sandbox itself.
      if (!isSent && socket !== this.#first) this.#end(socket);
    });
  }

  #connect(from: HostDescriptor, fds: readonly number[]): number {
    const fd = fds.length === 0 ? -1 : fds[0];
    let refusal = 0;
    const { isFirst, isMaker, container } = this.#callers.get(from)!;
    if (!isFirst && !isMaker || fd < 0 || this.#host.setNonblocking(fd) < 0) refusal = -EINVAL;
    else if (this.#others.size >= CONNECTIONS_MAX) refusal = -EBUSY;
    if (refusal < 0) {
      if (fd >= 0) this.#host.close(fd);
      return refusal;
    }
    const socket = this.#kernel.descriptors.own(fd, "donated", HOST_READ | HOST_WRITE, "control connection");
    const onHostEvents = () => {
      if (!this.#take(socket)) this.#end(socket);
    };
    this.#callers.set(socket, { isFirst: false, container, isMaker: false });
    this.#others.set(socket, this.#kernel.watches.add(socket, POLLIN, { onHostEvents }));
    return 0;
  }

  #end(socket: HostDescriptor): void {
    const watch = this.#others.get(socket);
    if (watch === undefined) return;
    watch.end();
    this.#others.delete(socket);
    const queries = this.#queries.get(socket);
    this.#queries.delete(socket);
    const caller = this.#callers.get(socket)!;
    this.#callers.delete(socket);
    socket.drop();
    queries?.end();
    this.#hangUp(caller);
  }
}
