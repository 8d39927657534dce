// A connection that asks: requests with ids of their own, as many at a time as are wanted, each answered in its turn or out
// of it. `tsvisor kill` has one; a controller will have one for all its clients.

import { EBUSY, EPIPE, EPROTO, ETIMEDOUT } from "../../kernel/abi/errno.ts";
import type { NativeHost } from "../../native/host.ts";
import { receiveLater } from "../../native/process.ts";
import { send } from "./channel.ts";
import { decode, FRAME_BYTES_MAX, type MessageFrom } from "./protocol.ts";

/** What a request is answered with. */
export interface Reply {
  readonly message: MessageFrom<"role">;
  readonly fds: readonly number[];
}

/** Kinds that answer a request; others come on their own. */
const REPLIES: ReadonlySet<string> = new Set([
  "done",
  "refused",
  "executed",
  "document",
  "condition",
  "exit",
  "failed",
  "report",
  "refusal",
]);

/** Requests that wait for their answers. */
export const IN_FLIGHT_MAX = 256;

export class ControlClient {
  readonly #host: NativeHost;
  readonly #socket: number;
  readonly #waiting = new Map<number, (result: Reply | number) => void>();
  #lastRequest = 0;
  /** -ERRNO once no answer will come any more. */
  #end = 0;

  /** `socket` is ours from now on. */
  constructor(host: NativeHost, socket: number) {
    this.#host = host;
    this.#socket = socket;
    this.#read();
  }

  /** Asks for something to be done: 0 or -ERRNO, which is -ETIMEDOUT after `millis`. */
  async request(message: MessageFrom<"caller">, millis: number): Promise<number> {
    const reply = await this.ask(message, millis);
    if (typeof reply === "number") return reply;
    for (const fd of reply.fds) this.#host.close(fd);
    return reply.message.kind === "done" ? 0 : -EPROTO;
  }

  /**
   * Asks for an answer, whose descriptors are the caller's then; or -ERRNO. `fds` go along and stay the caller's. Without
   * `millis` it waits as long as the other end is connected.
   */
  async ask(
    message: MessageFrom<"caller">,
    millis: number | null,
    fds: readonly number[] = [],
  ): Promise<Reply | number> {
    if (this.#end < 0) return this.#end;
    if (this.#waiting.size >= IN_FLIGHT_MAX) return -EBUSY;
    const request = this.#lastRequest = this.#lastRequest % 0xffff_ffff + 1;
    let timer: ReturnType<typeof setTimeout> | undefined = undefined;
    const result = await new Promise<Reply | number>((resolve) => {
      this.#waiting.set(request, resolve);
      if (millis !== null) timer = setTimeout(() => resolve(-ETIMEDOUT), millis);
      const options = { request, fds: Int32Array.from(fds) };
      if (!send(this.#host, this.#socket, message, options)) resolve(-EPIPE);
    });
    clearTimeout(timer);
    this.#waiting.delete(request);
    return result;
  }

  /** Until the other end hangs up, or sends what is no answer to anything. */
  async #read(): Promise<void> {
    const bytes = new Uint8Array(FRAME_BYTES_MAX + 1);
    while (this.#end === 0) {
      const { length, fds } = await receiveLater(this.#socket, bytes);
      if (length <= 0) this.#end = -EPIPE;
      else this.#end = this.#resolve(bytes, length, fds);
    }
    for (const resolve of this.#waiting.values()) resolve(this.#end);
    this.#host.close(this.#socket);
  }

  #resolve(bytes: Uint8Array<ArrayBuffer>, length: number, fds: readonly number[]): number {
    const frame = decode(bytes, length, "role", fds.length);
    const resolve = typeof frame === "string" ? undefined : this.#waiting.get(frame.request);
    if (
      resolve !== undefined && typeof frame !== "string" && frame.isReply && REPLIES.has(frame.message.kind)
    ) {
      const { message } = frame;
      resolve(message.kind === "refused" ? -message.errno : { message, fds });
      return 0;
    }
    for (const fd of fds) this.#host.close(fd);
    if (typeof frame === "string" || !frame.isReply || !REPLIES.has(frame.message.kind)) return -EPROTO;
    // One that has waited too long is not there any more.
    return frame.request <= this.#lastRequest ? 0 : -EPROTO;
  }
}
